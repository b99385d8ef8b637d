// SPDX-License-Identifier: GPL-2.0-only
/* Per-processor memory of one processor is memory. */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>

void __percpu *__alloc_percpu_gfp(size_t size, size_t align, gfp_t flags)
{
	return (void __percpu *)kzalloc(size, flags);
}

void __percpu *__alloc_percpu(size_t size, size_t align)
{
	return __alloc_percpu_gfp(size, align, GFP_KERNEL);
}

void free_percpu(void __percpu *at)
{
	kfree((void *)at);
}

int __cpuhp_setup_state(enum cpuhp_state state, const char *name, bool invoke, int (*startup)(unsigned int),
			int (*teardown)(unsigned int), bool multi)
{
	return 0;
}

int __cpuhp_setup_state_cpuslocked(enum cpuhp_state state, const char *name, bool invoke, int (*startup)(unsigned int),
				   int (*teardown)(unsigned int), bool multi)
{
	return 0;
}

void __cpuhp_remove_state(enum cpuhp_state state, bool invoke)
{
}

int __cpuhp_state_add_instance(enum cpuhp_state state, struct hlist_node *node, bool invoke)
{
	return 0;
}

int __cpuhp_state_remove_instance(enum cpuhp_state state, struct hlist_node *node, bool invoke)
{
	return 0;
}

struct cpumask __cpu_possible_mask = { { 1 } };
struct cpumask __cpu_online_mask = { { 1 } };
struct cpumask __cpu_present_mask = { { 1 } };
struct cpumask __cpu_active_mask = { { 1 } };
const DECLARE_BITMAP(cpu_all_bits, NR_CPUS) = { 1 };
const unsigned long cpu_bit_bitmap[BITS_PER_LONG + 1][BITS_TO_LONGS(NR_CPUS)] = { [1] = { 1 } };

int smp_call_function_single(int cpu, smp_call_func_t function, void *info, int wait)
{
	function(info);
	return 0;
}

int smp_call_function_single_async(int cpu, struct __call_single_data *data)
{
	data->func(data->info);
	return 0;
}

void on_each_cpu_cond_mask(smp_cond_func_t condition, smp_call_func_t function, void *info, bool wait, const struct cpumask *mask)
{
	if (!condition || condition(0, info))
		function(info);
}
