// SPDX-License-Identifier: BSD-3-Clause
#include "debug/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/print.h"
#include "debug/traceback.h"
#include "os/os.h"

#define HELPER "gort-symbolize"
#define BUDGET_NS 3000000000 // for all answers together

static enum { UNTRIED, RUNNING, BROKEN } state;
static int sock = -1;
static int64_t spent;
static char answer[8192];

// ---- starting ----

static bool
runnable(const char *path)
{
	return access(path, X_OK) == 0;
}

// Beside the library that this code is in (or the program, when it is linked in), or in a build tree.
static bool
near_us(char *buf, size_t n)
{
	static const char *const places[] = {"", "/../tools", "/../libexec/gort", "/../../libexec/gort"};
	uintptr_t start;
	const char *path;
	rt_symbol((uintptr_t)rt_lines_of, &start, &path);
	const char *slash = path ? strrchr(path, '/') : NULL;
	for (size_t i = 0; slash && i < rt_nelem(places); i++) {
		rt_snprintf(buf, n, "%.*s%s/" HELPER, (int)(slash - path), path, places[i]);
		if (runnable(buf))
			return true;
	}
	return false;
}

static bool
find_helper(char *buf, size_t n)
{
	static const char *const fixed[] = {RT_LIBEXECDIR "/" HELPER, RT_BUILD_TOOLS "/" HELPER};
	const char *off = getenv("GORT_SYMBOLIZE"), *env = getenv("GORT_SYMBOLIZER");
	if ((off && strcmp(off, "none") == 0) || getauxval(AT_SECURE))
		return false;
	if (env && *env) {
		rt_snprintf(buf, n, "%s", env);
		return runnable(buf);
	}
	if (near_us(buf, n))
		return true;
	for (size_t i = 0; i < rt_nelem(fixed); i++) {
		rt_snprintf(buf, n, "%s", fixed[i]);
		if (runnable(buf))
			return true;
	}
	return false;
}

// What the helper may see of our environment: nothing that would preload or profile.
static void
choose_environment(char **to, size_t n)
{
	static const char *const pass[] = {"PATH=", "HOME=", "XDG_CACHE_HOME=", "GORT_CACHE=", "GORT_DEBUGINFOD=", "TMPDIR=",
					   "ASAN_OPTIONS=", "UBSAN_OPTIONS="};
	size_t k = 0;
	for (char **e = environ; e && *e; e++)
		for (size_t i = 0; i < rt_nelem(pass) && k < n - 1; i++)
			if (strncmp(*e, pass[i], strlen(pass[i])) == 0)
				to[k++] = *e;
	to[k] = NULL;
}

// vfork: costs no page tables and runs no atfork handler. The child only calls the kernel.
static bool
start(void)
{
	static char path[4096];
	static char *env[16];
	char *argv[] = {(char *)HELPER, (char *)"lines", NULL};
	int pair[2];
	if (!find_helper(path, sizeof path) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	choose_environment(env, rt_nelem(env));
	int nul = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t pid = vfork();
	if (pid == 0) {
		if (dup2(pair[1], 0) < 0 || dup2(pair[1], 1) < 0 || (nul >= 0 && dup2(nul, 2) < 0))
			_exit(127);
		execve(path, argv, env);
		_exit(127);
	}
	close(pair[1]);
	if (nul >= 0)
		close(nul);
	sock = pair[0];
	return pid > 0;
}

// ---- asking ----

static bool
ask(const char *path, uintptr_t vaddr)
{
	static char question[5000];
	rt_snprintf(question, sizeof question, "%lx %s\n", vaddr, path);
	size_t n = strlen(question);
	return send(sock, question, n, MSG_NOSIGNAL) == (ssize_t)n;
}

// Up to the empty line that ends an answer. False: too late, too long, or the helper is gone.
static bool
read_answer(void)
{
	size_t n = 0;
	for (;;) {
		int64_t left = (BUDGET_NS - spent) / 1000000, before = rt_nanotime();
		struct pollfd p = {.fd = sock, .events = POLLIN};
		if (left <= 0 || n == sizeof answer - 1)
			return false;
		int ready = poll(&p, 1, (int)left);
		spent += rt_nanotime() - before;
		if (ready < 0 && errno == EINTR)
			continue;
		ssize_t got = ready == 1 ? recv(sock, answer + n, sizeof answer - 1 - n, MSG_DONTWAIT) : 0;
		if (got <= 0)
			return false;
		n += (size_t)got;
		answer[n] = 0;
		if (answer[n - 1] == '\n' && (n == 1 || answer[n - 2] == '\n'))
			return true;
	}
}

static int
parse(struct rt_line *line)
{
	int k = 0;
	for (char *s = answer; *s && *s != '\n' && k < RT_MAX_LINES;) {
		char *nl = strchr(s, '\n'), *tab = memchr(s, '\t', (size_t)(nl - s));
		if (!tab)
			break;
		*tab = *nl = 0;
		line[k++] = (struct rt_line){s, tab + 1};
		s = nl + 1;
	}
	return k;
}

int
rt_lines_of(const char *path, uintptr_t vaddr, struct rt_line line[RT_MAX_LINES])
{
	if (state == UNTRIED)
		state = start() ? RUNNING : BROKEN;
	if (state == BROKEN)
		return 0;
	if (!ask(path, vaddr) || !read_answer()) {
		state = BROKEN;
		close(sock);
		return 0;
	}
	return parse(line);
}
