/* SPDX-License-Identifier: GPL-2.0-only */
/* No signals are delivered. */
#ifndef _ASM_SIGCONTEXT_H
#define _ASM_SIGCONTEXT_H
struct sigcontext { unsigned long unused; };
#endif
