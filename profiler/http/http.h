// SPDX-License-Identifier: BSD-3-Clause
// /debug/pprof over HTTP.
//
// One thread a server does everything that has to do with connections (http/server.c). What takes time,
// or may have to wait for the runtime, is a job (http/jobs.c): its connection is suspended, up to four
// workers run jobs, each into an anonymous file, and the server sends that file. A profile that lasts
// some seconds is a job that is started at once and finished when it is due, or when its client has
// gone. All these threads are the profiler's own (rtp_spawn): they answer while every goroutine is stuck.
#pragma once

#include "http/mhd.h"
#include "sources/cpu.h"
#include "sources/emit.h"
#include "sources/sources.h"

#define RTP_MAX_BODY ((size_t)1 << 20) // of a POST to /debug/pprof/symbol

enum rtp_job_kind {
	RTP_JOB_NONE,
	RTP_JOB_NAMED,      // rtp_emit_named
	RTP_JOB_CPU,        // ends a CPU session
	RTP_JOB_DELTA,      // ends a delta
	RTP_JOB_WALL,       // ends a wall profile
	RTP_JOB_SINCE_LAST, // rtp_delta_since_last
	RTP_JOB_SYMBOL,
	RTP_JOB_VARS,
	RTP_JOB_METRICS,
};

// A request, from its first line until its response has been sent.
struct rtp_request {
	struct rtp_server *server;
	struct MHD_Connection *connection;
	char *uri;   // as it came, with the query
	char *query; // in uri, behind the ?; "" when there is none
	bool begun, suspended;
	char *body;
	size_t body_len;
	bool body_too_long;
	// The job.
	enum rtp_job_kind kind;
	struct rtp_request *next; // in one list: waiting, ready, or done
	int64_t due;              // rtp_monotime
	char name[64];
	int debug;
	bool gc;
	struct rtp_cpu_session cpu;
	struct rtp_delta delta;
	struct rtp_wall *wall;
	int watched; // the connection's descriptor while the server watches it; -1
	// What comes out.
	int fd;  // -1
	int err; // 0 or a negative errno value
};

// ---- server.c ----
// Begins the request's job: at once, or at rq->due. On the server's thread.
void rtp_http_submit(struct rtp_request *rq);
// From any worker.
void rtp_http_done(struct rtp_request *rq);
bool rtp_http_token_ok(struct rtp_request *rq);

// ---- jobs.c ----
void rtp_jobs_put(struct rtp_request *rq);
void rtp_jobs_forked(void);

// ---- routes.c ----
enum MHD_Result rtp_http_route(struct rtp_request *rq, const char *path, const char *method);
// The response of a job that is done.
enum MHD_Result rtp_http_respond(struct rtp_request *rq);
enum MHD_Result rtp_http_error(struct rtp_request *rq, unsigned status, const char *text);
// The value of a query parameter, decoded; false when it is absent. Cut at n.
bool rtp_http_param(const struct rtp_request *rq, const char *key, char *value, size_t n);

// ---- pages.c; each writes to fd and returns 0 or a negative errno value ----
int rtp_page_index(int fd);
int rtp_page_cmdline(int fd);
int rtp_page_symbol(int fd, const char *addresses, size_t n);

// ---- metrics.c ----
int rtp_page_vars(int fd);
int rtp_page_metrics(int fd);

// ---- listen.c ----
struct rtp_address {
	char text[128]; // for messages
	bool loopback;
	int port;
};
// A socket that listens. Returns it, or a negative errno value; -EACCES: not loopback, and no token.
int rtp_http_listen(const char *addr, bool have_token, struct rtp_address *got);

// Starts a server. Returns its port, or a negative errno value that rtp_http_explain says more about.
int rtp_http_serve(const char *addr, struct rtp_address *got);
const char *rtp_http_explain(int err);

// The constructor's part: GORT_HTTP.
void rtp_http_start_from_env(void);
void rtp_http_forked(void);
