/* SPDX-License-Identifier: GPL-2.0-only */
/* What does not hold is logged with its line and counted, and the rest is tried all the same. */
#ifndef SELFTEST_CHECK_H
#define SELFTEST_CHECK_H

#include <linux/printk.h>
#include <linux/types.h>

static int checks, failures;

static void check(bool holds, int line, const char *what)
{
	checks++;
	if (holds)
		return;
	failures++;
	pr_err(KBUILD_MODNAME ": line %d does not hold: %s\n", line, what);
}

#define CHECK(condition) check(condition, __LINE__, #condition)

#endif
