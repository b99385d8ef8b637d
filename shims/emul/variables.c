// SPDX-License-Identifier: GPL-2.0-only
/*
 * Variables of files that are not part of the core, which others look at: switches that are off, lists of names for printing that
 * are empty, and sysfs, of which there is nothing.
 */
#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/trace_events.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <generated/utsrelease.h>
#include <net/arp.h>
#include <net/route.h>
#include <net/pkt_sched.h>

bool initcall_debug;
bool static_key_initialized = true;
struct kobject *kernel_kobj;

/* What drivers call the system where they say whose they are. */
struct uts_namespace init_uts_ns = { .name = { .sysname = "Linux", .release = UTS_RELEASE, .machine = "wasm32" } };

/* The one user there is. */
struct user_namespace init_user_ns = { .level = 0 };

const struct trace_print_flags pageflag_names[] = { { 0, NULL } };
const struct trace_print_flags gfpflag_names[] = { { 0, NULL } };
const struct trace_print_flags vmaflag_names[] = { { 0, NULL } };

/* Where constants are is not known; whoever asks wants to know whether to free one, which virt_addr_valid tells better. */
char __start_rodata[1];
extern char __end_rodata[1] __attribute__((alias("__start_rodata")));

/* The allocator clears what it is told to. */
DEFINE_STATIC_KEY_FALSE(init_on_alloc);
DEFINE_STATIC_KEY_FALSE(init_on_free);

/* Neighbours, of which there are none: drivers of switches look whether one that changed is of this table. */
struct neigh_table arp_tbl;

/* Priorities for a packet's type of service, 4 bits: low delay, high throughput, reliable, cheap. */
#define PRIORITIES(base) base, base, base, base
const __u8 ip_tos2prio[16] = {
	PRIORITIES(TC_PRIO_BESTEFFORT), PRIORITIES(TC_PRIO_BULK), PRIORITIES(TC_PRIO_INTERACTIVE), PRIORITIES(TC_PRIO_INTERACTIVE_BULK),
};
