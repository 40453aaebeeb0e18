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
 * Which runner a user has chosen: the active one, and bindings of sessions.
 * Runs in: ledger.  A choice is an own runner or the built-in sandbox; when
 * its runner goes the choice goes with it, it never dangles.
 */

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/ledger/ledger.h"

/* Of one user; the oldest makes room.  An agent binds a session a chat. */
#define BINDS_MAX	1000

/* May that be chosen?  Web users' right to the server is front's check. */
static bool
choice_exists(struct store_tx *tx, struct slice user, struct slice name)
{
	struct state_runner	 r;
	struct store_key	 key;

	if (slice_is(name, RUNNER_DOCKER))
		return ledger_conf.docker;
	return runner_get(tx, &key, user, name, &r);
}

static void
choice_put(struct store_tx *tx, enum store_db db, const struct store_key *key,
    struct slice name)
{
	struct state_choice r = { name, wall_ms() };

	store_put(tx, db, key, STATE_CHOICE, &r);
}

/* The oldest runner that is left, or no active one. */
static void
active_next(struct store_tx *tx, struct slice user)
{
	struct state_runner	 r;
	struct store_iter	 it;
	struct store_key	 key, oldest = { .len = 0 };
	uint64_t		 created = UINT64_MAX;

	key_pair(&key, user, slice_str(""));
	store_iter_init(&it, &key);
	while (store_next(tx, DB_RUNNERS, &it, STATE_RUNNER, &r))
		if (r.created < created) {
			created = r.created;
			oldest = it.at;
		}
	key_user(&key, user);
	if (oldest.len > 0)
		choice_put(tx, DB_ACTIVE, &key, key_rest(&oldest));
	else
		store_del(tx, DB_ACTIVE, &key);
}

/* Bindings to name become bindings to new_name, or none when that is empty. */
static void
binds_move(struct store_tx *tx, struct slice user, struct slice name,
    struct slice new_name, struct buf *sessions)
{
	struct state_choice	 r;
	struct store_iter	 it;
	struct store_key	 key;
	struct slice		 session;

	key_pair(&key, user, slice_str(""));
	store_iter_init(&it, &key);
	while (store_next(tx, DB_BINDS, &it, STATE_CHOICE, &r)) {
		if (!slice_same(r.name, name))
			continue;
		session = key_rest(&it.at);
		if (buf_add(sessions, session.p, session.len) == -1 ||
		    buf_add(sessions, "", 1) == -1)
			fatalx("out of memory");
		r.name = new_name;
		if (new_name.len > 0)
			store_put(tx, DB_BINDS, &it.at, STATE_CHOICE, &r);
		else
			store_del(tx, DB_BINDS, &it.at);
	}
}

static bool
is_active(struct store_tx *tx, struct slice user, struct slice name)
{
	struct state_choice	 r;
	struct store_key	 key;

	key_user(&key, user);
	return store_get(tx, DB_ACTIVE, &key, STATE_CHOICE, &r) &&
	    slice_same(r.name, name);
}

void
choice_gone(struct store_tx *tx, struct slice user, struct slice name,
    struct buf *sessions)
{
	if (is_active(tx, user, name))
		active_next(tx, user);
	binds_move(tx, user, name, slice_str(""), sessions);
}

void
choice_renamed(struct store_tx *tx, struct slice user, struct slice name,
    struct slice new_name, struct buf *sessions)
{
	struct store_key key;

	if (is_active(tx, user, name)) {
		key_user(&key, user);
		choice_put(tx, DB_ACTIVE, &key, new_name);
	}
	binds_move(tx, user, name, new_name, sessions);
}

void
choice_push(struct slice user, const struct buf *sessions)
{
	const char	*p = (const char *)buf_data(sessions);
	size_t		 off, n;

	push_active(user);
	for (off = 0; off < sessions->len; off += n + 1) {
		n = strlen(p + off);
		push_bind(user, (struct slice){ p + off, n });
	}
}

/* Records that came with the global token were not created by anybody. */
void
choice_first(struct store_tx *tx, struct slice user, struct slice name)
{
	struct state_choice	 old;
	struct state_runner	 r;
	struct store_iter	 it;
	struct store_key	 key;

	key_pair(&key, user, slice_str(""));
	store_iter_init(&it, &key);
	while (store_next(tx, DB_RUNNERS, &it, STATE_RUNNER, &r))
		if (r.hash.len > 0 && !slice_same(key_rest(&it.at), name))
			return;
	key_user(&key, user);
	if (!store_get(tx, DB_ACTIVE, &key, STATE_CHOICE, &old))
		choice_put(tx, DB_ACTIVE, &key, name);
}

/* Store, replace or (name empty) remove a choice; false: refused. */
static bool
choice_set(struct change *ch, enum store_db db, const struct store_key *key,
    struct slice user, struct slice name)
{
	struct state_choice old;

	if (name.len == 0) {
		store_del(&ch->tx, db, key);
		return true;
	}
	if (!choice_exists(&ch->tx, user, name)) {
		change_refuse(ch, XERR_ENOENT, "runner \"%.*s\" not found",
		    (int)name.len, (const char *)name.p);
		return false;
	}
	/* The same again is not worth a sync. */
	if (!store_get(&ch->tx, db, key, STATE_CHOICE, &old) ||
	    !slice_same(old.name, name))
		choice_put(&ch->tx, db, key, name);
	return true;
}

void
on_active_set(struct chan *c, const struct msg *m)
{
	const struct ctl_active_set	*q = m->body;
	struct store_key		 key;
	struct change			 ch;

	if (!id_user_ok(q->user)) {
		push_refuse(c, m->serial, XERR_EINVAL, "no user id");
		return;
	}
	if (!change_begin(&ch, c, m))
		return;
	key_user(&key, q->user);
	if (!choice_set(&ch, DB_ACTIVE, &key, q->user, q->name) ||
	    !change_commit(&ch))
		return;
	push_active(q->user);
	push_done(c, m->serial);
}

/* The oldest binding of a user who has as many as may be; for the push. */
static void
binds_trim(struct store_tx *tx, struct slice user, struct store_key *dropped)
{
	struct state_choice	 r;
	struct store_iter	 it;
	struct store_key	 key;
	uint64_t		 made = UINT64_MAX;
	unsigned int		 n = 0;

	key_pair(&key, user, slice_str(""));
	store_iter_init(&it, &key);
	while (store_next(tx, DB_BINDS, &it, STATE_CHOICE, &r)) {
		n++;
		if (r.made < made) {
			made = r.made;
			*dropped = it.at;
		}
	}
	if (n > BINDS_MAX)
		store_del(tx, DB_BINDS, dropped);
	else
		dropped->len = 0;
}

void
on_bind_set(struct chan *c, const struct msg *m)
{
	const struct ctl_bind_set	*q = m->body;
	struct store_key		 key, dropped = { .len = 0 };
	struct change			 ch;

	if (!id_user_ok(q->user) || !id_session_ok(q->session)) {
		push_refuse(c, m->serial, XERR_EINVAL, "no user id, or no "
		    "session");
		return;
	}
	if (!change_begin(&ch, c, m))
		return;
	key_pair(&key, q->user, q->session);
	if (!choice_set(&ch, DB_BINDS, &key, q->user, q->name))
		return;
	if (q->name.len > 0)
		binds_trim(&ch.tx, q->user, &dropped);
	if (!change_commit(&ch))
		return;
	push_bind(q->user, q->session);
	if (dropped.len > 0)
		push_bind(q->user, key_rest(&dropped));
	push_done(c, m->serial);
}
