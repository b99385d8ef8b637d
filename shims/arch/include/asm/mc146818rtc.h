/* SPDX-License-Identifier: GPL-2.0-only */
/* The PC's clock chip: index and data port of the first port window, wherever that was laid. */
#ifndef _ASM_MC146818RTC_H
#define _ASM_MC146818RTC_H
#include <asm/io.h>
unsigned long airlock_first_port(void);
#define RTC_PORT(x) (airlock_first_port() + (x))
#define RTC_ALWAYS_BCD 1
#define CMOS_READ(at) ({ outb_p((at), RTC_PORT(0)); inb_p(RTC_PORT(1)); })
#define CMOS_WRITE(value, at) ({ outb_p((at), RTC_PORT(0)); outb_p((value), RTC_PORT(1)); })
#define RTC_IRQ 1
#endif
