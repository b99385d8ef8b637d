// SPDX-License-Identifier: GPL-2.0-only
/*
 * Character devices. Linux opens them for users; here a device's users come through its class, so that numbers are given out and
 * nothing can be opened. What is on the device model is there all the same.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/slab.h>

/* Where Linux begins to give out numbers, too. */
static unsigned int next_major = 234;

int alloc_chrdev_region(dev_t *first, unsigned int minor, unsigned int count, const char *name)
{
	*first = MKDEV(next_major--, minor);
	return 0;
}

int register_chrdev_region(dev_t first, unsigned int count, const char *name)
{
	return 0;
}

void unregister_chrdev_region(dev_t first, unsigned int count)
{
}

int __register_chrdev(unsigned int major, unsigned int minor, unsigned int count, const char *name, const struct file_operations *operations)
{
	return major == 0 ? (int)next_major-- : 0;
}

void __unregister_chrdev(unsigned int major, unsigned int minor, unsigned int count, const char *name)
{
}

void cdev_init(struct cdev *device, const struct file_operations *operations)
{
	memset(device, 0, sizeof(*device));
	INIT_LIST_HEAD(&device->list);
	device->ops = operations;
}

struct cdev *cdev_alloc(void)
{
	struct cdev *device = kzalloc(sizeof(*device), GFP_KERNEL);

	if (device)
		INIT_LIST_HEAD(&device->list);
	return device;
}

int cdev_add(struct cdev *device, dev_t number, unsigned int count)
{
	device->dev = number;
	device->count = count;
	return 0;
}

void cdev_del(struct cdev *device)
{
}

void cdev_set_parent(struct cdev *device, struct kobject *parent)
{
}

int cdev_device_add(struct cdev *character, struct device *device)
{
	return device_add(device);
}

void cdev_device_del(struct cdev *character, struct device *device)
{
	device_del(device);
}
