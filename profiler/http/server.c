// SPDX-License-Identifier: BSD-3-Clause
// Connections: one thread, which sleeps in one epoll set that holds libmicrohttpd's own set, an eventfd
// by which workers say that a job is done, and the sockets of clients that wait for a long profile, so
// that one who goes away ends it.
//
// Bounds: connections (further ones wait in the listen queue), seconds without progress of a reader,
// bytes of a request. Everything is on this thread but rtp_http_done.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gort/pprof.h>

#include "http/http.h"
#include "unwind/modules.h"

#define MAX_SERVERS 8
#define MAX_CONNECTIONS 512u
#define IDLE_SECONDS 30u
#define REQUEST_MEMORY ((size_t)16 << 10) // headers and the first line of a request

struct rtp_server {
	struct MHD_Daemon *daemon;
	int listen_fd, epoll_fd, event_fd;
	char token[256]; // "": none is asked for
	struct rtp_request *waiting; // for their time
	pthread_mutex_t lock;
	struct rtp_request *done; // under lock
};

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static struct rtp_server servers[MAX_SERVERS];
static int nservers;

// ---- requests ----

static void *
on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
	struct rtp_request *rq = calloc(1, sizeof(*rq));
	if (!rq)
		return NULL;
	rq->server = cls;
	rq->connection = c;
	rq->fd = rq->watched = -1;
	rq->uri = strdup(uri);
	char *q = rq->uri ? strchr(rq->uri, '?') : NULL;
	rq->query = q ? q + 1 : rq->uri ? rq->uri + strlen(rq->uri) : NULL;
	return rq;
}

static void
on_completed(void *cls, struct MHD_Connection *c, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct rtp_request *rq = *con_cls;
	(void)cls;
	(void)c;
	(void)why;
	*con_cls = NULL;
	if (!rq)
		return;
	if (rq->fd >= 0)
		close(rq->fd);
	free(rq->uri);
	free(rq->body);
	free(rq);
}

static void
add_body(struct rtp_request *rq, const char *data, size_t n)
{
	char *grown = rq->body_len + n <= RTP_MAX_BODY ? realloc(rq->body, rq->body_len + n) : NULL;
	if (!grown) {
		rq->body_too_long = true;
		return;
	}
	memcpy(grown + rq->body_len, data, n);
	rq->body = grown;
	rq->body_len += n;
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
	   const char *data, size_t *n, void **con_cls)
{
	struct rtp_request *rq = *con_cls;
	(void)cls;
	(void)c;
	(void)version;
	if (!rq || !rq->uri)
		return MHD_NO;
	if (rq->suspended) { // resumed: its job is done
		rq->suspended = false;
		return rtp_http_respond(rq);
	}
	if (!rq->begun) { // a second call comes when the body, if any, is to be read
		rq->begun = true;
		return MHD_YES;
	}
	if (*n) {
		add_body(rq, data, *n);
		*n = 0;
		return MHD_YES;
	}
	return rtp_http_route(rq, url, method);
}

// In a time that does not tell how much of it was right.
static bool
same_token(const char *want, const char *got)
{
	size_t n = strlen(want), m = strlen(got);
	unsigned char differ = n != m;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(want[i] ^ (i < m ? got[i] : 0));
	return !differ;
}

bool
rtp_http_token_ok(struct rtp_request *rq)
{
	const char *want = rq->server->token;
	char got[sizeof(rq->server->token) + 1];
	if (!*want)
		return true;
	const char *h = rtp_mhd()->MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, "Authorization");
	if (h && strncasecmp(h, "Bearer ", 7) == 0)
		return same_token(want, h + 7);
	return rtp_http_param(rq, "token", got, sizeof(got)) && same_token(want, got);
}

// ---- jobs ----

static void
watch(struct rtp_request *rq)
{
	const union MHD_ConnectionInfo *i =
		rtp_mhd()->MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct epoll_event ev = { .events = EPOLLRDHUP, .data.ptr = rq };
	if (i && epoll_ctl(rq->server->epoll_fd, EPOLL_CTL_ADD, i->connect_fd, &ev) == 0)
		rq->watched = i->connect_fd;
}

void
rtp_http_submit(struct rtp_request *rq)
{
	rq->suspended = true;
	rtp_mhd()->MHD_suspend_connection(rq->connection);
	if (!rq->due) {
		rtp_jobs_put(rq);
		return;
	}
	watch(rq);
	rq->next = rq->server->waiting;
	rq->server->waiting = rq;
}

void
rtp_http_done(struct rtp_request *rq)
{
	struct rtp_server *s = rq->server;
	pthread_mutex_lock(&s->lock);
	rq->next = s->done;
	s->done = rq;
	pthread_mutex_unlock(&s->lock);
	uint64_t one = 1;
	if (write(s->event_fd, &one, sizeof(one)) < 0)
		return; // full: it is readable, which is all that matters
}

// Hands over those that are due; ms until the next one, at most a second.
static int
start_due(struct rtp_server *s)
{
	int64_t now = rtp_monotime(), next = now + 1000000000;
	for (struct rtp_request **p = &s->waiting; *p;) {
		struct rtp_request *rq = *p;
		if (rq->due > now) {
			next = rt_min(next, rq->due);
			p = &rq->next;
			continue;
		}
		*p = rq->next;
		if (rq->watched >= 0)
			epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, rq->watched, NULL);
		rq->watched = -1;
		rtp_jobs_put(rq);
	}
	return (int)((next - now + 999999) / 1000000);
}

static void
resume_done(struct rtp_server *s)
{
	uint64_t n;
	if (read(s->event_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&s->lock);
	struct rtp_request *rq = s->done;
	s->done = NULL;
	pthread_mutex_unlock(&s->lock);
	while (rq) {
		struct rtp_request *next = rq->next; // rq is its connection's again once it is resumed
		rtp_mhd()->MHD_resume_connection(rq->connection);
		rq = next;
	}
}

static void *
serve(void *arg)
{
	struct rtp_server *s = arg;
	for (;;) {
		struct epoll_event ev[16];
		MHD_UNSIGNED_LONG_LONG mhd_ms;
		int ms = start_due(s);
		if (rtp_mhd()->MHD_get_timeout(s->daemon, &mhd_ms) == MHD_YES && mhd_ms < (unsigned)ms)
			ms = (int)mhd_ms;
		int n = epoll_wait(s->epoll_fd, ev, (int)rt_nelem(ev), ms);
		for (int i = 0; i < n; i++)
			if (ev[i].data.ptr && ev[i].data.ptr != s)
				((struct rtp_request *)ev[i].data.ptr)->due = 1; // its client has gone
		resume_done(s);
		rtp_mhd()->MHD_run(s->daemon);
	}
	return NULL;
}

// ---- starting ----

// An eighth of the descriptors that the program may have at most, as a connection may need a second.
static unsigned
connection_limit(void)
{
	struct rlimit rl;
	if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur / 8 >= MAX_CONNECTIONS)
		return MAX_CONNECTIONS;
	return rt_max((unsigned)rl.rlim_cur / 8, 4u);
}

static bool
make_sets(struct rtp_server *s)
{
	const union MHD_DaemonInfo *i = rtp_mhd()->MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct epoll_event mhd = { .events = EPOLLIN, .data.ptr = NULL }, event = { .events = EPOLLIN, .data.ptr = s };
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return i && s->epoll_fd >= 0 && s->event_fd >= 0 &&
	       epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, i->epoll_fd, &mhd) == 0 &&
	       epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->event_fd, &event) == 0;
}

static int
start(struct rtp_server *s, int fd, const char *token)
{
	const struct rtp_mhd *m = rtp_mhd();
	*s = (struct rtp_server){ .listen_fd = fd };
	pthread_mutex_init(&s->lock, NULL);
	snprintf(s->token, sizeof(s->token), "%s", token ? token : "");
	s->daemon = m->MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
					MHD_OPTION_LISTEN_SOCKET, fd,
					MHD_OPTION_CONNECTION_LIMIT, connection_limit(),
					MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
					MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MEMORY,
					MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
					MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
	if (!s->daemon)
		return -ENOMEM;
	if (!make_sets(s))
		return -ENOMEM;
	return rtp_spawn("gort-pprof", serve, s) ? 0 : -EAGAIN;
}

int
rtp_http_serve(const char *addr, struct rtp_address *got)
{
	const char *token = getenv("GORT_HTTP_TOKEN");
	if (token && (!*token || strlen(token) >= sizeof(servers[0].token)))
		token = NULL;
	if (!rtp_mhd())
		return -ENOSYS;
	if (rtp_main())
		rtp_modules_refresh(rtp_main());
	int fd = rtp_http_listen(addr, token != NULL, got);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&starting);
	int rc = nservers < MAX_SERVERS ? start(&servers[nservers], fd, token) : -ENOMEM;
	nservers += rc == 0;
	pthread_mutex_unlock(&starting);
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : got->port;
}

GORT_API int
gort_pprof_serve(const char *addr)
{
	struct rtp_address got;
	return addr ? rtp_http_serve(addr, &got) : -EINVAL;
}

const char *
rtp_http_explain(int err)
{
	switch (err) {
	case -EINVAL:
		return "is no address; write localhost:6060, :6060 (loopback) or HOST:PORT";
	case -EACCES:
		return "can be reached by other machines, and profiles tell a lot about a program: set "
		       "GORT_HTTP_TOKEN to a secret of at most 255 bytes that clients send as \"Authorization: "
		       "Bearer SECRET\" or ?token=SECRET, or use localhost";
	case -ENOSYS:
		return "needs libmicrohttpd.so.12 (Debian: libmicrohttpd12), which cannot be loaded";
	default:
		return strerror(-err);
	}
}

void
rtp_http_start_from_env(void)
{
	const char *addr = getenv("GORT_HTTP");
	struct rtp_address got;
	char line[512];
	int n;
	if (!addr || !*addr)
		return;
	int rc = rtp_http_serve(addr, &got);
	if (rc >= 0)
		n = snprintf(line, sizeof(line), "gort: profiles at http://%s/debug/pprof/\n", got.text);
	else
		n = snprintf(line, sizeof(line), "gort: GORT_HTTP=%s: %s\n", addr, rtp_http_explain(rc));
	if (write(2, line, (size_t)rt_min(n, (int)sizeof(line) - 1)) < 0)
		return; // nowhere to say it
}

// The child has none of the threads; the port is the parent's.
void
rtp_http_forked(void)
{
	pthread_mutex_init(&starting, NULL);
	for (int i = 0; i < nservers; i++) {
		close(servers[i].listen_fd);
		close(servers[i].epoll_fd);
		close(servers[i].event_fd);
	}
	nservers = 0;
	rtp_jobs_forked();
}
