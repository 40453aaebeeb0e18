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
 * Events of front's commands for those who listen at control, and the other
 * way round: ledger is the only one who has an edge to both.
 * Runs in: ledger.  Owns: who of the two wants them.
 */

#include "base/child.h"
#include "supervisor/ledger/ledger.h"

static bool	 wanted[2];	/* by front, by control */

static size_t	 index_of(const struct chan *);
static struct chan *other(size_t);

static size_t
index_of(const struct chan *c)
{
	return c == child_peer(ROLE_CONTROL);
}

static struct chan *
other(size_t i)
{
	return child_peer(i == 0 ? ROLE_CONTROL : ROLE_FRONT);
}

void
on_event_want(struct chan *c, const struct msg *m)
{
	const struct ctl_event_want	*w = m->body;
	size_t				 i = index_of(c);

	wanted[i] = w->wanted;
	(void)chan_forward(other(i), m, 0);
}

void
on_event_exec(struct chan *c, const struct msg *m)
{
	size_t	i = index_of(c);

	/* Rather a gap than a queue that grows. */
	if (wanted[!i] && !chan_is_full(other(i)))
		(void)chan_forward(other(i), m, 0);
}

void
events_up(enum role role, struct chan *c)
{
	size_t			 i = role == ROLE_CONTROL;
	struct ctl_event_want	 yes = { true }, no = { false };

	if (wanted[!i])
		(void)chan_send(c, CTL_EVENT_WANT, 0, &yes);
	if (wanted[i])		/* by its predecessor */
		(void)chan_send(other(i), CTL_EVENT_WANT, 0, &no);
	wanted[i] = false;
}
