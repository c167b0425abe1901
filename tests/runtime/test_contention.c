// SPDX-License-Identifier: BSD-3-Clause
// What channels and locks tell a profiler: how long they waited, and which frame is the innermost one
// worth showing: the public function, or where it is inlined the user's.
#include <gort/chan.h>
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>

#include "debug/hooks.h"
#include "on_gort.h"
#include "sched/proc.h"

TestSuite(contention, .timeout = 30);

// The functions that call into the runtime are put side by side.
#define HERE __attribute__((noinline, section("user_code")))
extern const char __start_user_code[], __stop_user_code[];

struct event {
	int64_t ticks;
	uintptr_t pc; // innermost frame that is not skipped
	uintptr_t caller;
};
static struct event blocks[16], mutexes[16];
static int nblocks, nmutexes;

// Frame 0 is the function that called the hook.
static void
note(struct event *e, int64_t ticks, int skip, uintptr_t *fp)
{
	for (int i = 0; i < skip; i++)
		fp = (uintptr_t *)fp[0];
	*e = (struct event){.ticks = ticks, .pc = fp[1], .caller = ((uintptr_t *)fp[0])[1]};
}

static void
on_block(int64_t ticks, int64_t rate, int skip, uintptr_t stack_hi, const void *labels)
{
	(void)rate, (void)stack_hi, (void)labels;
	note(&blocks[nblocks++ % 16], ticks, skip, __builtin_frame_address(0));
}

static void
on_mutex(int64_t ticks, int64_t fraction, int skip, uintptr_t stack_hi)
{
	(void)fraction, (void)stack_hi;
	note(&mutexes[nmutexes++ % 16], ticks, skip, __builtin_frame_address(0));
}

static const struct rt_hooks hooks = {.block_event = on_block, .mutex_event = on_mutex};

static void
watch(void)
{
	gort_maxprocs(1);
	rt_set_hooks(&hooks);
	rt_store(&rt_hook_flags, RT_HOOK_BLOCK | RT_HOOK_MUTEX);
}

static bool
is_user(uintptr_t pc)
{
	return pc >= (uintptr_t)__start_user_code && pc < (uintptr_t)__stop_user_code;
}

#define NAP (3 * GORT_MILLISECOND)

// Ticks that pass while nothing else happens; less than any wait of the same length.
static int64_t
nap(void)
{
	yield_to_others();
	int64_t start = (int64_t)rt_cputicks();
	gort_sleep(NAP);
	return (int64_t)rt_cputicks() - start;
}

HERE static void
user_recv(gort_chan *c)
{
	int v;
	gort_chan_recv(c, &v);
	__asm__ volatile("");
}

HERE static void
user_send(gort_chan *c)
{
	int v = 1;
	gort_chan_send(c, &v);
	__asm__ volatile("");
}

HERE static void
user_select(gort_chan *a, gort_chan *b)
{
	int v;
	gort_select_case cs[] = {GORT_RECV(a, &v), GORT_RECV(b, &v)};
	gort_select(cs, 2);
	__asm__ volatile("");
}

// The public function is a frame of its own, called by the user's.
static void
check_called(const struct event *e, int64_t ticks)
{
	CHECK(e->ticks >= ticks);
	CHECK(!is_user(e->pc));
	CHECK(is_user(e->caller));
}

GORT_TEST(contention, channels_report_blocked_operations)
{
	gort_chan *c = gort_make_chan(int, 0), *d = gort_make_chan(int, 0);
	int v = 1;
	watch();
	gort_go(user_recv, c);
	int64_t ticks = nap();
	gort_chan_send(c, &v);
	yield_to_others();
	CHECK_EQ(nblocks, 1);
	check_called(&blocks[0], ticks);
	gort_go(user_send, c);
	ticks = nap();
	gort_chan_recv(c, &v);
	yield_to_others();
	CHECK_EQ(nblocks, 2);
	check_called(&blocks[1], ticks);
	gort_go(user_select, c, d);
	ticks = nap();
	gort_chan_send(d, &v);
	yield_to_others();
	CHECK_EQ(nblocks, 3);
	check_called(&blocks[2], ticks);
	gort_go(user_recv, c);
	ticks = nap();
	gort_chan_close(c);
	yield_to_others();
	CHECK_EQ(nblocks, 4);
	check_called(&blocks[3], ticks);
	CHECK_EQ(nmutexes, 0);
}

static gort_mutex mu;
static gort_waitgroup wg;

HERE static void
user_lock(void)
{
	gort_mutex_lock(&mu);
	gort_mutex_unlock(&mu);
}

HERE static void
user_unlock(void)
{
	gort_mutex_unlock(&mu);
	__asm__ volatile("");
}

HERE static void
user_wait(void)
{
	gort_waitgroup_wait(&wg);
	__asm__ volatile("");
}

GORT_TEST(contention, locks_report_waiters_and_unlockers)
{
	watch();
	gort_mutex_lock(&mu);
	gort_go(user_lock);
	int64_t ticks = nap();
	user_unlock();
	CHECK_EQ(nmutexes, 1);
	CHECK(mutexes[0].ticks >= ticks);
	CHECK(mutexes[0].pc - (uintptr_t)gort_mutex_unlock < 1024); // the leaf, as Unlock is in Go
	yield_to_others();
	CHECK_EQ(nblocks, 1);
	CHECK(blocks[0].ticks >= ticks);
	CHECK(is_user(blocks[0].pc));
}

GORT_TEST(contention, wait_groups_report_waiters_only)
{
	watch();
	gort_waitgroup_add(&wg, 1);
	gort_go(user_wait);
	int64_t ticks = nap();
	gort_waitgroup_done(&wg);
	yield_to_others();
	CHECK_EQ(nblocks, 1);
	CHECK(blocks[0].ticks >= ticks);
	CHECK(is_user(blocks[0].pc));
	CHECK_EQ(nmutexes, 0);
}

GORT_TEST(contention, nothing_is_reported_without_waiting)
{
	gort_chan *c = gort_make_chan(int, 1);
	watch();
	user_send(c);
	user_recv(c);
	user_lock();
	CHECK_EQ(nblocks, 0);
	CHECK_EQ(nmutexes, 0);
}
