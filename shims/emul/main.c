// SPDX-License-Identifier: GPL-2.0-only
/*
 * The turn: what the trusted side calls with records in the inbox. Interrupts, timers and queues run at once, as in Linux's
 * interrupts; operations and what may sleep get a task. The turn is over when every task waits.
 */
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include "emul.h"

/* What a setup may take: 16 windows, 64 lines and as many options as a manifest may have fit. */
#define SETUP_BYTES 16384
/* One timer of the machine stands for all of Linux's. */
#define TIMER_TAG 1
/* Rounds of timers that fall due while others ran; then the machine has its turn. */
#define ROUNDS_MOST 32

struct emul_machine emul_machine;

static u8 setup[SETUP_BYTES] __aligned(8);
/* When the machine's timer comes, by the machine's clock. */
static double armed = __builtin_inf();

static int find_name(const void *list, u32 count, u32 stride, const char *name)
{
	for (u32 n = 0; n < count; n++)
		if (strncmp(list + n * stride, name, AIRLOCK_NAME_BYTES) == 0)
			return n;
	return -1;
}

int emul_find_window(const char *name)
{
	return find_name(emul_machine.windows, emul_machine.setup->windows, sizeof(*emul_machine.windows), name);
}

int emul_find_irq(const char *name)
{
	return find_name(emul_machine.irqs, emul_machine.setup->irqs, sizeof(*emul_machine.irqs), name);
}

const char *emul_option(const char *name)
{
	int found = find_name(emul_machine.options, emul_machine.setup->options, sizeof(*emul_machine.options), name);

	return found < 0 ? NULL : emul_machine.options[found].value;
}

static void read_setup(void)
{
	const struct airlock_setup *header = (const void *)setup;
	u32 length = airlock_get_setup(setup, sizeof(setup));
	u64 bytes = sizeof(*header);

	if (length < sizeof(*header) || length > sizeof(setup))
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "the setup takes %u bytes; %zu are the most", length, sizeof(setup));
	if (header->abi != AIRLOCK_ABI_VERSION)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "the setup is of version %u, the module of %u", header->abi, AIRLOCK_ABI_VERSION);
	emul_machine.setup = header;
	emul_machine.windows = (const void *)(setup + bytes);
	bytes += (u64)header->windows * sizeof(*emul_machine.windows);
	emul_machine.irqs = (const void *)(setup + bytes);
	bytes += (u64)header->irqs * sizeof(*emul_machine.irqs);
	emul_machine.regions = (const void *)(setup + bytes);
	bytes += (u64)header->regions * sizeof(*emul_machine.regions);
	emul_machine.options = (const void *)(setup + bytes);
	bytes += (u64)header->options * sizeof(*emul_machine.options);
	if (bytes > length)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "the setup of %u bytes speaks of %llu", length, bytes);
}

static void init(void)
{
	static bool has_world;

	if (!has_world) {
		has_world = true;
		read_setup();
		emul_now();
		emul_sched_init();
		emul_pages_init();
		emul_slab_init();
		emul_delay_init();
	}
	emul_modules_init();
}

static void handle(const struct airlock_record *record)
{
	const void *payload = record + 1;

	if (!emul_machine.setup && record->kind != AIRLOCK_RECORD_INIT)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "a record of kind %u before the one that initializes", record->kind);
	switch (record->kind) {
	case AIRLOCK_RECORD_INIT:
		init();
		break;
	case AIRLOCK_RECORD_REQUEST:
		emul_request(record->id, record->tag, payload, record->payload_bytes);
		break;
	case AIRLOCK_RECORD_REQUESTS:
		emul_requests(record->id, payload, record->payload_bytes);
		break;
	case AIRLOCK_RECORD_IRQ:
		emul_irq(record->id);
		break;
	case AIRLOCK_RECORD_TIMER:
		/* Whose it is, the end of the turn finds out. */
		armed = __builtin_inf();
		break;
	case AIRLOCK_RECORD_REMOVE:
		emul_modules_exit();
		break;
	default:
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "a record of the unknown kind %u", record->kind);
	}
}

static double next_timer(void)
{
	double timer = emul_timers_next(), precise = emul_hrtimers_next();

	return timer < precise ? timer : precise;
}

/* Linux runs the first kind in a softirq and the other in an interrupt. */
static void run_timers(double now)
{
	preempt_count_add(SOFTIRQ_OFFSET);
	emul_timers_run(now);
	preempt_count_sub(SOFTIRQ_OFFSET);
	preempt_count_add(HARDIRQ_OFFSET);
	emul_hrtimers_run(now);
	preempt_count_sub(HARDIRQ_OFFSET);
}

/* A timer of the machine that comes too early finds nothing due and sets the next. */
static void set_timer(double now, double wait)
{
	double due = now + wait - emul_skipped();

	if (due < armed) {
		armed = due;
		airlock_timer(TIMER_TAG, wait);
	}
}

static void settle(void)
{
	double wait = 0;

	for (int round = 0;; round++) {
		double next, now;

		emul_run();
		next = next_timer();
		if (next == __builtin_inf() && !emul_softirq_pending())
			return;
		now = emul_now();
		/* Neither a device that always has more nor a task that goes on for long keeps the turn. */
		if (round == ROUNDS_MOST || emul_softirq_pending() || emul_turn_is_over())
			return set_timer(now, 0);
		if (next <= now)
			run_timers(now);
		else if (!emul_shorten_sleeps(now, next, &wait))
			return set_timer(now, wait);
	}
}

void airlock_turn(u32 length)
{
	u32 at = 0;

	emul_turn_starts();
	if (emul_dma_copies)
		emul_dma_pull();
	while (at < length) {
		const struct airlock_record *record = (const void *)(airlock_inbox + at);

		if (length - at < sizeof(*record) || record->payload_bytes > AIRLOCK_PAYLOAD_MOST ||
		    ALIGN(record->payload_bytes, 8) > length - at - sizeof(*record))
			emul_fail(AIRLOCK_FAIL_PROTOCOL, "a record at %u goes beyond the %u bytes of the inbox", at, length);
		handle(record);
		at += sizeof(*record) + ALIGN(record->payload_bytes, 8);
	}
	settle();
	airlock_io_settle();
	if (emul_dma_copies)
		emul_dma_push();
	emul_flush();
}

/* Nothing that runs before there is a world is worth doing then: the heap is part of the world. */
void airlock_load(void)
{
}
