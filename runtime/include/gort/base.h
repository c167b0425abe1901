// SPDX-License-Identifier: BSD-3-Clause
// What every public header needs. Include <gort.h> or a header of <gort/...>; this one comes along.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#define GORT_BEGIN_DECLS extern "C" {
#define GORT_END_DECLS }
#define GORT_NORETURN __attribute__((noreturn))
#else
#define GORT_BEGIN_DECLS
#define GORT_END_DECLS
#define GORT_NORETURN _Noreturn
#endif

#define GORT_API __attribute__((visibility("default")))
// An exported function's definition for callers that inline it; the library has the other one.
#define GORT_INLINE_TOO_ extern inline __attribute__((gnu_inline))
#define GORT_PRINTF(f, a) __attribute__((format(printf, f, a)))

// Two-step pasting, and a name that is fresh in each expansion.
#define GORT_CAT_(a, b) a##b
#define GORT_CAT(a, b) GORT_CAT_(a, b)
#define GORT_FRESH(name) GORT_CAT(gort_##name##_, __COUNTER__)
