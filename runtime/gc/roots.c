// SPDX-License-Identifier: BSD-3-Clause
// What marking starts from. Read at t0, with the world stopped:
//   - writable data segments of the program and the libraries it has loaded, less RELRO, less GORT_NOSCAN
//     variables, less the C library and the loader, which never hold a collected pointer
//   - ranges the user registered (gort_add_root)
//   - stacks from sp - 128 and registers of the goroutines that threads run, of goroutine 1, of those in
//     system calls (sched/stw.c knows where)
//   - the word that a general register of a signal-stopped thread points to: it may be about to store
//     there, past its test of the barrier's flag (hazard 2); also of code that a signal handler of the
//     program's had interrupted when the stop came
//   - what the runtime holds for them: g fields, sudogs, Ps, timers
// Afterwards, by a worker or by whoever is about to run it: every other goroutine, with its g and sudogs.
// None has run since t0, nobody else writes its frames without a barrier, and what leaves a sudog is
// shaded: all is as it was at t0.
//
// g.gcscan says how far a goroutine is: 2 * epoch scanned, 2 * epoch + 1 being scanned, else not yet.
// A goroutine that is not scanned has not run since t0, is therefore parked or dead, and cannot run or be
// reborn while somebody scans it (both wait).
//
// The list of segments needs the loader's lock, which a stopped thread may hold: it is made before the
// stop; in the stop the link map is walked, without the lock, and compared with what it was then.
#include <link.h>
#include <string.h>

#include <gort/mem.h>

#include "base/print.h"
#include "chan/chan.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "gc/special.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/stack.h"
#include "sched/sudog.h"
#include "sync/pool.h"

struct range {
	uintptr_t lo, hi;
};

struct ranges {
	struct range *v;
	size_t n, cap;
};

// Written by the thread that has the right to run a cycle.
static struct ranges segments;
static uint64_t linkmap_at_prepare;

// Under lock.
static struct rt_mutex lock;
static struct ranges user_roots;
// Where in user_roots a range begins that starts at an address: open addressing, linear probing; the place
// plus 1, 0 free.
static struct {
	uint32_t *v;
	size_t mask;
} root_index;
static struct gort_noscan_range noscan = {&noscan, &noscan, NULL, 0};

// ---- growing arrays, outside of libc's heap ----

static void
reserve(struct ranges *r, size_t n)
{
	if (n <= r->cap)
		return;
	size_t cap = rt_max(r->cap * 2, (size_t)256);
	struct range *v = rt_sys_alloc(cap * sizeof *v);
	if (r->n)
		memcpy(v, r->v, r->n * sizeof *v);
	if (r->v)
		rt_os_free(r->v, r->cap * sizeof *v);
	atomic_fetch_add_explicit(&rt_sys_stats.gc, (cap - r->cap) * sizeof *v, memory_order_relaxed);
	r->v = v;
	r->cap = cap;
}

static void
append(struct ranges *r, uintptr_t lo, uintptr_t hi)
{
	if (lo >= hi)
		return;
	reserve(r, r->n + 1);
	r->v[r->n++] = (struct range){lo, hi};
}

static void
subtract(struct ranges *r, uintptr_t lo, uintptr_t hi)
{
	for (size_t i = 0; i < r->n; i++) {
		struct range was = r->v[i];
		if (hi <= was.lo || lo >= was.hi)
			continue;
		r->v[i] = (struct range){was.lo, rt_max(was.lo, lo)};
		append(r, hi, was.hi);
	}
}

// ---- data segments ----

static bool
has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

// Libraries that cannot hold collected pointers in their data: the C library's family and the loader.
static bool
is_system_library(const char *path)
{
	static const char *const names[] = {"libc.so", "libm.so", "ld-linux", "libpthread.so",
					    "libdl.so", "librt.so", "libgcc_s.so", "linux-vdso",
					    "libasan.so", "libubsan.so", "libtsan.so"};
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	for (size_t i = 0; i < rt_nelem(names); i++)
		if (has_prefix(base, names[i]))
			return true;
	return false;
}

static int
add_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	if (info->dlpi_name && is_system_library(info->dlpi_name))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_W))
			append(&segments, lo, lo + ph->p_memsz);
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		// Only whole pages became read-only, so only those are unwritable now.
		if (ph->p_type == PT_GNU_RELRO)
			subtract(&segments, lo, rt_round_down(lo + ph->p_memsz, (uintptr_t)4096));
	}
	return 0;
}

// A checksum of which libraries are loaded where. Without the loader's lock: with the world stopped the
// list may be in the middle of a change, but its pointers are always whole, and a sum that differs only
// makes us try again.
static uint64_t
linkmap_sum(void)
{
	uint64_t sum = 0;
	for (const struct link_map *m = _r_debug.r_map; m; m = m->l_next)
		sum = (sum ^ m->l_addr ^ (uintptr_t)m->l_ld) * 0x9e3779b97f4a7c15ull + 1;
	return sum;
}

void
rt_roots_prepare(void)
{
	segments.n = 0;
	linkmap_at_prepare = linkmap_sum();
	dl_iterate_phdr(add_module, NULL);
	rt_lock(&lock);
	for (struct gort_noscan_range *r = noscan.next; r != &noscan; r = r->next)
		subtract(&segments, (uintptr_t)r->p, (uintptr_t)r->p + r->n);
	rt_unlock(&lock);
	// The heap's own state: its address range and caches would pin what they point to.
	subtract(&segments, (uintptr_t)&rt_heap, (uintptr_t)(&rt_heap + 1));
	subtract(&segments, (uintptr_t)&rt_gc, (uintptr_t)(&rt_gc + 1));
	// As those of other Ms: the address of the lock it released last may be a channel's.
	subtract(&segments, (uintptr_t)&m0, (uintptr_t)(&m0 + 1));
}

bool
rt_roots_current(void)
{
	return linkmap_sum() == linkmap_at_prepare;
}

// ---- goroutines ----

_Atomic uint32_t rt_gc_epoch;

// Goroutines not handed out yet: the rest of allgs as it was at t0. Under cursorlock; read without as a
// hint.
static struct rt_mutex cursorlock;
static _Atomic(struct g *) cursor;
static uint32_t epochs;

struct stack_scan {
	struct gcwork *w;
	uint64_t bytes;
};

static void
mark_stack(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg)
{
	struct stack_scan *sc = arg;
	rt_mark_root_range(sc->w, lo, hi);
	sc->bytes += hi - lo;
	(void)gp;
}

static void
count_stacks(const struct stack_scan *sc)
{
	atomic_fetch_add_explicit(&rt_gc.cur.stack_bytes, sc->bytes, memory_order_relaxed);
}

// What a channel's waiter holds: the channel, the user's memory if the value is too large for the sudog
// (the sender's frame need not keep it), else the value, which is on its way. The rest of a sudog are gs and
// sudogs; those of semaphores and conditions, in no g's list, have the address that waitobj has.
static void
mark_sudog(struct gcwork *w, const struct sudog *sg)
{
	static_assert(offsetof(struct sudog, elem) - offsetof(struct sudog, c) == sizeof(void *), "c, elem");
	rt_mark_root_range(w, (uintptr_t)&sg->c, (uintptr_t)(&sg->elem + 1));
	const struct hchan *c = sg->c;
	if (c && c->scan && sg->elem == sg->value)
		rt_mark_root_range(w, (uintptr_t)sg->value,
				   (uintptr_t)sg->value + rt_round_up(c->elemsize, sizeof(void *)));
}

// What a g holds. No roots are: sched, stack (addresses of stacks, which are read); m, lockedm; schedlink,
// alllink, newg (gs, which are roots themselves); param (a sudog, of `waiting`); sleeptimer (its pp is a P,
// its fn ours; other timers are in their Ps' heaps); startpc, gopc; numbers. sudog0 is in `waiting` when it
// counts.
static void
mark_g(struct gcwork *w, struct g *gp)
{
	static_assert(offsetof(struct g, labels) == offsetof(struct g, waitobj) + 2 * sizeof(void *),
		      "waitobj, exits, labels");
	rt_mark_root_range(w, (uintptr_t)&gp->waitobj, (uintptr_t)(&gp->labels + 1));
	for (const struct sudog *sg = gp->waiting; sg; sg = sg->waitlink)
		mark_sudog(w, sg);
}

static void
mark_p(struct gcwork *w, struct p *pp)
{
	rt_mark_root_range(w, (uintptr_t)pp, (uintptr_t)(pp + 1));
	if (pp->timers)
		rt_mark_root_range(w, (uintptr_t)pp->timers, (uintptr_t)(pp->timers + pp->ntimers));
}

static void
mark_pool_range(uintptr_t lo, uintptr_t hi, void *w)
{
	rt_mark_root_range(w, lo, hi);
}

static uint32_t
scanned_value(void)
{
	return rt_load(&rt_gc_epoch) * 2;
}

// Claims gp for scanning; false: it is scanned. Waits while another scans it.
static bool
claim(struct g *gp)
{
	uint32_t done = scanned_value(), is = rt_load_acquire(&gp->gcscan);
	for (;;) {
		if (is == done)
			return false;
		if (is == done + 1) {
			rt_cpu_relax();
			is = rt_load_acquire(&gp->gcscan);
		} else if (atomic_compare_exchange_weak_explicit(&gp->gcscan, &is, done + 1,
								 memory_order_acquire,
								 memory_order_acquire)) {
			return true;
		}
	}
}

static void
release(struct g *gp)
{
	// release: pairs with claim's acquire; who runs gp does so after the last look at its stack.
	rt_store_release(&gp->gcscan, scanned_value());
}

static void
scan_claimed(struct stack_scan *sc, struct g *gp)
{
	enum gstatus st = rt_gstatus(gp);
	if (st == Gdead || st == Gidle)
		return;
	if (st == Grunning || st == Gsyscall)
		rt_throw("a goroutine runs that was not scanned");
	// When it blocked is found out late and thus under-reported, as in Go: parking costs nothing for it.
	if (st == Gwaiting && gp->waitsince == 0)
		gp->waitsince = rt_nanotime();
	rt_scan_parked_stack(gp, mark_stack, sc);
	mark_g(sc->w, gp);
}

static void
scan_one(struct gcwork *w, struct g *gp)
{
	struct stack_scan sc = {.w = w};
	scan_claimed(&sc, gp);
	release(gp);
	count_stacks(&sc);
}

void
rt_roots_withhold(struct g *gp)
{
	claim(gp);
}

bool
rt_roots_withheld(const struct g *gp)
{
	return rt_load(&gp->gcscan) == scanned_value() + 1;
}

void
rt_roots_scan_withheld(struct gcwork *w, struct g *gp)
{
	scan_one(w, gp);
}

void
rt_gc_scan_before_run(struct g *gp)
{
	if (claim(gp))
		scan_one(rt_gcwork(rt_getp()), gp);
}

void
rt_gc_g_born(struct g *gp)
{
	if (rt_load(&rt_gc_epoch) == 0 || claim(gp))
		release(gp);
}

bool
rt_roots_left(void)
{
	return rt_load(&cursor) != NULL || rt_attached_left() || rt_dirty_left();
}

// The lines of a g that a scan looks at, but for the one with alllink.
RT_INLINE void
prefetch_g(const struct g *gp)
{
	__builtin_prefetch(&gp->sched);
	__builtin_prefetch(&gp->waiting, 1);
	__builtin_prefetch(&gp->sudog0);
}

// The top of a stack. It may be running by now: then some lines are fetched in vain.
RT_INLINE void
prefetch_stack(const struct g *gp)
{
	enum { LINES = 8 };
	if (RT_TSAN) // the race is meant
		return;
	uintptr_t sp = *(const volatile uintptr_t *)&gp->sched.sp;
	for (uintptr_t i = 0; i < LINES; i++)
		__builtin_prefetch((const void *)(sp + i * RT_CACHE_LINE));
}

bool
rt_roots_scan_some(struct gcwork *w)
{
	enum { BATCH = 64, AHEAD = 2 };
	struct g *batch[BATCH];
	int n = 0;
	if (!rt_load(&cursor))
		return rt_attached_scan_some(w) || rt_dirty_scan_some(w);
	rt_lock(&cursorlock);
	struct g *gp = rt_load(&cursor);
	for (; gp && n < BATCH; gp = gp->alllink) {
		prefetch_g(gp);
		batch[n++] = gp;
	}
	rt_store(&cursor, gp);
	rt_unlock(&cursorlock);
	struct stack_scan sc = {.w = w};
	for (int i = 0; i < n; i++) {
		if (i + AHEAD < n)
			prefetch_stack(batch[i + AHEAD]);
		// One that another is scanning counts as scanned: it will be before its goroutine runs, and
		// the world cannot stop before.
		uint32_t is = rt_load(&batch[i]->gcscan);
		if (is >> 1 == rt_load(&rt_gc_epoch) || !claim(batch[i]))
			continue;
		scan_claimed(&sc, batch[i]);
		release(batch[i]);
	}
	count_stacks(&sc);
	return true;
}

// ---- t0 ----

void
rt_roots_each_range(void (*fn)(const char *what, uintptr_t lo, uintptr_t hi, void *arg), void *arg)
{
	for (size_t i = 0; i < segments.n; i++)
		fn("global", segments.v[i].lo, segments.v[i].hi, arg);
	// The world is stopped: whoever holds a lock of the runtime is at depth > 0 and would not be.
	for (size_t i = 0; i < user_roots.n; i++)
		fn("root", user_roots.v[i].lo, user_roots.v[i].hi, arg);
}

static void
mark_global(const char *what, uintptr_t lo, uintptr_t hi, void *arg)
{
	(void)what;
	rt_mark_root_range(arg, lo, hi);
	rt_gc.cur.global_bytes += hi - lo;
}

// Not static: the stress test of hazard 2 turns it off to see objects get lost.
bool rt_gc_shade_registers = true;

// The word at p, if p may be the slot of a store in memory that t0 does not read whole. Struct stores of
// gort_set_value write up to RT_SET_WORDS words behind it.
static void
mark_slot(struct gcwork *w, uintptr_t p)
{
	uintptr_t lo, hi;
	if (p - rt_heap.base < rt_load(&rt_heap.grown)) {
		hi = rt_heap.base + rt_load(&rt_heap.grown);
	} else if (!rt_stack_bounds(p, &lo, &hi)) {
		return;
	}
	uintptr_t end = rt_min(p + GORT_SET_WORDS_ * sizeof(void *), hi);
	if (p % sizeof(void *) == 0)
		rt_mark_root_range(w, p, end);
}

static void
mark_registers(struct gcwork *w, const void *uc)
{
	uintptr_t regs[RT_UC_REGS];
	rt_uc_regs(uc, regs);
	for (unsigned i = 0; i < RT_UC_REGS; i++)
		mark_slot(w, regs[i]);
}

// Registers that signal frames in [lo, hi) keep: the stop found the thread in a handler of the program's,
// which had interrupted code that may be about to store. A frame begins with the address of the C library's
// return from a signal, the context follows. A stale one marks a little more. Returns the sp of the code that
// the outermost interrupted, 0 without one.
__attribute__((no_sanitize("address", "thread"))) static uintptr_t
mark_signal_frames(struct gcwork *w, uintptr_t lo, uintptr_t hi, uintptr_t sigreturn)
{
	uintptr_t sp = 0;
	for (lo = rt_round_up(lo, sizeof(void *)); lo + sizeof(void *) + RT_UC_BYTES <= hi; lo += sizeof(void *))
		if (*(const volatile uintptr_t *)lo == sigreturn) {
			const void *uc = (const void *)(lo + sizeof(void *));
			mark_registers(w, uc);
			sp = rt_uc_sp(uc);
		}
	return sp;
}

static void
mark_stored_slots(struct gcwork *w, const struct m *mp)
{
	if (!mp->stop_uc || !rt_gc_shade_registers)
		return;
	mark_registers(w, mp->stop_uc);
	uintptr_t lo, hi, sp = rt_uc_sp(mp->stop_uc), sigstack = (uintptr_t)mp->sigstack;
	uintptr_t sigreturn = ((const uintptr_t *)mp->stop_uc)[-1]; // of our own handler's frame
	if (sp - sigstack < mp->sigstack_size)
		sp = mark_signal_frames(w, sp, sigstack + mp->sigstack_size, sigreturn);
	if (rt_stack_bounds(sp, &lo, &hi))
		mark_signal_frames(w, sp, hi, sigreturn);
}

static void
mark_whole(struct gcwork *w, struct g *gp)
{
	struct stack_scan sc = {.w = w};
	rt_scan_stack(gp, mark_stack, &sc);
	count_stacks(&sc);
	mark_g(w, gp);
	rt_store(&gp->gcscan, scanned_value());
}

static void
mark_running(struct gcwork *w, struct g *gp)
{
	mark_whole(w, gp);
	// What it starts may never run as this g: its arguments move to a larger stack.
	if (gp->newg)
		mark_whole(w, gp->newg);
}

void
rt_roots_t0(struct gcwork *w)
{
	epochs = epochs % (1u << 30) + 1;
	rt_store(&rt_gc_epoch, epochs);
	rt_store(&rt_gc.cur.stack_bytes, 0);
	rt_gc.cur.global_bytes = 0;
	rt_roots_each_range(mark_global, w);
	// Before the Ms: a foreign thread that comes in meanwhile is in neither or in both.
	rt_store(&cursor, rt_load_acquire(&allgs));
	for (struct m *mp = rt_load_acquire(&allm); mp; mp = mp->alllink) {
		struct g *gp = rt_load_acquire(&mp->curg); // a thread without a P may be about to leave it
		if (gp)
			mark_running(w, gp);
		mark_stored_slots(w, mp);
	}
	if (rt_gstatus(rt_main_g) != Gdead && rt_load(&rt_main_g->gcscan) != scanned_value())
		mark_running(w, rt_main_g);
	for (int32_t i = 0; i < nallp; i++)
		mark_p(w, allp[i]);
	rt_pool_for_each_range(mark_pool_range, w);
	rt_attached_t0();
}

// ---- public ----

static size_t
home(uintptr_t lo)
{
	return (size_t)(lo * 0x9e3779b97f4a7c15ull >> 32) & root_index.mask;
}

// The entry of lo's place in user_roots, or the free one where it belongs.
static uint32_t *
find_root(uintptr_t lo)
{
	size_t i = home(lo);
	while (root_index.v[i] && user_roots.v[root_index.v[i] - 1].lo != lo)
		i = (i + 1) & root_index.mask;
	return &root_index.v[i];
}

// At most half of the entries are in use.
static void
reserve_root(void)
{
	size_t had = root_index.v ? root_index.mask + 1 : 0;
	if ((user_roots.n + 1) * 2 <= had)
		return;
	size_t cap = had ? had * 2 : 512;
	uint32_t *old = root_index.v;
	root_index.v = rt_sys_alloc(cap * sizeof *old);
	root_index.mask = cap - 1;
	for (size_t i = 0; i < user_roots.n; i++)
		*find_root(user_roots.v[i].lo) = (uint32_t)i + 1;
	if (old)
		rt_os_free(old, had * sizeof *old);
	atomic_fetch_add_explicit(&rt_sys_stats.gc, (cap - had) * sizeof *old, memory_order_relaxed);
}

// Frees an entry; those behind it that could not be nearer to their home move up.
static void
free_entry(uint32_t *entry)
{
	size_t hole = (size_t)(entry - root_index.v), mask = root_index.mask;
	for (size_t i = (hole + 1) & mask; root_index.v[i]; i = (i + 1) & mask) {
		uintptr_t lo = user_roots.v[root_index.v[i] - 1].lo;
		if (((i - home(lo)) & mask) < ((i - hole) & mask))
			continue;
		root_index.v[hole] = root_index.v[i];
		hole = i;
	}
	root_index.v[hole] = 0;
}

void
gort_add_root(void *p, size_t n)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	reserve_root();
	uint32_t *entry = find_root((uintptr_t)p);
	if (*entry) {
		user_roots.v[*entry - 1].hi = (uintptr_t)p + n;
	} else if (n > 0) {
		append(&user_roots, (uintptr_t)p, (uintptr_t)p + n);
		*entry = (uint32_t)user_roots.n;
	}
	rt_unlock(&lock);
	rt_leave_if(in);
}

// The last one takes its place.
static void
remove_root_locked(uint32_t *entry)
{
	uint32_t place = *entry;
	free_entry(entry);
	struct range last = user_roots.v[user_roots.n - 1];
	if (place < user_roots.n)
		*find_root(last.lo) = place;
	user_roots.v[place - 1] = last;
	user_roots.n--;
}

void
gort_remove_root(void *p)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	uint32_t *entry = root_index.v ? find_root((uintptr_t)p) : NULL;
	if (entry && *entry)
		remove_root_locked(entry);
	rt_unlock(&lock);
	rt_leave_if(in);
}

void
gort_noscan_add_(struct gort_noscan_range *r)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	r->next = &noscan;
	r->prev = noscan.prev;
	noscan.prev->next = r;
	noscan.prev = r;
	rt_unlock(&lock);
	rt_leave_if(in);
}

void
gort_noscan_remove_(struct gort_noscan_range *r)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	r->prev->next = r->next;
	r->next->prev = r->prev;
	rt_unlock(&lock);
	rt_leave_if(in);
}
