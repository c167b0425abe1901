// SPDX-License-Identifier: BSD-3-Clause
// CPU profiles: a CPU-time timer for each thread sends SIGPROF to that thread; the handler walks the
// interrupted stack into the thread's ring; the reader thread folds rings into buckets.
//
// Sessions overlap freely: buckets only grow, a session is the difference between two readings. The
// timers run while there is one session, at the highest rate asked for, and every sample carries the
// CPU time it stands for, so totals hold whatever the rate.
#pragma once

#include <pthread.h>
#include <time.h>

#include "core/thread.h"

// The kernel's id for the CPU clock of one thread (man clock_getcpuclockid, kernel posix-timers.h).
#define RTP_THREAD_CPU_CLOCK(tid) ((clockid_t)(~(unsigned)(tid) << 3 | 6u))

// CPU time of a thread of this process in ns; -1: there is no such thread.
RT_INLINE int64_t
rtp_thread_cpu(int tid)
{
	struct timespec ts;
	return clock_gettime(RTP_THREAD_CPU_CLOCK(tid), &ts) == 0 ? ts.tv_sec * 1000000000 + ts.tv_nsec : -1;
}

// Starts sampling (counted). 0, or a negative errno value: EBUSY another profiler owns SIGPROF.
int rtp_cpu_acquire(int hz);
void rtp_cpu_release(void);

// The program takes SIGPROF for itself: our timers stop for good, what was sampled stays.
void rtp_cpu_evict(void);
// Sampling is on.
bool rtp_cpu_active(void);
// Whether this disposition of SIGPROF is our handler.
struct sigaction;
bool rtp_cpu_handler_is(const struct sigaction *sa);
// Whether a call that never restarts after a handler (poll, nanosleep) is restarted when it was ours
// that interrupted it: as long as the program has no handlers, it is not written for EINTR.
extern _Atomic bool rtp_restart_calls;

// Folds what the rings hold into buckets and frees the slots of threads that ended.
void rtp_drain(void);

// A thread starts: gets its slot, and its timer if sampling is on. On that thread.
void rtp_cpu_thread_start(void);
// The calling thread is sampled no more from here on; what it did since its last sample is counted.
void rtp_cpu_thread_last(void);
// The calling thread ends.
void rtp_cpu_thread_exit(void);

// The background thread (sources/reader.c) calls it ten times a second.
void rtp_cpu_tick(void);

// The label set of a native thread's name as it is now.
uint64_t rtp_thread_label(struct rtp_region *r, struct rtp_thread *t);

void rtp_cpu_forked(void);

// Ensures that the background thread runs. False: it could not be started.
bool rtp_reader_start(void);
void rtp_reader_forked(void);
// Ends it, and comes back when it is gone altogether: for calls that must find the program's own threads
// only. Start it again afterwards, if it ran.
bool rtp_reader_stop(void);
// Called by the background thread at each of its ticks, if set.
extern void (*rtp_on_tick)(void);

// A thread of ours: signals blocked, never sampled, no part of the program in the eyes of the runtime.
// name: at most 15 bytes, static. False: the system has no thread to give.
bool rtp_spawn(const char *name, void *(*fn)(void *arg), void *arg);
// Such a thread ends: its last call.
void rtp_own_thread_exit(void);
bool rtp_is_own_thread(void); // the calling one
bool rtp_is_own_tid(int tid);

// libc's pthread_create, past ours (sources/threads.c).
int rtp_real_pthread_create(pthread_t *th, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
