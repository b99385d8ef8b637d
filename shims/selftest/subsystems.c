// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver that tries the parts of Linux which the environment brings for some kinds of drivers: what a device tells of itself
 * (devlink), controller area networks, wireless networks, parts of a device, and interfaces that a driver makes by itself. What
 * does not hold is logged with its line, and the probe fails. In the end it is a network card that neither sends nor receives, so
 * that it has a class.
 */
#include <linux/auxiliary_bus.h>
#include <linux/can/dev.h>
#include <linux/etherdevice.h>
#include <linux/hippidevice.h>
#include <linux/if_arp.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rtnetlink.h>
#include <net/devlink.h>
#include <net/mac80211.h>
#include <net/rtnetlink.h>
#include "check.h"

#define BITS_PER_SECOND 500000
#define CLOCK_HZ 8000000
#define ECHO_PLACES 2
#define FREQUENCY_MHZ 2412
#define REGION_BYTES 64
#define VALUE 0x5a17

/* ---- what a device tells of itself ---- */
static int dump(struct devlink *devlink, const struct devlink_region_ops *operations, struct netlink_ext_ack *reason, u8 **data)
{
	return -EOPNOTSUPP;
}

static int recover(struct devlink_health_reporter *reporter, void *context, struct netlink_ext_ack *reason)
{
	*(int *)devlink_health_reporter_priv(reporter) += *(int *)context;
	return 0;
}

static const struct devlink_ops devlink_operations;
static const struct devlink_region_ops region_operations = { .name = "memory", .destructor = kfree, .snapshot = dump };
static const struct devlink_health_reporter_ops reporter_operations = { .name = "selftest", .recover = recover };

static void try_devlink(struct device *device)
{
	struct devlink *devlink = devlink_alloc(&devlink_operations, sizeof(int), device);
	struct devlink_health_reporter *reporter;
	struct devlink_port port = {};
	struct devlink_region *region;
	int recovered = 0, step = VALUE;

	CHECK(devlink && priv_to_devlink(devlink_priv(devlink)) == devlink);
	CHECK(devlink_port_register(devlink, &port, 0) == 0);
	region = devlink_region_create(devlink, &region_operations, 1, REGION_BYTES);
	CHECK(!IS_ERR(region));
	reporter = devlink_health_reporter_create(devlink, &reporter_operations, 0, &recovered);
	CHECK(!IS_ERR(reporter));
	devlink_register(devlink);
	CHECK(devlink_health_report(reporter, "something happened", &step) == 0);
	CHECK(recovered == VALUE);
	devlink_unregister(devlink);
	devlink_health_reporter_destroy(reporter);
	devlink_region_destroy(region);
	devlink_port_unregister(&port);
	devlink_free(devlink);
}

/* ---- controller area networks ---- */
static const struct can_bittiming_const timing = {
	.name = "subsystems", .tseg1_min = 1, .tseg1_max = 16, .tseg2_min = 1, .tseg2_max = 8, .sjw_max = 4, .brp_min = 1, .brp_max = 64, .brp_inc = 1,
};

static netdev_tx_t drop(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops can_operations = { .ndo_start_xmit = drop, .ndo_change_mtu = can_change_mtu };

static void try_can(struct device *device)
{
	struct net_device *dev = alloc_candev(sizeof(struct can_priv), ECHO_PLACES);
	struct can_priv *priv = netdev_priv(dev);
	struct can_frame *frame;
	struct sk_buff *skb;

	priv->bittiming_const = &timing;
	priv->clock.freq = CLOCK_HZ;
	dev->netdev_ops = &can_operations;
	dev->flags |= IFF_ECHO;
	SET_NETDEV_DEV(dev, device);
	CHECK(register_candev(dev) == 0 && strcmp(dev->name, "can0") == 0);
	CHECK(open_candev(dev) == -EINVAL);
	priv->bittiming.bitrate = BITS_PER_SECOND;
	CHECK(open_candev(dev) == 0);
	skb = alloc_can_skb(dev, &frame);
	CHECK(skb && frame);
	frame->len = 3;
	skb->pkt_type = PACKET_LOOPBACK;
	CHECK(can_put_echo_skb(skb, dev, 1, 0) == 0);
	CHECK(can_get_echo_skb(dev, 1, NULL) == 3);
	close_candev(dev);
	unregister_candev(dev);
	free_candev(dev);
}

/* ---- wireless networks ---- */
static int started, interfaces;

static void send(struct ieee80211_hw *hw, struct ieee80211_tx_control *control, struct sk_buff *skb)
{
	ieee80211_free_txskb(hw, skb);
}

static int start(struct ieee80211_hw *hw)
{
	started++;
	return 0;
}

static void stop(struct ieee80211_hw *hw)
{
	started--;
}

static int configure(struct ieee80211_hw *hw, u32 changed)
{
	return 0;
}

static int add_interface(struct ieee80211_hw *hw, struct ieee80211_vif *interface)
{
	interfaces++;
	return 0;
}

static void remove_interface(struct ieee80211_hw *hw, struct ieee80211_vif *interface)
{
	interfaces--;
}

static void set_filter(struct ieee80211_hw *hw, unsigned int changed, unsigned int *flags, u64 multicast)
{
	*flags = 0;
}

static const struct ieee80211_ops wireless_operations = {
	.tx = send, .start = start, .stop = stop, .config = configure, .add_interface = add_interface, .remove_interface = remove_interface,
	.configure_filter = set_filter,
};
static struct ieee80211_channel channels[] = { { .band = NL80211_BAND_2GHZ, .center_freq = FREQUENCY_MHZ, .max_power = 20 } };
static struct ieee80211_rate rates[] = { { .bitrate = 10 }, { .bitrate = 20 }, { .bitrate = 55 }, { .bitrate = 110 } };
static struct ieee80211_supported_band band = {
	.channels = channels, .n_channels = ARRAY_SIZE(channels), .bitrates = rates, .n_bitrates = ARRAY_SIZE(rates),
};

static void open_and_close(struct net_device *dev)
{
	rtnl_lock();
	CHECK(dev_open(dev, NULL) == 0);
	CHECK(started == 1 && interfaces == 1);
	dev_close(dev);
	rtnl_unlock();
	CHECK(started == 0 && interfaces == 0);
}

static void try_wireless(struct device *device)
{
	static const u8 address[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 };
	struct ieee80211_hw *hw = ieee80211_alloc_hw(sizeof(int), &wireless_operations);
	struct net_device *dev;

	CHECK(hw);
	SET_IEEE80211_DEV(hw, device);
	SET_IEEE80211_PERM_ADDR(hw, address);
	hw->wiphy->interface_modes = BIT(NL80211_IFTYPE_STATION);
	hw->wiphy->bands[NL80211_BAND_2GHZ] = &band;
	CHECK(ieee80211_register_hw(hw) == 0);
	CHECK(ieee80211_get_channel(hw->wiphy, FREQUENCY_MHZ) == channels);
	dev = dev_get_by_name(&init_net, "wlan0");
	CHECK(dev && ether_addr_equal(dev->dev_addr, address));
	if (dev) {
		open_and_close(dev);
		dev_put(dev);
	}
	ieee80211_unregister_hw(hw);
	ieee80211_free_hw(hw);
}

/* ---- parts of a device with drivers of their own ---- */
static int bound;

static int bind_part(struct auxiliary_device *part, const struct auxiliary_device_id *id)
{
	bound += id->driver_data;
	return 0;
}

static void unbind_part(struct auxiliary_device *part)
{
	bound = 0;
}

static void forget_part(struct device *device)
{
}

static const struct auxiliary_device_id part_ids[] = { { .name = KBUILD_MODNAME ".part", .driver_data = VALUE }, {} };
static struct auxiliary_driver part_driver = { .name = "part", .probe = bind_part, .remove = unbind_part, .id_table = part_ids };

static void try_parts(struct device *device)
{
	struct auxiliary_device part = { .name = "part", .dev = { .parent = device, .release = forget_part } };

	CHECK(auxiliary_driver_register(&part_driver) == 0);
	CHECK(auxiliary_device_init(&part) == 0 && auxiliary_device_add(&part) == 0);
	CHECK(bound == VALUE);
	auxiliary_device_delete(&part);
	CHECK(bound == 0);
	auxiliary_device_uninit(&part);
	auxiliary_driver_unregister(&part_driver);
}

/* ---- other interfaces ---- */
static struct rtnl_link_ops kind = { .kind = "selftest", .priv_size = sizeof(int), .setup = ether_setup };

static void try_interfaces(void)
{
	struct net_device *dev = alloc_hippi_dev(0);
	struct sk_buff *message = alloc_skb(NLMSG_GOODSIZE, GFP_KERNEL);
	struct page *pages[3] = { NULL };
	struct nlmsghdr *header;

	CHECK(dev && dev->type == ARPHRD_HIPPI);
	free_netdev(dev);
	header = nlmsg_put(message, 0, VALUE, RTM_NEWLINK, sizeof(struct ifinfomsg), 0);
	CHECK(header && header->nlmsg_seq == VALUE && nlmsg_len(header) == sizeof(struct ifinfomsg));
	kfree_skb(message);
	CHECK(rtnl_link_register(&kind) == 0);
	dev = rtnl_create_link(&init_net, "made%d", NET_NAME_ENUM, &kind, NULL, NULL);
	CHECK(!IS_ERR(dev) && dev->rtnl_link_ops == &kind && dev->type == ARPHRD_ETHER);
	free_netdev(dev);
	rtnl_link_unregister(&kind);
	CHECK(alloc_pages_bulk_array(GFP_KERNEL, ARRAY_SIZE(pages), pages) == ARRAY_SIZE(pages));
	__free_page(pages[1]);
	pages[1] = NULL;
	CHECK(alloc_pages_bulk_array(GFP_KERNEL, ARRAY_SIZE(pages), pages) == ARRAY_SIZE(pages) && pages[1]);
	for (int n = 0; n < ARRAY_SIZE(pages); n++)
		__free_page(pages[n]);
}

/* ---- the card that it is in the end ---- */
static const struct net_device_ops card_operations = { .ndo_start_xmit = drop };

static int be_a_card(struct pci_dev *pci)
{
	struct net_device *dev = devm_alloc_etherdev(&pci->dev, 0);

	if (!dev)
		return -ENOMEM;
	eth_hw_addr_random(dev);
	dev->netdev_ops = &card_operations;
	SET_NETDEV_DEV(dev, &pci->dev);
	return devm_register_netdev(&pci->dev, dev);
}

static int probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	try_devlink(&pci->dev);
	try_can(&pci->dev);
	try_wireless(&pci->dev);
	try_parts(&pci->dev);
	try_interfaces();
	pr_info("subsystems: %d checks, %d failures\n", checks, failures);
	return failures ? -EIO : be_a_card(pci);
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(0x8086, 0x100e) }, {} };
MODULE_DEVICE_TABLE(pci, ids);
static struct pci_driver subsystems_driver = { .name = "subsystems", .id_table = ids, .probe = probe };
module_pci_driver(subsystems_driver);
MODULE_DESCRIPTION("Tries the parts of Linux that the driver environment brings for some kinds of drivers");
MODULE_LICENSE("GPL");
