// SPDX-License-Identifier: BSD-3-Clause
// Channels: typed, bounded queues between goroutines, and select. Go: chan T, select.
//
//	gort_chan *c = gort_make_chan(int, 16);
//	gort_go(producer, c);
//	int v;
//	while (gort_chan_recv(c, &v))	// false: closed and drained
//		use(v);
//
// A channel is a collected object: nobody frees it, and a pointer to it must be where the collector
// looks (docs: <gort/mem.h>). A NULL channel is Go's nil channel: sending and receiving block for
// ever, a select never chooses it, closing it panics, its length and capacity are 0.
//
// Order. Values leave a channel in the order in which they entered it; blocked senders and blocked
// receivers are served first come, first served. What a goroutine did before a send is seen by the
// one that receives the value; what it did before a close is seen by those who notice it; the n-th
// receive from a channel of capacity C happens before the (n+C)-th send returns.
//
// Elements are copied, never referred to, with one exception: a value of more than 128 bytes that has
// to wait stays where elem points, so that memory must not change until the call returns.
//
// Every function here may be called from any goroutine, any number of them at once, and blocks the
// goroutine, never its thread. None is async-signal-safe. Panics end the process (gort_panic).
#pragma once

#include <gort/base.h>
#include <gort/type.h>

GORT_BEGIN_DECLS

// The documented structure (qcount, dataqsiz, buf, elemsize, closed, elemtype, sendx, recvx, recvq,
// sendq, lock) is private: runtime/chan/chan.h.
typedef struct hchan gort_chan;

// What gort_chan_try_recv returns for a channel that is closed and drained.
#define GORT_CLOSED (-1)

// gort_make_chan(T, n) makes a channel of T with room for n elements (0: unbuffered). T is any type
// of less than 64 KiB; whether its values hold collected pointers is known from the type (GORT_TYPE).
// Panics with "makechan: size out of range" when n is negative or the buffer impossibly large.
// Go: make(chan T, n).
#define gort_make_chan(T, n)                                                                       \
	__extension__({                                                                            \
		_Static_assert(sizeof(T) < 65536, "channel element type too large (>64kB)");       \
		gort_make_chan_(gort_type_of(T), (n));                                             \
	})
GORT_API gort_chan *gort_make_chan_(const gort_type *elem, ptrdiff_t n);

// gort_chan_send copies the element at elem (of the channel's element size) into c, and blocks while
// the buffer is full or, unbuffered, until a receiver takes it. Panics with "send on closed channel",
// also when c is closed while it waits. Go: c <- v.
GORT_API void gort_chan_send(gort_chan *c, const void *elem);

// gort_chan_recv takes the next element of c into *elem; elem NULL drops it. Blocks while there is
// none. Returns false, with *elem zeroed, when c is closed and every element sent before has been
// received. What *elem held before may be overwritten like by gort_set: it can lie in collected
// memory. Go: v, ok := <-c.
GORT_API bool gort_chan_recv(gort_chan *c, void *elem);

// gort_chan_try_send sends if that is possible without blocking, and tells whether it did. Panics on a
// closed channel as gort_chan_send does. Go: select with one send and a default.
GORT_API bool gort_chan_try_send(gort_chan *c, const void *elem);

// gort_chan_try_recv receives if that is possible without blocking. Returns 1 with an element, 0 when
// it would block (*elem untouched), GORT_CLOSED with *elem zeroed when c is closed and drained.
// Go: select with one receive and a default.
GORT_API int gort_chan_try_recv(gort_chan *c, void *elem);

// gort_chan_close marks that no more values will be sent. Blocked receivers return false, blocked
// senders panic. Panics with "close of nil channel" or "close of closed channel". Go: close(c).
GORT_API void gort_chan_close(gort_chan *c);

// Elements in the buffer now, and how many fit. Go: len(c), cap(c).
GORT_API ptrdiff_t gort_chan_len(const gort_chan *c);
GORT_API ptrdiff_t gort_chan_cap(const gort_chan *c);

// The macros by value. T must have the size of the channel's elements, or they panic; value is
// converted to T as by an assignment.
//
//   gort_send(T, c, value)      c <- value
//   gort_recv(T, c)             <-c: the element, or zeros from a closed channel
//   gort_recv_ok(T, c, &ok)     v, ok := <-c; ok is a bool *
#define gort_send(T, c, value) gort_send_(T, c, value, GORT_FRESH(v))
#define gort_send_(T, c, value, v)                                                                 \
	__extension__({                                                                            \
		T v = (value);                                                                     \
		gort_chan_send_sized_((c), &v, sizeof(T));                                         \
	})
#define gort_recv(T, c) gort_recv_(T, c, (bool *)0, GORT_FRESH(v))
#define gort_recv_ok(T, c, okp) gort_recv_(T, c, okp, GORT_FRESH(v))
#define gort_recv_(T, c, okp, v)                                                                   \
	__extension__({                                                                            \
		T v;                                                                               \
		gort_chan_recv_sized_((c), &v, sizeof(T), (okp));                                  \
		v;                                                                                 \
	})
GORT_API void gort_chan_send_sized_(gort_chan *c, const void *elem, size_t size);
GORT_API void gort_chan_recv_sized_(gort_chan *c, void *elem, size_t size, bool *ok);

enum gort_select_kind {
	GORT_SELECT_SEND = 1,
	GORT_SELECT_RECV,
	GORT_SELECT_DEFAULT,
};

// One case of a select. Written by the macros below.
typedef struct gort_select_case {
	gort_chan *chan;
	void *elem;        // send: the element, not changed; recv: where it goes, NULL drops it
	bool *ok;          // recv: gets whether it was a sent value; may be NULL
	uint32_t elemsize; // bytes behind elem if its type tells, else 0
	uint32_t kind;     // enum gort_select_kind
} gort_select_case;

// The size of what p points to; 0 (not checked) for untyped and character pointers.
#ifdef __cplusplus
#define gort_elem_size_(p) 0
#else
#define gort_elem_size_(p)                                                                         \
	_Generic((p), void *: 0, const void *: 0, char *: 0, const char *: 0, unsigned char *: 0,  \
		 const unsigned char *: 0, signed char *: 0, const signed char *: 0,               \
		 default: sizeof(*_Generic((p), void *: "", const void *: "", default: (p))))
#endif

// Cases, to initialise an array with or to assign:
//
//   GORT_SEND(c, &v)           case c <- v:
//   GORT_RECV(c, &v)           case v = <-c:        v is zeroed when c is closed
//   GORT_RECV_OK(c, &v, &ok)   case v, ok = <-c:
//   GORT_DEFAULT               default:
//
// The variable behind &v must have the element's size, or gort_select panics (pointers to char or void
// are taken as they are).
#define GORT_SEND(c, p) gort_case_(c, (void *)(p), NULL, gort_elem_size_(p), GORT_SELECT_SEND)
#define GORT_RECV(c, p) gort_case_(c, p, NULL, gort_elem_size_(p), GORT_SELECT_RECV)
#define GORT_RECV_OK(c, p, okp) gort_case_(c, p, okp, gort_elem_size_(p), GORT_SELECT_RECV)
#define GORT_DEFAULT gort_case_(NULL, NULL, NULL, 0, GORT_SELECT_DEFAULT)
// All members, and no padding between them: compilers would clear the whole array first.
#define gort_case_(c, p, okp, size, op)                                                            \
	((gort_select_case){.chan = (c), .elem = (p), .ok = (okp), .elemsize = (size), .kind = (op)})

// gort_select waits until one of the n cases can go ahead, performs it and returns its index. When
// several can, each is equally likely. With a GORT_DEFAULT among them it does not wait: it returns the
// default's index when there was a moment at which none of the others could go ahead. Cases on NULL
// channels never can; without any other case it blocks for ever. At most one GORT_DEFAULT and 65536
// cases, or it panics. The array is not changed and may be used again.
// Go: select.
GORT_API int gort_select(gort_select_case *cases, int n);

GORT_END_DECLS
