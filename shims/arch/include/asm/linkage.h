/* SPDX-License-Identifier: GPL-2.0-only */
/* No calling convention but WebAssembly's. */
#ifndef _ASM_LINKAGE_H
#define _ASM_LINKAGE_H
#endif
