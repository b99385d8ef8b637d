// SPDX-License-Identifier: GPL-2.0-only
/*
 * printk: a line goes out when it is complete, with the level that Linux gave it mapped to the four of Airlock. There is no ring
 * buffer and no console; the host bounds how much a driver may log.
 */
#include <linux/console.h>
#include <linux/printk.h>
#include <linux/kernel.h>
#include <linux/dev_printk.h>
#include <linux/device.h>
#include <linux/ratelimit.h>
#include "emul.h"

#define LINE_BYTES 512

static char line[LINE_BYTES];
static int used;
static int line_level;

/* What Linux's defconfig has. */
int console_printk[4] = { CONSOLE_LOGLEVEL_DEFAULT, MESSAGE_LOGLEVEL_DEFAULT, CONSOLE_LOGLEVEL_MIN, CONSOLE_LOGLEVEL_DEFAULT };
int printk_delay_msec;
int dmesg_restrict;
int suppress_printk;

/* Linux's own part starts: what it has to say is of no interest to those who started a driver. */
bool emul_quiet;

static u32 airlock_level(int level)
{
	if (emul_quiet && level >= 5)
		return AIRLOCK_LOG_DEBUG;
	if (level <= 3)
		return AIRLOCK_LOG_ERROR;
	if (level == 4)
		return AIRLOCK_LOG_WARN;
	return level == 7 ? AIRLOCK_LOG_DEBUG : AIRLOCK_LOG_INFO;
}

static void send_line(void)
{
	if (used > 0)
		airlock_log(airlock_level(line_level), line, used);
	used = 0;
}

int vprintk_emit(int facility, int level, const struct dev_printk_info *info, const char *format, va_list args)
{
	static char text[LINE_BYTES];
	int length = vscnprintf(text, sizeof(text), format, args);
	const char *at = text;
	bool continues = false;

	while (at[0] == KERN_SOH_ASCII && at[1]) {
		if (at[1] >= '0' && at[1] <= '7' && level == LOGLEVEL_DEFAULT)
			level = at[1] - '0';
		else if (at[1] == 'c')
			continues = true;
		at += 2;
	}
	if (!continues) {
		send_line();
		line_level = level == LOGLEVEL_DEFAULT ? MESSAGE_LOGLEVEL_DEFAULT : level;
	}
	for (; *at; at++) {
		if (*at == '\n' || used == LINE_BYTES)
			send_line();
		if (*at != '\n')
			line[used++] = *at;
	}
	/* A line without its end waits for a continuation, as in Linux, but not longer than this call when it is a whole one. */
	if (length > 0 && text[length - 1] != '\n' && !continues && level >= 0 && level <= 4)
		send_line();
	return length;
}

int vprintk(const char *format, va_list args)
{
	return vprintk_emit(0, LOGLEVEL_DEFAULT, NULL, format, args);
}

int vprintk_default(const char *format, va_list args)
{
	return vprintk(format, args);
}

int _printk(const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vprintk(format, args);
	va_end(args);
	return length;
}

int _printk_deferred(const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vprintk(format, args);
	va_end(args);
	return length;
}

bool printk_timed_ratelimit(unsigned long *last, unsigned int interval_ms)
{
	unsigned long now = jiffies;

	if (*last && now - *last <= msecs_to_jiffies(interval_ms))
		return false;
	*last = now;
	return true;
}

DEFINE_RATELIMIT_STATE(printk_ratelimit_state, 5 * HZ, 10);

int __printk_ratelimit(const char *function)
{
	return ___ratelimit(&printk_ratelimit_state, function);
}
