/* SPDX-License-Identifier: GPL-2.0-only */
/* The processor: what a task of its own needs (nothing), and the pause in a busy wait, which lets time and the device go on. */
#ifndef _ASM_PROCESSOR_H
#define _ASM_PROCESSOR_H
#ifndef __ASSEMBLY__
struct thread_struct { };
#define INIT_THREAD { }
#define TASK_SIZE 0xfffff000ul
#define TASK_UNMAPPED_BASE 0
#define STACK_TOP TASK_SIZE
#define STACK_TOP_MAX TASK_SIZE
#define current_text_addr() ((void *)0)
#define KSTK_EIP(task) 0
#define KSTK_ESP(task) 0
#define task_pt_regs(task) ((struct pt_regs *)0)
/* emul/delay.c */
void airlock_relax(void);
#define cpu_relax() airlock_relax()
struct task_struct;
static inline unsigned long __get_wchan(struct task_struct *task)
{
	return 0;
}
#endif
#endif
