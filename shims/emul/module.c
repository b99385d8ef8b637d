// SPDX-License-Identifier: GPL-2.0-only
/*
 * Modules: those linked together are started and ended as one. Linux resolves and relocates them when they are loaded; here the
 * linker did, and left lists of what to call and of the parameters, which take their values from the machine file's options.
 */
#include <linux/async.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include "emul.h"
#include "drivers/base/base.h"

/* Devices are registered in the probe, or by work that it queues: firmware, a link's first state. */
#define READY_MOST_MS 2000

/* Where the linker put the lists; none where nothing is in one. */
extern const struct airlock_call __start_airlock_initcalls[] __weak, __stop_airlock_initcalls[] __weak;
extern const struct airlock_call __start_airlock_exitcalls[] __weak, __stop_airlock_exitcalls[] __weak;
extern const struct kernel_param __start___param[] __weak, __stop___param[] __weak;

/* Linux starts all of its buses by name; this one is here only where a driver brings devices to it. */
extern void auxiliary_bus_init(void) __weak;

struct module __this_module = { .state = MODULE_STATE_LIVE, .name = "driver" };

static bool has_levels, is_live;

/* The core is never unloaded, and the driver only as a whole. */
bool try_module_get(struct module *module)
{
	return true;
}

void __module_get(struct module *module)
{
}

void module_put(struct module *module)
{
}

int module_refcount(struct module *module)
{
	return is_live;
}

int __request_module(bool wait, const char *format, ...)
{
	return -ENOENT;
}

static void run_level(int level)
{
	const struct airlock_call *call;

	for (call = __start_airlock_initcalls; call < __stop_airlock_initcalls; call++) {
		int error;

		if (call->level != level)
			continue;
		error = ((initcall_t)call->function)();
		if (error && level == AIRLOCK_LEVEL_module)
			emul_fail(AIRLOCK_FAIL_PROBE, "%s of the driver failed with %pe", call->name, ERR_PTR(error));
		if (error)
			pr_warn("initialization: %s failed with %pe\n", call->name, ERR_PTR(error));
	}
}

static int unknown_option(char *name, char *value, const char *doing, void *argument)
{
	return -ENOENT;
}

static void set_parameters(void)
{
	for (u32 n = 0; n < emul_machine.setup->options; n++) {
		const struct airlock_option *option = &emul_machine.options[n];
		char text[sizeof(option->name) + sizeof(option->value) + 4];
		char *result;

		if (strcmp(option->name, EMUL_OPTION_CHECKING) == 0 || strcmp(option->name, EMUL_OPTION_DELAYS) == 0)
			continue;
		snprintf(text, sizeof(text), "%.*s=\"%.*s\"", (int)sizeof(option->name), option->name, (int)sizeof(option->value), option->value);
		result = parse_args("driver", text, __start___param, __stop___param - __start___param, -1, -1, NULL, unknown_option);
		if (IS_ERR(result))
			emul_fail(AIRLOCK_FAIL_PROBE, "option %s: %s: %pe", option->name,
				  result == ERR_PTR(-ENOENT) ? "the driver has no such parameter" : "the driver does not take this value", result);
	}
}

/* What Linux starts before drivers; once, also when the driver is started again. */
static void run_levels(void)
{
	if (has_levels)
		return;
	has_levels = true;
	emul_quiet = true;
	run_level(AIRLOCK_LEVEL_early);
	devices_init();
	buses_init();
	if (auxiliary_bus_init)
		auxiliary_bus_init();
	classes_init();
	emul_platform_init();
	for (int level = AIRLOCK_LEVEL_early + 1; level < AIRLOCK_LEVEL_module; level++)
		run_level(level);
	emul_quiet = false;
}

static bool is_ready(void)
{
	const struct emul_class *class = emul_class();

	return class && class->is_ready();
}

static bool is_bound(void)
{
	struct device *device = emul_device();

	return device && device->driver;
}

static void wait_until_ready(void)
{
	async_synchronize_full();
	for (int waited = 0; !is_ready() && is_bound() && emul_class() && waited < READY_MOST_MS; waited++)
		msleep(1);
	if (is_ready())
		return;
	if (!is_bound())
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver did not take the device: its probe failed, or it is for another one; its log says more");
	if (!emul_class())
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver took the device, and no class here is for what it registers");
	emul_fail(AIRLOCK_FAIL_PROBE, "the driver took the device, and registered no %s in %d ms", emul_class()->name, READY_MOST_MS);
}

static void start(void *unused)
{
	run_levels();
	set_parameters();
	run_level(AIRLOCK_LEVEL_module);
	wait_until_ready();
	is_live = true;
	emul_put(AIRLOCK_RECORD_READY, 0, 0, NULL, 0);
	emul_open_requests(true);
}

static void end(void *unused)
{
	const struct airlock_call *call = __stop_airlock_exitcalls;

	is_live = false;
	while (call > __start_airlock_exitcalls)
		((exitcall_t)(--call)->function)();
	emul_put(AIRLOCK_RECORD_REMOVED, 0, 0, NULL, 0);
}

static void spawn(void (*function)(void *), const char *name)
{
	struct task_struct *task = emul_spawn(function, NULL, name);

	if (!task)
		emul_fail(AIRLOCK_FAIL_MEMORY, "out of memory: no task for %s", name);
	wake_up_process(task);
}

void emul_modules_init(void)
{
	if (is_live)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "the driver is to start, and runs");
	spawn(start, "modprobe");
}

void emul_modules_exit(void)
{
	if (!is_live)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "the driver is to end, and does not run");
	emul_open_requests(false);
	spawn(end, "rmmod");
}
