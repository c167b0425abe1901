// SPDX-License-Identifier: BSD-3-Clause
#include <stdint.h>

#include <gort/sync.h>
#include <gort/time.h>

#include "on_gort.h"
#include "sync/sema.h"

TestSuite(sema, .timeout = 30);

enum { ADDRS = 2000, PER_ADDR = 3 };
static uint32_t words[ADDRS * 251]; // addresses 251 * 8 bytes apart share a root
static int order[ADDRS * PER_ADDR], norder;

static uint32_t *
word(int i)
{
	return &words[i * 251 % (int)rt_nelem(words)];
}

static void
sleep_on(int addr, int number, bool lifo)
{
	rt_enter();
	rt_semacquire(word(addr), lifo, 0, WAIT_SEMACQUIRE);
	rt_leave();
	order[norder++] = addr * 10 + number;
}

static void
release(int addr, bool handoff)
{
	rt_enter();
	rt_semrelease(word(addr), handoff, 0);
	rt_leave();
}

// Starts a goroutine that sleeps at addr, and returns when it does.
static void
start(int addr, int number, bool lifo)
{
	gort_go(sleep_on, addr, number, lifo);
	yield_to_others();
}

static void
settle(int until)
{
	while (norder < until)
		gort_gosched();
	CHECK_EQ(norder, until);
}

GORT_TEST(sema, units_can_be_stored)
{
	release(0, false);
	release(0, false);
	CHECK_EQ(*word(0), 2);
	sleep_on(0, 1, false);
	sleep_on(0, 2, false);
	CHECK_EQ(*word(0), 0);
}

// Thousands of addresses with three waiters each, released in a random order of addresses: every one is
// found, first come first served per address.
GORT_TEST(sema, many_addresses_in_one_root)
{
	static int served[ADDRS], line[ADDRS * PER_ADDR];
	uint64_t rnd = 7;
	gort_maxprocs(1);
	for (int k = 0; k < PER_ADDR; k++)
		for (int i = 0; i < ADDRS; i++)
			start(i, k, false);
	for (int i = 0; i < ADDRS * PER_ADDR; i++)
		line[i] = i % ADDRS;
	for (int i = ADDRS * PER_ADDR - 1; i > 0; i--) {
		int j = (int)(rt_rand_next(&rnd) % (uint64_t)(i + 1)), t = line[i];
		line[i] = line[j];
		line[j] = t;
	}
	for (int i = 0; i < ADDRS * PER_ADDR; i++) {
		release(line[i], false);
		settle(i + 1);
		CHECK_EQ(order[i], line[i] * 10 + served[line[i]]++);
	}
}

GORT_TEST(sema, lifo_goes_first)
{
	static const int want[] = {2, 0, 1, 3};
	gort_maxprocs(1);
	for (int k = 0; k < 4; k++)
		start(0, k, k == 2);
	for (int k = 0; k < 4; k++) {
		release(0, false);
		settle(k + 1);
		CHECK_EQ(order[k], want[k]);
	}
}

// Of N releases, how many return after the waiter has run.
static int
ran_at_once(int n, bool handoff)
{
	int ran = 0;
	for (int k = 0; k < n; k++) {
		start(0, k, false);
		release(0, handoff);
		ran += norder == k + 1;
		settle(k + 1);
	}
	norder = 0;
	return ran;
}

// Mostly: the scheduler may choose another one first, or preempt.
GORT_TEST(sema, handoff_runs_the_waiter_at_once)
{
	gort_maxprocs(1);
	CHECK(ran_at_once(100, true) > 80);
	CHECK(ran_at_once(100, false) < 20);
}
