/* SPDX-License-Identifier: GPL-2.0-only */
/* Constants that the kernel's build computes from its headers; the compiler checks them in emul/pages.c. */
#ifndef __LINUX_BOUNDS_H__
#define __LINUX_BOUNDS_H__
#define NR_PAGEFLAGS 21
#define MAX_NR_ZONES 2
#define NR_CPUS_BITS 0
#define SPINLOCK_SIZE 0
#define LRU_GEN_WIDTH 0
#define __LRU_REFS_WIDTH 0
#endif
