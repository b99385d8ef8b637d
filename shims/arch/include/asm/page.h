/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory is flat; its page array covers the heap only, and its first page is the heap's. */
#ifndef _ASM_PAGE_H
#define _ASM_PAGE_H
#ifndef __ASSEMBLY__
extern unsigned long airlock_first_pfn;
#define ARCH_PFN_OFFSET airlock_first_pfn
#endif
#include <asm-generic/page.h>
#ifndef __ASSEMBLY__
#undef virt_addr_valid
/* The heap: what has a struct page. */
#define virt_addr_valid(at) pfn_valid(virt_to_pfn(at))
#endif
#endif
