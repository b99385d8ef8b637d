// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a clock tells by itself: alarms, updates, ticks. drivers/rtc has timers of the clock for many users, of which the class is
 * one. The class's alarm is daily, Linux's has a date, and clocks differ in how far in the future that may lie: it is come to in
 * steps. A clock that cannot interrupt is looked at once a second instead. Ticks are Linux's own, from a precise timer.
 */
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "rtc.h"

#define DAY_SECONDS (24 * 60 * 60)
/* What nearly every clock can be set to wake at: many know the time of day only. */
#define STEP_SECONDS (DAY_SECONDS / 2)
/* Most events of ticks per second: faster ones are told together, as the contract asks. */
#define MOST_EVENTS_HZ 64

/* Something that happens at a time of the clock, and again after a period. */
struct event {
	struct rtc_timer timer;
	u16 id;
	u32 period;
	time64_t next;
	bool is_on;
};

static struct event alarm = { .id = AIRLOCK_RTC_EVENT_ALARM, .period = DAY_SECONDS };
static struct event update = { .id = AIRLOCK_RTC_EVENT_UPDATE, .period = 1 };
static struct airlock_rtc_set_alarm_args alarm_time;
static u32 ticks, ticks_per_event = 1;
static wait_queue_entry_t listener;

static void look(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look);

static void look_soon(struct rtc_device *rtc)
{
	mod_delayed_work(system_wq, &look_work, 0);
}

static bool can_interrupt(void)
{
	return emul_rtc->ops->set_alarm && test_bit(RTC_FEATURE_ALARM, emul_rtc->features);
}

static void arm(struct event *event, time64_t now)
{
	time64_t next = min_t(time64_t, event->next, now + STEP_SECONDS);

	if (!can_interrupt() || rtc_timer_start(emul_rtc, &event->timer, ktime_set(next, 0), 0) != 0)
		schedule_delayed_work(&look_work, HZ);
}

static void look_for(struct event *event, time64_t now)
{
	if (!event->is_on)
		return;
	if (event->next <= now) {
		emul_event(event->id, NULL, 0);
		while (event->next <= now)
			event->next += event->period;
	}
	arm(event, now);
}

static void look(struct work_struct *work)
{
	mutex_lock(&emul_rtc_lock);
	if (emul_rtc->ops && (alarm.is_on || update.is_on)) {
		time64_t now = emul_rtc_read();

		look_for(&alarm, now);
		look_for(&update, now);
	}
	mutex_unlock(&emul_rtc_lock);
}

static void switch_on(struct event *event, time64_t now, time64_t next)
{
	event->is_on = true;
	event->next = next;
	arm(event, now);
}

static void switch_off(struct event *event)
{
	if (event->is_on)
		rtc_timer_cancel(emul_rtc, &event->timer);
	event->is_on = false;
}

static void switch_on_alarm(void)
{
	time64_t now = emul_rtc_read();
	s32 second_of_day;
	time64_t next;

	div_s64_rem(now, DAY_SECONDS, &second_of_day);
	next = now - second_of_day + alarm_time.hour * 3600 + alarm_time.minute * 60 + alarm_time.second;
	switch_on(&alarm, now, next > now ? next : next + DAY_SECONDS);
}

void emul_rtc_set_alarm(const struct airlock_rtc_set_alarm_args *time)
{
	alarm_time = *time;
	switch_on_alarm();
}

void emul_rtc_clear_alarm(void)
{
	switch_off(&alarm);
}

void emul_rtc_set_updates(bool on)
{
	time64_t now;

	if (!on)
		return switch_off(&update);
	now = emul_rtc_read();
	switch_on(&update, now, now + 1);
}

void emul_rtc_was_set(void)
{
	if (alarm.is_on)
		switch_on_alarm();
	if (update.is_on)
		emul_rtc_set_updates(true);
}

static void tell_ticks(void)
{
	struct airlock_rtc_periodic_event event = { .count = ticks };

	if (ticks > 0)
		emul_event(AIRLOCK_RTC_EVENT_PERIODIC, &event, sizeof(event));
	ticks = 0;
}

void emul_rtc_set_periodic(u32 rate)
{
	rtc_irq_set_state(emul_rtc, 0);
	tell_ticks();
	if (rate == 0)
		return;
	ticks_per_event = max(1u, rate / MOST_EVENTS_HZ);
	emul_rtc_check(rtc_irq_set_freq(emul_rtc, rate), "tick at that rate");
	emul_rtc_check(rtc_irq_set_state(emul_rtc, 1), "tick");
}

/* What readers of the character device would be woken for; alarms and updates come another way. */
static int woken(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	unsigned long data = emul_rtc->irq_data;

	emul_rtc->irq_data = 0;
	if (data & RTC_PF)
		ticks += data >> 8;
	if (ticks >= ticks_per_event)
		tell_ticks();
	return 0;
}

void emul_rtc_events_begin(void)
{
	rtc_timer_init(&alarm.timer, look_soon, emul_rtc);
	rtc_timer_init(&update.timer, look_soon, emul_rtc);
	init_waitqueue_func_entry(&listener, woken);
	add_wait_queue(&emul_rtc->irq_queue, &listener);
}

void emul_rtc_events_end(void)
{
	remove_wait_queue(&emul_rtc->irq_queue, &listener);
	alarm.is_on = update.is_on = false;
	ticks = 0;
}
