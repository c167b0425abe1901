// SPDX-License-Identifier: BSD-3-Clause
// The words every file of the runtime uses: attributes, alignment, checked arithmetic.
#pragma once

#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define rt_likely(x) __builtin_expect(!!(x), 1)
#define rt_unlikely(x) __builtin_expect(!!(x), 0)

#define RT_NOINLINE __attribute__((noinline))
#define RT_INLINE static inline __attribute__((always_inline))
#define RT_COLD __attribute__((cold, noinline))
// After a call whose caller must stay on the stack (profiles count frames): no tail call.
#define RT_KEEP_FRAME() __asm__ volatile("" ::: "memory")
#define RT_ALIGNED(n) __attribute__((aligned(n)))
#define RT_HOT_LINE RT_ALIGNED(64)

#define rt_nelem(a) (sizeof(a) / sizeof((a)[0]))
#define rt_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define rt_min(a, b)                                                                               \
	({                                                                                         \
		__typeof__(a) rt_a_ = (a);                                                         \
		__typeof__(b) rt_b_ = (b);                                                         \
		rt_a_ < rt_b_ ? rt_a_ : rt_b_;                                                     \
	})
#define rt_max(a, b)                                                                               \
	({                                                                                         \
		__typeof__(a) rt_a_ = (a);                                                         \
		__typeof__(b) rt_b_ = (b);                                                         \
		rt_a_ > rt_b_ ? rt_a_ : rt_b_;                                                     \
	})

// n must be a power of two.
#define rt_round_up(x, n) (((x) + ((n)-1)) & ~((__typeof__(x))(n)-1))
#define rt_round_down(x, n) ((x) & ~((__typeof__(x))(n)-1))

// Relaxed access to a plain-looking atomic; the comment beside the use says why relaxed is enough.
#define rt_load(p) atomic_load_explicit((p), memory_order_relaxed)
#define rt_store(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define rt_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define rt_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)

// x += n for an atomic that only its owner (or the holder of its lock) writes: no locked instruction.
#define RT_BUMP(p, n) rt_store((p), rt_load(p) + (n))

#if defined(__SANITIZE_ADDRESS__)
#define RT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define RT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RT_TSAN 1
#endif
#endif
#ifndef RT_ASAN
#define RT_ASAN 0
#endif
#ifndef RT_TSAN
#define RT_TSAN 0
#endif

#define RT_CACHE_LINE 64
