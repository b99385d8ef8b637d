/* SPDX-License-Identifier: GPL-2.0-only */
/* Busy waiting on the machine's clock: see emul/delay.c. */
#ifndef _ASM_DELAY_H
#define _ASM_DELAY_H
void airlock_delay_nanos(unsigned long nanos);
void airlock_delay_micros(unsigned long micros);
#define ndelay(nanos) airlock_delay_nanos(nanos)
#define udelay(micros) airlock_delay_micros(micros)
#endif
