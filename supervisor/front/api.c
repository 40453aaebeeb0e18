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
 * From a request's head to its handler: which route, who may, is the body
 * what it should be.  Runs in: front, control.  Input is hostile.
 * Owns: the table of requests.
 *
 * The token is checked before the body is read.
 */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/front/front.h"
#include "supervisor/front/llm.h"
#include "supervisor/front/skill.h"
#include "supervisor/front/tls.h"

struct front		 front;

static struct table	 requests;

static const struct api_route *const tables[] = {
	exec_routes, file_routes, task_routes, stream_routes, event_routes,
	sandbox_routes, download_routes, llm_routes, runner_ws_routes,
	runner_routes, token_routes, misc_routes, admin_routes
};

static void	 on_request(struct http_req *, void *);
static void	 on_body(struct http_req *, void *, const void *, size_t);
static void	 on_body_end(struct http_req *, void *);
static void	 on_writable(struct http_req *, void *);
static void	 on_close(struct http_req *, void *, enum http_end);
static bool	 pattern_matches(const char *, const struct http_segs *,
		    struct req *, const char **);
static const struct api_route *route_find(struct req *, struct http_req *,
		    unsigned int *, const char **);
static void	 dispatch(struct req *, struct http_req *);
static void	 permitted(struct req *);
static void	 collected(struct http_req *, void *, const char *, size_t);
static void	 collected_llm(struct http_req *, void *, const char *,
		    size_t);
static void	 start_with(struct req *, struct json *, const char *);

const struct http_server_ops api_ops = {
	.on_request = on_request, .on_tls = tls_accept, .tls_why = tls_why
};

static const struct http_handler handler = {
	.on_body = on_body, .on_body_end = on_body_end,
	.on_writable = on_writable, .on_close = on_close
};

struct req *
req_find(uint64_t serial)
{
	return (struct req *)table_find(&requests, serial);
}

uint64_t
serial_next(void)
{
	static uint64_t last;

	return ++last;
}

static void
on_request(struct http_req *h, void *arg)
{
	struct req *r;

	if ((r = calloc(1, sizeof(*r))) == NULL ||
	    !table_add(&requests, &r->node, http_req_serial(h))) {
		free(r);
		http_reply_error(h, XERR_EBUSY, "no memory");
		return;
	}
	r->serial = http_req_serial(h);
	r->listener = (unsigned int)(uintptr_t)http_req_listener(h);
	http_set_handler(h, &handler, r);
	if (r->listener & LISTENER_SKILL)
		skill_dispatch(r, h);
	else
		dispatch(r, h);
}

/*
 * Does the path have this shape?  user is the {user} segment, or NULL.
 */
static bool
pattern_matches(const char *p, const struct http_segs *segs, struct req *r,
    const char **user)
{
	unsigned int	 i, nseg = 0;
	size_t		 n;

	*user = NULL;
	for (i = 0; *p == '/' && p[1] != '\0'; i++, p += n) {
		n = strcspn(++p, "/");
		if (i == segs->n)
			return false;
		if (strncmp(p, "{user}", 6) == 0)
			*user = segs->s[i];
		else if (*p == '{') {
			if (segs->s[i][0] == '\0' || nseg == REQ_SEGS)
				return false;
			r->seg[nseg++] = segs->s[i];
		} else if (strncmp(p, segs->s[i], n) != 0 ||
		    segs->s[i][n] != '\0')
			return false;
	}
	return i == segs->n;
}

/* NULL, and *verbs tells which methods this path has otherwise. */
static const struct api_route *
route_find(struct req *r, struct http_req *h, unsigned int *verbs,
    const char **user)
{
	const struct api_route	*t;
	unsigned int		 verb = http_req_verb(h), has;
	size_t			 i;

	*verbs = 0;
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (t = tables[i]; t->pattern != NULL; t++) {
			if (!(t->listeners & r->listener) ||
			    !pattern_matches(t->pattern, &r->segs, r, user))
				continue;
			has = t->verbs | (t->verbs & HV_GET ? HV_HEAD : 0);
			if (has & verb)
				return t;
			*verbs |= has;
		}
	}
	return NULL;
}

static void
dispatch(struct req *r, struct http_req *h)
{
	const char	*user;
	unsigned int	 verbs;

	if (http_req_segs(h, &r->segs) == -1) {
		req_error(r, XERR_EINVAL, "malformed path");
		return;
	}
	if ((r->route = route_find(r, h, &verbs, &user)) == NULL) {
		if (verbs == 0) {
			req_error(r, XERR_ENOENT, "no such route");
			return;
		}
		r->answered = true;
		front.answers[405]++;
		api_log_failure(r, 405, "method not allowed");
		http_reply_405(h, verbs);
		return;
	}
	if (user != NULL) {
		if (!id_user_ok(slice_str(user))) {
			req_error(r, XERR_EINVAL, "malformed user id");
			return;
		}
		(void)slice_copy(r->user, sizeof(r->user), slice_str(user));
	}
	if (r->route->right == RIGHT_NONE)
		permitted(r);
	else if (!front.control)
		auth_check(r, permitted);
	else if (admin_peer(http_req_fd(h))) {
		r->service = true;
		permitted(r);
	} else
		req_error(r, XERR_EPERM, "not an administrator");
}

/* Who it is is clear, and that he may. */
static void
permitted(struct req *r)
{
	struct http_req *h = req_http(r);

	if (h == NULL || (r->route->right != RIGHT_NONE && !limit_rate(r)))
		return;
	switch (r->route->body) {
	case BODY_NONE:
	case BODY_RAW:
		r->route->start(r);
		break;
	case BODY_JSON:
	case BODY_OPTIONAL_JSON:
		http_body_collect(h, front.conf.json_max, collected);
		break;
	case BODY_LLM:
		http_body_collect(h, front.conf.llm_max, collected_llm);
		break;
	}
}

static void
collected(struct http_req *h, void *arg, const char *data, size_t len)
{
	struct req	*r = arg;
	struct json	*j;
	const char	*why;

	if (len == 0 && r->route->body == BODY_OPTIONAL_JSON) {
		r->route->start(r);
		return;
	}
	j = json_parse(data, len, 0, &why);
	start_with(r, j, why);
}

/* Others made its form: it nests, and is long. */
static void
collected_llm(struct http_req *h, void *arg, const char *data, size_t len)
{
	struct req	*r = arg;
	struct json	*j;
	const char	*why;

	j = json_parse_deep(data, len, LLM_VALUES, LLM_DEPTH, &why);
	r->text = (struct slice){ data, len };
	start_with(r, j, why);
	r->text = (struct slice){ NULL, 0 };
}

static void
start_with(struct req *r, struct json *j, const char *why)
{
	if (j == NULL) {
		req_error(r, XERR_EINVAL, "body: %s", why);
		return;
	}
	r->body = json_root(j);
	if (json_type(r->body) != JSON_OBJECT)
		req_error(r, XERR_EINVAL, "body: not an object");
	else
		r->route->start(r);
	r->body = NULL;
	json_free(j);
}

void
req_stream(struct req *r, const struct http_handler *ops)
{
	struct http_req *h = req_http(r);

	r->http_ops = ops;
	if (h != NULL && ops->on_body != NULL)
		http_body_stream(h);
}

static void
on_body(struct http_req *h, void *arg, const void *data, size_t len)
{
	struct req *r = arg;

	if (r->http_ops != NULL && r->http_ops->on_body != NULL)
		r->http_ops->on_body(h, r, data, len);
}

static void
on_body_end(struct http_req *h, void *arg)
{
	struct req *r = arg;

	if (r->http_ops != NULL && r->http_ops->on_body_end != NULL)
		r->http_ops->on_body_end(h, r);
}

static void
on_writable(struct http_req *h, void *arg)
{
	struct req *r = arg;

	if (r->http_ops != NULL && r->http_ops->on_writable != NULL)
		r->http_ops->on_writable(h, r);
}

static void
on_close(struct http_req *h, void *arg, enum http_end end)
{
	struct req *r = arg;

	if (!r->answered && end == HTTP_GONE)
		log_info("request %llu (%s, %s): %s: the client went away",
		    (unsigned long long)r->serial, http_req_id(h),
		    http_req_peer(h), http_req_method(h));
	if (r->close != NULL)
		r->close(r, r->data);
	limit_release(r);
	table_remove(&requests, &r->node);
	free(r);
}
