/* SPDX-License-Identifier: GPL-2.0-only */
/* Conversions for HZ = 1000, which are all trivial or a factor of 1000. */
#ifndef KERNEL_TIMECONST_H
#define KERNEL_TIMECONST_H
#include <linux/param.h>
#include <linux/types.h>
#if HZ != 1000
#error "these constants are for HZ = 1000"
#endif
#define HZ_TO_MSEC_MUL32 0x80000000u
#define HZ_TO_MSEC_ADJ32 0u
#define HZ_TO_MSEC_SHR32 31
#define MSEC_TO_HZ_MUL32 0x80000000u
#define MSEC_TO_HZ_ADJ32 0u
#define MSEC_TO_HZ_SHR32 31
#define HZ_TO_MSEC_NUM 1
#define HZ_TO_MSEC_DEN 1
#define MSEC_TO_HZ_NUM 1
#define MSEC_TO_HZ_DEN 1
#define HZ_TO_USEC_MUL32 0xfa000000ull
#define HZ_TO_USEC_ADJ32 0ull
#define HZ_TO_USEC_SHR32 22
#define USEC_TO_HZ_MUL32 0x83126e98ull
#define USEC_TO_HZ_ADJ32 0x7fbe76c8b43958ull
#define USEC_TO_HZ_SHR32 41
#define HZ_TO_USEC_NUM 1000
#define HZ_TO_USEC_DEN 1
#define USEC_TO_HZ_NUM 1
#define USEC_TO_HZ_DEN 1000
#define HZ_TO_NSEC_NUM 1000000
#define HZ_TO_NSEC_DEN 1
#define NSEC_TO_HZ_NUM 1
#define NSEC_TO_HZ_DEN 1000000
#endif
