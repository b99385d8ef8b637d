// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects smaller than a page. A slab is a page of objects of one size; what Linux's struct slab would hold lies in the fields
 * that struct page has for its owner. Freeing what is no object ends the module.
 */
#include <linux/kernel.h>
#include <linux/kmemleak.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "slab.h"

#define FREE_MARK 0x5f4ee0b1u

static unsigned int slab_order(const struct kmem_cache *cache)
{
	return cache->place_bytes > PAGE_SIZE / 4 ? get_order(cache->place_bytes * 4) : 0;
}

static unsigned int link_offset(const struct kmem_cache *cache)
{
	return cache->constructor ? ALIGN(cache->object_bytes, sizeof(void *)) : 0;
}

/* What a free place holds beside the link, and an object hardly ever. */
static u32 mark_of(const struct slab_link *link)
{
	return (u32)link ^ FREE_MARK;
}

static void push(const struct kmem_cache *cache, struct page *page, void *object)
{
	struct slab_link *link = object + link_offset(cache);

	link->next = slab_free(page);
	link->mark = mark_of(link);
	slab_free(page) = link;
}

static void *pop(const struct kmem_cache *cache, struct page *page)
{
	struct slab_link *link = slab_free(page);

	if (link->mark != mark_of(link))
		emul_fail(AIRLOCK_FAIL_HEAP, "use after free: the object of %s at 0x%lx was written to while it was free", cache->name,
			  (unsigned long)link - link_offset(cache));
	slab_free(page) = link->next;
	link->mark = 0;
	return (void *)link - link_offset(cache);
}

static bool is_free(const struct kmem_cache *cache, struct page *page, void *object)
{
	struct slab_link *link = object + link_offset(cache);
	struct slab_link *free;

	if (link->mark != mark_of(link))
		return false;
	for (free = slab_free(page); free; free = free->next)
		if (free == link)
			return true;
	return false;
}

static bool grow(struct kmem_cache *cache, gfp_t flags)
{
	unsigned int order = slab_order(cache);
	struct page *page = __alloc_pages((flags & ~(__GFP_ZERO | __GFP_NOFAIL)) | __GFP_COMP, order, 0, NULL);
	unsigned int count = (PAGE_SIZE << order) / cache->place_bytes;

	if (!page)
		return false;
	__SetPageSlab(page);
	slab_cache(page) = cache;
	slab_free(page) = NULL;
	slab_used(page) = 0;
	while (count-- > 0) {
		void *at = page_to_virt(page) + count * cache->place_bytes;

		if (emul_checks)
			emul_check_new(cache, at);
		if (cache->constructor)
			cache->constructor(at);
		push(cache, page, at);
	}
	list_add(&page->lru, &cache->partial);
	return true;
}

void *emul_slab_take(struct kmem_cache *cache, gfp_t flags, unsigned int bytes)
{
	struct page *page;
	void *object;

	if (list_empty(&cache->partial) && !grow(cache, flags)) {
		if (flags & __GFP_NOFAIL)
			emul_fail(AIRLOCK_FAIL_MEMORY, "out of memory: %u bytes that must not fail", bytes);
		return NULL;
	}
	page = list_first_entry(&cache->partial, struct page, lru);
	object = pop(cache, page);
	slab_used(page)++;
	if (!slab_free(page))
		list_del_init(&page->lru);
	if (emul_checks)
		emul_check_taken(cache, object, bytes);
	if (flags & __GFP_ZERO)
		memset(object, 0, bytes);
	return object;
}

void emul_slab_give(struct kmem_cache *cache, struct page *page, void *object)
{
	if (emul_checks)
		emul_check_freed(cache, page, object);
	if (is_free(cache, page, object))
		emul_fail(AIRLOCK_FAIL_HEAP, "double free: the object of %s at 0x%lx is free already", cache->name, (unsigned long)object);
	if (slab_used(page) == 0)
		emul_fail(AIRLOCK_FAIL_HEAP, "double free: no object of the slab of %s at 0x%lx is in use", cache->name, (unsigned long)object);
	if (!slab_free(page))
		list_add(&page->lru, &cache->partial);
	push(cache, page, object);
	/* One empty slab is kept for each cache. */
	if (--slab_used(page) == 0 && !list_is_singular(&cache->partial)) {
		list_del(&page->lru);
		__ClearPageSlab(page);
		page->mapping = NULL;
		page->index = 0;
		__free_pages(page, slab_order(cache));
	}
}

struct page *emul_slab_page(const void *at, const char *what)
{
	if (!virt_addr_valid(at))
		emul_fail(AIRLOCK_FAIL_HEAP, "%s of 0x%lx, which is not in the heap", what, (unsigned long)at);
	return virt_to_head_page(at);
}

void emul_slab_set_up(struct kmem_cache *cache, const char *name, unsigned int size, unsigned int align, slab_flags_t flags,
		      void (*constructor)(void *))
{
	cache->name = name;
	cache->object_bytes = size;
	cache->align = max(align, 8u);
	cache->constructor = constructor;
	cache->flags = flags;
	cache->place_bytes = ALIGN(size, sizeof(void *)) + (constructor ? sizeof(struct slab_link) : 0) + emul_check_bytes();
	cache->place_bytes = ALIGN(max_t(unsigned int, cache->place_bytes, 16), cache->align);
	INIT_LIST_HEAD(&cache->partial);
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align, slab_flags_t flags,
				     void (*constructor)(void *))
{
	struct kmem_cache *cache = kzalloc(sizeof(*cache), GFP_KERNEL);

	if (cache)
		emul_slab_set_up(cache, name, size, flags & SLAB_HWCACHE_ALIGN ? max_t(unsigned int, align, L1_CACHE_BYTES) : align, flags, constructor);
	return cache;
}

struct kmem_cache *kmem_cache_create_usercopy(const char *name, unsigned int size, unsigned int align, slab_flags_t flags,
					      unsigned int offset,
					      unsigned int bytes, void (*constructor)(void *))
{
	return kmem_cache_create(name, size, align, flags, constructor);
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	struct page *page, *next;

	if (!cache)
		return;
	list_for_each_entry_safe(page, next, &cache->partial, lru) {
		if (slab_used(page) > 0)
			continue;
		list_del(&page->lru);
		__ClearPageSlab(page);
		page->mapping = NULL;
		page->index = 0;
		__free_pages(page, slab_order(cache));
	}
	kfree(cache);
}

int kmem_cache_shrink(struct kmem_cache *cache)
{
	return 0;
}

unsigned int kmem_cache_size(struct kmem_cache *cache)
{
	return cache->object_bytes;
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t flags)
{
	return emul_slab_take(cache, flags, cache->object_bytes);
}

void *kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru, gfp_t flags)
{
	return kmem_cache_alloc(cache, flags);
}

void *kmem_cache_alloc_node(struct kmem_cache *cache, gfp_t flags, int node)
{
	return kmem_cache_alloc(cache, flags);
}

int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t flags, size_t count, void **objects)
{
	for (size_t n = 0; n < count; n++) {
		objects[n] = kmem_cache_alloc(cache, flags);
		if (!objects[n]) {
			kmem_cache_free_bulk(cache, n, objects);
			return 0;
		}
	}
	return count;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	struct page *page = emul_slab_page(object, "free");

	if (!PageSlab(page) || slab_cache(page) != cache)
		emul_fail(AIRLOCK_FAIL_HEAP, "free of 0x%lx, which is no object of %s", (unsigned long)object, cache->name);
	emul_slab_give(cache, page, object);
}

void kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **objects)
{
	for (size_t n = 0; n < count; n++) {
		if (cache)
			kmem_cache_free(cache, objects[n]);
		else
			kfree(objects[n]);
	}
}

bool slab_is_available(void)
{
	return true;
}
