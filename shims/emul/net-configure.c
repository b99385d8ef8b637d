// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interface's configuration: the class says all of it at once, Linux takes it in steps. What a device does not take while it
 * is up is set while it is down for a moment. Multicast addresses are kept as an interface on top of the driver's would have
 * them, whose list Linux compares with the device's in one step.
 */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include "net.h"

bool emul_net_is_closing;
static struct net_device *above;
static bool is_promiscuous, is_all_multicast;

static void check(struct net_device *dev, int error, const char *what)
{
	if (error)
		emul_fail(AIRLOCK_FAIL_PROBE, "%s: the driver refuses %s: error %d", netdev_name(dev), what, -error);
}

static void take_down(struct net_device *dev)
{
	emul_net_is_closing = true;
	emul_net_closing();
	dev_close(dev);
	emul_net_is_closing = false;
}

static void set_address(struct net_device *dev, double wanted)
{
	u64 number = wanted;
	struct sockaddr address = { .sa_family = dev->type };
	int error;

	if (number == 0)
		ether_addr_copy(address.sa_data, dev->perm_addr);
	else
		u64_to_ether_addr(number, address.sa_data);
	if (ether_addr_equal(dev->dev_addr, address.sa_data))
		return;
	error = dev_set_mac_address(dev, &address, NULL);
	if (error == -EBUSY && dev->flags & IFF_UP) {
		take_down(dev);
		error = dev_set_mac_address(dev, &address, NULL);
	}
	check(dev, error, "the address");
}

static void set_mtu(struct net_device *dev, u32 mtu)
{
	int error;

	if (dev->mtu == mtu)
		return;
	error = dev_set_mtu(dev, mtu);
	if (error && dev->flags & IFF_UP) {
		take_down(dev);
		error = dev_set_mtu(dev, mtu);
	}
	check(dev, error, "the MTU");
}

static bool is_listed(const u8 *list, u32 bytes, const u8 *address)
{
	for (u32 at = 0; at < bytes; at += ETH_ALEN)
		if (ether_addr_equal_unaligned(list + at, address))
			return true;
	return false;
}

static void set_multicast(struct net_device *dev, const u8 *list, u32 bytes)
{
	struct netdev_hw_addr *address, *next;
	bool has_changed = false;

	if (!above) {
		above = alloc_etherdev(0);
		check(dev, above ? 0 : -ENOMEM, "an interface on top");
	}
	list_for_each_entry_safe(address, next, &above->mc.list, list) {
		if (is_listed(list, bytes, address->addr))
			continue;
		dev_mc_del(above, address->addr);
		has_changed = true;
	}
	for (u32 at = 0; at < bytes; at += ETH_ALEN) {
		int count = netdev_mc_count(above);

		/* An address that is there already is an error of its own, and none of anybody's. */
		if (dev_mc_add_excl(above, list + at) == 0 && netdev_mc_count(above) != count)
			has_changed = true;
	}
	if (has_changed)
		check(dev, dev_mc_sync(dev, above), "the multicast addresses");
}

static void set_filters(struct net_device *dev, const struct airlock_net_configure_args *wanted)
{
	if (wanted->promiscuous != is_promiscuous)
		check(dev, dev_set_promiscuity(dev, wanted->promiscuous ? 1 : -1), "promiscuity");
	is_promiscuous = wanted->promiscuous;
	if (wanted->all_multicast != is_all_multicast)
		check(dev, dev_set_allmulti(dev, wanted->all_multicast ? 1 : -1), "all multicast addresses");
	is_all_multicast = wanted->all_multicast;
	set_multicast(dev, wanted->multicast, wanted->multicast_bytes);
}

void emul_net_configure(struct net_device *dev, const struct airlock_net_configure_args *wanted)
{
	if (!wanted->up && dev->flags & IFF_UP)
		take_down(dev);
	set_address(dev, wanted->mac);
	set_mtu(dev, wanted->mtu);
	set_filters(dev, wanted);
	if (wanted->up && !(dev->flags & IFF_UP))
		check(dev, dev_open(dev, NULL), "to come up");
	emul_net_configured(dev);
}

void emul_net_forget_configuration(void)
{
	if (above) {
		if (emul_netdev)
			dev_mc_unsync(emul_netdev, above);
		free_netdev(above);
	}
	above = NULL;
	is_promiscuous = is_all_multicast = false;
}
