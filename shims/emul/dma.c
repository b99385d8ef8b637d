// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA. The heap is memory that the device reaches, so that mapping is arithmetic. Linux has operations per bus, masks that matter
 * and bounce buffers; here the trusted side's IOMMU says what the device may touch.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include "emul.h"

/* There are no caches between a device and memory; what has to be copied is none of Linux's business. */
bool dma_default_coherent = true;

static const struct airlock_region *heap(void)
{
	return emul_heap_region < 0 ? NULL : &emul_machine.regions[emul_heap_region];
}

static bool is_in_heap(unsigned long at, size_t size)
{
	return at >= emul_heap_start && at < emul_heap_end && size <= emul_heap_end - at;
}

/* What is not in the heap: a driver's variable, or its stack, which Linux refuses as well. */
static dma_addr_t refuse(struct device *device, unsigned long at, size_t size)
{
	dev_warn_ratelimited(device, "%zu bytes at 0x%lx were to be mapped for DMA and are %s\n", size, at,
			     heap() ? "outside of the heap" : "in memory that no device reaches");
	return DMA_MAPPING_ERROR;
}

static dma_addr_t map(struct device *device, unsigned long at, size_t size, enum dma_data_direction direction, unsigned long attributes)
{
	const struct airlock_region *region = heap();

	if (!region || !is_in_heap(at, size))
		return refuse(device, at, size);
	if (emul_dma_copies && !(attributes & DMA_ATTR_SKIP_CPU_SYNC))
		emul_dma_sync(at, size, true);
	return region->iova + (at - region->address);
}

static void sync(dma_addr_t address, size_t size, bool to_device)
{
	const struct airlock_region *region = heap();
	unsigned long at;

	if (!emul_dma_copies || !region)
		return;
	at = address - region->iova + region->address;
	if (is_in_heap(at, size))
		emul_dma_sync(at, size, to_device);
}

dma_addr_t dma_map_page_attrs(struct device *device, struct page *page, size_t offset, size_t size, enum dma_data_direction direction,
			      unsigned long attributes)
{
	return map(device, (unsigned long)page_to_virt(page) + offset, size, direction, attributes);
}

void dma_unmap_page_attrs(struct device *device, dma_addr_t address, size_t size, enum dma_data_direction direction,
			  unsigned long attributes)
{
	airlock_io_settle();
	if (direction != DMA_TO_DEVICE && !(attributes & DMA_ATTR_SKIP_CPU_SYNC))
		sync(address, size, false);
}

void dma_sync_single_for_cpu(struct device *device, dma_addr_t address, size_t size, enum dma_data_direction direction)
{
	airlock_io_settle();
	if (direction != DMA_TO_DEVICE)
		sync(address, size, false);
}

void dma_sync_single_for_device(struct device *device, dma_addr_t address, size_t size, enum dma_data_direction direction)
{
	sync(address, size, true);
}

unsigned int dma_map_sg_attrs(struct device *device, struct scatterlist *list, int count, enum dma_data_direction direction,
			      unsigned long attributes)
{
	struct scatterlist *entry;
	int n;

	for_each_sg(list, entry, count, n) {
		entry->dma_address = dma_map_page_attrs(device, sg_page(entry), entry->offset, entry->length, direction, attributes);
		if (entry->dma_address == DMA_MAPPING_ERROR)
			return 0;
		sg_dma_len(entry) = entry->length;
	}
	return count;
}

int dma_map_sgtable(struct device *device, struct sg_table *table, enum dma_data_direction direction, unsigned long attributes)
{
	table->nents = dma_map_sg_attrs(device, table->sgl, table->orig_nents, direction, attributes);
	return table->nents > 0 ? 0 : -EIO;
}

void dma_unmap_sg_attrs(struct device *device, struct scatterlist *list, int count, enum dma_data_direction direction,
			unsigned long attributes)
{
	struct scatterlist *entry;
	int n;

	for_each_sg(list, entry, count, n)
		dma_unmap_page_attrs(device, sg_dma_address(entry), sg_dma_len(entry), direction, attributes);
}

void dma_sync_sg_for_cpu(struct device *device, struct scatterlist *list, int count, enum dma_data_direction direction)
{
	struct scatterlist *entry;
	int n;

	for_each_sg(list, entry, count, n)
		dma_sync_single_for_cpu(device, sg_dma_address(entry), sg_dma_len(entry), direction);
}

void dma_sync_sg_for_device(struct device *device, struct scatterlist *list, int count, enum dma_data_direction direction)
{
	struct scatterlist *entry;
	int n;

	for_each_sg(list, entry, count, n)
		dma_sync_single_for_device(device, sg_dma_address(entry), sg_dma_len(entry), direction);
}

void *dma_alloc_attrs(struct device *device, size_t size, dma_addr_t *address, gfp_t flags, unsigned long attributes)
{
	const struct airlock_region *region = heap();
	void *at;

	if (!region || size == 0)
		return NULL;
	at = alloc_pages_exact(size, (flags & ~(__GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM | __GFP_COMP)) | __GFP_ZERO);
	if (!at)
		return NULL;
	if (emul_dma_copies && !emul_dma_watch(at, size)) {
		free_pages_exact(at, size);
		return NULL;
	}
	*address = region->iova + ((unsigned long)at - region->address);
	return at;
}

void dma_free_attrs(struct device *device, size_t size, void *at, dma_addr_t address, unsigned long attributes)
{
	if (!at)
		return;
	airlock_io_settle();
	if (emul_dma_copies)
		emul_dma_forget(at);
	free_pages_exact(at, size);
}

struct page *dma_alloc_pages(struct device *device, size_t size, dma_addr_t *address, enum dma_data_direction direction, gfp_t flags)
{
	struct page *page = alloc_pages(flags, get_order(size));

	if (!page)
		return NULL;
	*address = dma_map_page_attrs(device, page, 0, size, direction, 0);
	if (*address != DMA_MAPPING_ERROR)
		return page;
	__free_pages(page, get_order(size));
	return NULL;
}

void dma_free_pages(struct device *device, size_t size, struct page *page, dma_addr_t address, enum dma_data_direction direction)
{
	__free_pages(page, get_order(size));
}

struct managed {
	size_t size;
	void *at;
	dma_addr_t address;
};

static void release(struct device *device, void *resource)
{
	struct managed *managed = resource;

	dma_free_attrs(device, managed->size, managed->at, managed->address, 0);
}

static int is_same(struct device *device, void *resource, void *wanted)
{
	return ((struct managed *)resource)->at == wanted;
}

void *dmam_alloc_attrs(struct device *device, size_t size, dma_addr_t *address, gfp_t flags, unsigned long attributes)
{
	struct managed *managed = devres_alloc(release, sizeof(*managed), flags);

	if (!managed)
		return NULL;
	managed->at = dma_alloc_attrs(device, size, address, flags, attributes);
	if (!managed->at) {
		devres_free(managed);
		return NULL;
	}
	managed->size = size;
	managed->address = *address;
	devres_add(device, managed);
	return managed->at;
}

void dmam_free_coherent(struct device *device, size_t size, void *at, dma_addr_t address)
{
	devres_release(device, release, is_same, at);
}

/* Addresses have 32 bits; which of them a device reaches, the IOMMU says. */
static bool is_wide_enough(u64 mask)
{
	const struct airlock_region *region = heap();

	return !region || mask >= (u64)region->iova + region->size_bytes - 1;
}

int dma_supported(struct device *device, u64 mask)
{
	return is_wide_enough(mask);
}

int dma_set_mask(struct device *device, u64 mask)
{
	if (!device->dma_mask || !is_wide_enough(mask))
		return -EIO;
	*device->dma_mask = mask;
	return 0;
}

int dma_set_coherent_mask(struct device *device, u64 mask)
{
	if (!is_wide_enough(mask))
		return -EIO;
	device->coherent_dma_mask = mask;
	return 0;
}

u64 dma_get_required_mask(struct device *device)
{
	return DMA_BIT_MASK(32);
}

size_t dma_max_mapping_size(struct device *device)
{
	return SIZE_MAX;
}

size_t dma_opt_mapping_size(struct device *device)
{
	return SIZE_MAX;
}

bool dma_need_sync(struct device *device, dma_addr_t address)
{
	return emul_dma_copies;
}

unsigned long dma_get_merge_boundary(struct device *device)
{
	return 0;
}

bool dma_can_mmap(struct device *device)
{
	return false;
}

bool dma_pci_p2pdma_supported(struct device *device)
{
	return false;
}

/* A device's registers are no memory of another device. */
dma_addr_t dma_map_resource(struct device *device, phys_addr_t address, size_t size, enum dma_data_direction direction,
			    unsigned long attributes)
{
	return DMA_MAPPING_ERROR;
}

void dma_unmap_resource(struct device *device, dma_addr_t address, size_t size, enum dma_data_direction direction, unsigned long attributes)
{
}
