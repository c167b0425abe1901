// SPDX-License-Identifier: BSD-3-Clause
// gort run: starts a program with libgort-preload.so in it and writes what that recorded, in this
// process. The program keeps its stdin, its signals and its exit status: what the terminal sends reaches
// it anyway, what is sent to gort alone is passed on, and a death by signal is died again.
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/thread.h"
#include "gort/collect.h"
#include "gort/gort.h"
#include "http/http.h"
#include "sources/sources.h"

struct run {
	bool cpu, heap, block, mutex, threadcreate, wall, quiet;
	int hz;
	long long mem_rate;
	double duration; // seconds; 0: until it ends
	const char *out, *http;
	struct exe exe;
	char preload[PATH_MAX], out_path[PATH_MAX];
	char *const *argv;
	struct collection c;
	sigset_t mask; // as we got it
	int child, status, signals;
	bool over, duration_over;
	int64_t start, end;
	struct rusage usage;
};

static const char help[] =
	"usage: gort run [OPTIONS] [--] PROGRAM [ARGUMENTS]\n"
	"\n"
	"Runs PROGRAM under the profilers and writes PROGRAM.PID.KIND.pb.gz for go tool pprof, for it and\n"
	"for every process that it starts. Without a choice: -cpu -heap.\n"
	"\n"
	"  -cpu              where CPU time goes\n"
	"  -heap             what is allocated, what is in use, and where\n"
	"  -block            where threads wait: locks, conditions, semaphores, joins\n"
	"  -mutex            which unlocks others had waited for\n"
	"  -threadcreate     where threads are created\n"
	"  -wall             where threads spend time, running or waiting\n"
	"  -rate HZ          CPU samples a second of CPU time; 100\n"
	"  -memrate BYTES    mean number of bytes allocated between two heap samples; 524288\n"
	"  -duration D       write after D (30s, 5m, 1h) and profile no longer; the program goes on\n"
	"  -http ADDR        serve /debug/pprof meanwhile: localhost:6060, or :6060 for the same; another\n"
	"                    address needs a secret in GORT_HTTP_TOKEN\n"
	"  -o DIR            folder of the files; made if missing. The current one\n"
	"  -q                no report\n"
	"\n"
	"The exit status is PROGRAM's; 2 when it is refused, 127 when it is not found.\n";

// ---- options ----

static bool
parse_duration(const char *s, double *v)
{
	char *end;
	*v = strtod(s, &end);
	if (end == s || *v <= 0 || !isfinite(*v))
		return false;
	if (strcmp(end, "m") == 0)
		*v *= 60;
	else if (strcmp(end, "h") == 0)
		*v *= 3600;
	else if (strcmp(end, "ms") == 0)
		*v /= 1000;
	else if (*end && strcmp(end, "s") != 0)
		return false;
	return true;
}

static bool
parse_rate(const char *s, int *hz)
{
	char *end;
	long v = strtol(s, &end, 10);
	*hz = (int)v;
	return end != s && !*end && v >= 1 && v <= 10000;
}

enum { OPT_CPU = 256, OPT_HEAP, OPT_BLOCK, OPT_MUTEX, OPT_THREADCREATE, OPT_WALL, OPT_RATE, OPT_DURATION, OPT_HTTP, OPT_MEMRATE, OPT_HELP };

static bool
option(struct run *r, int opt)
{
	char *end;
	switch (opt) {
	case OPT_CPU:
		return r->cpu = true;
	case OPT_HEAP:
		return r->heap = true;
	case OPT_BLOCK:
		return r->block = true;
	case OPT_MUTEX:
		return r->mutex = true;
	case OPT_THREADCREATE:
		return r->threadcreate = true;
	case OPT_WALL:
		return r->wall = true;
	case OPT_RATE:
		if (parse_rate(optarg, &r->hz))
			return true;
		say("-rate %s: a whole number from 1 to 10000 is needed", optarg);
		return false;
	case OPT_DURATION:
		if (parse_duration(optarg, &r->duration))
			return true;
		say("-duration %s: a time like 30s, 5m or 1h is needed", optarg);
		return false;
	case OPT_MEMRATE:
		r->mem_rate = strtoll(optarg, &end, 10);
		if (end != optarg && !*end && r->mem_rate > 0)
			return true;
		say("-memrate %s: a number of bytes is needed", optarg);
		return false;
	case OPT_HTTP:
		r->http = optarg;
		return true;
	case 'o':
		r->out = optarg;
		return true;
	case 'q':
		return r->quiet = true;
	default:
		return false;
	}
}

// 0: go on; otherwise 1 + the exit status.
static int
options(struct run *r, int argc, char **argv)
{
	static const struct option known[] = {
		{ "cpu", no_argument, NULL, OPT_CPU },
		{ "heap", no_argument, NULL, OPT_HEAP },
		{ "allocs", no_argument, NULL, OPT_HEAP },
		{ "block", no_argument, NULL, OPT_BLOCK },
		{ "mutex", no_argument, NULL, OPT_MUTEX },
		{ "threadcreate", no_argument, NULL, OPT_THREADCREATE },
		{ "wall", no_argument, NULL, OPT_WALL },
		{ "rate", required_argument, NULL, OPT_RATE },
		{ "duration", required_argument, NULL, OPT_DURATION },
		{ "memrate", required_argument, NULL, OPT_MEMRATE },
		{ "http", required_argument, NULL, OPT_HTTP },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 },
	};
	*r = (struct run){ .hz = 100, .mem_rate = 524288, .out = "." };
	argv[0] = "gort run";
	// +: what follows the program is its own.
	for (int opt; (opt = getopt_long_only(argc, argv, "+o:q", known, NULL)) != -1;) {
		if (opt == OPT_HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (!option(r, opt)) {
			fputs("gort run -help says more.\n", stderr);
			return 3;
		}
	}
	if (optind >= argc) {
		fputs(help, stderr);
		return 3;
	}
	r->argv = argv + optind;
	if (!r->cpu && !r->heap && !r->block && !r->mutex && !r->threadcreate && !r->wall)
		r->cpu = r->heap = true;
	return 0;
}

// ---- before the start ----

static int
find_and_judge(struct run *r)
{
	char path[PATH_MAX];
	const char *todo;
	if (!find_program(r->argv[0], path, sizeof(path))) {
		say("%s: %s", r->argv[0], strerror(errno));
		return errno == EACCES ? 127 : 128;
	}
	inspect(path, &r->exe);
	const char *why = refusal(&r->exe, &todo);
	if (why) {
		say("%s cannot be profiled: %s", path, why);
		if (*todo)
			say("%s", todo);
		return 3;
	}
	if (!find_preload(r->preload, sizeof(r->preload))) {
		say("libgort-preload.so was not found; GORT_PRELOAD can name it");
		return 3;
	}
	if (strpbrk(r->preload, " :")) {
		say("%s: the loader cannot preload a path with a blank or a colon in it", r->preload);
		return 3;
	}
	if (r->exe.own_malloc && r->heap)
		say("%s defines its own malloc: its heap profile will be empty", path);
	if (r->exe.runtime && r->wall)
		say("%s is a gort program: its wall profile is /debug/pprof/wall", path);
	return 0;
}

static int
prepare_out(struct run *r)
{
	if (mkdir(r->out, 0777) != 0 && errno != EEXIST) {
		say("%s: %s", r->out, strerror(errno));
		return 3;
	}
	if (!realpath(r->out, r->out_path) || access(r->out, W_OK | X_OK) != 0) {
		say("cannot write profiles to %s: %s", r->out, strerror(errno));
		return 3;
	}
	if (!collect_start(&r->c, r->out)) {
		say("cannot listen in %s: %s", r->c.dir, strerror(errno));
		return 3;
	}
	r->c.quiet = r->quiet;
	return 0;
}

static void
set_preload(const struct run *r)
{
	char value[2 * PATH_MAX];
	const char *old = getenv("LD_PRELOAD");
	snprintf(value, sizeof(value), "%s%s%s", r->preload, old && *old ? ":" : "", old ? old : "");
	setenv("LD_PRELOAD", value, 1);
	old = getenv("ASAN_OPTIONS");
	snprintf(value, sizeof(value), "%s%sverify_asan_link_order=0", old ? old : "", old && *old ? ":" : "");
	if (r->exe.asan) // its library wants to come first; second is early enough
		setenv("ASAN_OPTIONS", value, 1);
	snprintf(value, sizeof(value), "rate=%d,memrate=%lld,parent=%s%s%s%s%s%s%s%s", r->hz, r->mem_rate, r->c.socket,
		 r->cpu ? ",cpu" : "", r->heap ? ",heap" : "", r->block ? ",block" : "",
		 r->mutex ? ",mutex" : "", r->threadcreate ? ",threadcreate" : "", r->wall ? ",wall" : "", r->http ? ",wishes" : "");
	setenv("GORT_PROFILE", value, 1);
}

// A gort program has its own profiler: it writes its own files.
static void
set_runtime(const struct run *r)
{
	const struct {
		const char *variable, *kind;
		bool on;
	} v[] = { { "GORT_CPUPROFILE", "cpu", r->cpu },
		  { "GORT_MEMPROFILE", "heap", r->heap },
		  { "GORT_BLOCKPROFILE", "block", r->block },
		  { "GORT_MUTEXPROFILE", "mutex", r->mutex } };
	const char *base = strrchr(r->exe.path, '/');
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char value[2 * PATH_MAX + 64];
		snprintf(value, sizeof(value), "%s/%s.%%p.%s.pb.gz", r->out_path, base ? base + 1 : r->exe.path,
			 v[i].kind);
		if (v[i].on)
			setenv(v[i].variable, value, 0);
	}
	if (r->http)
		setenv("GORT_HTTP", r->http, 0);
}

// ---- while it runs ----

static bool
passed_on(int sig)
{
	return sig != SIGCHLD && sig != SIGKILL && sig != SIGSTOP && sig != SIGTSTP && sig != SIGTTIN &&
	       sig != SIGTTOU && sig != SIGSEGV && sig != SIGBUS && sig != SIGFPE && sig != SIGILL &&
	       sig != SIGABRT && sig != SIGTRAP && sig != SIGSYS && sig != SIGPIPE;
}

static bool
watch_signals(struct run *r)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (int s = 1; s < 32; s++)
		if (passed_on(s))
			sigaddset(&set, s);
	sigprocmask(SIG_BLOCK, &set, &r->mask);
	signal(SIGPIPE, SIG_IGN);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals >= 0;
}

static void
exec_program(const struct run *r, bool sigpipe_ignored)
{
	if (r->exe.runtime)
		set_runtime(r);
	else
		set_preload(r);
	if (!sigpipe_ignored)
		signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &r->mask, NULL);
	execvp(r->argv[0], r->argv);
	say("%s: %s", r->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void
reap(struct run *r)
{
	int status;
	struct rusage u;
	for (int pid; (pid = wait4(-1, &status, WNOHANG, &u)) > 0;)
		if (pid == r->child && (WIFEXITED(status) || WIFSIGNALED(status))) {
			r->status = status;
			r->usage = u;
			r->over = true;
			r->end = collect_now();
		}
}

static void
take_signal(struct run *r)
{
	struct signalfd_siginfo si;
	while (read(r->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(r);
		else if (si.ssi_code <= 0) // sent to us by a process; the kernel's went to the whole group
			kill(r->child, (int)si.ssi_signo);
	}
}

static void
wish_no_more(struct rtp_region *r)
{
	rt_store(&r->want_hz, -1);
	rt_store(&r->want_wall, -1);
}

static void
stop_profiling(struct run *r)
{
	r->duration_over = true;
	for (int i = 0; i < r->c.n; i++)
		if (r->c.proc[i].r)
			wish_no_more(r->c.proc[i].r);
	// Their background threads stop the timers and fold the last samples within two ticks.
	nanosleep(&(struct timespec){ .tv_nsec = 250000000 }, NULL);
	collect_write_all(&r->c);
}

static int
poll_timeout(const struct run *r)
{
	if (r->duration <= 0 || r->duration_over)
		return 1000;
	double left = r->duration - (double)(collect_now() - r->start) / 1e9;
	return left <= 0 ? 0 : left > 1 ? 1000 : (int)(left * 1000) + 1;
}

static int64_t
cpu_of(int pid)
{
	struct timespec ts;
	clockid_t id;
	if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &ts) != 0)
		return 0;
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// The pages are about the program itself, as what it is since it last called exec; where another process does ten
// times its work (it is a shell, or the master of workers), about the first such one till it ends.
static void
show_main_process(struct run *r)
{
	struct rtp_region *own = NULL, *other = NULL, *busy = NULL, *now = rtp_main_peek();
	int64_t least = 10 * (cpu_of(r->child) + 1000000);
	for (int i = 0; i < r->c.n; i++) {
		const struct proc *p = &r->c.proc[i];
		if (!p->r || p->seen_end)
			continue;
		if (p->pid == r->child)
			own = p->r;
		else if (p->r == now || (!busy && cpu_of(p->pid) >= least))
			busy = p->r;
		else if (!other)
			other = p->r;
	}
	struct rtp_region *best = busy ? busy : own ? own : other;
	if (best && best != now)
		rtp_main_use(best);
}

static void
wait_once(struct run *r)
{
	struct pollfd p[2] = { { r->signals, POLLIN, 0 }, { r->c.arrived, POLLIN, 0 } };
	poll(p, 2, poll_timeout(r));
	if (p[1].revents)
		collect_accept(&r->c);
	if (r->http && !r->exe.runtime)
		show_main_process(r);
	if (p[0].revents)
		take_signal(r);
	collect_ended(&r->c);
	if (r->duration > 0 && !r->duration_over &&
	    (double)(collect_now() - r->start) / 1e9 >= r->duration)
		stop_profiling(r);
}

// ---- the end ----

static double
seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

// A process that the program left behind may not have announced itself yet. Whether there are any is
// known: they became our children.
static void
await_daemons(struct run *r)
{
	siginfo_t si;
	int64_t until = collect_now() + 500000000;
	while (collect_running(&r->c) == 0 && collect_now() < until) {
		reap(r);
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != 0)
			return;
		struct pollfd p = { r->c.arrived, POLLIN, 0 };
		if (poll(&p, 1, 20) == 1)
			collect_accept(&r->c);
	}
}

static void
summarize(const struct run *r, int running)
{
	char end[64], sampled[64] = "", rest[96] = "";
	double cpu = seconds(r->usage.ru_utime) + seconds(r->usage.ru_stime);
	int64_t ns = 0;
	int procs = 0;
	for (int i = 0; i < r->c.n; i++) {
		ns += r->c.proc[i].cpu_ns;
		procs += r->c.proc[i].written > 0;
	}
	if (WIFSIGNALED(r->status))
		snprintf(end, sizeof(end), "was killed by SIG%s", sigabbrev_np(WTERMSIG(r->status)));
	else
		snprintf(end, sizeof(end), "exited with %d", WEXITSTATUS(r->status));
	if (r->cpu)
		snprintf(sampled, sizeof(sampled), ", %.2f s sampled", (double)ns / 1e9);
	if (r->exe.runtime) {
		say("%s (%d) %s after %.2f s, %.2f s of CPU time; it is a gort program, its own profiler wrote to %s",
		    r->argv[0], r->child, end, (double)(r->end - r->start) / 1e9, cpu, r->out);
		return;
	}
	if (running)
		snprintf(rest, sizeof(rest), "; %d processes go on, their files follow when they end", running);
	say("%s (%d) %s after %.2f s, %.2f s of CPU time%s; %d file%s of %d process%s in %s%s", r->argv[0],
	    r->child, end, (double)(r->end - r->start) / 1e9, cpu, sampled, r->c.files, r->c.files == 1 ? "" : "s", procs,
	    procs == 1 ? "" : "es", r->out, rest);
}

// What the program left running is followed by a process of ours that nobody waits for.
static void
follow_daemons(struct run *r)
{
	collect_pause(&r->c);
	if (fork() != 0)
		return;
	setsid();
	if (!collect_resume(&r->c))
		_exit(1);
	r->c.quiet = true;
	while (collect_running(&r->c) > 0) {
		struct pollfd p = { r->c.arrived, POLLIN, 0 };
		poll(&p, 1, 500);
		if (p.revents)
			collect_accept(&r->c);
		collect_ended(&r->c);
	}
	collect_free(&r->c);
	_exit(0);
}

static int
die_alike(const struct run *r)
{
	if (!WIFSIGNALED(r->status))
		return WEXITSTATUS(r->status);
	int sig = WTERMSIG(r->status);
	struct rlimit none = { 0, 0 };
	sigset_t set;
	setrlimit(RLIMIT_CORE, &none); // the program's core is the one of interest
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	return 128 + sig;
}

static int
run_program(struct run *r)
{
	struct sigaction pipe;
	sigaction(SIGPIPE, NULL, &pipe);
	if (!watch_signals(r)) {
		say("signalfd: %s", strerror(errno));
		return 2;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	r->start = collect_now();
	// Not vfork: the child changes its environment.
	r->child = fork();
	if (r->child == 0)
		exec_program(r, pipe.sa_handler == SIG_IGN);
	if (r->child < 0) {
		say("fork: %s", strerror(errno));
		return 2;
	}
	while (!r->over)
		wait_once(r);
	collect_accept(&r->c);
	await_daemons(r);
	collect_ended(&r->c);
	int running = r->duration_over ? 0 : collect_running(&r->c);
	if (!r->quiet)
		summarize(r, running);
	if (running)
		follow_daemons(r);
	else
		collect_free(&r->c);
	return die_alike(r);
}

// Before the program starts: its port is then the address's, whatever the program listens on.
static bool
serve(struct run *r)
{
	static struct rtp_native native; // what the process records, in the eyes of the pages
	struct rtp_address got;
	native = (struct rtp_native){ .mem_rate = 1, .locks = r->block || r->mutex };
	rtp_native = &native;
	r->c.keep = true;
	rtp_main_use(rtp_region_new((size_t)64 << 20)); // until there is a process
	int rc = rtp_http_serve(r->http, &got);
	if (rc < 0)
		say("-http %s %s", r->http, rtp_http_explain(rc));
	else
		say("profiles at http://%s/debug/pprof/", got.text);
	return rc >= 0;
}

int
cmd_run(int argc, char **argv)
{
	static struct run r;
	int rc = options(&r, argc, argv);
	if (rc == 0)
		rc = find_and_judge(&r);
	if (rc == 0)
		rc = prepare_out(&r);
	if (rc != 0)
		return rc - 1;
	rtp_remote = true; // whatever region this process holds is another's
	if (r.http && !r.exe.runtime && !serve(&r))
		return 2;
	return run_program(&r);
}
