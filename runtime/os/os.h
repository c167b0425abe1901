// SPDX-License-Identifier: BSD-3-Clause
// What the runtime needs of the operating system: the contract; the .c files beside it are Linux.
// Sizes and addresses are multiples of the 4 KiB page unless said otherwise.
#pragma once

#include "base/base.h"

// Sleeps while *addr == val, at most ns nanoseconds (negative: for ever). Spurious returns happen.
void rt_futex_wait(_Atomic uint32_t *addr, uint32_t val, int64_t ns);
void rt_futex_wake(_Atomic uint32_t *addr, uint32_t n);

// CLOCK_MONOTONIC, nanoseconds. vDSO, async-signal-safe.
int64_t rt_nanotime(void);
// CLOCK_REALTIME, nanoseconds since 1970.
int64_t rt_walltime(void);
// CPU time of the calling thread / of the process, nanoseconds.
int64_t rt_thread_cputime(void);
int64_t rt_process_cputime(void);

// The same of thread tid of this process: one that is running sees it grow between two calls. -1: no such
// thread.
int64_t rt_os_cputime_of(int tid);
// Whether thread tid runs or waits for a CPU, other than sleeps; false where /proc does not say.
bool rt_os_is_runnable(int tid);

// CPUs in this process's affinity mask, at least 1.
int rt_os_ncpu(void);
// More than the number of any CPU that the machine may ever have; 0: not known.
int rt_os_cpu_ids(void);
// CPUs that this process's cgroup grants it, 0: no limit. Go: internal/cgroup.
double rt_os_cpu_quota(void);
void rt_os_yield(void);
// Restartable sequences (arch.h: RT_RSEQ_STORE_IF). The thread pointer's distance to the kernel's area; 0
// where sequences or the fence are not to be had. Set by rt_os_rseq_init, before there is a second thread.
extern ptrdiff_t rt_rseq_offset;
void rt_os_rseq_init(void);
// When it returns, every thread of the process has executed a full memory barrier since the call, and
// every sequence that was under way has either done its store or will fail. About a microsecond.
void rt_os_rseq_fence(void);
int rt_os_gettid(void);

// Reserves address space that costs no memory until touched (PROT_READ|WRITE, NORESERVE). If the
// kernel refuses n, halves it (down to min) until it accepts; *got is what there is. Aligned to align
// (a power of two). NULL when even min is refused.
void *rt_os_reserve(size_t n, size_t min, size_t align, size_t *got);
// Zeroed memory that lives as long as the process; NULL when refused.
void *rt_os_alloc(size_t n);
void rt_os_free(void *p, size_t n);
// Gives the pages back; they read as zeros afterwards.
void rt_os_release(void *p, size_t n);
void rt_os_hugepage(void *p, size_t n, bool on);

// Bytes of memory behind [lo, hi), from hi down to the first 128 KiB that have none. A system call or two.
size_t rt_os_resident(uintptr_t lo, uintptr_t hi);

// Watching for writes (writewatch.c). init: [p, p + n), one range in a process's life; false where the
// kernel cannot. arm: from now on no page of [lo, hi) counts as written until it is. written: calls fn for
// the written pages of [lo, hi), and arms them if told to. Both false when the kernel fails, having done part
// of it.
bool rt_os_watch_init(void *p, size_t n);
bool rt_os_watch_arm(uintptr_t lo, uintptr_t hi);
bool rt_os_watch_written(uintptr_t lo, uintptr_t hi, bool arm,
			 void (*fn)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);

// Persistent memory for the runtime's own structures: zeroed, 16-byte aligned (or align), never
// freed, never from libc's malloc. Throws when the machine has none. Safe with the world stopped.
// Counted in *stat; NULL: in rt_persistent_other.
extern _Atomic uint64_t rt_persistent_other;
void *rt_persistent_alloc(size_t n, size_t align, _Atomic uint64_t *stat);
// The same, but NULL when the machine has none.
void *rt_persistent_try(size_t n, size_t align, _Atomic uint64_t *stat);
