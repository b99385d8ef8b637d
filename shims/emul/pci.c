// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI bus: Linux's own, over a bus on which there is one function, the one whose configuration window was granted. Its BARs
 * are answered here: they say where a window lies in this module, which is nothing that a device could know. All else is the
 * trusted side's filter.
 */
#include <linux/init.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/pci.h>
#include "drivers/pci/pci.h"
#include "emul.h"

#define BARS 6
/* Where a window ends at most: the cookies of the next begin there. */
#define MEMORY_MOST (1u << AIRLOCK_WINDOW_SHIFT)
#define PORTS_MOST (1u << AIRLOCK_PORT_SHIFT)
#define PREFETCHABLE PCI_BASE_ADDRESS_MEM_PREFETCH

struct bar {
	u32 value;
	/* Bits that stay zero say its size. */
	u32 writable;
	u32 fixed;
};

/* What Linux has beside its bus: sysfs, and settings of the command line. */
const struct attribute_group *pci_bus_groups[] = { NULL };
const struct attribute_group *pci_dev_groups[] = { NULL };
const struct attribute_group *pcibus_groups[] = { NULL };
const struct device_type pci_dev_type = { .name = "pci" };

static struct bar bars[BARS];
static int config = -1;
static int line = -1;

static u32 config_read(u32 where, u32 width)
{
	return airlock_read(config, where, width);
}

static void set_up_bar(int index)
{
	char name[] = "bar0";
	const struct airlock_window *window;
	struct bar *bar = &bars[index];
	u32 most, size;
	int found;

	name[3] += index;
	found = emul_find_window(name);
	if (found < 0 || found >= AIRLOCK_WINDOWS_MOST)
		return;
	window = &emul_machine.windows[found];
	most = window->is_ports ? PORTS_MOST : MEMORY_MOST;
	if (window->size_bytes > most)
		pr_warn("%s has %u bytes; the first %u of them can be used\n", name, window->size_bytes, most);
	size = roundup_pow_of_two(min(max(window->size_bytes, 16u), most));
	bar->writable = ~(size - 1);
	if (window->is_ports) {
		bar->fixed = PCI_BASE_ADDRESS_SPACE_IO;
		bar->value = emul_window_port(found);
	} else {
		/* All of them have 32 bits here, also where the device has more. */
		bar->fixed = config_read(PCI_BASE_ADDRESS_0 + index * 4, 32) & PREFETCHABLE;
		bar->value = emul_window_cookie(found);
	}
}

static u32 part(u32 value, int where, int size)
{
	return size == 4 ? value : (value >> (where & 3) * 8) & ((1u << size * 8) - 1);
}

static int read_config(struct pci_bus *bus, unsigned int function, int where, int size, u32 *value)
{
	u32 width = size * 8;

	if (function != 0 || where < 0 || where + size > (int)emul_machine.windows[config].size_bytes) {
		*value = ~0u;
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	if (where >= PCI_BASE_ADDRESS_0 && where < PCI_BASE_ADDRESS_0 + BARS * 4) {
		const struct bar *bar = &bars[(where - PCI_BASE_ADDRESS_0) / 4];

		*value = part((bar->value & bar->writable) | bar->fixed, where, size);
	} else if ((where & ~3) == PCI_ROM_ADDRESS) {
		*value = 0;
	} else if (where == PCI_INTERRUPT_LINE && size == 1) {
		*value = line < 0 ? 0 : emul_irq_number(line);
	} else {
		*value = config_read(where, width);
	}
	return PCIBIOS_SUCCESSFUL;
}

static int write_config(struct pci_bus *bus, unsigned int function, int where, int size, u32 value)
{
	if (function != 0 || where < 0 || where + size > (int)emul_machine.windows[config].size_bytes)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (where >= PCI_BASE_ADDRESS_0 && where < PCI_BASE_ADDRESS_0 + BARS * 4) {
		if (size == 4)
			bars[(where - PCI_BASE_ADDRESS_0) / 4].value = value;
	} else if ((where & ~3) != PCI_ROM_ADDRESS && where != PCI_INTERRUPT_LINE) {
		airlock_write(config, where, size * 8, value);
	}
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops operations = { .read = read_config, .write = write_config };

/* The line is known without asking the bus. */
void pci_assign_irq(struct pci_dev *device)
{
	device->irq = line < 0 ? 0 : emul_irq_number(line);
}

static void claim(struct pci_dev *device)
{
	for (int n = 0; n < PCI_STD_NUM_BARS; n++)
		if (device->resource[n].flags && device->resource[n].start)
			pci_claim_resource(device, n);
}

static int __init scan(void)
{
	struct pci_dev *device;
	LIST_HEAD(resources);
	struct pci_bus *bus;

	config = emul_find_window("config");
	if (config < 0)
		return 0;
	line = emul_find_irq("intx");
	for (int n = 0; n < BARS; n++)
		set_up_bar(n);
	/* Linux takes it from its devices at the end of its start; drivers that want Memory Write and Invalidate fail without. */
	pci_cache_line_size = pci_dfl_cache_line_size;
	pci_add_resource(&resources, &ioport_resource);
	pci_add_resource(&resources, &iomem_resource);
	bus = pci_scan_root_bus(NULL, 0, &operations, NULL, &resources);
	device = bus ? pci_get_slot(bus, 0) : NULL;
	if (!device)
		emul_fail(AIRLOCK_FAIL_PROBE, "there is no PCI function behind the configuration window");
	claim(device);
	pci_assign_irq(device);
	emul_dma_set_up(&device->dev);
	emul_set_device(&device->dev);
	pci_bus_add_devices(bus);
	return 0;
}
/* The bus is registered at level 2, and drivers after all levels. */
subsys_initcall(scan);
