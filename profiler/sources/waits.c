// SPDX-License-Identifier: BSD-3-Clause
// Where the threads of a native program spend time, running or not. The background thread looks at all of
// them again and again; each is credited with the time since the look before. Totals are true whatever
// the pace, which slows down so that looking takes about a hundredth of one CPU.
//
// Nobody is interrupted: a signal would end calls that never restart, and would wake whoever sleeps. A
// thread whose CPU clock stands where it stood has not run, so it is where it was: one system call. Of one
// that ran and sleeps now, the kernel tells the call, pc and sp (/proc/self/task/TID/syscall, open to a thread
// of the same process without privilege), and its stack is read through the kernel, which fails where a
// thread ended meanwhile. What was read holds if the clock stands still behind it, too.
#include "sources/sources.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/rand.h"
#include "calls.h"
#include "core/labels.h"
#include "core/thread.h"
#include "sources/cpu.h"
#include "sources/emit.h"
#include "unwind/modules.h"
#include "unwind/unwind.h"

#define PACE_NS 10000000
#define SLOWEST_NS 1000000000
#define SHARE 100 // one part of so many is spent on looking
#define UNKNOWN_STACK ((size_t)8 << 20)

// Before the drain lock.
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int users;
static int64_t last_look, next_look; // monotonic ns; under looking

// ---- a sleeping thread's stack ----

// What a walk reads: a piece of the stack at a time, and code around it.
struct view {
	uintptr_t lo, hi; // the stack
	uintptr_t at;     // of what is here
	size_t n;
	char b[4096];
};

static bool
copy(uintptr_t at, void *to, size_t n)
{
	struct iovec here = { to, n }, there = { (void *)at, n };
	return syscall(SYS_process_vm_readv, getpid(), &here, 1, &there, 1, 0) == (long)n;
}

// For struct rtp_walk.
static bool
view_read(uintptr_t at, void *to, size_t n, void *arg)
{
	struct view *v = arg;
	size_t to_page_end = sizeof(v->b) - at % sizeof(v->b);
	if (at < v->lo || at >= v->hi || n > to_page_end)
		return copy(at, to, n);
	if (at - v->at > v->n || v->n - (at - v->at) < n) {
		v->at = at;
		v->n = copy(at, v->b, to_page_end) ? to_page_end : 0;
		if (!v->n)
			return false;
	}
	memcpy(to, v->b + (at - v->at), n);
	return true;
}

// Stacks that programs switch to are anywhere; nothing is read that is not there.
static bool
any_stack(uintptr_t sp, uintptr_t *lo, uintptr_t *hi, void *arg)
{
	struct view *v = arg;
	*lo = v->lo = sp;
	*hi = v->hi = sp + UNKNOWN_STACK;
	v->n = 0;
	return true;
}

static int
walk(const struct rtp_thread *t, uintptr_t sp, uintptr_t pc, uintptr_t pcs[RTP_MAX_FRAMES])
{
	struct view v;
	uintptr_t lo = rt_load_acquire(&t->stack_lo), hi = rt_load(&t->stack_hi);
	any_stack(sp, &v.lo, &v.hi, &v);
	if (lo && sp >= lo && sp < hi)
		v.hi = hi;
	struct rtp_walk w = { .r = { pc, sp, 0 }, .exact = true, .lo = v.lo, .hi = v.hi, .no_fp = true,
			      .stack_of = any_stack, .read = view_read, .arg = &v };
	return rtp_unwind(&w, pcs, RTP_MAX_FRAMES, 0);
}

static int
without_own(uintptr_t *pcs, int n)
{
	uintptr_t lo = rtp_native ? rtp_native->own_lo : 0, hi = rtp_native ? rtp_native->own_hi : 0;
	int k = 0;
	for (int i = 0; i < n; i++)
		if (pcs[i] < lo || pcs[i] >= hi)
			pcs[k++] = pcs[i];
	return k;
}

// ---- one thread ----

struct found {
	const char *state;
	uintptr_t pcs[RTP_MAX_FRAMES];
	int n;
};

static void
running(struct found *f)
{
	f->state = "running";
	f->pcs[0] = RTP_PC_RUNNING;
	f->n = 1;
}

// "running", or the call's number (-1: none), its arguments if it has one, sp and pc.
static bool
parse(char *line, long *nr, uintptr_t *sp, uintptr_t *pc)
{
	char *save, *w = strtok_r(line, " \n", &save);
	if (!w || strcmp(w, "running") == 0)
		return false;
	*nr = strtol(w, NULL, 10);
	*sp = *pc = 0;
	while ((w = strtok_r(NULL, " \n", &save))) {
		*sp = *pc;
		*pc = strtoul(w, NULL, 16);
	}
	return *sp != 0 && *pc != 0;
}

static bool
ask_kernel(int tid, long *nr, uintptr_t *sp, uintptr_t *pc)
{
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	line[n] = 0;
	return parse(line, nr, sp, pc);
}

static void
find(struct rtp_region *r, struct rtp_thread *t, struct found *f)
{
	uintptr_t sp, pc;
	long nr;
	if (!ask_kernel(t->tid, &nr, &sp, &pc)) {
		running(f);
		return;
	}
	f->state = rtp_call_name(nr);
	f->n = walk(t, sp, pc, f->pcs);
	if (rt_load(&rtp_modules_stale)) {
		rtp_modules_refresh(r);
		f->n = walk(t, sp, pc, f->pcs);
	}
	f->n = without_own(f->pcs, f->n);
	if (rtp_thread_cpu(t->tid) != t->wait_cpu)
		running(f);
}

static struct rtp_bucket *
bucket_of(struct rtp_region *r, struct rtp_thread *t, const struct found *f)
{
	struct rtp_label l = { "state", f->state };
	const struct rtp_labels *name = rtp_labels_at(r, rtp_thread_label(r, t));
	return rtp_bucket(r, RTP_WALL, rtp_off(r, rtp_labels_with(r, name, &l, 1)), f->pcs, f->n);
}

// The bucket of what the thread does; NULL when it is gone, or there is no room.
static struct rtp_bucket *
look_at(struct rtp_region *r, struct rtp_thread *t)
{
	struct found f;
	int64_t cpu = rtp_thread_cpu(t->tid);
	struct rtp_bucket *b = rtp_at(r, rt_load(&t->wait_bucket));
	if (cpu < 0 || (b && cpu == t->wait_cpu))
		return cpu < 0 ? NULL : b;
	t->wait_cpu = cpu;
	find(r, t, &f);
	b = bucket_of(r, t, &f);
	rt_store(&t->wait_bucket, f.pcs[0] == RTP_PC_RUNNING ? 0 : rtp_off(r, b));
	return b;
}

// ---- all of them; looking held ----

static void
credit_all(struct rtp_region *r, int64_t now)
{
	uint64_t ns = (uint64_t)(now - last_look);
	rtp_for_threads(t, r) {
		if (rt_load_acquire(&t->state) != RTP_THREAD_LIVE)
			continue;
		struct rtp_bucket *b = look_at(r, t);
		if (!b)
			continue;
		rtp_add(&b->v[RTP_CPU_COUNT], 1);
		rtp_add(&b->v[RTP_CPU_NS], ns);
	}
	last_look = now;
}

// Paces are random, so that nothing that the program does at intervals of its own is always seen at the
// same point.
static int64_t
pace(int64_t cost)
{
	static uint64_t seed;
	if (seed == 0)
		seed = (uint64_t)last_look | 1;
	int64_t mean = rt_max(rt_min(cost * SHARE, (int64_t)SLOWEST_NS), (int64_t)PACE_NS);
	return mean / 2 + (int64_t)(rt_rand_next(&seed) % (uint64_t)mean);
}

int64_t
rtp_waits_look(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (!rtp_waits_on() || !r)
		return INT64_MAX;
	pthread_mutex_lock(&looking);
	int64_t now = rtp_monotime();
	if (now >= next_look) {
		int64_t cpu = rtp_thread_cpu((int)syscall(SYS_gettid));
		credit_all(r, now);
		next_look = now + pace(rtp_thread_cpu((int)syscall(SYS_gettid)) - cpu);
	}
	int64_t left = next_look - now;
	pthread_mutex_unlock(&looking);
	return left;
}

bool
rtp_waits_on(void)
{
	return rt_load(&users) != 0;
}

void
rtp_waits_start(void)
{
	pthread_mutex_lock(&looking);
	if (rt_load(&users) == 0)
		last_look = next_look = rtp_monotime();
	rt_store(&users, rt_load(&users) + 1);
	pthread_mutex_unlock(&looking);
}

void
rtp_waits_stop(void)
{
	struct rtp_region *r = rtp_main_peek();
	pthread_mutex_lock(&looking);
	if (r)
		credit_all(r, rtp_monotime());
	rt_store(&users, rt_load(&users) - 1);
	pthread_mutex_unlock(&looking);
}

void
rtp_waits_forked(void)
{
	pthread_mutex_init(&looking, NULL);
	rt_store(&users, 0);
}
