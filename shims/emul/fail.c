// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ways a module ends itself. Linux would print a call trace and go on, or stop the machine; here every one of them ends the
 * module with a text, and the trusted side takes the trace from the WebAssembly stack.
 */
#include <linux/bug.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include "emul.h"

#define TEXT_BYTES 512

static void fail_text(u32 why, const char *prefix, const char *format, va_list args) __attribute__((noreturn));
static void fail_text(u32 why, const char *prefix, const char *format, va_list args)
{
	static char text[TEXT_BYTES];
	int length = scnprintf(text, sizeof(text), "%s", prefix);

	length += vscnprintf(text + length, sizeof(text) - length, format, args);
	while (length > 0 && text[length - 1] == '\n')
		length--;
	airlock_fail(why, text, length);
}

void emul_fail(u32 why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_text(why, "", format, args);
}

void airlock_bug(const char *file, int line, const char *function)
{
	emul_fail(AIRLOCK_FAIL_BUG, "kernel BUG at %s:%d in %s()", file, line, function);
}

void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_text(AIRLOCK_FAIL_BUG, "Kernel panic: ", format, args);
}

void nmi_panic(struct pt_regs *regs, const char *text)
{
	panic("%s", text);
}

/* WARN is not the end, as in Linux without panic_on_warn. */
void warn_slowpath_fmt(const char *file, const int line, unsigned int taint, const char *format, ...)
{
	struct va_format text;
	va_list args;

	va_start(args, format);
	text.fmt = format;
	text.va = &args;
	if (format)
		_printk(KERN_WARNING "WARNING at %s:%d: %pV", file, line, &text);
	else
		_printk(KERN_WARNING "WARNING at %s:%d\n", file, line);
	va_end(args);
}

void __warn_printk(const char *format, ...)
{
	struct va_format text;
	va_list args;

	va_start(args, format);
	text.fmt = format;
	text.va = &args;
	_printk(KERN_WARNING "WARNING: %pV", &text);
	va_end(args);
}

void __copy_overflow(int size, unsigned long count)
{
	_printk(KERN_WARNING "WARNING: a copy of %lu bytes to or from a variable of %d\n", count, size);
}

/* Traces are taken outside, where the names and lines are. */
void dump_stack(void)
{
}

void dump_stack_lvl(const char *level)
{
}

void add_taint(unsigned int flag, enum lockdep_ok ok)
{
}

int test_taint(unsigned int flag)
{
	return 0;
}

unsigned long get_taint(void)
{
	return 0;
}

enum system_states system_state = SYSTEM_RUNNING;
int oops_in_progress;
int panic_timeout;
int panic_on_warn;
unsigned long panic_on_taint;
ATOMIC_NOTIFIER_HEAD(panic_notifier_list);
