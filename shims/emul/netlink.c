// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: how Linux's users speak to its network. Here nobody listens: what drivers tell is built as they build it, and thrown
 * away. Network devices that Linux makes when a user asks are made for the drivers that ask for one themselves.
 */
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/rtnetlink.h>

struct nlmsghdr *__nlmsg_put(struct sk_buff *skb, u32 portid, u32 seq, int type, int length, int flags)
{
	int size = nlmsg_msg_size(length);
	struct nlmsghdr *message = skb_put_zero(skb, NLMSG_ALIGN(size));

	message->nlmsg_type = type;
	message->nlmsg_len = size;
	message->nlmsg_flags = flags;
	message->nlmsg_pid = portid;
	message->nlmsg_seq = seq;
	return message;
}

/* Under a name of its own here: releases of 6.1 differ in what they call constant. */
void emul_rtnl_notify(struct sk_buff *skb, struct net *net, u32 pid, u32 group, const void *about, gfp_t flags) __asm__("rtnl_notify");

void emul_rtnl_notify(struct sk_buff *skb, struct net *net, u32 pid, u32 group, const void *about, gfp_t flags)
{
	kfree_skb(skb);
}

int netlink_broadcast(struct sock *sender, struct sk_buff *skb, u32 portid, u32 group, gfp_t flags)
{
	kfree_skb(skb);
	return -ESRCH;
}

/* Attributes that a user could have given are not there: the device is as its kind sets it up, and is not configured any further. */
struct net_device *rtnl_create_link(struct net *net, const char *name, unsigned char name_type, const struct rtnl_link_ops *kind,
				    struct nlattr *attributes[], struct netlink_ext_ack *reason)
{
	unsigned int transmit = kind->get_num_tx_queues ? kind->get_num_tx_queues() : 1;
	unsigned int receive = kind->get_num_rx_queues ? kind->get_num_rx_queues() : 1;
	struct net_device *device;

	if (kind->alloc)
		device = kind->alloc(attributes, name, name_type, transmit, receive);
	else
		device = alloc_netdev_mqs(kind->priv_size, name, name_type, kind->setup, transmit, receive);
	if (IS_ERR(device))
		return device;
	if (!device)
		return ERR_PTR(-ENOMEM);
	dev_net_set(device, net);
	device->rtnl_link_ops = kind;
	device->rtnl_link_state = RTNL_LINK_INITIALIZED;
	return device;
}
