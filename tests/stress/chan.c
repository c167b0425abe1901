// SPDX-License-Identifier: BSD-3-Clause
// Channels under many goroutines: nothing lost, nothing twice, the values of one sender in order, and
// every waiter woken in the end. Rounds with random capacity, element size, numbers of goroutines and
// processors, some of them ended by closing the channel under waiting receivers.
#include "stress.h"

#include <string.h>

// Sent values carry their sender, their number and a pattern that fills the rest.
struct message {
	uint32_t sender, number;
	unsigned char fill[248];
};

struct round {
	gort_chan *c;
	size_t size;
	int nsenders, nreceivers;
	uint32_t per_sender;
	uint64_t *sum;	 // of a receiver
	uint32_t *count; // of a receiver
	gort_waitgroup senders, receivers;
};

static void
fill(struct message *m, size_t size)
{
	memset(m->fill, (int)(m->sender * 31 + m->number), size - offsetof(struct message, fill));
}

static void
check(const struct message *m, size_t size)
{
	unsigned char want = (unsigned char)(m->sender * 31 + m->number);
	for (size_t i = 0; i < size - offsetof(struct message, fill); i++)
		STRESS_CHECK(m->fill[i] == want, "torn value of %zu bytes at byte %zu", size, i);
}

static void
sender(struct round *r, uint32_t id)
{
	struct rng rng = rng_for(id);
	for (uint32_t i = 0; i < r->per_sender; i++) {
		struct message m = {.sender = id, .number = i};
		fill(&m, r->size);
		if (rng_below(&rng, 4) == 0)
			while (!gort_chan_try_send(r->c, &m))
				gort_gosched();
		else
			gort_chan_send(r->c, &m);
	}
	gort_waitgroup_done(&r->senders);
}

// Values of one sender come in ascending order to each receiver.
static void
receiver(struct round *r, int id)
{
	struct rng rng = rng_for(1000 + (uint64_t)id);
	int64_t last[16];
	memset(last, -1, sizeof(last));
	for (;;) {
		struct message m = {0};
		int got = rng_below(&rng, 4) == 0    ? gort_chan_try_recv(r->c, &m)
			  : gort_chan_recv(r->c, &m) ? 1
						     : GORT_CLOSED;
		if (got == 0) {
			gort_gosched();
			continue;
		}
		if (got == GORT_CLOSED) {
			STRESS_CHECK(m.sender == 0 && m.number == 0, "closed: not zeroed");
			break;
		}
		check(&m, r->size);
		STRESS_CHECK((int64_t)m.number > last[m.sender], "%u of sender %u after %lld",
			     m.number, m.sender, (long long)last[m.sender]);
		last[m.sender] = m.number;
		r->sum[id] += (uint64_t)m.sender << 32 | m.number;
		r->count[id]++;
	}
	gort_waitgroup_done(&r->receivers);
}

struct words4 {
	uint32_t v[4];
};
struct words6 {
	uint32_t v[6];
};
struct words32 {
	uint32_t v[32];
};

static gort_chan *
make(size_t size, int cap)
{
	switch (size) {
	case 8:
		return gort_make_chan(uint64_t, cap);
	case 16:
		return gort_make_chan(struct words4, cap);
	case 24:
		return gort_make_chan(struct words6, cap);
	case 128:
		return gort_make_chan(struct words32, cap);
	default:
		return gort_make_chan(struct message, cap);
	}
}

static void
one_round(struct rng *rng)
{
	static const size_t sizes[] = {8, 16, 24, 128, sizeof(struct message)};
	static const int caps[] = {0, 0, 1, 2, 7, 128};
	uint64_t sums[16] = {0};
	uint32_t counts[16] = {0};
	struct round r = {
		.size = sizes[rng_below(rng, 5)],
		.nsenders = 1 + (int)rng_below(rng, 8),
		.nreceivers = 1 + (int)rng_below(rng, 8),
		.per_sender = 1 + rng_below(rng, 2000),
		.sum = sums,
		.count = counts,
	};
	int cap = caps[rng_below(rng, 6)];
	r.c = make(r.size, cap);
	gort_maxprocs(1 + (int)rng_below(rng, 4));
	gort_waitgroup_add(&r.senders, r.nsenders);
	gort_waitgroup_add(&r.receivers, r.nreceivers);
	for (int i = 0; i < r.nreceivers; i++)
		gort_go(receiver, &r, i);
	for (int i = 0; i < r.nsenders; i++)
		gort_go(sender, &r, (uint32_t)i);
	gort_waitgroup_wait(&r.senders);
	gort_chan_close(r.c);
	gort_waitgroup_wait(&r.receivers);

	uint64_t want = 0, got = 0, n = 0;
	for (int s = 0; s < r.nsenders; s++)
		for (uint32_t i = 0; i < r.per_sender; i++)
			want += (uint64_t)s << 32 | i;
	for (int i = 0; i < r.nreceivers; i++) {
		got += sums[i];
		n += counts[i];
	}
	STRESS_CHECK(n == (uint64_t)r.nsenders * r.per_sender, "%llu values",
		     (unsigned long long)n);
	STRESS_CHECK(got == want, "sum %llx, not %llx", (unsigned long long)got,
		     (unsigned long long)want);
	STRESS_CHECK(gort_chan_len(r.c) == 0, "a value was left behind");
}

// First come, first served: each goroutine queues alone, so the order of arrival is known.
static void
queue_up(gort_chan *c, gort_chan *order, int id)
{
	gort_recv(int, c);
	gort_send(int, order, id);
}

static void
fifo(void)
{
	enum { N = 100 };
	gort_chan *c = gort_make_chan(int, 0), *order = gort_make_chan(int, N);
	gort_maxprocs(1);
	for (int i = 0; i < N; i++) {
		gort_go(queue_up, c, order, i);
		gort_gosched();
	}
	for (int i = 0; i < N; i++) {
		gort_send(int, c, 0);
		int id = gort_recv(int, order);
		STRESS_CHECK(id == i, "receiver %d was served %d.", id, i);
	}
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	struct rng rng = rng_for(0);
	int rounds = 0;
	fifo();
	do
		one_round(&rng);
	while (++rounds, stress_time_left());
	printf("%d rounds\n", rounds);
	return 0;
}
GORT_MAIN(app)
