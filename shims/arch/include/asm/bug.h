/* SPDX-License-Identifier: GPL-2.0-only */
/* BUG() ends the module and says where; WARN() logs. See emul/fail.c. */
#ifndef _ASM_BUG_H
#define _ASM_BUG_H
#ifndef __ASSEMBLY__
void airlock_bug(const char *file, int line, const char *function) __attribute__((noreturn, cold));
#define HAVE_ARCH_BUG
#define BUG() airlock_bug(__FILE__, __LINE__, __func__)
#define __BUG_FLAGS(flags) do { } while (0)
#endif
#include <asm-generic/bug.h>
#endif
