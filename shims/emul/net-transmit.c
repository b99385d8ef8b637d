// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way out. Linux keeps frames that a device cannot take yet in a queueing discipline; here that discipline has no frames of
 * its own: what it gives when the core asks for the next one is the class's oldest request, copied into a new buffer. So the
 * core's own rules hold: a stopped queue is left alone, a woken one goes on, and what the device takes at once is one batch.
 * A frame is completed when its driver frees it.
 */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/pkt_sched.h>
#include "net.h"

struct frame {
	struct list_head list;
	u32 tag, bytes;
	const void *buffer;
	/* The driver's, while it has it. */
	struct sk_buff *skb;
};

static struct frame frames[EMUL_NET_DEPTH];
static LIST_HEAD(unused);
static LIST_HEAD(waiting);
static LIST_HEAD(with_driver);

static void give_back(struct frame *frame, u32 status)
{
	const u32 completion[] = { frame->tag, status };

	emul_complete(AIRLOCK_NET_QUEUE_TRANSMIT, ARRAY_SIZE(completion), completion);
	list_move(&frame->list, &unused);
}

/* What became of a frame that comes back now. */
static u32 status(const struct net_device *dev)
{
	if (emul_net_is_closing || !(dev->flags & IFF_UP))
		return AIRLOCK_NET_TRANSMIT_STATUS_DROPPED;
	return netif_carrier_ok(dev) ? AIRLOCK_NET_TRANSMIT_STATUS_OK : AIRLOCK_NET_TRANSMIT_STATUS_LINK_DOWN;
}

static void freed(struct sk_buff *skb)
{
	struct frame *frame = skb_shinfo(skb)->destructor_arg;

	frame->skb = NULL;
	give_back(frame, emul_netdev ? status(emul_netdev) : AIRLOCK_NET_TRANSMIT_STATUS_DROPPED);
}

static void give_back_waiting(u32 status)
{
	struct frame *frame, *next;

	list_for_each_entry_safe(frame, next, &waiting, list)
		give_back(frame, status);
}

void emul_net_abandon(void)
{
	struct frame *frame, *next;

	list_for_each_entry_safe(frame, next, &with_driver, list) {
		/* The driver has a copy, and may keep it as long as it likes. */
		frame->skb->destructor = NULL;
		frame->skb = NULL;
		give_back(frame, AIRLOCK_NET_TRANSMIT_STATUS_LINK_DOWN);
	}
	give_back_waiting(AIRLOCK_NET_TRANSMIT_STATUS_LINK_DOWN);
}

static struct sk_buff *make(struct net_device *dev, const struct frame *frame)
{
	u32 before = LL_RESERVED_SPACE(dev) - dev->hard_header_len;
	struct sk_buff *skb = alloc_skb(before + frame->bytes + dev->needed_tailroom, GFP_ATOMIC | __GFP_NOWARN);

	if (!skb)
		return NULL;
	skb_reserve(skb, before);
	emul_net_sync(frame->buffer, frame->bytes, false);
	skb_put_data(skb, frame->buffer, frame->bytes);
	skb->dev = dev;
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	skb->protocol = eth_hdr(skb)->h_proto;
	if (!eth_proto_is_802_3(skb->protocol))
		skb->protocol = htons(ETH_P_802_2);
	skb->destructor = freed;
	return skb;
}

/* Frames leave in order, so that one of a device's queues is enough. */
static bool is_first(const struct Qdisc *queue)
{
	return queue->dev_queue == netdev_get_tx_queue(qdisc_dev(queue), 0);
}

static struct sk_buff *dequeue(struct Qdisc *queue)
{
	struct net_device *dev = qdisc_dev(queue);

	while (!list_empty(&waiting) && is_first(queue) && dev == emul_netdev) {
		struct frame *frame = list_first_entry(&waiting, struct frame, list);
		struct sk_buff *skb = make(dev, frame);

		if (!skb) {
			give_back(frame, AIRLOCK_NET_TRANSMIT_STATUS_DROPPED);
			continue;
		}
		frame->skb = skb;
		skb_shinfo(skb)->destructor_arg = frame;
		list_move_tail(&frame->list, &with_driver);
		return skb;
	}
	return NULL;
}

/* The device went down, or lost its carrier. */
static void reset(struct Qdisc *queue)
{
	if (is_first(queue) && qdisc_dev(queue) == emul_netdev && !emul_net_is_settling())
		give_back_waiting(status(emul_netdev));
}

/* Nobody but the class sends. */
static int refuse(struct sk_buff *skb, struct Qdisc *queue, struct sk_buff **to_free)
{
	return qdisc_drop(skb, queue, to_free);
}

static const struct Qdisc_ops discipline = {
	.id = "airlock", .enqueue = refuse, .dequeue = dequeue, .peek = qdisc_peek_dequeued, .reset = reset,
};

static void add(const struct airlock_net_transmit_request *request)
{
	struct frame *frame = list_first_entry_or_null(&unused, struct frame, list);

	if (!frame)
		emul_bad_request("more frames than the driver takes at once");
	if (request->size_bytes < AIRLOCK_NET_HEADER_BYTES || request->size_bytes > AIRLOCK_NET_MAX_FRAME_BYTES)
		emul_bad_request("a frame of a size that there is not");
	frame->tag = request->tag;
	frame->bytes = request->size_bytes;
	frame->buffer = emul_net_buffer(request->iova_low, request->iova_high, request->size_bytes);
	list_move_tail(&frame->list, &waiting);
}

static void run(struct Qdisc *queue)
{
	spin_lock(qdisc_lock(queue));
	qdisc_run(queue);
	spin_unlock(qdisc_lock(queue));
}

/* The queue that gives the device its frames; NULL while it takes none: down, or without a carrier. */
static struct Qdisc *active_queue(struct net_device *dev)
{
	struct Qdisc *queue = rcu_dereference_bh(netdev_get_tx_queue(dev, 0)->qdisc);

	return queue->ops == &discipline && !test_bit(__QDISC_STATE_DEACTIVATED, &queue->state) ? queue : NULL;
}

void emul_net_transmit(struct net_device *dev, const u32 *words, u32 count)
{
	struct Qdisc *queue = active_queue(dev);

	for (u32 n = 0; n < count; n++)
		add((const struct airlock_net_transmit_request *)words + n);
	if (queue)
		run(queue);
	else if (!emul_net_is_settling())
		give_back_waiting(dev->flags & IFF_UP ? AIRLOCK_NET_TRANSMIT_STATUS_LINK_DOWN : AIRLOCK_NET_TRANSMIT_STATUS_DROPPED);
}

void emul_net_resume(struct net_device *dev)
{
	struct Qdisc *queue;

	local_bh_disable();
	queue = active_queue(dev);
	if (queue)
		run(queue);
	local_bh_enable();
}

void emul_net_transmit_init(void)
{
	for (u32 n = 0; n < ARRAY_SIZE(frames); n++)
		list_add_tail(&frames[n].list, &unused);
	default_qdisc_ops = &discipline;
}
