// SPDX-License-Identifier: BSD-3-Clause
// A process announces itself by sending the descriptor of its tables over a socket, before its main
// function runs. From then on they are mapped here: they outlive it, however it ends. A thread answers
// it at once, whatever files are being written meanwhile; everything else is the main thread's.
#include "gort/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/thread.h"
#include "gort/gort.h"
#include "sources/emit.h"

static const char *const kind_names[RTP_KINDS] = {
	[RTP_CPU] = "cpu",     [RTP_HEAP] = "heap",	  [RTP_BLOCK] = "block",
	[RTP_MUTEX] = "mutex", [RTP_THREADCREATE] = "threadcreate", [RTP_WALL] = "wall",
};

int64_t
collect_now(void)
{
	return rtp_monotime();
}

// ---- taking processes in ----

struct arrival {
	struct arrival *next;
	struct rtp_region *r;
	int pid, pidfd;
};

static pthread_mutex_t arrivals = PTHREAD_MUTEX_INITIALIZER; // every pending list

static void *listen_on(void *arg);

bool
collect_resume(struct collection *c)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	errno = pthread_create(&c->listening, NULL, listen_on, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errno == 0;
}

// Cancelled where it waits, never while it answers.
void
collect_pause(struct collection *c)
{
	pthread_cancel(c->listening);
	pthread_join(c->listening, NULL);
}

bool
collect_start(struct collection *c, const char *out)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	*c = (struct collection){ .listener = -1, .out = out, .arrived = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	snprintf(c->dir, sizeof(c->dir), "/tmp/gort-XXXXXX");
	if (!mkdtemp(c->dir))
		return false;
	// Programs change their user: whoever knows the name may announce itself.
	chmod(c->dir, 0711);
	snprintf(c->socket, sizeof(c->socket), "%s/s", c->dir);
	memcpy(at.sun_path, c->socket, strlen(c->socket) + 1);
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->arrived < 0 || c->listener < 0 || bind(c->listener, (struct sockaddr *)&at, sizeof(at)) != 0)
		return false;
	chmod(c->socket, 0666);
	return listen(c->listener, 1024) == 0 && collect_resume(c);
}

// The descriptor that came with one byte; -1.
static int
receive(int s)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	int fd = -1;
	struct pollfd p = { s, POLLIN, 0 };
	if (poll(&p, 1, 1000) != 1 || recvmsg(s, &m, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS &&
	    h->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

static int
peer_pid(int s, const struct rtp_region *r)
{
	struct ucred who = { 0 };
	socklen_t n = sizeof(who);
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid > 0)
		return who.pid;
	return r->pid;
}

// A process that announces itself again has called exec: what it was before is over.
static void
end_former(struct collection *c, int pid)
{
	for (int i = 0; i < c->n; i++)
		if (c->proc[i].r && c->proc[i].pid == pid && !c->proc[i].seen_end)
			c->proc[i].seen_end = rtp_monotime();
}

static void
add(struct collection *c, const struct arrival *a)
{
	if (c->n == c->cap) {
		int cap = c->cap ? 2 * c->cap : 16;
		struct proc *p = realloc(c->proc, (size_t)cap * sizeof(*p));
		if (!p)
			return;
		c->proc = p;
		c->cap = cap;
	}
	end_former(c, a->pid);
	c->proc[c->n++] = (struct proc){ .r = a->r, .pid = a->pid, .pidfd = a->pidfd };
}

// Answers one process. It is in the list before it goes on.
static void
answer(struct collection *c, int s)
{
	int fd = receive(s);
	struct rtp_region *r = fd >= 0 ? rtp_region_attach(fd) : NULL;
	struct arrival *a = r ? malloc(sizeof(*a)) : NULL;
	uint64_t one = 1;
	if (fd >= 0)
		close(fd);
	if (!a) {
		rtp_region_free(r);
		return;
	}
	pthread_mutex_lock(&arrivals);
	int pid = peer_pid(s, r);
	*a = (struct arrival){ c->pending, r, pid, (int)syscall(SYS_pidfd_open, pid, 0) };
	c->pending = a;
	pthread_mutex_unlock(&arrivals);
	if (write(c->arrived, &one, sizeof(one)) < 0 || send(s, "R", 1, MSG_NOSIGNAL) < 0)
		return; // it went away meanwhile, which will be seen
}

static void *
listen_on(void *arg)
{
	struct collection *c = arg;
	for (;;) {
		int s = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		if (s >= 0) {
			answer(c, s);
			close(s);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		}
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	}
	return NULL;
}

void
collect_accept(struct collection *c)
{
	uint64_t n;
	struct arrival *first = NULL;
	if (read(c->arrived, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&arrivals);
	for (struct arrival *a; (a = c->pending);) { // latest first
		c->pending = a->next;
		a->next = first;
		first = a;
	}
	pthread_mutex_unlock(&arrivals);
	for (struct arrival *a; (a = first);) {
		first = a->next;
		add(c, a);
		free(a);
	}
}

// ---- writing ----

static int
open_file(const struct collection *c, const struct proc *p, const char *kind, char *path, size_t n)
{
	char program[sizeof(p->r->program)];
	memcpy(program, p->r->program, sizeof(program));
	program[sizeof(program) - 1] = 0;
	for (char *s = program; *s; s++)
		if (*s == '/' || (unsigned char)*s < 32)
			*s = '_';
	for (int i = 1; i < 1000; i++) {
		char again[16] = "";
		if (i > 1) // the same process under the same name: it called exec
			snprintf(again, sizeof(again), ".%d", i);
		snprintf(path, n, "%s/%s.%d%s.%s.pb.gz", c->out, program, p->pid, again, kind);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0644);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

static double
total(struct rtp_region *r, enum rtp_kind kind, int col)
{
	double sum = 0;
	uint64_t v[RTP_HEAP_NCOL];
	rtp_for_buckets(b, r, kind) {
		int64_t n, bytes;
		if (kind != RTP_HEAP) {
			sum += (double)rtp_count(r, b, col);
			continue;
		}
		rtp_heap_read(r, b, v);
		rtp_heap_unbias_as((int64_t)(v[RTP_ALLOCS] - v[RTP_FREES]),
				(int64_t)(v[RTP_ALLOC_BYTES] - v[RTP_FREE_BYTES]), (int64_t)b->aux, r->mem_rate,
				   &n, &bytes);
		sum += (double)bytes;
	}
	return sum;
}

static void
report(const struct proc *p, enum rtp_kind kind, const char *path)
{
	char what[96] = "";
	struct rtp_region *r = p->r;
	switch (kind) {
	case RTP_CPU:
		snprintf(what, sizeof(what), "%.2f s in %.0f samples", total(r, kind, RTP_CPU_NS) / 1e9,
			 total(r, kind, RTP_CPU_COUNT));
		break;
	case RTP_HEAP:
		snprintf(what, sizeof(what), "%.1f MB in use", total(r, kind, 0) / 1048576);
		break;
	case RTP_WALL:
		snprintf(what, sizeof(what), "%.2f s of all threads", total(r, kind, RTP_CPU_NS) / 1e9);
		break;
	case RTP_BLOCK:
	case RTP_MUTEX:
		snprintf(what, sizeof(what), "%.2f s waited", total(r, kind, RTP_LOCK_TICKS) / 1e9);
		break;
	default:
		snprintf(what, sizeof(what), "%.0f threads", total(r, kind, RTP_COUNT));
	}
	say("%-12s %-28s go tool pprof %s", kind_names[kind], what, path);
}

static void
write_kind(struct collection *c, struct proc *p, enum rtp_kind kind)
{
	char path[4300];
	struct rtp_region *r = p->r;
	int64_t end = rt_load_acquire(&r->end_mono);
	if (!end)
		end = p->seen_end ? p->seen_end : rtp_monotime();
	struct rtp_profile_args a = { .kind = kind, .name = kind_names[kind], .time_ns = rtp_walltime() };
	if (kind == RTP_CPU || kind == RTP_WALL) {
		a.time_ns = r->start_wall;
		a.duration_ns = end > r->start_mono ? end - r->start_mono : 0;
		a.hz = r->hz;
	}
	int fd = open_file(c, p, kind_names[kind], path, sizeof(path));
	int rc = fd < 0 ? -errno : rtp_emit(r, &a, 0, fd);
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		say("%s: %s", path, strerror(-rc));
		return;
	}
	p->written++;
	c->files++;
	if (!c->quiet)
		report(p, kind, path);
}

// Nothing was recorded.
static bool
is_empty(const struct rtp_region *r)
{
	for (int k = 0; k < RTP_KINDS; k++)
		if (rt_load(&r->nbuckets[k]))
			return false;
	return true;
}

// The last samples are still in the rings of a process that was killed.
static void
fold_rings(struct rtp_region *r)
{
	rtp_for_threads(t, r)
		if (rt_load(&t->ring))
			rtp_ring_fold(r, t, rt_load(&t->labels));
}

static void
write_files(struct collection *c, struct proc *p)
{
	struct rtp_region *r = p->r;
	if (!rtp_region_sound(r)) {
		say("the tables of process %d are damaged: no profile of it", p->pid);
		return;
	}
	if (p->seen_end && !rt_load_acquire(&r->end_mono))
		fold_rings(r);
	p->cpu_ns = (int64_t)total(r, RTP_CPU, RTP_CPU_NS);
	if (is_empty(r))
		return;
	for (int k = 0; k < RTP_KINDS; k++)
		if (kind_names[k] && (r->kinds >> k & 1))
			write_kind(c, p, k);
	if (rt_load(&r->evicted) && !c->quiet)
		say("process %d took SIGPROF for itself: its CPU profile ends there", p->pid);
}

static void
finish(struct collection *c, struct proc *p)
{
	if (!p->written)
		write_files(c, p);
	if (!c->keep)
		rtp_region_free(p->r);
	p->r = NULL;
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
}

static bool
is_over(const struct proc *p)
{
	struct pollfd f = { p->pidfd, POLLIN, 0 };
	if (p->seen_end)
		return true;
	if (p->pidfd >= 0)
		return poll(&f, 1, 0) == 1;
	return kill(p->pid, 0) != 0 && errno == ESRCH;
}

void
collect_ended(struct collection *c)
{
	collect_accept(c);
	for (int i = 0; i < c->n; i++) {
		struct proc *p = &c->proc[i];
		if (!p->r || !is_over(p))
			continue;
		if (!p->seen_end)
			p->seen_end = rtp_monotime();
		finish(c, p);
	}
}

int
collect_running(const struct collection *c)
{
	int n = 0;
	for (int i = 0; i < c->n; i++)
		n += c->proc[i].r && !c->proc[i].seen_end;
	return n;
}

void
collect_write_all(struct collection *c)
{
	for (int i = 0; i < c->n; i++)
		if (c->proc[i].r && !c->proc[i].written)
			write_files(c, &c->proc[i]);
}

void
collect_free(struct collection *c)
{
	if (c->listener >= 0)
		collect_pause(c);
	collect_accept(c);
	for (int i = 0; i < c->n; i++)
		if (c->proc[i].r)
			finish(c, &c->proc[i]);
	close(c->listener);
	close(c->arrived);
	unlink(c->socket);
	rmdir(c->dir);
	free(c->proc);
	c->proc = NULL;
	c->n = c->cap = 0;
}
