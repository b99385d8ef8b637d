/* SPDX-License-Identifier: GPL-2.0-only */
/* memcpy and its like are one instruction each: see emul/string.c. The rest is lib/string.c. */
#ifndef _ASM_STRING_H
#define _ASM_STRING_H
#define __HAVE_ARCH_MEMCPY
#define __HAVE_ARCH_MEMMOVE
#define __HAVE_ARCH_MEMSET
void *memcpy(void *to, const void *from, __kernel_size_t count);
void *memmove(void *to, const void *from, __kernel_size_t count);
void *memset(void *to, int value, __kernel_size_t count);
#endif
