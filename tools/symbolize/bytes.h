// SPDX-License-Identifier: BSD-3-Clause
// Bytes that grow, and the hash of strings.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define BYTES_MAX ((size_t)1 << 30) // of an unpacked profile, too: a bomb is refused

struct bytes {
	uint8_t *p;
	size_t len, cap;
};

// Room for n more; false: no memory, or too many.
static inline bool
bytes_reserve(struct bytes *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 1 << 16;
	if (n > BYTES_MAX)
		return false;
	while (cap < b->len + n)
		cap *= 2;
	if (cap == b->cap)
		return true;
	uint8_t *p = cap <= BYTES_MAX ? realloc(b->p, cap) : NULL;
	if (!p)
		return false;
	b->p = p;
	b->cap = cap;
	return true;
}

static inline uint64_t
hash_string(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h ^ h >> 29;
}
