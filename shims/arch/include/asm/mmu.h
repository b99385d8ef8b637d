/* SPDX-License-Identifier: GPL-2.0-only */
/* One address space. */
#include <asm-generic/mmu.h>
