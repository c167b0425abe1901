// SPDX-License-Identifier: BSD-3-Clause
// <gort/net.h>: an echo server with one goroutine a connection, a hundred clients, and a deadline.
#include <gort.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void
echo(gort_conn *c)
{
	char buf[256];
	ssize_t n;
	while ((n = gort_net_read(c, buf, sizeof buf)) > 0)
		gort_net_write(c, buf, (size_t)n);
	gort_conn_close(c);
}

static void
serve(gort_listener *l)
{
	gort_conn *c;
	while (gort_net_accept(l, &c) == 0)
		gort_go(echo, c);
}

static void
client(const char *addr, int id, gort_chan *answers)
{
	char text[32], back[32] = "";
	gort_conn *c;
	int n = snprintf(text, sizeof text, "hello %d", id), err = gort_net_dial("tcp", addr, &c);
	if (err == 0) {
		gort_net_write(c, text, (size_t)n);
		gort_net_read(c, back, sizeof back - 1);
		gort_conn_close(c);
	}
	gort_send(bool, answers, strcmp(text, back) == 0);
}

static int
app(int argc, char **argv)
{
	char addr[64], byte;
	gort_listener *l;
	gort_conn *silent;
	int err = gort_net_listen("tcp", "127.0.0.1:0", &l);
	if (err) {
		fprintf(stderr, "listen: %s\n", strerror(-err));
		return 1;
	}
	gort_listener_addr(l, addr, sizeof addr);
	gort_go(serve, l);

	gort_chan *answers = gort_make_chan(bool, 0);
	for (int i = 0; i < 100; i++)
		gort_go(client, addr, i, answers);
	int right = 0;
	for (int i = 0; i < 100; i++)
		right += gort_recv(bool, answers);
	printf("right answers: %d\n", right);

	// Who says nothing hears nothing: without the deadline this read would wait for ever.
	if (gort_net_dial("tcp", addr, &silent) == 0) {
		gort_conn_set_read_deadline(silent, gort_nanotime() + 20 * GORT_MILLISECOND);
		printf("timed out: %s\n",
		       gort_net_read(silent, &byte, 1) == -ETIMEDOUT ? "yes" : "no");
		gort_conn_close(silent);
	}
	gort_listener_close(l);
	return 0;
}
GORT_MAIN(app)
