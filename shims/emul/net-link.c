// SPDX-License-Identifier: GPL-2.0-only
/*
 * The carrier, in the place of net/core/link_watch.c. Linux tells of a lost carrier at most once a second, to spare those who
 * listen; here there is one listener, the class's shadow, which knows better what a short loss means and is told at once. An
 * interface that is down has no news, and one that lost its link to a new configuration gets a moment to find it again. Where
 * the driver has an answer of its own for people who ask, it is asked: not every device tells that its cable was pulled.
 */
#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/workqueue.h>
#include <net/sch_generic.h>
#include "net.h"

/* Linux's header has them for net/core only. */
void linkwatch_init_dev(struct net_device *dev);
void linkwatch_forget_dev(struct net_device *dev);
void linkwatch_run_queue(void);

/* How long a link that is being looked for counts as there: less than a frame may wait, and than the shadow's patience. */
#define SETTLE_MS 300

/* How often a driver is asked, as long as its interface is up. */
#define ASK_MS 1000

/* Devices whose carrier changed since somebody looked. */
static LIST_HEAD(changed);
/* What the shadow was told last. */
static struct airlock_net_link_event told;

static void set_operstate(struct net_device *dev)
{
	unsigned char state = IF_OPER_DOWN;

	if (netif_dormant(dev))
		state = IF_OPER_DORMANT;
	else if (netif_carrier_ok(dev))
		state = IF_OPER_UP;
	WRITE_ONCE(dev->operstate, state);
}

static bool is_settling;

bool emul_net_is_settling(void)
{
	return is_settling;
}

static bool has_own_answer(const struct net_device *dev)
{
	const struct ethtool_ops *operations = dev->ethtool_ops;

	return operations && operations->get_link && operations->get_link != ethtool_op_get_link;
}

static void read_link(struct net_device *dev, struct airlock_net_link_event *link)
{
	struct ethtool_link_ksettings settings;

	memset(link, 0, sizeof(*link));
	link->up = netif_carrier_ok(dev) && (!has_own_answer(dev) || dev->ethtool_ops->get_link(dev));
	if (!link->up || __ethtool_get_link_ksettings(dev, &settings) != 0)
		return;
	if (settings.base.speed != (u32)SPEED_UNKNOWN)
		link->speed_mbps = settings.base.speed;
	link->full_duplex = settings.base.duplex == DUPLEX_FULL;
}

static void tell(struct net_device *dev)
{
	struct airlock_net_link_event link;

	if (!netif_running(dev) || is_settling)
		return;
	read_link(dev, &link);
	if (memcmp(&link, &told, sizeof(link)) == 0)
		return;
	told = link;
	emul_event(AIRLOCK_NET_EVENT_LINK, &link, sizeof(link));
}

void emul_net_get_link(struct net_device *dev, struct airlock_net_get_link_reply *reply)
{
	tell(dev);
	reply->up = told.up;
	reply->speed_mbps = told.speed_mbps;
	reply->full_duplex = told.full_duplex;
}

static void settled(struct work_struct *work)
{
	rtnl_lock();
	is_settling = false;
	if (emul_netdev && !netif_carrier_ok(emul_netdev)) {
		emul_net_abandon();
		tell(emul_netdev);
	}
	rtnl_unlock();
}
static DECLARE_DELAYED_WORK(settle_work, settled);

static void ask(struct work_struct *work);
static DECLARE_DELAYED_WORK(ask_work, ask);

static void ask(struct work_struct *work)
{
	rtnl_lock();
	if (emul_netdev && netif_running(emul_netdev)) {
		tell(emul_netdev);
		schedule_delayed_work(&ask_work, msecs_to_jiffies(ASK_MS));
	}
	rtnl_unlock();
}

void emul_net_configured(struct net_device *dev)
{
	if (netif_running(dev) && has_own_answer(dev))
		schedule_delayed_work(&ask_work, msecs_to_jiffies(ASK_MS));
	is_settling = netif_running(dev) && told.up && !netif_carrier_ok(dev);
	if (is_settling)
		mod_delayed_work(system_wq, &settle_work, msecs_to_jiffies(SETTLE_MS));
	tell(dev);
}

void emul_net_closing(void)
{
	is_settling = false;
}

void emul_net_forget_link(void)
{
	is_settling = false;
	memset(&told, 0, sizeof(told));
}

static void look_at(struct net_device *dev)
{
	bool is_up = netif_carrier_ok(dev);

	clear_bit(__LINK_STATE_LINKWATCH_PENDING, &dev->state);
	set_operstate(dev);
	if (dev->flags & IFF_UP) {
		if (is_up)
			dev_activate(dev);
		else
			dev_deactivate(dev);
		netdev_state_change(dev);
	}
	if (dev != emul_netdev)
		return;
	if (is_up) {
		is_settling = false;
		emul_net_resume(dev);
	} else if (!is_settling) {
		emul_net_abandon();
	}
	tell(dev);
}

/* Under rtnl. */
void linkwatch_run_queue(void)
{
	while (!list_empty(&changed)) {
		struct net_device *dev = list_first_entry(&changed, struct net_device, link_watch_list);

		list_del_init(&dev->link_watch_list);
		look_at(dev);
		netdev_put(dev, &dev->linkwatch_dev_tracker);
	}
}

static void look(struct work_struct *work)
{
	rtnl_lock();
	linkwatch_run_queue();
	rtnl_unlock();
}
static DECLARE_WORK(look_work, look);

void linkwatch_fire_event(struct net_device *dev)
{
	if (test_and_set_bit(__LINK_STATE_LINKWATCH_PENDING, &dev->state))
		return;
	netdev_hold(dev, &dev->linkwatch_dev_tracker, GFP_ATOMIC);
	list_add_tail(&dev->link_watch_list, &changed);
	schedule_work(&look_work);
}

void linkwatch_init_dev(struct net_device *dev)
{
	set_operstate(dev);
}

void linkwatch_forget_dev(struct net_device *dev)
{
	if (list_empty(&dev->link_watch_list))
		return;
	list_del_init(&dev->link_watch_list);
	clear_bit(__LINK_STATE_LINKWATCH_PENDING, &dev->state);
	netdev_put(dev, &dev->linkwatch_dev_tracker);
}
