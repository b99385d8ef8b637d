/* SPDX-License-Identifier: GPL-2.0-only */
/* vmalloc is an allocation of whole pages: see emul/pages.c. */
#ifndef _ASM_VMALLOC_H
#define _ASM_VMALLOC_H
#endif
