/* SPDX-License-Identifier: GPL-2.0-only */
/* The compiler knows how. */
#include <asm-generic/swab.h>
