// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA memory that is not the same pages as the device's, where the trusted side copies at sync points. Memory mapped for a while
 * has such points in Linux's interface. Coherent memory has none: both sides write to it as they like. Here every register access,
 * delay and turn is one: words that the driver changed since the last go to the device, then everything comes from it.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "emul.h"

struct watched {
	struct list_head list;
	u32 *at;
	size_t words;
	/* What both sides had when they were last made the same. */
	u32 *known;
};

bool emul_dma_copies;
static LIST_HEAD(watched);

void emul_dma_set_up(struct device *device)
{
	if (emul_heap_region >= 0)
		emul_dma_copies = !emul_machine.regions[emul_heap_region].is_shared;
}

void emul_dma_sync(unsigned long at, size_t size, bool to_device)
{
	airlock_sync(emul_heap_region, at - emul_machine.regions[emul_heap_region].address, size, to_device);
}

static void push(struct watched *one)
{
	size_t n = 0;

	while (n < one->words) {
		size_t from = n;

		while (n < one->words && one->at[n] != one->known[n]) {
			one->known[n] = one->at[n];
			n++;
		}
		if (n > from)
			emul_dma_sync((unsigned long)(one->at + from), (n - from) * 4, true);
		else
			n++;
	}
}

void emul_dma_push(void)
{
	struct watched *one;

	list_for_each_entry(one, &watched, list)
		push(one);
}

void emul_dma_pull(void)
{
	struct watched *one;

	list_for_each_entry(one, &watched, list) {
		push(one);
		emul_dma_sync((unsigned long)one->at, one->words * 4, false);
		memcpy(one->known, one->at, one->words * 4);
	}
}

bool emul_dma_watch(void *at, size_t size)
{
	struct watched *one = kzalloc(sizeof(*one), GFP_KERNEL);

	if (!one)
		return false;
	one->at = at;
	one->words = PAGE_ALIGN(size) / 4;
	one->known = kvmalloc(one->words * 4, GFP_KERNEL);
	if (!one->known) {
		kfree(one);
		return false;
	}
	memcpy(one->known, at, one->words * 4);
	emul_dma_sync((unsigned long)at, one->words * 4, true);
	list_add(&one->list, &watched);
	return true;
}

void emul_dma_forget(void *at)
{
	struct watched *one;

	list_for_each_entry(one, &watched, list) {
		if (one->at != at)
			continue;
		list_del(&one->list);
		kvfree(one->known);
		kfree(one);
		return;
	}
}
