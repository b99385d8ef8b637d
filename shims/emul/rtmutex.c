// SPDX-License-Identifier: GPL-2.0-only
/* Mutexes that lend their waiters' priority to the owner. Tasks have no priorities here: the owner is noted, the rest waits. */
#include <linux/rtmutex.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include "emul.h"

static DECLARE_WAIT_QUEUE_HEAD(released);

void rt_mutex_base_init(struct rt_mutex_base *base)
{
	*base = (struct rt_mutex_base){ .waiters = RB_ROOT_CACHED };
}

void __rt_mutex_init(struct rt_mutex *lock, const char *name, struct lock_class_key *key)
{
	rt_mutex_base_init(&lock->rtmutex);
}

int rt_mutex_trylock(struct rt_mutex *lock)
{
	if (lock->rtmutex.owner)
		return 0;
	lock->rtmutex.owner = current;
	return 1;
}

void rt_mutex_lock(struct rt_mutex *lock)
{
	wait_event(released, rt_mutex_trylock(lock));
}

/* Nobody sends signals. */
int rt_mutex_lock_interruptible(struct rt_mutex *lock)
{
	rt_mutex_lock(lock);
	return 0;
}

int rt_mutex_lock_killable(struct rt_mutex *lock)
{
	rt_mutex_lock(lock);
	return 0;
}

void rt_mutex_unlock(struct rt_mutex *lock)
{
	if (lock->rtmutex.owner != current)
		emul_fail(AIRLOCK_FAIL_BUG, "BUG: %s unlocks what %s has locked", current->comm,
			  lock->rtmutex.owner ? lock->rtmutex.owner->comm : "nobody");
	lock->rtmutex.owner = NULL;
	wake_up_all(&released);
}
