// SPDX-License-Identifier: BSD-3-Clause
// A first program: four goroutines square what comes over one channel and answer over another.
#include <gort.h>
#include <stdio.h>

static void
square(gort_chan *in, gort_chan *out, int id)
{
	int v;
	while (gort_chan_recv(in, &v)) // false: closed and drained
		gort_send(int, out, v *v);
	printf("worker %d done\n", id);
}

static int
app(int argc, char **argv)
{
	gort_chan *in = gort_make_chan(int, 16); // make(chan int, 16)
	gort_chan *out = gort_make_chan(int, 0);
	for (int i = 0; i < 4; i++)
		gort_go(square, in, out, i); // go square(in, out, i)
	for (int i = 0; i < 10; i++)
		gort_send(int, in, i);
	gort_chan_close(in);
	for (int i = 0; i < 10; i++)
		printf("%d\n", gort_recv(int, out));
	return 0; // the process's exit status
}
GORT_MAIN(app)
