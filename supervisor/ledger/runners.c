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
 * Runner records: create, delete, rename, a new token, LLM settings.  Runs in:
 * ledger.  A question that is asked again with the same content succeeds
 * again, where that can be told.
 */

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/ledger/ledger.h"

/* Of one user: each is a line in lists and a record in every copy. */
#define RUNNERS_MAX	256

bool
provider_ok(struct slice s)
{
	return s.len == 0 || slice_is(s, "openai") || slice_is(s, "anthropic");
}

bool
runner_get(struct store_tx *tx, struct store_key *key, struct slice user,
    struct slice name, struct state_runner *r)
{
	key_pair(key, user, name);
	return store_get(tx, DB_RUNNERS, key, STATE_RUNNER, r);
}

uint64_t
runner_created(struct store_tx *tx, struct slice user)
{
	struct state_runner	 r;
	struct store_iter	 it;
	struct store_key	 key;
	uint64_t		 created = wall_ms();

	key_pair(&key, user, slice_str(""));
	store_iter_init(&it, &key);
	while (store_next(tx, DB_RUNNERS, &it, STATE_RUNNER, &r))
		if (r.created >= created)
			created = r.created + 1;
	return created;
}

static unsigned int
runners_count(struct store_tx *tx, struct slice user)
{
	struct state_runner	 r;
	struct store_iter	 it;
	struct store_key	 key;
	unsigned int		 n = 0;

	key_pair(&key, user, slice_str(""));
	store_iter_init(&it, &key);
	while (store_next(tx, DB_RUNNERS, &it, STATE_RUNNER, &r))
		n++;
	return n;
}

static void
hash_put(struct store_tx *tx, struct slice hash, struct slice user,
    struct slice name)
{
	struct state_owner	 o = { user, name };
	struct store_key	 key;

	key_bytes(&key, hash.p, hash.len);
	store_put(tx, DB_RUNNER_TOKENS, &key, STATE_OWNER, &o);
}

static void
hash_del(struct store_tx *tx, struct slice hash)
{
	struct store_key key;

	key_bytes(&key, hash.p, hash.len);
	if (hash.len > 0)
		store_del(tx, DB_RUNNER_TOKENS, &key);
}

static bool
hash_used(struct store_tx *tx, struct slice hash)
{
	struct state_owner	 o;
	struct store_key	 key;

	key_bytes(&key, hash.p, hash.len);
	return store_get(tx, DB_RUNNER_TOKENS, &key, STATE_OWNER, &o);
}

/* A literal that says what is wrong, or NULL. */
static const char *
create_check(const struct ctl_runner_create *q)
{
	if (!id_user_ok(q->user))
		return "no user id";
	if (!id_runner_ok(q->name))
		return "a runner's name is 1 to 64 of A-Z a-z 0-9 _ . -";
	if (q->mode.len > 0 && !slice_is(q->mode, "native") &&
	    !slice_is(q->mode, "docker"))
		return "mode is native or docker";
	if (!provider_ok(q->llm_provider))
		return "llm_provider is openai or anthropic";
	/* These go into a command that people paste. */
	if (!id_line_ok(q->docker_image) || !id_line_ok(q->workspace) ||
	    !id_line_ok(q->llm_model) || !id_line_ok(q->llm_base_url))
		return "a control character";
	if (!hash_ok(q->hash))
		return "no token";
	return NULL;
}

/* Refuses for the change and returns false, or returns true. */
static bool
create_allowed(struct change *ch, const struct ctl_runner_create *q)
{
	if (hash_used(&ch->tx, q->hash)) {
		change_refuse(ch, XERR_EEXIST, "this token exists");
		return false;
	}
	if (runners_count(&ch->tx, q->user) >= RUNNERS_MAX) {
		change_refuse(ch, XERR_EBUSY, "a user may have %d runners",
		    RUNNERS_MAX);
		return false;
	}
	return true;
}

void
on_runner_create(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_create	*q = m->body;
	struct state_runner		 old, r = {
		q->mode.len > 0 ? q->mode : slice_str("native"),
		q->docker_image, q->workspace, q->llm_provider, q->llm_model,
		q->llm_base_url, 0, q->hash };
	struct store_key		 key;
	struct change			 ch;
	const char			*why;

	if ((why = create_check(q)) != NULL) {
		push_refuse(c, m->serial, XERR_EINVAL, "%s", why);
		return;
	}
	if (!change_begin(&ch, c, m))
		return;
	if (runner_get(&ch.tx, &key, q->user, q->name, &old)) {
		/* Only a repeated question knows the token. */
		if (!slice_same(old.hash, q->hash)) {
			change_refuse(&ch, XERR_EEXIST,
			    "runner \"%.*s\" already exists",
			    (int)q->name.len, (const char *)q->name.p);
			return;
		}
	} else {
		if (!create_allowed(&ch, q))
			return;
		r.created = runner_created(&ch.tx, q->user);
		store_put(&ch.tx, DB_RUNNERS, &key, STATE_RUNNER, &r);
		hash_put(&ch.tx, q->hash, q->user, q->name);
		choice_first(&ch.tx, q->user, q->name);
	}
	if (!change_commit(&ch))
		return;
	push_runner(q->user, q->name);
	push_active(q->user);
	push_done(c, m->serial);
}

/* The record a question is about; false: refused. */
static bool
change_runner(struct change *ch, struct chan *c, const struct msg *m,
    struct slice user, struct slice name, struct store_key *key,
    struct state_runner *r)
{
	if (!id_user_ok(user) || !id_runner_ok(name)) {
		push_refuse(c, m->serial, XERR_EINVAL, "no user id, or no "
		    "runner's name");
		return false;
	}
	if (!change_begin(ch, c, m))
		return false;
	if (runner_get(&ch->tx, key, user, name, r))
		return true;
	change_refuse(ch, XERR_ENOENT, "runner \"%.*s\" not found",
	    (int)name.len, (const char *)name.p);
	return false;
}

void
on_runner_delete(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_delete	*q = m->body;
	struct state_runner		 r;
	struct buf			 sessions = { 0 };
	struct store_key		 key;
	struct change			 ch;

	if (!change_runner(&ch, c, m, q->user, q->name, &key, &r))
		return;
	/* The index first: a delete moves what the record's views show. */
	hash_del(&ch.tx, r.hash);
	store_del(&ch.tx, DB_RUNNERS, &key);
	choice_gone(&ch.tx, q->user, q->name, &sessions);
	if (change_commit(&ch)) {
		online_kick(q->user, q->name, "deleted");
		push_runner(q->user, q->name);
		choice_push(q->user, &sessions);
		push_done(c, m->serial);
	}
	buf_clear(&sessions);
}

void
on_runner_rename(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_rename	*q = m->body;
	struct state_runner		 r, other;
	struct buf			 sessions = { 0 };
	struct store_key		 key, new_key;
	struct change			 ch;

	if (!id_runner_ok(q->new_name)) {
		push_refuse(c, m->serial, XERR_EINVAL,
		    "a runner's name is 1 to 64 of A-Z a-z 0-9 _ . -");
		return;
	}
	if (!change_runner(&ch, c, m, q->user, q->name, &key, &r))
		return;
	if (runner_get(&ch.tx, &new_key, q->user, q->new_name, &other)) {
		if (slice_same(q->name, q->new_name)) {
			store_abort(&ch.tx);
			push_done(c, m->serial);
		} else
			change_refuse(&ch, XERR_EEXIST,
			    "runner \"%.*s\" already exists",
			    (int)q->new_name.len, (const char *)q->new_name.p);
		return;
	}
	store_put(&ch.tx, DB_RUNNERS, &new_key, STATE_RUNNER, &r);
	if (runner_get(&ch.tx, &new_key, q->user, q->new_name, &r) &&
	    r.hash.len > 0)
		hash_put(&ch.tx, r.hash, q->user, q->new_name);
	store_del(&ch.tx, DB_RUNNERS, &key);
	choice_renamed(&ch.tx, q->user, q->name, q->new_name, &sessions);
	if (change_commit(&ch)) {
		/* The new name first, so that no choice points nowhere. */
		online_renamed(q->user, q->name, q->new_name);
		push_runner(q->user, q->new_name);
		choice_push(q->user, &sessions);
		push_runner(q->user, q->name);
		push_done(c, m->serial);
	}
	buf_clear(&sessions);
}

/* Rotation: the old token ends with the connection that came with it. */
void
on_runner_token(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_token	*q = m->body;
	struct state_runner		 r;
	struct store_key		 key;
	struct change			 ch;
	bool				 again;

	if (!hash_ok(q->hash)) {
		push_refuse(c, m->serial, XERR_EINVAL, "no token");
		return;
	}
	if (!change_runner(&ch, c, m, q->user, q->name, &key, &r))
		return;
	again = slice_same(r.hash, q->hash);
	if (!again) {
		if (hash_used(&ch.tx, q->hash)) {
			change_refuse(&ch, XERR_EEXIST, "this token exists");
			return;
		}
		hash_del(&ch.tx, r.hash);
		hash_put(&ch.tx, q->hash, q->user, q->name);
		if (runner_get(&ch.tx, &key, q->user, q->name, &r)) {
			r.hash = q->hash;
			store_put(&ch.tx, DB_RUNNERS, &key,
			    STATE_RUNNER, &r);
		}
	}
	if (!change_commit(&ch))
		return;
	if (!again)
		online_kick(q->user, q->name, "its token was changed");
	push_runner(q->user, q->name);
	push_done(c, m->serial);
}

void
on_runner_llm(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_llm	*q = m->body;
	struct state_runner		 r;
	struct store_key		 key;
	struct change			 ch;

	if (!provider_ok(q->llm_provider) || !id_line_ok(q->llm_model) ||
	    !id_line_ok(q->llm_base_url)) {
		push_refuse(c, m->serial, XERR_EINVAL, "llm_provider is openai "
		    "or anthropic; no control characters");
		return;
	}
	if (!change_runner(&ch, c, m, q->user, q->name, &key, &r))
		return;
	r.llm_provider = q->llm_provider;
	r.llm_model = q->llm_model;
	r.llm_base_url = q->llm_base_url;
	store_put(&ch.tx, DB_RUNNERS, &key, STATE_RUNNER, &r);
	if (!change_commit(&ch))
		return;
	push_runner(q->user, q->name);
	push_done(c, m->serial);
}
