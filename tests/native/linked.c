// SPDX-License-Identifier: BSD-3-Clause
// A plain C program that links gort-profiler and uses all of it that such a program has a use for.
//   linked CPU_FILE WALL_FILE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gort/pprof.h>

static volatile uint64_t sink;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "linked.c:%d: %s\n", __LINE__, #cond);                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static __attribute__((noinline)) void
burn(void *ms)
{
	struct timespec t;
	int64_t until = 0;
	do {
		for (int i = 0; i < 10000; i++)
			sink += (uint64_t)i * sink;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
		int64_t now = t.tv_sec * 1000 + t.tv_nsec / 1000000;
		until = until ? until : now + (intptr_t)ms;
		if (now >= until)
			return;
	} while (1);
}

static __attribute__((noinline)) void *
waiting_room(void *arg)
{
	sleep(30);
	return arg;
}

static void
cpu_profile(const char *path)
{
	gort_label l[] = { gort_label("route", "/search") };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	CHECK(gort_pprof_start_cpu(fd, 0) == 0);
	CHECK(gort_pprof_start_cpu(fd, 0) == -EBUSY);
	gort_do_labelled(l, 1, burn, (void *)(intptr_t)300);
	CHECK(gort_pprof_stop_cpu() == 0);
	close(fd);
}

static void
own_profile(void)
{
	int a, b, fd = open("/dev/null", O_WRONLY);
	gort_profile *p = gort_profile_new("linked.files");
	CHECK(p && gort_profile_lookup("linked.files") == p);
	gort_profile_add(p, &a, 0);
	gort_profile_add(p, &b, 0);
	gort_profile_remove(p, &a);
	CHECK(gort_profile_count(p) == 1);
	CHECK(gort_pprof_write("linked.files", fd, 0) == 0);
	CHECK(gort_pprof_write("heap", fd, 0) == -ENOTSUP);
	CHECK(gort_pprof_write("no such profile", fd, 0) == -ENOENT);
	close(fd);
}

static void
wall_profile(const char *path, int port)
{
	static const char request[] = "GET /debug/pprof/wall?seconds=1 HTTP/1.0\r\n\r\n";
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	char b[65536];
	size_t n = 0;
	int s = socket(AF_INET, SOCK_STREAM, 0), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(connect(s, (struct sockaddr *)&to, sizeof(to)) == 0);
	CHECK(write(s, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1);
	for (ssize_t got; n < sizeof(b) && (got = read(s, b + n, sizeof(b) - n)) > 0;)
		n += (size_t)got;
	char *body = memmem(b, n, "\r\n\r\n", 4);
	CHECK(body && strncmp(b + 8, " 200 ", 5) == 0);
	body += 4;
	CHECK(write(fd, body, n - (size_t)(body - b)) > 0);
	close(fd);
	close(s);
}

int
main(int argc, char **argv)
{
	pthread_t th;
	CHECK(argc == 3);
	CHECK(pthread_create(&th, NULL, waiting_room, NULL) == 0);
	cpu_profile(argv[1]);
	own_profile();
	int port = gort_pprof_serve("localhost:0");
	CHECK(port > 0);
	wall_profile(argv[2], port);
	puts("linked");
	return 0;
}
