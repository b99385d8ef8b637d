/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the environment know of each other: the machine's setup, tasks, time, and the way out. Everything else goes
 * through Linux's own headers, whose functions these files implement.
 */
#ifndef AIRLOCK_EMUL_H
#define AIRLOCK_EMUL_H

#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <airlock.h>

struct device;

/* main.c: the machine, valid from the init record on */
struct emul_machine {
	const struct airlock_setup *setup;
	const struct airlock_window *windows;
	const struct airlock_irq *irqs;
	const struct airlock_region *regions;
	const struct airlock_option *options;
};
extern struct emul_machine emul_machine;
/* Number of the window, line or region of this name; -1 when there is none. */
int emul_find_window(const char *name);
int emul_find_irq(const char *name);
/* The value of a setting, or NULL. These are the environment's own; all others are parameters of the modules. */
const char *emul_option(const char *name);
#define EMUL_OPTION_CHECKING "checking"
#define EMUL_OPTION_DELAYS "delays"
/* mailbox.c */
extern airlock_u8 airlock_inbox[], airlock_outbox[];
/* Puts a record into the outbox, which is sent when it is full and at the end of the turn. */
void emul_put(u16 kind, u16 id, u32 tag, const void *payload, u32 bytes);
/* Gathers one completion of a queue; they go out in batches, before any other record. */
void emul_complete(u16 queue, u32 words, const u32 *completion);
/* The end of a turn. */
void emul_flush(void);

/* fail.c */
void emul_fail(u32 why, const char *format, ...) __attribute__((noreturn, cold, format(printf, 2, 3)));

/* console.c: information is for debugging only */
extern bool emul_quiet;

/* time.c: microseconds of the machine's clock, never going back; brings jiffies up to date */
double emul_now(void);
/* Counts time as passed: for waits in a world whose clock stands still during a turn, or that are not waited for. */
void emul_skip(double micros);
/* How much of that there was. */
double emul_skipped(void);
/* delay.c */
void emul_delay_init(void);
/* A place where a task may be made to wait for the next turn, a turn starts, and a task wants it to end. */
void emul_breathe(void);
void emul_turn_starts(void);
/* Whether the clock was set on, because all wait; else how long to wait for the next timer. */
bool emul_shorten_sleeps(double now, double next, double *wait);
bool emul_turn_is_over(void);
/* timers.c, hrtimer.c: run what is due; when the next is, in microseconds, or infinity */
double emul_timers_next(void);
void emul_timers_run(double now);
double emul_hrtimers_next(void);
void emul_hrtimers_run(double now);

/* pages.c, slab.c */
void emul_pages_init(void);
void emul_slab_init(void);
/* The region of the heap, or -1 when it is memory that no device reaches. */
extern int emul_heap_region;
extern unsigned long emul_heap_start, emul_heap_end;

/* sched.c */
struct emul_task;
void emul_sched_init(void);
/* A runnable task of its own stack; `nofail`: out of memory ends the module. */
struct task_struct *emul_spawn(void (*function)(void *), void *argument, const char *name);
/* Runs tasks and softirqs until all wait. */
void emul_run(void);
void emul_wake_task(struct task_struct *task);
bool emul_may_sleep(void);

/* workqueue.c: the task that runs is a worker, and is about to sleep, or goes on */
void emul_worker_sleeps(void);
void emul_worker_runs(void);

/* softirq.c */
void emul_softirq_run(void);
bool emul_softirq_pending(void);
/* Tasklets that were disabled when they were to run, and are not any more. */
void emul_tasklets_check(void);

/* irq.c: a line was raised; lines that came while they were disabled */
void emul_irq(u32 line);
bool emul_irq_run_pending(void);
/* Linux's number of a line. */
#define EMUL_IRQ_BASE 1
static inline int emul_irq_number(int line)
{
	return line + EMUL_IRQ_BASE;
}

/* rcu.c */
void emul_rcu_run(void);

/* io.c: where a window begins, as a port and as memory */
unsigned long emul_window_port(u32 window);
unsigned long emul_window_cookie(u32 window);

/* dma-copies.c: memory that has not the same pages as the device's is made the same before and after accesses */
extern bool emul_dma_copies;
void emul_dma_push(void);
void emul_dma_pull(void);
void emul_dma_set_up(struct device *device);
/* A part of the heap; coherent memory, from its allocation to its end */
void emul_dma_sync(unsigned long at, size_t size, bool to_device);
bool emul_dma_watch(void *at, size_t size);
void emul_dma_forget(void *at);

/* device.c: the one device, and whether a driver has it */
void emul_set_device(struct device *device);
struct device *emul_device(void);
/* platform.c: the bus of what has no bus, and the device on it when it is none of PCI */
void emul_platform_init(void);

/* module.c: start and end the modules, in a task; tells the other side when it is done */
void emul_modules_init(void);
void emul_modules_exit(void);

/* faults.c: a place that a fault may have been armed for */
void emul_fault_at(u32 at);

/* requests.c: what came for the class; `emul_requests`: whole entries, payload in bytes */
void emul_request(u16 operation, u32 tag, const void *payload, u32 bytes);
void emul_requests(u16 queue, const void *payload, u32 bytes);
/* From now on there is, or is not, somebody to carry requests out. */
void emul_open_requests(bool open);

/* The class of the driver: registered by the glue that its subsystem drew into the link. */
struct emul_class {
	const char *name;
	/* Whether a device was registered, so that requests have somebody to go to. */
	bool (*is_ready)(void);
	/* One operation, in a task: may sleep. Answers with `emul_reply`. */
	void (*request)(u16 operation, u32 tag, const u8 *payload, u32 bytes);
	/* Whole entries of a queue, `count` words, as in a softirq: may not sleep. */
	void (*requests)(u16 queue, const u32 *words, u32 count);
};
void emul_set_class(const struct emul_class *class);
/* The one that has a device, of several the first to be set; or the first; or none. */
const struct emul_class *emul_class(void);
static inline void emul_reply(u16 operation, u32 tag, const void *reply, u32 bytes)
{
	emul_put(AIRLOCK_RECORD_REPLY, operation, tag, reply, bytes);
}
static inline void emul_event(u16 event, const void *payload, u32 bytes)
{
	emul_put(AIRLOCK_RECORD_EVENT, event, 0, payload, bytes);
}
/* A request whose layout is not the contract's. */
void emul_bad_request(const char *what) __attribute__((noreturn, cold));

#endif
