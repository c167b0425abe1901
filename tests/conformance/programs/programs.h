// SPDX-License-Identifier: BSD-3-Clause
// What the programs of programs.go share in C. They stand by theme; each file ends with the list of its own.
#pragma once

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

struct named {
	const char *name; // NULL ends a list
	void (*fn)(void);
};
#define P(name)                                                                                    \
	{                                                                                          \
		#name, name                                                                        \
	}

extern const struct named chan_programs[];
extern const struct named goroutines_programs[];
extern const struct named select_programs[];
extern const struct named locks_programs[];
extern const struct named time_programs[];
extern const struct named errors_programs[];

#define MS GORT_MILLISECOND
#define HOUR (3600 * GORT_SECOND)

typedef atomic_int *counter;

struct pair {
	int a, b;
};

static inline const char *
truth(bool b)
{
	return b ? "true" : "false";
}

static inline gort_chan *
ints(ptrdiff_t n)
{
	return gort_make_chan(int, n);
}

static inline int
recv(gort_chan *c)
{
	return gort_recv(int, c);
}

static inline void
send(gort_chan *c, int v)
{
	gort_send(int, c, v);
}

static inline void
drop(gort_chan *c)
{
	gort_chan_recv(c, NULL);
}

static inline void
print_recv_ok(gort_chan *c)
{
	bool ok;
	int v = gort_recv_ok(int, c, &ok);
	printf("%d %s\n", v, truth(ok));
}

static inline void
print_len_cap(gort_chan *c)
{
	printf("%td %td\n", gort_chan_len(c), gort_chan_cap(c));
}

static inline bool
try_send(gort_chan *c, int v)
{
	return gort_chan_try_send(c, &v);
}

static inline void
print_try_recv(gort_chan *c)
{
	int v = 0;
	int r = gort_chan_try_recv(c, &v);
	printf("%d %d\n", v, r);
}

static inline void
send_later(gort_chan *c, int v, int64_t ns)
{
	gort_sleep(ns);
	send(c, v);
}

static inline void
close_later(gort_chan *c, int64_t ns)
{
	gort_sleep(ns);
	gort_chan_close(c);
}

static inline void
close_it(void *c)
{
	gort_chan_close(c);
}

static inline void
tell(void *c)
{
	send(c, 0);
}

static inline void
forward(gort_chan *from, gort_chan *to)
{
	send(to, recv(from));
}

static inline void
say(void *text)
{
	printf("%s\n", (const char *)text);
}

static inline void
add_up(counter n, int i)
{
	atomic_fetch_add(n, i);
}

static inline void
count_up(gort_chan *c, int from, int to, int factor)
{
	for (int i = from; i <= to; i++)
		send(c, i * factor);
	gort_chan_close(c);
}
