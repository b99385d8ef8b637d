// SPDX-License-Identifier: GPL-2.0-only
/* memcpy and its like, as the instructions that WebAssembly has for them. */
#include <linux/string.h>

#undef memcpy
#undef memmove
#undef memset

void *memcpy(void *to, const void *from, size_t count)
{
	/* The instruction costs more than a few loads and stores. */
	if (count <= 16) {
		u8 *t = to;
		const u8 *f = from;

		for (; count >= 4; count -= 4, t += 4, f += 4) {
			u32 word;

			__builtin_memcpy_inline(&word, f, 4);
			__builtin_memcpy_inline(t, &word, 4);
		}
		for (; count > 0; count--)
			*t++ = *f++;
		return to;
	}
	return __builtin_memcpy(to, from, count);
}

void *memmove(void *to, const void *from, size_t count)
{
	return __builtin_memmove(to, from, count);
}

void *memset(void *to, int value, size_t count)
{
	return __builtin_memset(to, value, count);
}
