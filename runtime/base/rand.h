// SPDX-License-Identifier: BSD-3-Clause
// A small fast generator for scheduling decisions and sampling; not for secrets.
#pragma once

#include "base/base.h"

// One step of wyrand: 64 well-mixed bits from a Weyl sequence. The state is owned by the caller.
RT_INLINE uint64_t
rt_rand_next(uint64_t *state)
{
	*state += 0xa0761d6478bd642full;
	__uint128_t m = (__uint128_t)*state * (*state ^ 0xe7037ed1a0b428dbull);
	return (uint64_t)(m >> 64) ^ (uint64_t)m;
}

// From the current M's generator; callable at depth > 0 only. uniform in [0, n).
uint64_t rt_fastrand64(void);
RT_INLINE uint32_t
rt_fastrandn(uint32_t n)
{
	return (uint32_t)(((rt_fastrand64() >> 32) * (uint64_t)n) >> 32);
}

// Fills buf from getrandom(2); falls back to clock and address bits where the call is refused.
void rt_random_bytes(void *buf, size_t n);
