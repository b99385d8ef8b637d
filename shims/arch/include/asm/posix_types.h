/* SPDX-License-Identifier: GPL-2.0-only */
/* The compiler's size_t for wasm32 is unsigned long. */
#ifndef _ASM_POSIX_TYPES_H
#define _ASM_POSIX_TYPES_H
typedef unsigned long __kernel_size_t;
typedef long __kernel_ssize_t;
typedef int __kernel_ptrdiff_t;
#define __kernel_size_t __kernel_size_t
#include <asm-generic/posix_types.h>
#endif
