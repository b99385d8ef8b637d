// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests of the class. Operations are carried out one after the other in a task of their own, in the order in which they came,
 * because what they do may sleep; entries of queues are handed over at once, as Linux would in a softirq.
 */
#include <linux/bottom_half.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/slab.h>
#include "emul.h"

/* More than any shadow has outstanding; a queue that only grows is a driver that hangs. */
#define WAITING_MOST 4096

struct request {
	struct list_head list;
	u16 operation;
	u32 tag, bytes;
	u8 payload[];
};

/* Glue is part of a link when its subsystem is: a network card may also bring a clock. */
#define CLASSES_MOST 4

static const struct emul_class *classes[CLASSES_MOST];
static u32 class_count;
static const struct emul_class *class;
static LIST_HEAD(waiting);
static u32 waiting_count;
static struct task_struct *server;
static bool is_open;

void emul_set_class(const struct emul_class *its)
{
	if (class_count == CLASSES_MOST)
		emul_fail(AIRLOCK_FAIL_PROBE, "the driver is of more than %d classes", CLASSES_MOST);
	classes[class_count++] = its;
}

const struct emul_class *emul_class(void)
{
	for (u32 n = 0; n < class_count; n++)
		if (classes[n]->is_ready())
			return classes[n];
	return class_count > 0 ? classes[0] : NULL;
}

static void serve(void *unused)
{
	for (;;) {
		struct request *request;

		set_current_state(TASK_IDLE);
		if (!is_open || list_empty(&waiting)) {
			schedule();
			continue;
		}
		__set_current_state(TASK_RUNNING);
		request = list_first_entry(&waiting, struct request, list);
		list_del(&request->list);
		waiting_count--;
		emul_fault_at(AIRLOCK_AT_OPERATION);
		class->request(request->operation, request->tag, request->payload, request->bytes);
		kfree(request);
	}
}

void emul_request(u16 operation, u32 tag, const void *payload, u32 bytes)
{
	struct request *request = kmalloc(sizeof(*request) + bytes, GFP_KERNEL);

	if (!request)
		emul_fail(AIRLOCK_FAIL_MEMORY, "out of memory: a request of %u bytes", bytes);
	if (++waiting_count > WAITING_MOST)
		emul_fail(AIRLOCK_FAIL_PROTOCOL, "%u requests wait, and none is answered", WAITING_MOST);
	request->operation = operation;
	request->tag = tag;
	request->bytes = bytes;
	memcpy(request->payload, payload, bytes);
	list_add_tail(&request->list, &waiting);
	if (is_open)
		wake_up_process(server);
}

void emul_requests(u16 queue, const void *payload, u32 bytes)
{
	if (bytes % 4 != 0)
		emul_bad_request("entries of a queue that are not whole words");
	if (!is_open || !class->requests)
		emul_bad_request("entries of a queue that nobody has");
	emul_fault_at(AIRLOCK_AT_OPERATION);
	local_bh_disable();
	class->requests(queue, payload, bytes / 4);
	local_bh_enable();
}

static void drop_waiting(void)
{
	struct request *request, *next;

	list_for_each_entry_safe(request, next, &waiting, list)
		kfree(request);
	INIT_LIST_HEAD(&waiting);
	waiting_count = 0;
}

void emul_open_requests(bool open)
{
	is_open = open;
	if (!open)
		drop_waiting();
	class = emul_class();
	if (!server) {
		server = emul_spawn(serve, NULL, "requests");
		if (!server)
			emul_fail(AIRLOCK_FAIL_MEMORY, "out of memory: no task for requests");
	}
	if (open)
		wake_up_process(server);
}

void emul_bad_request(const char *what)
{
	emul_fail(AIRLOCK_FAIL_PROTOCOL, "a bad request: %s", what);
}
