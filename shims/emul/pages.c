// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages: a buddy allocator over one region, which is DMA memory, so that whatever a driver allocates its device can reach. Linux's
 * has zones, nodes, reclaim and per-processor lists; here an allocation works at once or fails. vmalloc is the same memory.
 */
#include <linux/bitops.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "emul.h"

/* What the build would compute: see arch/include/generated/bounds.h. */
static_assert(__NR_PAGEFLAGS <= NR_PAGEFLAGS);
static_assert(__MAX_NR_ZONES == MAX_NR_ZONES);

#define ORDERS (MAX_ORDER + 1)
/* Without DMA memory the heap is what the module's own memory has behind its data: so much at least, and at most. */
#define OWN_HEAP_LEAST_BYTES (512ul << 10)
#define OWN_HEAP_MOST_BYTES (64ul << 20)

/* The linker's: where the data ends. */
extern u8 __heap_base;

struct page *mem_map;
unsigned long max_mapnr;
unsigned long max_low_pfn, min_low_pfn, max_pfn;
unsigned long airlock_first_pfn;
unsigned long memory_start, memory_end;
void *high_memory;
void *airlock_zero_page;
atomic_long_t _totalram_pages;
int emul_heap_region = -1;
unsigned long emul_heap_start, emul_heap_end;
struct pglist_data contig_page_data;

static struct list_head free_lists[ORDERS];
static unsigned long free_count;
static bool was_exhausted;

static bool is_free(struct page *page)
{
	return PageBuddy(page);
}

static void put_free(struct page *page, unsigned int order)
{
	__SetPageBuddy(page);
	page->private = order;
	list_add(&page->lru, &free_lists[order]);
}

static void take_free(struct page *page)
{
	__ClearPageBuddy(page);
	page->private = 0;
	list_del(&page->lru);
}

static void free_block(struct page *page, unsigned int order)
{
	unsigned long at = page - mem_map;

	free_count += 1ul << order;
	for (; order < MAX_ORDER; order++) {
		unsigned long other = at ^ (1ul << order);

		if (other + (1ul << order) > max_mapnr || !is_free(mem_map + other) || mem_map[other].private != order)
			break;
		take_free(mem_map + other);
		at &= other;
	}
	put_free(mem_map + at, order);
}

static struct page *take_block(unsigned int order)
{
	unsigned int from = order;
	struct page *page;

	while (from < ORDERS && list_empty(&free_lists[from]))
		from++;
	if (from >= ORDERS)
		return NULL;
	page = list_first_entry(&free_lists[from], struct page, lru);
	take_free(page);
	while (from > order) {
		from--;
		put_free(page + (1ul << from), from);
	}
	free_count -= 1ul << order;
	return page;
}

/* Heads and tails as the inline functions of Linux's headers expect them. */
static void make_compound(struct page *page, unsigned int order)
{
	__SetPageHead(page);
	for (unsigned long n = 1; n < 1ul << order; n++)
		set_compound_head(page + n, page);
	set_compound_page_dtor(page, COMPOUND_PAGE_DTOR);
	set_compound_order(page, order);
}

static void free_pages_now(struct page *page, unsigned int order)
{
	if (is_free(page))
		emul_fail(AIRLOCK_FAIL_HEAP, "double free: pages at 0x%lx are free already", (unsigned long)page_to_virt(page));
	for (unsigned long n = 0; n < 1ul << order; n++)
		memset(page + n, 0, sizeof(*page));
	for (unsigned long n = 0; n < 1ul << order; n++)
		page_mapcount_reset(page + n);
	free_block(page, order);
}

struct page *__alloc_pages(gfp_t flags, unsigned int order, int node, nodemask_t *mask)
{
	struct page *page = order < ORDERS ? take_block(order) : NULL;

	if (!page) {
		if (!was_exhausted && !(flags & __GFP_NOWARN)) {
			was_exhausted = true;
			pr_warn("out of memory: no %lu KiB in one piece, %lu KiB free; this is told once\n", (4ul << order), free_count * 4);
		}
		if (flags & __GFP_NOFAIL)
			emul_fail(AIRLOCK_FAIL_MEMORY, "out of memory: %lu KiB that must not fail", 4ul << order);
		return NULL;
	}
	set_page_count(page, 1);
	if (order > 0 && (flags & __GFP_COMP))
		make_compound(page, order);
	if (flags & __GFP_ZERO)
		memset(page_to_virt(page), 0, PAGE_SIZE << order);
	return page;
}

void __free_pages(struct page *page, unsigned int order)
{
	unsigned int all = PageHead(page) ? compound_order(page) : order;

	if (page_count(page) == 0)
		emul_fail(AIRLOCK_FAIL_HEAP, "double free: pages at 0x%lx have no user", (unsigned long)page_to_virt(page));
	if (put_page_testzero(page))
		free_pages_now(page, all);
}

/* The last reference of put_page. */
void __folio_put(struct folio *folio)
{
	free_pages_now(&folio->page, folio_test_large(folio) ? folio_order(folio) : 0);
}

unsigned long __get_free_pages(gfp_t flags, unsigned int order)
{
	struct page *page = __alloc_pages(flags, order, 0, NULL);

	return page ? (unsigned long)page_to_virt(page) : 0;
}

unsigned long get_zeroed_page(gfp_t flags)
{
	return __get_free_pages(flags | __GFP_ZERO, 0);
}

void free_pages(unsigned long at, unsigned int order)
{
	if (at == 0)
		return;
	if (!virt_addr_valid((void *)at))
		emul_fail(AIRLOCK_FAIL_HEAP, "free of pages at 0x%lx, which is not in the heap", at);
	__free_pages(virt_to_page((void *)at), order);
}

void *alloc_pages_exact(size_t size, gfp_t flags)
{
	return (void *)__get_free_pages(flags, get_order(size));
}

void free_pages_exact(void *at, size_t size)
{
	free_pages((unsigned long)at, get_order(size));
}

void split_page(struct page *page, unsigned int order)
{
	for (unsigned long n = 1; n < 1ul << order; n++)
		set_page_count(page + n, 1);
}

/* Memory of whole pages, which knows its size, so that vfree and kvfree need not. */
static void *alloc_sized(unsigned long size, gfp_t flags)
{
	if (size == 0 || size > PAGE_SIZE << MAX_ORDER)
		return NULL;
	return (void *)__get_free_pages(flags | __GFP_COMP, get_order(size));
}

void *__vmalloc(unsigned long size, gfp_t flags)
{
	return alloc_sized(size, flags);
}

void *vmalloc(unsigned long size)
{
	return alloc_sized(size, GFP_KERNEL);
}

void *vzalloc(unsigned long size)
{
	return alloc_sized(size, GFP_KERNEL | __GFP_ZERO);
}

void *vmalloc_node(unsigned long size, int node)
{
	return vmalloc(size);
}

void *vzalloc_node(unsigned long size, int node)
{
	return vzalloc(size);
}

void *vmalloc_user(unsigned long size)
{
	return vzalloc(size);
}

void *vmalloc_32(unsigned long size)
{
	return vmalloc(size);
}

void vfree(const void *at)
{
	kfree(at);
}

void vfree_atomic(const void *at)
{
	kfree(at);
}

struct page *vmalloc_to_page(const void *at)
{
	return virt_to_page(at);
}

unsigned long vmalloc_to_pfn(const void *at)
{
	return page_to_pfn(virt_to_page(at));
}

/* Pages are always mapped; several that do not follow each other cannot be made to. */
void *vmap(struct page **pages, unsigned int count, unsigned long flags, pgprot_t protection)
{
	for (unsigned int n = 1; n < count; n++)
		if (pages[n] != pages[0] + n)
			return NULL;
	return page_to_virt(pages[0]);
}

void vunmap(const void *at)
{
}

/*
 * Parts of a page, each with a reference to it: what skbs for receiving are made of. The cache has one reference of its own, which
 * is what whoever drains it gives back.
 */
static bool renew(struct page_frag_cache *cache, gfp_t flags)
{
	unsigned int order = PAGE_FRAG_CACHE_MAX_ORDER;
	struct page *page = cache->va ? virt_to_page(cache->va) : NULL;

	/* Nobody has a part of it any more: it starts anew. */
	if (page && page_count(page) == 1) {
		cache->offset = cache->size;
		return true;
	}
	if (page)
		put_page(page);
	page = __alloc_pages(flags | __GFP_COMP | __GFP_NOWARN, order, 0, NULL);
	if (!page) {
		order = 0;
		page = __alloc_pages(flags, order, 0, NULL);
	}
	cache->va = page ? page_to_virt(page) : NULL;
	cache->size = cache->offset = PAGE_SIZE << order;
	cache->pagecnt_bias = 1;
	return page != NULL;
}

/* From the end of the page to its start, so that aligning is rounding down. */
void *page_frag_alloc_align(struct page_frag_cache *cache, unsigned int size, gfp_t flags, unsigned int align_mask)
{
	if ((!cache->va || size > cache->offset) && !renew(cache, flags))
		return NULL;
	if (size > cache->offset)
		return NULL;
	cache->offset = (cache->offset - size) & align_mask;
	get_page(virt_to_page(cache->va));
	return cache->va + cache->offset;
}

void page_frag_free(void *at)
{
	put_page(virt_to_head_page(at));
}

void __page_frag_cache_drain(struct page *page, unsigned int count)
{
	if (page_ref_sub_and_test(page, count))
		free_pages_now(page, PageHead(page) ? compound_order(page) : 0);
}

bool gfp_pfmemalloc_allowed(gfp_t flags)
{
	return false;
}

void si_meminfo(struct sysinfo *info)
{
	memset(info, 0, sizeof(*info));
	info->totalram = max_mapnr;
	info->freeram = free_count;
	info->mem_unit = PAGE_SIZE;
}

unsigned long nr_free_buffer_pages(void)
{
	return free_count;
}

static void choose_heap(void)
{
	for (u32 n = 0; n < emul_machine.setup->regions; n++) {
		const struct airlock_region *region = &emul_machine.regions[n];

		if (region->is_buffers)
			continue;
		emul_heap_region = n;
		emul_heap_start = PAGE_ALIGN(region->address);
		emul_heap_end = (region->address + region->size_bytes) & PAGE_MASK;
		return;
	}
	emul_heap_start = PAGE_ALIGN((unsigned long)&__heap_base);
	emul_heap_end = emul_machine.setup->memory_bytes & PAGE_MASK;
	if (emul_heap_end < emul_heap_start + OWN_HEAP_LEAST_BYTES)
		emul_fail(AIRLOCK_FAIL_MEMORY, "out of memory: %lu KiB for the heap; the driver needs a higher limit",
			  (emul_heap_end - emul_heap_start) >> 10);
	if (emul_heap_end - emul_heap_start > OWN_HEAP_MOST_BYTES)
		emul_heap_end = emul_heap_start + OWN_HEAP_MOST_BYTES;
}

void emul_pages_init(void)
{
	unsigned long map_pages, pages;

	choose_heap();
	pages = (emul_heap_end - emul_heap_start) >> PAGE_SHIFT;
	map_pages = DIV_ROUND_UP(pages * sizeof(struct page), PAGE_SIZE);
	if (pages < map_pages + 16)
		emul_fail(AIRLOCK_FAIL_MEMORY, "a heap of %lu KiB is too small", pages * 4);
	mem_map = (struct page *)emul_heap_start;
	airlock_first_pfn = emul_heap_start >> PAGE_SHIFT;
	max_mapnr = pages;
	max_low_pfn = max_pfn = emul_heap_end >> PAGE_SHIFT;
	min_low_pfn = airlock_first_pfn;
	memory_start = emul_heap_start;
	memory_end = emul_heap_end;
	high_memory = (void *)emul_heap_end;
	atomic_long_set(&_totalram_pages, pages);
	memset(mem_map, 0, map_pages << PAGE_SHIFT);
	for (unsigned int order = 0; order < ORDERS; order++)
		INIT_LIST_HEAD(&free_lists[order]);
	for (unsigned long n = 0; n < pages; n++)
		page_mapcount_reset(mem_map + n);
	for (unsigned long n = map_pages; n < pages;) {
		unsigned int order = min_t(unsigned int, n ? __ffs(n) : MAX_ORDER, MAX_ORDER);

		while (n + (1ul << order) > pages)
			order--;
		put_free(mem_map + n, order);
		free_count += 1ul << order;
		n += 1ul << order;
	}
	airlock_zero_page = (void *)get_zeroed_page(GFP_KERNEL);
}
