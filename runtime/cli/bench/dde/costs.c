/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Loops to time: one that does nothing, one that reads a page, one that calls an import; and work of the kinds that asyncify touches. */
#include "../../../../shims/abi/airlock.h"

#define PAGE_WORDS 1024u
#define MOST_KEYS 4096u

static volatile airlock_u32 page[PAGE_WORDS] __attribute__((aligned(4096)));
static airlock_u32 keys[MOST_KEYS];
static airlock_u8 frame[1536];

void *cost_page(void)
{
	return (void *)page;
}

airlock_u32 cost_loop(airlock_u32 count)
{
	airlock_u32 sum = 0, i;

	for (i = 0; i < count; i++) {
		sum += i;
		__asm__ volatile("" : "+r"(sum));
	}
	return sum;
}

airlock_u32 cost_read_page(airlock_u32 count)
{
	airlock_u32 sum = 0, i;

	for (i = 0; i < count; i++)
		sum += page[i % PAGE_WORDS];
	return sum;
}

airlock_u32 cost_read_import(airlock_u32 count)
{
	airlock_u32 sum = 0, i;

	for (i = 0; i < count; i++)
		sum += airlock_read(0, 0, 32);
	return sum;
}

typedef int (*compare_function)(airlock_u32, airlock_u32);

static int ascending(airlock_u32 a, airlock_u32 b)
{
	return a < b ? -1 : a > b;
}

static int descending(airlock_u32 a, airlock_u32 b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

/* The compiler must not know which. */
static compare_function volatile comparison[2] = { ascending, descending };

static void sift(airlock_u32 root, airlock_u32 end, compare_function compare)
{
	for (;;) {
		airlock_u32 child = 2 * root + 1, key;

		if (child >= end)
			return;
		if (child + 1 < end && compare(keys[child], keys[child + 1]) < 0)
			child++;
		if (compare(keys[root], keys[child]) >= 0)
			return;
		key = keys[root];
		keys[root] = keys[child];
		keys[child] = key;
		root = child;
	}
}

/* Calls through a pointer, any of which might suspend for all that asyncify knows: its worst case. */
airlock_u32 cost_indirect(airlock_u32 count)
{
	compare_function compare = comparison[count & 1];
	airlock_u32 seed = 1, i;

	if (count > MOST_KEYS)
		count = MOST_KEYS;
	for (i = 0; i < count; i++)
		keys[i] = seed = seed * 1664525u + 1013904223u;
	for (i = count / 2; i-- > 0;)
		sift(i, count, compare);
	for (i = count; i-- > 1;) {
		airlock_u32 key = keys[0];

		keys[0] = keys[i];
		keys[i] = key;
		sift(0, i, compare);
	}
	return keys[0];
}

/* Straight work without calls: its best case. */
airlock_u32 cost_straight(airlock_u32 count)
{
	airlock_u32 sum = 0, i, at;

	for (i = 0; i < count; i++)
		for (at = 0; at + 1 < sizeof(frame); at += 2)
			sum += (airlock_u32)(frame[at] | frame[at + 1] << 8) + i;
	return sum;
}
