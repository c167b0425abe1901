// SPDX-License-Identifier: BSD-3-Clause
// Profiles in the format of `go tool pprof`, from gort programs and from plain C programs alike.
//
// Files are gzipped profile.proto, with function names, files, lines and inlined frames inside: they
// are complete without the program. Lines and inlined frames come from a helper process,
// gort-symbolize, which the profiler starts for as long as it writes; where it cannot be started, the
// file has symbol-table names and a comment that says why.
//
// Without code: GORT_CPUPROFILE, GORT_MEMPROFILE, GORT_GOROUTINEPROFILE, GORT_MUTEXPROFILE and
// GORT_BLOCKPROFILE name a file each (%p stands for the process id), written when the program ends;
// GORT_HTTP=localhost:6060 serves all of them while it runs.
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
//          "goroutineleak" stacks of those that wait for something that nobody can do any more; a
//                          collection with the world stopped looks for them (docs/gc.md)
//          "threadcreate"  the number of threads
//          "mutex"         where unlocks ended others' waiting (gort_set_mutex_profile_fraction)
//          "block"         where goroutines waited (gort_set_block_profile_rate)
//          or the name of a custom profile (gort_profile_new)
//   fd     open for writing; stays open. The caller's.
//   debug  0: gzipped profile.proto; 1: text, with Go's grammar, which go tool pprof reads, too;
//          2: the same, but goroutine and goroutineleak as a dump of all stacks in the form of a
//          panic's traceback
//
// Returns 0, or
//   -ENOENT   no profile has this name
//   -ENOTSUP  this program has no source for it (goroutine without the runtime)
//   -ENOMEM, or the error of writing
// goroutine stops the world for as long as it takes to read the stacks. Text shows the events as they
// were sampled; its mutex values are divided by the fraction that stands above them.
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

// ---- labels ----

typedef struct gort_label {
	const char *key, *value; // copied where they are kept
} gort_label;

// gort_label(key, value) is one label, for an array of them.
#define gort_label(key, value) ((gort_label){(key), (value)})

// gort_do_labelled calls fn(arg) with n labels added to the calling goroutine's (in place of those with
// the same key), and takes them away again. CPU samples, goroutines and waits for which a block profile
// is kept carry the labels that were set; goroutines started by fn inherit them. Without the runtime
// the labels are the thread's.
//
// A set has at most 64 labels, and all sets ever used at most 32 MiB of text: what is beyond is left
// out, and a comment in the profile says so. Prefer few different values (a route, not a request id).
//
// Go: pprof.Do.
GORT_API void gort_do_labelled(const gort_label *labels, int n, void (*fn)(void *arg), void *arg);

// ---- profiles of the program's own ----

typedef struct gort_profile gort_profile;

// gort_profile_new makes a profile that counts values (open files, sessions) by the stack that added
// them. It lives as long as the process; gort_pprof_write and /debug/pprof know it by its name, of at
// most 63 bytes, which is copied. A name that is taken or empty panics. NULL: no memory.
//
// Go: pprof.NewProfile.
GORT_API gort_profile *gort_profile_new(const char *name);

// The profile of this name, or NULL. Go: pprof.Lookup, for custom profiles.
GORT_API gort_profile *gort_profile_lookup(const char *name);

// gort_profile_add counts value, any pointer but NULL, at the caller's stack less skip frames, until
// gort_profile_remove. The value is only compared; it keeps no object alive. Adding it twice panics;
// removing one that is not there does nothing. A NULL profile is ignored. Any thread or goroutine.
//
// Go: Profile.Add, Profile.Remove, Profile.Count.
GORT_API void gort_profile_add(gort_profile *p, const void *value, int skip);
GORT_API void gort_profile_remove(gort_profile *p, const void *value);
GORT_API ptrdiff_t gort_profile_count(const gort_profile *p);

// ---- over HTTP ----

// gort_pprof_serve serves /debug/pprof as Go's net/http/pprof does, from a thread of its own, so that it
// answers also when no goroutine makes progress. GORT_HTTP=addr in the environment does the same at the
// start of the program.
//
//   addr   "host:port", ":port" (loopback) or "host:0" (any free port); "[::1]:6060" for IPv6. An
//          address that other machines can reach is refused unless GORT_HTTP_TOKEN is set; requests
//          must then say "Authorization: Bearer TOKEN" or ?token=TOKEN.
//
// Beside Go's pages: delta_heap, delta_block, delta_mutex; /debug/vars (JSON) and /metrics (Prometheus).
// libmicrohttpd is loaded when this is called first. May be called again for other addresses. Returns
// the port, or
//   -EINVAL, -EADDRINUSE, -EADDRNOTAVAIL   what the address is or is not
//   -EACCES   other machines could reach it and there is no token
//   -ENOSYS   libmicrohttpd.so.12 is not there
//   -EAGAIN, -ENOMEM   no thread, no memory
//
// Go: import _ "net/http/pprof" and http.ListenAndServe.
GORT_API int gort_pprof_serve(const char *addr);

// Refer to it with the linker's -u to take the switches of the environment from the static library.
GORT_API void gort_profiler_init_(void);

GORT_END_DECLS
