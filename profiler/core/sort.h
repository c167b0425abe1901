// SPDX-License-Identifier: BSD-3-Clause
// Sorting without memory: libc's qsort may call malloc.
#pragma once

#include <stddef.h>

#define RTP_SORT_MAX 64 // bytes of an element

// Ascending by compare, as qsort; equal elements in any order.
void rtp_sort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *));
