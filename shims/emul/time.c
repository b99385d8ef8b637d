// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clocks. There is no tick: jiffies follow the machine's clock whenever somebody may look, which is at the start of a turn, in
 * every wait, and once in a while during register accesses, so that loops with a deadline in jiffies end.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched/clock.h>
#include <linux/timekeeping.h>
#include <linux/time64.h>
#include "emul.h"

#define MICROS_PER_JIFFY (USEC_PER_SEC / HZ)
/* The calendar is not known here; drivers that want it get the time since this day: 2024-01-01, in seconds. */
#define WALL_START 1704067200ll

u64 jiffies_64 = INITIAL_JIFFIES;
unsigned long volatile jiffies = INITIAL_JIFFIES;
unsigned long loops_per_jiffy = 4096;
unsigned long lpj_fine;
unsigned long preset_lpj;

static double last_micros;
static double skipped_micros;

static void set_time(double micros)
{
	last_micros = micros;
	jiffies_64 = INITIAL_JIFFIES + (u64)micros / MICROS_PER_JIFFY;
	jiffies = (unsigned long)jiffies_64;
}

double emul_now(void)
{
	double now = airlock_now() + skipped_micros;

	set_time(now > last_micros ? now : last_micros);
	return last_micros;
}

void emul_skip(double micros)
{
	skipped_micros += micros;
	set_time(last_micros + micros);
}

double emul_skipped(void)
{
	return skipped_micros;
}

u64 get_jiffies_64(void)
{
	return jiffies_64;
}

static ktime_t now_nanos(void)
{
	return (ktime_t)(emul_now() * NSEC_PER_USEC);
}

ktime_t ktime_get(void)
{
	return now_nanos();
}

u64 ktime_get_mono_fast_ns(void)
{
	return now_nanos();
}

u64 ktime_get_raw_fast_ns(void)
{
	return now_nanos();
}

u64 ktime_get_boot_fast_ns(void)
{
	return now_nanos();
}

u64 ktime_get_real_fast_ns(void)
{
	return now_nanos() + WALL_START * NSEC_PER_SEC;
}

ktime_t ktime_get_raw(void)
{
	return now_nanos();
}

u32 ktime_get_resolution_ns(void)
{
	return NSEC_PER_USEC;
}

ktime_t ktime_get_with_offset(enum tk_offsets offset)
{
	return offset == TK_OFFS_BOOT ? now_nanos() : now_nanos() + WALL_START * NSEC_PER_SEC;
}

ktime_t ktime_get_coarse_with_offset(enum tk_offsets offset)
{
	return ktime_get_with_offset(offset);
}

ktime_t ktime_mono_to_any(ktime_t time, enum tk_offsets offset)
{
	return offset == TK_OFFS_BOOT ? time : time + WALL_START * NSEC_PER_SEC;
}

time64_t ktime_get_seconds(void)
{
	return div_s64(now_nanos(), NSEC_PER_SEC);
}

time64_t ktime_get_real_seconds(void)
{
	return ktime_get_seconds() + WALL_START;
}

time64_t __ktime_get_real_seconds(void)
{
	return ktime_get_real_seconds();
}

void ktime_get_ts64(struct timespec64 *time)
{
	*time = ns_to_timespec64(now_nanos());
}

void ktime_get_raw_ts64(struct timespec64 *time)
{
	ktime_get_ts64(time);
}

void ktime_get_coarse_ts64(struct timespec64 *time)
{
	ktime_get_ts64(time);
}

void ktime_get_real_ts64(struct timespec64 *time)
{
	*time = ns_to_timespec64(now_nanos());
	time->tv_sec += WALL_START;
}

void ktime_get_coarse_real_ts64(struct timespec64 *time)
{
	ktime_get_real_ts64(time);
}

void ktime_get_snapshot(struct system_time_snapshot *snapshot)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->raw = now_nanos();
	snapshot->real = snapshot->raw + WALL_START * NSEC_PER_SEC;
	snapshot->cycles = snapshot->raw;
}

unsigned long long sched_clock(void)
{
	return now_nanos();
}

/* Nobody here may set the machine's clock. */
int do_settimeofday64(const struct timespec64 *time)
{
	return -EPERM;
}
