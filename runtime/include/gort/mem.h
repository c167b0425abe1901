// SPDX-License-Identifier: BSD-3-Clause
// Collected memory: allocation, what the collector must know of your types, stores of pointers, control
// and statistics.
//
// Memory from here is zeroed, aligned to its size class (at least 8 bytes, 16 from 16 bytes on where the
// size is a multiple of 16) and lives while something that the collector looks at points into it: a
// goroutine's stack or registers, a writable global of the program, a root (gort_add_root) or another
// collected object. A pointer into the middle counts; from stacks and globals one just past the end
// counts too. Not looked at: libc's malloc, thread-local variables, pointers that are stored unaligned
// or disguised.
//
// All functions may be called from any goroutine, none from a signal handler. Those that allocate panic
// as Go does when the size is impossible and end the process with Go's "out of memory" when there is
// none; they never return NULL.
#pragma once

#include <gort/base.h>
#include <gort/type.h>

GORT_BEGIN_DECLS

// ---- allocation ----

#ifndef __cplusplus
// T *gort_new(T): one zeroed T. The collector never scans it if T is an arithmetic type, scans it by
// T's pointer map where this source file (or a header of it) declares one with GORT_TYPE, else every
// aligned word of it. Go: new(T).
#define gort_new(T) ((__typeof__(T) *)gort_new_(gort_type_of(T)))

// T *gort_new_array(T, n): n zeroed T side by side; n is a ptrdiff_t. n < 0 or too large panics with
// Go's "makeslice: len out of range". n == 0 gives a pointer that must not be dereferenced.
// Go: make([]T, n), without the header.
#define gort_new_array(T, n) ((__typeof__(T) *)gort_new_array_(gort_type_of(T), (n)))
#endif

GORT_API void *gort_new_(const gort_type *t) __attribute__((malloc, returns_nonnull));
GORT_API void *gort_new_array_(const gort_type *t, ptrdiff_t n) __attribute__((malloc, returns_nonnull));

// n zeroed bytes for data without pointers: never scanned. Small ones (< 16 bytes) share a block, as in
// Go: one of them keeps its neighbours' block alive. Go: make([]byte, n).
GORT_API void *gort_new_bytes(size_t n) __attribute__((malloc, returns_nonnull));

// ---- pointer maps ----

// GORT_TYPE(T, field...): at file scope, after T is complete. Only the listed fields of T hold collected
// pointers; no field: T holds none. A field is a member or a path (inner.next, items[2]); arrays,
// structs and unions count whole; of a gort_slice and gort_string the data pointer, of a gort_any both
// words. At most 32 fields. Found by T's spelling (struct node and a typedef of it are two spellings)
// within the source file and its headers. A pointer that is missing here does not keep its object alive.
// Go: what the compiler knows of every type.
#define GORT_TYPE(T, ...) GORT_TYPE_(T, GORT_FRESH(fields), GORT_FRESH(decl), GORT_FRESH(init), ##__VA_ARGS__)
#define GORT_TYPE_(T, fields, decl, init, ...)                                                     \
	static const struct gort_field fields[] = {                                                \
		GORT_EACH_FIELD_(T, ##__VA_ARGS__){sizeof(T), 0, 0, 0}};                              \
	static struct gort_type_decl decl = {                                                      \
		0, #T, sizeof(T), fields, sizeof fields / sizeof fields[0] - 1,             \
		GORT_DECL_TYPE, 0};                \
	__attribute__((constructor(101))) static void init(void)                                   \
	{                                                                                          \
		decl.next = gort_file_types_;                                                      \
		gort_file_types_ = &decl;                                                          \
	}

#define GORT_FIELD_(T, f)                                                                          \
	{__builtin_offsetof(T, f), sizeof(((__typeof__(T) *)0)->f),                                \
	 gort_kind_of_expr_(((__typeof__(T) *)0)->f), 0},
#define GORT_COUNT_(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, _17, \
		    _18, _19, _20, _21, _22, _23, _24, _25, _26, _27, _28, _29, _30, _31, _32, n,   \
		    ...)                                                                           \
	n
#define GORT_EACH_FIELD_(...)                                                                      \
	GORT_CAT(GORT_FIELDS_,                                                                     \
		 GORT_COUNT_(__VA_ARGS__, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,  \
			     18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0)) \
	(__VA_ARGS__)
#define GORT_FIELDS_0(T)
#define GORT_FIELDS_1(T, f) GORT_FIELD_(T, f)
#define GORT_FIELDS_2(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_1(T, __VA_ARGS__)
#define GORT_FIELDS_3(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_2(T, __VA_ARGS__)
#define GORT_FIELDS_4(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_3(T, __VA_ARGS__)
#define GORT_FIELDS_5(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_4(T, __VA_ARGS__)
#define GORT_FIELDS_6(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_5(T, __VA_ARGS__)
#define GORT_FIELDS_7(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_6(T, __VA_ARGS__)
#define GORT_FIELDS_8(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_7(T, __VA_ARGS__)
#define GORT_FIELDS_9(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_8(T, __VA_ARGS__)
#define GORT_FIELDS_10(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_9(T, __VA_ARGS__)
#define GORT_FIELDS_11(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_10(T, __VA_ARGS__)
#define GORT_FIELDS_12(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_11(T, __VA_ARGS__)
#define GORT_FIELDS_13(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_12(T, __VA_ARGS__)
#define GORT_FIELDS_14(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_13(T, __VA_ARGS__)
#define GORT_FIELDS_15(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_14(T, __VA_ARGS__)
#define GORT_FIELDS_16(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_15(T, __VA_ARGS__)
#define GORT_FIELDS_17(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_16(T, __VA_ARGS__)
#define GORT_FIELDS_18(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_17(T, __VA_ARGS__)
#define GORT_FIELDS_19(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_18(T, __VA_ARGS__)
#define GORT_FIELDS_20(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_19(T, __VA_ARGS__)
#define GORT_FIELDS_21(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_20(T, __VA_ARGS__)
#define GORT_FIELDS_22(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_21(T, __VA_ARGS__)
#define GORT_FIELDS_23(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_22(T, __VA_ARGS__)
#define GORT_FIELDS_24(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_23(T, __VA_ARGS__)
#define GORT_FIELDS_25(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_24(T, __VA_ARGS__)
#define GORT_FIELDS_26(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_25(T, __VA_ARGS__)
#define GORT_FIELDS_27(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_26(T, __VA_ARGS__)
#define GORT_FIELDS_28(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_27(T, __VA_ARGS__)
#define GORT_FIELDS_29(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_28(T, __VA_ARGS__)
#define GORT_FIELDS_30(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_29(T, __VA_ARGS__)
#define GORT_FIELDS_31(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_30(T, __VA_ARGS__)
#define GORT_FIELDS_32(T, f, ...) GORT_FIELD_(T, f) GORT_FIELDS_31(T, __VA_ARGS__)
// GORT_NOSCAN(variable): at file scope, after a global variable that holds no collected pointers: the
// collector does not read it. Worth it for large tables and buffers. Go: what the compiler knows.
#define GORT_NOSCAN(variable) GORT_NOSCAN_(variable, GORT_FRESH(range), GORT_FRESH(add), GORT_FRESH(drop))
#define GORT_NOSCAN_(variable, range, add, drop)                                                   \
	static struct gort_noscan_range range = {0, 0, &(variable), sizeof(variable)};             \
	__attribute__((constructor)) static void add(void)                                         \
	{                                                                                          \
		gort_noscan_add_(&range);                                                          \
	}                                                                                          \
	__attribute__((destructor)) static void drop(void)                                         \
	{                                                                                          \
		gort_noscan_remove_(&range);                                                       \
	}

struct gort_noscan_range {
	struct gort_noscan_range *next, *prev;
	const volatile void *p;
	size_t n;
};
GORT_API void gort_noscan_add_(struct gort_noscan_range *r);
GORT_API void gort_noscan_remove_(struct gort_noscan_range *r);

// ---- stores ----

// Non-zero while marking runs. Read by the macros below; not yours to write.
extern GORT_API uint32_t gort_write_barrier_on;
GORT_API void gort_set_slow_(void *slot, void *value);
GORT_API void gort_copy_objects_(const gort_type *t, void *dst, const void *src, ptrdiff_t n);
GORT_API void gort_clear_objects_(const gort_type *t, void *dst, ptrdiff_t n);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
#define GORT_SET_BY_CALL_ 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GORT_SET_BY_CALL_ 1
#endif
#endif

// Flag test and store are one asm statement that has the slot's address in a register: a thread may be
// stopped between the two while marking begins, and then the collector finds the slot there.
static inline __attribute__((always_inline, unused)) void
gort_set_(void *slot, void *value)
{
#ifdef GORT_SET_BY_CALL_
	gort_set_slow_(slot, value);
#else
	__asm__ goto("cmpl $0, %0\n\tjne %l[marking]\n\tmovq %2, (%1)"
		     :
		     : "m"(gort_write_barrier_on), "r"(slot), "r"(value)
		     : "cc", "memory"
		     : marking);
	return;
marking:
	gort_set_slow_(slot, value);
#endif
}

// The same for structs of two to GORT_SET_WORDS_ words: true when the store is done, false when it is the
// runtime's to do. The slot's address stays in its register until the last word is stored.
#define GORT_SET_WORDS_ 4
static inline __attribute__((always_inline, unused)) bool
gort_set_words_(void *slot, const void *value, size_t n)
{
#ifndef GORT_SET_BY_CALL_
	if (n == 8) {
		void *v;
		__builtin_memcpy(&v, value, 8);
		gort_set_(slot, v);
		return true;
	}
	if (n == 16) {
		__asm__ goto("cmpl $0, %0\n\tjne %l[marking]\n\t"
			     "movups (%2), %%xmm0\n\tmovups %%xmm0, (%1)"
			     :
			     : "m"(gort_write_barrier_on), "r"(slot), "r"(value)
			     : "cc", "memory", "xmm0"
			     : marking);
		return true;
	}
	if (n == 24 || n == 32) {
		__asm__ goto("cmpl $0, %0\n\tjne %l[marking]\n\t"
			     "movups (%2), %%xmm0\n\tmovups -16(%2,%3), %%xmm1\n\t"
			     "movups %%xmm0, (%1)\n\tmovups %%xmm1, -16(%1,%3)"
			     :
			     : "m"(gort_write_barrier_on), "r"(slot), "r"(value), "r"(n)
			     : "cc", "memory", "xmm0", "xmm1"
			     : marking);
		return true;
	}
marking:
#endif
	(void)slot;
	(void)value;
	(void)n;
	return false;
}

#ifndef __cplusplus
// gort_set(&obj->field, value): *place = value, for a pointer field of a collected object. value is
// evaluated before the place. Needed wherever a collected pointer in a collected object may be
// overwritten while another collected object is all that holds the old one's referent; harmless
// elsewhere. About +0.3 to +0.5 ns while no collection runs. Go: the compiler's write barrier.
#define gort_set(place, value)                                                                     \
	do {                                                                                       \
		__typeof__(*(place)) gort_v_ = (value);                                            \
		__typeof__(place) gort_p_ = (place);                                               \
		_Static_assert(sizeof gort_v_ == sizeof(void *), "gort_set stores one pointer");   \
		gort_set_((void *)gort_p_, (void *)gort_v_);                                       \
	} while (0)

// gort_set_value(T, &obj->field, value): the same for a T of any size: a struct, gort_slice,
// gort_string, gort_any.
#define gort_set_value(T, place, value)                                                            \
	do {                                                                                       \
		__typeof__(T) gort_v_ = (value);                                                   \
		__typeof__(T) *gort_p_ = (place);                                                  \
		if (!gort_set_words_(gort_p_, &gort_v_, sizeof gort_v_))                           \
			gort_copy_objects_(gort_type_of(T), gort_p_, &gort_v_, 1);                 \
	} while (0)

// Copies n T from src to dst, which may overlap: the memmove for collected memory. n < 0 copies
// nothing. Go: typedslicecopy.
#define gort_copy_objects(T, dst, src, n) gort_copy_objects_(gort_type_of(T), (dst), (src), (n))
// Zeroes n T at dst: the memset for collected memory. Go: clear.
#define gort_clear_objects(T, dst, n) gort_clear_objects_(gort_type_of(T), (dst), (n))
#endif

// ---- the collector ----

// Collects now: returns when a full cycle that began after the call has marked and swept everything.
// Blocks the goroutine. Go: runtime.GC.
GORT_API void gort_gc(void);

// Sets GOGC: the next collection starts when the heap has grown by percent of what the last one kept
// (100 at start, or what the environment says); negative turns collection off. Returns the old value.
// Go: debug.SetGCPercent.
GORT_API int gort_set_gc_percent(int percent);

// Sets the memory limit in bytes: from now on the collector runs as often, and free memory goes back to
// the system as soon, as it takes to keep what the runtime holds (gort_mem_stats: sys - heap_released)
// below. INT64_MAX: no limit, which is the default without GOMEMLIMIT. A soft limit: when the live heap is
// larger, the collector takes about half of the CPU and the rest is exceeded. It holds beside GOGC and
// also with GOGC=off. Negative: changes nothing. Returns the limit that was in force.
// Go: debug.SetMemoryLimit.
GORT_API int64_t gort_set_memory_limit(int64_t limit);

// Collects, then returns as much free memory to the system as possible. Go: debug.FreeOSMemory.
GORT_API void gort_free_os_memory(void);

// Does nothing, but p stays reachable up to here. Go: runtime.KeepAlive.
GORT_API void gort_keep_alive(const void *p);

// Runs fn(obj, arg) once obj is unreachable: some time after the collection that finds it so, on one
// goroutine that runs all finalizers one after another (fn should be quick, or start a goroutine). obj
// is a collected object's first byte, or any byte of gort_new_bytes(n < 16). obj, all it points to and
// arg live until fn has returned; obj is freed by a later collection, unless fn has stored it somewhere;
// its finalizer is gone by then and may be set again. Of objects that point to each other the outermost
// is finalized first; of a ring, and where arg leads to obj, none ever. fn NULL takes the finalizer away.
// Nothing runs when the process ends. Does nothing for a global variable, and for objects of size 0.
// Ends the process with Go's text ("fatal error: runtime.SetFinalizer: ..."): "first argument is nil",
// "pointer not in heap", "pointer not at beginning of allocated block", "finalizer already set".
// Go: runtime.SetFinalizer.
GORT_API void gort_set_finalizer(void *obj, void (*fn)(void *obj, void *arg), void *arg);

// A cleanup that was added; zero for none.
typedef struct gort_cleanup {
	void *entry; // the runtime's
	uint64_t id;
} gort_cleanup;

// Runs fn(arg) once the object that ptr points into is unreachable: some time after the collection that
// finds it so, on the goroutine that runs finalizers (fn should be quick, or start a goroutine). Unlike a
// finalizer it does not see the object, whose memory is free by then: objects in a ring have their
// cleanups run, and an object may have any number. ptr may point to any byte. arg lives until fn has
// returned; where it leads to the object, the cleanup never runs. When the object has a finalizer, too,
// its cleanups run after that, once it is unreachable again. Objects of gort_new_bytes(n < 16) share
// blocks, and are cleaned up when the whole block is unreachable. Nothing runs when the process ends.
// For a global variable it does nothing and returns a zero gort_cleanup.
// Panics as Go does, "runtime.AddCleanup: ...": "ptr is nil", "ptr not in allocated block", "ptr is equal to
// arg, cleanup will never run", "ptr is within arg, cleanup will never run" (both in one object).
// Go: runtime.AddCleanup.
GORT_API gort_cleanup gort_add_cleanup(const void *ptr, void (*fn)(void *arg), void *arg);

// Takes a cleanup away. Without effect when it is queued to run, or has run; keep the object reachable up
// to the call (gort_keep_alive) to be sure that it is not. Does nothing for a zero c. Any goroutine.
// Go: Cleanup.Stop.
GORT_API void gort_cleanup_stop(gort_cleanup c);

// gort_weak_make(p): a pointer to p's object that does not keep it. gort_weak_value gives p back as long as
// the object is reachable otherwise, and NULL from the moment it is found unreachable: then it never comes
// back. Of an object with a finalizer that is before the finalizer is queued, even if that revives the
// object. For a while after the last other pointer has gone the value may still be there; having it keeps
// the object as any pointer does.
//
// p may point into the middle. Equal pointers give equal handles (compare them with ==), also after the
// object is gone; different pointers, also into one object, different ones; to an object that a finalizer
// has revived, new ones. A handle is a small collected object: keep it where the collector looks, store it
// with gort_set. p may be NULL (the handle is NULL) or a global (its handle always has its value). Objects of
// gort_new_bytes(n < 16) share blocks and are reachable as long as one of the block is.
// Ends the process for other memory: "fatal error: getWeakHandle on invalid pointer".
// gort_weak_value takes no lock except while spans are being swept after a collection.
// Any goroutine. Go: weak.Make, weak.Pointer.Value.
typedef struct gort_weak gort_weak;
GORT_API gort_weak *gort_weak_make(const void *p);
GORT_API void *gort_weak_value(const gort_weak *w);

// Keeps the object that p points into until gort_unpin is called, with a pointer to any byte of it, as often
// as gort_pin was: for foreign code that keeps the pointer where the collector does not look (in libc's
// malloc, in another process's request, in a device's ring). Objects never move, so its address is good for
// all that time; what the object points to is kept, too. Does nothing for memory outside of the heap, which
// stays by itself. Panics for NULL, "runtime error: runtime.Pinner: argument is nil"; more gort_unpin than
// gort_pin ends the process with "fatal error: runtime.Pinner: object already unpinned".
// Go: runtime.Pinner, which remembers what it has pinned.
GORT_API void gort_pin(const void *p);
GORT_API void gort_unpin(const void *p);

// From now on the collector scans the n bytes at p, memory outside of the heap (a malloc block, a
// thread-local variable, a mapping). The range must stay readable until gort_remove_root(p). A second
// call for the same p replaces n. Go: none; there, such memory may not hold Go pointers.
GORT_API void gort_add_root(void *p, size_t n);
// Forgets the root that was added with this p; does nothing when there is none.
GORT_API void gort_remove_root(void *p);

// ---- statistics ----

// Go's runtime.MemStats, names in snake case. Bytes unless said otherwise.
typedef struct gort_mem_stats {
	uint64_t alloc;       // live and not yet swept objects, by their slots' sizes
	uint64_t total_alloc; // ever allocated
	uint64_t sys;         // sum of the *_sys fields
	uint64_t lookups;     // always 0
	uint64_t mallocs, frees; // objects; a tiny allocation counts in both at once

	uint64_t heap_alloc;    // = alloc
	uint64_t heap_sys;      // = heap_inuse + heap_idle
	uint64_t heap_idle;     // free pages, with or without memory
	uint64_t heap_inuse;    // pages of spans with objects
	uint64_t heap_released; // of heap_idle: pages that hold no memory
	uint64_t heap_objects;  // = mallocs - frees

	uint64_t stack_inuse, stack_sys; // pages that goroutine stacks use; plus those of the threads' own
	uint64_t mspan_inuse, mspan_sys;
	uint64_t mcache_inuse, mcache_sys;
	uint64_t buck_hash_sys; // profile tables
	uint64_t gc_sys;        // the collector's tables and buffers
	uint64_t other_sys;     // everything else of the runtime

	uint64_t next_gc;        // heap goal of the cycle to come
	uint64_t last_gc;        // end of the last cycle, Unix nanoseconds; 0 none
	uint64_t pause_total_ns; // the world stood still for so long
	uint64_t pause_ns[256];  // per cycle, a ring: the latest at [(num_gc + 255) % 256]
	uint64_t pause_end[256]; // Unix nanoseconds
	uint32_t num_gc;         // cycles completed
	uint32_t num_forced_gc;  // of those, by gort_gc and gort_free_os_memory
	double gc_cpu_fraction;  // of the CPU time available since start that the collector took
	bool enable_gc;          // always true
	bool debug_gc;           // always false
	struct {
		uint32_t size;
		uint64_t mallocs, frees;
	} by_size[61]; // index: size class; larger ones are absent, as in Go
} gort_mem_stats;

// Fills *s with a consistent picture; stops the world for it (microseconds). Go: runtime.ReadMemStats.
GORT_API void gort_read_mem_stats(gort_mem_stats *s);

// Go's debug.GCStats, with the five quantiles that Go's documentation suggests.
typedef struct gort_gc_stats {
	int64_t last_gc;     // Unix nanoseconds; 0 none
	int64_t num_gc;      // cycles completed
	int64_t pause_total; // ns
	int npause;          // entries of the two arrays below
	int64_t pause[256];     // ns, newest first
	int64_t pause_end[256]; // Unix nanoseconds, newest first
	int64_t pause_quantiles[5]; // minimum, 25 %, 50 %, 75 %, maximum of pause; zeros before a cycle
} gort_gc_stats;

// Go: debug.ReadGCStats.
GORT_API void gort_read_gc_stats(gort_gc_stats *s);

GORT_END_DECLS
