// SPDX-License-Identifier: GPL-2.0-only
/* Copies of strings and memory. Linux has them beside its system calls for memory, of which there are none here. */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *copy(const char *from, size_t length, gfp_t flags)
{
	char *to = kmalloc(length + 1, flags);

	if (!to)
		return NULL;
	memcpy(to, from, length);
	to[length] = 0;
	return to;
}

char *kstrdup(const char *text, gfp_t flags)
{
	return text ? copy(text, strlen(text), flags) : NULL;
}

char *kstrndup(const char *text, size_t most, gfp_t flags)
{
	return text ? copy(text, strnlen(text, most), flags) : NULL;
}

char *kmemdup_nul(const char *text, size_t length, gfp_t flags)
{
	return text ? copy(text, length, flags) : NULL;
}

void *kmemdup(const void *from, size_t size, gfp_t flags)
{
	void *to = kmalloc(size, flags);

	if (to)
		memcpy(to, from, size);
	return to;
}

/* What lies in the heap was allocated; anything else is the module's own data, and stays. */
const char *kstrdup_const(const char *text, gfp_t flags)
{
	return text && virt_addr_valid(text) ? kstrdup(text, flags) : text;
}

void kfree_const(const void *text)
{
	if (virt_addr_valid(text))
		kfree(text);
}

/* There is no other memory that a user could have. */
void *memdup_user(const void __user *from, size_t size)
{
	void *to = kmemdup((const void *)from, size, GFP_KERNEL);

	return to ? to : ERR_PTR(-ENOMEM);
}
