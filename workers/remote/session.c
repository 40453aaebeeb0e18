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
 * Sessions of front and control: each is bound, when it is opened, to exactly
 * one runner's connection and never to another (D7).  Runs in: remote.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/remote/remote.h"

static TAILQ_HEAD(, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);
static struct table	 by_serial;

static uint64_t
session_key(enum role peer, uint64_t serial)
{
	return serial ^ (uint64_t)peer << 60;
}

static struct session *
session_get(enum role peer, uint64_t serial)
{
	struct table_node	*n;
	struct session		*s;

	for (n = table_find(&by_serial, session_key(peer, serial)); n != NULL;
	    n = table_same(n)) {
		s = container_of(n, struct session, node);
		if (s->serial == serial && s->peer == peer)
			return s;
	}
	return NULL;
}

struct session *
session_find(struct chan *c, uint64_t serial)
{
	return session_get(*(enum role *)chan_arg(c), serial);
}

struct chan *
session_peer(const struct session *s)
{
	return peer_chan(s->peer);
}

static void
session_free(struct session *s)
{
	struct op *op;

	while ((op = TAILQ_FIRST(&s->ops)) != NULL)
		op_free(op);
	if (s->v2 != NULL)
		jobs_cancel(s);
	table_remove(&by_serial, &s->node);
	TAILQ_REMOVE(&sessions, s, entry);
	TAILQ_REMOVE(s->v2 != NULL ? &s->v2->sessions : &s->link->sessions,
	    s, of_link);
	free(s);
}

static void
session_tell_lost(struct chan *c, uint64_t serial, enum xerr code,
    const char *text)
{
	const struct ctl_session_lost lost = { (uint8_t)code,
	    slice_str(text) };

	chan_send(c, CTL_SESSION_LOST, serial, &lost);
}

void
on_session_open(struct chan *c, const struct msg *m)
{
	const struct ctl_session_open	*open = m->body;
	struct session			*s = session_find(c, m->serial);
	struct link			*l;
	char				 text[160], name[130];

	if (s != NULL) {
		chan_refuse(c, "a session was opened twice");
		return;
	}
	if ((l = link_by_name(open->user, open->runner)) == NULL ||
	    !l->online) {
		text_clean(name, sizeof(name) - 1, open->runner);
		snprintf(text, sizeof(text), "runner %s is offline", name);
		session_tell_lost(c, m->serial, XERR_EOFFLINE, text);
		return;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		goto fail;
	s->peer = *(enum role *)chan_arg(c);
	s->serial = m->serial;
	if ((s->v2 = l->v2) == NULL)
		s->link = l;
	LIST_INIT(&s->jobs);
	TAILQ_INIT(&s->ops);
	if (!table_add(&by_serial, &s->node, session_key(s->peer, s->serial)))
		goto fail;
	TAILQ_INSERT_TAIL(&sessions, s, entry);
	TAILQ_INSERT_TAIL(s->v2 != NULL ? &s->v2->sessions : &l->sessions, s,
	    of_link);
	if (s->v2 != NULL && s->peer == ROLE_FRONT)
		chan_send(c, CTL_BULK_SESSION, s->serial, NULL);
	return;
fail:
	free(s);
	session_tell_lost(c, m->serial, XERR_EBUSY, "out of memory");
}

void
on_session_close(struct chan *c, const struct msg *m)
{
	struct session *s = session_find(c, m->serial);

	if (s != NULL)
		session_free(s);
}

/* Front knows best when it has closed it, and asks no more. */
void
on_session_message(struct chan *c, const struct msg *m)
{
	struct session *s = session_find(c, m->serial);

	if (s == NULL)
		return;
	if (s->v2 != NULL)
		job_message(s, m);
	else
		ask_message(c, m);
}

void
session_lost(struct session *s, enum xerr code, const char *text)
{
	session_tell_lost(session_peer(s), s->serial, code, text);
	session_free(s);
}

/*
 * One message ends all of a session: what reached the runner may have been
 * done there, and nobody will know (EIO); else it can be tried again.
 */
void
sessions_lost(struct link *l, const char *why)
{
	struct session	*s;
	struct op	*op;
	enum xerr	 code;
	char		 text[256];

	while ((s = TAILQ_FIRST(&l->sessions)) != NULL) {
		code = XERR_EOFFLINE;
		TAILQ_FOREACH(op, &s->ops, of_session)
			if (op->handed)
				code = XERR_EIO;
		snprintf(text, sizeof(text), code == XERR_EIO ?
		    "runner %s %s" : "runner %s is offline (%s)", l->name,
		    why);
		session_lost(s, code, text);
	}
}

void
sessions_clear(enum role peer)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->peer == peer)
			session_free(s);
	}
}

void
sessions_flush(void)
{
	struct session	*s;
	struct op	*op, *next;

	TAILQ_FOREACH(s, &sessions, entry)
		for (op = TAILQ_FIRST(&s->ops); op != NULL; op = next) {
			next = TAILQ_NEXT(op, of_session);
			if (op->step == OP_OUTPUT)
				output_pump(op);
			else if (op->step == OP_STREAM)
				stream_pump(op);
		}
}
