/* SPDX-License-Identifier: GPL-2.0-only */
/* There are no system calls; their numbers only have to exist. */
#include <asm-generic/unistd.h>
