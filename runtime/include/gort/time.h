// SPDX-License-Identifier: BSD-3-Clause
// Time: sleeping, timers, tickers. All durations are int64_t nanoseconds, all instants nanoseconds on
// gort_nanotime's clock. Go: package time.
//
//	gort_timer *t = gort_new_timer(2 * GORT_SECOND);
//	int64_t due;
//	gort_select_case cs[] = {GORT_RECV(answers, &answer), GORT_RECV(gort_timer_chan(t), &due)};
//	if (gort_select(cs, 2) == 0)
//		gort_timer_stop(t);
//
// Timers have the semantics of Go 1.23 and later. They are collected objects: nobody frees them, also
// not those that were never stopped; one that nobody can reach, nor its channel, costs nothing. Every
// function here may be called from any goroutine, several at once for one timer; none is
// async-signal-safe but gort_nanotime. A NULL timer is a nil pointer dereference.
#pragma once

#include <gort/base.h>
#include <gort/chan.h>

GORT_BEGIN_DECLS

#define GORT_MICROSECOND INT64_C(1000)
#define GORT_MILLISECOND INT64_C(1000000)
#define GORT_SECOND INT64_C(1000000000)

// gort_nanotime reads the monotonic clock: nanoseconds since some moment before the process started.
// Any thread, async-signal-safe. Go: the monotonic part of time.Now.
GORT_API int64_t gort_nanotime(void);

// gort_sleep blocks the calling goroutine (not its thread) for at least ns nanoseconds; with ns <= 0
// it returns at once. Go: time.Sleep.
GORT_API void gort_sleep(int64_t ns);

// A timer: of the first kind it has a channel, of the second a function.
typedef struct gort_timer gort_timer;

// gort_new_timer makes a timer that sends the time at which it was due, an int64_t, on its channel once,
// ns from now (0 or less: at once). Go: time.NewTimer.
GORT_API gort_timer *gort_new_timer(int64_t ns);

// gort_after_func makes a timer that starts a goroutine with fn(arg) ns from now. arg may be a collected
// pointer and is kept alive as long as the timer is. Panics when fn is NULL. Go: time.AfterFunc.
GORT_API gort_timer *gort_after_func(int64_t ns, void (*fn)(void *arg), void *arg);

// gort_new_ticker makes a timer that sends every ns nanoseconds the times that were due. Of ticks
// that come while nobody takes them only the first is kept: a slow receiver gets fewer, not many in a
// row. Panics with "non-positive interval for NewTicker" unless ns > 0. Go: time.NewTicker.
GORT_API gort_timer *gort_new_ticker(int64_t ns);

// gort_timer_chan returns the channel of a timer or ticker, NULL for gort_after_func's. Its elements
// are int64_t. It is unbuffered: its length and capacity are 0. It is never closed. Go: Timer.C.
GORT_API gort_chan *gort_timer_chan(const gort_timer *t);

// gort_after is gort_timer_chan(gort_new_timer(ns)). Go: time.After.
GORT_API gort_chan *gort_after(int64_t ns);

// gort_timer_stop keeps t from firing. No receive that begins after it returns gets a value of before.
// Returns true when t was going to fire, or had fired and nobody had received its value; false when it
// had expired or was stopped. A function that has been started already is not waited for. Does not
// close the channel, and does not wake those who wait on it. Go: Timer.Stop, Ticker.Stop.
GORT_API bool gort_timer_stop(gort_timer *t);

// gort_timer_reset makes t fire ns from now, whatever it was going to do; a ticker ticks every ns from
// then on, also when it was stopped. No receive that begins after it returns gets a value of before.
// Returns what gort_timer_stop would have. Panics with "non-positive interval for Ticker.Reset" when t
// is a ticker and ns is not positive. Go: Timer.Reset, Ticker.Reset.
GORT_API bool gort_timer_reset(gort_timer *t, int64_t ns);

GORT_END_DECLS
