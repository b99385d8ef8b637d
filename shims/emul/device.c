// SPDX-License-Identifier: GPL-2.0-only
/* The device that the driver is for: the machine has no other. */
#include <linux/device.h>
#include "emul.h"

static struct device *the_device;

void emul_set_device(struct device *device)
{
	the_device = device;
}

struct device *emul_device(void)
{
	return the_device;
}
