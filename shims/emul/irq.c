// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts. Linux has controllers, flows and affinity; here a line of the setup is a number, which its record calls. The line
 * is acknowledged when its handlers are done, threaded ones included, and the trusted side masks it until then.
 * Lines that are disabled are so on this side only: a record that comes meanwhile is kept, and its line stays unacknowledged.
 */
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "emul.h"

struct line {
	struct irqaction *actions;
	int disabled;
	/* Threads that have not handled the last interrupt yet. */
	int threads;
	bool was_attached, is_waiting;
	/* Off when it is requested, until it is switched on. */
	bool starts_off;
	void *chip_data;
	struct irq_data data;
};

static struct line lines[NR_IRQS];
static bool any_waiting;
int nr_irqs = NR_IRQS;
/* Lines have no chip that a driver could speak to. */
struct irq_chip dummy_irq_chip = { .name = "dummy" };

static struct line *find(unsigned int irq)
{
	int index = irq - EMUL_IRQ_BASE;

	if (index < 0 || index >= NR_IRQS || index >= (int)emul_machine.setup->irqs)
		return NULL;
	return &lines[index];
}

static int index_of(const struct line *line)
{
	return line - lines;
}

static void acknowledge(struct line *line)
{
	if (line->threads == 0)
		airlock_irq(index_of(line), AIRLOCK_IRQ_ACK);
}

static void handle(struct line *line)
{
	unsigned long irqs_on = airlock_irqs_on;
	struct irqaction *action, *next;

	airlock_irqs_on = 0;
	preempt_count_add(HARDIRQ_OFFSET);
	emul_fault_at(AIRLOCK_AT_IRQ);
	for (action = line->actions; action; action = next) {
		irqreturn_t result;

		next = action->next;
		result = action->handler ? action->handler(action->irq, action->dev_id) : IRQ_WAKE_THREAD;
		if (result == IRQ_WAKE_THREAD && action->thread) {
			if (!test_and_set_bit(0, &action->thread_flags))
				line->threads++;
			wake_up_process(action->thread);
		}
	}
	preempt_count_sub(HARDIRQ_OFFSET);
	airlock_irqs_on = irqs_on;
	acknowledge(line);
}

void emul_irq(u32 index)
{
	struct line *line;

	if (index >= NR_IRQS || index >= emul_machine.setup->irqs)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "interrupt of line %u, which does not exist", index);
	line = &lines[index];
	if (line->disabled > 0 || !line->actions) {
		line->is_waiting = true;
		any_waiting = true;
		return;
	}
	handle(line);
}

bool emul_irq_run_pending(void)
{
	bool ran = false;

	if (!any_waiting)
		return false;
	any_waiting = false;
	for (u32 index = 0; index < emul_machine.setup->irqs && index < NR_IRQS; index++) {
		struct line *line = &lines[index];

		if (!line->is_waiting)
			continue;
		if (line->disabled > 0 || !line->actions) {
			any_waiting = true;
			continue;
		}
		line->is_waiting = false;
		handle(line);
		ran = true;
	}
	return ran;
}

static int irq_thread(void *argument)
{
	struct irqaction *action = argument;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (test_and_clear_bit(0, &action->thread_flags)) {
			struct line *line = find(action->irq);

			__set_current_state(TASK_RUNNING);
			action->thread_fn(action->irq, action->dev_id);
			line->threads--;
			acknowledge(line);
			continue;
		}
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static int add_action(unsigned int irq, irq_handler_t handler, irq_handler_t thread_fn, unsigned long flags, const char *name, void *device)
{
	struct line *line = find(irq);
	struct irqaction *action, **at;

	if (!line || (!handler && !thread_fn))
		return -EINVAL;
	if (line->actions && !(line->actions->flags & flags & IRQF_SHARED))
		return -EBUSY;
	action = kzalloc(sizeof(*action), GFP_KERNEL);
	if (!action)
		return -ENOMEM;
	action->handler = handler;
	action->thread_fn = thread_fn;
	action->flags = flags;
	action->name = name;
	action->dev_id = device;
	action->irq = irq;
	if (thread_fn) {
		action->thread = kthread_create(irq_thread, action, "irq/%u-%s", irq, name);
		if (IS_ERR(action->thread)) {
			int error = PTR_ERR(action->thread);

			kfree(action);
			return error;
		}
		wake_up_process(action->thread);
	}
	for (at = &line->actions; *at;)
		at = &(*at)->next;
	*at = action;
	if (line->actions == action) {
		line->disabled = line->starts_off || (flags & IRQF_NO_AUTOEN);
		airlock_irq(index_of(line), line->was_attached ? AIRLOCK_IRQ_UNMASK : AIRLOCK_IRQ_ATTACH);
		line->was_attached = true;
		if (line->is_waiting)
			any_waiting = true;
	}
	return 0;
}

int request_threaded_irq(unsigned int irq, irq_handler_t handler, irq_handler_t thread_fn, unsigned long flags, const char *name,
			 void *device)
{
	return add_action(irq, handler, thread_fn, flags, name, device);
}

int request_any_context_irq(unsigned int irq, irq_handler_t handler, unsigned long flags, const char *name, void *device)
{
	int error = add_action(irq, handler, NULL, flags, name, device);

	return error ? error : IRQC_IS_HARDIRQ;
}

const void *free_irq(unsigned int irq, void *device)
{
	struct line *line = find(irq);
	struct irqaction *action, **at;
	const char *name;

	if (!line)
		return NULL;
	for (at = &line->actions; *at && (*at)->dev_id != device;)
		at = &(*at)->next;
	action = *at;
	if (!action) {
		WARN(1, "Trying to free already-free IRQ %u\n", irq);
		return NULL;
	}
	*at = action->next;
	if (action->thread)
		kthread_stop(action->thread);
	if (!line->actions)
		airlock_irq(index_of(line), AIRLOCK_IRQ_MASK);
	name = action->name;
	kfree(action);
	return name;
}

void disable_irq_nosync(unsigned int irq)
{
	struct line *line = find(irq);

	if (line)
		line->disabled++;
}

/* Handlers do not sleep, so that none is half done. */
void disable_irq(unsigned int irq)
{
	disable_irq_nosync(irq);
}

bool disable_hardirq(unsigned int irq)
{
	disable_irq_nosync(irq);
	return true;
}

void enable_irq(unsigned int irq)
{
	struct line *line = find(irq);

	if (!line)
		return;
	if (line->disabled == 0) {
		WARN(1, "Unbalanced enable for IRQ %u\n", irq);
		return;
	}
	line->disabled--;
}

void synchronize_irq(unsigned int irq)
{
	struct line *line = find(irq);

	while (line && line->threads > 0 && emul_may_sleep())
		schedule_timeout_uninterruptible(1);
}

bool synchronize_hardirq(unsigned int irq)
{
	return true;
}

struct irq_data *irq_get_irq_data(unsigned int irq)
{
	struct line *line = find(irq);

	if (!line)
		return NULL;
	line->data.irq = irq;
	return &line->data;
}

struct irq_desc *irq_to_desc(unsigned int irq)
{
	return NULL;
}

/* Before a line is requested. All but how it starts is told to controllers, of which there are none. */
void irq_modify_status(unsigned int irq, unsigned long clear, unsigned long set)
{
	struct line *line = find(irq);

	if (line && ((clear | set) & IRQ_NOAUTOEN))
		line->starts_off = set & IRQ_NOAUTOEN;
}

/* Triggers, wake-ups, affinity: the platform's affair. */
int irq_set_irq_wake(unsigned int irq, unsigned int on)
{
	return 0;
}

int irq_set_irq_type(unsigned int irq, unsigned int type)
{
	return 0;
}

int __irq_apply_affinity_hint(unsigned int irq, const struct cpumask *mask, bool setaffinity)
{
	return 0;
}

