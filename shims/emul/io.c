// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers. Linux maps what the bus decodes; here a window is there already and its address says which it is, see asm/io.h.
 * What is asked for outside of the windows that were granted is refused by the trusted side, which ends the module.
 */
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include "emul.h"

/* Accesses after which the clock is looked at, so that a loop with a deadline in jiffies ends. */
#define CLOCK_ACCESSES 64
/* Looks at a clock that does not move, from which on each counts as time that has passed; a microsecond per access. */
#define STILL_LOOKS 16

static void look_at_clock(void)
{
	static double seen;
	static int still;
	double now = emul_now();

	still = now > seen ? 0 : still + 1;
	seen = now;
	if (still >= STILL_LOOKS)
		emul_skip(CLOCK_ACCESSES);
}

static inline void count_access(void)
{
	static u32 accesses;

	if (++accesses % CLOCK_ACCESSES == 0)
		look_at_clock();
}

/* The value of the last read, once it is here. */
static u32 answer;
static bool is_under_way;

/* A read completes after what either side wrote before it: where memory is copied, there is nothing to gain by not waiting. */
static void post_window(u32 window, u32 offset, u32 width)
{
	count_access();
	is_under_way = !emul_dma_copies;
	if (is_under_way) {
		airlock_post_read(window, offset, width);
		return;
	}
	emul_dma_push();
	answer = airlock_read(window, offset, width);
	emul_dma_pull();
}

/* What drivers call airlock_io_take; for them it has no effect, so that it has another name here. */
u32 airlock_io_wait(void)
{
	if (is_under_way) {
		is_under_way = false;
		answer = airlock_take_read();
	}
	return answer;
}

/* Waits until the device has had everything: before memory that it may use is read or another's, and before time is counted. */
void airlock_io_settle(void)
{
	if (is_under_way)
		airlock_io_wait();
}

static void write_window(u32 window, u32 offset, u32 width, u32 value)
{
	count_access();
	if (emul_dma_copies)
		emul_dma_push();
	airlock_write(window, offset, width, value);
}

static inline u32 window_of(unsigned long cookie)
{
	return (cookie - AIRLOCK_COOKIES) >> AIRLOCK_WINDOW_SHIFT;
}

static inline u32 offset_of(unsigned long cookie)
{
	return cookie & ((1ul << AIRLOCK_WINDOW_SHIFT) - 1);
}

/* Drivers also use these on what is memory; a null pointer traps as any access does. */
void airlock_io_post(unsigned long address, u32 width)
{
	if (address >= AIRLOCK_COOKIES) {
		post_window(window_of(address), offset_of(address), width);
		return;
	}
	is_under_way = false;
	if (width == 8)
		answer = *(const volatile u8 *)address;
	else if (width == 16)
		answer = *(const volatile u16 *)address;
	else
		answer = *(const volatile u32 *)address;
}

void airlock_io_write(unsigned long address, u32 width, u32 value)
{
	if (address >= AIRLOCK_COOKIES)
		write_window(window_of(address), offset_of(address), width, value);
	else if (width == 8)
		*(volatile u8 *)address = value;
	else if (width == 16)
		*(volatile u16 *)address = value;
	else
		*(volatile u32 *)address = value;
}

/* Number of the window that a port is in, and the port within it; what is outside of all has a number that no window has. */
static u32 port_window(unsigned long port)
{
	return (port >> AIRLOCK_PORT_SHIFT) - 1;
}

static u32 port_offset(unsigned long port)
{
	return port & ((1ul << AIRLOCK_PORT_SHIFT) - 1);
}

void airlock_port_post(unsigned long port, u32 width)
{
	post_window(port_window(port), port_offset(port), width);
}

void airlock_port_out(unsigned long port, u32 width, u32 value)
{
	write_window(port_window(port), port_offset(port), width, value);
}

unsigned long emul_window_port(u32 window)
{
	return (window + 1ul) << AIRLOCK_PORT_SHIFT;
}

unsigned long emul_window_cookie(u32 window)
{
	return AIRLOCK_COOKIES + ((unsigned long)window << AIRLOCK_WINDOW_SHIFT);
}

/* For headers that have ports of their own in mind: the first window of ports. */
unsigned long airlock_first_port(void)
{
	for (u32 n = 0; n < emul_machine.setup->windows; n++)
		if (emul_machine.windows[n].is_ports)
			return emul_window_port(n);
	return 0;
}

/* A physical address of a device's is its cookie. */
void __iomem *ioremap(phys_addr_t address, size_t size)
{
	if (address < AIRLOCK_COOKIES) {
		pr_err("ioremap of 0x%llx, where no window is\n", (u64)address);
		return NULL;
	}
	return (void __iomem *)(unsigned long)address;
}

void iounmap(volatile void __iomem *at)
{
}

void __iomem *ioport_map(unsigned long port, unsigned int count)
{
	u32 window = port_window(port);

	if (window >= emul_machine.setup->windows || window >= AIRLOCK_WINDOWS_MOST)
		return NULL;
	return (void __iomem *)(emul_window_cookie(window) + port_offset(port));
}

void ioport_unmap(void __iomem *at)
{
}

void memcpy_fromio(void *to, const volatile void __iomem *from, size_t count)
{
	unsigned long at = (unsigned long)from;
	u8 *out = to;

	while (count > 0) {
		size_t step = (at & 3) == 0 && count >= 4 ? 4 : 1;
		u32 value;

		airlock_io_post(at, step * 8);
		value = airlock_io_take();
		memcpy(out, &value, step);
		out += step;
		at += step;
		count -= step;
	}
}

void memcpy_toio(volatile void __iomem *to, const void *from, size_t count)
{
	unsigned long at = (unsigned long)to;
	const u8 *in = from;

	while (count > 0) {
		size_t step = (at & 3) == 0 && count >= 4 ? 4 : 1;
		u32 value = 0;

		memcpy(&value, in, step);
		airlock_io_write(at, step * 8, value);
		in += step;
		at += step;
		count -= step;
	}
}

void memset_io(volatile void __iomem *to, int value, size_t count)
{
	unsigned long at = (unsigned long)to;
	u32 word = (u8)value * 0x01010101u;

	while (count > 0) {
		size_t step = (at & 3) == 0 && count >= 4 ? 4 : 1;

		airlock_io_write(at, step * 8, word);
		at += step;
		count -= step;
	}
}
