// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"

// "host:port", ":port", "[::1]:port". False when it has not that form.
static bool
split(const char *addr, char *host, size_t n, char *port, size_t m)
{
	const char *colon = strrchr(addr, ':');
	if (!colon)
		return false;
	size_t len = (size_t)(colon - addr);
	if (len >= 2 && addr[0] == '[' && colon[-1] == ']') {
		addr++;
		len -= 2;
	} else if (memchr(addr, ':', len)) {
		return false; // an IPv6 address without brackets
	}
	char *end;
	unsigned long v = strtoul(colon + 1, &end, 10);
	if (len >= n || colon[1] < '0' || colon[1] > '9' || *end || v > 65535)
		return false;
	snprintf(host, n, "%.*s", (int)len, addr);
	snprintf(port, m, "%lu", v);
	return true;
}

static bool
is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24 == 127;
	const struct sockaddr_in6 *in6 = (const void *)sa;
	return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int
port_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return -errno;
	if (ss.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)&ss)->sin6_port);
	return ntohs(((const struct sockaddr_in *)(const void *)&ss)->sin_port);
}

static int
listen_on(const struct addrinfo *ai)
{
	int one = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, 1024) != 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	// Out of the way of programs that count on the lowest numbers.
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

int
rtp_http_listen(const char *addr, bool have_token, struct rtp_address *got)
{
	char host[256], port[8];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list;
	if (!split(addr, host, sizeof(host), port, sizeof(port)))
		return -EINVAL;
	// An empty host is this machine and nobody else; Go would take it for all addresses.
	if (getaddrinfo(*host ? host : "127.0.0.1", port, &hints, &list) != 0)
		return -EADDRNOTAVAIL;
	int fd = -EADDRNOTAVAIL;
	for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
		got->loopback = is_loopback(ai->ai_addr);
		fd = got->loopback || have_token ? listen_on(ai) : -EACCES;
	}
	freeaddrinfo(list);
	if (fd < 0)
		return fd;
	got->port = port_of(fd);
	bool v6 = strchr(host, ':') != NULL;
	snprintf(got->text, sizeof(got->text), v6 ? "[%.100s]:%d" : "%.100s:%d", *host ? host : "localhost", got->port);
	return fd;
}
