// SPDX-License-Identifier: BSD-3-Clause
#include "encode/out.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

struct rtp_out {
	int fd;
	int err; // first failure, negative errno
	bool gzip;
	sigset_t mask; // of the thread before SIGPIPE was blocked
	bool pipe_pending;
	z_stream z;
	size_t len; // bytes in raw
	size_t arena_used;
	uint8_t raw[16 << 10];
	uint8_t packed[16 << 10];
	RT_ALIGNED(16) uint8_t arena[384 << 10]; // deflate's memory: 268 KB at level 1
};

static voidpf
arena_alloc(voidpf opaque, uInt items, uInt size)
{
	struct rtp_out *o = opaque;
	size_t n = rt_round_up((size_t)items * size, (size_t)16);
	if (n > sizeof(o->arena) - o->arena_used)
		return Z_NULL;
	o->arena_used += n;
	return o->arena + o->arena_used - n;
}

static void
arena_free(voidpf opaque, voidpf p)
{
	(void)opaque; // goes with the whole
	(void)p;
}

struct rtp_out *
rtp_out_new(int fd, bool gzip)
{
	struct rtp_out *o = mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o == MAP_FAILED)
		return NULL;
	o->fd = fd;
	o->gzip = gzip;
	o->z.zalloc = arena_alloc;
	o->z.zfree = arena_free;
	o->z.opaque = o;
	if (gzip && deflateInit2(&o->z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		munmap(o, sizeof(*o));
		return NULL;
	}
	sigset_t set;
	sigpending(&set);
	o->pipe_pending = sigismember(&set, SIGPIPE);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, &o->mask);
	return o;
}

static void
write_all(struct rtp_out *o, const uint8_t *p, size_t n)
{
	while (n > 0 && !o->err) {
		ssize_t k = write(o->fd, p, n);
		if (k > 0) {
			p += k;
			n -= (size_t)k;
		} else if (k == 0) {
			o->err = -EIO;
		} else if (errno != EINTR) {
			o->err = -errno;
		}
	}
}

static void
flush(struct rtp_out *o, int how)
{
	if (!o->gzip) {
		write_all(o, o->raw, o->len);
		o->len = 0;
		return;
	}
	o->z.next_in = o->raw;
	o->z.avail_in = (uInt)o->len;
	do {
		o->z.next_out = o->packed;
		o->z.avail_out = sizeof(o->packed);
		deflate(&o->z, how);
		write_all(o, o->packed, sizeof(o->packed) - o->z.avail_out);
	} while (o->z.avail_out == 0);
	o->len = 0;
}

void
rtp_out_bytes(struct rtp_out *o, const void *p, size_t n)
{
	while (n > 0) {
		size_t k = rt_min(n, sizeof(o->raw) - o->len);
		memcpy(o->raw + o->len, p, k);
		o->len += k;
		p = (const char *)p + k;
		n -= k;
		if (o->len == sizeof(o->raw))
			flush(o, Z_NO_FLUSH);
	}
}

int
rtp_out_close(struct rtp_out *o)
{
	flush(o, Z_FINISH);
	if (o->gzip)
		deflateEnd(&o->z);
	int err = o->err;
	if (err == -EPIPE && !o->pipe_pending) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGPIPE);
		sigtimedwait(&set, NULL, &(struct timespec){ 0 });
	}
	pthread_sigmask(SIG_SETMASK, &o->mask, NULL);
	munmap(o, sizeof(*o));
	return err;
}

// ---- arrays ----

void *
rtp_vec_push(struct rtp_vec *v, size_t n)
{
	size_t cap = v->cap ? v->cap : 64 << 10;
	while (v->len + n > cap)
		cap *= 2;
	if (cap != v->cap) {
		void *p = v->cap ? mremap(v->p, v->cap, cap, MREMAP_MAYMOVE)
				 : mmap(NULL, cap, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return NULL;
		v->p = p;
		v->cap = cap;
	}
	v->len += n;
	return v->p + v->len - n;
}

void
rtp_vec_free(struct rtp_vec *v)
{
	if (v->cap)
		munmap(v->p, v->cap);
	*v = (struct rtp_vec){ 0 };
}

// ---- the wire format: tag = field << 3 | type ----

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static size_t
put_varint(uint8_t *b, uint64_t v)
{
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		b[n++] = (uint8_t)(v | 0x80);
	b[n++] = (uint8_t)v;
	return n;
}

void
rtp_msg_varint(struct rtp_msg *m, uint64_t v)
{
	if (m->len + 10 > sizeof(m->b)) {
		m->bad = true;
		return;
	}
	m->len += put_varint(m->b + m->len, v);
}

void
rtp_msg_uint(struct rtp_msg *m, int field, uint64_t v)
{
	if (v == 0)
		return;
	rtp_msg_varint(m, (uint64_t)field << 3 | WIRE_VARINT);
	rtp_msg_varint(m, v);
}

void
rtp_msg_bytes(struct rtp_msg *m, int field, const void *p, size_t n)
{
	if (m->len + n + 20 > sizeof(m->b)) {
		m->bad = true;
		return;
	}
	rtp_msg_varint(m, (uint64_t)field << 3 | WIRE_BYTES);
	rtp_msg_varint(m, n);
	memcpy(m->b + m->len, p, n);
	m->len += n;
}

void
rtp_msg_packed(struct rtp_msg *m, int field, const uint64_t *v, size_t n)
{
	uint8_t tmp[10];
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += put_varint(tmp, v[i]);
	rtp_msg_varint(m, (uint64_t)field << 3 | WIRE_BYTES);
	rtp_msg_varint(m, bytes);
	for (size_t i = 0; i < n; i++)
		rtp_msg_varint(m, v[i]);
}

void
rtp_out_msg(struct rtp_out *o, int field, const struct rtp_msg *m)
{
	rtp_out_string(o, field, (const char *)m->b, m->len);
	if (m->bad && !o->err)
		o->err = -EMSGSIZE;
}

void
rtp_out_uint(struct rtp_out *o, int field, uint64_t v)
{
	uint8_t b[20];
	size_t n = put_varint(b, (uint64_t)field << 3 | WIRE_VARINT);
	rtp_out_bytes(o, b, n + put_varint(b + n, v));
}

void
rtp_out_string(struct rtp_out *o, int field, const char *s, size_t n)
{
	uint8_t b[20];
	size_t k = put_varint(b, (uint64_t)field << 3 | WIRE_BYTES);
	rtp_out_bytes(o, b, k + put_varint(b + k, n));
	rtp_out_bytes(o, s, n);
}
