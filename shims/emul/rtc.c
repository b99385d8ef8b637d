// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rtc class over Linux's, in the place of its character device: drivers/rtc has timers of the clock for many users, of which
 * the class is one. The class's alarm is daily, Linux's has a date, and clocks differ in how far in the future that may lie: it is
 * come to in steps. A clock that cannot interrupt is looked at once a second instead.
 */
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/rtc.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "contracts.h"
#include "emul.h"

/* Linux's header has them for drivers/rtc only. */
void rtc_dev_init(void);
void rtc_dev_prepare(struct rtc_device *rtc);

#define DAY_SECONDS (24 * 60 * 60)
/* What nearly every clock can be set to wake at: many know the time of day only. */
#define STEP_SECONDS (DAY_SECONDS / 2)
#define FIRST_TM_YEAR 1900
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

static struct rtc_device *clock;
static bool is_battery_checked;
static struct event alarm = { .id = AIRLOCK_RTC_EVENT_ALARM, .period = DAY_SECONDS };
static struct event update = { .id = AIRLOCK_RTC_EVENT_UPDATE, .period = 1 };
static struct airlock_rtc_set_alarm_args alarm_time;
static u32 ticks, ticks_per_event = 1;
/* One thing after the other is done with the clock, by requests and by its own interrupts. */
static DEFINE_MUTEX(lock);

static void look(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look);

static void check(int error, const char *what)
{
	if (error)
		emul_fail(AIRLOCK_FAIL_PROBE, "the clock's driver does not %s: error %d", what, -error);
}

static time64_t read_seconds(void)
{
	struct rtc_time time;

	check(rtc_read_time(clock, &time), "read the time");
	return rtc_tm_to_time64(&time);
}

static void look_soon(struct rtc_device *rtc)
{
	mod_delayed_work(system_wq, &look_work, 0);
}

static bool can_interrupt(void)
{
	return clock->ops->set_alarm && test_bit(RTC_FEATURE_ALARM, clock->features);
}

static void arm(struct event *event, time64_t now)
{
	time64_t next = min_t(time64_t, event->next, now + STEP_SECONDS);

	if (!can_interrupt() || rtc_timer_start(clock, &event->timer, ktime_set(next, 0), 0) != 0)
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
	time64_t now;

	mutex_lock(&lock);
	if (clock->ops && (alarm.is_on || update.is_on)) {
		now = read_seconds();
		look_for(&alarm, now);
		look_for(&update, now);
	}
	mutex_unlock(&lock);
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
		rtc_timer_cancel(clock, &event->timer);
	event->is_on = false;
}

static void set_alarm(void)
{
	time64_t now = read_seconds();
	s32 second_of_day;
	time64_t next;

	div_s64_rem(now, DAY_SECONDS, &second_of_day);
	next = now - second_of_day + alarm_time.hour * 3600 + alarm_time.minute * 60 + alarm_time.second;
	switch_on(&alarm, now, next > now ? next : next + DAY_SECONDS);
}

static void set_updates(bool on)
{
	time64_t now;

	if (!on)
		return switch_off(&update);
	now = read_seconds();
	switch_on(&update, now, now + 1);
}

static void read_time(u32 tag)
{
	struct airlock_rtc_read_time_reply reply;
	struct rtc_time time;

	check(rtc_read_time(clock, &time), "read the time");
	reply.year = time.tm_year + FIRST_TM_YEAR;
	reply.month = time.tm_mon + 1;
	reply.day = time.tm_mday;
	reply.hour = time.tm_hour;
	reply.minute = time.tm_min;
	reply.second = time.tm_sec;
	emul_reply(AIRLOCK_RTC_READ_TIME, tag, &reply, sizeof(reply));
}

static void set_time(const struct airlock_rtc_set_time_args *wanted)
{
	struct rtc_time time = {
		.tm_year = wanted->year - FIRST_TM_YEAR, .tm_mon = wanted->month - 1, .tm_mday = wanted->day,
		.tm_hour = wanted->hour, .tm_min = wanted->minute, .tm_sec = wanted->second,
	};
	int error;

	/* Drivers are given the day of the week as well. */
	rtc_time64_to_tm(rtc_tm_to_time64(&time), &time);
	error = rtc_set_time(clock, &time);
	if (error == -ERANGE)
		pr_err("the clock cannot hold the year %u: it was not set\n", wanted->year);
	else
		check(error, "set the time");
	/* Both were set for times that the clock has left, or never comes to. */
	if (alarm.is_on)
		set_alarm();
	if (update.is_on)
		set_updates(true);
}

static void tell_ticks(void)
{
	struct airlock_rtc_periodic_event event = { .count = ticks };

	if (ticks > 0)
		emul_event(AIRLOCK_RTC_EVENT_PERIODIC, &event, sizeof(event));
	ticks = 0;
}

static void set_periodic(u32 rate)
{
	rtc_irq_set_state(clock, 0);
	tell_ticks();
	if (rate == 0)
		return;
	ticks_per_event = max(1u, rate / MOST_EVENTS_HZ);
	check(rtc_irq_set_freq(clock, rate), "tick at that rate");
	check(rtc_irq_set_state(clock, 1), "tick");
}

/* What readers of the character device would be woken for; alarms and updates come another way. */
static int woken(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	unsigned long data = clock->irq_data;

	clock->irq_data = 0;
	if (data & RTC_PF)
		ticks += data >> 8;
	if (ticks >= ticks_per_event)
		tell_ticks();
	return 0;
}

static void check_battery(void)
{
	unsigned int found = 0;

	if (is_battery_checked)
		return;
	is_battery_checked = true;
	if (clock->ops->ioctl && clock->ops->ioctl(clock->dev.parent, RTC_VL_READ, (unsigned long)&found) == 0 &&
	    found & (RTC_VL_DATA_INVALID | RTC_VL_BACKUP_LOW | RTC_VL_BACKUP_EMPTY))
		emul_event(AIRLOCK_RTC_EVENT_BATTERY_LOW, NULL, 0);
}

static const u32 sizes[] = {
	[AIRLOCK_RTC_READ_TIME] = AIRLOCK_RTC_READ_TIME_ARGS_BYTES,
	[AIRLOCK_RTC_SET_TIME] = AIRLOCK_RTC_SET_TIME_ARGS_BYTES,
	[AIRLOCK_RTC_SET_ALARM] = AIRLOCK_RTC_SET_ALARM_ARGS_BYTES,
	[AIRLOCK_RTC_CLEAR_ALARM] = AIRLOCK_RTC_CLEAR_ALARM_ARGS_BYTES,
	[AIRLOCK_RTC_SET_PERIODIC] = AIRLOCK_RTC_SET_PERIODIC_ARGS_BYTES,
	[AIRLOCK_RTC_SET_UPDATE_EVENTS] = AIRLOCK_RTC_SET_UPDATE_EVENTS_ARGS_BYTES,
};

static void request(u16 operation, u32 tag, const u8 *payload, u32 bytes)
{
	if (operation >= ARRAY_SIZE(sizes) || bytes != sizes[operation])
		emul_bad_request("no operation of class rtc");
	if (!clock || !clock->ops)
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver has taken its clock away");
	mutex_lock(&lock);
	check_battery();
	switch (operation) {
	case AIRLOCK_RTC_READ_TIME:
		read_time(tag);
		break;
	case AIRLOCK_RTC_SET_TIME:
		set_time((const void *)payload);
		break;
	case AIRLOCK_RTC_SET_ALARM:
		memcpy(&alarm_time, payload, sizeof(alarm_time));
		set_alarm();
		break;
	case AIRLOCK_RTC_CLEAR_ALARM:
		switch_off(&alarm);
		break;
	case AIRLOCK_RTC_SET_PERIODIC:
		set_periodic(((const struct airlock_rtc_set_periodic_args *)payload)->rate_hz);
		break;
	case AIRLOCK_RTC_SET_UPDATE_EVENTS:
		set_updates(((const struct airlock_rtc_set_update_events_args *)payload)->on);
		break;
	}
	if (operation != AIRLOCK_RTC_READ_TIME)
		emul_reply(operation, tag, NULL, 0);
	mutex_unlock(&lock);
}

static bool is_ready(void)
{
	return clock != NULL;
}

/* A clock is being registered: it will have operations when this is over. */
void rtc_dev_prepare(struct rtc_device *rtc)
{
	static wait_queue_entry_t listener;

	if (clock) {
		dev_warn(&rtc->dev, "a second clock, which the class does not use\n");
		return;
	}
	clock = rtc;
	get_device(&rtc->dev);
	rtc_timer_init(&alarm.timer, look_soon, rtc);
	rtc_timer_init(&update.timer, look_soon, rtc);
	init_waitqueue_func_entry(&listener, woken);
	add_wait_queue(&rtc->irq_queue, &listener);
}

void rtc_dev_init(void)
{
}

static const struct emul_class class = { .name = "rtc", .is_ready = is_ready, .request = request };

/* The last of the classes: many cards have a clock beside what they are. */
static int __init rtc_class_start(void)
{
	emul_set_class(&class);
	return 0;
}
late_initcall(rtc_class_start);
