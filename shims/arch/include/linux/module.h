/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own header, except that any number of modules may be linked together: each adds its calls to the lists. */
#ifndef _AIRLOCK_LINUX_MODULE_H
#define _AIRLOCK_LINUX_MODULE_H
#include_next <linux/module.h>
#ifdef MODULE
#undef module_init
#undef module_exit
#define module_init(fn) AIRLOCK_CALL(airlock_initcalls, fn, AIRLOCK_LEVEL_module)
#define module_exit(fn) AIRLOCK_CALL(airlock_exitcalls, fn, AIRLOCK_LEVEL_module)
#endif
#endif
