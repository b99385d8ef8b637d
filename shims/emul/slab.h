/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the allocator for objects share: the cache of objects of one size, and the checking mode's calls. */
#ifndef AIRLOCK_SLAB_H
#define AIRLOCK_SLAB_H

#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "emul.h"

struct kmem_cache {
	const char *name;
	unsigned int object_bytes; /* what the user has */
	unsigned int place_bytes;  /* what it takes */
	unsigned int align;
	void (*constructor)(void *);
	/* Slabs that have a free place. */
	struct list_head partial;
	slab_flags_t flags;
};

/* At the start of a free place; past what a constructor made, where there is one. */
struct slab_link {
	struct slab_link *next;
	u32 mark;
};

/* Fields of a slab's struct page. */
#define slab_cache(page) (*(struct kmem_cache **)&(page)->mapping)
#define slab_free(page) (*(struct slab_link **)&(page)->index)
#define slab_used(page) ((page)->private)

/* slab.c */
void *emul_slab_take(struct kmem_cache *cache, gfp_t flags, unsigned int bytes);
void emul_slab_give(struct kmem_cache *cache, struct page *page, void *object);
void emul_slab_set_up(struct kmem_cache *cache, const char *name, unsigned int size, unsigned int align, slab_flags_t flags,
		      void (*constructor)(void *));
/* The page of an object; `what` is about to be done with it. */
struct page *emul_slab_page(const void *at, const char *what);

/* slab-check.c: the mode, and what it costs at the end of each place */
extern bool emul_checks;
unsigned int emul_check_bytes(void);
void emul_check_new(const struct kmem_cache *cache, void *object);
void emul_check_taken(const struct kmem_cache *cache, void *object, unsigned int bytes);
void emul_check_freed(const struct kmem_cache *cache, struct page *page, void *object);
unsigned int emul_check_used(const struct kmem_cache *cache, void *object);
void emul_check_taken_pages(struct page *page, size_t bytes);
void emul_check_freed_pages(struct page *page);

#endif
