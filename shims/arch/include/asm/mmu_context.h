/* SPDX-License-Identifier: GPL-2.0-only */
/* One address space. */
#ifndef _ASM_MMU_CONTEXT_H
#define _ASM_MMU_CONTEXT_H
#include <asm-generic/mmu_context.h>
#include <asm-generic/nommu_context.h>
#endif
