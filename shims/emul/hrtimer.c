// SPDX-License-Identifier: GPL-2.0-only
/* Precise timers: Linux's timer queue over the machine's clock, in microseconds. All clocks but the calendar's are one. */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/timekeeping.h>
#include <linux/timerqueue.h>
#include "emul.h"

/* What drivers look at of a timer's base: its clock. */
static struct hrtimer_clock_base monotonic = { .get_time = ktime_get };
static struct hrtimer_clock_base realtime = { .get_time = ktime_get_real };
static struct timerqueue_head queue = { .rb_root = RB_ROOT_CACHED };
static struct hrtimer *running;

unsigned int hrtimer_resolution = NSEC_PER_USEC;

void hrtimer_init(struct hrtimer *timer, clockid_t clock, enum hrtimer_mode mode)
{
	memset(timer, 0, sizeof(*timer));
	timer->base = clock == CLOCK_REALTIME ? &realtime : &monotonic;
	timerqueue_init(&timer->node);
}

ktime_t ktime_add_safe(const ktime_t one, const ktime_t other)
{
	ktime_t sum;

	return check_add_overflow(one, other, &sum) || sum < 0 ? KTIME_MAX : sum;
}

static bool detach(struct hrtimer *timer)
{
	if (timer->state != HRTIMER_STATE_ENQUEUED)
		return false;
	timerqueue_del(&queue, &timer->node);
	timer->state = HRTIMER_STATE_INACTIVE;
	return true;
}

static ktime_t base_offset(const struct hrtimer *timer)
{
	return timer->base == &realtime ? ktime_mono_to_real(0) : 0;
}

void hrtimer_start_range_ns(struct hrtimer *timer, ktime_t time, u64 range, const enum hrtimer_mode mode)
{
	detach(timer);
	if (mode & HRTIMER_MODE_REL)
		time = ktime_add_safe(time, timer->base->get_time());
	timer->_softexpires = time;
	timer->node.expires = time;
	timer->state = HRTIMER_STATE_ENQUEUED;
	timerqueue_add(&queue, &timer->node);
}

int hrtimer_try_to_cancel(struct hrtimer *timer)
{
	if (running == timer)
		return -1;
	return detach(timer);
}

int hrtimer_cancel(struct hrtimer *timer)
{
	return detach(timer);
}

ktime_t __hrtimer_get_remaining(const struct hrtimer *timer, bool adjust)
{
	return ktime_sub(timer->node.expires, timer->base->get_time());
}

bool hrtimer_active(const struct hrtimer *timer)
{
	return timer->state != HRTIMER_STATE_INACTIVE || running == timer;
}

u64 hrtimer_forward(struct hrtimer *timer, ktime_t now, ktime_t interval)
{
	ktime_t late = ktime_sub(now, hrtimer_get_expires(timer));
	u64 periods;

	if (late < 0)
		return 0;
	if (interval < hrtimer_resolution)
		interval = hrtimer_resolution;
	periods = late / interval + 1;
	hrtimer_add_expires_ns(timer, periods * interval);
	return periods;
}

double emul_hrtimers_next(void)
{
	struct timerqueue_node *first = timerqueue_getnext(&queue);

	if (!first)
		return __builtin_inf();
	return (double)(first->expires - base_offset(container_of(first, struct hrtimer, node))) / NSEC_PER_USEC;
}

void emul_hrtimers_run(double now)
{
	struct timerqueue_node *first;

	while ((first = timerqueue_getnext(&queue)) != NULL) {
		struct hrtimer *timer = container_of(first, struct hrtimer, node);
		enum hrtimer_restart again;

		if ((double)(first->expires - base_offset(timer)) > now * NSEC_PER_USEC)
			return;
		detach(timer);
		running = timer;
		again = timer->function(timer);
		running = NULL;
		if (again == HRTIMER_RESTART && timer->state == HRTIMER_STATE_INACTIVE) {
			timer->state = HRTIMER_STATE_ENQUEUED;
			timerqueue_add(&queue, &timer->node);
		}
	}
}

static enum hrtimer_restart wake_sleeper(struct hrtimer *timer)
{
	struct hrtimer_sleeper *sleeper = container_of(timer, struct hrtimer_sleeper, timer);
	struct task_struct *task = sleeper->task;

	sleeper->task = NULL;
	if (task)
		wake_up_process(task);
	return HRTIMER_NORESTART;
}

void hrtimer_init_sleeper(struct hrtimer_sleeper *sleeper, clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(&sleeper->timer, clock, mode);
	sleeper->timer.function = wake_sleeper;
	sleeper->task = current;
}

void hrtimer_sleeper_start_expires(struct hrtimer_sleeper *sleeper, enum hrtimer_mode mode)
{
	hrtimer_start_expires(&sleeper->timer, mode);
}

int __sched schedule_hrtimeout_range_clock(ktime_t *expires, u64 delta, const enum hrtimer_mode mode, clockid_t clock)
{
	struct hrtimer_sleeper sleeper;

	if (!expires) {
		schedule();
		return -EINTR;
	}
	hrtimer_init_sleeper(&sleeper, clock, mode);
	hrtimer_start_range_ns(&sleeper.timer, *expires, delta, mode);
	if (sleeper.task)
		schedule();
	hrtimer_cancel(&sleeper.timer);
	__set_current_state(TASK_RUNNING);
	return sleeper.task ? -EINTR : 0;
}

int __sched schedule_hrtimeout_range(ktime_t *expires, u64 delta, const enum hrtimer_mode mode)
{
	return schedule_hrtimeout_range_clock(expires, delta, mode, CLOCK_MONOTONIC);
}

int __sched schedule_hrtimeout(ktime_t *expires, const enum hrtimer_mode mode)
{
	return schedule_hrtimeout_range(expires, 0, mode);
}
