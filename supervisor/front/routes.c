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
 * The copy of the routing table that ledger pushes.  Runs in: front, control.
 * Trusts ledger; its size is bounded there.  Each push that carries a serial is
 * acknowledged once it is applied.
 */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/ctl_msg.h"
#include "supervisor/front/events.h"
#include "supervisor/front/front.h"
#include "supervisor/front/routes.h"

#define BUCKETS	4096

static struct route_user	*users[BUCKETS];
static uint64_t			 epoch;
static bool			 ready;

static size_t			 bucket_of(const char *, size_t);
static struct route_user	*user_get(struct slice, bool);
static struct route_runner	*runner_add(struct route_user *, struct slice,
				    uint64_t);
static struct route_runner	**runner_find(struct route_user *,
				    struct slice);
static void			 runner_free(struct route_runner *);
static void			 runner_online(const struct route_user *,
				    struct route_runner *, bool);
static void			 sweep(struct route_user *);
static void			 user_drop(struct route_user *);
static void			 copy(char **, struct slice);
static void			 acknowledge(struct chan *,
				    const struct msg *);

static size_t
bucket_of(const char *s, size_t n)
{
	uint32_t h = 2166136261u;

	while (n-- > 0)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h % BUCKETS;
}

static struct route_user *
user_get(struct slice name, bool make)
{
	struct route_user	*u;
	size_t			 b = bucket_of(name.p, name.len);

	for (u = users[b]; u != NULL; u = u->next)
		if (slice_is(name, u->name))
			return u;
	if (!make)
		return NULL;
	if ((u = calloc(1, sizeof(*u))) == NULL)
		fatal("routes");
	copy(&u->name, name);
	u->next = users[b];
	users[b] = u;
	return u;
}

/* Replaces *dst; what does not change is not copied. */
static void
copy(char **dst, struct slice s)
{
	if (*dst != NULL && slice_is(s, *dst))
		return;
	free(*dst);
	if ((*dst = strndup(s.len > 0 ? s.p : "", s.len)) == NULL)
		fatal("routes");
}

/* A user of whom nothing is known need not be kept. */
static void
user_drop(struct route_user *u)
{
	struct route_user **at;

	if (u->runners != NULL || u->binds != NULL ||
	    (u->active != NULL && u->active[0] != '\0'))
		return;
	for (at = &users[bucket_of(u->name, strlen(u->name))]; *at != u; )
		at = &(*at)->next;
	*at = u->next;
	free(u->active);
	free(u->name);
	free(u);
}

static struct route_runner **
runner_find(struct route_user *u, struct slice name)
{
	struct route_runner **r;

	for (r = &u->runners; *r != NULL; r = &(*r)->next)
		if (slice_is(name, (*r)->name))
			return r;
	return NULL;
}

/* Behind those that are as old or older. */
static struct route_runner *
runner_add(struct route_user *u, struct slice name, uint64_t created)
{
	struct route_runner *r, **at = &u->runners;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("routes");
	copy(&r->name, name);
	while (*at != NULL && (*at)->created <= created)
		at = &(*at)->next;
	r->next = *at;
	*at = r;
	return r;
}

static void
runner_free(struct route_runner *r)
{
	free(r->name);
	free(r->mode);
	free(r->docker_image);
	free(r->workspace);
	free(r->shell);
	free(r->llm_provider);
	free(r->llm_model);
	free(r->llm_base_url);
	free(r->llm);
	free(r);
}

/* The first copy tells nobody any news. */
static void
runner_online(const struct route_user *u, struct route_runner *r, bool online)
{
	if (ready && r->online != online)
		events_runner(u->name, r->name, online);
	if (r->online && !online)
		llm_runner_gone(u->name, r->name);
	r->online = online;
}

void
routes_begin(void)
{
	epoch++;
}

static void
acknowledge(struct chan *c, const struct msg *m)
{
	if (m->serial != 0)
		(void)chan_send(c, CTL_ROUTE_ACK, m->serial, NULL);
}

void
routes_on_runner(struct chan *c, const struct msg *m)
{
	const struct ctl_route_runner	*p = m->body;
	struct route_user		*u = user_get(p->user, true);
	struct route_runner		**at, *r;

	if ((at = runner_find(u, p->name)) != NULL)
		r = *at;
	else
		r = runner_add(u, p->name, p->created);
	copy(&r->mode, p->mode);
	copy(&r->docker_image, p->docker_image);
	copy(&r->workspace, p->workspace);
	copy(&r->shell, p->shell);
	copy(&r->llm_provider, p->llm_provider);
	copy(&r->llm_model, p->llm_model);
	copy(&r->llm_base_url, p->llm_base_url);
	copy(&r->llm, p->llm);
	r->v2 = p->v2;
	r->created = p->created;
	runner_online(u, r, p->online);
	r->epoch = epoch;
	acknowledge(c, m);
}

void
routes_on_gone(struct chan *c, const struct msg *m)
{
	const struct ctl_route_gone	*p = m->body;
	struct route_user		*u = user_get(p->user, false);
	struct route_runner		**at, *r;

	if (u != NULL && (at = runner_find(u, p->name)) != NULL) {
		r = *at;
		*at = r->next;
		runner_online(u, r, false);
		runner_free(r);
		user_drop(u);
	}
	acknowledge(c, m);
}

void
routes_on_active(struct chan *c, const struct msg *m)
{
	const struct ctl_route_active	*p = m->body;
	struct route_user		*u = user_get(p->user, true);

	copy(&u->active, p->name);
	u->active_epoch = epoch;
	user_drop(u);
	acknowledge(c, m);
}

void
routes_on_bind(struct chan *c, const struct msg *m)
{
	const struct ctl_route_bind	*p = m->body;
	struct route_user		*u = user_get(p->user, true);
	struct route_bind		**at, *b;

	for (at = &u->binds; *at != NULL; at = &(*at)->next)
		if (slice_is(p->session, (*at)->session))
			break;
	if (p->name.len == 0) {
		if ((b = *at) != NULL) {
			*at = b->next;
			free(b->session);
			free(b->name);
			free(b);
		}
		user_drop(u);
	} else {
		if ((b = *at) == NULL) {
			if ((b = calloc(1, sizeof(*b))) == NULL)
				fatal("routes");
			copy(&b->session, p->session);
			*at = b;
		}
		copy(&b->name, p->name);
		b->epoch = epoch;
	}
	acknowledge(c, m);
}

/* Forget what this ledger does not know. */
static void
sweep(struct route_user *u)
{
	struct route_runner	**r, *old;
	struct route_bind	**b, *unbound;

	for (r = &u->runners; *r != NULL; )
		if ((*r)->epoch != epoch) {
			old = *r;
			*r = old->next;
			runner_online(u, old, false);
			runner_free(old);
		} else
			r = &(*r)->next;
	for (b = &u->binds; *b != NULL; )
		if ((*b)->epoch != epoch) {
			unbound = *b;
			*b = unbound->next;
			free(unbound->session);
			free(unbound->name);
			free(unbound);
		} else
			b = &(*b)->next;
	if (u->active_epoch != epoch) {
		free(u->active);
		u->active = NULL;
	}
}

void
routes_on_synced(struct chan *c, const struct msg *m)
{
	struct route_user	*u, *next;
	size_t			 i;

	for (i = 0; i < BUCKETS; i++)
		for (u = users[i]; u != NULL; u = next) {
			next = u->next;
			sweep(u);
			user_drop(u);
		}
	ready = true;
	acknowledge(c, m);
}

bool
routes_ready(void)
{
	return ready;
}

const struct route_user *
routes_user(const char *name)
{
	return user_get(slice_str(name), false);
}

const struct route_user *
routes_each(size_t *bucket, const struct route_user *u)
{
	if (u != NULL && u->next != NULL)
		return u->next;
	while (*bucket < BUCKETS)
		if ((u = users[(*bucket)++]) != NULL)
			return u;
	return NULL;
}

const struct route_runner *
routes_runner(const char *user, const char *name)
{
	struct route_user	*u = user_get(slice_str(user), false);
	struct route_runner	**at;

	if (u == NULL || (at = runner_find(u, slice_str(name))) == NULL)
		return NULL;
	return *at;
}

const char *
routes_active(const struct route_user *u)
{
	if (u == NULL)
		return NULL;
	if (u->active != NULL && u->active[0] != '\0')
		return u->active;
	return u->runners != NULL ? u->runners->name : NULL;
}

struct route_decision
routes_decide(const char *user, const char *session)
{
	const struct route_user	*u = routes_user(user);
	const struct route_bind	*b;
	struct route_view	 v = {
		.host = front.conf.host, .docker = front.conf.docker,
		.remote = front.conf.remote,
		.web_server_runner = front.conf.web_server_runner,
		.user = user
	};

	if (!ready)
		return (struct route_decision){ XERR_EOFFLINE, BACKEND_HOST,
		    "", "the routing table is not there yet" };
	if (u != NULL) {
		v.active = u->active;
		v.runners = u->runners;
		for (b = u->binds; b != NULL && session[0] != '\0';
		    b = b->next)
			if (strcmp(b->session, session) == 0)
				v.bound = b->name;
	}
	return route_decide(&v);
}
