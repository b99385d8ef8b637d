// SPDX-License-Identifier: GPL-2.0-only
/* Kernel threads: tasks of sched.c that can be told to stop and to park. */
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include "emul.h"

struct kthread {
	int (*function)(void *);
	void *data;
	int result;
	bool should_stop, should_park, is_started;
	struct completion exited, parked;
};

static struct kthread *of(struct task_struct *task)
{
	return task->worker_private;
}

static void run(void *argument)
{
	struct kthread *thread = argument;

	thread->is_started = true;
	/* One that is stopped before it ran is never run, as in Linux. */
	thread->result = thread->should_stop ? -EINTR : thread->function(thread->data);
	complete_all(&thread->exited);
}

/* The task has no user any more. */
void free_kthread_struct(struct task_struct *task)
{
	kfree(of(task));
	task->worker_private = NULL;
}

static struct task_struct *create(int (*function)(void *), void *data, const char *format, va_list args)
{
	struct kthread *thread = kzalloc(sizeof(*thread), GFP_KERNEL);
	char name[TASK_COMM_LEN];
	struct task_struct *task;

	if (!thread)
		return ERR_PTR(-ENOMEM);
	vsnprintf(name, sizeof(name), format, args);
	thread->function = function;
	thread->data = data;
	init_completion(&thread->exited);
	init_completion(&thread->parked);
	task = emul_spawn(run, thread, name);
	if (!task) {
		kfree(thread);
		return ERR_PTR(-ENOMEM);
	}
	task->worker_private = thread;
	return task;
}

struct task_struct *kthread_create_on_node(int (*function)(void *), void *data, int node, const char format[], ...)
{
	struct task_struct *task;
	va_list args;

	va_start(args, format);
	task = create(function, data, format, args);
	va_end(args);
	return task;
}

struct task_struct *kthread_create_on_cpu(int (*function)(void *), void *data, unsigned int cpu, const char *format)
{
	return kthread_create_on_node(function, data, NUMA_NO_NODE, format, cpu);
}

int kthread_stop(struct task_struct *task)
{
	struct kthread *thread = of(task);
	int result;

	get_task_struct(task);
	thread->should_stop = true;
	kthread_unpark(task);
	wake_up_process(task);
	wait_for_completion(&thread->exited);
	result = thread->result;
	put_task_struct(task);
	return result;
}

bool kthread_should_stop(void)
{
	return of(current) && of(current)->should_stop;
}

bool __kthread_should_park(struct task_struct *task)
{
	return of(task) && of(task)->should_park;
}

bool kthread_should_park(void)
{
	return __kthread_should_park(current);
}

bool kthread_freezable_should_stop(bool *was_frozen)
{
	if (was_frozen)
		*was_frozen = false;
	return kthread_should_stop();
}

void kthread_parkme(void)
{
	struct kthread *thread = of(current);

	while (thread->should_park) {
		set_current_state(TASK_PARKED);
		complete(&thread->parked);
		schedule();
	}
	__set_current_state(TASK_RUNNING);
}

int kthread_park(struct task_struct *task)
{
	struct kthread *thread = of(task);

	if (completion_done(&thread->exited))
		return -ENOSYS;
	if (thread->should_park)
		return -EBUSY;
	thread->should_park = true;
	if (task != current) {
		wake_up_process(task);
		wait_for_completion(&thread->parked);
	}
	return 0;
}

void kthread_unpark(struct task_struct *task)
{
	struct kthread *thread = of(task);

	if (!thread->should_park)
		return;
	thread->should_park = false;
	reinit_completion(&thread->parked);
	wake_up_state(task, TASK_PARKED);
}

void *kthread_func(struct task_struct *task)
{
	return of(task) ? of(task)->function : NULL;
}

void *kthread_data(struct task_struct *task)
{
	return of(task)->data;
}

void *kthread_probe_data(struct task_struct *task)
{
	return of(task) ? of(task)->data : NULL;
}

/* One processor. */
void kthread_bind(struct task_struct *task, unsigned int cpu)
{
}

void kthread_bind_mask(struct task_struct *task, const struct cpumask *mask)
{
}

void kthread_set_per_cpu(struct task_struct *task, int cpu)
{
}

bool kthread_is_per_cpu(struct task_struct *task)
{
	return false;
}

/* Ends a thread in the midst of its function, whose stack is simply left. */
void __noreturn kthread_exit(long result)
{
	struct kthread *thread = of(current);

	thread->result = result;
	complete_all(&thread->exited);
	for (;;) {
		set_current_state(TASK_DEAD);
		schedule();
	}
}

void __noreturn kthread_complete_and_exit(struct completion *completion, long result)
{
	if (completion)
		complete(completion);
	kthread_exit(result);
}
