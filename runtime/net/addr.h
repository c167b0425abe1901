// SPDX-License-Identifier: BSD-3-Clause
// Network addresses: from text and to text.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"

#define RT_MAX_ADDRS 16

struct rt_addr {
	socklen_t len;
	bool any; // listen on every address: IPv4 too where the system can
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

struct rt_addrs {
	int n;
	struct rt_addr a[RT_MAX_ADDRS]; // in the order in which they are to be tried
};

// network: "tcp", "tcp4", "tcp6", "unix". Names are looked up by the system's resolver, in a system call
// as far as the scheduler is concerned: at depth 0 on a goroutine. passive: to listen on. Returns 0 with
// n >= 1, or a negative errno value.
int rt_resolve(const char *network, const char *addr, bool passive, struct rt_addrs *out);

// Writes the text into buf (NUL-terminated if n > 0) and returns the length it would have had.
int rt_addr_text(const struct rt_addr *a, char *buf, size_t n);
