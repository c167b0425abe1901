// SPDX-License-Identifier: BSD-3-Clause
// Profiles in the format of `go tool pprof`, from gort programs and from plain C programs alike.
//
// Files are gzipped profile.proto, with function names, files, lines and inlined frames inside: they
// are complete without the program. Lines and inlined frames come from a helper process,
// gort-symbolize, which the profiler starts for as long as it writes; where it cannot be started, the
// file has symbol-table names and a comment that says why.
//
// Without code: GORT_CPUPROFILE, GORT_MEMPROFILE, GORT_GOROUTINEPROFILE, GORT_MUTEXPROFILE and
// GORT_BLOCKPROFILE name a file each (%p stands for the process id), written when the program ends.
// GORT_SYMBOLIZE=none leaves addresses and build ids only; GORT_SYMBOLIZER is the helper's path.
//
// Works with and without the runtime (pkg-config gort-profiler). All functions may be called from any
// thread or goroutine at any time, but not from a signal handler. Those that write block the thread
// for as long as writing takes. None of them touches errno's meaning for the caller: results are
// returned.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

// gort_pprof_start_cpu starts a CPU profile.
//
//   fd   a descriptor open for writing; it must stay open until gort_pprof_stop_cpu, which writes
//        to it and leaves it open. The caller's.
//   hz   samples per second of CPU time and thread, 1 to 10000; 0 means 100
//
// Every thread of the process is sampled by its own CPU-time timer and SIGPROF, also threads that
// start later. Returns 0, or
//   -EINVAL   hz out of range
//   -EBUSY    a CPU profile is running already, or the program has its own SIGPROF handler
//   -ENOMEM, -EAGAIN   no memory, no thread for the profiler
//
// Go: pprof.StartCPUProfile.
GORT_API int gort_pprof_start_cpu(int fd, int hz);

// gort_pprof_stop_cpu ends the CPU profile and writes it. Returns 0, -EINVAL when none is running, or
// the error of writing as a negative errno value; the profile is over in any case.
//
// Go: pprof.StopCPUProfile.
GORT_API int gort_pprof_stop_cpu(void);

// gort_pprof_write writes a profile of what is so far.
//
//   name   "heap"          objects in use as of the last completed collection
//          "allocs"        the same data, first shown by all that was ever allocated
//          "goroutine"     stacks of all goroutines
//          "threadcreate"  the number of threads
//          "mutex"         where unlocks ended others' waiting (gort_set_mutex_profile_fraction)
//          "block"         where goroutines waited (gort_set_block_profile_rate)
//   fd     open for writing; stays open. The caller's.
//   debug  0: gzipped profile.proto
//
// Returns 0, or
//   -ENOENT   no profile has this name
//   -ENOTSUP  this program has no source for it (goroutine without the runtime), or debug is not 0
//   -ENOMEM, or the error of writing
// goroutine stops the world for as long as it takes to read the stacks.
//
// Go: pprof.Lookup(name).WriteTo.
GORT_API int gort_pprof_write(const char *name, int fd, int debug);

// gort_set_mem_profile_rate: the mean number of bytes allocated between two heap samples; 1 samples
// every allocation, 0 none. Set it as early as possible: a profile is scaled by one rate. Returns the
// previous value; 0 and no effect without the runtime. The default is 524288.
//
// Go: runtime.MemProfileRate.
GORT_API int64_t gort_set_mem_profile_rate(int64_t bytes);

// gort_set_mutex_profile_fraction: on average one in fraction contention events is recorded; 0 turns
// the profile off, a negative value only asks. Returns the previous value.
//
// Go: runtime.SetMutexProfileFraction.
GORT_API int gort_set_mutex_profile_fraction(int fraction);

// gort_set_block_profile_rate: waiting is sampled once for every ns nanoseconds waited; 1 records
// everything, 0 or less nothing.
//
// Go: runtime.SetBlockProfileRate.
GORT_API void gort_set_block_profile_rate(int64_t ns);

// Refer to it with the linker's -u to take the switches of the environment from the static library.
GORT_API void gort_profiler_init_(void);

GORT_END_DECLS
