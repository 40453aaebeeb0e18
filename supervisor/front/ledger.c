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
 * The edge to ledger: questions of requests and their answers, and the
 * pushed routing table.  Runs in: front, control.  Trusts ledger.
 * Owns: the table of questions that have no answer yet.
 */

#include <stdlib.h>

#include "base/log.h"
#include "supervisor/front/events.h"
#include "supervisor/front/front.h"
#include "supervisor/front/routes.h"

#define QUESTIONS_MAX	4096	/* more mean a ledger that hangs */

struct question {
	struct table_node node;	/* first */
	uint64_t	 req;
	ledger_cb	 cb;
};

static struct table	 questions;	/* by serial of the question */

static void	 on_answer(struct chan *, const struct msg *);
static void	 on_closed(struct chan *, const char *, bool);
static void	 question_fail(struct table_node *, void *);

static const struct rule rules_v[] = {
	{ CTL_TOKEN_ANSWER, STATES_ALL, auth_on_answer },
	{ CTL_TOKEN_FLUSH, STATES_ALL, auth_on_flush },
	{ CTL_TOKEN_ROW, STATES_ALL, on_answer },
	{ CTL_LEDGER_DONE, STATES_ALL, on_answer },
	{ CTL_ROUTE_RUNNER, STATES_ALL, routes_on_runner },
	{ CTL_ROUTE_GONE, STATES_ALL, routes_on_gone },
	{ CTL_ROUTE_ACTIVE, STATES_ALL, routes_on_active },
	{ CTL_ROUTE_BIND, STATES_ALL, routes_on_bind },
	{ CTL_ROUTE_SYNCED, STATES_ALL, routes_on_synced },
	{ CTL_EVENT_WANT, STATES_ALL, events_on_want },
	{ CTL_EVENT_EXEC, STATES_ALL, events_on_exec }
};

const struct rules ledger_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_L, on_closed
};

void
ledger_up(struct chan *c)
{
	routes_begin();
	auth_ledger_up();
	events_ledger_up();
}

void
ledger_ask(struct req *r, uint16_t type, const void *body, ledger_cb cb)
{
	struct question	*q = NULL;
	uint64_t	 serial = serial_next();

	if (questions.n >= QUESTIONS_MAX ||
	    (q = malloc(sizeof(*q))) == NULL ||
	    !table_add(&questions, &q->node, serial)) {
		free(q);
		req_error(r, XERR_EBUSY, "too many questions");
		return;
	}
	q->req = r->serial;
	q->cb = cb;
	if (chan_send(child_peer(ROLE_LEDGER), type, serial, body))
		return;
	table_remove(&questions, &q->node);
	free(q);
	req_error(r, XERR_EOFFLINE, "the ledger is not there");
}

static void
on_answer(struct chan *c, const struct msg *m)
{
	struct question	*q;
	struct req	*r;

	q = (struct question *)table_find(&questions, m->serial);
	if (q == NULL)
		return;
	if (m->type == CTL_LEDGER_DONE)
		table_remove(&questions, &q->node);
	if ((r = req_find(q->req)) != NULL && !r->answered)
		q->cb(r, m);
	if (m->type == CTL_LEDGER_DONE)
		free(q);
}

void
ledger_answer(struct req *r, const struct msg *m)
{
	const struct ctl_ledger_done *d = m->body;

	if (m->type != CTL_LEDGER_DONE)
		return;
	if (d->code == XERR_NONE)
		req_empty(r, 204);
	else
		req_error(r, d->code, "%.*s", (int)d->text.len,
		    d->text.len > 0 ? (const char *)d->text.p : "");
}

/* What was asked is unanswered for ever: the client may repeat it. */
static void
question_fail(struct table_node *n, void *arg)
{
	struct question	*q = (struct question *)n;
	struct req	*r = req_find(q->req);

	table_remove(&questions, n);
	if (r != NULL && !r->answered)
		req_error(r, XERR_EOFFLINE, "the ledger went away");
	free(q);
}

static void
on_closed(struct chan *c, const char *why, bool protocol)
{
	auth_ledger_down();
	table_each(&questions, question_fail, NULL);
}
