// SPDX-License-Identifier: BSD-3-Clause
#include "core/sort.h"

#include <string.h>

struct heap {
	char *base;
	size_t size;
	int (*compare)(const void *, const void *);
};

static void
swap(char *a, char *b, size_t size)
{
	char t[RTP_SORT_MAX];
	memcpy(t, a, size);
	memcpy(a, b, size);
	memcpy(b, t, size);
}

static void
sift_down(const struct heap *h, size_t i, size_t n)
{
	for (size_t c; (c = 2 * i + 1) < n; i = c) {
		char *child = h->base + c * h->size, *top = h->base + i * h->size;
		if (c + 1 < n && h->compare(child + h->size, child) > 0) {
			c++;
			child += h->size;
		}
		if (h->compare(top, child) >= 0)
			return;
		swap(top, child, h->size);
	}
}

void
rtp_sort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	struct heap h = { base, size, compare };
	for (size_t i = n / 2; i > 0; i--)
		sift_down(&h, i - 1, n);
	for (; n > 1; n--) {
		swap(h.base, h.base + (n - 1) * size, size);
		sift_down(&h, 0, n - 1);
	}
}
