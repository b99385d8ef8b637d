// SPDX-License-Identifier: GPL-2.0-only
/* Many pages in one call. Linux saves locks by it; here there are none to save, and each is taken as it always is. */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>

/* Fills the gaps of an array, or adds to a list; the number of pages that are there then. What is not there is no error. */
unsigned long __alloc_pages_bulk(gfp_t flags, int node, nodemask_t *mask, int wanted, struct list_head *list, struct page **array)
{
	unsigned long have;

	for (have = 0; have < wanted; have++) {
		struct page *page;

		if (array && array[have])
			continue;
		page = __alloc_pages(flags, 0, node, mask);
		if (!page)
			break;
		if (list)
			list_add(&page->lru, list);
		else
			array[have] = page;
	}
	return have;
}
