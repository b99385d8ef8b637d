// SPDX-License-Identifier: GPL-2.0-only
/* Firmware files: there is no file system, so that none is ever found; drivers that can do without it go on. */
#include <linux/device.h>
#include <linux/errno.h>
#include <linux/firmware.h>
#include <linux/slab.h>
#include "emul.h"

struct later {
	struct work_struct work;
	void *context;
	void (*done)(const struct firmware *firmware, void *context);
};

static int not_found(const struct firmware **firmware, const char *name, struct device *device)
{
	*firmware = NULL;
	dev_warn(device, "Direct firmware load for %s failed with error %d\n", name, -ENOENT);
	return -ENOENT;
}

int request_firmware(const struct firmware **firmware, const char *name, struct device *device)
{
	return not_found(firmware, name, device);
}

int request_firmware_direct(const struct firmware **firmware, const char *name, struct device *device)
{
	return not_found(firmware, name, device);
}

int firmware_request_nowarn(const struct firmware **firmware, const char *name, struct device *device)
{
	*firmware = NULL;
	return -ENOENT;
}

int firmware_request_platform(const struct firmware **firmware, const char *name, struct device *device)
{
	return not_found(firmware, name, device);
}

int request_firmware_into_buf(const struct firmware **firmware, const char *name, struct device *device, void *buffer, size_t size)
{
	return not_found(firmware, name, device);
}

int request_partial_firmware_into_buf(const struct firmware **firmware, const char *name, struct device *device, void *buffer, size_t size,
				      size_t offset)
{
	return not_found(firmware, name, device);
}

static void tell(struct work_struct *work)
{
	struct later *later = container_of(work, struct later, work);

	later->done(NULL, later->context);
	kfree(later);
}

/* The answer comes later, as the caller may hold what the answer's function takes. */
int request_firmware_nowait(struct module *module, bool uevent, const char *name, struct device *device, gfp_t flags, void *context,
			    void (*done)(const struct firmware *firmware, void *context))
{
	struct later *later = kzalloc(sizeof(*later), flags);

	if (!later)
		return -ENOMEM;
	later->context = context;
	later->done = done;
	INIT_WORK(&later->work, tell);
	schedule_work(&later->work);
	return 0;
}

void release_firmware(const struct firmware *firmware)
{
}
