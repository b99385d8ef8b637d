// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watchdog class, in the place of Linux's character devices for watchdogs. Linux's pings by itself while nobody has the device
 * open, or where a device counts less than was asked for; here nobody pings but the client, and no more is promised than what the
 * device counts. Linux's timeouts are whole seconds: they are rounded up.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/watchdog.h>
#include "contracts.h"
#include "emul.h"

/* Linux's header has them for drivers/watchdog only. */
int watchdog_dev_register(struct watchdog_device *wdd);
void watchdog_dev_unregister(struct watchdog_device *wdd);
int watchdog_dev_init(void);
void watchdog_dev_exit(void);
int watchdog_dev_suspend(struct watchdog_device *wdd);
int watchdog_dev_resume(struct watchdog_device *wdd);

static struct watchdog_device *watchdog;
static ktime_t last_ping;
/* That it cannot be stopped was the client's wish, and not a setting of the module. */
static bool is_locked_here;

static void check(int error, const char *what)
{
	if (error)
		emul_fail(AIRLOCK_FAIL_PROBE, "the watchdog's driver does not %s: error %d", what, -error);
}

static bool is_running(void)
{
	return watchdog_active(watchdog) || watchdog_hw_running(watchdog);
}

static bool can_set_timeout(void)
{
	return watchdog->info->options & WDIOF_SETTIMEOUT;
}

/* Limits in seconds, and never a device that cannot be given any. */
static u32 least_timeout(void)
{
	return can_set_timeout() ? max(1u, watchdog->min_timeout) : watchdog->timeout;
}

static u32 most_timeout(void)
{
	u32 most = AIRLOCK_WATCHDOG_MAX_TIMEOUT_MS / MSEC_PER_SEC;

	if (!can_set_timeout())
		return watchdog->timeout;
	if (watchdog->max_hw_heartbeat_ms)
		most = DIV_ROUND_UP(watchdog->max_hw_heartbeat_ms, MSEC_PER_SEC);
	else if (watchdog->max_timeout)
		most = watchdog->max_timeout;
	return max(most, least_timeout());
}

/* What the device counts, which may be less than the seconds that Linux has for it. */
static u32 counted_ms(u32 seconds)
{
	u32 most = watchdog->max_hw_heartbeat_ms;
	u32 ms = min_t(u64, (u64)seconds * MSEC_PER_SEC, U32_MAX);

	return most && ms > most ? most : ms;
}

static void identify(u32 tag)
{
	struct airlock_watchdog_identify_reply reply = {
		.min_timeout_ms = max(1u, counted_ms(least_timeout())),
		.max_timeout_ms = max(1u, counted_ms(most_timeout())),
		.can_stop = watchdog->ops->stop && !test_bit(WDOG_NO_WAY_OUT, &watchdog->status),
		.has_pretimeout = watchdog->info->options & WDIOF_PRETIMEOUT && watchdog->ops->set_pretimeout,
		.tells_time_left = watchdog->ops->get_timeleft != NULL,
		.has_expired = (watchdog->bootstatus & WDIOF_CARDRESET) != 0,
		.is_running = is_running(),
	};

	emul_reply(AIRLOCK_WATCHDOG_IDENTIFY, tag, &reply, sizeof(reply));
}

static void set_timeout(u32 ms)
{
	u32 seconds = clamp_t(u32, DIV_ROUND_UP(ms, MSEC_PER_SEC), least_timeout(), most_timeout());

	if (!can_set_timeout())
		return;
	if (watchdog->ops->set_timeout)
		check(watchdog->ops->set_timeout(watchdog, seconds), "set the timeout");
	else
		watchdog->timeout = seconds;
	if (watchdog->pretimeout >= watchdog->timeout)
		watchdog->pretimeout = 0;
}

static void set_pretimeout(u32 ms)
{
	u32 seconds = DIV_ROUND_UP(ms, MSEC_PER_SEC);

	if (seconds >= watchdog->timeout)
		seconds = watchdog->timeout - 1;
	if (watchdog->info->options & WDIOF_PRETIMEOUT && watchdog->ops->set_pretimeout)
		check(watchdog->ops->set_pretimeout(watchdog, seconds), "set the pretimeout");
}

/* Some devices take pings that come too soon for a mistake, and run out. */
static void keep_apart(void)
{
	s64 since = ktime_ms_delta(ktime_get(), last_ping);

	if (last_ping && since < watchdog->min_hw_heartbeat_ms)
		msleep(watchdog->min_hw_heartbeat_ms - since);
	last_ping = ktime_get();
}

static void start(void)
{
	keep_apart();
	check(watchdog->ops->start(watchdog), "start");
}

static void reload(void)
{
	if (!watchdog->ops->ping)
		return start();
	keep_apart();
	check(watchdog->ops->ping(watchdog), "ping");
}

static void stop(void)
{
	if (test_bit(WDOG_NO_WAY_OUT, &watchdog->status))
		return;
	if (!watchdog->ops->stop) {
		if (watchdog_active(watchdog))
			set_bit(WDOG_HW_RUNNING, &watchdog->status);
	} else {
		clear_bit(WDOG_HW_RUNNING, &watchdog->status);
		check(watchdog->ops->stop(watchdog), "stop");
	}
	clear_bit(WDOG_ACTIVE, &watchdog->status);
}

static void configure(u32 tag, const struct airlock_watchdog_configure_args *wanted)
{
	struct airlock_watchdog_configure_reply reply;

	if (wanted->running) {
		set_timeout(wanted->timeout_ms);
		set_pretimeout(wanted->pretimeout_ms);
		/* That it cannot be stopped is told to the device when it starts. */
		if (wanted->no_way_out && !test_and_set_bit(WDOG_NO_WAY_OUT, &watchdog->status))
			is_locked_here = true;
		/* Also one that was started before: it may have run out since, and stopped by itself. */
		if (watchdog_hw_running(watchdog) && !watchdog_active(watchdog))
			reload();
		else
			start();
		set_bit(WDOG_ACTIVE, &watchdog->status);
	} else {
		/* Asked for only when it has run out: then the way out is there again. */
		if (is_locked_here)
			clear_bit(WDOG_NO_WAY_OUT, &watchdog->status);
		is_locked_here = false;
		stop();
	}
	reply.timeout_ms = max(1u, counted_ms(watchdog->timeout));
	reply.is_running = is_running();
	emul_reply(AIRLOCK_WATCHDOG_CONFIGURE, tag, &reply, sizeof(reply));
}

static void ping(u32 tag, const struct airlock_watchdog_ping_args *wanted)
{
	if (is_running()) {
		if (DIV_ROUND_UP(wanted->timeout_ms, MSEC_PER_SEC) != watchdog->timeout)
			set_timeout(wanted->timeout_ms);
		reload();
	}
	emul_reply(AIRLOCK_WATCHDOG_PING, tag, NULL, 0);
}

static void time_left(u32 tag)
{
	struct airlock_watchdog_time_left_reply reply = { 0 };

	if (watchdog->ops->get_timeleft && is_running())
		reply.left_ms = counted_ms(watchdog->ops->get_timeleft(watchdog));
	emul_reply(AIRLOCK_WATCHDOG_TIME_LEFT, tag, &reply, sizeof(reply));
}

static const u32 sizes[] = {
	[AIRLOCK_WATCHDOG_IDENTIFY] = AIRLOCK_WATCHDOG_IDENTIFY_ARGS_BYTES,
	[AIRLOCK_WATCHDOG_CONFIGURE] = AIRLOCK_WATCHDOG_CONFIGURE_ARGS_BYTES,
	[AIRLOCK_WATCHDOG_PING] = AIRLOCK_WATCHDOG_PING_ARGS_BYTES,
	[AIRLOCK_WATCHDOG_TIME_LEFT] = AIRLOCK_WATCHDOG_TIME_LEFT_ARGS_BYTES,
};

static void request(u16 operation, u32 tag, const u8 *payload, u32 bytes)
{
	if (operation >= ARRAY_SIZE(sizes) || bytes != sizes[operation])
		emul_bad_request("no operation of class watchdog");
	if (!watchdog)
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver has taken its watchdog away");
	switch (operation) {
	case AIRLOCK_WATCHDOG_IDENTIFY:
		return identify(tag);
	case AIRLOCK_WATCHDOG_CONFIGURE:
		return configure(tag, (const void *)payload);
	case AIRLOCK_WATCHDOG_PING:
		return ping(tag, (const void *)payload);
	case AIRLOCK_WATCHDOG_TIME_LEFT:
		return time_left(tag);
	}
}

static bool is_ready(void)
{
	return watchdog != NULL;
}

int watchdog_dev_register(struct watchdog_device *wdd)
{
	if (watchdog) {
		pr_warn("a second watchdog, which the class does not use\n");
		return 0;
	}
	watchdog = wdd;
	is_locked_here = false;
	return 0;
}

void watchdog_dev_unregister(struct watchdog_device *wdd)
{
	if (wdd != watchdog)
		return;
	if (watchdog_active(wdd) && test_bit(WDOG_STOP_ON_UNREGISTER, &wdd->status))
		stop();
	watchdog = NULL;
}

/* Called by drivers whose device was found running: how long ago it was pinged. */
int watchdog_set_last_hw_keepalive(struct watchdog_device *wdd, unsigned int ago_ms)
{
	last_ping = ktime_sub_ms(ktime_get(), ago_ms);
	return 0;
}

void watchdog_notify_pretimeout(struct watchdog_device *wdd)
{
	if (wdd == watchdog)
		emul_event(AIRLOCK_WATCHDOG_EVENT_PRETIMEOUT, NULL, 0);
}

int watchdog_dev_suspend(struct watchdog_device *wdd)
{
	return 0;
}

int watchdog_dev_resume(struct watchdog_device *wdd)
{
	return 0;
}

int watchdog_dev_init(void)
{
	return 0;
}

void watchdog_dev_exit(void)
{
}

static const struct emul_class class = { .name = "watchdog", .is_ready = is_ready, .request = request };

/* Behind the network's: some cards have a watchdog of their own. */
static int __init watchdog_class_start(void)
{
	emul_set_class(&class);
	return 0;
}
device_initcall(watchdog_class_start);
