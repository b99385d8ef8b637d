// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults on demand, from fault injection only: what drivers do wrong in C, done here in the driver's place. Where it is told to,
 * it happens in the next interrupt or operation.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include "emul.h"

/* Between the memory and the register windows there is nothing. */
#define WILD_ADDRESS (AIRLOCK_COOKIE_BASE - 16)
#define FRAME_BYTES 256
#define PIECE_BYTES 65536

static u32 armed_kind, armed_at;

static noinline u32 recurse(u32 depth)
{
	volatile u8 frame[FRAME_BYTES];

	frame[depth % FRAME_BYTES] = depth;
	return recurse(depth + 1) + frame[depth % FRAME_BYTES];
}

static void exhaust_memory(void)
{
	for (;;)
		kmalloc(PIECE_BYTES, GFP_KERNEL | __GFP_NOFAIL);
}

static void free_twice(void)
{
	void *volatile first = kmalloc(100, GFP_KERNEL);
	void *volatile other = kmalloc(100, GFP_KERNEL);

	/* With another in between, the free list alone does not tell. */
	kfree(first);
	kfree(other);
	kfree(first);
}

static void sleep_in_interrupt(void)
{
	preempt_count_add(HARDIRQ_OFFSET);
	msleep(1);
	preempt_count_sub(HARDIRQ_OFFSET);
}

static void loop(void)
{
	volatile u32 turns = 0;

	for (;;)
		turns++;
}

static void perform(u32 kind)
{
	/* The compiler must not know what these are. */
	volatile u32 *volatile null = NULL;
	volatile u32 *volatile wild = (void *)WILD_ADDRESS;
	void (*volatile call)(void) = NULL;

	switch (kind) {
	case AIRLOCK_FAULT_NULL_READ:
		(void)*null;
		break;
	case AIRLOCK_FAULT_NULL_WRITE:
		*null = 1;
		break;
	case AIRLOCK_FAULT_WILD_WRITE:
		*wild = 1;
		break;
	case AIRLOCK_FAULT_BUG:
		BUG();
	case AIRLOCK_FAULT_LOOP:
		loop();
		break;
	case AIRLOCK_FAULT_SLEEP_IN_IRQ:
		sleep_in_interrupt();
		break;
	case AIRLOCK_FAULT_DOUBLE_FREE:
		free_twice();
		break;
	case AIRLOCK_FAULT_NULL_CALL:
		call();
		break;
	case AIRLOCK_FAULT_EXHAUST_MEMORY:
		exhaust_memory();
		break;
	case AIRLOCK_FAULT_STACK:
		recurse(0);
		break;
	default:
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "a fault of the unknown kind %u", kind);
	}
}

void emul_fault_at(u32 at)
{
	u32 kind = armed_kind;

	if (likely(kind == 0) || armed_at != at)
		return;
	armed_kind = 0;
	perform(kind);
}

void airlock_fault(u32 kind, u32 at)
{
	if (at == AIRLOCK_AT_NOW) {
		perform(kind);
		emul_flush();
		return;
	}
	armed_kind = kind;
	armed_at = at;
}
