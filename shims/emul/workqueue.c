// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work queues. Linux has a pool of workers per processor; here there is one pool. A worker takes one work after the other, and
 * while it sleeps in the midst of one, another takes over, up to a limit. A queue that runs so many at a time keeps the rest.
 */
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "emul.h"

/* Workers that sleep at the same time; each has a stack. Work that waits for them is done later. */
#define WORKERS_MOST 16
/* A driver has one or two queues. A work's data holds the number of its queue where Linux has a pointer. */
#define QUEUES_MOST 64

struct workqueue_struct {
	char name[24];
	bool is_used;
	int most, active;
	/* Work that came while `most` was active. */
	struct list_head held;
	int held_count;
};

struct worker {
	struct task_struct *task;
	struct work_struct *work;
	struct workqueue_struct *queue;
	bool is_idle, is_sleeping;
};

static struct workqueue_struct queues[QUEUES_MOST] = {
	[0] = { "events", true, WQ_DFL_ACTIVE, .held = LIST_HEAD_INIT(queues[0].held) },
};
struct workqueue_struct *system_wq = &queues[0];
struct workqueue_struct *system_highpri_wq = &queues[0];
struct workqueue_struct *system_long_wq = &queues[0];
struct workqueue_struct *system_unbound_wq = &queues[0];
struct workqueue_struct *system_freezable_wq = &queues[0];
struct workqueue_struct *system_power_efficient_wq = &queues[0];
struct workqueue_struct *system_freezable_power_efficient_wq = &queues[0];

static struct worker workers[WORKERS_MOST];
static LIST_HEAD(pending);
static DECLARE_WAIT_QUEUE_HEAD(work_done);

static struct workqueue_struct *queue_of(struct work_struct *work)
{
	return &queues[(unsigned long)atomic_long_read(&work->data) >> WORK_STRUCT_FLAG_BITS];
}

static struct worker *worker_of(const struct work_struct *work)
{
	for (int n = 0; n < WORKERS_MOST; n++)
		if (workers[n].work == work)
			return &workers[n];
	return NULL;
}

static struct worker *worker_of_task(const struct task_struct *task)
{
	for (int n = 0; n < WORKERS_MOST; n++)
		if (workers[n].task == task)
			return &workers[n];
	return NULL;
}

static void activate(struct workqueue_struct *queue)
{
	while (queue->active < queue->most && !list_empty(&queue->held)) {
		queue->active++;
		queue->held_count--;
		list_move_tail(queue->held.next, &pending);
	}
}

static void work_over(struct workqueue_struct *queue)
{
	queue->active--;
	activate(queue);
	wake_up_all(&work_done);
}

static void run_work(struct worker *worker)
{
	struct work_struct *work = list_first_entry(&pending, struct work_struct, entry);
	int before = preempt_count();

	list_del_init(&work->entry);
	worker->queue = queue_of(work);
	worker->work = work;
	clear_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(work));
	work->func(work);
	if (preempt_count() != before)
		emul_fail(AIRLOCK_FAIL_BUG, "BUG: work left %s with preempt_count 0x%x instead of 0x%x", worker->queue->name, preempt_count(), before);
	worker->work = NULL;
	work_over(worker->queue);
}

static void work(void *argument)
{
	struct worker *worker = argument;

	current->flags |= PF_WQ_WORKER;
	for (;;) {
		while (!list_empty(&pending))
			run_work(worker);
		worker->is_idle = true;
		set_current_state(TASK_IDLE);
		schedule();
		worker->is_idle = false;
	}
}

/* Sees to it that somebody takes what is pending. */
static void wake_worker(void)
{
	struct worker *idle = NULL, *none = NULL;

	for (int n = 0; n < WORKERS_MOST; n++) {
		struct worker *worker = &workers[n];

		if (!worker->task) {
			none = none ? none : worker;
		} else if (worker->is_idle) {
			idle = idle ? idle : worker;
		} else if (!worker->is_sleeping) {
			return;
		}
	}
	if (idle) {
		idle->is_idle = false;
		wake_up_process(idle->task);
		return;
	}
	if (!none)
		return;
	none->task = emul_spawn(work, none, "kworker");
	if (!none->task)
		emul_fail(AIRLOCK_FAIL_MEMORY, "out of memory: no task for work");
	wake_up_process(none->task);
}

void emul_worker_sleeps(void)
{
	struct worker *worker = worker_of_task(current);

	/* It is on its way to the end of its loop, or stays runnable. */
	if (worker->is_idle || READ_ONCE(current->__state) == TASK_RUNNING)
		return;
	worker->is_sleeping = true;
	if (!list_empty(&pending))
		wake_worker();
}

void emul_worker_runs(void)
{
	struct worker *worker = worker_of_task(current);

	worker->is_sleeping = false;
}

static void insert(struct workqueue_struct *queue, struct work_struct *work)
{
	atomic_long_set(&work->data, (unsigned long)(queue - queues) << WORK_STRUCT_FLAG_BITS | WORK_STRUCT_PENDING);
	list_add_tail(&work->entry, &queue->held);
	queue->held_count++;
	activate(queue);
	if (!list_empty(&pending))
		wake_worker();
}

bool queue_work_on(int cpu, struct workqueue_struct *queue, struct work_struct *work)
{
	if (test_and_set_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(work)))
		return false;
	insert(queue, work);
	return true;
}

bool queue_work_node(int node, struct workqueue_struct *queue, struct work_struct *work)
{
	return queue_work_on(0, queue, work);
}

/* Takes a work off its queue, if it is on one; the pending bit stays. */
static bool take_back(struct work_struct *work)
{
	struct workqueue_struct *queue = queue_of(work);
	struct work_struct *held;

	if (!work_pending(work) || list_empty(&work->entry))
		return false;
	list_for_each_entry(held, &queue->held, entry) {
		if (held == work) {
			list_del_init(&work->entry);
			queue->held_count--;
			return true;
		}
	}
	list_del_init(&work->entry);
	work_over(queue);
	return true;
}

static bool cancel(struct work_struct *work)
{
	bool was = take_back(work);

	if (was)
		clear_bit(WORK_STRUCT_PENDING_BIT, work_data_bits(work));
	return was;
}

/* Until no worker is at it; a work that waits for itself goes on, where Linux would hang. */
static bool wait_for(struct work_struct *work)
{
	struct worker *worker = worker_of(work);

	if (!worker || worker->task == current)
		return false;
	wait_event(work_done, worker_of(work) == NULL);
	return true;
}

bool flush_work(struct work_struct *work)
{
	struct worker *worker = worker_of(work);

	if (worker && worker->task == current)
		return false;
	if (!worker && (!work_pending(work) || list_empty(&work->entry)))
		return false;
	wait_event(work_done, worker_of(work) == NULL && (!work_pending(work) || list_empty(&work->entry)));
	return true;
}

bool cancel_work(struct work_struct *work)
{
	return cancel(work);
}

bool cancel_work_sync(struct work_struct *work)
{
	bool was;

	/* A work that queues itself again does so before it is over. */
	do {
		was = cancel(work);
	} while (wait_for(work) && work_pending(work));
	return was;
}

unsigned int work_busy(struct work_struct *work)
{
	return (work_pending(work) ? WORK_BUSY_PENDING : 0) | (worker_of(work) ? WORK_BUSY_RUNNING : 0);
}

struct work_struct *current_work(void)
{
	struct worker *worker = worker_of_task(current);

	return worker ? worker->work : NULL;
}

bool current_is_workqueue_rescuer(void)
{
	return false;
}

void set_worker_desc(const char *format, ...)
{
}

struct workqueue_struct *alloc_workqueue(const char *format, unsigned int flags, int most, ...)
{
	va_list args;

	for (int n = 0; n < QUEUES_MOST; n++) {
		struct workqueue_struct *queue = &queues[n];

		if (queue->is_used)
			continue;
		memset(queue, 0, sizeof(*queue));
		queue->is_used = true;
		queue->most = flags & __WQ_ORDERED ? 1 : most <= 0 ? WQ_DFL_ACTIVE : most;
		INIT_LIST_HEAD(&queue->held);
		va_start(args, most);
		vsnprintf(queue->name, sizeof(queue->name), format, args);
		va_end(args);
		return queue;
	}
	return NULL;
}

void workqueue_set_max_active(struct workqueue_struct *queue, int most)
{
	queue->most = most <= 0 ? WQ_DFL_ACTIVE : most;
	activate(queue);
}

void __flush_workqueue(struct workqueue_struct *queue)
{
	struct worker *own = worker_of_task(current);
	int rest = own && own->work && own->queue == queue ? 1 : 0;

	wait_event(work_done, queue->active <= rest && (queue->held_count == 0 || queue->most <= rest));
}

void drain_workqueue(struct workqueue_struct *queue)
{
	__flush_workqueue(queue);
}

void destroy_workqueue(struct workqueue_struct *queue)
{
	drain_workqueue(queue);
	queue->is_used = false;
}

bool workqueue_congested(int cpu, struct workqueue_struct *queue)
{
	return (queue ? queue : &queues[0])->held_count > 0;
}

void __warn_flushing_systemwide_wq(void)
{
}

int execute_in_process_context(work_func_t function, struct execute_work *execute)
{
	if (!in_interrupt()) {
		function(&execute->work);
		return 0;
	}
	INIT_WORK(&execute->work, function);
	schedule_work(&execute->work);
	return 1;
}
