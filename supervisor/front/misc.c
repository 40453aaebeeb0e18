/*
 * Copyright (c) 2026 The xbot-supervisor authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

/*
 * Is it there, is it ready, how much does it do; where would a command run.
 * Runs in: front, control.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "supervisor/front/front.h"
#include "supervisor/front/session.h"

static void	 on_healthz(struct req *);
static void	 on_readyz(struct req *);
static void	 on_metrics(struct req *);
static void	 on_route(struct req *);
static void	 workers_metrics(struct buf *);

const struct api_route misc_routes[] = {
	{ HV_GET, "/healthz", RIGHT_NONE, ON_ALL, BODY_NONE, on_healthz },
	{ HV_GET, "/readyz", RIGHT_NONE, ON_API, BODY_NONE, on_readyz },
	{ HV_GET, "/metrics", RIGHT_NONE, LISTENER_METRICS, BODY_NONE,
	    on_metrics },
	{ HV_GET, "/metrics", RIGHT_SERVICE, ON_API, BODY_NONE, on_metrics },
	{ HV_GET, "/v1/users/{user}/route", RIGHT_USER, ON_API, BODY_NONE,
	    on_route },
	{ .pattern = NULL }
};

static void
on_healthz(struct req *r)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "status", "ok");
	jsonw_end(&w);
	req_json(r, 200, &b);
}

static void
on_readyz(struct req *r)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;
	bool		 ready = routes_ready();
	int		 i;

	for (i = 0; i < ROLE_MAX; i++)
		if (front.workers[i].wanted && !worker_up((enum role)i))
			ready = false;
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "status", ready ? "ready" : "not ready");
	jsonw_object(&w, "workers");
	for (i = 0; i < ROLE_MAX; i++)
		if (front.workers[i].wanted)
			jsonw_text(&w, policy_get(i)->name,
			    worker_up((enum role)i) ? "up" : "down");
	jsonw_text(&w, "routes", routes_ready() ? "up" : "down");
	jsonw_end(&w);
	jsonw_end(&w);
	req_json(r, ready ? 200 : 503, &b);
}

static void
on_route(struct req *r)
{
	struct route_decision	 d;
	struct buf		 b = { 0 };
	struct jsonw		 w;
	char			 session[SESSION_MAX + 1];

	if (!req_session(r, session, sizeof(session)))
		return;
	d = routes_decide(r->user, session);
	if (d.code != XERR_NONE) {
		req_error(r, d.code, "%s", d.reason);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "backend", backend_name(d.backend));
	jsonw_text(&w, "runner", d.runner);
	jsonw_text(&w, "reason", d.reason);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

void
metric(struct buf *b, const char *fmt, ...)
{
	char	 s[256];
	va_list	 ap;
	int	 n;

	va_start(ap, fmt);
	n = vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(s))
		(void)buf_add(b, s, (size_t)n);
}

static void
workers_metrics(struct buf *b)
{
	int i;

	metric(b, "# HELP xbot_worker_up Whether a process of ours is up.\n"
	    "# TYPE xbot_worker_up gauge\n");
	for (i = 0; i < ROLE_MAX; i++)
		if (front.workers[i].wanted)
			metric(b, "xbot_worker_up{role=\"%s\"} %d\n",
			    policy_get(i)->name, worker_up((enum role)i));
	metric(b, "# HELP xbot_worker_restarts_total Its restarts.\n"
	    "# TYPE xbot_worker_restarts_total counter\n");
	for (i = 0; i < ROLE_MAX; i++)
		if (front.workers[i].wanted)
			metric(b, "xbot_worker_restarts_total{role=\"%s\"} %u\n",
			    policy_get(i)->name, front.workers[i].restarts);
}

static void
on_metrics(struct req *r)
{
	struct http_stats	 st;
	struct http_req		*h = req_http(r);
	struct buf		 b = { 0 };
	size_t			 i;

	http_stats_get(front.http, &st);
	metric(&b, "# HELP xbot_http_requests_total Answers by status.\n"
	    "# TYPE xbot_http_requests_total counter\n");
	for (i = 0; i < sizeof(front.answers) / sizeof(front.answers[0]); i++)
		if (front.answers[i] != 0)
			metric(&b, "xbot_http_requests_total{code=\"%zu\"} %llu"
			    "\n", i, (unsigned long long)front.answers[i]);
	metric(&b, "# HELP xbot_http_connections Open connections.\n"
	    "# TYPE xbot_http_connections gauge\n"
	    "xbot_http_connections %u\n", st.conns);
	metric(&b, "# HELP xbot_websockets Open WebSockets.\n"
	    "# TYPE xbot_websockets gauge\nxbot_websockets %u\n",
	    st.upgraded);
	metric(&b, "# HELP xbot_http_accepted_total Connections accepted.\n"
	    "# TYPE xbot_http_accepted_total counter\n"
	    "xbot_http_accepted_total %llu\n",
	    (unsigned long long)st.accepted);
	llm_metrics(&b);
	metric(&b, "# HELP xbot_sessions Requests at a backend.\n"
	    "# TYPE xbot_sessions gauge\nxbot_sessions %u\n",
	    session_count());
	metric(&b, "# HELP xbot_start_time_seconds When this process started.\n"
	    "# TYPE xbot_start_time_seconds gauge\n"
	    "xbot_start_time_seconds %llu\n",
	    (unsigned long long)front.started);
	workers_metrics(&b);
	if (h != NULL) {
		r->answered = true;
		front.answers[200]++;
		http_reply(h, 200, "text/plain; version=0.0.4",
		    buf_data(&b), b.len);
	}
	buf_clear(&b);
}
