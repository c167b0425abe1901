// SPDX-License-Identifier: BSD-3-Clause
// Goroutines: start them, yield, end, and the program around them. Go: package runtime, and `go`.
//
//	static void hello(const char *who, int n) { printf("%s %d\n", who, n); }
//	static int app(int argc, char **argv) { gort_go(hello, "world", 1); gort_gosched(); return 0; }
//	GORT_MAIN(app)
//
// Unless a function says otherwise it may be called from any goroutine, is not async-signal-safe, and
// keeps errno.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

// gort_run starts the runtime, runs app(argc, argv) as goroutine 1 and ends the process with its
// result as by exit(3): atexit handlers run, stdout is flushed, profiles are written. Other goroutines
// are not scheduled any more then. Does not return to its caller; the int is for `return gort_run(...)`
// in main. Once a process: a second call is a fatal error. Goroutine 1 has 64 MiB of stack.
//
// Go: the runtime's start-up and main.main.
GORT_API int gort_run(int (*app)(int, char **), int argc, char **argv);

#define GORT_MAIN(app)                                                                             \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return gort_run(app, argc, argv);                                                  \
	}

// gort_go(fn, ...) starts a goroutine that calls fn(...); what fn returns is dropped. fn is any
// function or function pointer with 0 to 6 arguments of integer, pointer or floating type; they are
// checked against its prototype and converted as in any call, before the goroutine exists. A struct
// argument or result does not compile: pass a pointer to memory that outlives the call. A parameter of
// type long double is not supported. The goroutine ends when fn returns or calls gort_goexit.
// On it pthread_exit and pthread_cancel, which would end its thread, are fatal errors. So is longjmp (or another
// switch of stacks) that leaves its stack: found when it would block.
//
// The stack of a goroutine has a fixed size, 192 KiB unless the environment variable GORT_STACK (bytes,
// or with a suffix KiB or MiB) says otherwise; only touched pages cost memory. Running over it prints
// "goroutine stack exceeds ...-byte limit" and a traceback, and ends the process with status 2.
//
// Go: the go statement.
#define gort_go(fn, ...) gort_go_stack(0, fn __VA_OPT__(, ) __VA_ARGS__)

// gort_go_stack(bytes, fn, ...) is gort_go with a stack of at least bytes bytes, mapped for this
// goroutine alone (0: the usual stack). Go has no counterpart: its stacks move when they grow.
#define gort_go_stack(bytes, fn, ...)                                                              \
	__extension__({                                                                            \
		__typeof__(&*(fn)) gort_fn_ = (fn);                                                \
		__typeof__(gort_fn_) gort_stub_;                                                   \
		size_t gort_bytes_ = (bytes);                                                      \
		GORT_CHECK_CALL_(gort_fn_ __VA_OPT__(, ) __VA_ARGS__)                              \
		/* hides from the compiler that the stub has another type */                       \
		__asm__("" : "=r"(gort_stub_) : "0"(gort_go_stub_));                               \
		(void)gort_stub_(__VA_ARGS__);                                                     \
		gort_go_start_((void (*)(void))gort_fn_, gort_bytes_);                             \
	})

// The two halves of gort_go: the stub saves the argument registers for a goroutine in the making,
// start_ gives it its function and puts it on a run queue.
GORT_API void gort_go_stub_(void);
GORT_API void gort_go_start_(void (*fn)(void), size_t stack_bytes);

#define GORT_NARGS_(...) GORT_NARGS_PICK_(_ __VA_OPT__(, ) __VA_ARGS__, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define GORT_NARGS_PICK_(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, n, ...) n
// What cannot be passed on, or back.
#ifdef __cplusplus
#define GORT_ASSERT_ static_assert
#define GORT_IS_STRUCT_(a) (__is_class(__typeof__((a))) || __is_union(__typeof__((a))))
#define GORT_IS_LONG_DOUBLE_(a) __is_same(__typeof__((a)), long double)
#define GORT_CHECK_RESULT_(call)                                                                   \
	GORT_ASSERT_(!GORT_IS_STRUCT_(call), "gort_go: a function that returns a struct");
#else
#define GORT_ASSERT_ _Static_assert
#define GORT_IS_STRUCT_(a)                                                                         \
	(__builtin_classify_type(a) == 12 || __builtin_classify_type(a) == 13 ||                   \
	 __builtin_classify_type(a) == 9)
#define GORT_IS_LONG_DOUBLE_(a) __builtin_types_compatible_p(__typeof__((a)), long double)
#define GORT_CHECK_RESULT_(call)                                                                   \
	GORT_ASSERT_(sizeof(__typeof__(call)) <= 16, "gort_go: a function that returns a large struct");
#endif
#define GORT_CHECK_CALL_(f, ...)                                                                   \
	GORT_ASSERT_(GORT_NARGS_(__VA_ARGS__) <= 6, "gort_go takes up to 6 arguments");            \
	GORT_CAT(GORT_CHECK_, GORT_NARGS_(__VA_ARGS__))(__VA_ARGS__)                               \
	GORT_CHECK_RESULT_(f(__VA_ARGS__))
#define GORT_CHECK_ARG_(a)                                                                         \
	GORT_ASSERT_(!GORT_IS_STRUCT_(a), "gort_go: pass a pointer, not a struct, union or complex number"); \
	GORT_ASSERT_(!GORT_IS_LONG_DOUBLE_(a), "gort_go: no long double arguments");
#define GORT_CHECK_0(...)
#define GORT_CHECK_1(a) GORT_CHECK_ARG_(a)
#define GORT_CHECK_2(a, ...) GORT_CHECK_ARG_(a) GORT_CHECK_1(__VA_ARGS__)
#define GORT_CHECK_3(a, ...) GORT_CHECK_ARG_(a) GORT_CHECK_2(__VA_ARGS__)
#define GORT_CHECK_4(a, ...) GORT_CHECK_ARG_(a) GORT_CHECK_3(__VA_ARGS__)
#define GORT_CHECK_5(a, ...) GORT_CHECK_ARG_(a) GORT_CHECK_4(__VA_ARGS__)
#define GORT_CHECK_6(a, ...) GORT_CHECK_ARG_(a) GORT_CHECK_5(__VA_ARGS__)
#define GORT_CHECK_7(...)
#define GORT_CHECK_8(...)
#define GORT_CHECK_9(...)

// gort_gosched lets other goroutines run; the caller goes to the end of its P's run queue, or, when that is
// empty, to the end of the global one.
// Go: runtime.Gosched.
GORT_API void gort_gosched(void);

// gort_goexit ends the calling goroutine after running its gort_on_exit functions. On goroutine 1 the
// program goes on with the others; when the last of them has ended, that is a deadlock, as in Go.
// Go: runtime.Goexit.
GORT_API GORT_NORETURN void gort_goexit(void);

// gort_on_exit makes fn(arg) run when the calling goroutine ends, by return or gort_goexit; the last
// registered runs first. arg may be a collected pointer and is kept alive until then. fn runs on the
// goroutine and may do anything that it could. Not run when the process ends. Go: defer, in its outermost function.
GORT_API void gort_on_exit(void (*fn)(void *arg), void *arg);

// gort_maxprocs sets how many goroutines run at the same time if n > 0, and returns the previous
// value. It stops the world for a moment. At most 1024. Go: runtime.GOMAXPROCS.
GORT_API int gort_maxprocs(int n);

// Live goroutines, the caller included, the runtime's own not. Go: runtime.NumGoroutine.
GORT_API int gort_num_goroutine(void);
// CPUs this process may use, fixed at start. Go: runtime.NumCPU.
GORT_API int gort_num_cpu(void);

// gort_goid returns the calling goroutine's number as tracebacks show it, 0 on a foreign thread. For
// logs only. Async-signal-safe.
GORT_API uint64_t gort_goid(void);

// gort_entersyscall and gort_exitsyscall stand around a call that may block outside the runtime (read,
// connect, a foreign library): the goroutine keeps its thread but not its P, so others go on running.
// In between, no other function of gort may be called, and collected pointers are neither loaded from
// the heap nor stored. Both cost a few nanoseconds when the call is short. Keep errno.
// Go: runtime.entersyscall, exitsyscall.
GORT_API void gort_entersyscall(void);
GORT_API void gort_exitsyscall(void);

// gort_blocking calls fn(arg) on the thread's system stack, where blocking and deep frames harm nobody,
// and returns when fn has. For fn the rules between gort_entersyscall and gort_exitsyscall hold.
// Go: a cgo call.
GORT_API void gort_blocking(void (*fn)(void *arg), void *arg);

// gort_lock_os_thread wires the calling goroutine to its current thread until as many calls of
// gort_unlock_os_thread: it runs on no other thread, and no other goroutine runs on this one. For
// libraries with thread-local state. Go: runtime.LockOSThread, UnlockOSThread.
GORT_API void gort_lock_os_thread(void);
GORT_API void gort_unlock_os_thread(void);

// fork(2): the child has the calling thread only, and no scheduler. It may call exec or exit, and what is
// async-signal-safe; a call that needs the scheduler ends it with "gort: a child made by fork has no scheduler:
// it may only exec or exit" and status 2. posix_spawn, system and popen work as ever. Go: syscall.ForkExec.

// Any thread may call gort, also one that the runtime did not make: for the time of the call it is a
// goroutine of its own that may block, send, allocate. Between calls it must not hold collected
// pointers. After gort_attach_thread it may, in its stack and registers, until gort_detach_thread; it
// must leave SIGURG unblocked then. On goroutines both do nothing. Go: a callback from C.
GORT_API void gort_attach_thread(void);
GORT_API void gort_detach_thread(void);

// gort_panic prints "panic: " with the formatted text and a traceback, and ends the process with
// status 2; gort_fatal the same with "fatal error: ". There is no recover. Any thread.
// Formats: %s %.*s %c %d %i %u %x %X %p %f %%, with l, ll, z, j, t, width and precision.
// Go: panic; the runtime's throw.
GORT_API GORT_NORETURN void gort_panic(const char *fmt, ...) GORT_PRINTF(1, 2);
GORT_API GORT_NORETURN void gort_fatal(const char *fmt, ...) GORT_PRINTF(1, 2);

// The errno of the thread that runs the caller now. <gort.h> redefines errno with it, because a
// compiler may keep the address that libc's errno stands for over a call that moved the goroutine to
// another thread. Define GORT_KEEP_ERRNO before including <gort.h> to keep libc's.
GORT_API int *gort_errno_(void);

GORT_END_DECLS
