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
 * What ledger keeps for docker: records of sandboxes, the journal of commits.
 * Runs in: docker.  Nothing is kept yet.
 */

#include "workers/docker/docker.h"

void
on_sandbox_record(struct chan *c, const struct msg *m)
{
}

void
on_journal_entry(struct chan *c, const struct msg *m)
{
}

void
on_sandboxes_synced(struct chan *c, const struct msg *m)
{
}

void
on_sandbox_stored(struct chan *c, const struct msg *m)
{
}

bool
journal_ready(void)
{
	return true;
}

void
sandbox_remember(struct sandbox *s)
{
}
