// SPDX-License-Identifier: GPL-2.0-only
/* Softirqs and tasklets: what interrupts put off, run as plain calls when the interrupt is over or bottom halves are enabled. */
#include <linux/interrupt.h>
#include <linux/kernel_stat.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include "emul.h"

/* Rounds before others have their turn; the rest is run by the scheduler's loop. */
#define ROUNDS_MOST 10

DEFINE_PER_CPU_ALIGNED(irq_cpustat_t, irq_stat);
static struct softirq_action actions[NR_SOFTIRQS];

void open_softirq(int number, void (*action)(struct softirq_action *))
{
	actions[number].action = action;
}

void __raise_softirq_irqoff(unsigned int number)
{
	or_softirq_pending(1u << number);
}

void raise_softirq_irqoff(unsigned int number)
{
	__raise_softirq_irqoff(number);
}

void raise_softirq(unsigned int number)
{
	__raise_softirq_irqoff(number);
}

bool emul_softirq_pending(void)
{
	return local_softirq_pending() != 0;
}

void emul_softirq_run(void)
{
	unsigned long irqs_on = airlock_irqs_on;
	u32 pending;
	int rounds = 0;

	if (in_interrupt())
		return;
	airlock_irqs_on = 1;
	preempt_count_add(SOFTIRQ_OFFSET);
	while ((pending = local_softirq_pending()) != 0 && rounds++ < ROUNDS_MOST) {
		set_softirq_pending(0);
		for (; pending; pending &= pending - 1) {
			struct softirq_action *action = &actions[__ffs(pending)];
			int before = preempt_count();

			if (action->action)
				action->action(action);
			if (preempt_count() != before)
				emul_fail(AIRLOCK_FAIL_BUG, "softirq %d came back with preempt_count 0x%x instead of 0x%x", (int)(action - actions),
					  preempt_count(), before);
		}
	}
	preempt_count_sub(SOFTIRQ_OFFSET);
	airlock_irqs_on = irqs_on;
}

void do_softirq(void)
{
	if (local_softirq_pending())
		emul_softirq_run();
}

void _local_bh_enable(void)
{
	preempt_count_sub(SOFTIRQ_DISABLE_OFFSET);
}

void __local_bh_enable_ip(unsigned long ip, unsigned int count)
{
	preempt_count_sub(count);
	if (!in_interrupt() && local_softirq_pending())
		emul_softirq_run();
}

struct tasklet_list {
	struct tasklet_struct *first;
	struct tasklet_struct **end;
};

static struct tasklet_list normal = { NULL, &normal.first };
static struct tasklet_list high = { NULL, &high.first };

static void add_tasklet(struct tasklet_list *list, struct tasklet_struct *tasklet, unsigned int softirq)
{
	tasklet->next = NULL;
	*list->end = tasklet;
	list->end = &tasklet->next;
	raise_softirq(softirq);
}

void __tasklet_schedule(struct tasklet_struct *tasklet)
{
	add_tasklet(&normal, tasklet, TASKLET_SOFTIRQ);
}

void __tasklet_hi_schedule(struct tasklet_struct *tasklet)
{
	add_tasklet(&high, tasklet, HI_SOFTIRQ);
}

static void run_tasklets(struct tasklet_list *list, unsigned int softirq)
{
	struct tasklet_struct *tasklet = list->first;

	list->first = NULL;
	list->end = &list->first;
	while (tasklet) {
		struct tasklet_struct *next = tasklet->next;

		if (atomic_read(&tasklet->count) != 0) {
			/* Disabled: stays scheduled, and is looked at again when it is enabled. */
			tasklet->next = NULL;
			*list->end = tasklet;
			list->end = &tasklet->next;
		} else {
			clear_bit(TASKLET_STATE_SCHED, &tasklet->state);
			if (tasklet->use_callback)
				tasklet->callback(tasklet);
			else
				tasklet->func(tasklet->data);
		}
		tasklet = next;
	}
}

static void tasklet_action(struct softirq_action *action)
{
	run_tasklets(&normal, TASKLET_SOFTIRQ);
}

static void tasklet_hi_action(struct softirq_action *action)
{
	run_tasklets(&high, HI_SOFTIRQ);
}

/* tasklet_enable is inline: disabled ones that wait are looked at in each turn. */
void emul_tasklets_check(void)
{
	struct tasklet_struct *tasklet;

	for (tasklet = normal.first; tasklet; tasklet = tasklet->next)
		if (atomic_read(&tasklet->count) == 0)
			raise_softirq(TASKLET_SOFTIRQ);
	for (tasklet = high.first; tasklet; tasklet = tasklet->next)
		if (atomic_read(&tasklet->count) == 0)
			raise_softirq(HI_SOFTIRQ);
}

void tasklet_setup(struct tasklet_struct *tasklet, void (*callback)(struct tasklet_struct *))
{
	memset(tasklet, 0, sizeof(*tasklet));
	tasklet->callback = callback;
	tasklet->use_callback = true;
}

void tasklet_init(struct tasklet_struct *tasklet, void (*function)(unsigned long), unsigned long data)
{
	memset(tasklet, 0, sizeof(*tasklet));
	tasklet->func = function;
	tasklet->data = data;
}

static void unlink_tasklet(struct tasklet_list *list, struct tasklet_struct *tasklet)
{
	struct tasklet_struct **at = &list->first;

	while (*at && *at != tasklet)
		at = &(*at)->next;
	if (*at)
		*at = tasklet->next;
	for (at = &list->first; *at;)
		at = &(*at)->next;
	list->end = at;
}

/* A tasklet that is scheduled has not run yet: there is nothing to wait for, and no more to come. */
void tasklet_kill(struct tasklet_struct *tasklet)
{
	if (test_and_clear_bit(TASKLET_STATE_SCHED, &tasklet->state)) {
		unlink_tasklet(&normal, tasklet);
		unlink_tasklet(&high, tasklet);
	}
}

static int __init softirq_start(void)
{
	open_softirq(TASKLET_SOFTIRQ, tasklet_action);
	open_softirq(HI_SOFTIRQ, tasklet_hi_action);
	return 0;
}
early_initcall(softirq_start);
