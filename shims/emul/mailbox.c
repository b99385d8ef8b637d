// SPDX-License-Identifier: GPL-2.0-only
/*
 * The outbox: records to the trusted side. Completions are gathered per queue and go out as one record, before anything that was
 * said after them; everything is handed over when the outbox is full and at the end of a turn.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include "emul.h"

/* Classes have one or two. */
#define QUEUES_MOST 4
#define RECORD_ALIGN 8
/* What is gathered before it goes out, in words: half of what a record may carry. */
#define GATHERED_WORDS (AIRLOCK_PAYLOAD_MOST / 8)

airlock_u8 airlock_inbox[AIRLOCK_MAILBOX_BYTES] __aligned(RECORD_ALIGN);
airlock_u8 airlock_outbox[AIRLOCK_MAILBOX_BYTES] __aligned(RECORD_ALIGN);
const airlock_u32 airlock_abi = AIRLOCK_ABI_VERSION;

static u32 used;
static struct {
	u32 words;
	u32 word[GATHERED_WORDS];
} gathered[QUEUES_MOST];
static u32 gathering;

static void append(u16 kind, u16 id, u32 tag, const void *payload, u32 bytes)
{
	u32 whole = sizeof(struct airlock_record) + ALIGN(bytes, RECORD_ALIGN);
	struct airlock_record *record;

	if (bytes > AIRLOCK_PAYLOAD_MOST)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "a record of %u bytes; %u are the most", bytes, AIRLOCK_PAYLOAD_MOST);
	if (used + whole > AIRLOCK_MAILBOX_BYTES) {
		airlock_flush(used);
		used = 0;
	}
	record = (struct airlock_record *)(airlock_outbox + used);
	*record = (struct airlock_record){ .payload_bytes = bytes, .kind = kind, .id = id, .tag = tag };
	memcpy(record + 1, payload, bytes);
	memset((u8 *)(record + 1) + bytes, 0, whole - sizeof(*record) - bytes);
	used += whole;
}

static void append_gathered(void)
{
	for (u32 queue = 0; gathering != 0; queue++) {
		if (!(gathering & 1u << queue))
			continue;
		gathering &= ~(1u << queue);
		append(AIRLOCK_RECORD_COMPLETIONS, queue, 0, gathered[queue].word, gathered[queue].words * 4);
		gathered[queue].words = 0;
	}
}

void emul_put(u16 kind, u16 id, u32 tag, const void *payload, u32 bytes)
{
	append_gathered();
	append(kind, id, tag, payload, bytes);
}

void emul_complete(u16 queue, u32 words, const u32 *completion)
{
	if (queue >= QUEUES_MOST || words == 0 || words > GATHERED_WORDS)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "a completion of %u words in queue %u, which the environment cannot carry", words, queue);
	if (gathered[queue].words + words > GATHERED_WORDS)
		append_gathered();
	for (u32 n = 0; n < words; n++)
		gathered[queue].word[gathered[queue].words + n] = completion[n];
	gathered[queue].words += words;
	gathering |= 1u << queue;
}

void emul_flush(void)
{
	append_gathered();
	if (used == 0)
		return;
	airlock_flush(used);
	used = 0;
}
