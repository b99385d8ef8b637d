/* SPDX-License-Identifier: GPL-2.0-only */
/* WebAssembly divides 64 bits by itself. */
#ifndef _ASM_DIV64_H
#define _ASM_DIV64_H
#include <linux/types.h>
#define do_div(n, base) ({					\
	uint32_t airlock_base = (base);				\
	uint32_t airlock_rest = (uint64_t)(n) % airlock_base;	\
	(n) = (uint64_t)(n) / airlock_base;			\
	airlock_rest;						\
})
#endif
