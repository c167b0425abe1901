// SPDX-License-Identifier: BSD-3-Clause
// "host:port", "[ipv6%zone]:port", ":port", and paths of Unix sockets ("@..." is Linux's abstract name).
// Go: net.ResolveTCPAddr, net.SplitHostPort.
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>

#include <gort/sched.h>

#include "base/print.h"
#include "sched/sched.h"

#define MAX_HOST 256
#define MAX_PORT 64

struct hostport {
	char host[MAX_HOST];
	char port[MAX_PORT];
};

// ---- text to parts ----

static bool
copy(char *dst, size_t size, const char *src, size_t n)
{
	if (n >= size)
		return false;
	memcpy(dst, src, n);
	dst[n] = '\0';
	return true;
}

static bool
split(const char *addr, struct hostport *hp)
{
	const char *host = addr, *end, *colon = strrchr(addr, ':');
	if (!colon)
		return false;
	end = colon;
	if (*addr == '[') {
		host++;
		end = strchr(host, ']');
		if (!end || end + 1 != colon)
			return false;
	} else if (memchr(addr, ':', (size_t)(colon - addr))) {
		return false; // an IPv6 address without brackets
	}
	return copy(hp->host, sizeof hp->host, host, (size_t)(end - host)) &&
	       copy(hp->port, sizeof hp->port, colon + 1, strlen(colon + 1));
}

// A decimal port; an empty one is 0. -1: not a number.
static int
port_number(const char *s)
{
	int v = 0;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || (v = v * 10 + (*s - '0')) > 65535)
			return -1;
	}
	return v;
}

// ---- numeric addresses ----

static void
set_in(struct rt_addr *a, struct in_addr ip, int port)
{
	*a = (struct rt_addr){.len = sizeof a->in};
	a->in = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = ip};
}

static void
set_in6(struct rt_addr *a, struct in6_addr ip, uint32_t scope, int port)
{
	*a = (struct rt_addr){.len = sizeof a->in6};
	a->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
				       .sin6_port = htons((uint16_t)port),
				       .sin6_addr = ip,
				       .sin6_scope_id = scope};
}

static bool
zone_number(const char *zone, uint32_t *scope)
{
	*scope = if_nametoindex(zone);
	if (*scope == 0) {
		int v = port_number(zone);
		if (v <= 0)
			return false;
		*scope = (uint32_t)v;
	}
	return true;
}

static bool
parse_ip(const char *host, int port, struct rt_addr *a)
{
	struct in_addr ip4;
	struct in6_addr ip6;
	if (inet_pton(AF_INET, host, &ip4) == 1) {
		set_in(a, ip4, port);
		return true;
	}
	char bare[MAX_HOST];
	uint32_t scope = 0;
	const char *zone = strchr(host, '%');
	copy(bare, sizeof bare, host, zone ? (size_t)(zone - host) : strlen(host));
	if (inet_pton(AF_INET6, bare, &ip6) != 1 || (zone && !zone_number(zone + 1, &scope)))
		return false;
	set_in6(a, ip6, scope, port);
	return true;
}

// No host: every address to listen on, this machine to dial.
static void
no_host(int family, bool passive, int port, struct rt_addrs *out)
{
	struct rt_addr a4, a6;
	set_in(&a4, (struct in_addr){htonl(passive ? INADDR_ANY : INADDR_LOOPBACK)}, port);
	set_in6(&a6, passive ? in6addr_any : in6addr_loopback, 0, port);
	a6.any = passive && family == AF_UNSPEC;
	if (passive && family != AF_INET) // [::] serves IPv4 too; 0.0.0.0 where there is no IPv6
		out->a[out->n++] = a6;
	if (family != AF_INET6)
		out->a[out->n++] = a4;
	if (!passive && family != AF_INET)
		out->a[out->n++] = a6;
}

// ---- names ----

struct lookup {
	const char *host, *port;
	struct addrinfo hints, *result;
	int eai, err;
};

static void
look_up(void *arg)
{
	struct lookup *l = arg;
	l->eai = getaddrinfo(l->host, l->port, &l->hints, &l->result);
	l->err = errno;
}

static int
lookup_error(const struct lookup *l)
{
	switch (l->eai) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return l->err > 0 ? -l->err : -EIO;
	case EAI_SERVICE:
		return -EINVAL;
	default:
		return -ENOENT; // no such host, or none with an address of this kind
	}
}

static void
take_result(const struct addrinfo *ai, struct rt_addrs *out)
{
	for (; ai && out->n < RT_MAX_ADDRS; ai = ai->ai_next) {
		struct rt_addr *a = &out->a[out->n];
		if ((ai->ai_family != AF_INET && ai->ai_family != AF_INET6) ||
		    ai->ai_addrlen > sizeof a->un)
			continue;
		*a = (struct rt_addr){.len = ai->ai_addrlen};
		memcpy(&a->sa, ai->ai_addr, ai->ai_addrlen);
		out->n++;
	}
}

static int
resolve_names(const struct hostport *hp, int family, bool passive, struct rt_addrs *out)
{
	struct lookup l = {
		.host = *hp->host ? hp->host : NULL,
		.port = *hp->port ? hp->port : NULL,
		.hints = {.ai_family = family,
			  .ai_socktype = SOCK_STREAM,
			  .ai_flags = passive ? AI_PASSIVE : 0},
	};
	struct m *mp = rt_getm();
	if (mp && !mp->foreign)
		gort_blocking(look_up, &l);
	else
		look_up(&l); // a foreign thread holds no P
	if (l.eai != 0)
		return lookup_error(&l);
	take_result(l.result, out);
	freeaddrinfo(l.result);
	return out->n > 0 ? 0 : -ENOENT;
}

static int
resolve_tcp(int family, const char *addr, bool passive, struct rt_addrs *out)
{
	struct hostport hp;
	if (!split(addr, &hp))
		return -EINVAL;
	int port = port_number(hp.port);
	if (port < 0 && strspn(hp.port, "0123456789") == strlen(hp.port))
		return -EINVAL;
	if (port < 0)
		return resolve_names(&hp, family, passive, out);
	if (!*hp.host) {
		no_host(family, passive, port, out);
		return 0;
	}
	if (!parse_ip(hp.host, port, &out->a[0]))
		return resolve_names(&hp, family, passive, out);
	struct rt_addr *a = &out->a[0];
	if (family != AF_UNSPEC && a->sa.sa_family != family)
		return -ENOENT;
	a->any = passive && family == AF_UNSPEC && a->sa.sa_family == AF_INET6 &&
		 IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
	out->n = 1;
	return 0;
}

static int
resolve_unix(const char *path, struct rt_addrs *out)
{
	struct rt_addr *a = &out->a[0];
	size_t n = strlen(path);
	if (n == 0)
		return -EINVAL;
	*a = (struct rt_addr){.un.sun_family = AF_UNIX};
	if (n > sizeof a->un.sun_path - (*path != '@'))
		return -ENAMETOOLONG;
	memcpy(a->un.sun_path, path, n);
	if (*path == '@')
		a->un.sun_path[0] = '\0';
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path != '@'));
	out->n = 1;
	return 0;
}

int
rt_resolve(const char *network, const char *addr, bool passive, struct rt_addrs *out)
{
	out->n = 0;
	if (!network || !addr)
		return -EINVAL;
	if (strcmp(network, "unix") == 0)
		return resolve_unix(addr, out);
	if (strcmp(network, "tcp") == 0)
		return resolve_tcp(AF_UNSPEC, addr, passive, out);
	if (strcmp(network, "tcp4") == 0)
		return resolve_tcp(AF_INET, addr, passive, out);
	if (strcmp(network, "tcp6") == 0)
		return resolve_tcp(AF_INET6, addr, passive, out);
	return -EPROTONOSUPPORT;
}

// ---- to text ----

static int
in6_text(const struct sockaddr_in6 *in6, char *buf, size_t n)
{
	char ip[INET6_ADDRSTRLEN], zone[IF_NAMESIZE + 1] = "";
	unsigned port = ntohs(in6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], ip, sizeof ip);
		return (int)rt_snprintf(buf, n, "%s:%u", ip, port);
	}
	inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
	if (in6->sin6_scope_id != 0) {
		zone[0] = '%';
		if (!if_indextoname(in6->sin6_scope_id, zone + 1))
			rt_snprintf(zone + 1, sizeof zone - 1, "%u", in6->sin6_scope_id);
	}
	return (int)rt_snprintf(buf, n, "[%s%s]:%u", ip, zone, port);
}

static int
unix_text(const struct rt_addr *a, char *buf, size_t n)
{
	int len = (int)a->len - (int)offsetof(struct sockaddr_un, sun_path);
	const char *path = a->un.sun_path;
	if (len <= 0)
		return (int)rt_snprintf(buf, n, "%s", "");
	if (path[0] == '\0')
		return (int)rt_snprintf(buf, n, "@%.*s", len - 1, path + 1);
	return (int)rt_snprintf(buf, n, "%.*s", (int)strnlen(path, (size_t)len), path);
}

int
rt_addr_text(const struct rt_addr *a, char *buf, size_t n)
{
	char ip[INET_ADDRSTRLEN];
	switch (a->sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof ip);
		return (int)rt_snprintf(buf, n, "%s:%u", ip, ntohs(a->in.sin_port));
	case AF_INET6:
		return in6_text(&a->in6, buf, n);
	default:
		return unix_text(a, buf, n);
	}
}
