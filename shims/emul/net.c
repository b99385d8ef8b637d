// SPDX-License-Identifier: GPL-2.0-only
/*
 * The net class over Linux's network core: finds the interface that the driver registers, and answers for it. Linux's users of an
 * interface are protocols; here it is the class alone, through the core's own functions and below its own locks.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include "net.h"

/* What would change frames between the wire and the class: put together, taken apart, tags cut off, or filtered by tag. */
#define UNWANTED_FEATURES (NETIF_F_GRO | NETIF_F_GRO_HW | NETIF_F_LRO | NETIF_F_HW_VLAN_CTAG_RX | NETIF_F_HW_VLAN_STAG_RX |	\
			   NETIF_F_HW_VLAN_CTAG_FILTER | NETIF_F_HW_VLAN_STAG_FILTER | NETIF_F_RXALL | NETIF_F_RXFCS)
/* The class's largest payload, and the smallest that it asks about. */
#define MOST_MTU 9216
#define LEAST_MTU ETH_MIN_MTU
/* Frames of 1500 bytes that a card at 10 Mbit/s sends in 40 ms, and one whose bytes go through a port in a second. */
#define SHALLOW_DEPTH 32

struct net_device *emul_netdev;
static const struct airlock_region *buffers;

static void find_buffers(void)
{
	for (u32 n = 0; n < emul_machine.setup->regions; n++)
		if (emul_machine.regions[n].is_buffers)
			buffers = &emul_machine.regions[n];
}

void *emul_net_buffer(u32 iova_low, u32 iova_high, u32 bytes)
{
	u32 offset;

	if (!buffers)
		find_buffers();
	if (!buffers)
		emul_bad_request("a frame in a buffer, and there are none");
	offset = iova_low - buffers->iova;
	if (iova_high != 0 || iova_low < buffers->iova || offset > buffers->size_bytes || bytes > buffers->size_bytes - offset)
		emul_bad_request("a frame outside of the buffers");
	return (void *)(buffers->address + offset);
}

void emul_net_sync(const void *buffer, u32 bytes, bool to_device)
{
	if (!buffers->is_shared)
		airlock_sync(buffers - emul_machine.regions, (u32)buffer - buffers->address, bytes, to_device);
}

/*
 * As many frames as the driver has descriptors for. One that does not say has few or none, and its device may be slow: what is
 * given to it at once has to be gone before the class's deadline.
 */
static u32 transmit_depth(struct net_device *dev)
{
	const struct ethtool_ops *operations = dev->ethtool_ops;
	struct kernel_ethtool_ringparam more = { 0 };
	struct ethtool_ringparam rings = { 0 };

	if (operations && operations->get_ringparam)
		operations->get_ringparam(dev, &rings, &more, NULL);
	return rings.tx_pending ? min_t(u32, rings.tx_pending, EMUL_NET_DEPTH) : SHALLOW_DEPTH;
}

static u64 mac_number(const u8 *address)
{
	u64 number = 0;

	for (int n = 0; n < ETH_ALEN; n++)
		number = number << 8 | address[n];
	return number;
}

static void identify(u32 tag)
{
	struct airlock_net_identify_reply reply = {
		.mac = mac_number(emul_netdev->perm_addr),
		.max_mtu = clamp_t(unsigned int, emul_netdev->max_mtu ?: MOST_MTU, LEAST_MTU, MOST_MTU),
		.transmit_depth = transmit_depth(emul_netdev),
		.receive_depth = EMUL_NET_DEPTH,
	};

	emul_reply(AIRLOCK_NET_IDENTIFY, tag, &reply, sizeof(reply));
}

static void configure(u32 tag, const u8 *payload, u32 bytes)
{
	const struct airlock_net_configure_args *wanted = (const void *)payload;

	if (bytes < sizeof(*wanted) || bytes != sizeof(*wanted) + wanted->multicast_bytes || wanted->multicast_bytes % ETH_ALEN != 0 ||
	    wanted->multicast_bytes > ETH_ALEN * AIRLOCK_NET_MAX_MULTICAST)
		emul_bad_request("configure");
	emul_net_configure(emul_netdev, wanted);
	emul_reply(AIRLOCK_NET_CONFIGURE, tag, NULL, 0);
}

static void get_link(u32 tag)
{
	struct airlock_net_get_link_reply reply;

	emul_net_get_link(emul_netdev, &reply);
	emul_reply(AIRLOCK_NET_GET_LINK, tag, &reply, sizeof(reply));
}

static void statistics(u32 tag)
{
	struct rtnl_link_stats64 counted;
	struct airlock_net_statistics_reply reply;

	dev_get_stats(emul_netdev, &counted);
	reply.received = counted.rx_packets;
	reply.transmitted = counted.tx_packets;
	reply.receive_errors = counted.rx_errors;
	reply.transmit_errors = counted.tx_errors;
	reply.missed = counted.rx_missed_errors + emul_net_missed;
	emul_reply(AIRLOCK_NET_STATISTICS, tag, &reply, sizeof(reply));
}

static void request(u16 operation, u32 tag, const u8 *payload, u32 bytes)
{
	rtnl_lock();
	if (!emul_netdev)
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver has taken its interface away");
	switch (operation) {
	case AIRLOCK_NET_IDENTIFY:
		identify(tag);
		break;
	case AIRLOCK_NET_CONFIGURE:
		configure(tag, payload, bytes);
		break;
	case AIRLOCK_NET_GET_LINK:
		get_link(tag);
		break;
	case AIRLOCK_NET_STATISTICS:
		statistics(tag);
		break;
	default:
		emul_bad_request("no operation of class net");
	}
	rtnl_unlock();
}

static void requests(u16 queue, const u32 *words, u32 count)
{
	if (!emul_netdev)
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver has taken its interface away");
	if (queue == AIRLOCK_NET_QUEUE_TRANSMIT && count % AIRLOCK_NET_TRANSMIT_REQUEST_WORDS == 0)
		emul_net_transmit(emul_netdev, words, count / AIRLOCK_NET_TRANSMIT_REQUEST_WORDS);
	else if (queue == AIRLOCK_NET_QUEUE_RECEIVE && count % AIRLOCK_NET_RECEIVE_REQUEST_WORDS == 0)
		emul_net_post(words, count / AIRLOCK_NET_RECEIVE_REQUEST_WORDS);
	else
		emul_bad_request("no whole entries of a queue of class net");
}

static bool is_ready(void)
{
	return emul_netdev != NULL;
}

static void take(struct net_device *dev)
{
	if (emul_netdev || dev->type != ARPHRD_ETHER || dev->addr_len != ETH_ALEN) {
		netdev_warn(dev, "an interface that the class does not use: %s\n", emul_netdev ? "it has one" : "it is no Ethernet");
		return;
	}
	dev->wanted_features &= ~UNWANTED_FEATURES;
	netdev_update_features(dev);
	/* Drivers that read their address elsewhere may say that it is none of the device's own; there is no other to go by. */
	if (is_zero_ether_addr(dev->perm_addr))
		ether_addr_copy(dev->perm_addr, dev->dev_addr);
	if (netdev_rx_handler_register(dev, emul_net_receive, NULL) == 0)
		emul_netdev = dev;
}

static void give_back(struct net_device *dev)
{
	if (dev != emul_netdev)
		return;
	netdev_rx_handler_unregister(dev);
	emul_net_forget_configuration();
	emul_net_forget_link();
	emul_net_abandon();
	emul_net_receive_reset();
	emul_netdev = NULL;
}

static int changed(struct notifier_block *block, unsigned long what, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	if (what == NETDEV_REGISTER)
		take(dev);
	else if (what == NETDEV_UNREGISTER)
		give_back(dev);
	return NOTIFY_DONE;
}

static const struct emul_class class = { .name = "net", .is_ready = is_ready, .request = request, .requests = requests };
static struct notifier_block notifier = { .notifier_call = changed };

void emul_net_init(void)
{
	emul_net_transmit_init();
	if (register_netdevice_notifier(&notifier))
		emul_fail(AIRLOCK_FAIL_BUG, "no notifier of interfaces");
	emul_set_class(&class);
}
