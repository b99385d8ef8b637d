// SPDX-License-Identifier: GPL-2.0-only
/*
 * RCU on one processor without preemption: readers do not sleep, so that a task that may sleep sees none. Callbacks run after the
 * interrupt or softirq that queued them. Sleepable readers are counted.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/interrupt.h>
#include <linux/wait.h>
#include <linux/mm.h>
#include "emul.h"

static struct rcu_head *first;
static struct rcu_head **end = &first;

void call_rcu(struct rcu_head *head, rcu_callback_t function)
{
	head->func = function;
	head->next = NULL;
	*end = head;
	end = &head->next;
	raise_softirq(RCU_SOFTIRQ);
}

/* Function pointers begin above every offset: see link.txt. */
void emul_rcu_run(void)
{
	struct rcu_head *head = first;

	first = NULL;
	end = &first;
	while (head) {
		struct rcu_head *next = head->next;
		unsigned long function = (unsigned long)head->func;

		if (__is_kvfree_rcu_offset(function))
			kvfree((void *)head - function);
		else
			head->func(head);
		head = next;
	}
}

static void rcu_action(struct softirq_action *action)
{
	emul_rcu_run();
}

void synchronize_rcu(void)
{
}

void rcu_barrier(void)
{
	emul_rcu_run();
}

void rcu_qs(void)
{
}

unsigned long get_state_synchronize_rcu(void)
{
	return 0;
}

unsigned long start_poll_synchronize_rcu(void)
{
	return 0;
}

bool poll_state_synchronize_rcu(unsigned long state)
{
	return true;
}

int rcu_cpu_stall_suppress;

static DECLARE_WAIT_QUEUE_HEAD(srcu_readers_gone);

int init_srcu_struct(struct srcu_struct *srcu)
{
	memset(srcu, 0, sizeof(*srcu));
	init_swait_queue_head(&srcu->srcu_wq);
	return 0;
}

void cleanup_srcu_struct(struct srcu_struct *srcu)
{
}

void __srcu_read_unlock(struct srcu_struct *srcu, int index)
{
	srcu->srcu_lock_nesting[index]--;
	if (!in_interrupt())
		wake_up_all(&srcu_readers_gone);
}

void synchronize_srcu(struct srcu_struct *srcu)
{
	wait_event(srcu_readers_gone, srcu->srcu_lock_nesting[0] + srcu->srcu_lock_nesting[1] == 0);
}

void call_srcu(struct srcu_struct *srcu, struct rcu_head *head, rcu_callback_t function)
{
	call_rcu(head, function);
}

unsigned long get_state_synchronize_srcu(struct srcu_struct *srcu)
{
	return 0;
}

unsigned long start_poll_synchronize_srcu(struct srcu_struct *srcu)
{
	return 0;
}

bool poll_state_synchronize_srcu(struct srcu_struct *srcu, unsigned long cookie)
{
	return true;
}

void srcu_drive_gp(struct work_struct *work)
{
}

static int __init rcu_start(void)
{
	open_softirq(RCU_SOFTIRQ, rcu_action);
	return 0;
}
early_initcall(rcu_start);
