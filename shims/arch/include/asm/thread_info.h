/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of a task that headers inline code on; it is the first of task_struct. */
#ifndef _ASM_THREAD_INFO_H
#define _ASM_THREAD_INFO_H
#define THREAD_SIZE_ORDER 3
#define THREAD_SIZE (4096 << THREAD_SIZE_ORDER)
#ifndef __ASSEMBLY__
struct thread_info {
	unsigned long flags;
	int preempt_count;
	u32 cpu;
};
#define INIT_THREAD_INFO(task) { .preempt_count = 0 }
#endif
#define TIF_NOTIFY_RESUME 1
#define TIF_SIGPENDING 2
#define TIF_NEED_RESCHED 3
#define TIF_NOTIFY_SIGNAL 4
#define TIF_MEMDIE 5
#define TIF_SYSCALL_TRACE 6
#define _TIF_NOTIFY_RESUME (1 << TIF_NOTIFY_RESUME)
#define _TIF_SIGPENDING (1 << TIF_SIGPENDING)
#define _TIF_NEED_RESCHED (1 << TIF_NEED_RESCHED)
#define _TIF_NOTIFY_SIGNAL (1 << TIF_NOTIFY_SIGNAL)
#endif
