/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The whole border of a WebAssembly driver: what the module imports, what it exports, and what lies in the two mailboxes.
 * The trusted side is runtime/sandbox/wasm; runtime/sandbox/wasm/abi.ts says the same in TypeScript, and a test compares both.
 * All integers are little endian. Everything the module passes is checked on the other side.
 */
#ifndef AIRLOCK_ABI_H
#define AIRLOCK_ABI_H

/* Exported as a constant global `airlock_abi`; a module of another version is refused. */
#define AIRLOCK_ABI_VERSION 1

/* Bytes of each mailbox, `airlock_inbox` and `airlock_outbox`, exported as globals that hold their addresses. */
#define AIRLOCK_MAILBOX_BYTES 65536

/* No record carries more payload than this. */
#define AIRLOCK_PAYLOAD_MOST 16384

/* Addresses from here on are register windows' cookies, above every memory the module can have: a stray access traps. */
#define AIRLOCK_COOKIE_BASE 0xc0000000u

typedef unsigned char airlock_u8;
typedef unsigned short airlock_u16;
typedef unsigned int airlock_u32;

/* A record in a mailbox: this header, then its payload, padded to 8 bytes. */
struct airlock_record {
	airlock_u32 payload_bytes;
	airlock_u16 kind;
	airlock_u16 id;
	airlock_u32 tag;
	airlock_u32 reserved;
};

#define AIRLOCK_RECORD_INIT 1u
#define AIRLOCK_RECORD_REQUEST 2u
#define AIRLOCK_RECORD_IRQ 3u
#define AIRLOCK_RECORD_TIMER 4u
#define AIRLOCK_RECORD_FAULT 5u
#define AIRLOCK_RECORD_REQUESTS 6u
/*
 * Orderly stop: let go of the device (the driver's exit functions), then send REMOVED. Interrupts and timers still come, requests do
 * not; the registers stay granted until REMOVED came, or 500 ms are over. Another INIT may follow REMOVED: then start anew.
 */
#define AIRLOCK_RECORD_REMOVE 7u
#define AIRLOCK_RECORD_READY 16u
#define AIRLOCK_RECORD_REPLY 17u
#define AIRLOCK_RECORD_EVENT 18u
#define AIRLOCK_RECORD_COMPLETIONS 19u
#define AIRLOCK_RECORD_REMOVED 20u

#define AIRLOCK_IRQ_ATTACH 0u
#define AIRLOCK_IRQ_MASK 1u
#define AIRLOCK_IRQ_UNMASK 2u
#define AIRLOCK_IRQ_ACK 3u

#define AIRLOCK_LOG_DEBUG 20u
#define AIRLOCK_LOG_INFO 30u
#define AIRLOCK_LOG_WARN 40u
#define AIRLOCK_LOG_ERROR 50u

/* Why the module ends itself; the name of each is in abi.ts. */
#define AIRLOCK_FAIL_BUG 1u      /* BUG(), panic, an oops of the environment's own */
#define AIRLOCK_FAIL_MISSING 2u  /* a function the environment lacks was called */
#define AIRLOCK_FAIL_MEMORY 3u   /* out of memory where the driver cannot go on */
#define AIRLOCK_FAIL_ATOMIC 4u   /* sleeping where that is not allowed */
#define AIRLOCK_FAIL_HEAP 5u     /* the allocator found a double free or an overwritten guard */
#define AIRLOCK_FAIL_PROBE 6u    /* the driver refused its device */
#define AIRLOCK_FAIL_PROTOCOL 7u /* a record that is malformed */

#define AIRLOCK_NAME_BYTES 32

#define AIRLOCK_RIGHT_READ 1u
#define AIRLOCK_RIGHT_WRITE 2u

/* One register window; its number at `read` and `write` is its place in the list. */
struct airlock_window {
	char name[AIRLOCK_NAME_BYTES]; /* "bar0".."bar5", "config", or the name of a port range; ends with 0 */
	airlock_u32 size_bytes;
	airlock_u32 rights;
	airlock_u32 widths; /* 8 | 16 | 32, as far as the device decodes them */
	airlock_u32 is_ports; /* 1: port I/O; 0: MMIO or configuration space */
};

struct airlock_irq {
	char name[AIRLOCK_NAME_BYTES]; /* "intx", "msix0", or a line's name */
};

/* DMA memory, already in the module's own memory. */
struct airlock_region {
	char name[AIRLOCK_NAME_BYTES];
	airlock_u32 address; /* where it lies in this memory, page-aligned */
	airlock_u32 size_bytes;
	airlock_u32 iova;      /* where the device finds it */
	airlock_u32 is_shared; /* 1: the same pages as the device's; 0: `sync` copies */
	airlock_u32 is_buffers; /* 1: the class's buffers, which requests name by their iova */
};

/* A setting of the machine file: for module parameters. */
struct airlock_option {
	char name[AIRLOCK_NAME_BYTES];
	char value[64];
};

/* The allocator guards and verifies every object. */
#define AIRLOCK_SETUP_CHECKING 1u

/* What `setup` writes: this header, then the lists one after the other, without gaps. */
struct airlock_setup {
	airlock_u32 abi;
	airlock_u32 windows;
	airlock_u32 irqs;
	airlock_u32 regions;
	airlock_u32 options;
	airlock_u32 memory_bytes; /* the module's own part of its memory ends here, regions lie above; no memory ever grows */
	airlock_u32 flags;        /* AIRLOCK_SETUP_* */
	airlock_u32 random_seed[4];
	char driver[AIRLOCK_NAME_BYTES];
};

#ifdef __wasm__
#define AIRLOCK_IMPORT(name) __attribute__((import_module("airlock"), import_name(#name))) extern

/* Registers: offsets in bytes, widths in bits. A read completes after every earlier write. A denial ends the module. */
AIRLOCK_IMPORT(read) airlock_u32 airlock_read(airlock_u32 window, airlock_u32 offset, airlock_u32 width);
/* A read in two halves: the device performs it in its turn, and only who wants the value waits for it. */
AIRLOCK_IMPORT(post_read) void airlock_post_read(airlock_u32 window, airlock_u32 offset, airlock_u32 width);
/* The value of the last read that was posted. */
AIRLOCK_IMPORT(take_read) airlock_u32 airlock_take_read(void);
AIRLOCK_IMPORT(write) void airlock_write(airlock_u32 window, airlock_u32 offset, airlock_u32 width, airlock_u32 value);
AIRLOCK_IMPORT(irq) void airlock_irq(airlock_u32 line, airlock_u32 op);
/* Makes a part of a region the same for both sides, where they have no pages in common. */
AIRLOCK_IMPORT(sync) void airlock_sync(airlock_u32 region, airlock_u32 offset, airlock_u32 size, airlock_u32 to_device);
AIRLOCK_IMPORT(log) void airlock_log(airlock_u32 level, const char *text, airlock_u32 length);
/* Microseconds of the machine's clock, and of UTC at that clock's zero is not known. */
AIRLOCK_IMPORT(now) double airlock_now(void);
/* A timer record with this tag comes after so many microseconds; a negative delay cancels it. */
AIRLOCK_IMPORT(timer) void airlock_timer(airlock_u32 tag, double delay_micros);
/* Hands the first bytes of the outbox over; they are copied before it returns. */
AIRLOCK_IMPORT(flush) void airlock_flush(airlock_u32 length);
/* Ends the module; does not return. */
AIRLOCK_IMPORT(fail) void airlock_fail(airlock_u32 why, const char *text, airlock_u32 length) __attribute__((noreturn));
/* Writes the setup at `to`; returns its whole length, also when it was more than `capacity` and nothing was written. */
AIRLOCK_IMPORT(setup) airlock_u32 airlock_get_setup(void *to, airlock_u32 capacity);
#endif

/*
 * Exports besides the globals above:
 *   void airlock_load(void)               before the module has a world: initcalls; only `log`, `now` (0) and `fail` may be called
 *   void airlock_turn(u32 length)         handles the records in the inbox and runs until nothing can go on
 *   void airlock_fault(u32 kind, u32 at)  only from fault injection: does what AIRLOCK_FAULT_* says, at AIRLOCK_AT_*
 * The memory is imported as "airlock" "memory"; its first 64 KiB hold nothing, so that they can be taken away.
 */
#define AIRLOCK_FAULT_NULL_READ 1u
#define AIRLOCK_FAULT_NULL_WRITE 2u
#define AIRLOCK_FAULT_WILD_WRITE 3u
#define AIRLOCK_FAULT_BUG 4u
#define AIRLOCK_FAULT_LOOP 5u
#define AIRLOCK_FAULT_SLEEP_IN_IRQ 6u
#define AIRLOCK_FAULT_DOUBLE_FREE 7u
#define AIRLOCK_FAULT_NULL_CALL 8u
#define AIRLOCK_FAULT_EXHAUST_MEMORY 9u
#define AIRLOCK_FAULT_STACK 10u

#define AIRLOCK_AT_NOW 0u
#define AIRLOCK_AT_OPERATION 1u
#define AIRLOCK_AT_IRQ 2u

#endif
