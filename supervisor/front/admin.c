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
 * What only an administrator may: the state of all processes, reload, log
 * level, stop.  Runs in: control, which alone has the right to give the
 * parent orders; the routes are not there on any other listener.
 */

#include <stdlib.h>
#include <string.h>

#include "base/orders.h"
#include "supervisor/front/front.h"
#include "supervisor/front/routes.h"
#include "supervisor/front/session.h"

static void	 on_status(struct req *);
static void	 on_users(struct req *);
static void	 on_reload(struct req *);
static void	 on_log(struct req *);
static void	 on_stop(struct req *);
static void	 order(struct req *, enum order, const char *);
static void	 runners_count(struct jsonw *);

const struct api_route admin_routes[] = {
	{ HV_GET, "/v1/admin/status", RIGHT_ADMIN, LISTENER_UNIX, BODY_NONE,
	    on_status },
	{ HV_GET, "/v1/admin/users", RIGHT_ADMIN, LISTENER_UNIX, BODY_NONE,
	    on_users },
	{ HV_POST, "/v1/admin/reload", RIGHT_ADMIN, LISTENER_UNIX, BODY_NONE,
	    on_reload },
	{ HV_POST, "/v1/admin/log", RIGHT_ADMIN, LISTENER_UNIX, BODY_JSON,
	    on_log },
	{ HV_POST, "/v1/admin/stop", RIGHT_ADMIN, LISTENER_UNIX, BODY_NONE,
	    on_stop },
	{ .pattern = NULL }
};

static void
order(struct req *r, enum order what, const char *name)
{
	struct ctl_order	 o = { .what = (uint8_t)what };

	audit(r, name, NULL);
	/* The order's serial is the request's own. */
	(void)chan_send(child_parent(), CTL_ORDER, r->serial, &o);
}

void
admin_on_order_done(struct chan *c, const struct msg *m)
{
	const struct ctl_order_done	*d = m->body;
	struct req			*r;
	struct buf			 b = { 0 };
	struct jsonw			 w;

	if ((r = req_find(m->serial)) == NULL || r->answered)
		return;
	if (!d->ok) {
		req_error(r, XERR_EINVAL, "%.*s", (int)d->text.len,
		    d->text.len > 0 ? (const char *)d->text.p : "");
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_bool(&w, "ok", true);
	jsonw_str(&w, "message", d->text);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

static void
on_reload(struct req *r)
{
	order(r, ORDER_RELOAD, "reload");
}

static void
on_stop(struct req *r)
{
	order(r, ORDER_STOP, "stop");
}

static void
on_log(struct req *r)
{
	char level[16];

	switch (req_member(r, "level", level, sizeof(level))) {
	case JSON_WRONG:
		return;
	case JSON_GOT:
		if (strcmp(level, "verbose") == 0) {
			order(r, ORDER_VERBOSE, "log");
			return;
		}
		if (strcmp(level, "brief") == 0) {
			order(r, ORDER_BRIEF, "log");
			return;
		}
		break;
	case JSON_ABSENT:
		break;
	}
	req_error(r, XERR_EINVAL, "level: neither verbose nor brief");
}

static void
runners_count(struct jsonw *w)
{
	const struct route_user		*u = NULL;
	const struct route_runner	*rr;
	size_t				 bucket = 0;
	unsigned int			 known = 0, online = 0, users = 0;

	while ((u = routes_each(&bucket, u)) != NULL) {
		users++;
		for (rr = u->runners; rr != NULL; rr = rr->next) {
			known++;
			online += rr->online;
		}
	}
	jsonw_uint(w, "users", users);
	jsonw_uint(w, "runners", known);
	jsonw_uint(w, "runners_online", online);
}

static void
on_status(struct req *r)
{
	const struct front_worker	*wk;
	struct buf			 b = { 0 };
	struct jsonw			 w;
	int				 i;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "version", XBOT_VERSION);
	jsonw_array(&w, "workers");
	for (i = 0; i < ROLE_MAX; i++) {
		if (!(wk = &front.workers[i])->wanted)
			continue;
		jsonw_object(&w, NULL);
		jsonw_text(&w, "name", policy_get(i)->name);
		jsonw_bool(&w, "up", worker_up((enum role)i));
		jsonw_uint(&w, "pid", wk->pid);
		jsonw_uint(&w, "restarts", wk->restarts);
		jsonw_uint(&w, "since", wk->since);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	runners_count(&w);
	jsonw_object(&w, "backends");
	jsonw_bool(&w, "none", front.conf.host);
	jsonw_bool(&w, "docker", front.conf.docker);
	jsonw_bool(&w, "remote", front.conf.remote);
	jsonw_end(&w);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

/* Whoever has a runner, a binding or an active runner. */
static void
on_users(struct req *r)
{
	const struct route_user		*u = NULL;
	const struct route_runner	*rr;
	const char			*active;
	struct buf			 b = { 0 };
	struct jsonw			 w;
	size_t				 bucket = 0;
	unsigned int			 known, online;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_array(&w, "users");
	while ((u = routes_each(&bucket, u)) != NULL) {
		known = online = 0;
		for (rr = u->runners; rr != NULL; rr = rr->next) {
			known++;
			online += rr->online;
		}
		jsonw_object(&w, NULL);
		jsonw_text(&w, "user", u->name);
		jsonw_uint(&w, "runners", known);
		jsonw_uint(&w, "online", online);
		if ((active = routes_active(u)) != NULL)
			jsonw_text(&w, "active", active);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	jsonw_end(&w);
	req_json(r, 200, &b);
}
