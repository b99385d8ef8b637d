// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timers in jiffies. Linux keeps them in a wheel because there are thousands; a driver has a handful, so that a sorted list is
 * enough. They run as in Linux's timer softirq, whose place in time is the first turn at which they are due.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/timer.h>
#include "emul.h"

static HLIST_HEAD(timers);
static struct timer_list *running;

void init_timer_key(struct timer_list *timer, void (*function)(struct timer_list *), unsigned int flags, const char *name,
		    struct lock_class_key *key)
{
	timer->entry.pprev = NULL;
	timer->function = function;
	timer->flags = flags;
}

static void insert(struct timer_list *timer)
{
	struct hlist_node *node, *last = NULL;

	hlist_for_each(node, &timers) {
		if (time_after(hlist_entry(node, struct timer_list, entry)->expires, timer->expires))
			break;
		last = node;
	}
	if (last)
		hlist_add_behind(&timer->entry, last);
	else
		hlist_add_head(&timer->entry, &timers);
}

static int detach(struct timer_list *timer)
{
	if (!timer_pending(timer))
		return 0;
	__hlist_del(&timer->entry);
	timer->entry.pprev = NULL;
	return 1;
}

int mod_timer(struct timer_list *timer, unsigned long expires)
{
	int was_pending;

	if (timer_pending(timer) && timer->expires == expires)
		return 1;
	was_pending = detach(timer);
	timer->expires = expires;
	insert(timer);
	return was_pending;
}

int mod_timer_pending(struct timer_list *timer, unsigned long expires)
{
	return timer_pending(timer) ? mod_timer(timer, expires) : 0;
}

int timer_reduce(struct timer_list *timer, unsigned long expires)
{
	if (timer_pending(timer) && time_before_eq(timer->expires, expires))
		return 1;
	return mod_timer(timer, expires);
}

void add_timer(struct timer_list *timer)
{
	BUG_ON(timer_pending(timer));
	mod_timer(timer, timer->expires);
}

void add_timer_on(struct timer_list *timer, int cpu)
{
	add_timer(timer);
}

/* A callback never sleeps, so that none is ever half done when these are called. */
int timer_delete(struct timer_list *timer)
{
	return detach(timer);
}

int timer_delete_sync(struct timer_list *timer)
{
	return detach(timer);
}

int try_to_del_timer_sync(struct timer_list *timer)
{
	return running == timer ? -1 : detach(timer);
}

int timer_shutdown(struct timer_list *timer)
{
	timer->function = NULL;
	return detach(timer);
}

int timer_shutdown_sync(struct timer_list *timer)
{
	return timer_shutdown(timer);
}

double emul_timers_next(void)
{
	unsigned long left;

	if (hlist_empty(&timers))
		return __builtin_inf();
	left = hlist_entry(timers.first, struct timer_list, entry)->expires - INITIAL_JIFFIES;
	/* The whole of the jiffy has to be over; the counter of 32 bits wraps after 49 days. */
	left -= (u32)(jiffies_64 - INITIAL_JIFFIES);
	if ((long)left < 0)
		left = 0;
	return ((double)(jiffies_64 - INITIAL_JIFFIES) + left) * (USEC_PER_SEC / HZ);
}

void emul_timers_run(double now)
{
	while (!hlist_empty(&timers)) {
		struct timer_list *timer = hlist_entry(timers.first, struct timer_list, entry);

		if (time_after(timer->expires, jiffies))
			return;
		detach(timer);
		running = timer;
		if (timer->function)
			timer->function(timer);
		running = NULL;
	}
}

struct sleeper {
	struct timer_list timer;
	struct task_struct *task;
};

static void wake_sleeper(struct timer_list *timer)
{
	wake_up_process(container_of(timer, struct sleeper, timer)->task);
}

signed long __sched schedule_timeout(signed long timeout)
{
	struct sleeper sleeper = { .task = current };
	unsigned long end;

	if (timeout == MAX_SCHEDULE_TIMEOUT) {
		schedule();
		return timeout;
	}
	if (timeout < 0)
		timeout = 0;
	emul_now();
	end = jiffies + timeout;
	timer_setup_on_stack(&sleeper.timer, wake_sleeper, 0);
	mod_timer(&sleeper.timer, end);
	schedule();
	timer_delete(&sleeper.timer);
	timeout = end - jiffies;
	return timeout < 0 ? 0 : timeout;
}

signed long __sched schedule_timeout_interruptible(signed long timeout)
{
	__set_current_state(TASK_INTERRUPTIBLE);
	return schedule_timeout(timeout);
}

signed long __sched schedule_timeout_killable(signed long timeout)
{
	__set_current_state(TASK_KILLABLE);
	return schedule_timeout(timeout);
}

signed long __sched schedule_timeout_uninterruptible(signed long timeout)
{
	__set_current_state(TASK_UNINTERRUPTIBLE);
	return schedule_timeout(timeout);
}

signed long __sched schedule_timeout_idle(signed long timeout)
{
	__set_current_state(TASK_IDLE);
	return schedule_timeout(timeout);
}

/* Rounding exists to let a processor sleep longer; the host sleeps whenever it can. */
unsigned long round_jiffies(unsigned long at)
{
	return at;
}

unsigned long round_jiffies_relative(unsigned long left)
{
	return left;
}

unsigned long round_jiffies_up(unsigned long at)
{
	return at;
}

unsigned long round_jiffies_up_relative(unsigned long left)
{
	return left;
}

unsigned long __round_jiffies(unsigned long at, int cpu)
{
	return at;
}

unsigned long __round_jiffies_relative(unsigned long left, int cpu)
{
	return left;
}

unsigned long __round_jiffies_up_relative(unsigned long left, int cpu)
{
	return left;
}
