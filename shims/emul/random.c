// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random numbers from the seed of the setup, by xoshiro128++: a run can be repeated. Nothing here is a secret, as the trusted side
 * knows all that the module knows.
 */
#include <linux/bitops.h>
#include <linux/hw_random.h>
#include <linux/kernel.h>
#include <linux/notifier.h>
#include <linux/random.h>
#include <linux/string.h>
#include "emul.h"

static u32 state[4];
static bool is_seeded;

static void seed(void)
{
	memcpy(state, emul_machine.setup->random_seed, sizeof(state));
	/* The one state that it never leaves. */
	if (!(state[0] | state[1] | state[2] | state[3]))
		state[0] = 1;
	is_seeded = true;
}

static u32 next(void)
{
	u32 result, shifted;

	if (!is_seeded)
		seed();
	result = rol32(state[0] + state[3], 7) + state[0];
	shifted = state[1] << 9;
	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= shifted;
	state[3] = rol32(state[3], 11);
	return result;
}

void get_random_bytes(void *to, size_t count)
{
	u8 *at = to;

	for (u32 word = 0, n = 0; n < count; n++, word >>= 8) {
		if (n % 4 == 0)
			word = next();
		at[n] = word;
	}
}

u8 get_random_u8(void)
{
	return next();
}

u16 get_random_u16(void)
{
	return next();
}

u32 get_random_u32(void)
{
	return next();
}

u64 get_random_u64(void)
{
	return (u64)next() << 32 | next();
}

u32 __get_random_u32_below(u32 end)
{
	return (u64)next() * end >> 32;
}

bool rng_is_initialized(void)
{
	return true;
}

int wait_for_random_bytes(void)
{
	return 0;
}

int execute_with_initialized_rng(struct notifier_block *block)
{
	return block->notifier_call(block, 0, NULL);
}

/* What others would add is left out: the same run is to be the same. */
void add_device_randomness(const void *from, size_t count)
{
}

void add_interrupt_randomness(int irq)
{
}

void add_input_randomness(unsigned int type, unsigned int code, unsigned int value)
{
}

void add_hwgenerator_randomness(const void *from, size_t count, size_t entropy)
{
}
