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
 * What docker knows of its sandboxes, kept for it over restarts, and shown to
 * the reaper.  Runs in: ledger.  docker alone writes; its word is stored, the
 * Engine's labels and names are what it is checked against there.
 */

#include "base/child.h"
#include "base/log.h"
#include "supervisor/ledger/ledger.h"

static bool	 records_send(struct chan *, uint16_t, uint64_t,
		    struct store_tx *);

/* The answer promises that it is on the disk. */
void
sandbox_stored(struct chan *c, uint64_t serial, struct store_tx *tx)
{
	struct ctl_sandbox_stored	 a;
	const char			*text;

	a.code = (uint8_t)store_end(tx, &text);
	a.text = slice_str(text);
	(void)chan_send(c, CTL_SANDBOX_STORED, serial, &a);
}

/* As docker's records, or as the rows that the reaper looks at. */
static bool
records_send(struct chan *c, uint16_t type, uint64_t serial,
    struct store_tx *tx)
{
	struct ctl_sandbox_record	 r;
	struct ctl_sandbox_row		 row;
	struct state_sandbox		 s;
	struct store_iter		 it;
	struct store_key		 all = { .len = 0 };
	bool				 ok = true;

	store_iter_init(&it, &all);
	while (ok && store_next(tx, DB_SANDBOXES, &it, STATE_SANDBOX, &s)) {
		r = (struct ctl_sandbox_record){ key_first(&it.at),
		    s.container, s.image, s.state, s.used, s.activity,
		    s.busy };
		row = (struct ctl_sandbox_row){ r.user, s.container, s.state,
		    s.used, s.activity, s.busy };
		ok = chan_send(c, type, serial, type == CTL_SANDBOX_ROW ?
		    (void *)&row : &r);
	}
	return ok;
}

void
sandboxes_docker_up(struct chan *c)
{
	struct store_tx	 tx;
	const char	*text;

	if (c == NULL || !store_is_open())
		return;		/* again from ledger_entered */
	store_begin(&tx, false);
	if (records_send(c, CTL_SANDBOX_RECORD, 0, &tx) &&
	    journal_send(c, &tx) && store_end(&tx, &text) == XERR_NONE) {
		(void)chan_send(c, CTL_SANDBOXES_SYNCED, 0, NULL);
		return;
	}
	/* Without all of it docker would take ours for a stranger's. */
	store_abort(&tx);
	chan_refuse(c, "the records could not be read");
}

void
on_sandbox_record(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_record	*r = m->body;
	struct state_sandbox		 s = { r->container, r->image,
					    r->state, r->used, r->activity,
					    r->busy };
	struct store_key		 key;
	struct store_tx			 tx;

	if (!id_user_ok(r->user)) {
		chan_refuse(c, "a sandbox of nobody");
		return;
	}
	key_user(&key, r->user);
	store_begin(&tx, true);
	store_put(&tx, DB_SANDBOXES, &key, STATE_SANDBOX, &s);
	sandbox_stored(c, m->serial, &tx);
}

void
on_sandbox_forget(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_forget	*f = m->body;
	struct store_key		 key;
	struct store_tx			 tx;

	key_user(&key, f->user);
	store_begin(&tx, true);
	store_del(&tx, DB_SANDBOXES, &key);
	sandbox_stored(c, m->serial, &tx);
}

void
on_sandbox_scan(struct chan *c, const struct msg *m)
{
	struct store_tx	 tx;
	const char	*text;

	store_begin(&tx, false);
	(void)records_send(c, CTL_SANDBOX_ROW, m->serial, &tx);
	(void)store_end(&tx, &text);
	(void)chan_send(c, CTL_SANDBOX_SCANNED, m->serial, NULL);
}
