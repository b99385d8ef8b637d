// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver that tries what the environment promises to drivers: tasks, work, time, waiting, memory, DMA and interrupts. Its device
 * is an 82540, of which it only uses that a register raises its interrupt line. It is a watchdog so that it has a class. What does
 * not hold is logged with its line, and the probe fails.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/rwsem.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/watchdog.h>
#include <linux/workqueue.h>
#include "check.h"

#define CAUSE_READ 0xc0
#define CAUSE_SET 0xc8
#define MASK_SET 0xd0
#define LINK_CHANGE 4
#define MANY 40
#define PATIENCE_MS 5000

/* For what others do in their time, however busy the machine is. */
#define SETTLES(condition) do {						\
	for (int waited = 0; !(condition) && waited < PATIENCE_MS; waited++)	\
		msleep(1);						\
	CHECK(condition);						\
} while (0)

/* ---- tasks ---- */
static DEFINE_MUTEX(mutex);
static int order[4], placed;

static int hold_mutex(void *data)
{
	mutex_lock(&mutex);
	order[placed++] = (long)data;
	msleep(2);
	order[placed++] = (long)data;
	mutex_unlock(&mutex);
	return 0;
}

static int turns;

static int until_stopped(void *data)
{
	while (!kthread_should_stop()) {
		if (kthread_should_park())
			kthread_parkme();
		turns++;
		set_current_state(TASK_INTERRUPTIBLE);
		schedule_timeout(1);
	}
	return turns;
}

static void try_tasks(void)
{
	struct task_struct *task;

	mutex_lock(&mutex);
	kthread_run(hold_mutex, (void *)1, "first");
	kthread_run(hold_mutex, (void *)2, "second");
	msleep(5);
	CHECK(placed == 0);
	mutex_unlock(&mutex);
	SETTLES(placed == 4);
	CHECK(order[0] == order[1] && order[2] == order[3] && order[0] != order[2]);
	CHECK(mutex_trylock(&mutex));
	CHECK(!mutex_trylock(&mutex));
	mutex_unlock(&mutex);

	task = kthread_run(until_stopped, NULL, "stopped");
	SETTLES(turns > 2);
	CHECK(kthread_park(task) == 0);
	turns = 0;
	msleep(3);
	CHECK(turns == 0);
	kthread_unpark(task);
	SETTLES(turns > 2);
	CHECK(kthread_stop(task) == turns);
	CHECK(kthread_stop(kthread_create(until_stopped, NULL, "never")) == -EINTR);
}

/* ---- work ---- */
static int ran;
static DECLARE_COMPLETION(came);
static struct work_struct many[MANY];

static void run_simply(struct work_struct *work)
{
	ran++;
	complete(&came);
}
static DECLARE_WORK(simple, run_simply);

static void sleep_long(struct work_struct *work)
{
	msleep(10);
	ran++;
}

static void wait_for_simple(struct work_struct *work)
{
	flush_work(&simple);
	ran += 100;
}
static DECLARE_WORK(waiter, wait_for_simple);

static void run_again(struct work_struct *work);
static DECLARE_DELAYED_WORK(again, run_again);

static void run_again(struct work_struct *work)
{
	ran++;
	schedule_delayed_work(&again, 1);
}

static void queue_many(struct workqueue_struct *queue, int count)
{
	ran = 0;
	for (int n = 0; n < count; n++) {
		INIT_WORK(&many[n], sleep_long);
		queue_work(queue, &many[n]);
	}
}

static void try_work(void)
{
	CHECK(schedule_work(&simple));
	CHECK(!schedule_work(&simple));
	CHECK(wait_for_completion_timeout(&came, 5 * HZ) > 0);
	CHECK(ran == 1 && !work_pending(&simple) && !flush_work(&simple));
	/* Works that sleep do so at the same time, and more of them than there are workers. */
	queue_many(system_wq, MANY);
	__flush_workqueue(system_wq);
	CHECK(ran == MANY);
	/* One that waits for another behind it. */
	ran = 0;
	schedule_work(&waiter);
	schedule_work(&simple);
	flush_work(&waiter);
	CHECK(ran == 101);
}

static void try_delayed_work(void)
{
	struct workqueue_struct *queue = alloc_ordered_workqueue("ordered", 0);
	unsigned long start = jiffies;

	ran = 0;
	schedule_delayed_work(&again, 0);
	SETTLES(ran > 3);
	cancel_delayed_work_sync(&again);
	ran = 0;
	msleep(10);
	CHECK(ran == 0 && !delayed_work_pending(&again));
	schedule_delayed_work(&again, HZ);
	CHECK(!schedule_delayed_work(&again, 0));
	CHECK(mod_delayed_work(system_wq, &again, 2));
	SETTLES(ran > 0);
	cancel_delayed_work_sync(&again);

	start = jiffies;
	queue_many(queue, 3);
	CHECK(cancel_work_sync(&many[2]));
	flush_workqueue(queue);
	CHECK(ran == 2 && jiffies - start >= 19);
	queue_many(queue, 3);
	destroy_workqueue(queue);
	CHECK(ran == 3);
}

/* ---- time ---- */
static int fired;

static void on_timer(struct timer_list *timer)
{
	fired++;
	CHECK(in_softirq() && !in_task());
}
static DEFINE_TIMER(timer, on_timer);

static enum hrtimer_restart on_precise(struct hrtimer *precise)
{
	hrtimer_forward_now(precise, ms_to_ktime(2));
	return ++fired < 4 ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

static void on_tasklet(struct tasklet_struct *tasklet)
{
	fired++;
}
static DECLARE_TASKLET(tasklet, on_tasklet);

static void try_time(void)
{
	ktime_t start = ktime_get();
	unsigned long ticks = jiffies;
	struct hrtimer precise;

	mod_timer(&timer, jiffies + 3);
	SETTLES(fired == 1);
	mod_timer(&timer, jiffies + HZ);
	CHECK(del_timer_sync(&timer) == 1);
	msleep(6);
	/* The first of a timer's ticks is what is left of the present one. */
	CHECK(fired == 1 && jiffies - ticks >= 8 && ktime_ms_delta(ktime_get(), start) >= 8);

	fired = 0;
	hrtimer_init(&precise, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	precise.function = on_precise;
	hrtimer_start(&precise, ms_to_ktime(1), HRTIMER_MODE_REL);
	SETTLES(fired == 4);
	CHECK(!hrtimer_active(&precise));

	fired = 0;
	tasklet_disable(&tasklet);
	tasklet_schedule(&tasklet);
	msleep(1);
	CHECK(fired == 0);
	tasklet_enable(&tasklet);
	SETTLES(fired == 1);
	tasklet_kill(&tasklet);

	ticks = jiffies;
	while (time_before(jiffies, ticks + 5))
		cpu_relax();
	start = ktime_get();
	udelay(300);
	CHECK(ktime_us_delta(ktime_get(), start) >= 300);
}

/* ---- waiting ---- */
static DECLARE_WAIT_QUEUE_HEAD(waiters);
static DECLARE_RWSEM(rwsem);
static DEFINE_SEMAPHORE(semaphore);
DEFINE_STATIC_SRCU(srcu);
static DECLARE_COMPLETION(seen);
static struct rcu_head rcu;
static int condition;

static int wake_waiters(void *data)
{
	down_read(&rwsem);
	complete(&came);
	wait_for_completion(&seen);
	msleep(3);
	up_read(&rwsem);
	condition = 1;
	wake_up(&waiters);
	return 0;
}

static int read_long(void *data)
{
	int index = srcu_read_lock(&srcu);

	msleep(5);
	condition = 2;
	srcu_read_unlock(&srcu, index);
	return 0;
}

static void on_rcu(struct rcu_head *head)
{
	condition = 3;
}

static void try_waiting(void)
{
	reinit_completion(&came);
	kthread_run(wake_waiters, NULL, "waker");
	wait_for_completion(&came);
	CHECK(!down_write_trylock(&rwsem));
	complete(&seen);
	down_write(&rwsem);
	up_write(&rwsem);
	CHECK(wait_event_timeout(waiters, condition == 1, 5 * HZ) > 0);
	CHECK(wait_event_timeout(waiters, condition == 2, 5) == 0);
	CHECK(down_trylock(&semaphore) == 0);
	CHECK(down_timeout(&semaphore, 3) == -ETIME);
	up(&semaphore);
	kthread_run(read_long, NULL, "reader");
	msleep(1);
	synchronize_srcu(&srcu);
	CHECK(condition == 2);
	call_rcu(&rcu, on_rcu);
	rcu_barrier();
	CHECK(condition == 3);
}

/* ---- memory ---- */
static void try_memory(void)
{
	struct kmem_cache *cache = kmem_cache_create("thing", 52, 0, SLAB_HWCACHE_ALIGN, NULL);
	void *at[MANY];
	u8 *big;

	for (int round = 0; round < 50; round++) {
		for (int n = 0; n < MANY; n++) {
			size_t size = 1 + get_random_u32() % (n % 10 == 0 ? 20000 : 700);

			at[n] = kmalloc(size, GFP_KERNEL);
			CHECK(at[n] && ksize(at[n]) >= size);
			memset(at[n], n, size);
		}
		for (int n = 0; n < MANY; n++) {
			CHECK(*(u8 *)at[n] == n);
			kfree(at[n]);
		}
	}
	big = vzalloc(300000);
	CHECK(big && !memchr_inv(big, 0, 300000));
	vfree(big);
	big = kzalloc(100, GFP_KERNEL);
	big[99] = 7;
	big = krealloc(big, 3000, GFP_KERNEL);
	CHECK(big[99] == 7);
	kfree(big);
	at[0] = kmem_cache_alloc(cache, GFP_KERNEL);
	CHECK(((unsigned long)at[0] & (L1_CACHE_BYTES - 1)) == 0);
	kmem_cache_free(cache, at[0]);
	kmem_cache_destroy(cache);
	CHECK(kmalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR);
	CHECK(!kmalloc(100 << 20, GFP_KERNEL | __GFP_NOWARN));
}

/* ---- the device ---- */
static void try_dma(struct device *device)
{
	struct dma_pool *pool = dma_pool_create("pool", device, 64, 64, 0);
	dma_addr_t address, other_address;
	void *at, *other;

	at = dma_alloc_coherent(device, 5000, &address, GFP_KERNEL);
	CHECK(at && !memchr_inv(at, 0, 5000) && (address & ~PAGE_MASK) == 0);
	dma_free_coherent(device, 5000, at, address);
	at = dma_pool_alloc(pool, GFP_KERNEL, &address);
	other = dma_pool_alloc(pool, GFP_KERNEL, &other_address);
	CHECK(at && other && address - other_address == at - other);
	dma_pool_free(pool, at, address);
	dma_pool_free(pool, other, other_address);
	dma_pool_destroy(pool);
	address = dma_map_single(device, &checks, sizeof(checks), DMA_TO_DEVICE);
	CHECK(dma_mapping_error(device, address));
}

static int interrupts, handled;
static void __iomem *registers;

static irqreturn_t on_interrupt(int irq, void *data)
{
	readl(registers + CAUSE_READ);
	interrupts++;
	CHECK(in_hardirq());
	return IRQ_WAKE_THREAD;
}

static irqreturn_t on_interrupt_later(int irq, void *data)
{
	msleep(2);
	handled++;
	CHECK(in_task());
	return IRQ_HANDLED;
}

static void try_interrupts(unsigned int irq)
{
	writel(LINK_CHANGE, registers + MASK_SET);
	CHECK(request_threaded_irq(irq, on_interrupt, on_interrupt_later, 0, "selftest", registers) == 0);
	writel(LINK_CHANGE, registers + CAUSE_SET);
	SETTLES(handled == 1);
	CHECK(interrupts == 1);
	disable_irq(irq);
	writel(LINK_CHANGE, registers + CAUSE_SET);
	schedule_timeout_uninterruptible(HZ / 20);
	CHECK(interrupts == 1);
	enable_irq(irq);
	SETTLES(handled == 2);
	CHECK(interrupts == 2);
	free_irq(irq, registers);
}

static int do_nothing(struct watchdog_device *watchdog)
{
	return 0;
}

static const struct watchdog_info info = { .identity = "selftest", .options = WDIOF_KEEPALIVEPING };
static const struct watchdog_ops operations = { .owner = THIS_MODULE, .start = do_nothing, .stop = do_nothing, .ping = do_nothing };
static struct watchdog_device watchdog = { .info = &info, .ops = &operations, .timeout = 60, .min_timeout = 1, .max_timeout = 60 };

static int probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	int error = pcim_enable_device(pci);

	if (error)
		return error;
	registers = pcim_iomap(pci, 0, 0);
	CHECK(registers && pci_resource_len(pci, 0) == 0x20000);
	CHECK(dma_set_mask_and_coherent(&pci->dev, DMA_BIT_MASK(32)) == 0);
	try_tasks();
	try_work();
	try_delayed_work();
	try_time();
	try_waiting();
	try_memory();
	try_dma(&pci->dev);
	try_interrupts(pci->irq);
	pr_info("selftest: %d checks, %d failures\n", checks, failures);
	return failures ? -EIO : devm_watchdog_register_device(&pci->dev, &watchdog);
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(0x8086, 0x100e) }, {} };
MODULE_DEVICE_TABLE(pci, ids);
static struct pci_driver selftest_driver = { .name = "selftest", .id_table = ids, .probe = probe };
module_pci_driver(selftest_driver);
MODULE_DESCRIPTION("Tries what the driver environment promises");
MODULE_LICENSE("GPL");
