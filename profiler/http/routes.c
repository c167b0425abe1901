// SPDX-License-Identifier: BSD-3-Clause
// What each path answers: Go's routes, headers and texts (net/http/pprof), and ours beside them.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "http/http.h"

#define PREFIX "/debug/pprof/"
#define TEXT "text/plain; charset=utf-8"
#define MAX_SECONDS 86400

// ---- queries ----

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

// Decodes up to & or the end.
static void
decode(const char *s, char *to, size_t n)
{
	size_t k = 0;
	for (; *s && *s != '&' && k + 1 < n; s++) {
		if (*s == '%' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
			to[k++] = (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
			s += 2;
		} else {
			to[k++] = *s == '+' ? ' ' : *s;
		}
	}
	to[k] = 0;
}

bool
rtp_http_param(const struct rtp_request *rq, const char *key, char *value, size_t n)
{
	size_t len = strlen(key);
	for (const char *s = rq->query; s; s = strchr(s, '&') ? strchr(s, '&') + 1 : NULL)
		if (strncmp(s, key, len) == 0 && s[len] == '=') {
			decode(s + len + 1, value, n);
			return true;
		}
	return false;
}

// A decimal number; false when the text is anything else.
static bool
number(const char *s, int64_t *v)
{
	char *end;
	errno = 0;
	long long x = strtoll(s, &end, 10);
	if (end == s || *end || errno || s[0] == ' ' || s[0] == '\t')
		return false;
	*v = x;
	return true;
}

// Junk counts as 0.
static int
int_param(const struct rtp_request *rq, const char *key)
{
	char s[32];
	int64_t v;
	if (!rtp_http_param(rq, key, s, sizeof(s)) || !number(s, &v) || v > INT_MAX || v < INT_MIN)
		return 0;
	return (int)v;
}

// ---- responses ----

static void
header(struct MHD_Response *r, const char *name, const char *value)
{
	rtp_mhd()->MHD_add_response_header(r, name, value);
}

static enum MHD_Result
queue(struct rtp_request *rq, unsigned status, struct MHD_Response *r)
{
	if (!r)
		return MHD_NO;
	enum MHD_Result ok = rtp_mhd()->MHD_queue_response(rq->connection, status, r);
	rtp_mhd()->MHD_destroy_response(r);
	return ok;
}

static struct MHD_Response *
text_response(const char *s)
{
	return rtp_mhd()->MHD_create_response_from_buffer(strlen(s), (void *)(uintptr_t)s, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result
plain(struct rtp_request *rq, unsigned status, const char *text, const char *name, const char *value)
{
	char body[512];
	snprintf(body, sizeof(body), "%s\n", text);
	struct MHD_Response *r = text_response(body);
	if (r) {
		header(r, "Content-Type", TEXT);
		header(r, "X-Content-Type-Options", "nosniff");
		if (name)
			header(r, name, value);
	}
	return queue(rq, status, r);
}

// X-Go-Pprof tells go tool pprof to show the text.
enum MHD_Result
rtp_http_error(struct rtp_request *rq, unsigned status, const char *text)
{
	return plain(rq, status, text, "X-Go-Pprof", "1");
}

static enum MHD_Result
redirect(struct rtp_request *rq, const char *to)
{
	char body[256];
	snprintf(body, sizeof(body), "<a href=\"%s\">Moved Permanently</a>.\n\n", to);
	struct MHD_Response *r = text_response(body);
	if (r) {
		header(r, "Content-Type", "text/html; charset=utf-8");
		header(r, "Location", to);
	}
	return queue(rq, 301, r);
}

// Sends what is in rq->fd, which the response takes.
static enum MHD_Result
send_file(struct rtp_request *rq, const char *type, const char *disposition)
{
	off_t size = lseek(rq->fd, 0, SEEK_END);
	struct MHD_Response *r = size < 0 ? NULL
					  : rtp_mhd()->MHD_create_response_from_fd64((uint64_t)size, rq->fd);
	if (!r)
		return MHD_NO;
	rq->fd = -1;
	header(r, "Content-Type", type);
	header(r, "X-Content-Type-Options", "nosniff");
	if (disposition)
		header(r, "Content-Disposition", disposition);
	return queue(rq, 200, r);
}

static enum MHD_Result
failed(struct rtp_request *rq)
{
	if (rq->kind == RTP_JOB_DELTA || rq->kind == RTP_JOB_SINCE_LAST)
		return rtp_http_error(rq, 500, "failed to compute delta");
	if (rq->err == -ENOENT || rq->err == -ENOTSUP)
		return rtp_http_error(rq, 404, "Unknown profile");
	char text[160];
	snprintf(text, sizeof(text), "failed to collect profile: %s", strerror(-rq->err));
	return rtp_http_error(rq, 500, text);
}

enum MHD_Result
rtp_http_respond(struct rtp_request *rq)
{
	char name[128];
	if (rq->err)
		return failed(rq);
	switch (rq->kind) {
	case RTP_JOB_SYMBOL:
		return send_file(rq, TEXT, NULL);
	case RTP_JOB_VARS:
		return send_file(rq, "application/json; charset=utf-8", NULL);
	case RTP_JOB_METRICS:
		return send_file(rq, "text/plain; version=0.0.4; charset=utf-8", NULL);
	default:
		break;
	}
	if (rq->kind == RTP_JOB_NAMED && int_param(rq, "debug") != 0)
		return send_file(rq, TEXT, NULL);
	snprintf(name, sizeof(name), "attachment; filename=\"%s%s\"", rq->name, rq->kind == RTP_JOB_DELTA ? "-delta" : "");
	return send_file(rq, "application/octet-stream", name);
}

// A page that is ready at once.
static enum MHD_Result
page(struct rtp_request *rq, int (*write_page)(int fd), const char *type)
{
	rq->fd = memfd_create("gort-page", MFD_CLOEXEC);
	if (rq->fd < 0 || write_page(rq->fd) < 0)
		return rtp_http_error(rq, 500, "no memory for the page");
	return send_file(rq, type, NULL);
}

static enum MHD_Result
submit(struct rtp_request *rq, enum rtp_job_kind kind, int64_t seconds)
{
	rq->kind = kind;
	rq->due = seconds ? rtp_monotime() + seconds * 1000000000 : 0;
	rtp_http_submit(rq);
	return MHD_YES;
}

// ---- profiles ----

static enum MHD_Result
cpu_profile(struct rtp_request *rq)
{
	char s[32];
	int64_t seconds = 0;
	if (!rtp_http_param(rq, "seconds", s, sizeof(s)) || !number(s, &seconds) || seconds <= 0)
		seconds = 30;
	int rc = rtp_cpu_session_start(&rq->cpu, -1, 0);
	if (rc < 0) {
		char text[160];
		snprintf(text, sizeof(text), "Could not enable CPU profiling: %s",
			 rc == -EBUSY ? "the program has a SIGPROF handler of its own" : strerror(-rc));
		return rtp_http_error(rq, 500, text);
	}
	strcpy(rq->name, "profile");
	return submit(rq, RTP_JOB_CPU, rt_min(seconds, (int64_t)MAX_SECONDS));
}

static enum MHD_Result
wall_profile(struct rtp_request *rq)
{
	char s[32];
	int64_t seconds = 0;
	if (!rtp_http_param(rq, "seconds", s, sizeof(s)) || !number(s, &seconds) || seconds <= 0)
		seconds = 30;
	int rc = rtp_wall_start(&rq->wall);
	if (rc == -ENOTSUP)
		return rtp_http_error(rq, 404, "Unknown profile");
	if (rc < 0)
		return rtp_http_error(rq, 500, "failed to collect profile");
	strcpy(rq->name, "wall");
	return submit(rq, RTP_JOB_WALL, rt_min(seconds, (int64_t)MAX_SECONDS));
}

static enum MHD_Result
delta_profile(struct rtp_request *rq, const char *seconds_text)
{
	int64_t seconds;
	if (!number(seconds_text, &seconds) || seconds <= 0)
		return rtp_http_error(rq, 400, "invalid value for \"seconds\" - must be a positive integer");
	if (rtp_custom_region(rq->name))
		return rtp_http_error(rq, 400, "\"seconds\" parameter is not supported for this profile type");
	if (int_param(rq, "debug") != 0)
		return rtp_http_error(rq, 400, "seconds and debug params are incompatible");
	int rc = rtp_delta_begin(&rq->delta, rq->name);
	if (rc < 0)
		return rtp_http_error(rq, 500, "failed to collect profile");
	rq->delta.name = rq->name;
	return submit(rq, RTP_JOB_DELTA, rt_min(seconds, (int64_t)MAX_SECONDS));
}

static bool
known(const char *name)
{
	struct rtp_listed list[80];
	int n = rtp_profile_list(list, (int)rt_nelem(list));
	for (int i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

static enum MHD_Result
named_profile(struct rtp_request *rq, const char *name)
{
	char seconds[32];
	if (strlen(name) >= sizeof(rq->name) || !known(name))
		return rtp_http_error(rq, 404, "Unknown profile");
	strcpy(rq->name, name);
	if (rtp_http_param(rq, "seconds", seconds, sizeof(seconds)) && *seconds)
		return delta_profile(rq, seconds);
	bool heap = strcmp(name, "heap") == 0;
	rq->debug = int_param(rq, "debug");
	if (rq->debug < 0) // Go: text for heap and allocs, else a binary body
		rq->debug = heap || strcmp(name, "allocs") == 0;
	rq->gc = heap && int_param(rq, "gc") > 0;
	return submit(rq, RTP_JOB_NAMED, 0);
}

static enum MHD_Result
pprof(struct rtp_request *rq, const char *name)
{
	if (!*name)
		return page(rq, rtp_page_index, "text/html; charset=utf-8");
	if (strcmp(name, "cmdline") == 0)
		return page(rq, rtp_page_cmdline, TEXT);
	if (strcmp(name, "symbol") == 0)
		return submit(rq, RTP_JOB_SYMBOL, 0);
	if (strcmp(name, "profile") == 0)
		return cpu_profile(rq);
	if (strcmp(name, "wall") == 0)
		return wall_profile(rq);
	if (strcmp(name, "trace") == 0)
		return rtp_http_error(rq, 500, "Could not enable tracing: this program has no execution tracer");
	if (strncmp(name, "delta_", 6) == 0 && strlen(name) < sizeof(rq->name) && known(name + 6)) {
		strcpy(rq->name, name + 6);
		if (strcmp(rq->name, "heap") == 0 || strcmp(rq->name, "block") == 0 || strcmp(rq->name, "mutex") == 0)
			return submit(rq, RTP_JOB_SINCE_LAST, 0);
	}
	return named_profile(rq, name);
}

enum MHD_Result
rtp_http_route(struct rtp_request *rq, const char *path, const char *method)
{
	bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	bool post = strcmp(method, "POST") == 0 && strcmp(path, PREFIX "symbol") == 0;
	if (!rtp_http_token_ok(rq))
		return plain(rq, 401, "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN", "WWW-Authenticate",
			     "Bearer");
	if (!get && !post)
		return plain(rq, 405, "Method Not Allowed", "Allow", "GET, HEAD");
	if (rq->body_too_long)
		return plain(rq, 413, "Request Entity Too Large", NULL, NULL);
	if (strcmp(path, "/debug/pprof") == 0 || strcmp(path, "/") == 0)
		return redirect(rq, PREFIX);
	if (strncmp(path, PREFIX, sizeof(PREFIX) - 1) == 0)
		return pprof(rq, path + sizeof(PREFIX) - 1);
	if (strcmp(path, "/debug/vars") == 0)
		return submit(rq, RTP_JOB_VARS, 0);
	if (strcmp(path, "/metrics") == 0)
		return submit(rq, RTP_JOB_METRICS, 0);
	return plain(rq, 404, "404 page not found", NULL, NULL);
}
