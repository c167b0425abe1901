// SPDX-License-Identifier: BSD-3-Clause
// Time. All durations and instants are int64_t nanoseconds. Go: package time.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

#define GORT_MICROSECOND INT64_C(1000)
#define GORT_MILLISECOND INT64_C(1000000)
#define GORT_SECOND INT64_C(1000000000)

// gort_nanotime reads the monotonic clock: nanoseconds since some moment before the process started.
// Any thread, async-signal-safe. Go: the monotonic part of time.Now.
GORT_API int64_t gort_nanotime(void);

// gort_sleep blocks the calling goroutine (not its thread) for at least ns nanoseconds; with ns <= 0
// it returns at once. Fatal on a thread that is no goroutine. Go: time.Sleep.
GORT_API void gort_sleep(int64_t ns);

GORT_END_DECLS
