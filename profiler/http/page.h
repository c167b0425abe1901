// SPDX-License-Identifier: BSD-3-Clause
// Text on its way to a file, in a fixed buffer.
#pragma once

#include "base/base.h"

struct rtp_page {
	int fd;
	int err; // first failure, negative errno
	size_t len;
	char buf[8192];
};
void rtp_page_put(struct rtp_page *p, const char *s, size_t n);
void rtp_page_puts(struct rtp_page *p, const char *s);
// Cut at 512 bytes.
void rtp_page_printf(struct rtp_page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// In quotes, as JSON wants it (and Prometheus label values, which escape the same characters).
void rtp_page_quoted(struct rtp_page *p, const char *s);
void rtp_page_html(struct rtp_page *p, const char *s);
int rtp_page_end(struct rtp_page *p);
