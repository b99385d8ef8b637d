// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waits. Those that sleep use the precise timers: probes are full of sleeps of a millisecond, which jiffies would round up to
 * two. Those that spin look at the clock; where it stands still during a turn, as in a deterministic world, the wait is counted
 * as time that has passed.
 * Models of devices need no time to settle. The option "delays" says how much of each wait is really waited for, in percent; the
 * rest is counted as passed.
 */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/sched.h>
#include "emul.h"

/* Looks at a clock that does not move, after which it is taken to stand still. The host may cache it for some looks. */
#define STILL_LOOKS 64

/* So long may a task keep a turn: far less than a host would call a hang, and much more than what calls back costs. */
#define TURN_MICROS 5000
#define TURN_WAITS 16384
/* Waits, or what they take together, after which the clock is looked at. */
#define LOOK_WAITS 32
#define LOOK_MICROS 1000

static double waited_share = 1;
static double turn_start;
static bool turn_is_over;
static u32 turn_waits, sleepers;
static double waited_micros;

void emul_delay_init(void)
{
	const char *text = emul_option(EMUL_OPTION_DELAYS);
	unsigned int percent;

	if (!text)
		return;
	if (kstrtouint(text, 10, &percent) || percent > 100)
		emul_fail(AIRLOCK_FAIL_PROBE, "option %s: \"%s\" is no number of percent", EMUL_OPTION_DELAYS, text);
	waited_share = percent / 100.0;
}

/* What of a wait is to be waited for. */
static double shorten(double micros)
{
	double shorter = micros * waited_share;

	if (shorter < micros)
		emul_skip(micros - shorter);
	return shorter;
}

/*
 * All tasks wait until `next`, and some of them for hardware to settle: then the clock is set on. Not when they begin to sleep, so
 * that whatever happens in the meantime does so in its order; and the other side has its turn first, as it may have an interrupt.
 */
bool emul_shorten_sleeps(double now, double next, double *wait)
{
	static double offered, shortened;

	*wait = next - now;
	if (sleepers == 0 || waited_share == 1 || next == shortened)
		return false;
	if (next != offered) {
		offered = next;
		*wait = 0;
		return false;
	}
	shortened = next;
	emul_skip((next - now) * (1 - waited_share));
	return true;
}

void emul_turn_starts(void)
{
	emul_now();
	turn_start = airlock_now();
	turn_is_over = false;
	turn_waits = 0;
	waited_micros = 0;
}

bool emul_turn_is_over(void)
{
	return turn_is_over;
}

/*
 * A task that works for long lets the other side have its turn, as Linux would let other tasks. Where that must not be, as in
 * an interrupt or with a lock held, it goes on. Where the clock stands still during a turn, waits are counted instead.
 */
void emul_breathe(void)
{
	ktime_t none = 0;

	if (!emul_may_sleep() || READ_ONCE(current->__state) != TASK_RUNNING)
		return;
	if (airlock_now() - turn_start < TURN_MICROS && turn_waits < TURN_WAITS)
		return;
	turn_is_over = true;
	__set_current_state(TASK_UNINTERRUPTIBLE);
	schedule_hrtimeout_range(&none, 0, HRTIMER_MODE_REL);
}

/* The clock is not worth a look after each short wait. */
static void count_wait(double micros)
{
	waited_micros += micros;
	if (++turn_waits % LOOK_WAITS != 0 && waited_micros < LOOK_MICROS)
		return;
	waited_micros = 0;
	emul_breathe();
}

static void spin_really(double micros)
{
	double start = emul_now();
	double seen = start;
	int looks = 0;

	while (seen - start < micros) {
		double now = emul_now();

		if (now > seen) {
			seen = now;
			looks = 0;
		} else if (++looks == STILL_LOOKS) {
			emul_skip(micros - (seen - start));
			break;
		}
	}
}

static void spin(double micros)
{
	if (emul_dma_copies)
		emul_dma_push();
	micros = shorten(micros);
	if (micros > 0) {
		airlock_io_settle();
		spin_really(micros);
	}
	count_wait(micros);
	if (emul_dma_copies)
		emul_dma_pull();
}

void airlock_delay_nanos(unsigned long nanos)
{
	spin(nanos / 1000.0);
}

void airlock_delay_micros(unsigned long micros)
{
	spin(micros);
}

/* One pause of a busy wait: a microsecond. */
void airlock_relax(void)
{
	spin(1);
}

static void sleep_micros(u64 micros, unsigned int state)
{
	ktime_t expiry;

	if (!emul_may_sleep())
		emul_fail(AIRLOCK_FAIL_ATOMIC, "BUG: scheduling while atomic: a sleep of %llu us in %s", micros,
			  in_hardirq() ? "an interrupt handler" : "atomic context");
	expiry = micros * NSEC_PER_USEC;
	__set_current_state(state);
	sleepers++;
	schedule_hrtimeout_range(&expiry, 0, HRTIMER_MODE_REL);
	sleepers--;
}

void msleep(unsigned int millis)
{
	sleep_micros((u64)millis * USEC_PER_MSEC, TASK_UNINTERRUPTIBLE);
}

unsigned long msleep_interruptible(unsigned int millis)
{
	sleep_micros((u64)millis * USEC_PER_MSEC, TASK_INTERRUPTIBLE);
	return 0;
}

void usleep_range_state(unsigned long min, unsigned long max, unsigned int state)
{
	sleep_micros(min, state);
}

void calibrate_delay(void)
{
}
