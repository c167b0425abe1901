// SPDX-License-Identifier: BSD-3-Clause
// corpus SECONDS SEED FILE...: the fuzzer's target over the files, which must be profiles, and then over
// mutations of them, packed and unpacked, until the time is up. Says the seed and about where it is: the
// same seed makes the same inputs in the same order.
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "profile_io.h"

#define MAX_INPUTS 64
#define MAX_SIZE (1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t *p;
	size_t n;
};

static struct input inputs[MAX_INPUTS];
static size_t ninputs;
static uint64_t state;

static uint64_t
draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static void
fail(const char *what, const char *path)
{
	fprintf(stderr, "%s: %s\n", path, what);
	exit(1);
}

static void
add_input(const uint8_t *p, size_t n)
{
	if (ninputs == MAX_INPUTS || n > MAX_SIZE)
		fail("too many or too large inputs", "corpus");
	inputs[ninputs].p = malloc(n + 1);
	memcpy(inputs[ninputs].p, p, n);
	inputs[ninputs++].n = n;
}

static void
add_unpacked(const struct input *gz)
{
	static uint8_t out[MAX_SIZE];
	z_stream z = {
		.next_in = gz->p, .avail_in = (uInt)gz->n, .next_out = out, .avail_out = MAX_SIZE};
	if (inflateInit2(&z, 15 + 16) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END)
		add_input(out, MAX_SIZE - z.avail_out);
	inflateEnd(&z);
}

static void
load(const char *path)
{
	static uint8_t data[MAX_SIZE];
	char err[256];
	FILE *f = fopen(path, "r");
	if (!f)
		fail("cannot open it", path);
	size_t n = fread(data, 1, sizeof(data), f);
	fclose(f);
	pprof_profile *p = profile_parse(data, n, err, sizeof(err));
	if (!p)
		fail(err, path);
	profile_free(p);
	add_input(data, n);
	if (data[0] == 0x1f)
		add_unpacked(&inputs[ninputs - 1]);
}

// ---- mutations ----

static void
flip(struct input *in)
{
	in->p[draw(in->n)] ^= (uint8_t)(1 << draw(8));
}

static void
poke(struct input *in)
{
	static const uint8_t often[] = {0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x12};
	in->p[draw(in->n)] = often[draw(sizeof(often))];
}

static void
cut(struct input *in)
{
	size_t at = draw(in->n), n = 1 + draw(in->n - at < 64 ? in->n - at : 64);
	memmove(in->p + at, in->p + at + n, in->n - at - n);
	in->n -= n;
}

// A piece of any input goes in somewhere: messages move, repeat, nest.
static void
paste(struct input *in)
{
	const struct input *from = &inputs[draw(ninputs)];
	size_t n = 1 + draw(from->n < 200 ? from->n : 200), at = draw(in->n + 1),
	       start = draw(from->n - n + 1);
	if (in->n + n > MAX_SIZE)
		return;
	memmove(in->p + at + n, in->p + at, in->n - at);
	memcpy(in->p + at, from->p + start, n);
	in->n += n;
}

static void
mutate(struct input *in)
{
	static void (*const ways[])(struct input *) = {flip, flip, poke, poke, cut, paste};
	for (uint64_t k = 1 + draw(6); k && in->n; k--)
		ways[draw(sizeof(ways) / sizeof(*ways))](in);
}

int
main(int argc, char **argv)
{
	static uint8_t room[MAX_SIZE];
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0, runs = 0, accepted = 0;
	for (int i = 3; i < argc; i++)
		load(argv[i]);
	if (ninputs == 0)
		fail("no corpus", "corpus");
	for (size_t i = 0; i < ninputs; i++)
		LLVMFuzzerTestOneInput(inputs[i].p, inputs[i].n);
	for (; time(NULL) < end; runs++) {
		state = (seed << 32 | runs) * 0x9e3779b97f4a7c15ull + 1;
		const struct input *from = &inputs[draw(ninputs)];
		struct input in = {room, from->n};
		memcpy(room, from->p, from->n);
		mutate(&in);
		if (runs % 16384 == 0) {
			printf("seed %" PRIu64 ", from input %" PRIu64 " on\n", seed, runs);
			fflush(stdout);
		}
		char err[256];
		pprof_profile *p = profile_parse(in.p, in.n, err, sizeof(err));
		accepted += p != NULL;
		if (p)
			profile_free(p);
		LLVMFuzzerTestOneInput(in.p, in.n);
	}
	printf("seed %" PRIu64 ": %" PRIu64 " mutations, %" PRIu64 " of them profiles\n", seed,
	       runs, accepted);
	// A test of refusals alone would be a weak one.
	return runs > 100 && accepted < runs / 50;
}
