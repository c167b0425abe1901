// SPDX-License-Identifier: BSD-3-Clause
// The documented map: 2^B buckets of 8 entries, chained, growing bucket by bucket.
//
//	bmap    tophash[8] | 8 keys | 8 values | overflow
//
// An entry's bucket is the low B bits of its hash; the top byte is its tophash, raised by 5 where it
// would be one of the marks below. Keys apart from values, so that neither needs padding.
//
// Invariants, outside a call:
//   - within a chain, once a tophash is emptyRest all after it are
//   - count entries have tophash >= minTopHash in buckets that lookups reach
//   - while oldbuckets != NULL, each old bucket is either evacuated (its entries are in the new
//     buckets X and Y, its tophashes say where) or holds all of its entries; those below nevacuate
//     are evacuated
//   - entries of pointer-free maps are noscan memory: extra->overflow lists their overflow buckets
//
// Growth: to 2^(B+1) when the average passes 6.5 entries a bucket (more and chains get long: the
// load at which lookups, inserts and memory were balanced by those who chose it), or at the same size
// when there are as many overflow buckets as buckets, left by deletions. Each write evacuates its own
// old bucket and one more, so growth is over before the next can begin, and no write is long.
//
// The collector: evacuated old buckets are cleared, logged, unless an iterator may still read them.
// An entry is copied first, so at every instant each pointer is found in one place or the other.
//
// Concurrency check: hashWriting is set while a write is under way and is tested by everybody; plain
// words, as what is caught is a mistake of the program and need not always be.
//
// Go: runtime/map.go until 1.23.
#include <stdlib.h>
#include <string.h>

#include "data/map.h"
#include "debug/throw.h"

#define BUCKET_CNT 8

// tophash values that are no hash.
enum {
	emptyRest,      // free, and nothing behind it in the chain
	emptyOne,       // free
	evacuatedX,     // moved to the first half of the new buckets
	evacuatedY,     // moved to the second half
	evacuatedEmpty, // was free, the bucket is evacuated
	minTopHash,
};

enum {
	iterator = 1,     // somebody may iterate over buckets
	oldIterator = 2,  // over oldbuckets
	hashWriting = 4,
	sameSizeGrow = 8, // the growth under way keeps B
};

struct bmap {
	uint8_t tophash[BUCKET_CNT];
};

// Overflow buckets of pointer-free maps, for the collector; spare ones.
struct mapextra {
	gort_slice *overflow, *oldoverflow; // of struct bmap *; iterators share them
	struct bmap *nextOverflow; // next of the preallocated ones; the last has overflow != NULL
};

struct hmap {
	ptrdiff_t count; // entries; first: map.c reads it
	_Atomic uint8_t flags;
	uint8_t B;          // log2 of the number of buckets
	uint16_t noverflow; // overflow buckets, about (incrnoverflow)
	uint32_t hash0;     // seed
	void *buckets;      // 2^B; NULL while count is 0 and B is 0
	void *oldbuckets;   // the previous ones, while growing
	uintptr_t nevacuate; // old buckets below are evacuated
	struct mapextra *extra;
	const struct gort_maptype *t;
};
static_assert(offsetof(struct hmap, t) == offsetof(struct map_head, t), "map_head");
static_assert(offsetof(struct hmap, t) == 48, "the documented 48 bytes, then ours");
// Inlined lookups test the shape of any map: nevacuate has no bit 31 that would make it look like one.
static_assert(offsetof(struct hmap, nevacuate) == offsetof(struct gort_map_, state), "shape");

static const gort_type hmaptype = {
	.size = sizeof(struct hmap),
	.align = 8,
	.kind = GORT_KIND_STRUCT,
	.flags = GORT_TYPE_PRECISE,
	.nptrs = 3,
	.ptrs = (const uint32_t[]){offsetof(struct hmap, buckets), offsetof(struct hmap, oldbuckets),
				   offsetof(struct hmap, extra)},
	.name = "hmap"};
static const gort_type extratype = {
	.size = sizeof(struct mapextra),
	.align = 8,
	.kind = GORT_KIND_STRUCT,
	.flags = GORT_TYPE_PRECISE,
	.nptrs = 3,
	.ptrs = (const uint32_t[]){0, 8, 16},
	.name = "mapextra"};
static const gort_type slicetype = {.size = sizeof(gort_slice),
				    .align = 8,
				    .kind = GORT_KIND_SLICE,
				    .flags = GORT_TYPE_PRECISE,
				    .nptrs = 1,
				    .ptrs = (const uint32_t[]){0},
				    .name = "[]*bmap"};
static const gort_type bucketptrtype = {.size = sizeof(void *),
					.align = 8,
					.kind = GORT_KIND_POINTER,
					.flags = GORT_TYPE_PRECISE,
					.nptrs = 1,
					.ptrs = (const uint32_t[]){0},
					.name = "*bmap"};

// ---- small pieces ----

static inline uint8_t
getflags(const struct hmap *h)
{
	return rt_load(&h->flags);
}

static inline void
setflags(struct hmap *h, uint8_t set, uint8_t clear)
{
	rt_store(&h->flags, (uint8_t)((getflags(h) | set) & ~clear));
}

static inline bool
isempty(uint8_t top)
{
	return top <= emptyOne;
}

static inline uint8_t
tophash(uint64_t hash)
{
	uint8_t top = (uint8_t)(hash >> 56);
	return top < minTopHash ? (uint8_t)(top + minTopHash) : top;
}

static inline bool
evacuated(const struct bmap *b)
{
	return b->tophash[0] > emptyOne && b->tophash[0] < minTopHash;
}

static inline size_t
bucketmask(uint8_t B)
{
	return ((size_t)1 << B) - 1;
}

static inline bool
growing(const struct hmap *h)
{
	return h->oldbuckets != NULL;
}

static inline size_t
noldbuckets(const struct hmap *h)
{
	return (size_t)1 << (getflags(h) & sameSizeGrow ? h->B : h->B - 1);
}

static inline struct bmap *
bucket(const struct gort_maptype *t, const void *buckets, size_t i)
{
	return (struct bmap *)((uintptr_t)buckets + i * t->unitsize);
}

static inline struct bmap **
overflowslot(const struct gort_maptype *t, const struct bmap *b)
{
	return (struct bmap **)((uintptr_t)b + t->overflowoff);
}

static inline struct bmap *
overflow(const struct gort_maptype *t, const struct bmap *b)
{
	return *overflowslot(t, b);
}

static inline void *
keyslot(const struct gort_maptype *t, const struct bmap *b, size_t i)
{
	return (void *)((uintptr_t)b + t->keyoff + i * t->keysize);
}

static inline void *
elemslot(const struct gort_maptype *t, const struct bmap *b, size_t i)
{
	return (void *)((uintptr_t)b + t->elemoff + i * t->elemsize);
}

static inline void *
keyat(const struct gort_maptype *t, const struct bmap *b, size_t i)
{
	void *k = keyslot(t, b, i);
	return t->indirectkey ? *(void **)k : k;
}

static inline void *
elemat(const struct gort_maptype *t, const struct bmap *b, size_t i)
{
	void *e = elemslot(t, b, i);
	return t->indirectelem ? *(void **)e : e;
}

static bool
overloadfactor(ptrdiff_t count, uint8_t B)
{
	return count > BUCKET_CNT && (size_t)count > 13 * (((size_t)1 << B) / 2);
}

static bool
toomanyoverflowbuckets(uint16_t noverflow, uint8_t B)
{
	return noverflow >= (uint16_t)1 << rt_min(B, 15);
}

_Noreturn static RT_COLD void
concurrent_writes(void)
{
	rt_fatal("concurrent map writes");
}

// ---- buckets ----

static struct mapextra *
extra(struct hmap *h)
{
	if (!h->extra)
		rt_map_setptr(&h->extra, rt_map_new(sizeof(struct mapextra), &extratype));
	return h->extra;
}

static void
createoverflow(struct hmap *h)
{
	struct mapextra *x = extra(h);
	if (!x->overflow)
		rt_map_setptr(&x->overflow, rt_map_new(sizeof(gort_slice), &slicetype));
}

// From B = 4 on the array has room for overflow buckets: a sixteenth, and what its size class gives.
static void *
makebucketarray(const struct gort_maptype *t, uint8_t B, struct bmap **next)
{
	size_t base = (size_t)1 << B, n = base, bytes;
	*next = NULL;
	if (B >= 4)
		n += (size_t)1 << (B - 4);
	if (!rt_array_size(t->unitsize, (ptrdiff_t)n, &bytes))
		rt_panic("runtime error: makemap: size out of range");
	if (B >= 4)
		n = rt_round_size(bytes, t->noscan) / t->unitsize;
	void *buckets = rt_map_new(n * t->unitsize, t->unit);
	if (n != base) {
		*next = bucket(t, buckets, base);
		*overflowslot(t, bucket(t, buckets, n - 1)) = buckets; // not NULL: the last one
	}
	return buckets;
}

// Exact below B = 16; above, counted with a chance of 2^(15-B) so that 16 bits do.
static void
incrnoverflow(struct hmap *h)
{
	if (h->B < 16 || (rt_map_random() & bucketmask(h->B - 15)) == 0)
		h->noverflow++;
}

static struct bmap *
newoverflow(const struct gort_maptype *t, struct hmap *h, struct bmap *b)
{
	struct bmap *ovf;
	if (h->extra && h->extra->nextOverflow) {
		ovf = h->extra->nextOverflow;
		// It stays inside h's bucket array: nothing to log.
		if (!overflow(t, ovf)) {
			h->extra->nextOverflow = bucket(t, ovf, 1);
		} else {
			*overflowslot(t, ovf) = NULL;
			h->extra->nextOverflow = NULL;
		}
	} else {
		ovf = rt_map_new(t->unitsize, t->unit);
	}
	incrnoverflow(h);
	if (t->noscan) {
		createoverflow(h);
		gort_slice *all = h->extra->overflow;
		gort_slice grown = gort_append_(&bucketptrtype, *all, &ovf, 1);
		rt_map_setptr(&all->array, grown.array);
		all->len = grown.len;
		all->cap = grown.cap;
	}
	*overflowslot(t, b) = ovf;
	return ovf;
}

// ---- growth ----

static void
hashgrow(const struct gort_maptype *t, struct hmap *h)
{
	uint8_t bigger = overloadfactor(h->count + 1, h->B);
	struct bmap *next;
	void *buckets = makebucketarray(t, h->B + bigger, &next);
	uint8_t f = getflags(h);
	setflags(h, (bigger ? 0 : sameSizeGrow) | (f & iterator ? oldIterator : 0),
		 iterator | (f & iterator ? 0 : oldIterator));
	h->B += bigger;
	rt_map_setptr(&h->oldbuckets, h->buckets);
	rt_map_setptr(&h->buckets, buckets);
	h->nevacuate = 0;
	h->noverflow = 0;
	if (h->extra && h->extra->overflow) {
		rt_map_setptr(&h->extra->oldoverflow, h->extra->overflow);
		rt_map_setptr(&h->extra->overflow, NULL);
	}
	if (next)
		rt_map_setptr(&extra(h)->nextOverflow, next);
}

static void
advanceevacuationmark(const struct gort_maptype *t, struct hmap *h)
{
	size_t n = noldbuckets(h);
	h->nevacuate++;
	// At most 1024 at once, so that a write stays short.
	size_t stop = rt_min(h->nevacuate + 1024, n);
	while (h->nevacuate != stop && evacuated(bucket(t, h->oldbuckets, h->nevacuate)))
		h->nevacuate++;
	if (h->nevacuate != n)
		return;
	rt_map_setptr(&h->oldbuckets, NULL);
	if (h->extra)
		rt_map_setptr(&h->extra->oldoverflow, NULL);
	setflags(h, 0, sameSizeGrow);
}

// Where evacuated entries go: the next free slot of a chain.
struct evacdst {
	struct bmap *b;
	size_t i;
};

static void
evacuate_entry(const struct gort_maptype *t, struct hmap *h, struct evacdst *dst,
	       const struct bmap *b, size_t i, uint8_t top)
{
	if (dst->i == BUCKET_CNT) {
		dst->b = newoverflow(t, h, dst->b);
		dst->i = 0;
	}
	memcpy(keyslot(t, dst->b, dst->i), keyslot(t, b, i), t->keysize);
	memcpy(elemslot(t, dst->b, dst->i), elemslot(t, b, i), t->elemsize);
	dst->b->tophash[dst->i++] = top;
}

// X (0) or Y (1). A key that is not equal to itself hashes differently each time: its tophash decides,
// and iterators know that (gort_map_next); it gets a new one, so that such keys spread over growths.
static unsigned
evacuation_half(const struct gort_maptype *t, struct hmap *h, void *key, size_t newbit,
		uint8_t *top)
{
	uint64_t hash = rt_map_hash(t, t->keyclass, key, h->hash0);
	if (!t->reflexivekey && getflags(h) & (iterator | oldIterator) && !t->equal(t, key, key)) {
		unsigned half = *top & 1;
		*top = tophash(hash);
		return half;
	}
	return (hash & newbit) != 0;
}

static void
evacuate(const struct gort_maptype *t, struct hmap *h, size_t oldbucket)
{
	struct bmap *first = bucket(t, h->oldbuckets, oldbucket);
	size_t newbit = noldbuckets(h);
	bool same = getflags(h) & sameSizeGrow;
	if (!evacuated(first)) {
		struct evacdst xy[2] = {{bucket(t, h->buckets, oldbucket), 0}, {NULL, 0}};
		if (!same)
			xy[1].b = bucket(t, h->buckets, oldbucket + newbit);
		for (struct bmap *b = first; b; b = overflow(t, b)) {
			for (size_t i = 0; i < BUCKET_CNT; i++) {
				uint8_t top = b->tophash[i];
				if (isempty(top)) {
					b->tophash[i] = evacuatedEmpty;
					continue;
				}
				if (top < minTopHash)
					rt_throw("bad map state");
				unsigned half = 0;
				if (!same)
					half = evacuation_half(t, h, keyat(t, b, i), newbit, &top);
				evacuate_entry(t, h, &xy[half], b, i, top);
				b->tophash[i] = (uint8_t)(evacuatedX + half);
			}
		}
		// Let go of what the old bucket refers to, its chain included.
		if (!t->noscan && !(getflags(h) & oldIterator))
			rt_map_clear_memory(NULL, (char *)first + BUCKET_CNT,
					    t->unitsize - BUCKET_CNT);
	}
	if (oldbucket == h->nevacuate)
		advanceevacuationmark(t, h);
}

static void
growwork(const struct gort_maptype *t, struct hmap *h, size_t b)
{
	evacuate(t, h, b & (noldbuckets(h) - 1));
	if (growing(h))
		evacuate(t, h, h->nevacuate);
}

// ---- access ----

// The head of the chain where hash's entry is, old or new.
static inline struct bmap *
lookupbucket(const struct gort_maptype *t, const struct hmap *h, uint64_t hash)
{
	if (rt_unlikely(growing(h))) {
		struct bmap *old = bucket(t, h->oldbuckets, hash & (noldbuckets(h) - 1));
		if (!evacuated(old))
			return old;
	}
	return bucket(t, h->buckets, hash & bucketmask(h->B));
}

RT_INLINE struct map_entry
access_by(const struct gort_maptype *t, const struct hmap *h, const void *key, int class)
{
	uint64_t hash = rt_map_hash(t, class, key, h->hash0);
	uint8_t top = tophash(hash);
	for (struct bmap *b = lookupbucket(t, h, hash); b; b = overflow(t, b)) {
		for (size_t i = 0; i < BUCKET_CNT; i++) {
			if (b->tophash[i] != top) {
				if (b->tophash[i] == emptyRest)
					return (struct map_entry){NULL, NULL};
				continue;
			}
			void *k = keyat(t, b, i);
			if (rt_map_equal(t, class, key, k))
				return (struct map_entry){k, elemat(t, b, i)};
		}
	}
	return (struct map_entry){NULL, NULL};
}

struct map_entry
rt_hmap_access(struct gort_map *m, const void *key)
{
	struct hmap *h = (struct hmap *)m;
	const struct gort_maptype *t = h->t;
	if (h->count == 0) {
		if (t->hashmightpanic)
			t->hash(t, key, 0); // for its panic
		return (struct map_entry){NULL, NULL};
	}
	if (rt_unlikely(getflags(h) & hashWriting))
		rt_fatal("concurrent map read and map write");
#define call(class) access_by(t, h, key, class)
	return RT_MAP_BY_CLASS(t, call);
#undef call
}

// ---- put ----

// A place for an entry in a chain: where it is, or the first free slot, or (b the chain's last
// bucket, i 8) none.
struct place {
	struct bmap *b;
	size_t i;
	bool found;
};

RT_INLINE struct place
findplace(const struct gort_maptype *t, struct bmap *b, uint8_t top, const void *key, int class)
{
	struct place free = {NULL, 0, false};
	for (;;) {
		for (size_t i = 0; i < BUCKET_CNT; i++) {
			if (b->tophash[i] == top) {
				if (rt_map_equal(t, class, key, keyat(t, b, i)))
					return (struct place){b, i, true};
				continue;
			}
			if (isempty(b->tophash[i]) && !free.b)
				free = (struct place){b, i, false};
			if (b->tophash[i] == emptyRest)
				return free;
		}
		if (!overflow(t, b))
			return free.b ? free : (struct place){b, BUCKET_CNT, false};
		b = overflow(t, b);
	}
}

// A free slot's memory is zero, so there is nothing to log.
static void
fillslot(const struct gort_maptype *t, struct bmap *b, size_t i, const void *key)
{
	void *slot = keyslot(t, b, i);
	if (t->indirectkey)
		slot = *(void **)slot = rt_map_new(t->key->size, t->key);
	memcpy(slot, key, t->key->size);
	if (t->indirectelem)
		*(void **)elemslot(t, b, i) = rt_map_new(t->elem->size, t->elem);
}

RT_INLINE void *
assign_by(const struct gort_maptype *t, struct hmap *h, const void *key, int class)
{
	// Before the flag: a hash function that panics is no write.
	uint64_t hash = rt_map_hash(t, class, key, h->hash0);
	uint8_t top = tophash(hash);
	struct place at;
	setflags(h, hashWriting, 0);
	if (!h->buckets)
		rt_map_setptr(&h->buckets, rt_map_new(t->unitsize, t->unit));
	for (;;) {
		size_t b = hash & bucketmask(h->B);
		if (growing(h))
			growwork(t, h, b);
		at = findplace(t, bucket(t, h->buckets, b), top, key, class);
		if (at.found || growing(h) ||
		    (!overloadfactor(h->count + 1, h->B) &&
		     !toomanyoverflowbuckets(h->noverflow, h->B)))
			break;
		hashgrow(t, h);
	}
	if (at.found) {
		if (t->needkeyupdate)
			rt_map_store_key(t, keyat(t, at.b, at.i), key);
	} else {
		if (at.i == BUCKET_CNT)
			at = (struct place){newoverflow(t, h, at.b), 0, false};
		fillslot(t, at.b, at.i, key);
		at.b->tophash[at.i] = top;
		h->count++;
	}
	if (rt_unlikely(!(getflags(h) & hashWriting)))
		concurrent_writes();
	setflags(h, 0, hashWriting);
	return elemat(t, at.b, at.i);
}

void *
rt_hmap_assign(struct gort_map *m, const void *key)
{
	struct hmap *h = (struct hmap *)m;
	const struct gort_maptype *t = h->t;
	if (rt_unlikely(getflags(h) & hashWriting))
		concurrent_writes();
#define call(class) assign_by(t, h, key, class)
	return RT_MAP_BY_CLASS(t, call);
#undef call
}

// ---- delete ----

// Is nothing behind slot i of b?
static bool
restempty(const struct gort_maptype *t, const struct bmap *b, size_t i)
{
	if (i + 1 < BUCKET_CNT)
		return b->tophash[i + 1] == emptyRest;
	b = overflow(t, b);
	return !b || b->tophash[0] == emptyRest;
}

// Slot i of b has become free; with it, maybe, the end of the chain.
static void
markfree(const struct gort_maptype *t, struct bmap *first, struct bmap *b, size_t i)
{
	b->tophash[i] = emptyOne;
	if (!restempty(t, b, i))
		return;
	for (;;) {
		b->tophash[i] = emptyRest;
		if (i == 0) {
			if (b == first)
				return;
			struct bmap *before = first;
			while (overflow(t, before) != b)
				before = overflow(t, before);
			b = before;
			i = BUCKET_CNT;
		}
		if (b->tophash[--i] != emptyOne)
			return;
	}
}

static void
emptyslot(const struct gort_maptype *t, struct bmap *b, size_t i)
{
	if (t->noscan) {
		memset(elemslot(t, b, i), 0, t->elemsize);
		return;
	}
	rt_map_clear_memory(t->indirectkey ? NULL : t->key, keyslot(t, b, i), t->keysize);
	rt_map_clear_memory(t->indirectelem ? NULL : t->elem, elemslot(t, b, i), t->elemsize);
}

RT_INLINE bool
delete_by(const struct gort_maptype *t, struct hmap *h, const void *key, int class)
{
	uint64_t hash = rt_map_hash(t, class, key, h->hash0);
	setflags(h, hashWriting, 0);
	size_t n = hash & bucketmask(h->B);
	if (growing(h))
		growwork(t, h, n);
	struct bmap *first = bucket(t, h->buckets, n);
	struct place at = findplace(t, first, tophash(hash), key, class);
	if (at.found) {
		emptyslot(t, at.b, at.i);
		markfree(t, first, at.b, at.i);
		if (--h->count == 0)
			h->hash0 = (uint32_t)rt_map_random(); // nothing depends on the old one
	}
	if (rt_unlikely(!(getflags(h) & hashWriting)))
		concurrent_writes();
	setflags(h, 0, hashWriting);
	return at.found;
}

bool
rt_hmap_delete(struct gort_map *m, const void *key)
{
	struct hmap *h = (struct hmap *)m;
	const struct gort_maptype *t = h->t;
	if (h->count == 0) {
		if (t->hashmightpanic)
			t->hash(t, key, 0);
		return false;
	}
	if (rt_unlikely(getflags(h) & hashWriting))
		concurrent_writes();
#define call(class) delete_by(t, h, key, class)
	return RT_MAP_BY_CLASS(t, call);
#undef call
}

// ---- clear ----

// So that iterators under way find nothing more.
static void
markbucketsempty(const struct gort_maptype *t, void *buckets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (struct bmap *b = bucket(t, buckets, i); b; b = overflow(t, b))
			memset(b->tophash, emptyRest, BUCKET_CNT);
}

void
rt_hmap_clear(struct gort_map *m)
{
	struct hmap *h = (struct hmap *)m;
	const struct gort_maptype *t = h->t;
	if (h->count == 0)
		return;
	if (rt_unlikely(getflags(h) & hashWriting))
		concurrent_writes();
	setflags(h, hashWriting, 0);
	markbucketsempty(t, h->buckets, (size_t)1 << h->B);
	if (growing(h))
		markbucketsempty(t, h->oldbuckets, noldbuckets(h));
	setflags(h, 0, sameSizeGrow);
	rt_map_setptr(&h->oldbuckets, NULL);
	h->nevacuate = 0;
	h->noverflow = 0;
	h->count = 0;
	h->hash0 = (uint32_t)rt_map_random();
	rt_map_setptr(&h->extra, NULL); // its buckets, if any, are the iterators' now
	// A new array: the old one may be read by iterators and is the collector's otherwise.
	struct bmap *next;
	rt_map_setptr(&h->buckets, makebucketarray(t, h->B, &next));
	if (next)
		rt_map_setptr(&extra(h)->nextOverflow, next);
	if (rt_unlikely(!(getflags(h) & hashWriting)))
		concurrent_writes();
	setflags(h, 0, hashWriting);
}

// ---- make ----

struct gort_map *
rt_hmap_make(const struct gort_maptype *t, ptrdiff_t hint)
{
	size_t bytes;
	if (hint < 0 || !rt_array_size(t->unitsize, hint, &bytes))
		hint = 0; // only a hint
	struct hmap *h = rt_map_new(sizeof(*h), &hmaptype);
	h->t = t;
	h->hash0 = (uint32_t)rt_map_random();
	while (overloadfactor(hint, h->B))
		h->B++;
	if (h->B > 0) {
		struct bmap *next;
		rt_map_setptr(&h->buckets, makebucketarray(t, h->B, &next));
		if (next)
			rt_map_setptr(&extra(h)->nextOverflow, next);
	}
	return (struct gort_map *)h;
}

// ---- iteration ----

#define NO_CHECK SIZE_MAX

void
rt_hmap_iterate(struct gort_map *m, struct gort_map_iter *it)
{
	struct hmap *h = (struct hmap *)m;
	uint64_t r = rt_map_random();
	it->t = h->t;
	it->h = m;
	it->B = h->B;
	it->buckets = h->buckets;
	if (h->t->noscan && h->extra) {
		it->overflow = h->extra->overflow;
		it->oldoverflow = h->extra->oldoverflow;
	}
	it->startbucket = it->bucket = r & bucketmask(h->B);
	it->offset = r >> 58 & (BUCKET_CNT - 1);
	// Any number of goroutines may start at once.
	if ((getflags(h) & (iterator | oldIterator)) != (iterator | oldIterator))
		atomic_fetch_or_explicit(&h->flags, iterator | oldIterator, memory_order_relaxed);
}

// Goes to the chain of it->bucket. False after the last one.
static bool
nextchain(struct gort_map_iter *it)
{
	struct hmap *h = (struct hmap *)it->h;
	const struct gort_maptype *t = it->t;
	if (it->bucket == it->startbucket && it->wrapped)
		return false;
	struct bmap *b = bucket(t, it->buckets, it->bucket);
	it->checkbucket = NO_CHECK;
	if (growing(h) && it->B == h->B) {
		// The iteration began during this growth. What is still in the old bucket will come
		// here or to the other half: only the former counts.
		struct bmap *old = bucket(t, h->oldbuckets, it->bucket & (noldbuckets(h) - 1));
		if (!evacuated(old)) {
			b = old;
			it->checkbucket = it->bucket;
		}
	}
	it->bptr = b;
	it->i = 0;
	if (++it->bucket == (size_t)1 << it->B) {
		it->bucket = 0;
		it->wrapped = true;
	}
	return true;
}

static bool
selfequal(const struct gort_maptype *t, void *key)
{
	return t->reflexivekey || t->equal(t, key, key);
}

// Will the entry, in an old bucket, go to another bucket than the one the iteration is at?
static bool
goeselsewhere(const struct gort_map_iter *it, const struct hmap *h, void *key, uint8_t top)
{
	const struct gort_maptype *t = it->t;
	if (it->checkbucket == NO_CHECK || getflags(h) & sameSizeGrow)
		return false;
	if (!selfequal(t, key))
		return it->checkbucket >> (it->B - 1) != (top & 1);
	uint64_t hash = rt_map_hash(t, t->keyclass, key, h->hash0);
	return (hash & bucketmask(it->B)) != it->checkbucket;
}

// Makes slot i of b the current entry, unless it is none (any more).
static bool
visit(struct gort_map_iter *it, struct hmap *h, struct bmap *b, size_t i)
{
	const struct gort_maptype *t = it->t;
	uint8_t top = b->tophash[i];
	if (isempty(top) || top == evacuatedEmpty)
		return false;
	void *k = keyat(t, b, i);
	if (goeselsewhere(it, h, k, top))
		return false;
	if (top >= minTopHash || !selfequal(t, k)) {
		it->key = k;
		it->value = elemat(t, b, i);
		return true;
	}
	// The table has grown since: it may be deleted, updated, deleted and put again.
	struct map_entry e = rt_hmap_access(it->h, k);
	it->key = e.key;
	it->value = e.elem;
	return e.key != NULL;
}

bool
rt_hmap_next(struct gort_map_iter *it)
{
	struct hmap *h = (struct hmap *)it->h;
	if (rt_unlikely(getflags(h) & hashWriting))
		rt_fatal("concurrent map iteration and map write");
	for (;;) {
		if (!it->bptr && !nextchain(it)) {
			it->key = it->value = NULL;
			it->t = NULL;
			return false;
		}
		struct bmap *b = it->bptr;
		while (it->i < BUCKET_CNT) {
			size_t i = (it->i++ + it->offset) & (BUCKET_CNT - 1);
			if (visit(it, h, b, i))
				return true;
		}
		it->bptr = overflow(it->t, b);
		it->i = 0;
	}
}

// ---- audit ----

static ptrdiff_t
check_chain(const struct hmap *h, struct bmap *b, size_t n, size_t mask)
{
	const struct gort_maptype *t = h->t;
	ptrdiff_t count = 0;
	bool rest = false;
	for (; b; b = overflow(t, b)) {
		for (size_t i = 0; i < BUCKET_CNT; i++) {
			uint8_t top = b->tophash[i];
			if (rest && top != emptyRest)
				rt_throw("hmap: an entry behind emptyRest");
			rest = top == emptyRest;
			if (isempty(top))
				continue;
			if (top < minTopHash)
				rt_throw("hmap: evacuated slot in a live bucket");
			count++;
			void *k = keyat(t, b, i);
			uint64_t hash = rt_map_hash(t, t->keyclass, k, h->hash0);
			if (selfequal(t, k) && ((hash & mask) != n || tophash(hash) != top))
				rt_throw("hmap: entry in a bucket that is not its own");
		}
	}
	return count;
}

void
rt_hmap_check(const struct gort_map *m)
{
	const struct hmap *h = (const struct hmap *)m;
	const struct gort_maptype *t = h->t;
	ptrdiff_t count = 0;
	if (h->buckets)
		for (size_t i = 0; i <= bucketmask(h->B); i++)
			count += check_chain(h, bucket(t, h->buckets, i), i, bucketmask(h->B));
	for (size_t i = 0; growing(h) && i < noldbuckets(h); i++) {
		struct bmap *b = bucket(t, h->oldbuckets, i);
		if (!evacuated(b) && i < h->nevacuate)
			rt_throw("hmap: old bucket left behind");
		if (!evacuated(b))
			count += check_chain(h, b, i, noldbuckets(h) - 1);
	}
	if (count != h->count)
		rt_throw("hmap: count is wrong");
}

size_t
rt_hmap_capacity(const struct gort_map *m)
{
	const struct hmap *h = (const struct hmap *)m;
	return BUCKET_CNT * (((size_t)1 << h->B) + h->noverflow);
}
