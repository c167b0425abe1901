// SPDX-License-Identifier: BSD-3-Clause
// <gort/chan.h>: buffered channels, ranging until close, the try_ twins and select.
#include <gort.h>
#include <stdio.h>

struct point {
	int x, y;
};

static void
produce(gort_chan *c, int n)
{
	for (int i = 0; i < n; i++)
		gort_send(struct point, c, ((struct point){i, i * i}));
	gort_chan_close(c);
}

static void
ping(gort_chan *in, gort_chan *out)
{
	int v;
	while (gort_chan_recv(in, &v))
		gort_send(int, out, v + 1);
}

static int
app(int argc, char **argv)
{
	gort_chan *points = gort_make_chan(struct point, 2);
	gort_go(produce, points, 3);
	struct point p;
	while (gort_chan_recv(points, &p))
		printf("%d squared is %d\n", p.x, p.y);
	bool ok;
	p = gort_recv_ok(struct point, points, &ok);
	printf("closed: ok %d, zero value %d %d\n", ok, p.x, p.y);

	gort_chan *one = gort_make_chan(int, 1);
	int v = 7;
	bool first = gort_chan_try_send(one, &v), second = gort_chan_try_send(one, &v);
	printf("try_send %d %d, len %td cap %td\n", first, second, gort_chan_len(one),
	       gort_chan_cap(one));
	int got = gort_chan_try_recv(one, &v), empty = gort_chan_try_recv(one, &v);
	gort_chan_close(one);
	printf("try_recv %d %d, after close %d\n", got, empty,
	       gort_chan_try_recv(one, &v) == GORT_CLOSED);

	gort_chan *in = gort_make_chan(int, 0), *out = gort_make_chan(int, 0);
	gort_go(ping, in, out);
	int w = 1, answers = 0;
	while (answers < 3) {
		gort_select_case cs[] = {GORT_RECV(out, &v), GORT_SEND(in, &w), GORT_DEFAULT};
		switch (gort_select(cs, 3)) {
		case 0:
			printf("answer %d\n", v);
			w = v;
			answers++;
			break;
		case 1: // sent; the answer comes in a later round
			break;
		default:
			gort_gosched(); // nobody is ready yet
		}
	}
	return 0;
}
GORT_MAIN(app)
