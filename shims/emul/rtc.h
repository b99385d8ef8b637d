/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the rtc class know of each other. The clock's timers are Linux's, from drivers/rtc. */
#ifndef AIRLOCK_EMUL_RTC_H
#define AIRLOCK_EMUL_RTC_H

#include <linux/rtc.h>
#include "contracts.h"
#include "emul.h"

/* rtc.c: the driver's clock; it has no operations before it is registered, and none after it went */
extern struct rtc_device *emul_rtc;
/* Ends the module when the driver failed at what only a broken device refuses. */
void emul_rtc_check(int error, const char *what);
time64_t emul_rtc_read(void);
/* One thing after the other is done with the clock, by requests and by its own interrupts. */
extern struct mutex emul_rtc_lock;

/* rtc-events.c; under the lock */
void emul_rtc_events_begin(void);
void emul_rtc_events_end(void);
void emul_rtc_set_alarm(const struct airlock_rtc_set_alarm_args *time);
void emul_rtc_clear_alarm(void);
void emul_rtc_set_updates(bool on);
void emul_rtc_set_periodic(u32 rate);
/* What was set for a time of the clock is set for another now. */
void emul_rtc_was_set(void);

#endif
