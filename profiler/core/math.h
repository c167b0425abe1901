// SPDX-License-Identifier: BSD-3-Clause
// The two transcendental functions that sampling needs, so that nothing here depends on libm: a
// preloaded library brings libc and zlib into its host, nothing else.
#pragma once

#include "base/base.h"

#define RTP_LN2 0.69314718055994530942

// Natural logarithm of a positive, normal x. Relative error below 1e-10.
RT_INLINE double
rtp_ln(double x)
{
	union {
		double d;
		uint64_t u;
	} v = { .d = x };
	int e = (int)(v.u >> 52) - 1023;
	v.u = (v.u & 0xfffffffffffffull) | 1023ull << 52;
	if (v.d > 1.4142135623730951) {
		v.d /= 2;
		e++;
	}
	// ln m = 2 atanh s, |s| <= 0.172
	double s = (v.d - 1) / (v.d + 1), s2 = s * s, sum = 0;
	for (int k = 13; k > 0; k -= 2)
		sum = sum * s2 + 1.0 / k;
	return e * RTP_LN2 + 2 * s * sum;
}

// 1 - exp(-x) for x >= 0, without cancellation for small x. Relative error below 1e-12.
RT_INLINE double
rtp_one_minus_exp(double x)
{
	if (x > 40)
		return 1;
	// exp(-x) = 2^-k exp(-r), 0 <= r < ln 2; q = 1 - exp(-r) by its series.
	int k = (int)(x / RTP_LN2);
	double r = x - k * RTP_LN2, q = 0;
	for (int i = 16; i > 0; i--)
		q = r / i * (1 - q);
	double p = 1;
	for (int i = 0; i < k; i++)
		p /= 2;
	return (1 - p) + p * q;
}
