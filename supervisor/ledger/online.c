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
 * Who is connected, as remote tells; and whose token a runner came with.
 * Runs in: ledger.  In memory only: remote tells again after a restart of
 * either.  What a runner says about itself is a stranger's word.
 */

#include <openssl/crypto.h>

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/ledger/ledger.h"

/* Connections end in front, which has descriptors for no more than that. */
#define ONLINE_MAX	65536

static void		*tree;		/* tsearch(3) of struct online */
static size_t		 nonline;
static struct chan	*remote;

static int
online_cmp(const void *a, const void *b)
{
	const struct online	*x = a, *y = b;
	int			 rc = strcmp(x->user, y->user);

	return rc != 0 ? rc : strcmp(x->name, y->name);
}

static struct online *
find(struct slice user, struct slice name)
{
	struct online	  key, **node;

	if (!slice_copy(key.user, sizeof(key.user), user) ||
	    !slice_copy(key.name, sizeof(key.name), name))
		return NULL;
	node = tfind(&key, &tree, online_cmp);
	return node == NULL ? NULL : *node;
}

const struct online *
online_find(struct slice user, struct slice name)
{
	return find(user, name);
}

static void
online_free(void *p)
{
	struct online *on = p;

	free(on->workspace);
	free(on->shell);
	free(on);
}

static void
online_drop(struct online *on)
{
	tdelete(on, &tree, online_cmp);
	nonline--;
	online_free(on);
}

/* NULL when there is no room. */
static struct online *
online_add(struct slice user, struct slice name)
{
	struct online *on;

	if (nonline >= ONLINE_MAX || (on = calloc(1, sizeof(*on))) == NULL)
		return NULL;
	if (!slice_copy(on->user, sizeof(on->user), user) ||
	    !slice_copy(on->name, sizeof(on->name), name) ||
	    tsearch(on, &tree, online_cmp) == NULL) {
		free(on);
		return NULL;
	}
	nonline++;
	return on;
}

void
online_renamed(struct slice user, struct slice name, struct slice new_name)
{
	struct ctl_runner_renamed	 m = { user, name, new_name };
	struct online			*on;

	if ((on = find(user, name)) != NULL) {
		tdelete(on, &tree, online_cmp);
		slice_copy(on->name, sizeof(on->name), new_name);
		if (tsearch(on, &tree, online_cmp) == NULL)
			fatalx("out of memory");
	}
	/* Also when it is not known to be online: it may be just coming. */
	chan_send(remote, CTL_RUNNER_RENAMED, 0, &m);
}

void
online_kick(struct slice user, struct slice name, const char *why)
{
	struct ctl_runner_kick	 m = { user, name, slice_str(why) };
	struct online		*on;

	if ((on = find(user, name)) != NULL)
		online_drop(on);
	chan_send(remote, CTL_RUNNER_KICK, 0, &m);
}

struct walk {
	struct store_tx	 tx;
	struct buf	 found;		/* struct online pointers */
};

static void
walk_all(const void *node, VISIT visit, void *arg)
{
	struct walk *w = arg;

	if ((visit == postorder || visit == leaf) &&
	    buf_add(&w->found, node, sizeof(void *)) == -1)
		fatalx("out of memory");
}

static void
walk_global(const void *node, VISIT visit, void *arg)
{
	struct walk		*w = arg;
	const struct online	*on = *(const struct online *const *)node;
	struct state_runner	 r;
	struct store_key	 key;

	/* No other runner has a record without a token. */
	if (runner_get(&w->tx, &key, slice_str(on->user), slice_str(on->name),
	    &r) && r.hash.len == 0)
		walk_all(node, visit, arg);
}

void
online_global_changed(void)
{
	struct walk	  w = { .found = { 0 } };
	struct online	**v, gone;
	size_t		  i;

	store_begin(&w.tx, false);
	twalk_r(tree, walk_global, &w);
	store_abort(&w.tx);
	v = (struct online **)(void *)buf_data(&w.found);
	for (i = 0; i < w.found.len / sizeof(*v); i++) {
		gone = *v[i];
		online_kick(slice_str(gone.user), slice_str(gone.name),
		    "the global token was changed");
		push_runner(slice_str(gone.user), slice_str(gone.name));
	}
	buf_clear(&w.found);
}

void
online_remote_up(struct chan *c)
{
	remote = c;
}

/* Every connection ended with it. */
void
online_remote_closed(struct chan *c, const char *why, bool protocol)
{
	struct walk	  w = { .found = { 0 } };
	struct online	**v;
	size_t		  i;

	if (c != remote)
		return;
	remote = NULL;
	twalk_r(tree, walk_all, &w);
	/* Nobody is online before the first of them is told. */
	while (tree != NULL)
		tdelete(*(struct online **)tree, &tree, online_cmp);
	nonline = 0;
	v = (struct online **)(void *)buf_data(&w.found);
	for (i = 0; i < w.found.len / sizeof(*v); i++) {
		push_runner(slice_str(v[i]->user), slice_str(v[i]->name));
		online_free(v[i]);
	}
	buf_clear(&w.found);
}

/* --- whose token is it --- */

static bool
is_global(struct slice hash)
{
	return ledger_conf.have_runner && hash_ok(hash) &&
	    CRYPTO_memcmp(hash.p, ledger_conf.runner, TOKEN_HASH) == 0;
}

/* The runner of this user that has this token. */
static bool
token_owner(struct store_tx *tx, const struct ctl_runner_auth *q,
    struct slice *name)
{
	struct state_owner	 o;
	struct state_runner	 r;
	struct store_key	 key;

	key_bytes(&key, q->hash.p, q->hash.len);
	if (!store_get(tx, DB_RUNNER_TOKENS, &key, STATE_OWNER, &o) ||
	    !slice_same(o.user, q->user) ||
	    !runner_get(tx, &key, o.user, o.name, &r) ||
	    !slice_same(r.hash, q->hash))
		return false;
	*name = o.name;
	return true;
}

/*
 * A failing database refuses too: the runner comes again.  Then it is logged
 * here, so that nobody looks for a wrong token.
 */
void
on_runner_auth(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_auth	*q = m->body;
	struct ctl_runner_authed	 a = { q->user, slice_str(""), false };
	struct store_tx			 tx;
	const char			*text;

	store_begin(&tx, false);
	if (id_user_ok(q->user) && hash_ok(q->hash) &&
	    !token_owner(&tx, q, &a.name) && is_global(q->hash)) {
		a.name = slice_str(RUNNER_GLOBAL);
		a.global = true;
	}
	if (tx.rc != 0)
		a.name = slice_str("");
	chan_send(c, CTL_RUNNER_AUTHED, m->serial, &a);
	if (store_end(&tx, &text) != XERR_NONE)
		log_warnx("a runner was refused: %s", text);
}

/* --- what remote tells --- */

/*
 * Provider and model as the runner says, nothing else of the record; a runner
 * without an LLM leaves them.  One that came with the global token gets a
 * record without a token, so that lists show it.  false: it has no business.
 */
static bool
record_update(const struct ctl_runner_status *q)
{
	struct state_runner	 r = { .mode = slice_str("native") };
	struct store_key	 key;
	struct store_tx		 tx;
	const char		*text;
	bool			 found, changed;

	store_begin(&tx, true);
	found = runner_get(&tx, &key, q->user, q->name, &r);
	if (!found && !((q->global || slice_is(q->name, RUNNER_GLOBAL)) &&
	    ledger_conf.have_runner)) {
		store_abort(&tx);
		return false;
	}
	changed = !found;
	if (!found)
		r.created = runner_created(&tx, q->user);
	if (q->llm_provider.len > 0 && provider_ok(q->llm_provider) &&
	    !(slice_same(r.llm_provider, q->llm_provider) &&
	    slice_same(r.llm_model, q->llm_model))) {
		r.llm_provider = q->llm_provider;
		r.llm_model = q->llm_model;
		changed = true;
	}
	/* A storm of reconnects changes nothing and writes nothing. */
	if (changed)
		store_put(&tx, DB_RUNNERS, &key, STATE_RUNNER, &r);
	if (store_end(&tx, &text) != XERR_NONE) {
		log_warnx("runner %.*s of %.*s: %s", (int)q->name.len,
		    (const char *)q->name.p, (int)q->user.len,
		    (const char *)q->user.p, text);
		return found;
	}
	return true;
}

/* Say it again is what remote does after a restart. */
static bool
online_set(const struct ctl_runner_status *q)
{
	struct online	*on;
	char		*workspace, *shell;

	if ((on = find(q->user, q->name)) == NULL &&
	    (on = online_add(q->user, q->name)) == NULL)
		return false;
	workspace = strndup(q->workspace.len > 0 ? q->workspace.p : "",
	    q->workspace.len);
	shell = strndup(q->shell.len > 0 ? q->shell.p : "", q->shell.len);
	if (workspace == NULL || shell == NULL)
		fatalx("out of memory");
	free(on->workspace);
	free(on->shell);
	on->workspace = workspace;
	on->shell = shell;
	on->v2 = q->v2;
	/* One that nobody here can speak with is none. */
	if (!provider_ok(q->llm_provider) ||
	    !slice_copy(on->llm, sizeof(on->llm), q->llm_provider))
		on->llm[0] = '\0';
	return true;
}

void
on_runner_status(struct chan *c, const struct msg *m)
{
	const struct ctl_runner_status	*q = m->body;
	struct online			*on;

	if (!id_user_ok(q->user) || !id_runner_ok(q->name)) {
		chan_refuse(c, "status of a runner without a proper name");
		return;
	}
	if (!q->online) {
		if ((on = find(q->user, q->name)) == NULL)
			return;
		online_drop(on);
	} else if (!record_update(q)) {
		/* Deleted while it was on its way. */
		online_kick(q->user, q->name, "deleted");
		return;
	} else if (!online_set(q)) {
		online_kick(q->user, q->name, "too many runners");
		return;
	}
	push_runner(q->user, q->name);
}
