// SPDX-License-Identifier: GPL-2.0-only
/*
 * The platform bus: Linux's own. What is not on PCI is a platform device with the machine's windows and lines as its resources.
 * Its name would come from a board file; here the driver was chosen by the machine file, so that whatever the module registers is
 * meant for it: the device matches every driver, and is of the first kind that the driver's table has.
 */
#include <linux/init.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mod_devicetable.h>
#include <linux/platform_device.h>
#include "emul.h"
#include "drivers/base/base.h"

/* 16 windows and some lines. */
#define RESOURCES_MOST 32

static struct platform_device *the_device;
static int (*linux_match)(struct device *device, struct device_driver *driver);

static int match(struct device *device, struct device_driver *driver)
{
	struct platform_device *platform = to_platform_device(device);
	struct platform_driver *its = to_platform_driver(driver);

	if (platform != the_device)
		return linux_match(device, driver);
	if (its->id_table && its->id_table[0].name[0]) {
		platform->id_entry = its->id_table;
		platform->name = its->id_table[0].name;
	} else {
		platform->name = driver->name;
	}
	return 1;
}

static u32 list_resources(struct resource *resources)
{
	u32 count = 0;

	for (u32 n = 0; n < emul_machine.setup->windows && n < AIRLOCK_WINDOWS_MOST; n++) {
		const struct airlock_window *window = &emul_machine.windows[n];
		unsigned long start = window->is_ports ? emul_window_port(n) : emul_window_cookie(n);

		resources[count++] = (struct resource){
			.name = window->name, .start = start, .end = start + window->size_bytes - 1,
			.flags = window->is_ports ? IORESOURCE_IO : IORESOURCE_MEM,
		};
	}
	for (u32 n = 0; n < emul_machine.setup->irqs && count < RESOURCES_MOST; n++) {
		unsigned int irq = emul_irq_number(n);

		resources[count++] = (struct resource){ .name = emul_machine.irqs[n].name, .start = irq, .end = irq, .flags = IORESOURCE_IRQ };
	}
	return count;
}

void emul_platform_init(void)
{
	static struct resource resources[RESOURCES_MOST];
	u32 count;

	platform_bus_init();
	linux_match = platform_bus_type.match;
	platform_bus_type.match = match;
	if (emul_find_window("config") >= 0)
		return;
	count = list_resources(resources);
	the_device = platform_device_alloc("device", PLATFORM_DEVID_NONE);
	if (!the_device || platform_device_add_resources(the_device, resources, count) || platform_device_add(the_device))
		emul_fail(AIRLOCK_FAIL_PROBE, "the device could not be made");
	emul_dma_set_up(&the_device->dev);
	emul_set_device(&the_device->dev);
}
