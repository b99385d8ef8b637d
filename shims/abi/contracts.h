/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The class contracts for C: ids, limits and layouts of all messages and queue entries.
 * Made from runtime/classes/<class>/contract.ts by shims/tools/generate-contracts.ts, as shims/abi/README.md says; not edited.
 */
#ifndef AIRLOCK_CONTRACTS_H
#define AIRLOCK_CONTRACTS_H

#include "airlock.h"

/* ---- class block ---- */

#define AIRLOCK_BLOCK_CONTRACT 1u
#define AIRLOCK_BLOCK_FLAG_FUA 1u
#define AIRLOCK_BLOCK_FLAG_MAY_DISCARD 2u
#define AIRLOCK_BLOCK_OP_READ 0u
#define AIRLOCK_BLOCK_OP_WRITE 1u
#define AIRLOCK_BLOCK_OP_FLUSH 2u
#define AIRLOCK_BLOCK_OP_WRITE_ZEROES 3u
#define AIRLOCK_BLOCK_OP_DISCARD 4u
#define AIRLOCK_BLOCK_STATUS_OK 0u
#define AIRLOCK_BLOCK_STATUS_IO_ERROR 1u
#define AIRLOCK_BLOCK_STATUS_OUT_OF_RANGE 2u
#define AIRLOCK_BLOCK_STATUS_READ_ONLY 3u
#define AIRLOCK_BLOCK_STATUS_UNSUPPORTED 4u
#define AIRLOCK_BLOCK_STATUS_MEDIA_ERROR 5u
#define AIRLOCK_BLOCK_STATUS_NO_SPACE 6u
#define AIRLOCK_BLOCK_STATUS_ABORTED 7u
#define AIRLOCK_BLOCK_MAX_QUEUE_DEPTH 256u

#define AIRLOCK_BLOCK_IDENTIFY 0u
#define AIRLOCK_BLOCK_IDENTIFY_ARGS_BYTES 0u
#define AIRLOCK_BLOCK_IDENTIFY_REPLY_BYTES 25u
#define AIRLOCK_BLOCK_IDENTIFY_REPLY_MOST_BYTES 89u
struct airlock_block_identify_reply {
	airlock_u32 block_bytes; /* 512..65536 */
	double blocks; /* 1..9007199254740991 */
	airlock_u32 max_transfer_bytes; /* 4096..4294967295 */
	airlock_u16 queue_depth; /* 1..256 */
	airlock_u8 volatile_cache; /* 0 or 1 */
	airlock_u8 fua; /* 0 or 1 */
	airlock_u8 write_zeroes; /* 0 or 1 */
	airlock_u8 discard; /* 0 or 1 */
	airlock_u8 read_only; /* 0 or 1 */
	airlock_u16 label_bytes;
	airlock_u8 label[];
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_block_identify_reply) == 25, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, block_bytes) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, blocks) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, max_transfer_bytes) == 12, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, queue_depth) == 16, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, volatile_cache) == 18, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, fua) == 19, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, write_zeroes) == 20, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, discard) == 21, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, read_only) == 22, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_identify_reply, label) == 25, "layout");

#define AIRLOCK_BLOCK_EVENT_NOTICE 0u
#define AIRLOCK_BLOCK_NOTICE_EVENT_BYTES 5u
#define AIRLOCK_BLOCK_NOTICE_EVENT_KIND_HEALTH 0u
#define AIRLOCK_BLOCK_NOTICE_EVENT_KIND_CHANGED 1u
#define AIRLOCK_BLOCK_NOTICE_EVENT_KIND_ERROR 2u
struct airlock_block_notice_event {
	airlock_u8 kind;
	airlock_u32 code; /* 0..4294967295 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_block_notice_event) == 5, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_notice_event, kind) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_block_notice_event, code) == 1, "layout");

#define AIRLOCK_BLOCK_QUEUE_IO 0u
#define AIRLOCK_BLOCK_QUEUE_IO_DEPTH 256u
#define AIRLOCK_BLOCK_IO_REQUEST_WORDS 8u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_TAG 0u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_OP 1u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_FLAGS 2u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_BLOCKS 3u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_LBA_LOW 4u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_LBA_HIGH 5u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_IOVA_LOW 6u
#define AIRLOCK_BLOCK_IO_REQUEST_AT_IOVA_HIGH 7u
struct airlock_block_io_request {
	airlock_u32 tag;
	airlock_u32 op;
	airlock_u32 flags;
	airlock_u32 blocks;
	airlock_u32 lba_low;
	airlock_u32 lba_high;
	airlock_u32 iova_low;
	airlock_u32 iova_high;
};
_Static_assert(sizeof(struct airlock_block_io_request) == 32, "layout");
#define AIRLOCK_BLOCK_IO_COMPLETION_WORDS 3u
#define AIRLOCK_BLOCK_IO_COMPLETION_AT_TAG 0u
#define AIRLOCK_BLOCK_IO_COMPLETION_AT_STATUS 1u
#define AIRLOCK_BLOCK_IO_COMPLETION_AT_DETAIL 2u
struct airlock_block_io_completion {
	airlock_u32 tag;
	airlock_u32 status;
	airlock_u32 detail;
};
_Static_assert(sizeof(struct airlock_block_io_completion) == 12, "layout");

/* ---- class net ---- */

#define AIRLOCK_NET_CONTRACT 1u
#define AIRLOCK_NET_TRANSMIT_STATUS_OK 0u
#define AIRLOCK_NET_TRANSMIT_STATUS_DROPPED 1u
#define AIRLOCK_NET_TRANSMIT_STATUS_LINK_DOWN 2u
#define AIRLOCK_NET_HEADER_BYTES 14u
#define AIRLOCK_NET_MAX_FRAME_BYTES 9234u
#define AIRLOCK_NET_MAX_MULTICAST 64u
#define AIRLOCK_NET_MAX_RING_DEPTH 1024u

#define AIRLOCK_NET_IDENTIFY 0u
#define AIRLOCK_NET_IDENTIFY_ARGS_BYTES 0u
#define AIRLOCK_NET_IDENTIFY_REPLY_BYTES 14u
struct airlock_net_identify_reply {
	double mac; /* 0..281474976710655 */
	airlock_u16 max_mtu; /* 68..9216 */
	airlock_u16 transmit_depth; /* 1..1024 */
	airlock_u16 receive_depth; /* 1..1024 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_net_identify_reply) == 14, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_identify_reply, mac) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_identify_reply, max_mtu) == 8, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_identify_reply, transmit_depth) == 10, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_identify_reply, receive_depth) == 12, "layout");

#define AIRLOCK_NET_CONFIGURE 1u
#define AIRLOCK_NET_CONFIGURE_ARGS_BYTES 15u
#define AIRLOCK_NET_CONFIGURE_ARGS_MOST_BYTES 399u
struct airlock_net_configure_args {
	airlock_u8 up; /* 0 or 1 */
	airlock_u8 promiscuous; /* 0 or 1 */
	airlock_u8 all_multicast; /* 0 or 1 */
	airlock_u16 mtu; /* 68..9216 */
	double mac; /* 0..281474976710655 */
	airlock_u16 multicast_bytes;
	airlock_u8 multicast[];
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_net_configure_args) == 15, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_configure_args, up) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_configure_args, promiscuous) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_configure_args, all_multicast) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_configure_args, mtu) == 3, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_configure_args, mac) == 5, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_configure_args, multicast) == 15, "layout");
#define AIRLOCK_NET_CONFIGURE_REPLY_BYTES 0u

#define AIRLOCK_NET_GET_LINK 2u
#define AIRLOCK_NET_GET_LINK_ARGS_BYTES 0u
#define AIRLOCK_NET_GET_LINK_REPLY_BYTES 6u
struct airlock_net_get_link_reply {
	airlock_u8 up; /* 0 or 1 */
	airlock_u32 speed_mbps; /* 0..4294967295 */
	airlock_u8 full_duplex; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_net_get_link_reply) == 6, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_get_link_reply, up) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_get_link_reply, speed_mbps) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_get_link_reply, full_duplex) == 5, "layout");

#define AIRLOCK_NET_STATISTICS 3u
#define AIRLOCK_NET_STATISTICS_ARGS_BYTES 0u
#define AIRLOCK_NET_STATISTICS_REPLY_BYTES 40u
struct airlock_net_statistics_reply {
	double received; /* 0..9007199254740991 */
	double transmitted; /* 0..9007199254740991 */
	double receive_errors; /* 0..9007199254740991 */
	double transmit_errors; /* 0..9007199254740991 */
	double missed; /* 0..9007199254740991 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_net_statistics_reply) == 40, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_statistics_reply, received) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_statistics_reply, transmitted) == 8, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_statistics_reply, receive_errors) == 16, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_statistics_reply, transmit_errors) == 24, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_statistics_reply, missed) == 32, "layout");

#define AIRLOCK_NET_EVENT_LINK 0u
#define AIRLOCK_NET_LINK_EVENT_BYTES 6u
struct airlock_net_link_event {
	airlock_u8 up; /* 0 or 1 */
	airlock_u32 speed_mbps; /* 0..4294967295 */
	airlock_u8 full_duplex; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_net_link_event) == 6, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_link_event, up) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_link_event, speed_mbps) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_net_link_event, full_duplex) == 5, "layout");

#define AIRLOCK_NET_QUEUE_TRANSMIT 0u
#define AIRLOCK_NET_QUEUE_TRANSMIT_DEPTH 1024u
#define AIRLOCK_NET_TRANSMIT_REQUEST_WORDS 4u
#define AIRLOCK_NET_TRANSMIT_REQUEST_AT_TAG 0u
#define AIRLOCK_NET_TRANSMIT_REQUEST_AT_SIZE_BYTES 1u
#define AIRLOCK_NET_TRANSMIT_REQUEST_AT_IOVA_LOW 2u
#define AIRLOCK_NET_TRANSMIT_REQUEST_AT_IOVA_HIGH 3u
struct airlock_net_transmit_request {
	airlock_u32 tag;
	airlock_u32 size_bytes;
	airlock_u32 iova_low;
	airlock_u32 iova_high;
};
_Static_assert(sizeof(struct airlock_net_transmit_request) == 16, "layout");
#define AIRLOCK_NET_TRANSMIT_COMPLETION_WORDS 2u
#define AIRLOCK_NET_TRANSMIT_COMPLETION_AT_TAG 0u
#define AIRLOCK_NET_TRANSMIT_COMPLETION_AT_STATUS 1u
struct airlock_net_transmit_completion {
	airlock_u32 tag;
	airlock_u32 status;
};
_Static_assert(sizeof(struct airlock_net_transmit_completion) == 8, "layout");

#define AIRLOCK_NET_QUEUE_RECEIVE 1u
#define AIRLOCK_NET_QUEUE_RECEIVE_DEPTH 1024u
#define AIRLOCK_NET_RECEIVE_REQUEST_WORDS 4u
#define AIRLOCK_NET_RECEIVE_REQUEST_AT_TAG 0u
#define AIRLOCK_NET_RECEIVE_REQUEST_AT_CAPACITY_BYTES 1u
#define AIRLOCK_NET_RECEIVE_REQUEST_AT_IOVA_LOW 2u
#define AIRLOCK_NET_RECEIVE_REQUEST_AT_IOVA_HIGH 3u
struct airlock_net_receive_request {
	airlock_u32 tag;
	airlock_u32 capacity_bytes;
	airlock_u32 iova_low;
	airlock_u32 iova_high;
};
_Static_assert(sizeof(struct airlock_net_receive_request) == 16, "layout");
#define AIRLOCK_NET_RECEIVE_COMPLETION_WORDS 2u
#define AIRLOCK_NET_RECEIVE_COMPLETION_AT_TAG 0u
#define AIRLOCK_NET_RECEIVE_COMPLETION_AT_SIZE_BYTES 1u
struct airlock_net_receive_completion {
	airlock_u32 tag;
	airlock_u32 size_bytes;
};
_Static_assert(sizeof(struct airlock_net_receive_completion) == 8, "layout");

/* ---- class rtc ---- */

#define AIRLOCK_RTC_CONTRACT 1u
#define AIRLOCK_RTC_FIRST_YEAR 1970u
#define AIRLOCK_RTC_LAST_YEAR 2069u
#define AIRLOCK_RTC_MAX_PERIODIC_HZ 8192u

#define AIRLOCK_RTC_READ_TIME 0u
#define AIRLOCK_RTC_READ_TIME_ARGS_BYTES 0u
#define AIRLOCK_RTC_READ_TIME_REPLY_BYTES 7u
struct airlock_rtc_read_time_reply {
	airlock_u16 year; /* 1970..2069 */
	airlock_u8 month; /* 1..12 */
	airlock_u8 day; /* 1..31 */
	airlock_u8 hour; /* 0..23 */
	airlock_u8 minute; /* 0..59 */
	airlock_u8 second; /* 0..59 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_rtc_read_time_reply) == 7, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_read_time_reply, year) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_read_time_reply, month) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_read_time_reply, day) == 3, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_read_time_reply, hour) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_read_time_reply, minute) == 5, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_read_time_reply, second) == 6, "layout");

#define AIRLOCK_RTC_SET_TIME 1u
#define AIRLOCK_RTC_SET_TIME_ARGS_BYTES 7u
struct airlock_rtc_set_time_args {
	airlock_u16 year; /* 1970..2069 */
	airlock_u8 month; /* 1..12 */
	airlock_u8 day; /* 1..31 */
	airlock_u8 hour; /* 0..23 */
	airlock_u8 minute; /* 0..59 */
	airlock_u8 second; /* 0..59 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_rtc_set_time_args) == 7, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_time_args, year) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_time_args, month) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_time_args, day) == 3, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_time_args, hour) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_time_args, minute) == 5, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_time_args, second) == 6, "layout");
#define AIRLOCK_RTC_SET_TIME_REPLY_BYTES 0u

#define AIRLOCK_RTC_SET_ALARM 2u
#define AIRLOCK_RTC_SET_ALARM_ARGS_BYTES 3u
struct airlock_rtc_set_alarm_args {
	airlock_u8 hour; /* 0..23 */
	airlock_u8 minute; /* 0..59 */
	airlock_u8 second; /* 0..59 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_rtc_set_alarm_args) == 3, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_alarm_args, hour) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_alarm_args, minute) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_alarm_args, second) == 2, "layout");
#define AIRLOCK_RTC_SET_ALARM_REPLY_BYTES 0u

#define AIRLOCK_RTC_CLEAR_ALARM 3u
#define AIRLOCK_RTC_CLEAR_ALARM_ARGS_BYTES 0u
#define AIRLOCK_RTC_CLEAR_ALARM_REPLY_BYTES 0u

#define AIRLOCK_RTC_SET_PERIODIC 4u
#define AIRLOCK_RTC_SET_PERIODIC_ARGS_BYTES 2u
struct airlock_rtc_set_periodic_args {
	airlock_u16 rate_hz; /* 0 or a power of two in 2..8192 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_rtc_set_periodic_args) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_periodic_args, rate_hz) == 0, "layout");
#define AIRLOCK_RTC_SET_PERIODIC_REPLY_BYTES 0u

#define AIRLOCK_RTC_SET_UPDATE_EVENTS 5u
#define AIRLOCK_RTC_SET_UPDATE_EVENTS_ARGS_BYTES 1u
struct airlock_rtc_set_update_events_args {
	airlock_u8 on; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_rtc_set_update_events_args) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_set_update_events_args, on) == 0, "layout");
#define AIRLOCK_RTC_SET_UPDATE_EVENTS_REPLY_BYTES 0u

#define AIRLOCK_RTC_EVENT_ALARM 0u
#define AIRLOCK_RTC_ALARM_EVENT_BYTES 0u

#define AIRLOCK_RTC_EVENT_PERIODIC 1u
#define AIRLOCK_RTC_PERIODIC_EVENT_BYTES 4u
struct airlock_rtc_periodic_event {
	airlock_u32 count; /* 1..4294967295 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_rtc_periodic_event) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_rtc_periodic_event, count) == 0, "layout");

#define AIRLOCK_RTC_EVENT_UPDATE 2u
#define AIRLOCK_RTC_UPDATE_EVENT_BYTES 0u

#define AIRLOCK_RTC_EVENT_BATTERY_LOW 3u
#define AIRLOCK_RTC_BATTERY_LOW_EVENT_BYTES 0u

/* ---- class serial ---- */

#define AIRLOCK_SERIAL_CONTRACT 1u
#define AIRLOCK_SERIAL_MAX_RECEIVED_BYTES 256u
#define AIRLOCK_SERIAL_MAX_TRANSMIT_BYTES 64u

#define AIRLOCK_SERIAL_CONFIGURE 0u
#define AIRLOCK_SERIAL_CONFIGURE_ARGS_BYTES 7u
#define AIRLOCK_SERIAL_CONFIGURE_ARGS_PARITY_NONE 0u
#define AIRLOCK_SERIAL_CONFIGURE_ARGS_PARITY_ODD 1u
#define AIRLOCK_SERIAL_CONFIGURE_ARGS_PARITY_EVEN 2u
struct airlock_serial_configure_args {
	airlock_u32 baud_rate; /* 50..4000000 */
	airlock_u8 data_bits; /* 5..8 */
	airlock_u8 parity;
	airlock_u8 stop_bits; /* 1..2 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_configure_args) == 7, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_configure_args, baud_rate) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_configure_args, data_bits) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_configure_args, parity) == 5, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_configure_args, stop_bits) == 6, "layout");
#define AIRLOCK_SERIAL_CONFIGURE_REPLY_BYTES 4u
struct airlock_serial_configure_reply {
	airlock_u32 actual_baud_rate; /* 1..4294967295 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_configure_reply) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_configure_reply, actual_baud_rate) == 0, "layout");

#define AIRLOCK_SERIAL_SET_SIGNALS 1u
#define AIRLOCK_SERIAL_SET_SIGNALS_ARGS_BYTES 3u
struct airlock_serial_set_signals_args {
	airlock_u8 dtr; /* 0 or 1 */
	airlock_u8 rts; /* 0 or 1 */
	airlock_u8 break_; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_set_signals_args) == 3, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_set_signals_args, dtr) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_set_signals_args, rts) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_set_signals_args, break_) == 2, "layout");
#define AIRLOCK_SERIAL_SET_SIGNALS_REPLY_BYTES 0u

#define AIRLOCK_SERIAL_GET_SIGNALS 2u
#define AIRLOCK_SERIAL_GET_SIGNALS_ARGS_BYTES 0u
#define AIRLOCK_SERIAL_GET_SIGNALS_REPLY_BYTES 4u
struct airlock_serial_get_signals_reply {
	airlock_u8 cts; /* 0 or 1 */
	airlock_u8 dsr; /* 0 or 1 */
	airlock_u8 ri; /* 0 or 1 */
	airlock_u8 dcd; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_get_signals_reply) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_get_signals_reply, cts) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_get_signals_reply, dsr) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_get_signals_reply, ri) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_get_signals_reply, dcd) == 3, "layout");

#define AIRLOCK_SERIAL_TRANSMIT 3u
#define AIRLOCK_SERIAL_TRANSMIT_ARGS_BYTES 2u
#define AIRLOCK_SERIAL_TRANSMIT_ARGS_MOST_BYTES 66u
struct airlock_serial_transmit_args {
	airlock_u16 data_bytes;
	airlock_u8 data[];
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_transmit_args) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_transmit_args, data) == 2, "layout");
#define AIRLOCK_SERIAL_TRANSMIT_REPLY_BYTES 2u
struct airlock_serial_transmit_reply {
	airlock_u16 sent; /* 0..64 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_transmit_reply) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_transmit_reply, sent) == 0, "layout");

#define AIRLOCK_SERIAL_EVENT_RECEIVED 0u
#define AIRLOCK_SERIAL_RECEIVED_EVENT_BYTES 2u
#define AIRLOCK_SERIAL_RECEIVED_EVENT_MOST_BYTES 258u
struct airlock_serial_received_event {
	airlock_u16 data_bytes;
	airlock_u8 data[];
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_received_event) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_received_event, data) == 2, "layout");

#define AIRLOCK_SERIAL_EVENT_LINE_STATUS 1u
#define AIRLOCK_SERIAL_LINE_STATUS_EVENT_BYTES 16u
struct airlock_serial_line_status_event {
	airlock_u32 overruns; /* 0..4294967295 */
	airlock_u32 framing; /* 0..4294967295 */
	airlock_u32 parity; /* 0..4294967295 */
	airlock_u32 breaks; /* 0..4294967295 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_line_status_event) == 16, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_line_status_event, overruns) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_line_status_event, framing) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_line_status_event, parity) == 8, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_line_status_event, breaks) == 12, "layout");

#define AIRLOCK_SERIAL_EVENT_SIGNALS 2u
#define AIRLOCK_SERIAL_SIGNALS_EVENT_BYTES 4u
struct airlock_serial_signals_event {
	airlock_u8 cts; /* 0 or 1 */
	airlock_u8 dsr; /* 0 or 1 */
	airlock_u8 ri; /* 0 or 1 */
	airlock_u8 dcd; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_serial_signals_event) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_signals_event, cts) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_signals_event, dsr) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_signals_event, ri) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_serial_signals_event, dcd) == 3, "layout");

/* ---- class watchdog ---- */

#define AIRLOCK_WATCHDOG_CONTRACT 1u
#define AIRLOCK_WATCHDOG_MAX_TIMEOUT_MS 3600000u

#define AIRLOCK_WATCHDOG_IDENTIFY 0u
#define AIRLOCK_WATCHDOG_IDENTIFY_ARGS_BYTES 0u
#define AIRLOCK_WATCHDOG_IDENTIFY_REPLY_BYTES 13u
struct airlock_watchdog_identify_reply {
	airlock_u32 min_timeout_ms; /* 1..4294967295 */
	airlock_u32 max_timeout_ms; /* 1..4294967295 */
	airlock_u8 can_stop; /* 0 or 1 */
	airlock_u8 has_pretimeout; /* 0 or 1 */
	airlock_u8 tells_time_left; /* 0 or 1 */
	airlock_u8 has_expired; /* 0 or 1 */
	airlock_u8 is_running; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_watchdog_identify_reply) == 13, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_identify_reply, min_timeout_ms) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_identify_reply, max_timeout_ms) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_identify_reply, can_stop) == 8, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_identify_reply, has_pretimeout) == 9, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_identify_reply, tells_time_left) == 10, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_identify_reply, has_expired) == 11, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_identify_reply, is_running) == 12, "layout");

#define AIRLOCK_WATCHDOG_CONFIGURE 1u
#define AIRLOCK_WATCHDOG_CONFIGURE_ARGS_BYTES 10u
struct airlock_watchdog_configure_args {
	airlock_u8 running; /* 0 or 1 */
	airlock_u8 no_way_out; /* 0 or 1 */
	airlock_u32 timeout_ms; /* 1..3600000 */
	airlock_u32 pretimeout_ms; /* 0..3600000 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_watchdog_configure_args) == 10, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_configure_args, running) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_configure_args, no_way_out) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_configure_args, timeout_ms) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_configure_args, pretimeout_ms) == 6, "layout");
#define AIRLOCK_WATCHDOG_CONFIGURE_REPLY_BYTES 5u
struct airlock_watchdog_configure_reply {
	airlock_u32 timeout_ms; /* 1..4294967295 */
	airlock_u8 is_running; /* 0 or 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_watchdog_configure_reply) == 5, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_configure_reply, timeout_ms) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_configure_reply, is_running) == 4, "layout");

#define AIRLOCK_WATCHDOG_PING 2u
#define AIRLOCK_WATCHDOG_PING_ARGS_BYTES 4u
struct airlock_watchdog_ping_args {
	airlock_u32 timeout_ms; /* 1..3600000 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_watchdog_ping_args) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_ping_args, timeout_ms) == 0, "layout");
#define AIRLOCK_WATCHDOG_PING_REPLY_BYTES 0u

#define AIRLOCK_WATCHDOG_TIME_LEFT 3u
#define AIRLOCK_WATCHDOG_TIME_LEFT_ARGS_BYTES 0u
#define AIRLOCK_WATCHDOG_TIME_LEFT_REPLY_BYTES 4u
struct airlock_watchdog_time_left_reply {
	airlock_u32 left_ms; /* 0..4294967295 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_watchdog_time_left_reply) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_watchdog_time_left_reply, left_ms) == 0, "layout");

#define AIRLOCK_WATCHDOG_EVENT_PRETIMEOUT 0u
#define AIRLOCK_WATCHDOG_PRETIMEOUT_EVENT_BYTES 0u

#define AIRLOCK_WATCHDOG_EVENT_EXPIRED 1u
#define AIRLOCK_WATCHDOG_EXPIRED_EVENT_BYTES 0u

#endif
