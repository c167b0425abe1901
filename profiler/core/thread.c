// SPDX-License-Identifier: BSD-3-Clause
#include "core/thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/procmaps.h"
#include "core/rtlink.h"
#include "regs.h"

#define REGION_SIZE ((size_t)256 << 20)

_Atomic(struct rtp_region *) rtp_main_region;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // making the region; taking a free slot
_Thread_local int rtp_busy __attribute__((tls_model("initial-exec")));
_Thread_local struct rtp_thread *rtp_self __attribute__((tls_model("initial-exec")));
bool rtp_remote;

void
rtp_main_use(struct rtp_region *r)
{
	rt_store_release(&rtp_main_region, r);
}

struct rtp_region *
rtp_main_make(void)
{
	struct rtp_region *r;
	pthread_mutex_lock(&lock);
	r = rtp_main_peek();
	if (!r) {
		r = rtp_region_new(REGION_SIZE);
		rt_store_release(&rtp_main_region, r);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

// A FREE slot, or a new one. lock held.
static struct rtp_thread *
take_slot(struct rtp_region *r)
{
	rtp_for_threads(t, r)
		if (rt_load_acquire(&t->state) == RTP_THREAD_FREE)
			return t;
	struct rtp_thread *t = rtp_alloc(r, sizeof(*t));
	if (!t)
		return NULL;
	t->timer = -1;
	uint64_t head = rt_load(&r->threads);
	do {
		t->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&r->threads, &head, rtp_off(r, t),
							memory_order_release, memory_order_relaxed));
	return t;
}

static struct rtp_thread *
new_slot(int tid, uintptr_t lo, uintptr_t hi)
{
	struct rtp_region *r = rtp_main();
	if (!r)
		return NULL;
	pthread_mutex_lock(&lock);
	struct rtp_thread *t = rtp_thread_by_tid(r, tid);
	if (!t && (t = take_slot(r))) {
		t->tid = tid;
		t->timer = -1;
		rt_store(&t->labels, 0);
		t->named_at = 0;
		rt_store(&t->wait_bucket, 0);
		t->last = UINT32_MAX;
		rt_store(&t->ask_sp, 0);
		rt_store(&t->stack_hi, hi);
		rt_store(&t->stack_lo, lo);
		rt_store_release(&t->state, RTP_THREAD_LIVE);
	}
	pthread_mutex_unlock(&lock);
	return t;
}

struct rtp_thread *
rtp_thread_by_tid(struct rtp_region *r, int tid)
{
	rtp_for_threads(t, r)
		if (t->tid == tid && rt_load_acquire(&t->state) == RTP_THREAD_LIVE)
			return t;
	return NULL;
}

// The mapping around sp. A pthread's stack ends below its thread pointer; above may lie a neighbour's
// memory.
static void
mapped_stack(uintptr_t sp, uintptr_t tp, uintptr_t *lo, uintptr_t *hi)
{
	struct rtp_map m;
	*lo = *hi = 0;
	if (!rtp_procmaps_find(sp, &m))
		return;
	*lo = m.lo;
	*hi = tp > sp && tp < m.hi ? tp : m.hi;
}

// The calling thread's stack, by the mappings: libc's answer mallocs under the thread's own lock, and this may be a
// hook inside the runtime, or that very malloc.
static void
own_stack(uintptr_t *lo, uintptr_t *hi)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	const struct rt_introspect *rt = rtp_runtime();
	*lo = *hi = 0;
	if (!rt || !rt->stack_bounds(here, lo, hi))
		mapped_stack(here, rtp_thread_pointer(), lo, hi);
}

// The same by libc, in a thread that holds none of its locks; much cheaper. For the main thread it depends on
// RLIMIT_STACK and may reach below what is mapped; nothing below sp is ever read, so that is harmless.
static void
own_stack_by_libc(uintptr_t *lo, uintptr_t *hi)
{
	pthread_attr_t a;
	void *addr = NULL;
	size_t size = 0;
	*lo = *hi = 0;
	if (rtp_runtime()) {
		own_stack(lo, hi);
		return;
	}
	if (pthread_getattr_np(pthread_self(), &a) != 0)
		return;
	if (pthread_attr_getstack(&a, &addr, &size) == 0) {
		*lo = (uintptr_t)addr;
		*hi = (uintptr_t)addr + size;
	}
	pthread_attr_destroy(&a);
}

static struct rtp_thread *
slot_with(void (*stack)(uintptr_t *lo, uintptr_t *hi))
{
	if (rtp_self)
		return rtp_self;
	uintptr_t lo, hi;
	stack(&lo, &hi);
	struct rtp_thread *t = new_slot((int)syscall(SYS_gettid), lo, hi);
	if (t && rt_load(&t->stack_lo) == 0) { // adopted before it came here itself
		rt_store(&t->stack_hi, hi);
		rt_store_release(&t->stack_lo, lo);
	}
	rtp_self = t;
	return t;
}

struct rtp_thread *
rtp_thread_self(void)
{
	return slot_with(own_stack);
}

struct rtp_thread *
rtp_thread_begin(void)
{
	return slot_with(own_stack_by_libc);
}

void
rtp_thread_exit(void)
{
	if (rtp_self)
		rt_store_release(&rtp_self->state, RTP_THREAD_DEAD);
	rtp_self = NULL;
}

struct rtp_thread *
rtp_thread_adopt(int tid)
{
	return new_slot(tid, 0, 0);
}

void
rtp_thread_free(struct rtp_thread *t)
{
	t->tid = 0;
	rt_store(&t->stack_lo, 0);
	rt_store(&t->stack_hi, 0);
	rt_store_release(&t->state, RTP_THREAD_FREE);
}

// ---- whose stack is this? ----

static bool
signal_stack(const ucontext_t *uc, uintptr_t sp, uintptr_t *lo, uintptr_t *hi)
{
	uintptr_t base = (uintptr_t)uc->uc_stack.ss_sp;
	if (sp - base >= uc->uc_stack.ss_size)
		return false;
	*lo = base;
	*hi = base + uc->uc_stack.ss_size;
	return true;
}

bool
rtp_stack_of(uintptr_t sp, uintptr_t *lo, uintptr_t *hi, void *arg)
{
	const struct rtp_stack_ctx *ctx = arg;
	const struct rt_introspect *rt = rtp_runtime();
	if (rt && rt->stack_bounds(sp, lo, hi))
		return true;
	struct rtp_thread *t = ctx->thread;
	if (t) {
		// acquire: lo is written last, so with it hi is valid.
		uintptr_t l = rt_load_acquire(&t->stack_lo), h = rt_load(&t->stack_hi);
		if (l && sp >= l && sp < h) {
			*lo = l;
			*hi = h;
			return true;
		}
	}
	return ctx->uc && signal_stack(ctx->uc, sp, lo, hi);
}

void
rtp_thread_resolve_stack(struct rtp_thread *t)
{
	uintptr_t sp = rt_load_acquire(&t->ask_sp), tp = rt_load(&t->ask_tp);
	uintptr_t lo, hi;
	if (!sp || rt_load(&t->stack_lo))
		return;
	mapped_stack(sp, tp, &lo, &hi);
	rt_store(&t->stack_hi, hi);
	rt_store_release(&t->stack_lo, lo);
	rt_store_release(&t->ask_sp, 0);
}

void
rtp_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	rtp_self = NULL;
	rt_store_release(&rtp_main_region, NULL); // the parent's copy stays mapped: hooks may hold pointers
}
