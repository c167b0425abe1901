// SPDX-License-Identifier: BSD-3-Clause
// The marker. It queues spans, not objects: a FIFO of spans that have grey objects. When a span comes up,
// all its grey objects are scanned together; by then there are many (tens, on a random graph), and they
// are neighbours. A pointer into the span at hand is followed in the same visit, in plain local words:
// what was allocated together is linked together, and most of a list or tree costs no atomic operation
// and no look at metadata. Other pointers go through a delay line: each enters with a prefetch of its
// page's line of metadata and is tested DELAY pointers later, when the line has arrived.
//
//   pointer -> delay line -> test and set mark bit -> span into the queue (once, `queued`)
//   queue -> span -> grey = mark & ~scan -> scan each object's words -> pointers
//                      ^------------ within the span ------------------'
//
// FIFO order is what lets objects gather; a stack would find three a visit. Measured against a textbook
// depth-first marker: five times faster (docs/gc.md).
//
// Several workers and barriers run this at once: mark and scan bits are set by fetch_or unless `alone`;
// queue slots are claimed by fetch_add and CAS. A visitor has its span alone: `queued` stays set until it
// has published what it marked and scanned. A span is in the queue at most once, and spans made during
// marking never, so a queue of as many slots as there were spans at t0 cannot overflow. A large object is
// scanned in oblets of 128 KiB: who takes one puts the object back into the queue for the next, if there
// is one.
//
// A worker's own state (the delay line) is empty whenever it is not inside rt_mark_some, and the world
// does not stop while it is: with the world stopped, all grey objects are in the queue.
#include <string.h>

#include "arch/arch.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/proc.h"

#define DELAY 64
#define AHEAD 8 // objects prefetched before their scan
#define SEEN 64 // root words remembered: frames hand the same pointers down

#define NO_SANITIZE __attribute__((no_sanitize("address", "thread")))

#define OBLET ((size_t)128 << 10)
#define MAX_WORDS (RT_BITS_STRIDE / 8) // of a small span's bitmap
#define WAKE_EVERY 64   // spans between looks for an idle P
#define LENGTH_TO_SHARE 4

// What setting a mark bit needs.
struct greyer {
	bool alone;     // no other thread can mark: bits need no atomics
	uint64_t bytes; // marked
};

struct gcwork {
	struct greyer g;
	uint32_t marking;     // what this belongs to: the count of rt_mark_start
	struct p *pp;
	uintptr_t base;       // rt_heap.base
	size_t grown;         // rt_heap.grown
	struct pageinfo *info;
	int64_t scanned;      // heap bytes, this cycle
	uint32_t pos;         // of the delay line
	size_t line[DELAY];   // heap offset + 1, 0 empty
	// The visit at hand, by word of the span's bitmaps.
	uint64_t known[MAX_WORDS]; // marked, as far as this visit knows
	uint64_t grey[MAX_WORDS];  // of them, to be scanned
	uint64_t took[MAX_WORDS];  // of them, scanned by this visit
	uintptr_t seen[SEEN];      // root words followed lately, in this cycle
};

static _Atomic uint64_t shaded_bytes; // marked by barriers
static _Atomic int32_t nworking;      // threads inside rt_mark_some
static uint32_t marking;              // rt_mark_start, how many times; changes with the world stopped

// The span queue, a ring. head and tail only grow. A slot holds page + 1 and above it the low half of the
// position it was written for: a reader at that position sees whether its pusher has been there yet, and
// that the value is not one of an earlier round. At most as many spans are in the queue as it has slots,
// so tail - head does not exceed that, and nobody writes a slot that is still to be read: not before the
// head has moved past it, which happens after it was read.
static struct {
	_Atomic uint64_t *slot;
	uint32_t mask;
	size_t mapped; // bytes
	_Atomic uint64_t head RT_HOT_LINE;
	_Atomic uint64_t tail RT_HOT_LINE;
} queue;

static void
queue_reset(size_t nspans)
{
	size_t n = 1024;
	while (n < nspans)
		n *= 2;
	if (n * sizeof *queue.slot > queue.mapped) {
		size_t had = queue.mapped;
		if (queue.slot)
			rt_os_free(queue.slot, had);
		queue.mapped = n * sizeof *queue.slot;
		queue.slot = rt_sys_alloc(queue.mapped);
		atomic_fetch_add_explicit(&rt_sys_stats.gc, queue.mapped - had, memory_order_relaxed);
	}
	queue.mask = (uint32_t)(n - 1);
}

static void
queue_push(uint32_t page)
{
	uint64_t at = atomic_fetch_add_explicit(&queue.tail, 1, memory_order_relaxed);
	// release: the popper sees the mark bits that made the span worth queueing.
	rt_store_release(&queue.slot[at & queue.mask], at << 32 | (page + 1));
}

// RT_NO_PAGE when empty.
static uint32_t
queue_pop(void)
{
	enum { SPINS = 100 };
	for (int spins = 0;; spins++) {
		uint64_t head = rt_load(&queue.head);
		if (head >= rt_load_acquire(&queue.tail))
			return RT_NO_PAGE;
		uint64_t v = rt_load_acquire(&queue.slot[head & queue.mask]);
		if (v >> 32 == (uint32_t)head && (uint32_t)v != 0) {
			// acq_rel: the slot was read before the head moves.
			if (atomic_compare_exchange_strong_explicit(&queue.head, &head, head + 1,
								    memory_order_acq_rel,
								    memory_order_relaxed))
				return (uint32_t)v - 1;
		} else if (spins < SPINS) {
			rt_cpu_relax(); // its pusher is between fetch_add and store
		} else {
			rt_os_yield();
		}
	}
}

static bool
queue_empty(void)
{
	return rt_load(&queue.head) >= rt_load_acquire(&queue.tail);
}

// ---- workers' state ----

// No thread but the one that has pp marks, shades or allocates. A P beyond GOMAXPROCS may be at work until its
// thread has retired it; none comes to life without a stop, before which rt_mark_some returns.
static bool
only_p(const struct p *pp)
{
	for (int32_t i = 0; i < nallp; i++)
		if (allp[i] != pp && rt_load_acquire(&allp[i]->status) != Pdead)
			return false;
	return true;
}

struct gcwork *
rt_gcwork(struct p *pp)
{
	if (rt_unlikely(!pp->gcw)) {
		struct gcwork *w = rt_persistent_alloc(sizeof *w, 64, &rt_sys_stats.gc);
		w->pp = pp;
		pp->gcw = w;
	}
	struct gcwork *w = pp->gcw;
	w->base = rt_heap.base;
	w->grown = rt_load(&rt_heap.grown);
	w->info = rt_heap.info;
	w->g.alone = rt_world_stopped() || only_p(pp);
	if (rt_unlikely(w->marking != marking)) { // also of a P that was not there when marking began
		w->marking = marking;
		w->g.bytes = 0;
		w->scanned = 0;
		memset(w->seen, 0, sizeof w->seen);
	}
	return w;
}

void
rt_mark_start(void)
{
	queue_reset(rt_load(&rt_heap.pagesinuse) + 1);
	rt_store(&shaded_bytes, 0);
	marking++;
}

uint64_t
rt_mark_bytes(void)
{
	uint64_t sum = rt_load(&shaded_bytes);
	for (int32_t i = 0; i < nallp; i++)
		sum += rt_gcwork(allp[i])->g.bytes;
	return sum;
}

bool
rt_mark_available(void)
{
	return !queue_empty() || rt_roots_left();
}

bool
rt_mark_complete(void)
{
	// nworking last: a worker that had something is seen at work, or what it left in the queue is.
	return atomic_load(&nworking) == 0 && !rt_mark_available();
}

// ---- setting bits ----

RT_INLINE _Atomic uint64_t *
mark_bits(struct pageinfo *pi)
{
	return pi->nelems <= RT_INLINE_SLOTS
		       ? pi->mark
		       : (_Atomic uint64_t *)(rt_heap.marktab + (size_t)pi->base * RT_BITS_STRIDE);
}

RT_INLINE _Atomic uint64_t *
scan_bits(struct pageinfo *pi)
{
	return pi->nelems <= RT_INLINE_SLOTS
		       ? pi->scan
		       : (_Atomic uint64_t *)(rt_heap.scantab + (size_t)pi->base * RT_BITS_STRIDE);
}

RT_INLINE void
enqueue(struct pageinfo *pi)
{
	if (atomic_exchange(&pi->queued, 1) == 0)
		queue_push(pi->base);
}

RT_INLINE uint64_t
or_bits(const struct greyer *g, _Atomic uint64_t *p, uint64_t bits)
{
	if (!g->alone)
		return atomic_fetch_or(p, bits); // seq_cst: see grey_slot
	uint64_t old = rt_load(p);
	rt_store(p, old | bits);
	return old;
}

RT_INLINE void
grey_slot(struct greyer *g, struct pageinfo *pi, uint32_t i)
{
	_Atomic uint64_t *word = &mark_bits(pi)[i / 64];
	uint64_t bit = 1ull << (i % 64);
	if ((rt_load(word) & bit) || (or_bits(g, word, bit) & bit))
		return;
	g->bytes += pi->elemsize;
	// A visitor clears queued before it looks at the mark bits for the last time, so either that look
	// finds our bit or we see 0 here and queue another visit. seq_cst, like or_bits: a store before a
	// load, here and there.
	if (!pi->noscan && !atomic_load(&pi->queued))
		enqueue(pi);
}

// Greys the slot that holds heap offset off, if there is one.
RT_INLINE void
grey_offset(struct greyer *g, struct pageinfo *info, size_t off)
{
	size_t page = off >> RT_PAGE_SHIFT;
	struct pageinfo *pi = &info[page];
	uint32_t base = __atomic_load_n(&pi->base, __ATOMIC_RELAXED);
	if (base != page)
		pi = &info[base];
	size_t o = off - ((size_t)base << RT_PAGE_SHIFT);
	// acquire: pairs with init_span's release; the fields below are that span's.
	if (!__atomic_load_n(&pi->inuse, __ATOMIC_ACQUIRE) || o >= pi->elemsize * pi->nelems)
		return; // a free page, or the unused tail of a span
	grey_slot(g, pi, (uint32_t)((o * pi->divmul) >> 32));
}

void
rt_shade_pointer(uintptr_t p)
{
	size_t off = p - rt_heap.base;
	if (off >= rt_load(&rt_heap.grown))
		return;
	struct greyer g = {0};
	grey_offset(&g, rt_heap.info, off);
	if (g.bytes)
		atomic_fetch_add_explicit(&shaded_bytes, g.bytes, memory_order_relaxed);
}

// ---- the delay line ----

RT_INLINE void
push(struct gcwork *w, size_t off)
{
	__builtin_prefetch(&w->info[off >> RT_PAGE_SHIFT], 1);
	size_t *slot = &w->line[w->pos++ % DELAY];
	size_t old = *slot;
	*slot = off + 1;
	if (old)
		grey_offset(&w->g, w->info, old - 1);
}

static void
flush_line(struct gcwork *w)
{
	for (unsigned i = 0; i < DELAY; i++) {
		size_t *slot = &w->line[w->pos++ % DELAY];
		size_t old = *slot;
		*slot = 0;
		if (old)
			grey_offset(&w->g, w->info, old - 1);
	}
}

// ---- scanning ----

// The span that is being visited; for objects that are scanned by themselves, one of no bytes.
struct visit {
	size_t off, bytes; // of the slots, from the heap's base
	uint64_t divmul;
};

// Word loads race with the mutator's stores by design; each is one aligned load. Under sanitizers it is a
// call, or it would be theirs to check wherever it is inlined.
#if RT_ASAN || RT_TSAN
NO_SANITIZE static RT_NOINLINE uintptr_t
#else
RT_INLINE uintptr_t
#endif
load_word(uintptr_t at)
{
	return *(const volatile uintptr_t *)at;
}

RT_INLINE void
follow(struct gcwork *w, struct visit v, uint32_t *pending, uintptr_t p)
{
	size_t off = p - w->base;
	if (off >= w->grown)
		return;
	if (off - v.off >= v.bytes) {
		push(w, off);
		return;
	}
	uint32_t i = (uint32_t)(((off - v.off) * v.divmul) >> 32), k = i / 64;
	uint64_t bit = 1ull << (i % 64);
	if (w->known[k] & bit)
		return;
	__builtin_prefetch((const void *)p);
	w->known[k] |= bit;
	w->grey[k] |= bit;
	*pending |= 1u << k;
}

NO_SANITIZE RT_INLINE void
scan_words(struct gcwork *w, struct visit v, uint32_t *pending, uintptr_t lo, uintptr_t hi)
{
	for (; lo < hi; lo += sizeof(uintptr_t))
		follow(w, v, pending, load_word(lo));
}

// As many t's as fit into [lo, hi).
NO_SANITIZE RT_INLINE void
scan_typed(struct gcwork *w, struct visit v, uint32_t *pending, uintptr_t lo, uintptr_t hi,
	   const gort_type *t)
{
	for (; lo + t->size <= hi; lo += t->size)
		for (uint32_t i = 0; i < t->nptrs; i++)
			follow(w, v, pending, load_word(lo + t->ptrs[i]));
}

NO_SANITIZE static void
scan_range(struct gcwork *w, uintptr_t lo, uintptr_t hi, const gort_type *t)
{
	uint32_t none;
	if (t)
		scan_typed(w, (struct visit){0}, &none, lo, hi, t);
	else
		scan_words(w, (struct visit){0}, &none, lo, hi);
}

// One oblet; scan[1] is the offset of the next (a large object has no other use for it).
static void
scan_large(struct gcwork *w, struct pageinfo *pi)
{
	struct mspan *s = pi->span;
	const gort_type *t = s->type;
	size_t step = OBLET;
	if (t)
		step = t->size >= OBLET ? t->size : OBLET / t->size * t->size;
	uint64_t at = atomic_fetch_add_explicit(&pi->scan[1], step, memory_order_relaxed);
	if (at >= s->elemsize)
		return;
	if (at + step < s->elemsize)
		queue_push(pi->base);
	uintptr_t lo = s->base + at, hi = rt_min(lo + step, s->limit);
	w->scanned += (int64_t)(hi - lo);
	scan_range(w, lo, hi, t);
}

void
rt_mark_pointer(struct gcwork *w, uintptr_t p)
{
	size_t off = p - w->base;
	if (off < w->grown)
		push(w, off);
}

void
rt_mark_fields(struct gcwork *w, const struct mspan *s, uintptr_t obj)
{
	if (!s->info->noscan)
		scan_range(w, obj, obj + s->elemsize,
			   s->divmul ? rt_spanclasses[s->spanclass].type : s->type);
}

// For words that may be stale, as roots are: slots that are free are left alone.
RT_INLINE void
keep_slot(struct gcwork *w, const struct mspan *s, uint32_t i)
{
	if (rt_span_allocated(s, i))
		grey_slot(&w->g, s->info, i);
}

// As scan_range, for an object that may be being cleared for its first use: its words may be stale.
NO_SANITIZE static void
scan_unsure(struct gcwork *w, uintptr_t lo, uintptr_t hi, const gort_type *t)
{
	static const uint32_t first = 0;
	size_t step = t ? t->size : sizeof(uintptr_t);
	const uint32_t *ptrs = t ? t->ptrs : &first;
	for (uint32_t n = t ? t->nptrs : 1; lo + step <= hi; lo += step)
		for (uint32_t i = 0; i < n; i++) {
			uintptr_t p = load_word(lo + ptrs[i]);
			const struct mspan *s = rt_spanof(p);
			if (s)
				keep_slot(w, s, rt_span_index(s, p));
		}
}

// The part of a marked large object that lies in [lo, hi), whole elements.
static void
rescan_large(struct gcwork *w, const struct mspan *s, uintptr_t lo, uintptr_t hi)
{
	if (!(rt_load(&s->mark[0]) & 1))
		return;
	size_t step = s->type ? s->type->size : sizeof(uintptr_t);
	lo = s->base + (lo - s->base) / step * step;
	hi = s->base + (hi - s->base + step - 1) / step * step;
	hi = rt_min(hi, s->limit);
	if (rt_world_stopped())
		scan_range(w, lo, hi, s->type);
	else
		scan_unsure(w, lo, hi, s->type); // cleared in rt_safely
}

// A slot that is allocated by the span's own record has been cleared: it left the cache with its neighbours,
// or the cache was flushed.
static void
rescan_small(struct gcwork *w, const struct mspan *s, uintptr_t lo, uintptr_t hi)
{
	const gort_type *t = rt_spanclasses[s->spanclass].type;
	uint32_t i = rt_span_index(s, lo);
	for (uintptr_t at; i < s->nelems && (at = s->base + i * s->elemsize) < hi; i++)
		if (rt_span_allocated(s, i) && rt_load(&s->mark[i / 64]) >> (i % 64) & 1)
			scan_range(w, at, at + s->elemsize, t);
}

void
rt_mark_written(struct gcwork *w, uintptr_t lo, uintptr_t hi)
{
	while (lo < hi) {
		const struct mspan *s = rt_spanof(lo);
		uintptr_t next = rt_round_down(lo, RT_PAGE_SIZE) + RT_PAGE_SIZE;
		if (s) {
			next = s->base + ((uintptr_t)s->npages << RT_PAGE_SHIFT);
			uintptr_t end = rt_min(hi, s->limit);
			w->scanned += (int64_t)(rt_max(end, lo) - lo);
			if (s->info->noscan)
				;
			else if (s->divmul)
				rescan_small(w, s, lo, end);
			else
				rescan_large(w, s, lo, end);
		}
		lo = next;
	}
}

// The span's grey objects; which words have any.
static uint32_t
find_grey(struct gcwork *w, const _Atomic uint64_t *mark, const _Atomic uint64_t *scan, uint32_t nwords)
{
	uint32_t pending = 0;
	for (uint32_t k = 0; k < nwords; k++) {
		uint64_t m = atomic_load(&mark[k]);
		w->known[k] = m;
		w->grey[k] = m & ~rt_load(&scan[k]);
		w->took[k] = 0;
		pending |= (uint32_t)(w->grey[k] != 0) << k;
	}
	return pending;
}

// Scans word k's grey objects. Which words have grey ones now is added to pending.
NO_SANITIZE RT_INLINE uint32_t
scan_grey(struct gcwork *w, struct visit v, uint32_t k, size_t size, const gort_type *t, uint32_t pending)
{
	uint64_t grey = w->grey[k], ahead = grey;
	uintptr_t base = w->base + v.off + k * 64 * size;
	w->grey[k] = 0;
	w->took[k] |= grey;
	for (int i = 0; i < AHEAD && ahead; i++, ahead &= ahead - 1)
		__builtin_prefetch((const void *)(base + (unsigned)__builtin_ctzll(ahead) * size));
	for (; grey; grey &= grey - 1) {
		if (ahead) {
			__builtin_prefetch(
				(const void *)(base + (unsigned)__builtin_ctzll(ahead) * size));
			ahead &= ahead - 1;
		}
		uintptr_t obj = base + (unsigned)__builtin_ctzll(grey) * size;
		if (t)
			scan_typed(w, v, &pending, obj, obj + size, t);
		else
			scan_words(w, v, &pending, obj, obj + size);
	}
	return pending;
}

// Until nothing in the span is grey, as far as this visit knows. From above: what an object points to is
// mostly older and lies below.
NO_SANITIZE static void
scan_closure(struct gcwork *w, struct visit v, size_t size, const gort_type *t, uint32_t pending)
{
	while (pending) {
		uint32_t k = 31 - (uint32_t)__builtin_clz(pending);
		pending = scan_grey(w, v, k, size, t, pending ^ 1u << k);
	}
}

// What the visit has marked and scanned becomes known to all. Another may have marked some of it meanwhile:
// counted once.
static void
publish(struct gcwork *w, _Atomic uint64_t *mark, _Atomic uint64_t *scan, uint32_t nwords, size_t size)
{
	for (uint32_t k = 0; k < nwords; k++) {
		uint64_t took = w->took[k], found = took & ~rt_load(&mark[k]);
		if (!took)
			continue;
		if (found)
			w->g.bytes += size * (unsigned)__builtin_popcountll(
						     found & ~or_bits(&w->g, &mark[k], found));
		or_bits(&w->g, &scan[k], took);
		w->scanned += (int64_t)(size * (unsigned)__builtin_popcountll(took));
	}
}

static bool
any_grey(const _Atomic uint64_t *mark, const _Atomic uint64_t *scan, uint32_t nwords)
{
	uint64_t grey = 0;
	for (uint32_t k = 0; k < nwords; k++)
		grey |= atomic_load(&mark[k]) & ~rt_load(&scan[k]);
	return grey != 0;
}

NO_SANITIZE static void
scan_span(struct gcwork *w, uint32_t page)
{
	struct pageinfo *pi = &w->info[page];
	if (!pi->divmul) {
		atomic_store(&pi->queued, 0);
		scan_large(w, pi);
		return;
	}
	_Atomic uint64_t *mark = mark_bits(pi), *scan = scan_bits(pi);
	uint32_t nwords = (pi->nelems + 63u) / 64;
	struct visit v = {(size_t)page << RT_PAGE_SHIFT, pi->elemsize * pi->nelems, pi->divmul};
	uint32_t pending = find_grey(w, mark, scan, nwords);
	scan_closure(w, v, pi->elemsize, rt_spanclasses[pi->spanclass].type, pending);
	publish(w, mark, scan, nwords, pi->elemsize);
	atomic_exchange(&pi->queued, 0); // before the last look: see grey_slot
	if (any_grey(mark, scan, nwords))
		enqueue(pi);
}

// ---- marking for a while ----

// Gives a sleeping P its share of a long queue, or of the roots.
static void
share(void)
{
	if (rt_load(&queue.tail) - rt_load(&queue.head) >= LENGTH_TO_SHARE || rt_roots_left())
		rt_wakep();
}

static bool
must_end(struct gcwork *w, const struct mark_limit *lim, int64_t limit, uint32_t n)
{
	if (w->scanned >= limit || rt_load(&sched.gcwaiting))
		return true;
	if (n % 8 == 0 && lim->enough && lim->enough(w->pp))
		return true;
	return n % 32 == 0 && lim->deadline != INT64_MAX && rt_nanotime() >= lim->deadline;
}

static bool
mark_one(struct gcwork *w)
{
	uint32_t page = queue_pop();
	if (page == RT_NO_PAGE) {
		if (rt_roots_scan_some(w))
			return true;
		flush_line(w);
		page = queue_pop();
		if (page == RT_NO_PAGE)
			return false;
	}
	scan_span(w, page);
	return true;
}

int64_t
rt_mark_some(struct gcwork *w, const struct mark_limit *lim)
{
	bool stopped = rt_world_stopped();
	int64_t start = w->scanned;
	int64_t limit = lim->work == INT64_MAX ? INT64_MAX : start + lim->work;
	// seq_cst: pairs with rt_mark_complete.
	atomic_fetch_add(&nworking, 1);
	for (uint32_t n = 1; mark_one(w); n++) {
		if (stopped)
			continue;
		if (must_end(w, lim, limit, n))
			break;
		if (n % WAKE_EVERY == 1)
			share();
	}
	flush_line(w);
	int64_t done = w->scanned - start;
	atomic_fetch_add_explicit(&rt_gc.scan_work, (uint64_t)done, memory_order_relaxed);
	atomic_fetch_sub(&nworking, 1);
	return done;
}

void
rt_mark_all_stopped(void)
{
	static const struct mark_limit none = {.work = INT64_MAX, .deadline = INT64_MAX};
	rt_mark_some(rt_gcwork(rt_getp()), &none);
}

// ---- roots ----

// The object at p and the one at p - 1.
static void
root_pointer(struct gcwork *w, uintptr_t p)
{
	const struct mspan *s = rt_spanof(p);
	if (s) {
		uint32_t i = rt_span_index(s, p);
		keep_slot(w, s, i);
		if (p != s->base + i * s->elemsize)
			return; // p - 1 is in the same
		if (i > 0) {
			keep_slot(w, s, i - 1);
			return;
		}
	}
	s = rt_spanof(p - 1);
	if (s)
		keep_slot(w, s, rt_span_index(s, p - 1));
}

// A word that was seen has done its work: what it points to is marked, or was free and will be black when it
// is allocated (rt_gc_span_cached).
RT_INLINE void
root_word(struct gcwork *w, uintptr_t p)
{
	uintptr_t *seen = &w->seen[p / sizeof(uintptr_t) % SEEN];
	if (*seen == p)
		return;
	*seen = p;
	root_pointer(w, p);
}

void
rt_mark_root_range(struct gcwork *w, uintptr_t lo, uintptr_t hi)
{
	uintptr_t found[RT_FOUND];
	lo = rt_round_up(lo, sizeof(uintptr_t));
	hi = rt_round_down(hi, sizeof(uintptr_t));
	while (lo < hi) {
		// A word of base + grown is one past the last byte.
		size_t n = rt_find_words(&lo, hi, w->base, w->grown, found);
		for (size_t i = 0; i < n; i++)
			root_word(w, found[i]);
	}
}
