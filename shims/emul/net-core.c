// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Linux's network core stands on: the lock of configuration, and namespaces. Linux has any number of namespaces, which
 * come and go; here there is the first one, which nothing leaves. Nobody listens to netlink, and there is no loopback.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/mutex.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/stringhash.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/sock.h>
#include "net.h"

/* Subsystems with a place of their own in the namespace; those of Linux that drivers bring are a handful. */
#define MAX_PERNET_IDS 32

/* Linux's header has it for its own files only: the end of a change, which is when devices that were unregistered go. */
void netdev_run_todo(void);

static DEFINE_MUTEX(rtnl_mutex);
static struct sk_buff *freed_later;

void rtnl_lock(void)
{
	mutex_lock(&rtnl_mutex);
}

int rtnl_lock_killable(void)
{
	return mutex_lock_killable(&rtnl_mutex);
}

int rtnl_trylock(void)
{
	return mutex_trylock(&rtnl_mutex);
}

int rtnl_is_locked(void)
{
	return mutex_is_locked(&rtnl_mutex);
}

bool refcount_dec_and_rtnl_lock(refcount_t *count)
{
	return refcount_dec_and_mutex_lock(count, &rtnl_mutex);
}

void rtnl_kfree_skbs(struct sk_buff *head, struct sk_buff *tail)
{
	if (!head || !tail)
		return;
	tail->next = freed_later;
	freed_later = head;
}

void __rtnl_unlock(void)
{
	struct sk_buff *skb = freed_later;

	freed_later = NULL;
	mutex_unlock(&rtnl_mutex);
	kfree_skb_list(skb);
}

void rtnl_unlock(void)
{
	netdev_run_todo();
}

struct net init_net;
LIST_HEAD(net_namespace_list);
DECLARE_RWSEM(net_rwsem);
DECLARE_RWSEM(pernet_ops_rwsem);
struct pernet_operations loopback_net_ops;
static unsigned int next_id;

static void __init set_up_namespace(void)
{
	struct net_generic *generic = kzalloc(struct_size(generic, ptr, MAX_PERNET_IDS), GFP_KERNEL | __GFP_NOFAIL);

	generic->s.len = MAX_PERNET_IDS;
	init_net.gen = generic;
	next_id = DIV_ROUND_UP(sizeof(generic->s), sizeof(generic->ptr[0]));
	refcount_set(&init_net.passive, 1);
	refcount_set(&init_net.ns.count, 1);
	idr_init(&init_net.netns_ids);
	spin_lock_init(&init_net.nsid_lock);
	list_add_tail(&init_net.list, &net_namespace_list);
}

static int add_to_namespace(struct pernet_operations *ops)
{
	if (ops->id) {
		if (next_id >= MAX_PERNET_IDS)
			return -ENOSPC;
		*ops->id = next_id++;
		if (ops->size) {
			void *own = kzalloc(ops->size, GFP_KERNEL);

			if (!own)
				return -ENOMEM;
			init_net.gen->ptr[*ops->id] = own;
		}
	}
	return ops->init ? ops->init(&init_net) : 0;
}

static void remove_from_namespace(struct pernet_operations *ops)
{
	LIST_HEAD(nets);

	if (ops->pre_exit)
		ops->pre_exit(&init_net);
	if (ops->exit)
		ops->exit(&init_net);
	if (ops->exit_batch) {
		list_add(&init_net.exit_list, &nets);
		ops->exit_batch(&nets);
	}
	if (ops->id && ops->size) {
		kfree(init_net.gen->ptr[*ops->id]);
		init_net.gen->ptr[*ops->id] = NULL;
	}
}

int register_pernet_subsys(struct pernet_operations *ops)
{
	return add_to_namespace(ops);
}

int register_pernet_device(struct pernet_operations *ops)
{
	return add_to_namespace(ops);
}

void unregister_pernet_subsys(struct pernet_operations *ops)
{
	remove_from_namespace(ops);
}

void unregister_pernet_device(struct pernet_operations *ops)
{
	remove_from_namespace(ops);
}

/* The first namespace is nobody's to give back. */
void __put_net(struct net *net)
{
}

/* The hash of names, which Linux has with its file systems. */
unsigned int full_name_hash(const void *salt, const char *name, unsigned int length)
{
	unsigned long hash = init_name_hash(salt);

	while (length--)
		hash = partial_name_hash((unsigned char)*name++, hash);
	return end_name_hash(hash);
}

/* Programs of users, and what they look at: there are none. */
DEFINE_STATIC_KEY_FALSE(memalloc_socks_key);
DEFINE_STATIC_KEY_FALSE(bpf_stats_enabled_key);
DEFINE_STATIC_KEY_FALSE(bpf_master_redirect_enabled_key);
DEFINE_PER_CPU(struct bpf_redirect_info, bpf_redirect_info);
int sysctl_tstamp_allow_data = 1;

static int __init net_core_start(void)
{
	set_up_namespace();
	/* Linux does this when it registers sockets. */
	skb_init();
	return 0;
}
pure_initcall(net_core_start);

/* After Linux's own core, and before the glue of other classes: a network card with a clock is a network card. */
static int __init net_class_start(void)
{
	emul_net_init();
	return 0;
}
fs_initcall(net_class_start);
