/* SPDX-License-Identifier: GPL-2.0-only */
/* The task that runs: the coroutine that the scheduler switched to, or the one that stands for interrupts and idling. */
#ifndef _ASM_CURRENT_H
#define _ASM_CURRENT_H
#ifndef __ASSEMBLY__
struct task_struct;
extern struct task_struct *airlock_current;
#define get_current() airlock_current
#define current airlock_current
#endif
#endif
