/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic one does. */
#include <asm-generic/cmpxchg.h>
