/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts: one per line of the setup. */
#ifndef _ASM_IRQ_H
#define _ASM_IRQ_H
#define NR_IRQS 64
#include <asm-generic/irq.h>
#endif
