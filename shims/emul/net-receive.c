// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way in. Linux gives what drivers receive to protocols; here the class takes it first, as bridges do, and copies it into the
 * oldest buffer that the shadow has posted, with the Ethernet header that the driver has cut off. Frames for which there is no
 * buffer yet wait in a short queue.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include "net.h"

/* As many frames as there are buffers: a burst, while new ones are on their way. */
#define WAITING_MOST EMUL_NET_DEPTH

struct posted {
	u32 tag, bytes;
	void *buffer;
};

static struct posted posted[EMUL_NET_DEPTH];
static u32 first, count;
static struct sk_buff_head waiting = { .next = (struct sk_buff *)&waiting, .prev = (struct sk_buff *)&waiting };
u64 emul_net_missed;

/* The whole frame as it was on the wire, without check sequence; its size, or 0 when it does not fit. */
static u32 copy(struct sk_buff *skb, u8 *to, u32 room)
{
	const u32 addresses = 2 * ETH_ALEN;
	u32 size = skb->len;

	if (size < ETH_HLEN || size > room)
		return 0;
	if (!skb_vlan_tag_present(skb))
		return skb_copy_bits(skb, 0, to, size) == 0 ? size : 0;
	/* A tag that the device took out goes back between the addresses and the rest. */
	if (size + VLAN_HLEN > room || skb_copy_bits(skb, 0, to, addresses) != 0 ||
	    skb_copy_bits(skb, addresses, to + addresses + VLAN_HLEN, size - addresses) != 0)
		return 0;
	put_unaligned_be16(ntohs(skb->vlan_proto), to + addresses);
	put_unaligned_be16(skb_vlan_tag_get(skb), to + addresses + sizeof(__be16));
	return size + VLAN_HLEN;
}

/* Gives a frame to the oldest buffer, which stays when there is something wrong with it. */
static void deliver(struct sk_buff *skb)
{
	const struct posted *next = &posted[first];
	u32 bytes = copy(skb, next->buffer, next->bytes);

	if (bytes > 0) {
		const u32 completion[] = { next->tag, bytes };

		emul_net_sync(next->buffer, bytes, true);
		emul_complete(AIRLOCK_NET_QUEUE_RECEIVE, ARRAY_SIZE(completion), completion);
		first = (first + 1) % EMUL_NET_DEPTH;
		count--;
	} else {
		dev_core_stats_rx_dropped_inc(skb->dev);
	}
	consume_skb(skb);
}

rx_handler_result_t emul_net_receive(struct sk_buff **frame)
{
	struct sk_buff *skb = skb_share_check(*frame, GFP_ATOMIC);

	if (!skb)
		return RX_HANDLER_CONSUMED;
	skb_push(skb, skb->data - skb_mac_header(skb));
	if (count > 0) {
		deliver(skb);
	} else if (skb_queue_len(&waiting) < WAITING_MOST) {
		__skb_queue_tail(&waiting, skb);
	} else {
		emul_net_missed++;
		kfree_skb(skb);
	}
	return RX_HANDLER_CONSUMED;
}

void emul_net_post(const u32 *words, u32 buffers)
{
	const struct airlock_net_receive_request *requests = (const void *)words;

	if (buffers > EMUL_NET_DEPTH - count)
		emul_bad_request("more buffers than the driver takes at once");
	for (u32 n = 0; n < buffers; n++, count++) {
		const struct airlock_net_receive_request *request = &requests[n];

		posted[(first + count) % EMUL_NET_DEPTH] = (struct posted){
			.tag = request->tag, .bytes = request->capacity_bytes,
			.buffer = emul_net_buffer(request->iova_low, request->iova_high, request->capacity_bytes),
		};
	}
	while (count > 0 && !skb_queue_empty(&waiting))
		deliver(__skb_dequeue(&waiting));
}

void emul_net_receive_reset(void)
{
	__skb_queue_purge(&waiting);
	first = count = 0;
}
