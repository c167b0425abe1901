// SPDX-License-Identifier: BSD-3-Clause
// Random programs over channels, run on gort, every outcome checked against an exhaustive model.
//
//   random [-s SEED] [-t MILLISECONDS] [-m RULE] [-p SEED] [-v]
//
// -s SEED: programs SEED, SEED+1, ...; -t: for how long; -p SEED: that program alone; -v: show every
// program; -m RULE: the model has that rule wrong (model.h), and the run succeeds when the difference
// is found, which shows that this test sees it.
//
// A deadlock or a panic ends the process, so programs run in a child, again and again until it dies; what
// they log lies in memory shared with the parent, which never starts the runtime itself.
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gort/chan.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

#include "chan/chan.h"
#include "model.h"
#include "sched/sanitize.h"
#include "sched/tls.h"

enum {
	MAX_STATES = 60000,
	RUNS = 300,	   // of a random program, or
	MS = 20,	   // if that is sooner
	LITMUS_SHARE = 40, // percent of the time go to those by hand
	MAX_DEATHS = 8,	   // of the child, for one random program
	HANG_SECONDS = 20, // for runs that should take milliseconds
	START_TICKS = 1500,
};

// Written by the child, read by the parent after its death.
static struct shared {
	struct outcome o; // of a run that ended
	// Of the run under way. A line each: the goroutines should meet on channels, not here.
	struct {
		_Alignas(64) uint64_t goid;
		struct logged log[MAX_OPS];
	} g[MAX_G];
	long runs;
	bool bad;
	uint8_t seen[4096]; // by index of the allowed outcome
} * shared;

static struct {
	const struct program *p;
	const struct model *m;
	struct rng rng;
	struct limits {
		long runs, deaths;
		int64_t end_ms; // by now_ms
	} limits;
} job;

static int64_t
now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// ---- in the child: one run ----

static struct run {
	gort_chan *c[MAX_CHANS];
	struct g *g[MAX_G]; // valid after ready[i]
	atomic_bool ready[MAX_G];
	atomic_bool gone[MAX_G];	    // ended, or about to block for ever on nil channels
	uint32_t delay[MAX_G][MAX_OPS + 1]; // before each operation
	bool together;			    // wait for each other before the first operation
	int patience; // in rounds: long enough for another P to steal somebody, or not
	_Alignas(64) atomic_int arrived;
	_Atomic uint64_t start; // cputicks
	gort_waitgroup wg;
} run;

static gort_chan *
channel(int c)
{
	return c < 0 ? NULL : run.c[c];
}

static void
pause_a_bit(uint32_t r)
{
	switch (r % 8) {
	case 0:
	case 1:
		gort_gosched();
		break;
	case 2:
		for (uint32_t i = r >> 3 & 7; i > 0; i--)
			gort_gosched();
		break;
	case 3:
	case 4:
		for (volatile uint32_t i = r >> 3 & 255; i > 0; i--)
			;
		break;
	case 5:
		if ((r >> 3 & 31) == 0)
			gort_sleep(1 + (r >> 8 & 4095));
		break;
	}
}

static bool
waits_in(const struct waitq *q, const struct g *gp)
{
	for (const struct sudog *sg = rt_load(&q->first); sg; sg = sg->next)
		if (sg->g == gp && (!sg->isselect || rt_load(&gp->selectdone) == 0))
			return true;
	return false;
}

// Queued on a channel and not yet matched: read under that channel's lock, so exact for a moment.
static bool
is_blocked(int who)
{
	if (!atomic_load(&run.ready[who]))
		return false;
	bool found = false;
	for (int c = 0; c < job.p->nchans && !found; c++) {
		struct hchan *ch = run.c[c];
		rt_enter();
		rt_chan_lock(ch);
		found = waits_in(&ch->recvq, run.g[who]) || waits_in(&ch->sendq, run.g[who]);
		rt_chan_unlock(ch);
		rt_leave();
	}
	return found;
}

static struct logged
do_select(const struct op *op)
{
	gort_select_case cs[MAX_CASES + 1];
	int32_t in[MAX_CASES] = {0}, out[MAX_CASES];
	bool ok[MAX_CASES];
	for (int i = 0; i < op->ncases; i++) {
		out[i] = op->cases[i].value;
		if (op->cases[i].send)
			cs[i] = GORT_SEND(channel(op->cases[i].chan), &out[i]);
		else
			cs[i] = GORT_RECV_OK(channel(op->cases[i].chan), &in[i], &ok[i]);
	}
	cs[op->ncases] = GORT_DEFAULT;
	int i = gort_select(cs, op->ncases + op->dflt);
	if (i == op->ncases)
		return (struct logged){MAX_CASES, 0};
	if (op->cases[i].send)
		return (struct logged){(uint8_t)i, 0};
	// A value and ok, or zero and not ok; anything else is no outcome at all.
	return (struct logged){(uint8_t)i, ok[i] == (in[i] != 0) ? (uint8_t)in[i] : 0xfe};
}

static struct logged
do_op(const struct op *op)
{
	gort_chan *c = channel(op->chan);
	int32_t v = op->value;
	switch (op->kind) {
	case OP_SEND:
		gort_chan_send(c, &v);
		return (struct logged){0, 0};
	case OP_RECV: {
		bool ok = gort_chan_recv(c, &v);
		return (struct logged){0, ok == (v != 0) ? (uint8_t)v : 0xfe};
	}
	case OP_TRY_SEND:
		return (struct logged){gort_chan_try_send(c, &v) ? TRY_DONE : TRY_BLOCKED, 0};
	case OP_TRY_RECV: {
		int r = gort_chan_try_recv(c, &v);
		uint8_t which = r == 1 ? TRY_DONE : r == GORT_CLOSED ? TRY_CLOSED : TRY_BLOCKED;
		return (struct logged){which, (uint8_t)v};
	}
	case OP_CLOSE:
		gort_chan_close(c);
		return (struct logged){0, 0};
	case OP_SELECT:
		return do_select(op);
	case OP_AWAIT:
		while (!atomic_load(&run.gone[op->who]) && !is_blocked(op->who))
			gort_gosched();
		return (struct logged){0, 0};
	}
	abort();
}

static bool
blocks_for_ever(const struct op *op)
{
	if (op->kind == OP_SEND || op->kind == OP_RECV)
		return op->chan < 0;
	if (op->kind != OP_SELECT || op->dflt)
		return false;
	for (int i = 0; i < op->ncases; i++)
		if (op->cases[i].chan >= 0)
			return false;
	return true;
}

// All that have a processor of their own go on at the same moment.
static void
start_together(void)
{
	if (atomic_fetch_add(&run.arrived, 1) + 1 == job.p->ng)
		atomic_store(&run.start, rt_cputicks() + START_TICKS);
	for (int spins = 1; atomic_load(&run.start) == 0; spins++)
		if (spins % run.patience == 0)
			gort_gosched();
	while ((int64_t)(rt_cputicks() - atomic_load(&run.start)) < 0)
		;
}

static void
goroutine(int g)
{
	shared->g[g].goid = gort_goid();
	run.g[g] = rt_getg();
	atomic_store(&run.ready[g], true);
	if (run.together)
		start_together();
	for (int i = 0; i < job.p->nops[g]; i++) {
		const struct op *op = &job.p->ops[g][i];
		pause_a_bit(run.delay[g][i]);
		if (blocks_for_ever(op))
			atomic_store(&run.gone[g], true);
		shared->g[g].log[i] = do_op(op);
	}
	atomic_store(&run.gone[g], true);
	gort_waitgroup_done(&run.wg);
}

static struct outcome
logged_outcome(enum end end)
{
	struct outcome o = {.end = (uint8_t)end};
	for (int g = 0; g < MAX_G; g++)
		memcpy(o.log[g], shared->g[g].log, sizeof o.log[g]);
	return o;
}

// Says whether the outcome is allowed. Does not come back from a deadlock or a panic.
static bool
run_once(const struct program *p)
{
	run = (struct run){.together = rng_below(&job.rng, 4) != 0};
	for (int g = 0; g < MAX_G; g++) {
		shared->g[g].goid = 0;
		memset(shared->g[g].log, 0xff, sizeof shared->g[g].log);
	}
	run.patience = gort_maxprocs(0) == 1 ? 1 : 1 << rng_below(&job.rng, 17);
	bool hurry = rng_below(&job.rng, 2);
	for (int g = 0; g < p->ng; g++)
		for (int i = 0; i < p->nops[g]; i++)
			run.delay[g][i] = hurry ? 7 : rng_below(&job.rng, 1u << 20);
	for (int c = 0; c < p->nchans; c++)
		run.c[c] = gort_make_chan(int32_t, p->cap[c]);
	gort_waitgroup_add(&run.wg, p->ng);
	uint32_t turn = rng_below(&job.rng, (uint32_t)p->ng);
	for (int g = 0; g < p->ng; g++)
		gort_go(goroutine, (int)((uint32_t)g + turn) % p->ng);
	gort_waitgroup_wait(&run.wg);
	struct outcome o = logged_outcome(END_DONE);
	for (int c = 0; c < p->nchans; c++)
		o.len[c] = (uint8_t)gort_chan_len(run.c[c]);
	int i = model_find(job.m, &o);
	shared->o = o;
	if (i >= 0)
		shared->seen[i] = 1;
	return i >= 0;
}

static int
app(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	while (shared->runs < job.limits.runs && now_ms() < job.limits.end_ms) {
		if (!run_once(job.p)) {
			shared->bad = true;
			return 0;
		}
		shared->runs++;
	}
	return 0;
}

// ---- in the parent ----

static struct {
	long programs, runs, deadlocks, panics, allowed, seen, too_large;
} total;

static FILE *child_stderr;

static void
be_the_child(int procs)
{
	char number[16];
	snprintf(number, sizeof number, "%d", procs);
	setenv("GORT_MAXPROCS", number, 1);
	setenv("GORT_TRACEBACK", "single", 1);
	dup2(fileno(child_stderr), 2);
	alarm(HANG_SECONDS);
	gort_run(app, 0, NULL);
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

// The outcome of a run that ended the process, from what it printed. False: it printed something else.
static bool
fatal_outcome(const char *text, const struct program *p, struct outcome *o)
{
	static const char *const panics[ENDS] = {
		[END_SEND_CLOSED] = "panic: send on closed channel\n",
		[END_CLOSE_CLOSED] = "panic: close of closed channel\n",
		[END_CLOSE_NIL] = "panic: close of nil channel\n",
	};
	*o = logged_outcome(END_DEADLOCK);
	if (begins(text, "fatal error: all goroutines are asleep - deadlock!\n"))
		return true;
	for (int end = END_SEND_CLOSED; end < ENDS; end++) {
		const char *who = strstr(text, "\ngoroutine ");
		if (!begins(text, panics[end]) || !who)
			continue;
		unsigned long long goid = strtoull(who + strlen("\ngoroutine "), NULL, 10);
		*o = (struct outcome){.end = (uint8_t)end};
		for (int g = 0; g < p->ng; g++)
			if (shared->g[g].goid == goid) {
				o->culprit = (uint8_t)g;
				memcpy(o->log[g], shared->g[g].log, sizeof o->log[g]);
				return true;
			}
	}
	return false;
}

static void
report(const struct program *p, const struct model *m, const struct outcome *o, int procs)
{
	printf("This program, at %d processors:\n", procs);
	print_program(stdout, p);
	printf("  came to\n");
	print_outcome(stdout, p, o);
	printf("  which is none of %d allowed outcomes", model_outcomes(m));
	printf(model_outcomes(m) > 12 ? ", among them\n" : "\n");
	for (int i = 0; i < model_outcomes(m) && i < 12; i++)
		print_outcome(stdout, p, model_outcome(m, i));
}

// After the child's end. False: the program did what it may not.
static bool
judge(const struct program *p, const struct model *m, int status, int procs)
{
	char text[8192];
	rewind(child_stderr);
	text[fread(text, 1, sizeof text - 1, child_stderr)] = 0;
	struct outcome o;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		if (shared->bad)
			report(p, m, &shared->o, procs);
		return !shared->bad;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 2 || !fatal_outcome(text, p, &o)) {
		printf("This program, at %d processors:\n", procs);
		print_program(stdout, p);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			printf("  hangs; so far:\n");
		else
			printf("  ended with status 0x%x and\n%s  so far:\n", status, text);
		o = logged_outcome(END_DEADLOCK);
		print_outcome(stdout, p, &o);
		return false;
	}
	int i = model_find(m, &o);
	if (i < 0) {
		report(p, m, &o, procs);
		return false;
	}
	shared->seen[i] = 1;
	shared->runs++;
	if (o.end == END_DEADLOCK)
		total.deadlocks++;
	else
		total.panics++;
	return true;
}

// One child: runs until it is done or dies. False: a bad outcome.
static bool
run_child(const struct program *p, const struct model *m, int procs, bool *died)
{
	rewind(child_stderr);
	if (ftruncate(fileno(child_stderr), 0) != 0)
		perror("ftruncate");
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		be_the_child(procs);
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("fork");
		exit(1);
	}
	*died = status != 0;
	return judge(p, m, status, procs);
}

static bool
check(const struct program *p, const struct model *m, uint64_t seed, struct limits limits)
{
	memset(shared, 0, sizeof *shared);
	job.p = p;
	job.m = m;
	job.limits = limits;
	bool good = true;
	uint64_t i = seed;
	for (long deaths = 0; good && deaths < limits.deaths; i++) {
		bool died;
		job.rng.s = i;
		good = run_child(p, m, (int[]){2, 1, 4, 2}[i % 4], &died);
		deaths += died;
		if (shared->runs >= limits.runs || now_ms() >= limits.end_ms)
			break;
	}
	total.programs++;
	total.runs += shared->runs;
	total.allowed += model_outcomes(m);
	for (int i = 0; i < model_outcomes(m); i++)
		total.seen += shared->seen[i];
	return good;
}

struct options {
	uint64_t seed;
	int64_t ms;
	enum rule broken;
	bool one, verbose;
};

static bool
may_deadlock(const struct model *m)
{
	for (int i = 0; i < model_outcomes(m); i++)
		if (model_outcome(m, i)->end == END_DEADLOCK)
			return true;
	return false;
}

static bool
check_program(const struct program *p, const struct options *opt, uint64_t seed,
	      struct limits limits)
{
	struct model *m = model_explore(p, opt->broken, MAX_STATES);
	if (!m) {
		total.too_large++;
		return true;
	}
	// A deadlock is not reported then: TSan has a thread of its own, which could send.
	if (RT_TSAN && may_deadlock(m)) {
		model_free(m);
		return true;
	}
	long before = total.seen;
	bool good = check(p, m, seed, limits);
	if (opt->verbose) {
		print_program(stdout, p);
		printf("    %d allowed, %ld seen\n", model_outcomes(m), total.seen - before);
	}
	model_free(m);
	return good;
}

// Each in two halves, at different numbers of processors.
static bool
check_litmus(const struct options *opt)
{
	struct program p;
	const char *name;
	int n = 0;
	while (litmus(&p, n, &name))
		n++;
	for (int i = 0; i < 2 * n; i++) {
		litmus(&p, i / 2, &name);
		if (opt->verbose)
			printf("%s\n", name);
		struct limits limits = {.runs = LONG_MAX,
					.deaths = LONG_MAX,
					.end_ms =
						now_ms() + opt->ms * LITMUS_SHARE / 100 / (2 * n)};
		if (!check_program(&p, opt, opt->seed + (uint64_t)i, limits)) {
			printf("  (%s)\n", name);
			return false;
		}
	}
	return true;
}

static bool
check_random(const struct options *opt)
{
	int64_t ms = opt->ms * (opt->one ? 100 : 100 - LITMUS_SHARE) / 100;
	// A wrong rule ends it at the first difference; a busy machine comes to that late.
	int64_t end = now_ms() + (opt->broken != RULE_NONE ? 10 * ms : ms);
	for (uint64_t seed = opt->seed; now_ms() < end; seed++) {
		struct program p;
		generate(&p, seed);
		struct limits limits = {RUNS, MAX_DEATHS, now_ms() + MS};
		if (opt->one)
			limits = (struct limits){LONG_MAX, LONG_MAX, end};
		if (!check_program(&p, opt, seed, limits)) {
			printf("  again: random -p %llu\n", (unsigned long long)seed);
			return false;
		}
	}
	return true;
}

static _Noreturn void
usage(void)
{
	printf("usage: random [-s SEED] [-t MILLISECONDS] [-m RULE] [-p SEED] [-v]\nrules:");
	for (int i = 1; i < RULES; i++)
		printf(" %s", rule_names[i]);
	printf("\n");
	exit(2);
}

static struct options
parse(int argc, char **argv)
{
	const char *ms = getenv("GORT_STRESS_MS");
	struct options opt = {.seed = (uint64_t)time(NULL) * 1000003, .ms = ms ? atoll(ms) : 8000};
	for (int c; (c = getopt(argc, argv, "s:t:m:p:v")) != -1;) {
		switch (c) {
		case 's':
		case 'p':
			opt.seed = strtoull(optarg, NULL, 0);
			opt.one = c == 'p';
			break;
		case 't':
			opt.ms = atoll(optarg);
			break;
		case 'm':
			while (++opt.broken < RULES && strcmp(optarg, rule_names[opt.broken]) != 0)
				;
			if (opt.broken == RULES)
				usage();
			break;
		case 'v':
			opt.verbose = true;
			break;
		default:
			usage();
		}
	}
	return opt;
}

#if RT_TSAN
const char *__tsan_default_options(void);
const char *
__tsan_default_options(void)
{
	return "atexit_sleep_ms=0"; // a second otherwise, for each child
}
#endif

int
main(int argc, char **argv)
{
	struct options opt = parse(argc, argv);
	printf("seed %llu\n", (unsigned long long)opt.seed);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	child_stderr = tmpfile();
	if (shared == MAP_FAILED || !child_stderr) {
		perror("random");
		return 1;
	}
	bool good = (opt.one || check_litmus(&opt)) && check_random(&opt);
	printf("%ld programs, %ld runs (%ld deadlocks, %ld panics), %ld of %ld allowed outcomes "
	       "seen; %ld programs too large\n",
	       total.programs, total.runs, total.deadlocks, total.panics, total.seen, total.allowed,
	       total.too_large);
	if (opt.broken != RULE_NONE) {
		printf(good ? "FAILED: the wrong rule went unnoticed\n"
			    : "as it should, with %s wrong\n",
		       rule_names[opt.broken]);
		return good;
	}
	if (!good)
		printf("FAILED\n");
	return !good;
}
