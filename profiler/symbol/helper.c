// SPDX-License-Identifier: BSD-3-Clause
#include "symbol/helper.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regs.h"

#define STACK_SIZE (64u << 10)
#define HELPER "gort-symbolize"

// ---- where it is ----

static bool
runnable(const char *path)
{
	return access(path, X_OK) == 0;
}

// Beside the library that this code is in, or in a build tree's tools folder.
static bool
near_library(char *buf, size_t n)
{
	static const char *const places[] = { "", "/../tools", "/../libexec/gort", "/../../libexec/gort",
					      "/../../../libexec/gort" };
	Dl_info info;
	if (!dladdr((const void *)(uintptr_t)rtp_helper_start, &info) || !info.dli_fname)
		return false;
	const char *slash = strrchr(info.dli_fname, '/');
	int dir = slash ? (int)(slash - info.dli_fname) : 0;
	for (size_t i = 0; i < rt_nelem(places); i++) {
		int len = snprintf(buf, n, "%.*s%s/" HELPER, dir ? dir : 1, dir ? info.dli_fname : ".", places[i]);
		if ((size_t)len < n && runnable(buf))
			return true;
	}
	return false;
}

bool
rtp_helper_find(char *buf, size_t n)
{
	const char *env = getenv("GORT_SYMBOLIZER");
	if (env && *env)
		return (size_t)snprintf(buf, n, "%s", env) < n && runnable(buf);
	if (near_library(buf, n))
		return true;
	static const char *const fixed[] = { RTP_LIBEXECDIR "/" HELPER, RTP_BUILD_TOOLS "/" HELPER };
	for (size_t i = 0; i < rt_nelem(fixed); i++) {
		if ((size_t)snprintf(buf, n, "%s", fixed[i]) < n && runnable(buf))
			return true;
	}
	return false;
}

// ---- the small process ----
// It shares the host's memory (so that starting it costs no page tables) but not its threads: raw
// system calls only, no libc, no errno, no thread-local word.

struct start {
	const char *path;
	char *const *argv, *const *envp;
	int in, out, status;
	sigset_t mask;
};

// To fd 0, 1 and 3; everything else of the host is closed but its stderr. First out of the way of the
// targets, as the host may itself use these numbers for anything.
static void
arrange_descriptors(const struct start *s)
{
	long in = rtp_syscall(SYS_fcntl, s->in, F_DUPFD, 10, 0, 0);
	long out = rtp_syscall(SYS_fcntl, s->out, F_DUPFD, 10, 0, 0);
	long status = rtp_syscall(SYS_fcntl, s->status, F_DUPFD, 10, 0, 0);
	rtp_syscall(SYS_dup3, in, 0, 0, 0, 0);
	rtp_syscall(SYS_dup3, out, 1, 0, 0, 0);
	rtp_syscall(SYS_dup3, status, 3, O_CLOEXEC, 0, 0);
	rtp_syscall(SYS_close_range, 4, ~0u, 0, 0, 0);
}

RT_NOINLINE _Noreturn static void
exec_helper(const struct start *s)
{
	rtp_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&s->mask, 0, _NSIG / 8, 0);
	rtp_syscall(SYS_execve, (long)s->path, (long)s->argv, (long)s->envp, 0, 0);
	for (;;)
		rtp_syscall(SYS_exit_group, 127, 0, 0, 0, 0);
}

static int
parent_main(void *arg)
{
	struct start *s = arg;
	int st = 0x7f00;
	// The host may ignore SIGCHLD; then the helper's status would be lost.
	long dfl[4] = { 0 };
	rtp_syscall(SYS_rt_sigaction, SIGCHLD, (long)dfl, 0, _NSIG / 8, 0);
	arrange_descriptors(s);
	// As vfork: the child is on this very stack until it has exec'ed, and calls one function only.
	long pid = rtp_syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		exec_helper(s);
	rtp_syscall(SYS_close, 0, 0, 0, 0, 0);
	if (pid > 0)
		while (rtp_syscall(SYS_wait4, pid, (long)&st, 0, 0, 0) == -EINTR)
			;
	unsigned char byte = (unsigned char)(pid > 0 && WIFEXITED(st) ? WEXITSTATUS(st) : 127);
	rtp_syscall(SYS_write, 3, (long)&byte, 1, 0, 0);
	rtp_syscall(SYS_exit_group, 0, 0, 0, 0, 0);
	return 0;
}

// What the helper may see of our environment: nothing that would profile it or reach the network.
static char **
helper_env(char **to, size_t n)
{
	static const char *const pass[] = { "PATH=", "HOME=", "XDG_CACHE_HOME=", "GORT_CACHE=", "GORT_DEBUGINFOD=",
					    "GORT_DEBUG_PATH=", "TMPDIR=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=" };
	size_t k = 0;
	for (char **e = environ; e && *e && k < n - 1; e++)
		for (size_t i = 0; i < rt_nelem(pass); i++)
			if (strncmp(*e, pass[i], strlen(pass[i])) == 0 && k < n - 1)
				to[k++] = *e;
	to[k] = NULL;
	return to;
}

static int
launch(struct rtp_helper *h, const char *path, const char *mode, int in, int out, int status)
{
	char *argv[] = { (char *)HELPER, (char *)mode, NULL }, *env[32];
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -ENOMEM;
	// The start record lives as long as the process may read it: in its stack's lowest bytes.
	struct start *s = (void *)stack;
	size_t len = strlen(path) + 1;
	char *copy = stack + sizeof(*s);
	memcpy(copy, path, len);
	char **e = (void *)(stack + rt_round_up(sizeof(*s) + len, (size_t)16)), **a = e + rt_nelem(env);
	memcpy(e, helper_env(env, rt_nelem(env)), sizeof(env));
	memcpy(a, argv, sizeof(argv));
	*s = (struct start){ copy, a, e, in, out, status, { { 0 } } };
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &s->mask);
	h->pid = clone(parent_main, stack + STACK_SIZE, CLONE_VM, s); // no exit signal
	int err = h->pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
	h->stack = stack;
	if (err)
		munmap(stack, STACK_SIZE);
	return err;
}

int
rtp_high_fd(int fd)
{
	int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 100) : -1;
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

int
rtp_helper_start(struct rtp_helper *h, int out, const char *mode)
{
	char path[PATH_MAX];
	int data[2], status[2];
	if (!rtp_helper_find(path, sizeof(path)))
		return -ENOENT;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, data) != 0)
		return -errno;
	if (pipe2(status, O_CLOEXEC) != 0) {
		int err = -errno;
		close(data[0]);
		close(data[1]);
		return err;
	}
	// An end of ours at 0..3 would survive in the helper, which then never sees the end of its input.
	for (int i = 0; i < 2; i++) {
		data[i] = rtp_high_fd(data[i]);
		status[i] = rtp_high_fd(status[i]);
	}
	int rc = launch(h, path, mode, data[1], out, status[1]);
	close(data[1]);
	close(status[1]);
	h->in = data[0];
	h->status = status[0];
	if (rc < 0) {
		close(h->in);
		close(h->status);
	}
	return rc;
}

int
rtp_helper_finish(struct rtp_helper *h)
{
	unsigned char byte = 127;
	ssize_t n;
	close(h->in);
	while ((n = read(h->status, &byte, 1)) < 0 && errno == EINTR)
		;
	close(h->status);
	while (waitpid(h->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	munmap(h->stack, STACK_SIZE);
	if (n != 1)
		return -ECHILD;
	return byte == 0 ? 0 : byte == 127 ? -ENOEXEC : -EIO;
}
