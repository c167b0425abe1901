// SPDX-License-Identifier: BSD-3-Clause
// The switches of the environment, read once by a constructor; their files are written when the
// program ends. Whatever goes wrong here costs one line on stderr and nothing else.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gort/pprof.h>

#include "core/rtlink.h"
#include "core/thread.h"
#include "http/http.h"
#include "sources/cpu.h"
#include "sources/emit.h"
#include "sources/sources.h"
#include "unwind/modules.h"

// In the order in which they are written.
enum { ENV_CPU, ENV_GOROUTINE, ENV_MUTEX, ENV_BLOCK, ENV_MEM, ENV_KINDS };
static struct env_profile {
	const char *variable, *profile;
	char *pattern; // the variable's value; NULL: not wanted
	int fd;        // opened at start, so that a bad path is told at once; -1 closed
} env[ENV_KINDS] = {
	[ENV_CPU] = { "GORT_CPUPROFILE", "cpu", NULL, -1 },
	[ENV_GOROUTINE] = { "GORT_GOROUTINEPROFILE", "goroutine", NULL, -1 },
	[ENV_MUTEX] = { "GORT_MUTEXPROFILE", "mutex", NULL, -1 },
	[ENV_BLOCK] = { "GORT_BLOCKPROFILE", "block", NULL, -1 },
	[ENV_MEM] = { "GORT_MEMPROFILE", "heap", NULL, -1 },
};
static struct rtp_cpu_session cpu;
static _Atomic bool written;

static void
complain(const struct env_profile *e, const char *what, int err)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "gort: %s=%s: %s: %s\n", e->variable, e->pattern, what,
			 strerror(-err));
	if (write(2, line, (size_t)rt_min(n, (int)sizeof(line) - 1)) < 0)
		return; // nowhere to say it
}

// %p becomes the process id, %% a percent sign.
static void
expand(const char *pattern, char *to, size_t n)
{
	size_t k = 0;
	for (const char *p = pattern; *p && k + 1 < n; p++) {
		if (p[0] == '%' && p[1] == 'p') {
			k += (size_t)snprintf(to + k, n - k, "%d", (int)getpid());
			k = rt_min(k, n - 1);
			p++;
		} else {
			if (p[0] == '%' && p[1] == '%')
				p++;
			to[k++] = *p;
		}
	}
	to[k] = 0;
}

static void
open_file(struct env_profile *e)
{
	char path[4096];
	expand(e->pattern, path, sizeof(path));
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0) {
		complain(e, "cannot write the profile", -errno);
		e->pattern = NULL;
		return;
	}
	// Out of the way of programs that count on the lowest numbers.
	e->fd = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	if (e->fd < 0)
		e->fd = fd;
	else
		close(fd);
}

static void
start(void)
{
	if (env[ENV_MUTEX].pattern)
		gort_set_mutex_profile_fraction(1);
	if (env[ENV_BLOCK].pattern)
		gort_set_block_profile_rate(1);
	if (env[ENV_CPU].pattern) {
		int rc = rtp_cpu_session_start(&cpu, env[ENV_CPU].fd, 0);
		if (rc == -EBUSY)
			complain(&env[ENV_CPU], "the program has its own SIGPROF handler", rc);
		else if (rc < 0)
			complain(&env[ENV_CPU], "cannot profile", rc);
	}
	if (env[ENV_MEM].pattern && rtp_main())
		rtp_modules_refresh(rtp_main());
}

static void
write_one(struct env_profile *e)
{
	if (!e->pattern || e->fd < 0 || (e == &env[ENV_CPU] && !cpu.on))
		return;
	int rc = e == &env[ENV_CPU] ? rtp_cpu_session_stop(&cpu) : rtp_emit_named(e->profile, 0, e->fd);
	if (rc == -ENOTSUP)
		complain(e, "no such profile in a program without the runtime", rc);
	else if (rc < 0)
		complain(e, "cannot write the profile", rc);
	close(e->fd);
	e->fd = -1;
}

// Once: when app returns (the runtime tells) or when the process exits otherwise.
void
rtp_env_finish(bool collect)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (atomic_exchange(&written, true))
		return;
	for (int i = 0; i < ENV_KINDS; i++) {
		if (i == ENV_MEM && env[i].fd >= 0 && collect && rt)
			rt->gc();
		write_one(&env[i]);
	}
}

static void
at_exit(void)
{
	rtp_env_finish(false);
}

// The child of a fork gets files of its own where the pattern has a %p, and else none: the parent's
// must not be written twice.
static void
child(void)
{
	bool had = rtp_main_peek() != NULL;
	rtp_forked();
	rtp_cpu_forked();
	rtp_reader_forked();
	rtp_waits_forked();
	rtp_http_forked();
	rtp_custom_forked();
	rtp_modules_forked(had ? rtp_main() : NULL);
	cpu.on = false;
	bool any = false;
	for (int i = 0; i < ENV_KINDS; i++) {
		if (env[i].fd >= 0)
			close(env[i].fd);
		env[i].fd = -1;
		if (env[i].pattern && !strstr(env[i].pattern, "%p"))
			env[i].pattern = NULL;
		if (env[i].pattern)
			open_file(&env[i]);
		any |= env[i].pattern != NULL;
	}
	if (any)
		start();
}

GORT_API void
gort_profiler_init_(void)
{
}

__attribute__((constructor)) static void
init(void)
{
	bool any = false;
	for (int i = 0; i < ENV_KINDS; i++) {
		const char *v = getenv(env[i].variable);
		if (!v || !*v)
			continue;
		env[i].pattern = strdup(v);
		if (env[i].pattern)
			open_file(&env[i]);
		any |= env[i].pattern != NULL;
	}
	rtp_hooks_install();
	pthread_atfork(NULL, NULL, child);
	rtp_http_start_from_env();
	if (!any)
		return;
	atexit(at_exit);
	start();
}
