// SPDX-License-Identifier: BSD-3-Clause
// sync.Map: two tables that share their entries.
//
//   gort_sync_map { mu, read, dirty }
//     read  -> readOnly { m: table, amended }      replaced as a whole, under mu; read without it
//     dirty -> table                               grows under mu; NULL, or has every entry of read that is
//                                                  not expunged, and those that read lacks (amended)
//   table: buckets of 7 { tags, entry[7] };     entry { key, p }
//
//   entry.p     a value   the key is present
//               nil       deleted; the entry is still in dirty too, if there is a dirty
//               expunged  deleted, and not in dirty: whoever stores must put one there first, under mu
//
//        delete                    left out of a dirty        store: back into dirty, under mu
//   value -----> nil,   nil      --------------------> expunged ---------------------------> nil -> value
//
// p is a pair of words, {type, value} as in a gort_any, that is read and compared and swapped as one: so a
// store and a delete of one key come one after the other without a lock, no value needs memory of its
// own, and a load that hits touches two lines, bucket and entry. (Go: a pointer to the value.) {0, 0}
// stands for nil; a value that is nil itself has a type of its own. expunged is set and cleared under mu
// only. That is what keeps the two tables together: an entry that is not expunged is in dirty.
//
// Without the lock. Whatever finds an entry works on its p. What does not find one in read looks, while
// amended, into dirty: that grows under mu only, an entry appears before its tag, a larger table before
// it is pointed to, so a search sees every key that was there when it began. What it finds may have been
// left out of dirty meanwhile; then it is expunged, and nobody can store to it. mu is taken to add an
// entry. (Go takes it for every look at dirty.)
//
// Misses. When as many loads had to look into dirty as that has entries, dirty becomes read: the next new
// key then makes another dirty, a copy. The count is not exact, as nobody waits for another with it.
//
// Deleted keys keep their entries, since they often come back, until they outnumber the others three to one
// when a dirty is made (Go: they are always left out of it), or dirty is full and read lacks them.
//
// Tables. A bucket is one cache line: a word of 7 tags and 7 entries. A key belongs into the bucket that its
// hash names or, when that is full, the next ones; a search ends at the first bucket with a free place.
// Nothing is ever taken out of a table; a new one is made.
//
// Collector. Code here runs at depth 0 and may be stopped anywhere: pointers are replaced by the barriered
// operations of gort/atomic.h and cas below. The top byte of a word of tags is 0xff: none looks like an
// address.
//
// Go: the sync.Map of up to Go 1.23 (sync/map.go) is this one; later ones are a hash trie.
#include <gort/sync.h>

#include <gort/atomic.h>
#include <gort/mem.h>

#include "base/base.h"
#include "data/alg.h"
#include "data/iface.h"
#include "gc/barrier.h"
#include "mem/malloc.h"
#include "sched/tls.h"

struct pair {
	const gort_type *type;
	void *value;
} RT_ALIGNED(16);

struct entry {
	gort_any key;
	struct pair p;
};

#define PLACES 7u
enum { FREE = 0 };

struct bucket {
	uint64_t tags; // a byte for each place; the top one is 0xff
	struct entry *entry[PLACES];
};

// Every search reads the first line, additions and misses write the second.
struct table {
	size_t mask; // of buckets
	uint64_t pad[7];
	size_t count;  // entries; under mu
	size_t misses; // loads that had to look here, while this is dirty
	uint64_t pad2[6];
	struct bucket bucket[];
};

static_assert(sizeof(struct bucket) == 64 && offsetof(struct table, count) == 64 &&
		      offsetof(struct table, bucket) == 128, "lines");

struct readOnly {
	struct table *m; // NULL: empty
	bool amended;	 // dirty has a key that m lacks
};

static const gort_type expunged_type, nil_value_type;
static const struct pair nil, expunged = {.type = &expunged_type};
static const struct readOnly no_read;
static bool have_avx;

__attribute__((constructor)) static void
look_at_cpu(void)
{
	have_avx = rt_cpu_has_avx();
}

// ---- memory ----

static void *
alloc(size_t n)
{
	rt_enter();
	void *p = rt_mallocgc(n, NULL);
	rt_leave();
	return p;
}

// Room for count entries: at most three quarters of the places are used.
static struct table *
new_table(size_t count)
{
	size_t n = 1;
	while (n * PLACES / 4 * 3 < count)
		n *= 2;
	struct table *t = alloc(sizeof(*t) + n * sizeof(t->bucket[0]));
	t->mask = n - 1;
	for (size_t i = 0; i < n; i++)
		t->bucket[i].tags = 0xffull << 56;
	return t;
}

// ---- tables ----

// The same key, word by word. gcc puts both words of an argument into one vector register by way of the
// stack, two narrow stores and a wide load: that waits until the stores are in the cache, and with them
// everything before, the misses of the last lookup too.
RT_INLINE gort_any
in_words(gort_any key)
{
	__asm__("" : "+r"(key.type), "+r"(key.value));
	return key;
}

RT_INLINE uint64_t
hash_of(gort_any key)
{
	if (rt_likely(key.type &&
		      (key.type->kind == GORT_KIND_POINTER ||
		       (key.type->kind == GORT_KIND_INT && key.type->size <= sizeof(void *)))))
		return rt_hash64((uint64_t)(uintptr_t)key.value, key.type->hash);
	return rt_any_hash(key, 0);
}

RT_INLINE uint64_t
tag_of(uint64_t hash)
{
	uint64_t tag = hash >> 57; // 7 bits: never the 0xff on top
	return tag == FREE ? 1 : tag;
}

// The top bit of each byte of tags that is tag, and maybe of ones above such a byte. Of FREE and of tags
// in use only: exact for the lowest.
RT_INLINE uint64_t
match(uint64_t tags, uint64_t tag)
{
	uint64_t x = tags ^ tag * 0x0101010101010101u;
	return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

RT_INLINE unsigned
place_of(uint64_t match)
{
	return (unsigned)__builtin_ctzll(match) / 8;
}

RT_INLINE struct entry *
find(struct table *t, gort_any key, uint64_t hash)
{
	if (rt_unlikely(!t))
		return NULL;
	for (size_t i = hash & t->mask;; i = (i + 1) & t->mask) {
		struct bucket *b = &t->bucket[i];
		// Acquire: pairs with the release in put; the entry is there.
		uint64_t tags = __atomic_load_n(&b->tags, __ATOMIC_ACQUIRE);
		for (uint64_t m = match(tags, tag_of(hash)); m; m &= m - 1) {
			struct entry *e = __atomic_load_n(&b->entry[place_of(m)], __ATOMIC_RELAXED);
			if (rt_likely(e && rt_any_equal(e->key, key)))
				return e;
		}
		if (match(tags, FREE))
			return NULL;
	}
}

// e is not in t, and t has room. Its place was free: no barrier.
static void
put(struct table *t, struct entry *e, uint64_t hash)
{
	uint64_t m;
	size_t i = hash & t->mask;
	while (!(m = match(t->bucket[i].tags, FREE)))
		i = (i + 1) & t->mask;
	struct bucket *b = &t->bucket[i];
	unsigned place = place_of(m);
	__atomic_store_n(&b->entry[place], e, __ATOMIC_RELAXED);
	__atomic_store_n(&b->tags, b->tags | tag_of(hash) << place * 8, __ATOMIC_RELEASE);
	__atomic_store_n(&t->count, t->count + 1, __ATOMIC_RELAXED); // miss reads it
}

static bool
has_room(const struct table *t)
{
	return t->count < (t->mask + 1) * PLACES / 4 * 3;
}

// Calls for each entry e of t.
#define EACH_ENTRY(t, e, body)                                                                     \
	for (size_t b_ = 0; (t) && b_ <= (t)->mask; b_++)                                          \
		for (unsigned p_ = 0; p_ < PLACES; p_++) {                                         \
			struct entry *e =                                                          \
				__atomic_load_n(&(t)->bucket[b_].entry[p_], __ATOMIC_RELAXED);     \
			if (e)                                                                     \
				body;                                                              \
		}

// ---- pairs ----

#if RT_ASAN || RT_TSAN
// In view of the sanitizers.
#define PAIR_BY_CALL 1
#else
#define PAIR_BY_CALL 0
#endif

union pair_bits {
	struct pair p;
	uint64_t w[2];
	unsigned __int128 bits;
};

#if defined(__x86_64__)
__attribute__((target("cx16")))
#endif
static RT_NOINLINE unsigned __int128
cas_bits(struct pair *at, unsigned __int128 old, unsigned __int128 new)
{
	return __sync_val_compare_and_swap((unsigned __int128 *)at, old, new);
}

RT_INLINE struct pair
load(struct entry *e)
{
	union pair_bits v;
	if (PAIR_BY_CALL)
		v.bits = cas_bits(&e->p, 0, 0);
	else
		rt_load16(&e->p, v.w, have_avx);
	return v.p;
}

// While marking runs: inside the runtime, where no stop falls between the two steps.
static RT_NOINLINE bool
cas_shading(struct entry *e, struct pair old, struct pair new)
{
	union pair_bits o = {.p = old}, n = {.p = new};
	rt_enter();
	bool done = cas_bits(&e->p, o.bits, n.bits) == o.bits;
	if (done && rt_barrier_on())
		rt_shade(old.value);
	rt_leave();
	return done;
}

RT_INLINE bool
cas(struct entry *e, struct pair old, struct pair new)
{
#if !PAIR_BY_CALL
	RT_CAS16_UNLESS(&gort_write_barrier_on, &e->p, (uintptr_t)old.type, (uintptr_t)old.value,
			(uintptr_t) new.type, (uintptr_t) new.value, marking, failed);
	return true;
failed:
	return false;
marking:
#endif
	return cas_shading(e, old, new);
}

RT_INLINE struct pair
pair_of(gort_any v)
{
	return (struct pair){v.type ? v.type : &nil_value_type, v.value};
}

RT_INLINE bool
is_value(struct pair p)
{
	return p.type && p.type != &expunged_type;
}

// nil where there is no value.
RT_INLINE gort_any
any_of(struct pair p)
{
	if (!is_value(p) || p.type == &nil_value_type)
		return (gort_any){0};
	return (gort_any){p.type, p.value};
}

// What an operation on a pair reports: whether there was a value, and which.
RT_INLINE bool
report(struct pair p, gort_any *value)
{
	if (value)
		*value = any_of(p);
	return is_value(p);
}

// ---- entries ----

static struct entry *
new_entry(gort_any key, gort_any value)
{
	struct entry *e = alloc(sizeof(*e));
	e->key = key;
	e->p = pair_of(value); // fresh: no barrier
	return e;
}

// Stores value unless e is expunged; *previous: what was there.
RT_INLINE bool
try_swap(struct entry *e, gort_any value, struct pair *previous)
{
	do {
		*previous = load(e);
		if (previous->type == &expunged_type)
			return false;
	} while (!cas(e, *previous, pair_of(value)));
	return true;
}

// Under mu. Whether it was expunged: then it must go back into dirty.
static bool
unexpunge_locked(struct entry *e)
{
	return load(e).type == &expunged_type && cas(e, expunged, nil);
}

// Under mu. Whether e is expunged afterwards, as it held nothing.
static bool
try_expunge_locked(struct entry *e)
{
	for (;;) {
		struct pair p = load(e);
		if (p.type)
			return p.type == &expunged_type;
		if (cas(e, nil, expunged))
			return true;
	}
}

static bool
delete_entry(struct entry *e, gort_any *value)
{
	struct pair p;
	do
		p = load(e);
	while (is_value(p) && !cas(e, p, nil));
	return report(p, value);
}

// Whether e held old and now holds new.
static bool
compare_and_swap_entry(struct entry *e, gort_any old, struct pair new)
{
	struct pair p;
	do {
		p = load(e);
		if (!is_value(p) || !rt_any_equal(any_of(p), old))
			return false;
	} while (!cas(e, p, new));
	return true;
}

// ---- the map ----

RT_INLINE const struct readOnly *
load_read(gort_sync_map *m)
{
	// Acquire: pairs with the exchange in set_read; the table is complete.
	const struct readOnly *read = __atomic_load_n(&m->read, __ATOMIC_ACQUIRE);
	return read ? read : &no_read;
}

static void
set_pointer(void **at, void *p)
{
	gort_atomic_ptr_store((gort_atomic_ptr *)at, p);
}

static void
set_read(gort_sync_map *m, struct table *t, bool amended)
{
	struct readOnly *read = alloc(sizeof(*read));
	read->m = t;
	read->amended = amended;
	set_pointer(&m->read, read);
}

// Under mu: dirty becomes read. In this order: who finds no dirty looks at read again.
static void
promote_locked(gort_sync_map *m)
{
	set_read(m, m->dirty, false);
	set_pointer(&m->dirty, NULL);
}

static void
miss(gort_sync_map *m, struct table *dirty)
{
	size_t n = __atomic_load_n(&dirty->misses, __ATOMIC_RELAXED) + 1;
	__atomic_store_n(&dirty->misses, n, __ATOMIC_RELAXED); // some get lost
	if (rt_likely(n < __atomic_load_n(&dirty->count, __ATOMIC_RELAXED)))
		return;
	gort_mutex_lock(&m->mu);
	if (m->dirty == dirty) // nobody else was first
		promote_locked(m);
	gort_mutex_unlock(&m->mu);
}

// key's entry; NULL if there is none.
RT_INLINE struct entry *
find_entry(gort_sync_map *m, gort_any key, uint64_t hash)
{
	for (;;) {
		const struct readOnly *read = load_read(m);
		struct entry *e = find(read->m, key, hash);
		if (rt_likely(e || !read->amended))
			return e;
		// Acquire: pairs with the exchange in set_pointer; the table is complete.
		struct table *dirty = __atomic_load_n(&m->dirty, __ATOMIC_ACQUIRE);
		if (rt_unlikely(!dirty))
			continue; // it has just become read
		e = find(dirty, key, hash);
		miss(m, dirty);
		return e;
	}
}

// Under mu. t's entries go into other, less those that hold nothing and can_drop allows to leave out.
static void
copy_locked(struct table *other, struct table *t,
	    bool (*can_drop)(struct entry *e, struct table *read), struct table *read)
{
	for (size_t i = 0; t && i <= t->mask; i++) {
		// Their lines are all over the place.
		for (unsigned p = 0; i < t->mask && p < PLACES; p++)
			__builtin_prefetch(t->bucket[i + 1].entry[p]);
		for (unsigned p = 0; p < PLACES; p++) {
			struct entry *e = t->bucket[i].entry[p];
			if (e && !(can_drop && can_drop(e, read) && try_expunge_locked(e)))
				put(other, e, hash_of(e->key));
		}
	}
}

static bool
any_can_go(struct entry *e, struct table *read)
{
	return true;
}

static bool
read_lacks(struct entry *e, struct table *read)
{
	return load(e).type == NULL && !find(read, e->key, hash_of(e->key));
}

static size_t
count_deleted(struct table *t)
{
	size_t n = 0;
	EACH_ENTRY(t, e, n += load(e).type == NULL);
	return n;
}

// Under mu: there is a dirty afterwards, and read says so.
static void
make_dirty_locked(gort_sync_map *m)
{
	struct table *t = load_read(m)->m;
	size_t count = t ? t->count : 0;
	size_t deleted = count_deleted(t);
	bool many = deleted > count / 4 * 3;
	size_t stay = many ? count - deleted : count;
	// Values may be stored to deleted keys meanwhile: room for all of them, if it comes to that.
	struct table *dirty = new_table(many ? count + 1 : stay + stay / 4 + 1);
	copy_locked(dirty, t, many ? any_can_go : NULL, NULL);
	set_pointer(&m->dirty, dirty);
	set_read(m, t, true);
}

// Under mu: adds e to dirty, which moves when it is full.
static void
add_locked(gort_sync_map *m, struct entry *e, uint64_t hash)
{
	if (!load_read(m)->amended)
		make_dirty_locked(m);
	struct table *dirty = m->dirty;
	if (!has_room(dirty)) {
		struct table *larger = new_table(dirty->count + dirty->count / 2 + 1);
		copy_locked(larger, dirty, read_lacks, load_read(m)->m);
		larger->misses = __atomic_load_n(&dirty->misses, __ATOMIC_RELAXED);
		set_pointer(&m->dirty, larger);
		dirty = larger;
	}
	put(dirty, e, hash);
}

// Under mu: key's entry, made able to hold a value: an expunged one goes back into dirty.
static struct entry *
entry_locked(gort_sync_map *m, gort_any key, uint64_t hash)
{
	struct entry *e = find(load_read(m)->m, key, hash);
	if (!e)
		return find(m->dirty, key, hash);
	if (unexpunge_locked(e))
		add_locked(m, e, hash);
	return e;
}

bool
gort_sync_map_load(gort_sync_map *m, gort_any key, gort_any *value)
{
	key = in_words(key);
	struct entry *e = find_entry(m, key, hash_of(key));
	if (rt_likely(e != NULL))
		return report(load(e), value);
	if (value)
		*value = (gort_any){0};
	return false;
}

// ---- stores ----

static RT_NOINLINE struct pair
swap_slow(gort_sync_map *m, gort_any key, uint64_t hash, gort_any value)
{
	struct pair previous = nil;
	gort_mutex_lock(&m->mu);
	struct entry *e = entry_locked(m, key, hash);
	if (e)
		try_swap(e, value, &previous); // not expunged, nor will it be: that takes mu
	else
		add_locked(m, new_entry(key, value), hash);
	gort_mutex_unlock(&m->mu);
	return previous;
}

RT_INLINE struct pair
swap(gort_sync_map *m, gort_any key, gort_any value)
{
	key = in_words(key);
	uint64_t hash = hash_of(key);
	struct pair previous;
	struct entry *e = find_entry(m, key, hash);
	if (rt_likely(e && try_swap(e, value, &previous)))
		return previous;
	return swap_slow(m, key, hash, value);
}

void
gort_sync_map_store(gort_sync_map *m, gort_any key, gort_any value)
{
	(void)swap(m, key, value);
}

bool
gort_sync_map_swap(gort_sync_map *m, gort_any key, gort_any value, gort_any *previous)
{
	return report(swap(m, key, value), previous);
}

enum { LOADED, STORED, EXPUNGED };

// Stores value in e if it holds nothing.
static int
try_load_or_store(struct entry *e, gort_any value, gort_any *actual)
{
	for (;;) {
		struct pair p = load(e);
		if (p.type == &expunged_type)
			return EXPUNGED;
		if (p.type) {
			*actual = any_of(p);
			return LOADED;
		}
		if (cas(e, nil, pair_of(value))) {
			*actual = value;
			return STORED;
		}
	}
}

static RT_NOINLINE bool
load_or_store_slow(gort_sync_map *m, gort_any key, uint64_t hash, gort_any value, gort_any *actual)
{
	int what = STORED;
	gort_mutex_lock(&m->mu);
	struct entry *e = entry_locked(m, key, hash);
	if (e) {
		what = try_load_or_store(e, value, actual);
	} else {
		add_locked(m, new_entry(key, value), hash);
		*actual = value;
	}
	gort_mutex_unlock(&m->mu);
	return what == LOADED;
}

bool
gort_sync_map_load_or_store(gort_sync_map *m, gort_any key, gort_any value, gort_any *actual)
{
	key = in_words(key);
	uint64_t hash = hash_of(key);
	gort_any unwanted;
	if (!actual)
		actual = &unwanted;
	struct entry *e = find_entry(m, key, hash);
	int what = e ? try_load_or_store(e, value, actual) : EXPUNGED;
	return what == EXPUNGED ? load_or_store_slow(m, key, hash, value, actual) : what == LOADED;
}

bool
gort_sync_map_compare_and_swap(gort_sync_map *m, gort_any key, gort_any old, gort_any new_value)
{
	key = in_words(key);
	struct entry *e = find_entry(m, key, hash_of(key));
	return e && compare_and_swap_entry(e, old, pair_of(new_value));
}

// ---- deletions ----

bool
gort_sync_map_load_and_delete(gort_sync_map *m, gort_any key, gort_any *value)
{
	key = in_words(key);
	struct entry *e = find_entry(m, key, hash_of(key));
	if (e)
		return delete_entry(e, value);
	if (value)
		*value = (gort_any){0};
	return false;
}

void
gort_sync_map_delete(gort_sync_map *m, gort_any key)
{
	gort_sync_map_load_and_delete(m, key, NULL);
}

bool
gort_sync_map_compare_and_delete(gort_sync_map *m, gort_any key, gort_any old)
{
	key = in_words(key);
	struct entry *e = find_entry(m, key, hash_of(key));
	return e && compare_and_swap_entry(e, old, nil);
}

// ---- all of it ----

static const struct readOnly *
read_all(gort_sync_map *m)
{
	const struct readOnly *read = load_read(m);
	if (!read->amended)
		return read;
	gort_mutex_lock(&m->mu);
	if (load_read(m)->amended)
		promote_locked(m);
	read = load_read(m);
	gort_mutex_unlock(&m->mu);
	return read;
}

void
gort_sync_map_range(gort_sync_map *m, bool (*fn)(gort_any key, gort_any value, void *arg),
		    void *arg)
{
	struct table *t = read_all(m)->m;
	EACH_ENTRY(t, e, {
		gort_any value;
		if (report(load(e), &value) && !fn(e->key, value, arg))
			return;
	});
}

void
gort_sync_map_clear(gort_sync_map *m)
{
	gort_mutex_lock(&m->mu);
	set_read(m, NULL, false);
	set_pointer(&m->dirty, NULL);
	gort_mutex_unlock(&m->mu);
}
