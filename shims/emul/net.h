/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the net class know of each other. The network core itself is Linux's, from net/core. */
#ifndef AIRLOCK_EMUL_NET_H
#define AIRLOCK_EMUL_NET_H

#include <linux/netdevice.h>
#include "contracts.h"
#include "emul.h"

/* Requests of each queue that a driver takes at once: what its own rings usually hold. */
#define EMUL_NET_DEPTH 256

/* net.c: the driver's interface; NULL before it is registered and after it went */
extern struct net_device *emul_netdev;
void emul_net_init(void);
/* Where so many bytes at an address of the device lie in this memory: always in the class's buffers. */
void *emul_net_buffer(u32 iova_low, u32 iova_high, u32 bytes);
/* Makes a buffer the same for both sides, where they have no pages in common. */
void emul_net_sync(const void *buffer, u32 bytes, bool to_device);

/* net-configure.c; under rtnl */
void emul_net_configure(struct net_device *dev, const struct airlock_net_configure_args *wanted);
void emul_net_forget_configuration(void);
/* The interface is on its way down: what it has of frames is dropped. */
extern bool emul_net_is_closing;

/* net-link.c; under rtnl */
void emul_net_get_link(struct net_device *dev, struct airlock_net_get_link_reply *reply);
/* Before it is taken down, and after everything was configured. */
void emul_net_closing(void);
void emul_net_configured(struct net_device *dev);
void emul_net_forget_link(void);
/* It is up and still looks for its link: frames wait. */
bool emul_net_is_settling(void);

/* net-transmit.c */
void emul_net_transmit_init(void);
void emul_net_transmit(struct net_device *dev, const u32 *words, u32 frames);
/* The carrier is there: frames that waited for it go on. */
void emul_net_resume(struct net_device *dev);
/* It is gone: frames that wait, or that the driver has, are not going to leave. */
void emul_net_abandon(void);

/* net-receive.c */
void emul_net_post(const u32 *words, u32 buffers);
rx_handler_result_t emul_net_receive(struct sk_buff **frame);
void emul_net_receive_reset(void);
/* Frames that arrived while there was no buffer for them. */
extern u64 emul_net_missed;

#endif
