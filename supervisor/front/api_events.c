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
 * GET events: which there are and what they say.  Runs in: front, control.
 */

#include "supervisor/front/events.h"
#include "supervisor/front/routes.h"

static void	 on_user(struct req *);
static void	 on_all(struct req *);
static void	 event_begin(struct jsonw *, struct buf *, const char *);
static void	 event_end(struct jsonw *, const char *, const char *);

const struct api_route event_routes[] = {
	{ HV_GET, "/v1/users/{user}/events", RIGHT_USER, ON_API, BODY_NONE,
	    on_user },
	{ HV_GET, "/v1/events", RIGHT_SERVICE, ON_API, BODY_NONE, on_all },
	{ .pattern = NULL }
};

static void
on_user(struct req *r)
{
	events_listen(r, r->user);
}

static void
on_all(struct req *r)
{
	events_listen(r, NULL);
}

static void
event_begin(struct jsonw *w, struct buf *b, const char *user)
{
	jsonw_init(w, b);
	jsonw_object(w, NULL);
	jsonw_text(w, "user", user);
}

static void
event_end(struct jsonw *w, const char *name, const char *user)
{
	jsonw_end(w);
	if (jsonw_ok(w))
		events_emit(name, user, w->b);
	buf_clear(w->b);
}

void
events_runner(const char *user, const char *runner, bool online)
{
	struct jsonw	 w;
	struct buf	 b = { 0 };

	if (!events_wanted())
		return;
	event_begin(&w, &b, user);
	jsonw_text(&w, "runner", runner);
	jsonw_bool(&w, "online", online);
	event_end(&w, "runner", user);
}

void
events_exec(struct req *r, int exit_code, const char *error,
    uint64_t duration_ms)
{
	struct http_req	*h = req_http(r);
	struct jsonw	 w;
	struct buf	 b = { 0 };

	if (!events_wanted())
		return;
	event_begin(&w, &b, r->user);
	jsonw_text(&w, "request_id", h != NULL ? http_req_id(h) : "");
	if (error == NULL)
		jsonw_int(&w, "exit_code", exit_code);
	else {
		jsonw_null(&w, "exit_code");
		jsonw_text(&w, "error", error);
	}
	jsonw_uint(&w, "duration_ms", duration_ms);
	jsonw_end(&w);
	if (jsonw_ok(&w)) {
		events_emit("exec", r->user, &b);
		events_relay("exec", r->user, &b);
	}
	buf_clear(&b);
}

void
events_sandbox(struct slice id, struct slice state)
{
	struct jsonw	 w;
	struct buf	 b = { 0 };
	char		 user[ID_USER_MAX + 1];

	if (!events_wanted() || !slice_copy(user, sizeof(user), id))
		return;
	event_begin(&w, &b, user);
	jsonw_str(&w, "state", state);
	event_end(&w, "sandbox", user);
}

/* Remote brings skills and agents to a runner. */
void
events_on_sync(struct chan *c, const struct msg *m)
{
	const struct ctl_sync_event	*s = m->body;
	struct jsonw			 w;
	struct buf			 b = { 0 };
	char				 user[ID_USER_MAX + 1];

	if (!events_wanted() || !slice_copy(user, sizeof(user), s->user))
		return;
	event_begin(&w, &b, user);
	jsonw_str(&w, "runner", s->runner);
	jsonw_str(&w, "phase", s->phase);
	jsonw_str(&w, "message", s->message);
	event_end(&w, "sync", user);
}
