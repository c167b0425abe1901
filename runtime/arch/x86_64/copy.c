// SPDX-License-Identifier: BSD-3-Clause
// A store through the caches costs two transfers, for its line is read first; one past them costs one. libc takes
// them from about three quarters of the last cache on, which on a shared machine is a cache that others use, too.
#include <emmintrin.h>
#include <string.h>

#include "arch/arch.h"

enum { LINE = 4 * sizeof(__m128i) };

void
rt_copy_away(void *dst, const void *src, size_t n)
{
	if (n < RT_COPY_AWAY) {
		memcpy(dst, src, n);
		return;
	}
	size_t head = -(uintptr_t)dst % LINE;
	memcpy(dst, src, head);
	char *to = (char *)dst + head;
	const char *from = (const char *)src + head;
	for (n -= head; n >= LINE; n -= LINE, to += LINE, from += LINE)
		for (int i = 0; i < 4; i++)
			_mm_stream_si128((__m128i *)to + i, _mm_loadu_si128((const __m128i *)from + i));
	_mm_sfence(); // these stores are not ordered with later ones
	memcpy(to, from, n);
}
