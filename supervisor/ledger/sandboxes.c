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
 * What docker wants remembered.  Runs in: ledger.  Nothing is stored yet:
 * every question is refused, so that nobody relies on it.
 */

#include "base/chan.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "supervisor/ledger/ledger.h"

static void
refuse(struct chan *c, const struct msg *m)
{
	struct ctl_sandbox_stored no = { XERR_ENOTSUP,
	    slice_str("sandboxes are not stored by this version") };

	chan_send(c, CTL_SANDBOX_STORED, m->serial, &no);
}

void
sandboxes_docker_up(struct chan *c)
{
	chan_send(c, CTL_SANDBOXES_SYNCED, 0, NULL);
}

void
on_sandbox_record(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_forget(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_journal_entry(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_journal_end(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_scan(struct chan *c, const struct msg *m)
{
	chan_send(c, CTL_SANDBOX_SCANNED, m->serial, NULL);
}
