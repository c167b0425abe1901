// SPDX-License-Identifier: BSD-3-Clause
#include "mem/sizeclass.h"

#include "base/lock.h"
#include "mem/mheap.h"

#define SPAN_BYTES (32u << 10)

// X(slot bytes, pages a span in Go)
#define SIZE_CLASSES(X)                                                                            \
	X(8, 1) X(16, 1) X(24, 1) X(32, 1) X(48, 1) X(64, 1) X(80, 1) X(96, 1)                     \
	X(112, 1) X(128, 1) X(144, 1) X(160, 1) X(176, 1) X(192, 1) X(208, 1) X(224, 1)            \
	X(240, 1) X(256, 1) X(288, 1) X(320, 1) X(352, 1) X(384, 1) X(416, 1) X(448, 1)            \
	X(480, 1) X(512, 1) X(576, 1) X(640, 1) X(704, 1) X(768, 1) X(896, 1) X(1024, 1)           \
	X(1152, 1) X(1280, 1) X(1408, 2) X(1536, 1) X(1792, 2) X(2048, 1) X(2304, 2) X(2688, 1)    \
	X(3072, 3) X(3200, 2) X(3456, 3) X(4096, 1) X(4864, 3) X(5376, 2) X(6144, 3) X(6528, 4)    \
	X(6784, 5) X(6912, 6) X(8192, 1) X(9472, 7) X(9728, 6) X(10240, 5) X(10880, 4) X(12288, 3) \
	X(13568, 5) X(14336, 7) X(16384, 2) X(18432, 9) X(19072, 7) X(20480, 5) X(21760, 8)        \
	X(24576, 3) X(27264, 10) X(28672, 7) X(32768, 4)

#define ONE(size, pages) +1
static_assert(1 SIZE_CLASSES(ONE) == RT_NUM_SIZE_CLASSES, "67 classes and the large one");
// The multiply-shift index is exact while offset * (error of divmul) stays below one slot:
// offset < span bytes and the error is below 1/2^32 of a slot per byte.
#define EXACT(size, pages)                                                                         \
	static_assert((size) % 8 == 0 && (pages)*RT_PAGE_SIZE / (size) >= 1 &&                     \
		      (uint64_t)(pages)*RT_PAGE_SIZE * (size) < (1ull << 32), "class");
SIZE_CLASSES(EXACT)
static_assert((uint64_t)SPAN_BYTES * RT_MAX_SMALL_SIZE < (1ull << 32), "also of more pages");

static const uint16_t class_size[RT_NUM_SIZE_CLASSES] = {
	0,
#define SIZE(size, pages) size,
	SIZE_CLASSES(SIZE)
};
static const uint8_t class_pages[RT_NUM_SIZE_CLASSES] = {
	0,
#define PAGES(size, pages) pages,
	SIZE_CLASSES(PAGES)
};

struct spanclass rt_spanclasses[RT_MAX_SPANCLASSES];
_Atomic uint32_t rt_nspanclasses;
uint8_t rt_size_to_class8[1024 / 8 + 1];
uint8_t rt_size_to_class128[(RT_MAX_SMALL_SIZE - 1024) / 128 + 1];

static struct rt_mutex pairs_lock;

// As many times Go's pages as keep a span's bits in its line and its bytes within SPAN_BYTES: what is done
// once a span (taking it from the central set, sweeping it, freeing it) is shared by more objects.
static unsigned
span_pages(unsigned sizeclass)
{
	unsigned size = class_size[sizeclass], pages = class_pages[sizeclass], n = pages;
	while (size && n + pages <= SPAN_BYTES / RT_PAGE_SIZE &&
	       (n + pages) * RT_PAGE_SIZE / size <= RT_INLINE_SLOTS)
		n += pages;
	return n;
}

static void
fill_spanclass(struct spanclass *sc, unsigned sizeclass, bool noscan, const gort_type *t)
{
	sc->size = class_size[sizeclass];
	sc->npages = span_pages(sizeclass);
	sc->nelems = sizeclass ? sc->npages * RT_PAGE_SIZE / sc->size : 1;
	sc->divmul = sizeclass ? (uint32_t)(((1ull << 32) + sc->size - 1) / sc->size) : 0;
	sc->sizeclass = sizeclass;
	sc->noscan = noscan;
	sc->type = t;
}

void
rt_sizeclass_init(void)
{
	unsigned c = 1;
	if (rt_load_acquire(&rt_nspanclasses))
		return;
	for (size_t i = 0; i < rt_nelem(rt_size_to_class8); i++) {
		while (class_size[c] < i * 8)
			c++;
		rt_size_to_class8[i] = c;
	}
	for (size_t i = 0; i < rt_nelem(rt_size_to_class128); i++) {
		while (class_size[c] < 1024 + i * 128)
			c++;
		rt_size_to_class128[i] = c;
	}
	for (unsigned s = 0; s < RT_NUM_SIZE_CLASSES; s++)
		for (unsigned noscan = 0; noscan < 2; noscan++)
			fill_spanclass(&rt_spanclasses[RT_SPANCLASS(s, noscan)], s, noscan, NULL);
	rt_store_release(&rt_nspanclasses, RT_NUM_PLAIN_SPANCLASSES);
}

// The pairs by hash: open addressing, entries (span classes) written once, never removed; a reader
// that meets 0 knows that the pair was not there a moment ago.
#define PAIR_SLOTS 1024u
static _Atomic uint16_t pair_table[PAIR_SLOTS];
static_assert(PAIR_SLOTS >= 2 * RT_MAX_SPANCLASSES, "probes stay short");

static unsigned
pair_hash(const gort_type *t, unsigned sizeclass)
{
	uint64_t h = ((uintptr_t)t >> 4) * 0x9e3779b97f4a7c15ull + sizeclass * 0xc2b2ae3d27d4eb4full;
	return (unsigned)(h >> 32) % PAIR_SLOTS;
}

// The pair's span class, or 0; *slot is where it is or belongs.
static unsigned
find_pair(const gort_type *t, unsigned sizeclass, unsigned *slot)
{
	for (unsigned i = pair_hash(t, sizeclass);; i = (i + 1) % PAIR_SLOTS) {
		unsigned spc = rt_load_acquire(&pair_table[i]); // pairs with make_pair's release
		*slot = i;
		if (!spc || (rt_spanclasses[spc].type == t &&
			     rt_spanclasses[spc].sizeclass == sizeclass))
			return spc;
	}
}

static unsigned
make_pair(const gort_type *t, unsigned sizeclass)
{
	unsigned slot;
	rt_lock(&pairs_lock);
	unsigned n = rt_load(&rt_nspanclasses); // under its lock
	unsigned spc = find_pair(t, sizeclass, &slot);
	if (!spc && n < RT_MAX_SPANCLASSES) {
		spc = n;
		fill_spanclass(&rt_spanclasses[n], sizeclass, false, t);
		rt_store_release(&rt_nspanclasses, n + 1); // pairs with readers that walk all classes
		rt_store_release(&pair_table[slot], spc);  // pairs with find_pair
	}
	rt_unlock(&pairs_lock);
	return spc ? spc : RT_SPANCLASS(sizeclass, false);
}

unsigned
rt_spanclass_for(const gort_type *t, unsigned sizeclass)
{
	if (!t)
		return RT_SPANCLASS(sizeclass, false);
	if (t->flags & GORT_TYPE_NOSCAN)
		return RT_SPANCLASS(sizeclass, true);
	if (!(t->flags & GORT_TYPE_PRECISE))
		return RT_SPANCLASS(sizeclass, false);
	unsigned slot;
	unsigned spc = find_pair(t, sizeclass, &slot);
	return spc ? spc : make_pair(t, sizeclass);
}
