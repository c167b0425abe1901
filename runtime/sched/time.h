// SPDX-License-Identifier: BSD-3-Clause
// What channels know of timers: a channel with c->timer set belongs to one (sched/time.c), which is in
// a heap only while somebody waits. All take c->lock as held unless said otherwise.
#pragma once

#include "base/base.h"

struct hchan;

// Whether a receive would find the timer expired. Without the lock a peek; with it exact. While others
// wait on c it is false: the heap serves them first.
bool rt_timer_chan_ready(struct hchan *c);
// If so its value enters the empty buffer: true.
bool rt_timer_chan_poll(struct hchan *c);
// A goroutine is about to wait on c, and does so no more; the latter without the lock.
void rt_timer_chan_block(struct hchan *c);
void rt_timer_chan_unblock(struct hchan *c);
