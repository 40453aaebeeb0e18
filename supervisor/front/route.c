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
 * Where does a request run?  The rules of contract/http-api.md, in their
 * order, as one function of its argument and nothing else.
 * Runs in: front, control; and in tests/unit/route_test.
 */

#include <string.h>

#include "base/ids.h"
#include "supervisor/front/routes.h"

static bool			 is_web(const char *);
static struct route_decision	 remote(const struct route_runner *,
				    const char *);
static struct route_decision	 refuse(enum xerr, const char *);
static struct route_decision	 docker(const struct route_view *,
				    const char *);
static struct route_decision	 bound(const struct route_view *);
static const struct route_runner *named(const struct route_view *,
				    const char *);

const char *
backend_name(enum backend b)
{
	static const char *const names[] = {
		[BACKEND_HOST] = "none",
		[BACKEND_DOCKER] = "docker",
		[BACKEND_REMOTE] = "remote",
		[BACKEND_LLM] = "llm"
	};

	return names[b];
}

static bool
is_web(const char *user)
{
	return strncmp(user, "web-", 4) == 0;
}

static struct route_decision
remote(const struct route_runner *r, const char *reason)
{
	return (struct route_decision){ XERR_NONE, BACKEND_REMOTE, r->name,
	    reason };
}

static struct route_decision
refuse(enum xerr code, const char *reason)
{
	return (struct route_decision){ code, BACKEND_HOST, "", reason };
}

/* What runs on this server is theirs only where the administrator said so. */
static bool
is_denied(const struct route_view *v)
{
	return is_web(v->user) && !v->web_server_runner;
}

static struct route_decision
deny(const struct route_view *v)
{
	return refuse(XERR_EPERM, v->remote ?
	    "web users have no sandbox on this server: connect a runner of "
	    "your own" : "web users have no sandbox on this server");
}

static struct route_decision
docker(const struct route_view *v, const char *reason)
{
	if (is_denied(v))
		return deny(v);
	return (struct route_decision){ XERR_NONE, BACKEND_DOCKER,
	    ROUTE_DOCKER, reason };
}

/* The user's runner of that name if it is connected. */
static const struct route_runner *
named(const struct route_view *v, const char *name)
{
	const struct route_runner *r;

	if (!v->remote)
		return NULL;
	for (r = v->runners; r != NULL; r = r->next)
		if (strcmp(r->name, name) == 0)
			return r->online ? r : NULL;
	return NULL;
}

/* A binding never falls through. */
static struct route_decision
bound(const struct route_view *v)
{
	const struct route_runner *r;

	if (strcmp(v->bound, ROUTE_DOCKER) == 0)
		return v->docker ? docker(v, "the session is bound to docker") :
		    refuse(XERR_EOFFLINE,
		    "the session is bound to docker, which is not enabled");
	if ((r = named(v, v->bound)) != NULL)
		return remote(r, "the session is bound to this runner");
	return refuse(XERR_EOFFLINE,
	    "the runner this session is bound to is offline");
}

struct route_decision
route_decide(const struct route_view *v)
{
	const struct route_runner	*r;
	const char			*active = v->active;

	if (v->bound != NULL)
		return bound(v);

	if (active == NULL || active[0] == '\0')
		active = v->runners != NULL ? v->runners->name : "";
	if (strcmp(active, ROUTE_DOCKER) == 0) {
		if (v->docker)
			return docker(v, "docker is the active runner");
	} else if (active[0] != '\0' && (r = named(v, active)) != NULL)
		return remote(r, "the active runner");

	for (r = v->remote ? v->runners : NULL; r != NULL; r = r->next)
		if (r->online)
			return remote(r, "the oldest runner that is connected");

	if (v->docker)
		return docker(v, "no runner is connected");
	if (v->host) {
		if (is_denied(v))
			return deny(v);
		return (struct route_decision){ XERR_NONE, BACKEND_HOST, "",
		    "no runner is connected, docker is not enabled" };
	}
	return refuse(XERR_EOFFLINE, "no runner is connected");
}
