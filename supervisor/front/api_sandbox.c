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
 * The life of a user's sandbox in a container.  Runs in: front, control.
 * Questions go to docker under the request's own serial; what it answers is
 * ours, not the container's.  Owns: the list of those who wait for it.
 */

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "supervisor/front/events.h"
#include "supervisor/front/routes.h"
#include "supervisor/front/session.h"

static void	 on_show(struct req *);
static void	 on_commit(struct req *);
static void	 on_stop(struct req *);
static void	 on_reset(struct req *);
static void	 on_list(struct req *);
static void	 on_status(struct chan *, const struct msg *);
static void	 on_done(struct chan *, const struct msg *);
static void	 on_event(struct chan *, const struct msg *);
static void	 on_closed(struct chan *, const char *, bool);

#define SANDBOX		"/v1/users/{user}/sandbox"

const struct api_route sandbox_routes[] = {
	{ HV_GET, SANDBOX, RIGHT_USER, ON_API, BODY_NONE, on_show },
	{ HV_DELETE, SANDBOX, RIGHT_USER, ON_API, BODY_NONE, on_reset },
	{ HV_POST, SANDBOX "/commit", RIGHT_USER, ON_API,
	    BODY_OPTIONAL_JSON, on_commit },
	{ HV_POST, SANDBOX "/stop", RIGHT_USER, ON_API, BODY_OPTIONAL_JSON,
	    on_stop },
	{ HV_GET, "/v1/admin/sandboxes", RIGHT_ADMIN, LISTENER_UNIX,
	    BODY_NONE, on_list },
	{ .pattern = NULL }
};

static const struct rule rules_v[] = {
	{ CTL_SANDBOX_STATUS, STATES_ALL, on_status },
	{ CTL_SANDBOX_DONE, STATES_ALL, on_done },
	{ CTL_SANDBOX_EVENT, STATES_ALL, on_event }
};

const struct rules sandbox_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_D, on_closed
};

/* A request that waits for docker. */
struct ask {
	LIST_ENTRY(ask)	 entry;
	uint64_t	 req;
	/* XERR_NONE: the answer to the client. */
	void		(*done)(struct req *, const struct ctl_sandbox_done *);
	struct buf	 rows;
	struct jsonw	 w;
};

static LIST_HEAD(, ask)	 asks = LIST_HEAD_INITIALIZER(asks);

/* ---- asking */

static void
ask_close(struct req *r, void *data)
{
	struct ask	*a = data;

	LIST_REMOVE(a, entry);
	buf_clear(&a->rows);
	free(a);
}

static struct ask *
ask_new(struct req *r,
    void (*done)(struct req *, const struct ctl_sandbox_done *))
{
	struct ask	*a;

	if ((a = calloc(1, sizeof(*a))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return NULL;
	}
	a->req = r->serial;
	a->done = done;
	LIST_INSERT_HEAD(&asks, a, entry);
	r->data = a;
	r->close = ask_close;
	jsonw_init(&a->w, &a->rows);
	return a;
}

static void
ask_send(struct req *r, uint16_t type, const void *body)
{
	if (!chan_send(child_peer(ROLE_DOCKER), type, r->serial, body))
		req_error(r, XERR_EOFFLINE, "docker is not there");
}

/* Has this user a sandbox here at all? */
static bool
may(struct req *r)
{
	if (!front.conf.docker)
		req_error(r, XERR_ENOTSUP, "docker is not enabled here");
	else if (strncmp(r->user, "web-", 4) == 0 &&
	    !front.conf.web_server_runner)
		req_error(r, XERR_EPERM, "web users have no sandbox on this "
		    "server");
	else
		return true;
	return false;
}

/* ---- answers */

static void
done_empty(struct req *r, const struct ctl_sandbox_done *d)
{
	req_empty(r, 204);
}

static void
done_commit(struct req *r, const struct ctl_sandbox_done *d)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_str(&w, "image", d->image);
	jsonw_bool(&w, "changed", d->changed);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

static void
done_show(struct req *r, const struct ctl_sandbox_done *d)
{
	struct ask	*a = r->data;

	if (a->rows.len == 0)
		req_error(r, XERR_EIO, "docker said nothing");
	else
		req_json(r, 200, &a->rows);
}

static void
done_list(struct req *r, const struct ctl_sandbox_done *d)
{
	struct ask	*a = r->data;

	jsonw_end(&a->w);
	jsonw_end(&a->w);
	req_json(r, 200, &a->rows);
}

/* Of a list `dirty` is not known: it costs the Engine a walk each. */
static void
status_write(struct jsonw *w, const struct ctl_sandbox_status *s, bool one)
{
	jsonw_object(w, NULL);
	if (one)
		jsonw_text(w, "backend", "docker");
	else
		jsonw_str(w, "user", s->user);
	jsonw_str(w, "state", s->state);
	jsonw_str(w, "container", s->container);
	jsonw_str(w, "image", s->image);
	jsonw_uint(w, "idle_seconds", s->idle_seconds);
	if (one)
		jsonw_bool(w, "dirty", s->dirty);
	jsonw_end(w);
}

static struct ask *
ask_find(const struct msg *m, struct req **r)
{
	struct ask	*a;

	/* Only requests of ours have such a serial and such data. */
	LIST_FOREACH(a, &asks, entry)
		if (a->req == m->serial)
			break;
	*r = a == NULL ? NULL : req_find(a->req);
	return *r == NULL || (*r)->answered ? NULL : a;
}

static void
on_status(struct chan *c, const struct msg *m)
{
	struct req	*r;
	struct ask	*a;

	if ((a = ask_find(m, &r)) != NULL)
		status_write(&a->w, m->body, a->done == done_show);
}

static void
on_done(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_done	*d = m->body;
	struct req			*r;
	struct ask			*a;

	if ((a = ask_find(m, &r)) == NULL)
		return;
	if (d->code == XERR_NONE)
		a->done(r, d);
	else
		req_error(r, d->code, "%.*s", (int)d->text.len,
		    d->text.len > 0 ? (const char *)d->text.p : "");
}

static void
on_event(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_event	*e = m->body;

	events_sandbox(e->user, e->state);
}

/* What was begun goes on, or is put right by the next docker. */
static void
on_closed(struct chan *c, const char *why, bool protocol)
{
	struct ask	*a, *next;
	struct req	*r;

	for (a = LIST_FIRST(&asks); a != NULL; a = next) {
		next = LIST_NEXT(a, entry);
		if ((r = req_find(a->req)) != NULL && !r->answered)
			req_error(r, XERR_EOFFLINE, "docker went away");
	}
}

/* ---- requests */

/* Elsewhere there is no life cycle, and that is an answer as well. */
static void
show_elsewhere(struct req *r)
{
	struct route_decision	 d = routes_decide(r->user, "");
	struct buf		 b = { 0 };
	struct jsonw		 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "backend", backend_name(d.backend));
	jsonw_text(&w, "state", "absent");
	jsonw_text(&w, "container", "");
	jsonw_text(&w, "image", "");
	jsonw_uint(&w, "idle_seconds", 0);
	jsonw_bool(&w, "dirty", false);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

static void
on_show(struct req *r)
{
	struct ctl_sandbox_show q = { slice_str(r->user) };

	if (!front.conf.docker)
		show_elsewhere(r);
	else if (may(r) && ask_new(r, done_show) != NULL)
		ask_send(r, CTL_SANDBOX_SHOW, &q);
}

static void
on_commit(struct req *r)
{
	struct ctl_sandbox_commit q = { slice_str(r->user) };

	if (!may(r) || ask_new(r, done_commit) == NULL)
		return;
	audit(r, "sandbox.commit", NULL);
	ask_send(r, CTL_SANDBOX_COMMIT, &q);
}

static void
on_stop(struct req *r)
{
	struct ctl_sandbox_stop q = { slice_str(r->user) };

	if (!may(r) || ask_new(r, done_empty) == NULL)
		return;
	audit(r, "sandbox.stop", NULL);
	ask_send(r, CTL_SANDBOX_STOP, &q);
}

static void
on_reset(struct req *r)
{
	struct ctl_sandbox_reset q = { slice_str(r->user) };

	if (!may(r) || ask_new(r, done_empty) == NULL)
		return;
	audit(r, "sandbox.reset", NULL);
	ask_send(r, CTL_SANDBOX_RESET, &q);
}

static void
on_list(struct req *r)
{
	struct ask	*a;

	if (!front.conf.docker)
		req_error(r, XERR_ENOTSUP, "docker is not enabled here");
	else if ((a = ask_new(r, done_list)) != NULL) {
		jsonw_object(&a->w, NULL);
		jsonw_array(&a->w, "sandboxes");
		ask_send(r, CTL_SANDBOX_LIST, NULL);
	}
}
