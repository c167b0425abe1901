// SPDX-License-Identifier: BSD-3-Clause
// Workers: started when a job finds none free, at most four, kept. One that waits for the runtime (a
// world that does not stop) does not keep the others from answering.
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/rtlink.h"
#include "http/http.h"

#define MAX_WORKERS 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct rtp_request *head, **tail = &head; // ready
static int workers, idle, queued;

static void
collect(void *arg)
{
	(void)arg;
	rtp_runtime()->gc();
}

static void
collect_first(const struct rtp_request *rq)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (rq->gc && rt && rt->started())
		rt->visit(collect, NULL);
}

static int
run(struct rtp_request *rq)
{
	switch (rq->kind) {
	case RTP_JOB_NAMED:
		collect_first(rq);
		return rtp_emit_named(rq->name, rq->debug, rq->fd);
	case RTP_JOB_CPU:
		rq->cpu.fd = rq->fd;
		return rtp_cpu_session_stop(&rq->cpu);
	case RTP_JOB_DELTA:
		return rtp_delta_end(&rq->delta, rq->fd);
	case RTP_JOB_WALL:
		return rtp_wall_finish(rq->wall, rq->fd);
	case RTP_JOB_SINCE_LAST:
		return rtp_delta_since_last(rq->name, rq->fd);
	case RTP_JOB_SYMBOL:
		return rtp_page_symbol(rq->fd, rq->body ? rq->body : rq->query,
				       rq->body ? rq->body_len : __builtin_strlen(rq->query));
	case RTP_JOB_VARS:
		return rtp_page_vars(rq->fd);
	case RTP_JOB_METRICS:
		return rtp_page_metrics(rq->fd);
	case RTP_JOB_NONE:
		break;
	}
	return -EINVAL;
}

static struct rtp_request *
take(void)
{
	pthread_mutex_lock(&lock);
	while (!head) {
		idle++;
		pthread_cond_wait(&work, &lock);
		idle--;
	}
	struct rtp_request *rq = head;
	head = rq->next;
	if (!head)
		tail = &head;
	queued--;
	pthread_mutex_unlock(&lock);
	rq->next = NULL;
	return rq;
}

static void *
worker(void *arg)
{
	(void)arg;
	for (;;) {
		struct rtp_request *rq = take();
		rq->err = run(rq);
		rtp_http_done(rq);
	}
	return NULL;
}

void
rtp_jobs_put(struct rtp_request *rq)
{
	rq->next = NULL;
	rq->fd = memfd_create("gort-profile", MFD_CLOEXEC);
	if (rq->fd < 0) {
		rq->err = -errno;
		rtp_http_done(rq);
		return;
	}
	pthread_mutex_lock(&lock);
	*tail = rq;
	tail = &rq->next;
	queued++;
	bool more = queued > idle && workers < MAX_WORKERS;
	workers += more;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	if (!more || rtp_spawn("gort-pprof-job", worker, NULL))
		return;
	pthread_mutex_lock(&lock);
	bool nobody = --workers == 0;
	if (nobody) {
		head = NULL;
		tail = &head;
		queued = 0;
	}
	pthread_mutex_unlock(&lock);
	if (nobody) { // without any worker the queue held this one only
		rq->err = -EAGAIN;
		rtp_http_done(rq);
	}
}

void
rtp_jobs_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	pthread_cond_init(&work, NULL);
	head = NULL;
	tail = &head;
	workers = idle = queued = 0;
}
