// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rtc class over Linux's, in the place of its character device: the same calls into drivers/rtc/interface.c, for one user who
 * is always there. What the clock tells by itself is in rtc-events.c.
 */
#include <linux/mutex.h>
#include <linux/rtc.h>
#include "rtc.h"

/* Linux's header has them for drivers/rtc only. */
void rtc_dev_init(void);
void rtc_dev_prepare(struct rtc_device *rtc);

#define FIRST_TM_YEAR 1900

struct rtc_device *emul_rtc;
DEFINE_MUTEX(emul_rtc_lock);
static bool is_battery_checked;

void emul_rtc_check(int error, const char *what)
{
	if (error)
		emul_fail(AIRLOCK_FAIL_PROBE, "the clock's driver does not %s: error %d", what, -error);
}

static void read(struct rtc_time *time)
{
	emul_rtc_check(rtc_read_time(emul_rtc, time), "read the time");
}

time64_t emul_rtc_read(void)
{
	struct rtc_time time;

	read(&time);
	return rtc_tm_to_time64(&time);
}

static void read_time(u32 tag)
{
	struct airlock_rtc_read_time_reply reply;
	struct rtc_time time;

	read(&time);
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
	error = rtc_set_time(emul_rtc, &time);
	/* No fault of the driver's, so that a restart would not help. */
	if (error == -ERANGE)
		pr_err("the clock cannot hold the year %u: it was not set\n", wanted->year);
	else
		emul_rtc_check(error, "set the time");
	emul_rtc_was_set();
}

static void check_battery(void)
{
	unsigned int found = 0;

	if (is_battery_checked)
		return;
	is_battery_checked = true;
	if (emul_rtc->ops->ioctl && emul_rtc->ops->ioctl(emul_rtc->dev.parent, RTC_VL_READ, (unsigned long)&found) == 0 &&
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

/* What is answered with nothing. */
static void perform(u16 operation, const u8 *payload)
{
	switch (operation) {
	case AIRLOCK_RTC_SET_TIME:
		set_time((const void *)payload);
		break;
	case AIRLOCK_RTC_SET_ALARM:
		emul_rtc_set_alarm((const void *)payload);
		break;
	case AIRLOCK_RTC_CLEAR_ALARM:
		emul_rtc_clear_alarm();
		break;
	case AIRLOCK_RTC_SET_PERIODIC:
		emul_rtc_set_periodic(((const struct airlock_rtc_set_periodic_args *)payload)->rate_hz);
		break;
	case AIRLOCK_RTC_SET_UPDATE_EVENTS:
		emul_rtc_set_updates(((const struct airlock_rtc_set_update_events_args *)payload)->on);
		break;
	}
}

static void request(u16 operation, u32 tag, const u8 *payload, u32 bytes)
{
	if (operation >= ARRAY_SIZE(sizes) || bytes != sizes[operation])
		emul_bad_request("no operation of class rtc");
	if (!emul_rtc || !emul_rtc->ops)
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver has taken its clock away");
	mutex_lock(&emul_rtc_lock);
	check_battery();
	if (operation == AIRLOCK_RTC_READ_TIME) {
		read_time(tag);
	} else {
		perform(operation, payload);
		emul_reply(operation, tag, NULL, 0);
	}
	mutex_unlock(&emul_rtc_lock);
}

static bool is_ready(void)
{
	return emul_rtc && emul_rtc->ops;
}

/* A clock is being registered: Linux would prepare its character device. */
void rtc_dev_prepare(struct rtc_device *rtc)
{
	if (is_ready()) {
		dev_warn(&rtc->dev, "a second clock, which the class does not use\n");
		return;
	}
	/* One that the driver took away was kept until here: its timers may have been on their way. */
	if (emul_rtc) {
		emul_rtc_events_end();
		put_device(&emul_rtc->dev);
	}
	emul_rtc = rtc;
	get_device(&rtc->dev);
	is_battery_checked = false;
	emul_rtc_events_begin();
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
