// SPDX-License-Identifier: BSD-3-Clause
#include "sources/cpu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/labels.h"
#include "core/rtlink.h"
#include "sources/sources.h"
#include "unwind/modules.h"
#include "unwind/unwind.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

// Sampling state, timers, and the reading side of every ring. Held for microseconds.
static pthread_mutex_t drain_lock = PTHREAD_MUTEX_INITIALIZER;
static int sessions;
static _Atomic int rate; // Hz while sampling, else 0
static bool evicted;
_Atomic bool rtp_restart_calls;
static nlink_t tasks_seen;
static int ticks_to_sweep;

// ---- in the handler ----

static void
push(struct rtp_region *r, struct rtp_thread *t, const uintptr_t *pcs, uint32_t n, uint64_t weight,
     uint64_t labels)
{
	uint32_t tail = rt_load(&t->tail), need = 3 + n;
	uint64_t *ring = rtp_at(r, rt_load_acquire(&t->ring));
	// acquire: pairs with drain's release; the words before head are free again.
	if (RTP_RING_WORDS - (tail - rt_load_acquire(&t->head)) < need) {
		rtp_add(&r->ring_full, weight);
		return;
	}
	uint64_t header[3] = { n | weight << 16, weight * rt_load(&t->period_ns), labels };
	t->last = tail;
	for (uint32_t i = 0; i < 3; i++)
		ring[(tail + i) % RTP_RING_WORDS] = header[i];
	for (uint32_t i = 0; i < n; i++)
		ring[(tail + 3 + i) % RTP_RING_WORDS] = pcs[i];
	// release: the record is whole before the reader may see it.
	rt_store_release(&t->tail, tail + need);
}

static uint64_t
labels_now(struct rtp_region *r, const struct rtp_thread *t)
{
	const struct rt_introspect *rt = rtp_runtime();
	return rt && rt->goid() ? rtp_labels_off(r, rt->labels()) : rt_load(&t->labels);
}

static void
sample(struct rtp_region *r, struct rtp_thread *t, const void *uc, uint64_t weight)
{
	uintptr_t pcs[RTP_CPU_FRAMES];
	struct rtp_stack_ctx ctx = { t, uc };
	struct rtp_walk w = { .exact = true, .stack_of = rtp_stack_of, .arg = &ctx };
	rtp_regs_from_uc(&w.r, uc);
	if (!rtp_stack_of(w.r.sp, &w.lo, &w.hi, &ctx) && !rt_load(&t->stack_lo)) {
		rt_store(&t->ask_tp, rtp_thread_pointer());
		rt_store_release(&t->ask_sp, w.r.sp);
	}
	int n = rtp_unwind(&w, pcs, RTP_CPU_FRAMES, 0);
	rtp_add(&t->counted, weight);
	if (w.truncated)
		rtp_add(&r->truncated, 1);
	if (weight > 1)
		rtp_add(&r->overruns, weight - 1);
	push(r, t, pcs, (uint32_t)n, weight, labels_now(r, t));
}

static void
on_sigprof(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	int saved = errno;
	struct rtp_region *r = rtp_main_peek();
	struct rtp_thread *t = si->si_value.sival_ptr;
	// Ours are timer signals whose value is a slot; anything else (kill, setitimer) is dropped.
	if (si->si_code == SI_TIMER && r && (uintptr_t)t - (uintptr_t)r < r->size) {
		if (rt_load_acquire(&t->state) == RTP_THREAD_LIVE && rt_load(&rate) != 0)
			sample(r, t, uc, 1 + (uint64_t)(si->si_overrun > 0 ? si->si_overrun : 0));
		if (rt_load(&rtp_restart_calls))
			rtp_restart_call(uc);
	}
	errno = saved;
}

// ---- timers; drain_lock held ----

static bool
give_ring(struct rtp_region *r, struct rtp_thread *t)
{
	if (!rt_load(&t->ring)) // a slot keeps its ring for the next thread
		rt_store_release(&t->ring, rtp_off(r, rtp_alloc(r, RTP_RING_WORDS * 8)));
	return rt_load(&t->ring) != 0;
}

static void
arm(struct rtp_region *r, struct rtp_thread *t)
{
	int hz = rt_load(&rate);
	if (hz == 0 || t->timer >= 0 || !give_ring(r, t))
		return;
	int64_t period = 1000000000 / hz;
	rt_store(&t->period_ns, (uint64_t)period);
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF };
	ev.sigev_notify_thread_id = t->tid;
	ev.sigev_value.sival_ptr = t;
	int id;
	if (syscall(SYS_timer_create, RTP_THREAD_CPU_CLOCK(t->tid), &ev, &id) != 0)
		return; // it ended meanwhile, or the user's timers are used up
	t->timer = id;
	// The first period is a random part of one, so that threads started together do not beat.
	int64_t first = 1 + (int64_t)((uint64_t)t->tid * 0x9e3779b97f4a7c15ull >> 1) % period;
	rt_store(&t->counted, 0);
	rt_store(&t->origin, rt_max(rtp_thread_cpu(t->tid), (int64_t)0) + first - period);
	struct itimerspec its = { .it_interval.tv_sec = period / 1000000000,
				  .it_interval.tv_nsec = period % 1000000000,
				  .it_value.tv_sec = first / 1000000000,
				  .it_value.tv_nsec = first % 1000000000 };
	syscall(SYS_timer_settime, id, 0, &its, NULL);
}

static void
disarm(struct rtp_thread *t)
{
	if (t->timer >= 0)
		syscall(SYS_timer_delete, t->timer);
	t->timer = -1;
}

static void
rearm_all(struct rtp_region *r)
{
	rtp_for_threads(t, r) {
		disarm(t);
		if (rt_load_acquire(&t->state) == RTP_THREAD_LIVE)
			arm(r, t);
	}
}

static bool
tid_alive(int tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

static void
adopt(struct rtp_region *r, int tid)
{
	if (tid <= 0 || rtp_is_own_tid(tid) || rtp_thread_by_tid(r, tid))
		return;
	struct rtp_thread *t = rtp_thread_adopt(tid);
	if (t)
		arm(r, t);
}

// By the bare system call: libc's readdir would call malloc while drain_lock is held.
static void
adopt_tasks(struct rtp_region *r)
{
	char buf[4096] RT_ALIGNED(8);
	int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (long n; (n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0;)
		for (long at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(buf + at);
			adopt(r, atoi(e->d_name));
			at += e->d_reclen;
		}
	close(fd);
}

// Finds threads that nobody announced, and slots whose threads are gone.
static void
sweep_tasks(struct rtp_region *r)
{
	struct stat st;
	if (stat("/proc/self/task", &st) != 0)
		return;
	// A directory's links count its entries: the number of threads, for the price of one call.
	if (st.st_nlink == tasks_seen && --ticks_to_sweep > 0)
		return;
	tasks_seen = st.st_nlink;
	ticks_to_sweep = 10;
	rtp_for_threads(t, r)
		if (rt_load_acquire(&t->state) == RTP_THREAD_LIVE && !tid_alive(t->tid))
			rt_store_release(&t->state, RTP_THREAD_DEAD);
	adopt_tasks(r);
}

// ---- the reading side; drain_lock held ----

// A native thread's samples are labelled with its name, read again once a second: programs name their
// threads after they started. Reading fails when the thread ended meanwhile; then the last name holds.
static uint64_t
thread_label(struct rtp_region *r, struct rtp_thread *t)
{
	struct timespec ts;
	char path[64], name[32];
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	if (t->named_at && ts.tv_sec == t->named_at)
		return rt_load(&t->labels);
	t->named_at = ts.tv_sec;
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", t->tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, name, sizeof(name) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n > 1) {
		name[n - 1] = 0; // the newline
		struct rtp_label l = { "thread", name };
		rt_store(&t->labels, rtp_off(r, rtp_labels_with(r, NULL, &l, 1)));
	}
	return rt_load(&t->labels);
}

uint64_t
rtp_thread_label(struct rtp_region *r, struct rtp_thread *t)
{
	pthread_mutex_lock(&drain_lock);
	t->named_at = 0;
	uint64_t set = thread_label(r, t);
	pthread_mutex_unlock(&drain_lock);
	return set;
}

static void
fold(struct rtp_region *r, struct rtp_thread *t)
{
	bool any = rt_load(&t->head) != rt_load_acquire(&t->tail);
	if (any)
		rtp_ring_fold(r, t, rtp_native ? thread_label(r, t) : 0);
}

static void
drain_locked(struct rtp_region *r)
{
	rtp_for_threads(t, r) {
		bool dead = rt_load_acquire(&t->state) == RTP_THREAD_DEAD;
		fold(r, t);
		rtp_thread_resolve_stack(t);
		if (dead) {
			disarm(t);
			rtp_thread_free(t);
		}
	}
}

void
rtp_drain(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (!r)
		return;
	if (rtp_remote) { // its own thread does, ten times a second
		nanosleep(&(struct timespec){ .tv_nsec = 120000000 }, NULL);
		return;
	}
	pthread_mutex_lock(&drain_lock);
	drain_locked(r);
	pthread_mutex_unlock(&drain_lock);
}

void
rtp_cpu_tick(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (!r)
		return;
	pthread_mutex_lock(&drain_lock);
	drain_locked(r);
	if (rt_load(&rate) != 0 || rtp_waits_on())
		sweep_tasks(r);
	pthread_mutex_unlock(&drain_lock);
	rtp_modules_refresh(r);
}

// ---- start and stop ----

bool
rtp_cpu_handler_is(const struct sigaction *sa)
{
	return (sa->sa_flags & SA_SIGINFO) && sa->sa_sigaction == on_sigprof;
}

// SIGPROF stays ours once taken: a signal may be on its way when sampling stops.
static int
install(void)
{
	struct sigaction old, sa = { .sa_sigaction = on_sigprof,
				     .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	if (sigaction(SIGPROF, NULL, &old) != 0)
		return -errno;
	if (!rtp_cpu_handler_is(&old) && old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
		return -EBUSY;
	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGURG); // the runtime's stop signal: one handler at a time
	return sigaction(SIGPROF, &sa, NULL) == 0 ? 0 : -errno;
}

// The other process's background thread looks for wishes at each tick and folds rings at the next.
static int
acquire_remote(struct rtp_region *r, int hz)
{
	if (rt_load(&r->evicted))
		return -EBUSY;
	int has = rt_load(&r->want_hz);
	if (hz > has)
		rt_store(&r->want_hz, hz);
	if (has == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 150000000 }, NULL);
	return 0;
}

int
rtp_cpu_acquire(int hz)
{
	struct rtp_region *r = rtp_main();
	if (!r)
		return -ENOMEM;
	if (rtp_remote)
		return acquire_remote(r, hz);
	int rc = install();
	if (rc < 0)
		return rc;
	rtp_modules_refresh(r);
	if (!rtp_is_own_thread())
		rtp_thread_self();
	if (!rtp_reader_start())
		return -EAGAIN;
	pthread_mutex_lock(&drain_lock);
	sessions++;
	evicted = false;
	if (hz > rt_load(&rate)) {
		drain_locked(r); // samples of the old rate carry their own period already
		rt_store(&rate, hz);
		r->hz = hz;
		rearm_all(r);
	}
	ticks_to_sweep = 0;
	sweep_tasks(r);
	pthread_mutex_unlock(&drain_lock);
	return 0;
}

void
rtp_cpu_release(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (rtp_remote)
		return; // whoever asked once may ask again: it goes on, as under gort run -cpu
	pthread_mutex_lock(&drain_lock);
	if (--sessions == 0 && !evicted) {
		rtp_for_threads(t, r)
			disarm(t);
		drain_locked(r);
		rt_store(&rate, 0);
	}
	pthread_mutex_unlock(&drain_lock);
}

bool
rtp_cpu_active(void)
{
	return rt_load(&rate) != 0;
}

void
rtp_cpu_evict(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (!r)
		return;
	pthread_mutex_lock(&drain_lock);
	rtp_for_threads(t, r)
		disarm(t);
	drain_locked(r);
	rt_store(&rate, 0);
	rt_store(&r->evicted, 1);
	evicted = true;
	pthread_mutex_unlock(&drain_lock);
}

void
rtp_cpu_thread_start(void)
{
	if (rtp_remote || rtp_is_own_thread()) // one of ours only visits the runtime
		return;
	struct rtp_thread *t = rtp_thread_begin();
	if (!t || rt_load(&rate) == 0)
		return;
	pthread_mutex_lock(&drain_lock);
	arm(rtp_main_peek(), t);
	pthread_mutex_unlock(&drain_lock);
}

// The kernel looks at CPU timers at its clock ticks. What a thread did since the last one that met it
// running goes to where it was then, as the periods before went to where that tick found it.
static void
count_rest(struct rtp_region *r, struct rtp_thread *t)
{
	struct timespec now;
	uint64_t period = rt_load(&t->period_ns), *ring = rtp_at(r, rt_load(&t->ring));
	if (t->timer < 0 || !ring || !period || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
		return;
	int64_t cpu = now.tv_sec * 1000000000 + now.tv_nsec - rt_load(&t->origin);
	uint64_t due = cpu > 0 ? (uint64_t)cpu / period : 0, counted = rt_load(&t->counted);
	// Few, or something else is wrong: a weight has 48 bits, but nobody waits seconds for a tick.
	if (due <= counted || (due - counted) * period > 1000000000)
		return;
	uintptr_t pcs[RTP_CPU_FRAMES] = { RTP_PC_LOST };
	uint32_t n = 1;
	if (t->last != UINT32_MAX && rt_load(&t->tail) - t->last <= RTP_RING_WORDS) {
		n = (uint32_t)(ring[t->last % RTP_RING_WORDS] & 0xffff);
		for (uint32_t i = 0; i < n && i < RTP_CPU_FRAMES; i++)
			pcs[i] = ring[(t->last + 3 + i) % RTP_RING_WORDS];
	}
	push(r, t, pcs, rt_min(n, (uint32_t)RTP_CPU_FRAMES), due - counted, labels_now(r, t));
}

void
rtp_cpu_thread_last(void)
{
	struct rtp_region *r = rtp_main_peek();
	struct rtp_thread *t = r && rt_load(&rate) ? rtp_thread_by_tid(r, (int)syscall(SYS_gettid)) : NULL;
	sigset_t prof;
	if (!t)
		return;
	sigemptyset(&prof);
	sigaddset(&prof, SIGPROF);
	rtp_busy++;
	// The ring has one writer: the handler must not come between. Nor later: what is pending has
	// been counted here.
	pthread_sigmask(SIG_BLOCK, &prof, NULL);
	count_rest(r, t);
	rtp_busy--;
}

void
rtp_cpu_thread_exit(void)
{
	rtp_cpu_thread_last();
	rtp_thread_exit(); // the next drain takes the timer and the slot
}

void
rtp_cpu_forked(void)
{
	pthread_mutex_init(&drain_lock, NULL);
	sessions = 0;
	evicted = false;
	rt_store(&rate, 0);
	tasks_seen = 0;
}
