/* SPDX-License-Identifier: GPL-2.0-only */
/* No page tables; the names that headers use all the same. */
#ifndef _ASM_PGTABLE_H
#define _ASM_PGTABLE_H
#include <asm-generic/pgtable-nopud.h>
#define pgd_present(pgd) (1)
#define pgd_none(pgd) (0)
#define pgd_bad(pgd) (0)
#define pgd_clear(pgd) do { } while (0)
#define pmd_offset(a, b) ((void *)0)
#define PAGE_NONE __pgprot(0)
#define PAGE_SHARED __pgprot(0)
#define PAGE_COPY __pgprot(0)
#define PAGE_READONLY __pgprot(0)
#define PAGE_KERNEL __pgprot(0)
#define VMALLOC_START 0
#define VMALLOC_END 0xfffffffful
#define pgprot_noncached(prot) (prot)
#define pgprot_writecombine(prot) (prot)
#define pgprot_device(prot) (prot)
#define ZERO_PAGE(address) (virt_to_page(airlock_zero_page))
#ifndef __ASSEMBLY__
extern void *airlock_zero_page;
#endif
#endif
