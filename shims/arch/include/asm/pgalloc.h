/* SPDX-License-Identifier: GPL-2.0-only */
/* No page tables. */
#ifndef _ASM_PGALLOC_H
#define _ASM_PGALLOC_H
#endif
