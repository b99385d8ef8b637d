/* SPDX-License-Identifier: GPL-2.0-only */
/* What module headers call the kernel. */
#define UTS_RELEASE "6.1.0-airlock"
