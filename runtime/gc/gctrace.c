// SPDX-License-Identifier: BSD-3-Clause
// The gctrace line, byte for byte Go's:
//   gc N @Ts P%: c1+c2+c3 ms clock, p1+a/b/i+p3 ms cpu, h0->h1->h2 MB, G MB goal, S MB stacks,
//   R MB globals, M P [(forced)]
// docs/gctrace.md says what each number is and where it is measured. And the numbers of this and of the
// pacer's lines (pacer.c).
#include "base/print.h"
#include "gc/gc.h"

#define MB(bytes) ((unsigned long long)((bytes) >> 20))

char *
rt_msfmt(char buf[24], int64_t ns)
{
	if (ns >= 10 * 1000 * 1000) {
		rt_snprintf(buf, 24, "%lld", (long long)(ns / 1000000));
		return buf;
	}
	uint64_t x = (uint64_t)ns / 1000;
	if (x == 0) {
		rt_snprintf(buf, 24, "0");
		return buf;
	}
	int dec = 3;
	while (x >= 100) {
		x /= 10;
		dec--;
	}
	unsigned scale = dec == 3 ? 1000 : dec == 2 ? 100 : dec == 1 ? 10 : 1;
	if (dec == 0)
		rt_snprintf(buf, 24, "%llu", (unsigned long long)x);
	else
		rt_snprintf(buf, 24, "%llu.%0*llu", (unsigned long long)(x / scale), dec,
			    (unsigned long long)(x % scale));
	return buf;
}

static long double
power_of_ten(int n)
{
	long double p = 1;
	while (n-- > 0)
		p *= 10; // exact up to 10^27
	return p;
}

// d / 10^decimals; decimals < 0: zeros behind d.
static void
put_decimal(char *buf, uint64_t d, int decimals)
{
	char digits[24];
	int n = (int)rt_snprintf(digits, sizeof digits, "%llu", (unsigned long long)d);
	char *p = buf;
	for (int i = rt_max(n, decimals + 1); i > 0; i--) {
		*p++ = i > n ? '0' : digits[n - i];
		if (i == decimals + 1 && decimals > 0)
			*p++ = '.';
	}
	for (; decimals < 0; decimals++)
		*p++ = '0';
	*p = 0;
}

// Whether a decimal whose value is y but for long double's rounding is read as x. Where y is half way to
// the next double it may be either.
static bool
reads_as(long double y, double x)
{
	union {
		double d;
		uint64_t u;
	} next = {.d = x};
	next.u += y > x ? 1 : -1;
	long double off = y - x, gap = next.d - x;
	return (double)y == x && off * 2 != gap;
}

// By trying: with n digits the nearest decimal is an integer of at most 64 bits over a power of ten, both
// exact as long doubles.
char *
rt_shortest(char buf[64], double x)
{
	const double least = 1e-20, most = 1e25;
	if (!(x >= least && x < most)) {
		rt_snprintf(buf, 64, "%s", x != x ? "NaN" : x < least ? "0" : "+Inf");
		return buf;
	}
	int e = 0; // 10^e <= x < 10^(e+1)
	while (e < 25 && x >= power_of_ten(e + 1))
		e++;
	while (x < 1 / power_of_ten(-e))
		e--;
	for (int n = 1; n <= 17; n++) {
		int q = n - 1 - e;
		long double up = power_of_ten(q), down = power_of_ten(-q);
		uint64_t d = (uint64_t)(x * up / down + 0.5L);
		if (n == 17 || reads_as(d / up * down, x)) {
			put_decimal(buf, d, q);
			break;
		}
	}
	return buf;
}

void
rt_gctrace_print(const struct gc_times *t)
{
	int64_t c1 = t->mark - t->start, c2 = t->term - t->mark, c3 = t->end - t->term;
	int64_t procs = rt_gc_cpu_procs();
	int64_t since = (t->start - rt_gc.init_ns) / 1000000;
	char b[8][24];
	rt_printf("gc %u @%lld.%03llds %d%%: %s+%s+%s ms clock, %s+%s/%s/%s+%s ms cpu, "
		  "%llu->%llu->%llu MB, %llu MB goal, %llu MB stacks, %llu MB globals, %d P%s\n",
		  t->number, (long long)(since / 1000), (long long)(since % 1000),
		  (int)(t->fraction * 100), rt_msfmt(b[0], c1), rt_msfmt(b[1], c2),
		  rt_msfmt(b[2], c3), rt_msfmt(b[3], c1 * procs), rt_msfmt(b[4], rt_load(&t->assist_ns)),
		  rt_msfmt(b[5], rt_load(&t->dedicated_ns)), rt_msfmt(b[6], rt_load(&t->idle_ns)),
		  rt_msfmt(b[7], c3 * procs), MB(t->heap0), MB(t->heap1), MB(t->heap2), MB(t->goal),
		  MB(rt_load(&t->stack_bytes)), MB(t->global_bytes), t->maxprocs, t->forced ? " (forced)" : "");
}
