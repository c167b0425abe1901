// SPDX-License-Identifier: BSD-3-Clause
// The life of the preloaded library: started by a constructor, started again in a forked child, ended by
// an exit handler. Under gort run everything lies in a memory file that gort's process maps too, and it
// writes the files; alone, the exit handler writes them.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/rand.h"
#include "core/math.h"
#include "core/rtlink.h"
#include "http/http.h"
#include "preload/preload.h"
#include "sources/capture.h"
#include "sources/cpu.h"
#include "sources/emit.h"
#include "sources/sources.h"
#include "symbol/helper.h"
#include "unwind/modules.h"

#define REGION_SIZE ((size_t)256 << 20)

static struct rtp_native native;
static struct stat stderr_at_start;
static bool cpu_on, wall_on;
static uintptr_t own_lo, own_hi; // this library's code

// The program may have closed it, and the number may be a socket of its own now. Our own threads have other
// descriptors.
static int
open_stderr(void)
{
	struct stat st;
	int fd = rtp_is_own_thread() ? open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY) : 2;
	if (fd < 0 || (fstat(fd, &st) == 0 && st.st_dev == stderr_at_start.st_dev && st.st_ino == stderr_at_start.st_ino))
		return fd;
	if (fd != 2)
		close(fd);
	return -1;
}

void
preload_notice(const char *format, ...)
{
	char line[512] = "gort: ";
	va_list ap;
	va_start(ap, format);
	int n = 6 + vsnprintf(line + 6, sizeof(line) - 7, format, ap);
	va_end(ap);
	n = rt_min(n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	int fd = open_stderr();
	if (fd >= 0 && write(fd, line, (size_t)n) < 0)
		return; // nowhere to say it
	if (fd >= 0 && rtp_is_own_thread())
		close(fd);
}

int64_t
preload_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

double
preload_uniform(void)
{
	static _Thread_local uint64_t seed __attribute__((tls_model("initial-exec")));
	if (seed == 0)
		seed = (uint64_t)preload_now() ^ (uintptr_t)&seed;
	return (double)(rt_rand_next(&seed) >> 11) * 0x1p-53;
}

uint64_t
preload_exponential(double mean)
{
	return mean <= 1 ? 1 : 1 + (uint64_t)(-rtp_ln(1 - preload_uniform()) * mean);
}

int
preload_capture(uintptr_t leaf, uintptr_t pcs[RTP_MAX_FRAMES])
{
	struct rtp_regs here;
	int n = 0, own = 0;
	rtp_regs_here(&here);
	int got = rtp_capture(rtp_main_peek(), &here, pcs, RTP_MAX_FRAMES, 0);
	while (own < got && pcs[own] >= own_lo && pcs[own] < own_hi)
		own++;
	int shift = leaf ? 1 : 0;
	if (own < shift)
		return got;
	if (leaf)
		pcs[n++] = leaf;
	memmove(pcs + n, pcs + own, (size_t)(got - own) * sizeof(*pcs));
	return n + got - own;
}

static void
find_own_code(void)
{
	unsigned token;
	const struct rtp_modules *t = rtp_modules_enter(&token);
	const struct rtp_module *m = rtp_module_of(t, (uintptr_t)find_own_code);
	if (m) {
		own_lo = native.own_lo = m->lo;
		own_hi = native.own_hi = m->hi;
	}
	rtp_modules_leave(token);
}

static void
thread_created(void)
{
	uintptr_t pcs[RTP_MAX_FRAMES];
	struct rtp_region *r = rtp_main_peek();
	if (!r || rtp_busy)
		return;
	rtp_busy++;
	int n = preload_capture(0, pcs);
	struct rtp_bucket *b = rtp_bucket(r, RTP_THREADCREATE, 0, pcs, n);
	if (b)
		rtp_add(&b->v[RTP_COUNT], 1);
	rtp_busy--;
}

// ---- gort run ----

// Hands the region's memory file to gort's process. It answers with one byte once it has it.
static bool
send_region(int fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 'R';
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	memcpy(to.sun_path, preload_opt.parent, strlen(preload_opt.parent) + 1);
	control.h = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	// gort's process never waits for us, so it answers at once; if it hangs, we go on without.
	struct timeval patience = { .tv_sec = 2 };
	bool ok = s >= 0 && setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
		  connect(s, (struct sockaddr *)&to, sizeof(to)) == 0 &&
		  sendmsg(s, &m, MSG_NOSIGNAL) == 1 && read(s, &byte, 1) == 1;
	if (s >= 0)
		close(s);
	return ok;
}

static uint32_t
kinds_on(void)
{
	return (uint32_t)(preload_opt.cpu << RTP_CPU | preload_opt.heap << RTP_HEAP |
			  preload_opt.block << RTP_BLOCK | preload_opt.mutex << RTP_MUTEX |
			  preload_opt.threadcreate << RTP_THREADCREATE | preload_opt.wall << RTP_WALL);
}

// The name it was started by (redis-server is a link to redis-check-rdb), where that is a name. Kept:
// programs write their state over it.
static const char *
program_name(void)
{
	static char kept[64];
	char path[4096];
	const char *name = program_invocation_short_name;
	if (kept[0])
		return kept;
	if (!name || !*name) {
		ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = 0;
		const char *slash = strrchr(path, '/');
		name = slash ? slash + 1 : path;
	}
	strncpy(kept, name, sizeof(kept) - 1);
	return kept;
}

static void
describe(struct rtp_region *r)
{
	strncpy(r->program, program_name(), sizeof(r->program) - 1);
	r->kinds = kinds_on();
	r->mem_rate = preload_opt.mem_rate;
	r->mutex_fraction = preload_opt.mutex_fraction;
	r->start_wall = rtp_walltime();
	r->start_mono = rtp_monotime();
}

static bool
make_region(void)
{
	int fd = -1;
	struct rtp_region *r = preload_opt.parent[0] ? rtp_region_shared(REGION_SIZE, &fd)
						    : rtp_region_new(REGION_SIZE);
	if (!r)
		return false;
	describe(r);
	bool ok = fd < 0 || send_region(fd);
	if (fd >= 0)
		close(fd);
	if (!ok) {
		rtp_region_free(r);
		return false;
	}
	rtp_main_use(r);
	return true;
}

// ---- start, fork, end ----

static void
start_cpu(void)
{
	int rc = rtp_cpu_acquire(preload_opt.hz);
	cpu_on = rc == 0;
	if (rc == 0)
		preload_signals_start();
	else if (rc == -EBUSY)
		preload_notice("the program has its own SIGPROF handler: no CPU profile");
	else
		preload_notice("no CPU profile: %s", strerror(-rc));
}

static void
start_wall(void)
{
	rtp_waits_start();
	wall_on = true;
}

static void
stop_wall(void)
{
	if (wall_on)
		rtp_waits_stop();
	wall_on = false;
}

// What gort run wishes.
static void
tick(void)
{
	struct rtp_region *r = rtp_main_peek();
	preload_signals_check();
	if (!r)
		return;
	int wall = rt_load(&r->want_wall);
	if (wall < 0)
		stop_wall();
	else if (wall > 0 && !wall_on)
		start_wall();
	int hz = rt_load(&r->want_hz);
	if (cpu_on && hz < 0) { // gort run -duration: it has what it wanted
		rtp_cpu_release();
		cpu_on = false;
	} else if (hz > 0 && hz <= 10000 && (!cpu_on || hz > preload_opt.hz) && !rt_load(&r->evicted)) {
		preload_opt.hz = hz;
		start_cpu();
	}
}

// rtp_busy is up.
static bool
start(bool again)
{
	if (!make_region())
		return false;
	struct rtp_region *r = rtp_main_peek();
	if (again)
		rtp_modules_forked(r);
	rtp_modules_refresh(r);
	if (!again)
		find_own_code();
	rtp_thread_begin();
	if (preload_opt.cpu)
		start_cpu();
	if (preload_opt.wall)
		start_wall();
	// Not without need: libc's locks and allocator are cheaper in a process of one thread.
	if (preload_opt.cpu || preload_opt.wall || preload_opt.wishes)
		rtp_reader_start();
	preload_creds_start();
	return true;
}

// A forked child is a process of its own: it counts from zero, in a region and files of its own.
static void
child(void)
{
	rtp_busy++;
	preload_live_forget();
	preload_locks_forked();
	rtp_forked();
	rtp_cpu_forked();
	rtp_reader_forked();
	rtp_waits_forked();
	rtp_http_forked();
	cpu_on = wall_on = false;
	start(true);
	rtp_busy--;
}

static void
write_file(const char *profile, const char *given)
{
	char path[4096];
	struct rtp_region *r = rtp_main_peek();
	if (given[0])
		snprintf(path, sizeof(path), "%s", given);
	else
		snprintf(path, sizeof(path), "%s/%s.%d.%s.pb.gz", preload_opt.out, r->program, (int)getpid(),
			 profile);
	int fd = rtp_high_fd(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644));
	bool cpu = strcmp(profile, "cpu") == 0, wall = strcmp(profile, "wall") == 0;
	struct rtp_profile_args timed = { .kind = cpu ? RTP_CPU : RTP_WALL, .name = profile, .hz = preload_opt.hz,
					  .time_ns = r->start_wall,
					  .duration_ns = rtp_monotime() - r->start_mono };
	int rc = fd < 0 ? -errno : cpu || wall ? rtp_emit(r, &timed, 0, fd) : rtp_emit_named(profile, 0, fd);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		preload_notice("%s: %s", path, strerror(-rc));
}

static void
at_exit(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (!r || r->pid != getpid())
		return;
	rtp_busy++; // for good: exit handlers are the end of what is profiled
	if (cpu_on) {
		rtp_cpu_thread_last();
		rtp_cpu_release();
	}
	stop_wall();
	rtp_drain();
	rtp_modules_refresh(r);
	rt_store_release(&r->end_mono, rtp_monotime());
	if (preload_opt.parent[0])
		return;
	if (preload_opt.cpu)
		write_file("cpu", preload_opt.cpu_file);
	if (preload_opt.heap)
		write_file("heap", preload_opt.heap_file);
	if (preload_opt.block)
		write_file("block", "");
	if (preload_opt.mutex)
		write_file("mutex", "");
	if (preload_opt.threadcreate)
		write_file("threadcreate", "");
	if (preload_opt.wall)
		write_file("wall", "");
}

static void
check_folder(void)
{
	if (preload_opt.out[0] && !preload_opt.parent[0] && access(preload_opt.out, W_OK | X_OK) != 0)
		preload_notice("cannot write profiles to %s: %s", preload_opt.out, strerror(errno));
	if (preload_opt.heap && !preload_alloc_seen())
		preload_notice("the program defines its own malloc: no heap profile");
}

static void
serve(void)
{
	struct rtp_address got;
	int rc = preload_opt.http[0] && rtp_main_peek() ? rtp_http_serve(preload_opt.http, &got) : 0;
	if (rc > 0)
		preload_notice("profiles at http://%s/debug/pprof/", got.text);
	else if (rc < 0)
		preload_notice("http=%s: %s", preload_opt.http, rtp_http_explain(rc));
}

__attribute__((constructor)) static void
init(void)
{
	int saved = errno;
	rtp_busy++;
	fstat(2, &stderr_at_start);
	bool wanted = preload_read_options();
	// A program with gort's runtime has its own profiler, and the variables of that.
	if (wanted && !rtp_runtime()) {
		check_folder();
		native = (struct rtp_native){ .mem_rate = preload_opt.heap ? preload_opt.mem_rate : 0,
					      .locks = preload_opt.block || preload_opt.mutex,
					      .thread_created = preload_opt.threadcreate ? thread_created : NULL };
		rtp_native = &native;
		rtp_on_tick = tick;
		wanted = start(false);
		serve();
		pthread_atfork(NULL, NULL, child);
		atexit(at_exit);
	} else {
		wanted = preload_opt.heap = false;
	}
	preload_alloc_start();
	if (wanted)
		preload_locks_start();
	rtp_busy--;
	errno = saved;
}
