// SPDX-License-Identifier: BSD-3-Clause
// Criterion tests whose body runs as goroutine 1. Criterion gives each test a process of its own, and
// gort_run ends that process, so a check that fails ends it too, with status 1.
#pragma once

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gort/sched.h>

static void (*on_gort_body)(void);

static int
on_gort_app(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	on_gort_body();
	return 0;
}

// With one P: returns when each goroutine that could run has. Once would not do: every 61st choice takes
// who waits in the global queue (who yielded, if there was somebody there) before those of the P.
static inline void
yield_to_others(void)
{
	for (int i = 0; i < 3; i++)
		gort_gosched();
}

// GORT_TEST(suite, name, options...) { ... }
#define GORT_TEST(suite, name, ...)                                                                \
	static void suite##_##name(void);                                                          \
	Test(suite, name, ##__VA_ARGS__)                                                           \
	{                                                                                          \
		on_gort_body = suite##_##name;                                                     \
		gort_run(on_gort_app, 0, NULL);                                                    \
	}                                                                                          \
	static void suite##_##name(void)

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond);       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)
#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		long long on_a_ = (long long)(a), on_b_ = (long long)(b);                          \
		if (on_a_ != on_b_) {                                                              \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #a,   \
				on_a_, on_b_);                                                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

// Runs body in a process of its own; its exit status. The begin of what it wrote to stderr is in out.
static inline int
on_gort_exits(void (*body)(void), char *out, size_t size)
{
	int fds[2], status = 0;
	size_t n = 0;
	cr_assert(pipe(fds) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], 2);
		on_gort_body = body;
		gort_run(on_gort_app, 0, NULL);
	}
	close(fds[1]);
	for (ssize_t r; n < size - 1 && (r = read(fds[0], out + n, size - 1 - n)) > 0;)
		n += (size_t)r;
	out[n] = 0;
	close(fds[0]);
	waitpid(pid, &status, 0);
	cr_assert(WIFEXITED(status), "wait status %#x, stderr: %s", status, out);
	return WEXITSTATUS(status);
}

// The body must end the process with status 2 and stderr must begin with text and a newline.
static inline void
on_gort_dies(void (*body)(void), const char *text)
{
	char out[8192];
	int status = on_gort_exits(body, out, sizeof(out));
	cr_assert(status == 2, "exit status %d, stderr: %s", status, out);
	cr_assert(strncmp(out, text, strlen(text)) == 0 && out[strlen(text)] == '\n', "stderr: %s",
		  out);
}

// GORT_DEATH_TEST(suite, name, "panic: ...") { ... }
#define GORT_DEATH_TEST(suite, name, text)                                                         \
	static void suite##_##name(void);                                                          \
	Test(suite, name)                                                                          \
	{                                                                                          \
		on_gort_dies(suite##_##name, text);                                                \
	}                                                                                          \
	static void suite##_##name(void)
