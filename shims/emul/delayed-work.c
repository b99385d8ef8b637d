// SPDX-License-Identifier: GPL-2.0-only
/* Work that waits for a timer or for RCU before it is queued. While it does, its work is pending and on no list. */
#include <linux/jiffies.h>
#include <linux/rcupdate.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include "emul.h"

static void queue_now(struct workqueue_struct *queue, struct work_struct *work)
{
	clear_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(work));
	queue_work(queue, work);
}

void delayed_work_timer_fn(struct timer_list *timer)
{
	struct delayed_work *delayed = from_timer(delayed, timer, timer);

	queue_now(delayed->wq, &delayed->work);
}

static void start(struct workqueue_struct *queue, struct delayed_work *delayed, unsigned long delay)
{
	delayed->wq = queue;
	if (delay == 0)
		queue_now(queue, &delayed->work);
	else
		mod_timer(&delayed->timer, jiffies + delay);
}

bool queue_delayed_work_on(int cpu, struct workqueue_struct *queue, struct delayed_work *delayed, unsigned long delay)
{
	if (test_and_set_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(&delayed->work)))
		return false;
	start(queue, delayed, delay);
	return true;
}

bool cancel_delayed_work(struct delayed_work *delayed)
{
	if (timer_delete(&delayed->timer)) {
		clear_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(&delayed->work));
		return true;
	}
	return cancel_work(&delayed->work);
}

bool mod_delayed_work_on(int cpu, struct workqueue_struct *queue, struct delayed_work *delayed, unsigned long delay)
{
	bool was = cancel_delayed_work(delayed);

	set_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(&delayed->work));
	start(queue, delayed, delay);
	return was;
}

bool cancel_delayed_work_sync(struct delayed_work *delayed)
{
	bool was = false;

	/* One that starts its own timer again does so before it is over. */
	do {
		was |= cancel_delayed_work(delayed);
		was |= cancel_work_sync(&delayed->work);
	} while (timer_pending(&delayed->timer));
	return was;
}

bool flush_delayed_work(struct delayed_work *delayed)
{
	if (timer_delete(&delayed->timer))
		queue_now(delayed->wq, &delayed->work);
	return flush_work(&delayed->work);
}

static void rcu_work_function(struct rcu_head *head)
{
	struct rcu_work *work = container_of(head, struct rcu_work, rcu);

	queue_now(work->wq, &work->work);
}

bool queue_rcu_work(struct workqueue_struct *queue, struct rcu_work *work)
{
	if (test_and_set_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(&work->work)))
		return false;
	work->wq = queue;
	call_rcu(&work->rcu, rcu_work_function);
	return true;
}

bool flush_rcu_work(struct rcu_work *work)
{
	rcu_barrier();
	return flush_work(&work->work);
}
