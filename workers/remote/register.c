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
 * Registration: section 1.3 of the contract, its checks in their order.
 * Runs in: remote.  The message is hostile; the ledger is believed.  The
 * token is hashed and wiped here and never stored.
 */

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/token.h"
#include "proto/ctl_msg.h"
#include "workers/remote/remote.h"
#include "workers/remote/sync.h"

#define WORKSPACE_MAX	4096	/* as runner_status can carry */
#define PROVIDER_MAX	64
#define MODEL_MAX	256

struct refusal {
	const char	*code, *message;
};

static const struct refusal auth_failed =
    { "AUTH_FAILED", "authentication failed" };
static const struct refusal user_missing = { "INVALID", "missing user_id" };
static const struct refusal user_other = { "FORBIDDEN", "user_id mismatch" };
static const struct refusal broken =
    { "internal_error", "the server is out of memory" };

static uint64_t	last_auth;		/* question to the ledger */

static struct link *
pending_by_auth(uint64_t auth)
{
	struct link *l;

	TAILQ_FOREACH(l, &links_pending, entry)
		if (l->state == LINK_AUTH && l->auth == auth)
			return l;
	return NULL;
}

/* The newest are at the end. */
static struct link *
held_by_auth(uint64_t auth)
{
	struct link *l;

	TAILQ_FOREACH_REVERSE(l, &links_up, link_list, entry)
		if (l->held && l->auth == auth)
			return l;
	return NULL;
}

static void
register_refuse(struct link *l, const struct refusal *r)
{
	struct buf	text = { 0 };
	struct jsonw	w;

	log_info("connection %llu from %s: registration refused: %s",
	    (unsigned long long)l->serial, l->address, r->message);
	jsonw_init(&w, &text);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "type", v1_type_name(V1_ERROR));
	jsonw_object(&w, "body");
	jsonw_text(&w, "message", r->message);
	jsonw_text(&w, "code", r->code);
	jsonw_end(&w);
	jsonw_end(&w);
	if (jsonw_ok(&w))
		link_queue(l, NULL, &text);
	buf_clear(&text);
	link_finish(l, 1008, r->message);
}

static void
register_ask(struct chan *ledger, const struct link *l)
{
	const struct ctl_runner_auth auth = {
		slice_str(l->user), { l->hash, sizeof(l->hash) }
	};

	chan_send(ledger, CTL_RUNNER_AUTH, l->auth, &auth);
}

/* An optional string, copied; false: another type, NUL or too long. */
static bool
take(char **dst, struct v1_member *m, size_t max)
{
	struct slice s = v1_string(&m->value);

	if (m->value.kind != V1_STRING && m->value.kind != V1_ABSENT &&
	    m->value.kind != V1_NULL)
		return false;
	if (s.len > max || (s.len > 0 && (memchr(s.p, 0, s.len) != NULL ||
	    !utf8_valid(s.p, s.len))))
		return false;
	return (*dst = strndup(s.len > 0 ? s.p : "", s.len)) != NULL;
}

enum {
	M_USER, M_TOKEN, M_WORKSPACE, M_SHELL, M_PROVIDER, M_MODEL, M_NAME,
	M_MAX
};

static bool
register_take(struct link *l, struct v1_member m[M_MAX])
{
	struct slice user, token;

	if (!take(&l->workspace, &m[M_WORKSPACE], WORKSPACE_MAX) ||
	    !take(&l->shell, &m[M_SHELL], WORKSPACE_MAX) ||
	    !take(&l->provider, &m[M_PROVIDER], PROVIDER_MAX) ||
	    !take(&l->model, &m[M_MODEL], MODEL_MAX) ||
	    (m[M_USER].value.kind > V1_NULL &&
	    m[M_USER].value.kind != V1_STRING) ||
	    (m[M_TOKEN].value.kind > V1_NULL &&
	    m[M_TOKEN].value.kind != V1_STRING))
		return false;
	/* Only version 2 has it, and it has to be one. */
	if (l->is_v2 && id_runner_ok(v1_string(&m[M_NAME].value)) &&
	    !take(&l->wish, &m[M_NAME], ID_RUNNER_MAX))
		return false;
	user = v1_string(&m[M_USER].value);
	if (user.len == 0)
		l->claim = &user_missing;
	else if (!slice_is(user, l->user))
		l->claim = &user_other;
	token = v1_string(&m[M_TOKEN].value);
	/* An empty token is nobody's (D34). */
	if (!token_hash(l->hash, token))
		l->claim = &auth_failed;
	return true;
}

void
register_message(struct link *l, char *text, size_t len)
{
	struct v1_member	 m[M_MAX] = {
		{ .key = "user_id" }, { .key = "auth_token" },
		{ .key = "workspace" }, { .key = "shell" },
		{ .key = "llm_provider" }, { .key = "llm_model" },
		{ .key = "name" },
	};
	struct v1_message	 msg;
	const char		*why;
	uint16_t		 code = 1002;

	if (v1_parse(text, len, &msg, &why) == 0) {
		code = 1008;
		why = "the first message is not register";
		if (msg.type == V1_REGISTER) {
			why = "a register message without a proper body";
			if (v1_members(&msg.body, m, M_MAX) &&
			    register_take(l, m))
				code = 0;
		}
	}
	if (len > 0)
		explicit_bzero(text, len);
	if (code != 0) {
		log_info("connection %llu from %s: %s",
		    (unsigned long long)l->serial, l->address, why);
		link_close(l, code, why);
		return;
	}
	if (l->claim == &auth_failed) {
		register_refuse(l, l->claim);
		return;
	}
	l->state = LINK_AUTH;
	l->auth = ++last_auth;
	/* Without a ledger it is asked when one comes. */
	register_ask(child_peer(ROLE_LEDGER), l);
}

void
register_status(const struct link *l, bool online)
{
	const struct ctl_runner_status status = {
		slice_str(l->user), slice_str(l->name), online,
		slice_str(l->workspace), slice_str(l->shell),
		slice_str(l->provider), slice_str(l->model), l->global,
		l->is_v2
	};

	chan_send(child_peer(ROLE_LEDGER), CTL_RUNNER_STATUS, l->serial,
	    &status);
}

void
register_online(struct link *l)
{
	l->online = true;
	register_status(l, true);
	sync_start(l);
}

void
register_llm(struct link *l, const char *provider, const char *model)
{
	char *p, *m;

	/* An empty one is as it was, of the same provider. */
	if (provider != NULL && model != NULL && *model == '\0' &&
	    strcmp(provider, l->provider) == 0)
		model = l->model;
	p = provider != NULL ? strdup(provider) : NULL;
	m = model != NULL ? strdup(model) : NULL;
	if (p == NULL || m == NULL) {
		free(p);
		free(m);
		return;		/* it tells again when it registers */
	}
	free(l->provider);
	free(l->model);
	l->provider = p;
	l->model = m;
	register_status(l, true);
}

/* A new ledger knows nobody: it is told and asked again. */
void
register_up(struct chan *ledger)
{
	struct link *l;

	TAILQ_FOREACH(l, &links_up, entry)
		if (l->online) {
			register_status(l, true);
			if (l->held)
				register_ask(ledger, l);
		}
	TAILQ_FOREACH(l, &links_pending, entry)
		if (l->state == LINK_AUTH)
			register_ask(ledger, l);
}

static void
register_ok(struct link *l)
{
	static const char	 ok[] =
	    "{\"type\":\"register_ok\",\"body\":{\"status\":\"ok\"}}";
	struct buf		 text = { 0 };
	struct link		*old;

	/* The new one wins, the old is closed at once and its end is not
	 * taken for the end of the new one (D4). */
	if ((old = link_by_name(slice_str(l->user), slice_str(l->name)))
	    != NULL) {
		link_leave(old);
		link_close(old, 1008, "replaced by a newer connection");
	}
	if (buf_add(&text, ok, sizeof(ok) - 1) == -1 ||
	    link_enter(l) == -1) {
		buf_clear(&text);
		register_refuse(l, &broken);
		return;
	}
	/*
	 * Who is told that it is registered may be asked for at once: the
	 * ledger has told front by the time it answers us once more.
	 */
	l->held = !l->is_v2;
	link_queue(l, NULL, &text);
	if (!l->is_v2)
		v2_forget(slice_str(l->user), slice_str(l->name),
		    "came back with version 1");
	log_info("connection %llu: runner %s of %s registered from %s",
	    (unsigned long long)l->serial, l->name, l->user, l->address);
	link_grant(l);
	if (l->is_v2)
		v2_begin(l);
	else {
		register_online(l);
		l->auth = ++last_auth;
		register_ask(child_peer(ROLE_LEDGER), l);
	}
}

void
on_runner_authed(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_authed	*authed = m->body;
	struct link			*l = pending_by_auth(m->serial);
	struct slice			 name;

	if (l == NULL) {
		if ((l = held_by_auth(m->serial)) != NULL)
			link_release(l);
		return;
	}
	if (authed->name.len == 0 || !slice_is(authed->user, l->user)) {
		register_refuse(l, &auth_failed);
		return;
	}
	if (l->claim != NULL) {
		register_refuse(l, l->claim);
		return;
	}
	/* A token of one runner says which. */
	l->global = authed->global;
	name = authed->name;
	if (authed->global && l->wish != NULL)
		name = slice_str(l->wish);
	free(l->name);
	if ((l->name = strndup(name.p, name.len)) == NULL)
		register_refuse(l, &broken);
	else
		register_ok(l);
}

void
on_runner_kick(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_kick	*kick = m->body;
	struct link			*l;
	char				 why[124];

	text_clean(why, sizeof(why) - 1, kick->reason);
	v2_forget(kick->user, kick->name, why);
	if ((l = link_by_name(kick->user, kick->name)) != NULL)
		link_close(l, 1008, why);
}

void
on_runner_renamed(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_renamed	*r = m->body;
	struct link			*l;
	char				*name;

	if (!v2_rename(r->user, r->name, r->new_name))
		v2_forget(r->user, r->name, "out of memory, connect again");
	if ((l = link_by_name(r->user, r->name)) == NULL)
		return;
	link_leave(l);
	if ((name = strndup(r->new_name.p, r->new_name.len)) != NULL) {
		free(l->name);
		l->name = name;
	}
	if (name == NULL || link_enter(l) == -1) {
		link_close(l, 1013, "out of memory, connect again");
		return;
	}
	log_info("connection %llu: runner of %s is called %s now",
	    (unsigned long long)l->serial, l->user, l->name);
}
