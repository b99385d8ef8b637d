// SPDX-License-Identifier: GPL-2.0-only
/* Checksums of 32 bits. Linux makes tables of several kinds when it is built; here there is one for each polynomial, made when needed. */
#include <linux/crc32.h>
#include <linux/crc32poly.h>
#include <linux/export.h>
#include <linux/kernel.h>

struct table {
	u32 polynomial;
	bool is_made;
	u32 of[256];
};

static struct table ethernet = { CRC32_POLY_LE }, castagnoli = { CRC32C_POLY_LE }, big = { CRC32_POLY_BE };

static const u32 *low_first(struct table *table)
{
	for (u32 n = 0; n < 256 && !table->is_made; n++) {
		u32 value = n;

		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? table->polynomial : 0);
		table->of[n] = value;
	}
	table->is_made = true;
	return table->of;
}

static const u32 *high_first(struct table *table)
{
	for (u32 n = 0; n < 256 && !table->is_made; n++) {
		u32 value = n << 24;

		for (int bit = 0; bit < 8; bit++)
			value = value << 1 ^ (value & 1u << 31 ? table->polynomial : 0);
		table->of[n] = value;
	}
	table->is_made = true;
	return table->of;
}

static u32 add(const u32 *table, u32 crc, const u8 *from, size_t count)
{
	for (; count > 0; count--)
		crc = crc >> 8 ^ table[(crc ^ *from++) & 0xff];
	return crc;
}

u32 crc32_le(u32 crc, const unsigned char *from, size_t count)
{
	return add(low_first(&ethernet), crc, from, count);
}

u32 __crc32c_le(u32 crc, const unsigned char *from, size_t count)
{
	return add(low_first(&castagnoli), crc, from, count);
}

u32 crc32_be(u32 crc, const unsigned char *from, size_t count)
{
	const u32 *table = high_first(&big);

	for (; count > 0; count--)
		crc = crc << 8 ^ table[(crc >> 24 ^ *from++) & 0xff];
	return crc;
}

/* What the first checksum becomes when so many bytes follow: those bytes as zeros, then both together. */
static u32 shift(const u32 *table, u32 crc, size_t count)
{
	static const u8 zero;

	for (; count > 0; count--)
		crc = add(table, crc, &zero, 1);
	return crc;
}

u32 crc32_le_shift(u32 crc, size_t count)
{
	return shift(low_first(&ethernet), crc, count);
}

u32 __crc32c_le_shift(u32 crc, size_t count)
{
	return shift(low_first(&castagnoli), crc, count);
}
