// SPDX-License-Identifier: GPL-2.0-only
/* kmalloc: objects of some sizes from slabs, larger ones as whole pages. What Linux calls vmalloc and kvmalloc is the same memory. */
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include "slab.h"

/* Larger ones are whole pages. */
#define LARGEST_BYTES 2048

static const unsigned int sizes[] = { 16, 32, 64, 96, 128, 192, 256, 512, 1024, LARGEST_BYTES };
#define SIZES ARRAY_SIZE(sizes)
static struct kmem_cache general[SIZES];
static u8 by_size[LARGEST_BYTES / 16 + 1];

void *__kmalloc(size_t size, gfp_t flags)
{
	size_t place = size + emul_check_bytes();
	struct page *page;

	if (size == 0)
		return ZERO_SIZE_PTR;
	if (place <= LARGEST_BYTES)
		return emul_slab_take(&general[by_size[(place + 15) / 16]], flags, size);
	if (size > PAGE_SIZE << MAX_ORDER)
		return NULL;
	page = __alloc_pages(flags | __GFP_COMP, get_order(size), 0, NULL);
	if (!page)
		return NULL;
	if (emul_checks)
		emul_check_taken_pages(page, size);
	return page_to_virt(page);
}

void *__kmalloc_node(size_t size, gfp_t flags, int node)
{
	return __kmalloc(size, flags);
}

void *__kmalloc_node_track_caller(size_t size, gfp_t flags, int node, unsigned long caller)
{
	return __kmalloc(size, flags);
}

void *kmalloc_large(size_t size, gfp_t flags)
{
	return __kmalloc(size, flags);
}

void *kmalloc_large_node(size_t size, gfp_t flags, int node)
{
	return __kmalloc(size, flags);
}

void *kmalloc_trace(struct kmem_cache *cache, gfp_t flags, size_t size)
{
	return kmem_cache_alloc(cache, flags);
}

void kfree(const void *at)
{
	struct page *page;

	if (ZERO_OR_NULL_PTR(at))
		return;
	page = emul_slab_page(at, "free");
	if (PageSlab(page)) {
		emul_slab_give(slab_cache(page), page, (void *)at);
		return;
	}
	if (page_count(page) == 0 || at != page_to_virt(page))
		emul_fail(AIRLOCK_FAIL_HEAP, "%s: there is no object at 0x%lx", page_count(page) == 0 ? "double free" : "free inside an object",
			  (unsigned long)at);
	if (emul_checks && page_count(page) == 1)
		emul_check_freed_pages(page);
	__free_pages(page, PageHead(page) ? compound_order(page) : 0);
}

/* Bytes that the user of an object may use, which in checking mode are no more than were asked for. */
size_t __ksize(const void *at)
{
	struct page *page;

	if (ZERO_OR_NULL_PTR(at))
		return 0;
	page = emul_slab_page(at, "size");
	if (!PageSlab(page))
		return emul_checks && page->index ? page->index : page_size(page);
	if (emul_checks)
		return emul_check_used(slab_cache(page), (void *)at);
	return slab_cache(page)->object_bytes;
}

size_t ksize(const void *at)
{
	return __ksize(at);
}

size_t kmalloc_size_roundup(size_t size)
{
	if (size == 0 || emul_checks)
		return size;
	if (size <= LARGEST_BYTES)
		return sizes[by_size[(size + 15) / 16]];
	return size > PAGE_SIZE << MAX_ORDER ? size : PAGE_SIZE << get_order(size);
}

void *krealloc(const void *old, size_t size, gfp_t flags)
{
	size_t had;
	void *new;

	if (size == 0) {
		kfree(old);
		return ZERO_SIZE_PTR;
	}
	had = ZERO_OR_NULL_PTR(old) ? 0 : __ksize(old);
	if (had >= size && !emul_checks)
		return (void *)old;
	new = __kmalloc(size, flags);
	if (new && had > 0) {
		memcpy(new, old, min(had, size));
		kfree(old);
	}
	return new;
}

void kfree_sensitive(const void *at)
{
	if (!ZERO_OR_NULL_PTR(at))
		memset((void *)at, 0, __ksize(at));
	kfree(at);
}

void *kvmalloc_node(size_t size, gfp_t flags, int node)
{
	return __kmalloc(size, flags);
}

void kvfree(const void *at)
{
	kfree(at);
}

void kvfree_sensitive(const void *at, size_t size)
{
	kfree_sensitive(at);
}

void *kvrealloc(const void *old, size_t old_bytes, size_t size, gfp_t flags)
{
	return krealloc(old, size, flags);
}

void *__vmalloc_array(size_t count, size_t size, gfp_t flags)
{
	size_t bytes;

	return check_mul_overflow(count, size, &bytes) ? NULL : __kmalloc(bytes, flags);
}

void emul_slab_init(void)
{
	static const char *const names[SIZES] = {
		"kmalloc-16", "kmalloc-32", "kmalloc-64", "kmalloc-96", "kmalloc-128", "kmalloc-192", "kmalloc-256", "kmalloc-512", "kmalloc-1k",
	      "kmalloc-2k",
	};
	unsigned int index = 0;

	emul_checks = (emul_machine.setup->flags & AIRLOCK_SETUP_CHECKING) != 0;
	for (unsigned int n = 0; n < SIZES; n++) {
		emul_slab_set_up(&general[n], names[n], sizes[n], 8, 0, NULL);
		general[n].place_bytes = sizes[n];
	}
	for (unsigned int n = 0; n < ARRAY_SIZE(by_size); n++) {
		while (sizes[index] < n * 16)
			index++;
		by_size[n] = index;
	}
}
