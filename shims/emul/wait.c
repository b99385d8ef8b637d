// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wait queues, completions and their like are Linux's own, which it builds as parts of one scheduler file: the same is done here,
 * with the few headers that these parts need.
 */
#include <linux/completion.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/sched/signal.h>
#include <linux/swait.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>
#include "emul.h"

#define WF_SYNC 0
/* swait.c ends a wait with this test. */
#define try_to_wake_up(task, state, flags) wake_up_state(task, state)

#include "kernel/sched/wait.c"
#include "kernel/sched/swait.c"
#include "kernel/sched/completion.c"
#include "kernel/sched/wait_bit.c"

static int __init wait_init_queues(void)
{
	wait_bit_init();
	return 0;
}
early_initcall(wait_init_queues);
