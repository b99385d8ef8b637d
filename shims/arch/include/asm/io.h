/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Register access. A window's address is a cookie: AIRLOCK_COOKIE_BASE, then the window's number, then the offset, so that the
 * address itself says which import call to make. Anything below is the module's own memory, where a plain access is as
 * harmless, or traps as well, as everywhere else.
 * Port numbers hold the window's number in the same way: window 0 begins at port 0x1000.
 */
#ifndef _ASM_IO_H
#define _ASM_IO_H

#include <linux/types.h>
#include <asm/byteorder.h>
#include <asm/barrier.h>

#define AIRLOCK_COOKIES 0xc0000000ul
#define AIRLOCK_WINDOW_SHIFT 26
#define AIRLOCK_WINDOWS_MOST 16
#define AIRLOCK_PORT_SHIFT 12
#define IO_SPACE_LIMIT 0x1ffff

/*
 * emul/io.c. A read is posted, and waited for by whoever uses its value: drivers read a register only to push their writes out to
 * the device, and here these are on their way in order anyway. The attribute has the compiler leave out a wait for nothing.
 */
void airlock_io_post(unsigned long address, u32 width);
u32 airlock_io_take(void) __asm__("airlock_io_wait") __attribute__((pure));
void airlock_io_write(unsigned long address, u32 width, u32 value);
void airlock_port_post(unsigned long port, u32 width);
void airlock_port_out(unsigned long port, u32 width, u32 value);

#define AIRLOCK_ACCESSORS(letter, type, bits)							\
static inline type __raw_read##letter(const volatile void __iomem *at)				\
{												\
	airlock_io_post((unsigned long)at, bits);						\
	return airlock_io_take();								\
}												\
static inline void __raw_write##letter(type value, volatile void __iomem *at)			\
{												\
	airlock_io_write((unsigned long)at, bits, value);					\
}												\
static inline type in##letter(unsigned long port)						\
{												\
	airlock_port_post(port, bits);								\
	return airlock_io_take();								\
}												\
static inline void out##letter(type value, unsigned long port)					\
{												\
	airlock_port_out(port, bits, value);							\
}
AIRLOCK_ACCESSORS(b, u8, 8)
AIRLOCK_ACCESSORS(w, u16, 16)
AIRLOCK_ACCESSORS(l, u32, 32)

#define __raw_readb __raw_readb
#define __raw_readw __raw_readw
#define __raw_readl __raw_readl
#define __raw_writeb __raw_writeb
#define __raw_writew __raw_writew
#define __raw_writel __raw_writel
#define inb inb
#define inw inw
#define inl inl
#define outb outb
#define outw outw
#define outl outl

static inline void insb(unsigned long port, void *to, unsigned int count)
{
	for (u8 *at = to; count > 0; count--)
		*at++ = inb(port);
}

static inline void insw(unsigned long port, void *to, unsigned int count)
{
	for (u8 *at = to; count > 0; count--, at += 2) {
		u16 value = inw(port);

		__builtin_memcpy(at, &value, 2);
	}
}

static inline void insl(unsigned long port, void *to, unsigned int count)
{
	for (u8 *at = to; count > 0; count--, at += 4) {
		u32 value = inl(port);

		__builtin_memcpy(at, &value, 4);
	}
}

static inline void outsb(unsigned long port, const void *from, unsigned int count)
{
	for (const u8 *at = from; count > 0; count--)
		airlock_port_out(port, 8, *at++);
}

static inline void outsw(unsigned long port, const void *from, unsigned int count)
{
	for (const u8 *at = from; count > 0; count--, at += 2) {
		u16 value;

		__builtin_memcpy(&value, at, 2);
		airlock_port_out(port, 16, value);
	}
}

static inline void outsl(unsigned long port, const void *from, unsigned int count)
{
	for (const u8 *at = from; count > 0; count--, at += 4) {
		u32 value;

		__builtin_memcpy(&value, at, 4);
		airlock_port_out(port, 32, value);
	}
}
#define insb insb
#define insw insw
#define insl insl
#define outsb outsb
#define outsw outsw
#define outsl outsl

void __iomem *ioremap(phys_addr_t address, size_t size);
void iounmap(volatile void __iomem *at);
void __iomem *ioport_map(unsigned long port, unsigned int count);
void ioport_unmap(void __iomem *at);
#define ioremap ioremap
#define iounmap iounmap
#define ioport_map ioport_map
#define ioport_unmap ioport_unmap

/* Block copies keep to accesses that every device decodes. */
void memcpy_fromio(void *to, const volatile void __iomem *from, size_t count);
void memcpy_toio(volatile void __iomem *to, const void *from, size_t count);
void memset_io(volatile void __iomem *to, int value, size_t count);
#define memcpy_fromio memcpy_fromio
#define memcpy_toio memcpy_toio
#define memset_io memset_io

#include <asm-generic/io.h>

#endif
