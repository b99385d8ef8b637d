/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One processor needs no order between its own accesses. What a read that nobody waited for pushed out is waited for before memory is
 * looked at, which the device may have written by then.
 */
#ifndef _ASM_BARRIER_H
#define _ASM_BARRIER_H

#include <linux/compiler.h>

/* emul/io.c */
void airlock_io_settle(void);

#define mb() do { barrier(); airlock_io_settle(); } while (0)
#define rmb() mb()
#define wmb() barrier()

/* A register's value has been waited for where it is used. */
#define __io_ar(value) barrier()

#include <asm-generic/barrier.h>

#endif
