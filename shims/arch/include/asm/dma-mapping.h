/* SPDX-License-Identifier: GPL-2.0-only */
/* There is one way to map, in emul/dma.c; no device brings operations of its own. */
#ifndef _ASM_DMA_MAPPING_H
#define _ASM_DMA_MAPPING_H
#define get_arch_dma_ops(bus) NULL
#endif
