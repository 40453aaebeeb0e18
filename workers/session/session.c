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
 * The side towards front and control.  They are trusted with which user they act
 * for, not with being intact: what names no session or job of theirs is
 * dropped (it may have just ended).
 */

#include <event2/event.h>

#include <stdlib.h>

#include "base/child.h"
#include "base/heap.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "proto/jobs.h"
#include "workers/session/session.h"

#define SESSIONS_MAX	65536		/* of one client */
#define EARLY_MAX	(1024 * 1024)	/* kept while an executor starts */
#define TRIM_S		10		/* after a session ended */

static void	on_session_open(struct chan *, const struct msg *);
static void	on_session_close(struct chan *, const struct msg *);
static void	on_job_new(struct chan *, const struct msg *);
static void	on_job_more(struct chan *, const struct msg *);
static void	client_closed(struct chan *, const char *, bool);

static const struct rule rules_v[] = {
	{ CTL_SESSION_OPEN, STATES_ALL, on_session_open },
	{ CTL_SESSION_CLOSE, STATES_ALL, on_session_close },
	{ EXEC_JOB_START, STATES_ALL, on_job_new },
	{ EXEC_FILE_STAT, STATES_ALL, on_job_new },
	{ EXEC_FILE_LIST, STATES_ALL, on_job_new },
	{ EXEC_FILE_MKDIR, STATES_ALL, on_job_new },
	{ EXEC_FILE_REMOVE, STATES_ALL, on_job_new },
	{ EXEC_FILE_GET, STATES_ALL, on_job_new },
	{ EXEC_FILE_PUT, STATES_ALL, on_job_new },
	{ EXEC_TASK_LIST, STATES_ALL, on_job_new },
	{ EXEC_TASK_READ, STATES_ALL, on_job_new },
	{ EXEC_TASK_KILL, STATES_ALL, on_job_new },
	{ EXEC_JOB_DATA, STATES_ALL, on_job_more },
	{ EXEC_JOB_CREDIT, STATES_ALL, on_job_more },
	{ EXEC_JOB_EOF, STATES_ALL, on_job_more },
	{ EXEC_JOB_SIGNAL, STATES_ALL, on_job_more },
	{ EXEC_JOB_RESIZE, STATES_ALL, on_job_more },
	{ EXEC_JOB_CANCEL, STATES_ALL, on_job_more },
};

const struct rules session_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_F | FROM_H,
	client_closed
};

static struct session *
session_find(const struct client *client, uint64_t serial)
{
	return (struct session *)table_find(&client->sessions, serial);
}

static void
refuse(struct chan *c, uint64_t serial, enum xerr code, const char *why)
{
	struct ctl_session_lost lost = { (uint8_t)code, slice_str(why) };

	chan_send(c, CTL_SESSION_LOST, serial, &lost);
}

static void
on_trim(evutil_socket_t fd, short what, void *arg)
{
	heap_trim();
}

/* What a crowd needed goes back once it has left; not for each of them. */
static void
trim_later(void)
{
	static const struct timeval	 tv = { TRIM_S, 0 };
	static struct event		*ev;

	if (ev == NULL && (ev = evtimer_new(child_base(), on_trim, NULL)) ==
	    NULL)
		return;
	if (!evtimer_pending(ev, NULL))
		evtimer_add(ev, &tv);
}

static void
session_free(struct session *s)
{
	trim_later();
	table_remove(&s->client->sessions, &s->node);
	executor_detach(s);
	buf_clear(&s->early);
	free(s);
}

static void
on_session_open(struct chan *c, const struct msg *m)
{
	const struct ctl_session_open	*o = m->body;
	struct client			*client = chan_arg(c);
	struct session			*s;
	struct executor			*e;
	const char			*why;

	if (!id_user_ok(o->user) || session_find(client, m->serial) != NULL) {
		chan_refuse(c, "a session that cannot be");
		return;
	}
	if (client->sessions.n >= SESSIONS_MAX) {
		refuse(c, m->serial, XERR_EBUSY, "too many sessions");
		return;
	}
	if ((e = executor_get(o->user, &why)) == NULL) {
		refuse(c, m->serial, XERR_EOFFLINE, why);
		return;
	}
	if (e->late) {
		refuse(c, m->serial, XERR_EBUSY, BOX_LATE);
		return;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL ||
	    !table_add(&client->sessions, &s->node, m->serial)) {
		free(s);
		refuse(c, m->serial, XERR_EBUSY, "out of memory");
		return;
	}
	s->serial = m->serial;
	s->client = client;
	executor_attach(e, s);
}

/* The client has gone or is done: what still runs is ended, but for tasks,
 * which are the executor's alone from here on. */
static void
session_close(struct session *s)
{
	struct chan		*ec = s->executor->chan;
	struct exec_job_cancel	 cancel;
	struct job		*j;

	while ((j = LIST_FIRST(&s->jobs)) != NULL) {
		if (ec == NULL || !s->sent || j->task) {
			job_free(s->executor, j);
			continue;
		}
		LIST_REMOVE(j, entry);
		j->session = NULL;
		cancel.job = j->id;
		chan_send(ec, EXEC_JOB_CANCEL, 0, &cancel);
	}
	session_free(s);
}

static void
on_session_close(struct chan *c, const struct msg *m)
{
	struct session *s = session_find(chan_arg(c), m->serial);

	if (s != NULL)
		session_close(s);
}

static void
client_closed(struct chan *c, const char *why, bool protocol)
{
	client_gone(chan_arg(c));
}

void
client_gone(struct client *client)
{
	struct table_node *node;

	client->chan = NULL;
	while ((node = table_any(&client->sessions)) != NULL)
		session_close((struct session *)node);
}

void
session_lost(struct session *s, enum xerr code, const char *why)
{
	struct job *j;

	refuse(s->client->chan, s->serial, code, why);
	while ((j = LIST_FIRST(&s->jobs)) != NULL) {
		LIST_REMOVE(j, entry);
		j->session = NULL;
		job_free(s->executor, j);
	}
	session_free(s);
}

/* To the executor, or kept until there is one. */
static void
session_forward(struct session *s, const struct msg *m)
{
	if (executor_takes(s->executor)) {
		s->sent = true;
		chan_forward(s->executor->chan, m, 0);
		return;
	}
	if (s->early.len > EARLY_MAX ||
	    msg_encode(&exec_schema, &s->early, m->type, 0, m->body) == -1)
		session_lost(s, XERR_EBUSY, "the executor is still starting");
}

void
session_flush(struct session *s)
{
	if (s->early.len > 0)
		s->sent = true;
	chan_send_frames(s->executor->chan, &s->early);
}

/* Every message that opens an operation begins with its id. */
static void
on_job_new(struct chan *c, const struct msg *m)
{
	const struct id16		*id = m->body;
	struct session			*s;
	struct exec_job_refused		 no;
	struct job			*j;
	const char			*why;

	if ((s = session_find(chan_arg(c), m->serial)) == NULL)
		return;
	if ((j = job_add(s, *id, &why)) == NULL) {
		no = (struct exec_job_refused){ *id, XERR_EBUSY,
		    slice_str(why) };
		chan_send(c, EXEC_JOB_REFUSED, m->serial, &no);
		return;
	}
	j->task = m->type == EXEC_JOB_START &&
	    ((const struct exec_job_start *)m->body)->kind == JOB_TASK;
	session_forward(s, m);
}

static void
on_job_more(struct chan *c, const struct msg *m)
{
	const struct id16	*id = m->body;
	struct session		*s;
	struct job		*j;

	if ((s = session_find(chan_arg(c), m->serial)) == NULL ||
	    (j = job_find(s->executor, *id)) == NULL || j->session != s)
		return;
	session_forward(s, m);
}

void
session_answer(struct job *j, const struct msg *m)
{
	chan_forward(j->session->client->chan, m, j->session->serial);
}
