// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checking mode of the allocator. Each object is followed by a guard over the rest of its place and a tail that says who has
 * it; what is free has a pattern. Overwriting the guard, freeing twice and writing to what is free are found, at the latest when
 * the place is used again. What takes whole pages has a guard up to their end.
 */
#include <linux/string.h>
#include "slab.h"

#define GUARD_BYTE 0xbb
#define FREE_BYTE 0x6b
#define STATE_USED 0xa110ca7eu
#define STATE_FREE 0xf4eef4eeu

struct tail {
	u32 used_bytes;
	u32 state;
};

bool emul_checks;

unsigned int emul_check_bytes(void)
{
	return emul_checks ? sizeof(struct tail) : 0;
}

static struct tail *tail_of(const struct kmem_cache *cache, void *object)
{
	return object + cache->place_bytes - sizeof(struct tail);
}

void emul_check_new(const struct kmem_cache *cache, void *object)
{
	memset(object, FREE_BYTE, cache->place_bytes);
	*tail_of(cache, object) = (struct tail){ 0, STATE_FREE };
}

unsigned int emul_check_used(const struct kmem_cache *cache, void *object)
{
	return tail_of(cache, object)->used_bytes;
}

void emul_check_taken(const struct kmem_cache *cache, void *object, unsigned int bytes)
{
	struct tail *tail = tail_of(cache, object);
	u8 *from = object + sizeof(struct slab_link);

	if (tail->state != STATE_FREE)
		emul_fail(AIRLOCK_FAIL_HEAP, "the heap is broken: %s of %s at 0x%lx was written over while it was free", "the tail", cache->name,
			  (unsigned long)object);
	if (!cache->constructor && memchr_inv(from, FREE_BYTE, (u8 *)tail - from))
		emul_fail(AIRLOCK_FAIL_HEAP, "use after free: the object of %s at 0x%lx was written to while it was free", cache->name,
			  (unsigned long)object);
	if (!cache->constructor)
		memset(object + bytes, GUARD_BYTE, (u8 *)tail - (u8 *)object - bytes);
	*tail = (struct tail){ bytes, STATE_USED };
}

void emul_check_freed(const struct kmem_cache *cache, struct page *page, void *object)
{
	struct tail *tail = tail_of(cache, object);

	if ((object - page_to_virt(page)) % cache->place_bytes != 0)
		emul_fail(AIRLOCK_FAIL_HEAP, "free of 0x%lx, which is inside an object of %s", (unsigned long)object, cache->name);
	if (tail->state == STATE_FREE)
		emul_fail(AIRLOCK_FAIL_HEAP, "double free: the object of %s at 0x%lx is free already", cache->name, (unsigned long)object);
	if (tail->state != STATE_USED || tail->used_bytes > cache->place_bytes - sizeof(*tail))
		emul_fail(AIRLOCK_FAIL_HEAP, "overwritten guard: the tail behind the object of %s at 0x%lx is gone", cache->name, (unsigned long)object);
	if (!cache->constructor) {
		if (memchr_inv(object + tail->used_bytes, GUARD_BYTE, (u8 *)tail - (u8 *)object - tail->used_bytes))
			emul_fail(AIRLOCK_FAIL_HEAP, "overwritten guard: %u bytes of %s at 0x%lx were written beyond their end", tail->used_bytes,
				  cache->name, (unsigned long)object);
		memset(object, FREE_BYTE, (u8 *)tail - (u8 *)object);
	}
	*tail = (struct tail){ 0, STATE_FREE };
}


/* The size is kept where a slab has its free list. */
void emul_check_taken_pages(struct page *page, size_t bytes)
{
	page->index = bytes;
	memset(page_to_virt(page) + bytes, GUARD_BYTE, page_size(page) - bytes);
}

void emul_check_freed_pages(struct page *page)
{
	size_t bytes = page->index;
	void *at = page_to_virt(page);

	if (bytes == 0 || bytes > page_size(page))
		return;
	if (memchr_inv(at + bytes, GUARD_BYTE, page_size(page) - bytes))
		emul_fail(AIRLOCK_FAIL_HEAP, "overwritten guard: %zu bytes at 0x%lx were written beyond their end", bytes, (unsigned long)at);
	page->index = 0;
	memset(at, FREE_BYTE, page_size(page));
}
