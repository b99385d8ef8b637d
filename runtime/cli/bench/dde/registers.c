/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A driver that only measures: times its register accesses at its start and says so in its log. It serves no client. */
#include "../../../../shims/abi/airlock.h"

#define WRITES 200000u
#define READS 20000u

const airlock_u32 airlock_abi = AIRLOCK_ABI_VERSION;
airlock_u8 airlock_inbox[AIRLOCK_MAILBOX_BYTES] __attribute__((aligned(8)));
airlock_u8 airlock_outbox[AIRLOCK_MAILBOX_BYTES] __attribute__((aligned(8)));

static char text[128];
static airlock_u32 length;

static void say(const char *word)
{
	while (*word)
		text[length++] = *word++;
}

static void say_number(airlock_u32 value)
{
	if (value >= 10)
		say_number(value / 10);
	text[length++] = (char)('0' + value % 10);
}

static airlock_u32 write_ns(airlock_u32 count)
{
	double start = airlock_now();
	airlock_u32 i;

	for (i = 0; i < count; i++)
		airlock_write(0, 0, 8, i & 0x7f);
	return (airlock_u32)((airlock_now() - start) * 1000.0 / count);
}

static airlock_u32 read_ns(airlock_u32 count)
{
	double start = airlock_now();
	airlock_u32 i;

	for (i = 0; i < count; i++)
		airlock_read(0, 1, 8);
	return (airlock_u32)((airlock_now() - start) * 1000.0 / count);
}

void airlock_load(void)
{
}

void airlock_fault(airlock_u32 kind, airlock_u32 at)
{
	(void)kind;
	(void)at;
}

void airlock_turn(airlock_u32 bytes)
{
	struct airlock_record *in = (void *)airlock_inbox, *out = (void *)airlock_outbox;

	if (bytes < sizeof(*in) || in->kind != AIRLOCK_RECORD_INIT)
		return;
	write_ns(1000);
	read_ns(1000);
	say("{\"writeNs\":");
	say_number(write_ns(WRITES));
	say(",\"readNs\":");
	say_number(read_ns(READS));
	say("}");
	airlock_log(AIRLOCK_LOG_INFO, text, length);
	out->payload_bytes = 0;
	out->kind = AIRLOCK_RECORD_READY;
	out->id = 0;
	out->tag = 0;
	out->reserved = 0;
	airlock_flush(sizeof(*out));
}
