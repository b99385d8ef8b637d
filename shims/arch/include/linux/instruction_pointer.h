/* SPDX-License-Identifier: GPL-2.0-only */
/* WebAssembly has no address of code that data could hold. */
#ifndef _LINUX_INSTRUCTION_POINTER_H
#define _LINUX_INSTRUCTION_POINTER_H
#include <asm/linkage.h>
#define _RET_IP_ 0ul
#define _THIS_IP_ 0ul
#endif
