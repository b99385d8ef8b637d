/* SPDX-License-Identifier: GPL-2.0-only */
/* Alignment of what is used by one processor alone; smaller than any real one, because memory is what a sandbox is short of. */
#ifndef _ASM_CACHE_H
#define _ASM_CACHE_H
#define L1_CACHE_SHIFT 5
#define L1_CACHE_BYTES (1 << L1_CACHE_SHIFT)
#endif
