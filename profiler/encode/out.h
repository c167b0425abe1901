// SPDX-License-Identifier: BSD-3-Clause
// Where an encoded profile goes: a descriptor, gzipped or plain, and the protobuf wire format written
// as it comes. Memory is one mmap; nothing of the host's allocator or stdio is touched, and a reader
// that went away is an error code, not a SIGPIPE.
#pragma once

#include "base/base.h"

struct rtp_out;

// NULL when there is no memory. gzip as Go writes it: level 1, no name, no time.
struct rtp_out *rtp_out_new(int fd, bool gzip);
void rtp_out_bytes(struct rtp_out *o, const void *p, size_t n);
// Flushes, frees, and returns 0 or the first error as a negative errno value. The fd stays open.
int rtp_out_close(struct rtp_out *o);

// A growable array on mmap.
struct rtp_vec {
	char *p;
	size_t len, cap; // bytes
};
// Room for n bytes at the end, zeroed; NULL when there is no memory.
void *rtp_vec_push(struct rtp_vec *v, size_t n);
void rtp_vec_free(struct rtp_vec *v);

// A message under construction. What does not fit sets bad and is dropped.
struct rtp_msg {
	size_t len;
	bool bad;
	uint8_t b[8192];
};
void rtp_msg_varint(struct rtp_msg *m, uint64_t v);
void rtp_msg_uint(struct rtp_msg *m, int field, uint64_t v); // tag and value; zero is left out
void rtp_msg_bytes(struct rtp_msg *m, int field, const void *p, size_t n);
void rtp_msg_packed(struct rtp_msg *m, int field, const uint64_t *v, size_t n);
// The message as field of the outermost one.
void rtp_out_msg(struct rtp_out *o, int field, const struct rtp_msg *m);
void rtp_out_uint(struct rtp_out *o, int field, uint64_t v);
void rtp_out_string(struct rtp_out *o, int field, const char *s, size_t n);
