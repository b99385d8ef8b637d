/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's own header, except that functions to call at start and end are listed in sections whose names are C
 * identifiers: the linker makes symbols of where such a section begins and ends, and of no other.
 */
#ifndef _AIRLOCK_LINUX_INIT_H
#define _AIRLOCK_LINUX_INIT_H
#include_next <linux/init.h>
#ifndef __ASSEMBLY__

/* One function of a list; called by level, then in the order of the link. */
struct airlock_call {
	void *function;
	const char *name;
	int level;
};

#define AIRLOCK_LEVEL_early 0
#define AIRLOCK_LEVEL_0 1
#define AIRLOCK_LEVEL_0s 2
#define AIRLOCK_LEVEL_1 3
#define AIRLOCK_LEVEL_1s 4
#define AIRLOCK_LEVEL_2 5
#define AIRLOCK_LEVEL_2s 6
#define AIRLOCK_LEVEL_3 7
#define AIRLOCK_LEVEL_3s 8
#define AIRLOCK_LEVEL_4 9
#define AIRLOCK_LEVEL_4s 10
#define AIRLOCK_LEVEL_5 11
#define AIRLOCK_LEVEL_5s 12
#define AIRLOCK_LEVEL_rootfs 13
#define AIRLOCK_LEVEL_6 14
#define AIRLOCK_LEVEL_6s 15
#define AIRLOCK_LEVEL_7 16
#define AIRLOCK_LEVEL_7s 17
/* A module's own: after everything that it may be built upon. */
#define AIRLOCK_LEVEL_module 18

#define AIRLOCK_CALL(list, fn, number)								\
	static const struct airlock_call __UNIQUE_ID(list) __used				\
		__attribute__((retain, section(#list))) = { (void *)(fn), #fn, number };

#undef __define_initcall
#ifdef AIRLOCK_NO_INITCALLS
/* Files of the core of which only functions are wanted: see core.txt. */
#define __define_initcall(fn, id)
#else
#define __define_initcall(fn, id) AIRLOCK_CALL(airlock_initcalls, fn, AIRLOCK_LEVEL_##id)
#endif
#undef console_initcall
#define console_initcall(fn) AIRLOCK_CALL(airlock_initcalls, fn, AIRLOCK_LEVEL_early)
#undef __exitcall
#define __exitcall(fn)
#undef __setup_param
#define __setup_param(str, unique_id, fn, early)						\
	static int (*__UNIQUE_ID(setup))(char *) __maybe_unused = (void *)(fn);
#endif
#endif
