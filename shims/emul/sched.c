// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks. Linux has threads; here each task is a coroutine on a C stack of its own. Switching away unwinds the WebAssembly
 * stack by binaryen's asyncify, switching back rewinds it. There is one processor and no preemption: a task runs until it
 * sleeps. Interrupts, softirqs and the border's calls run as `init_task`, which never sleeps.
 */
#include <linux/completion.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/sched/signal.h>
#include <linux/sched/wake_q.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include "emul.h"

/* Most that a probe of a network card was seen to take is a fifth of either. */
#define STACK_BYTES 16384
#define UNWIND_BYTES 16384
#define STACK_GUARD 0x5ac4de00u
/* Stacks of ended tasks that are kept for the next ones. */
#define SPARE_TASKS 4
/* Rounds of softirqs in one turn; then what they had to say is sent first. */
#define SOFTIRQS_MOST 32

#define ASYNCIFY(name) __attribute__((import_module("asyncify"), import_name(#name)))
ASYNCIFY(start_unwind) extern void asyncify_start_unwind(void *buffer);
ASYNCIFY(stop_unwind) extern void asyncify_stop_unwind(void);
ASYNCIFY(start_rewind) extern void asyncify_start_rewind(void *buffer);
ASYNCIFY(stop_rewind) extern void asyncify_stop_rewind(void);

asm(".globaltype __stack_pointer, i32\n");

struct emul_task {
	struct task_struct task;
	/* What asyncify needs: where its next frame goes, and where they may go at most. */
	struct { u32 at, end; } unwound;
	unsigned long stack_pointer;
	void (*function)(void *);
	void *argument;
	struct list_head run;
	bool is_started, is_ended;
	/* The guard, then the C stack, which grows down to it; then asyncify's buffer, which grows up. */
	u32 *stack;
};

struct task_struct init_task = {
	.__state = TASK_RUNNING,
	.comm = "interrupt",
	.flags = PF_KTHREAD,
};
struct task_struct *airlock_current = &init_task;
unsigned long airlock_irqs_on = 1;

static LIST_HEAD(runnable);
static LIST_HEAD(spare);
static int spares;
static int next_pid = 2;
static bool is_unwinding, is_rewinding;

static struct emul_task *of(struct task_struct *task)
{
	return container_of(task, struct emul_task, task);
}

static noinline unsigned long get_stack_pointer(void)
{
	unsigned long at;

	asm volatile("global.get __stack_pointer\nlocal.set %0" : "=r"(at));
	return at;
}

static noinline void set_stack_pointer(unsigned long at)
{
	asm volatile("local.get %0\nglobal.set __stack_pointer" : : "r"(at));
}

bool emul_may_sleep(void)
{
	return airlock_current != &init_task && preempt_count() == 0 && !irqs_disabled();
}

static void set_up(struct emul_task *task)
{
	task->unwound.at = (u32)task->stack + STACK_BYTES;
	task->unwound.end = task->unwound.at + UNWIND_BYTES;
	task->stack_pointer = (u32)task->stack + STACK_BYTES;
	task->stack[0] = STACK_GUARD;
}

static struct emul_task *new_task(void)
{
	struct emul_task *task;

	if (!list_empty(&spare)) {
		u32 *stack;

		task = list_first_entry(&spare, struct emul_task, run);
		list_del(&task->run);
		spares--;
		stack = task->stack;
		memset(task, 0, sizeof(*task));
		task->stack = stack;
		return task;
	}
	task = kzalloc(sizeof(*task), GFP_KERNEL);
	if (!task)
		return NULL;
	task->stack = (u32 *)__get_free_pages(GFP_KERNEL, get_order(STACK_BYTES + UNWIND_BYTES));
	if (!task->stack) {
		kfree(task);
		return NULL;
	}
	return task;
}

struct task_struct *emul_spawn(void (*function)(void *), void *argument, const char *name)
{
	struct emul_task *task = new_task();

	if (!task)
		return NULL;
	set_up(task);
	task->function = function;
	task->argument = argument;
	task->task.__state = TASK_UNINTERRUPTIBLE;
	task->task.flags = PF_KTHREAD;
	task->task.pid = task->task.tgid = next_pid++;
	task->task.group_leader = &task->task;
	refcount_set(&task->task.usage, 1);
	strscpy(task->task.comm, name, sizeof(task->task.comm));
	INIT_LIST_HEAD(&task->run);
	return &task->task;
}

/* Nobody speaks of the task any more. */
void __put_task_struct(struct task_struct *ended)
{
	struct emul_task *task = of(ended);

	if (ended->worker_private)
		free_kthread_struct(ended);
	if (spares < SPARE_TASKS) {
		list_add(&task->run, &spare);
		spares++;
		return;
	}
	free_pages((unsigned long)task->stack, get_order(STACK_BYTES + UNWIND_BYTES));
	kfree(task);
}

/* The bottom of a task's stack. */
static noinline void enter_task(struct emul_task *task)
{
	task->function(task->argument);
	if (!is_unwinding)
		task->is_ended = true;
}

/* The switch away: returns twice, the first time to unwind, the second time when the task goes on. */
static noinline void switch_away(struct emul_task *task)
{
	if (is_rewinding) {
		is_rewinding = false;
		asyncify_stop_rewind();
		return;
	}
	is_unwinding = true;
	task->stack_pointer = get_stack_pointer();
	task->unwound.at = (u32)task->stack + STACK_BYTES;
	asyncify_start_unwind(&task->unwound);
}

/* Runs a task until it sleeps or ends. Not itself instrumented: it is where unwinding stops. */
static noinline void run_task(struct emul_task *task)
{
	unsigned long own_stack = get_stack_pointer();

	airlock_current = &task->task;
	set_stack_pointer(task->stack_pointer);
	if (task->is_started) {
		is_rewinding = true;
		asyncify_start_rewind(&task->unwound);
	}
	task->is_started = true;
	enter_task(task);
	if (is_unwinding) {
		asyncify_stop_unwind();
		is_unwinding = false;
	}
	set_stack_pointer(own_stack);
	airlock_current = &init_task;
	if (task->stack[0] != STACK_GUARD)
		emul_fail(AIRLOCK_FAIL_BUG, "kernel stack overflow: task %s used more than %d bytes", task->task.comm, STACK_BYTES);
	/* What was left in the midst never runs again, and is as good as ended. */
	if (task->is_ended || READ_ONCE(task->task.__state) == TASK_DEAD)
		put_task_struct(&task->task);
}

void emul_run(void)
{
	int softirqs = 0;

	for (;;) {
		struct emul_task *task;

		if (emul_softirq_pending() && softirqs++ < SOFTIRQS_MOST)
			emul_softirq_run();
		if (emul_irq_run_pending())
			continue;
		if (list_empty(&runnable)) {
			emul_tasklets_check();
			if (emul_softirq_pending() && softirqs < SOFTIRQS_MOST)
				continue;
			return;
		}
		task = list_first_entry(&runnable, struct emul_task, run);
		list_del_init(&task->run);
		run_task(task);
	}
}

static void make_runnable(struct emul_task *task)
{
	if (list_empty(&task->run))
		list_add_tail(&task->run, &runnable);
}

int wake_up_state(struct task_struct *task, unsigned int state)
{
	if (!(READ_ONCE(task->__state) & state))
		return 0;
	WRITE_ONCE(task->__state, TASK_RUNNING);
	if (task != airlock_current && task != &init_task)
		make_runnable(of(task));
	return 1;
}

int wake_up_process(struct task_struct *task)
{
	return wake_up_state(task, TASK_NORMAL | TASK_IDLE | TASK_PARKED);
}

int default_wake_function(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	return wake_up_state(entry->private, mode);
}

void wake_up_new_task(struct task_struct *task)
{
	wake_up_process(task);
}

void __sched schedule(void)
{
	struct emul_task *task = of(airlock_current);

	if (!emul_may_sleep())
		emul_fail(AIRLOCK_FAIL_ATOMIC, "BUG: scheduling while atomic: %s/%d/0x%08x%s", airlock_current->comm, airlock_current->pid,
			  preempt_count(), irqs_disabled() ? ", interrupts off" : "");
	airlock_io_settle();
	if (airlock_current->flags & PF_WQ_WORKER)
		emul_worker_sleeps();
	if (READ_ONCE(airlock_current->__state) == TASK_RUNNING)
		make_runnable(task);
	switch_away(task);
	if (airlock_current->flags & PF_WQ_WORKER)
		emul_worker_runs();
}

void __sched schedule_preempt_disabled(void)
{
	preempt_enable_no_resched();
	schedule();
	preempt_disable();
}

void __sched yield(void)
{
	/* Others may wait for what only comes between turns: an interrupt, or time. */
	schedule_timeout_uninterruptible(1);
}

int __sched __cond_resched(void)
{
	emul_breathe();
	return 0;
}

int __cond_resched_lock(spinlock_t *lock)
{
	return 0;
}

void io_schedule(void)
{
	schedule();
}

int io_schedule_prepare(void)
{
	return 0;
}

void io_schedule_finish(int token)
{
}

long __sched io_schedule_timeout(long timeout)
{
	return schedule_timeout(timeout);
}

static bool queue_wake(struct wake_q_head *head, struct task_struct *task)
{
	struct wake_q_node *node = &task->wake_q;

	if (node->next)
		return false;
	node->next = WAKE_Q_TAIL;
	*head->lastp = node;
	head->lastp = &node->next;
	return true;
}

void wake_q_add(struct wake_q_head *head, struct task_struct *task)
{
	queue_wake(head, task);
}

void wake_q_add_safe(struct wake_q_head *head, struct task_struct *task)
{
	queue_wake(head, task);
}

void wake_up_q(struct wake_q_head *head)
{
	struct wake_q_node *node = head->first;

	while (node != WAKE_Q_TAIL) {
		struct task_struct *task = container_of(node, struct task_struct, wake_q);

		node = node->next;
		task->wake_q.next = NULL;
		wake_up_process(task);
	}
}

void emul_wake_task(struct task_struct *task)
{
	wake_up_process(task);
}

/* One processor of one kind: priorities and masks are taken and forgotten. */
void set_user_nice(struct task_struct *task, long nice)
{
}

void sched_set_fifo(struct task_struct *task)
{
}

void sched_set_fifo_low(struct task_struct *task)
{
}

void sched_set_normal(struct task_struct *task, int nice)
{
}

int sched_setscheduler_nocheck(struct task_struct *task, int policy, const struct sched_param *param)
{
	return 0;
}

/* Nobody sends signals. */
void recalc_sigpending(void)
{
}

void flush_signals(struct task_struct *task)
{
}

int send_sig(int number, struct task_struct *task, int is_private)
{
	return 0;
}

void emul_sched_init(void)
{
	init_task.group_leader = &init_task;
	refcount_set(&init_task.usage, 1);
}
