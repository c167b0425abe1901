// SPDX-License-Identifier: BSD-3-Clause
// GORT_DEBUG=schedtrace=X[,scheddetail=1]: a line every X ms from sysmon, in Go's present form. Counters
// are read without stopping anything, so a line is a close guess, not a snapshot.
//
// Fields that stand for something this runtime has not are printed for readers of the format, and are
// constant: needspinning (release_and_sleep always looks again, so nobody has to be asked to),
// mallocing, throwing, preemptoff and locks (one depth word a thread says it all, and is not another
// thread's to read).
// Go: schedtrace in runtime/proc.go.
#include "base/print.h"
#include "debug/env.h"
#include "os/os.h"
#include "sched/sched.h"

// The summary grows with the number of Ps; one write keeps the line whole.
struct line {
	char buf[8192];
	size_t len;
};

#define ADD(l, ...)                                                                                \
	((l)->len = rt_min((l)->len + rt_snprintf((l)->buf + (l)->len, sizeof(l)->buf - (l)->len,  \
						  __VA_ARGS__),                                    \
			   sizeof(l)->buf - 1))

static const char *
yes(bool b)
{
	return b ? "true" : "false";
}

static const char *
number_or_nil(char buf[24], bool there, int64_t n)
{
	if (!there)
		return "nil";
	rt_snprintf(buf, 24, "%ld", n);
	return buf;
}

static void
print_p(const struct p *pp)
{
	char m[24];
	const struct m *mp = pp->m;
	rt_printf("  P%d: status=%u schedtick=%u syscalltick=%u m=%s runqsize=%u gfreecnt=%u timerslen=%u\n",
		  pp->id, rt_load(&((struct p *)pp)->status), pp->schedtick, pp->syscalltick,
		  number_or_nil(m, mp, mp ? mp->id : 0), rt_runqsize((struct p *)pp), pp->ngfree,
		  pp->ntimers);
}

static void
print_m(const struct m *mp)
{
	char p[24], curg[24], lockedg[24];
	const struct p *pp = mp->p;
	const struct g *gp = mp->curg;
	const struct g *lg = mp->lockedg;
	rt_printf("  M%ld: p=%s curg=%s mallocing=0 throwing=0 preemptoff= locks=0 dying=%d spinning=%s blocked=%s lockedg=%s\n",
		  mp->id, number_or_nil(p, pp, pp ? pp->id : 0),
		  number_or_nil(curg, gp, gp ? (int64_t)gp->goid : 0), rt_load(&sched.dying),
		  yes(mp->spinning), yes(!pp), number_or_nil(lockedg, lg, lg ? (int64_t)lg->goid : 0));
}

static void
print_g(const struct g *gp)
{
	char m[24], lm[24];
	const struct m *mp = gp->m;
	rt_printf("  G%lu: status=%u(%s) m=%s lockedm=%s\n", gp->goid,
		  rt_load(&((struct g *)gp)->status), rt_wait_reason_text(gp->waitreason),
		  number_or_nil(m, mp, mp ? mp->id : 0),
		  number_or_nil(lm, gp->lockedm, gp->lockedm ? gp->lockedm->id : 0));
}

static void
print_detail(void)
{
	for (int32_t i = 0; i < nallp; i++)
		print_p(allp[i]);
	for (struct m *mp = rt_load_acquire(&allm); mp; mp = mp->alllink)
		print_m(mp);
	for (struct g *gp = rt_load_acquire(&allgs); gp; gp = gp->alllink)
		print_g(gp);
}

static void
print_summary(int64_t ms)
{
	struct line l = {.len = 0};
	ADD(&l, "SCHED %ldms: gomaxprocs=%d idleprocs=%d threads=%d spinningthreads=%d needspinning=0 idlethreads=%d runqueue=%d",
	    ms, gomaxprocs, rt_load(&sched.npidle), rt_load(&sched.mcount),
	    rt_load(&sched.nmspinning),
	    rt_load(&sched.nmidle), rt_load(&sched.runqsize));
	if (rt_debug.scheddetail) {
		ADD(&l, " gcwaiting=%s nmidlelocked=%d stopwait=%d sysmonwait=%s\n",
		    yes(rt_load(&sched.gcwaiting)), rt_load(&sched.nmidlelocked),
		    rt_load(&sched.stopwait), yes(rt_load(&sched.sysmonwait)));
	} else {
		ADD(&l, " [");
		for (int32_t i = 0; i < gomaxprocs; i++)
			ADD(&l, " %u", rt_runqsize(allp[i]));
		ADD(&l, " ] schedticks=[");
		for (int32_t i = 0; i < gomaxprocs; i++)
			ADD(&l, " %u", rt_load(&allp[i]->schedtick));
		ADD(&l, " ]\n");
	}
	rt_write_err(l.buf, l.len);
}

void
rt_schedtrace(int64_t now)
{
	static int64_t first, last;
	if (first == 0)
		first = now;
	else if (now - last < (int64_t)rt_debug.schedtrace * 1000000)
		return;
	last = now;
	print_summary((now - first) / 1000000);
	if (rt_debug.scheddetail)
		print_detail();
}
