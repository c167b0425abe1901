// SPDX-License-Identifier: BSD-3-Clause
#include "mem/page.h"

#include <string.h>

#include "debug/throw.h"
#include "os/os.h"

#define FANOUT 8u

static uint32_t
level_pages(unsigned level)
{
	return RT_CHUNK_PAGES << (3 * level);
}

static void *
table(size_t n)
{
	size_t got;
	n = rt_round_up(n, (size_t)4096);
	return rt_os_reserve(n, n, 4096, &got);
}

bool
rt_pages_init(struct page_alloc *a, uint32_t maxpages)
{
	memset(a, 0, sizeof *a);
	a->maxchunks = maxpages / RT_CHUNK_PAGES;
	a->chunk = table(a->maxchunks * sizeof *a->chunk);
	if (!a->chunk)
		return false;
	for (uint32_t n = a->maxchunks;; n = (n + FANOUT - 1) / FANOUT) {
		a->level[a->nlevels] = table(rt_round_up(n, FANOUT) * sizeof(struct page_sum));
		if (!a->level[a->nlevels++])
			return false;
		if (n == 1)
			return true;
	}
}

// ---- summaries ----

// The longest run of set bits in x, if it is longer than least; else least.
static uint32_t
longest_run(uint64_t x, uint32_t least)
{
	// What is left of x after `done` steps has one bit for each run of more than `done` bits that begins there.
	for (uint32_t done = 0; x && done < least;) {
		uint32_t step = rt_min(least - done, done + 1);
		x &= x >> step;
		done += step;
	}
	if (!x)
		return least;
	// Now y's bits are where len bits of x follow each other: doubled as long as there are any, then what is
	// left by halves.
	uint64_t y = x, z;
	uint32_t len = 1;
	for (; (z = y & y >> len); y = z)
		len *= 2;
	for (uint32_t half = len / 2; half; half /= 2)
		if ((z = y & y >> half)) {
			y = z;
			len += half;
		}
	return least + len;
}

static struct page_sum
chunk_sum(const struct page_chunk *c)
{
	struct page_sum s = {0};
	uint32_t run = 0; // free pages up to the end of the words seen
	bool leading = true;
	for (unsigned i = 0; i < RT_CHUNK_WORDS; i++) {
		uint64_t used = c->alloc[i];
		if (!used) {
			run += 64;
			continue;
		}
		run += __builtin_ctzll(used);
		if (leading)
			s.start = run;
		leading = false;
		s.max = rt_max(s.max, run);
		if (~used)
			s.max = longest_run(~used, s.max);
		run = __builtin_clzll(used);
	}
	s.end = run;
	s.max = rt_max(s.max, run);
	if (leading)
		s.start = run;
	return s;
}

// kids: FANOUT children of npages pages each.
static struct page_sum
merge(const struct page_sum *kids, uint32_t npages)
{
	struct page_sum s = kids[0];
	uint32_t total = npages;
	for (unsigned i = 1; i < FANOUT; i++, total += npages) {
		const struct page_sum *k = &kids[i];
		s.max = rt_max(rt_max(s.max, k->max), s.end + k->start);
		if (s.start == total)
			s.start += k->start;
		s.end = k->end == npages ? s.end + npages : k->end;
	}
	return s;
}

static bool
same_sum(struct page_sum a, struct page_sum b)
{
	return a.start == b.start && a.max == b.max && a.end == b.end;
}

// Recomputes the summaries of chunks [lo, hi] and what lies above them.
static void
update(struct page_alloc *a, uint32_t lo, uint32_t hi)
{
	bool changed = false;
	for (uint32_t c = lo; c <= hi; c++) {
		struct page_sum s = chunk_sum(&a->chunk[c]);
		changed |= !same_sum(s, a->level[0][c]);
		a->level[0][c] = s;
	}
	for (unsigned l = 1; changed && l < a->nlevels; l++) {
		lo /= FANOUT;
		hi /= FANOUT;
		changed = false;
		for (uint32_t i = lo; i <= hi; i++) {
			struct page_sum s = merge(&a->level[l - 1][i * FANOUT], level_pages(l - 1));
			changed |= !same_sum(s, a->level[l][i]);
			a->level[l][i] = s;
		}
	}
}

// ---- bit ranges ----

// Calls are for one word each: [lo, hi) within the chunk, at most 64 bits.
#define FOR_WORDS(page, n, c, w, mask, body)                                                       \
	for (uint32_t p_ = (page), e_ = (page) + (n); p_ < e_;) {                                  \
		struct page_chunk *c = &a->chunk[p_ / RT_CHUNK_PAGES];                             \
		unsigned w = p_ % RT_CHUNK_PAGES / 64, b_ = p_ % 64;                               \
		unsigned n_ = rt_min(64 - b_, e_ - p_);                                            \
		uint64_t mask = (n_ == 64 ? ~0ull : (1ull << n_) - 1) << b_;                       \
		body;                                                                              \
		p_ += n_;                                                                          \
	}

#define HUGE_PAGES 256u // a huge page of 2 MiB

// Whether some huge page that [page, page + n) lies in holds no memory at all: touching it may bring in all
// of it.
static bool
meets_empty_huge_page(const struct page_alloc *a, uint32_t page, uint32_t n)
{
	for (uint32_t p = rt_round_down(page, HUGE_PAGES); p < page + n; p += HUGE_PAGES) {
		const uint64_t *scav = &a->chunk[p / RT_CHUNK_PAGES].scav[p % RT_CHUNK_PAGES / 64];
		if ((scav[0] & scav[1] & scav[2] & scav[3]) == ~0ull)
			return true;
	}
	return false;
}

static uint32_t
take(struct page_alloc *a, uint32_t page, uint32_t n)
{
	uint32_t scav = 0;
	FOR_WORDS(page, n, c, w, mask, {
		scav += __builtin_popcountll(c->scav[w] & mask);
		c->scav[w] &= ~mask;
		c->alloc[w] |= mask;
	});
	return scav;
}

// ---- finding ----

// The first run of n free pages in a chunk whose longest run is at least n.
static uint32_t
find_in_chunk(const struct page_chunk *c, uint32_t n)
{
	uint32_t run = 0, first = 0;
	for (unsigned i = 0; i < RT_CHUNK_WORDS; i++) {
		uint64_t used = c->alloc[i];
		unsigned bit = 0;
		while (bit < 64) {
			uint64_t rest = used >> bit;
			unsigned nfree = rest ? __builtin_ctzll(rest) : 64 - bit;
			if (!run)
				first = i * 64 + bit;
			run += nfree;
			if (run >= n)
				return first;
			bit += nfree;
			if (bit >= 64)
				break;
			run = 0;
			uint64_t rest1 = ~(used >> bit);
			bit += rest1 ? __builtin_ctzll(rest1) : 64;
		}
	}
	rt_throw("find_in_chunk: summary promised a run");
}

static uint32_t
find(const struct page_alloc *a, uint32_t n)
{
	unsigned l = a->nlevels - 1;
	uint32_t node = 0;
	if (a->level[l][0].max < n)
		return RT_NO_PAGE;
	while (l > 0) {
		const struct page_sum *kids = &a->level[l - 1][node * FANOUT];
		uint32_t np = level_pages(l - 1), run = 0;
		unsigned i;
		for (i = 0; i < FANOUT; i++) {
			if (run + kids[i].start >= n && run > 0)
				return (node * FANOUT + i) * np - run;
			if (kids[i].max >= n)
				break;
			run = kids[i].end == np ? run + np : kids[i].end;
		}
		if (i == FANOUT)
			rt_throw("page allocator: summary promised a run");
		node = node * FANOUT + i;
		l--;
	}
	return node * RT_CHUNK_PAGES + find_in_chunk(&a->chunk[node], n);
}

uint32_t
rt_pages_alloc(struct page_alloc *a, uint32_t n, uint32_t *scav)
{
	uint32_t page;
	if (a->search < a->nchunks && a->level[0][a->search].max >= n)
		page = a->search * RT_CHUNK_PAGES + find_in_chunk(&a->chunk[a->search], n);
	else
		page = find(a, n);
	if (page == RT_NO_PAGE)
		return page;
	a->fresh = meets_empty_huge_page(a, page, n);
	*scav = take(a, page, n);
	a->nfree -= n;
	a->nscav -= *scav;
	update(a, page / RT_CHUNK_PAGES, (page + n - 1) / RT_CHUNK_PAGES);
	while (a->search < a->nchunks && a->level[0][a->search].max == 0)
		a->search++;
	return page;
}

void
rt_pages_free(struct page_alloc *a, uint32_t page, uint32_t n)
{
	FOR_WORDS(page, n, c, w, mask, {
		if ((c->alloc[w] & mask) != mask)
			rt_throw("page allocator: free of a free page");
		c->alloc[w] &= ~mask;
	});
	a->nfree += n;
	update(a, page / RT_CHUNK_PAGES, (page + n - 1) / RT_CHUNK_PAGES);
	a->search = rt_min(a->search, page / RT_CHUNK_PAGES);
}

bool
rt_pages_grow(struct page_alloc *a, uint32_t n)
{
	if (n == 0 || a->maxchunks - a->nchunks < n)
		return false;
	uint32_t first = a->nchunks;
	for (uint32_t c = first; c < first + n; c++)
		memset(a->chunk[c].scav, 0xff, sizeof a->chunk[c].scav);
	a->nchunks += n;
	a->nfree += (uint64_t)n * RT_CHUNK_PAGES;
	a->nscav += (uint64_t)n * RT_CHUNK_PAGES;
	update(a, first, first + n - 1);
	a->search = rt_min(a->search, first);
	return true;
}

// ---- scavenging ----

static bool
holds_memory(const struct page_chunk *c, uint32_t i)
{
	return !((c->alloc[i / 64] | c->scav[i / 64]) >> (i % 64) & 1);
}

// The highest run of at most max such pages in the chunk; the number, *first its lowest page.
static uint32_t
find_backed(const struct page_chunk *c, uint32_t max, uint32_t *first)
{
	uint32_t hi = RT_CHUNK_PAGES;
	while (hi > 0 && !holds_memory(c, hi - 1))
		hi--;
	uint32_t lo = hi;
	while (lo > 0 && hi - lo < max && holds_memory(c, lo - 1))
		lo--;
	*first = lo;
	return hi - lo;
}

uint32_t
rt_pages_scavenge(struct page_alloc *a, uint32_t *cursor, uint32_t max, uint32_t *page)
{
	if (a->nfree == a->nscav) {
		*cursor = 0;
		return 0;
	}
	for (uint32_t ci = rt_min(*cursor, a->nchunks - 1) + 1; ci-- > 0;) {
		uint32_t first, n;
		if (a->level[0][ci].max == 0)
			continue;
		n = find_backed(&a->chunk[ci], max, &first);
		if (n == 0)
			continue;
		*cursor = ci;
		*page = ci * RT_CHUNK_PAGES + first;
		take(a, *page, n);
		a->nfree -= n;
		update(a, ci, ci);
		return n;
	}
	*cursor = 0;
	return 0;
}

void
rt_pages_free_scavenged(struct page_alloc *a, uint32_t page, uint32_t n)
{
	rt_pages_free(a, page, n);
	FOR_WORDS(page, n, c, w, mask, c->scav[w] |= mask);
	a->nscav += n;
}

void
rt_pages_check(const struct page_alloc *a)
{
	uint64_t nfree = 0, nscav = 0;
	for (uint32_t c = 0; c < a->nchunks; c++) {
		if (!same_sum(chunk_sum(&a->chunk[c]), a->level[0][c]))
			rt_throw("page allocator: wrong chunk summary");
		for (unsigned i = 0; i < RT_CHUNK_WORDS; i++) {
			if (a->chunk[c].alloc[i] & a->chunk[c].scav[i])
				rt_throw("page allocator: page in use without memory");
			nfree += __builtin_popcountll(~a->chunk[c].alloc[i]);
			nscav += __builtin_popcountll(a->chunk[c].scav[i]);
		}
		if (c < a->search && a->level[0][c].max)
			rt_throw("page allocator: free page below the search hint");
	}
	if (nfree != a->nfree || nscav != a->nscav)
		rt_throw("page allocator: wrong counts");
	for (unsigned l = 1; l < a->nlevels; l++)
		for (uint32_t i = 0; i * level_pages(l) < a->nchunks * RT_CHUNK_PAGES; i++)
			if (!same_sum(merge(&a->level[l - 1][i * FANOUT], level_pages(l - 1)),
				      a->level[l][i]))
				rt_throw("page allocator: wrong summary");
}
