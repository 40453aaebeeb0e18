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
 * The journal of docker's commits: how far each came that has not ended.
 * Runs in: ledger.  What the steps mean is docker's; here they are on the
 * disk before docker is told so and goes on.
 */

#include <string.h>

#include "supervisor/ledger/ledger.h"

static void
key_id(struct store_key *key, const struct id16 *id)
{
	key_bytes(key, id->b, sizeof(id->b));
}

bool
journal_send(struct chan *c, struct store_tx *tx)
{
	struct ctl_journal_entry	 e;
	struct state_commit		 s;
	struct store_iter		 it;
	struct store_key		 all = { .len = 0 };
	bool				 ok = true;

	store_iter_init(&it, &all);
	while (ok && store_next(tx, DB_JOURNAL, &it, STATE_COMMIT, &s)) {
		if (it.at.len != sizeof(e.id.b))
			continue;
		e = (struct ctl_journal_entry){ .user = s.user,
		    .what = s.what, .step = s.step, .container = s.container,
		    .image = s.image, .began = s.began };
		memcpy(e.id.b, it.at.b, sizeof(e.id.b));
		ok = chan_send(c, CTL_JOURNAL_ENTRY, 0, &e);
	}
	return ok;
}

void
on_journal_entry(struct chan *c, const struct msg *m)
{
	const struct ctl_journal_entry	*e = m->body;
	struct state_commit		 s = { e->user, e->what, e->step,
					    e->container, e->image,
					    e->began };
	struct store_key		 key;
	struct store_tx			 tx;

	if (!id_user_ok(e->user)) {
		chan_refuse(c, "a commit of nobody");
		return;
	}
	key_id(&key, &e->id);
	store_begin(&tx, true);
	store_put(&tx, DB_JOURNAL, &key, STATE_COMMIT, &s);
	sandbox_stored(c, m->serial, &tx);
}

void
on_journal_end(struct chan *c, const struct msg *m)
{
	const struct ctl_journal_end	*e = m->body;
	struct store_key		 key;
	struct store_tx			 tx;

	key_id(&key, &e->id);
	store_begin(&tx, true);
	store_del(&tx, DB_JOURNAL, &key);
	sandbox_stored(c, m->serial, &tx);
}
