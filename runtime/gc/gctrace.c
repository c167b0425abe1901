// SPDX-License-Identifier: BSD-3-Clause
// The gctrace line, byte for byte Go's:
//   gc N @Ts P%: c1+c2+c3 ms clock, p1+a/b/i+p3 ms cpu, h0->h1->h2 MB, G MB goal, S MB stacks,
//   R MB globals, M P [(forced)]
// docs/gctrace.md says what each number is and where it is measured.
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
