/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether interrupts are off, which is only kept in mind: they arrive between turns and never in the midst of anything.
 * What the flag is for is to find code that sleeps where it must not.
 */
#ifndef _ASM_IRQFLAGS_H
#define _ASM_IRQFLAGS_H
#ifndef __ASSEMBLY__
extern unsigned long airlock_irqs_on;
#define ARCH_IRQ_DISABLED 0
#define ARCH_IRQ_ENABLED 1
#define arch_local_save_flags arch_local_save_flags
static inline unsigned long arch_local_save_flags(void)
{
	return airlock_irqs_on;
}
#define arch_local_irq_restore arch_local_irq_restore
static inline void arch_local_irq_restore(unsigned long flags)
{
	airlock_irqs_on = flags;
}
#include <asm-generic/irqflags.h>
#endif
#endif
