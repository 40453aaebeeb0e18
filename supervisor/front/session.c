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
 * Sessions towards backends: one for each request that needs a sandbox.
 * Runs in: front, control.  Trusts a worker to speak the protocol, not what
 * an executor behind it says: offsets and ids are checked by the users of
 * a session.  Owns: the table of sessions by serial.
 */

#include <sys/random.h>
#include <event2/event.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/frame.h"
#include "supervisor/front/bulk.h"
#include "supervisor/front/events.h"
#include "supervisor/front/session.h"

/* A runner's answer may be one message of 700 MB on a slow line; remote sees it
 * coming and has its own deadlines, ours is for a remote that hangs. */
#define REMOTE_PATIENCE_S	1800

struct session {
	struct table_node	 node;		/* first */
	uint64_t		 serial;
	uint64_t		 req;		/* 0: detached */
	void			*own;
	const struct session_ops *ops;
	struct chan		*chan;		/* of that generation */
	struct route_decision	 where;
	char			 runner[ID_USER_MAX + 1];
	struct id16		 job;
	bool			 started;
	bool			 bulk;		/* data may stay here */
	struct event		*timer;
};

static struct table	 sessions;	/* by serial */

static const enum role	 backend_role[] = {
	[BACKEND_HOST] = ROLE_NONE,
	[BACKEND_DOCKER] = ROLE_BOX,
	[BACKEND_REMOTE] = ROLE_REMOTE,
	[BACKEND_LLM] = ROLE_LLM
};

static struct session *session_find(uint64_t);
static void	 session_free(struct session *);
static void	 session_lose(struct session *, enum xerr, const char *);
static void	 on_deadline(int, short, void *);
static void	 on_message(struct chan *, const struct msg *);
static void on_bulk_session(struct chan *, const struct msg *);
static void on_bulk_data(struct chan *, const struct msg *);
static void	 on_lost(struct chan *, const struct msg *);
static void	 on_closed(struct chan *, const char *, bool);
static void	 session_orphan(struct table_node *, void *);
static void	 on_remote_closed(struct chan *, const char *, bool);

#define FROM_EXECUTOR							\
	{ EXEC_JOB_STARTED, STATES_ALL, on_message },			\
	{ EXEC_JOB_REFUSED, STATES_ALL, on_message },			\
	{ EXEC_JOB_DATA, STATES_ALL, on_message },			\
	{ EXEC_JOB_CREDIT, STATES_ALL, on_message },			\
	{ EXEC_JOB_EOF, STATES_ALL, on_message },			\
	{ EXEC_JOB_EXIT, STATES_ALL, on_message },			\
	{ EXEC_JOB_DONE, STATES_ALL, on_message },			\
	{ EXEC_FILE_INFO, STATES_ALL, on_message },			\
	{ EXEC_FILE_ENTRIES, STATES_ALL, on_message },			\
	{ EXEC_TASK_INFO, STATES_ALL, on_message },			\
	{ CTL_SESSION_LOST, STATES_ALL, on_lost }

static const struct rule session_rules_v[] = { FROM_EXECUTOR };
static const struct rule remote_rules_v[] = {
	FROM_EXECUTOR,
	{ EXEC_LLM_HEAD, STATES_ALL, on_message },
	{ CTL_SYNC_EVENT, STATES_ALL, events_on_sync },
	{ CTL_BULK_SESSION, STATES_ALL, on_bulk_session },
	{ CTL_BULK_DATA, STATES_ALL, on_bulk_data },
	{ CTL_BULK_FREE, STATES_ALL, bulk_on_free },
	{ CTL_BULK_LINK, STATES_ALL, runner_ws_on_bulk_link },
	{ CTL_BULK_WS_SEND, STATES_ALL, runner_ws_on_bulk_send },
	{ CTL_WS_SEND, STATES_ALL, runner_ws_on_send },
	{ CTL_WS_CLOSE, STATES_ALL, runner_ws_on_close },
	{ CTL_WS_CREDIT, STATES_ALL, runner_ws_on_credit }
};

static const struct rule llm_rules_v[] = {
	{ EXEC_LLM_HEAD, STATES_ALL, on_message },
	{ EXEC_JOB_DATA, STATES_ALL, on_message },
	{ EXEC_JOB_CREDIT, STATES_ALL, on_message },
	{ EXEC_JOB_EOF, STATES_ALL, on_message },
	{ EXEC_JOB_DONE, STATES_ALL, on_message },
	{ EXEC_JOB_REFUSED, STATES_ALL, on_message },
	{ CTL_SESSION_LOST, STATES_ALL, on_lost }
};

#define N(v)	(sizeof(v) / sizeof((v)[0]))

const struct rules session_rules = {
	session_rules_v, N(session_rules_v), FROM_S | FROM_E, on_closed
};
const struct rules remote_rules = {
	remote_rules_v, N(remote_rules_v), FROM_R | FROM_E, on_remote_closed
};
const struct rules llm_rules = {
	llm_rules_v, N(llm_rules_v), FROM_M | FROM_E, on_closed
};

unsigned int
session_count(void)
{
	return (unsigned int)sessions.n;
}

static struct session *
session_find(uint64_t serial)
{
	return (struct session *)table_find(&sessions, serial);
}

static void
session_free(struct session *s)
{
	table_remove(&sessions, &s->node);
	if (s->timer != NULL)
		event_free(s->timer);
	free(s);
}

struct session *
session_open(struct req *r, const struct route_decision *d,
    const struct session_ops *ops)
{
	struct ctl_session_open	 open;
	struct session		*s;
	enum role		 role = backend_role[d->backend];

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return NULL;
	}
	s->serial = serial_next();
	s->req = r->serial;
	s->ops = ops;
	s->where = *d;
	/* The decision lends a name of the copy, which may change. */
	(void)slice_copy(s->runner, sizeof(s->runner), slice_str(d->runner));
	s->where.runner = s->runner;
	s->chan = child_peer(role);
	if (!table_add(&sessions, &s->node, s->serial)) {
		free(s);
		req_error(r, XERR_EBUSY, "no memory");
		return NULL;
	}
	open.user = slice_str(r->user);
	open.runner = slice_str(s->runner);
	if (!chan_send(s->chan, CTL_SESSION_OPEN, s->serial, &open)) {
		session_free(s);
		req_error(r, XERR_EOFFLINE, "the %s backend is not there",
		    backend_name(d->backend));
		return NULL;
	}
	return s;
}

void
session_drop(struct session *s)
{
	if (s == NULL)
		return;
	(void)chan_send(s->chan, CTL_SESSION_CLOSE, s->serial, NULL);
	session_free(s);
}

/* The bytes stay here.  false: not these, or no room for them. */
static bool
session_send_bulk(struct session *s, const struct exec_job_data *d)
{
	struct ctl_bulk_data	 data = { d->job, d->stream, d->offset, 0,
				    (uint32_t)d->bytes.len };
	struct bulk		*b;

	if (!s->bulk || d->bytes.len < FRAME_BULK ||
	    (b = bulk_new(d->bytes.len)) == NULL)
		return false;
	memcpy(bulk_bytes(b), d->bytes.p, d->bytes.len);
	return (data.bulk = bulk_give(b)) != 0 &&
	    chan_send(s->chan, CTL_BULK_DATA, s->serial, &data);
}

bool
session_send(struct session *s, uint16_t type, const void *body)
{
	if (type == EXEC_JOB_DATA && session_send_bulk(s, body))
		return true;
	/* That it started would have been told by the worker that is gone. */
	if (type == EXEC_JOB_START)
		s->started = true;
	return chan_send(s->chan, type, s->serial, body);
}

bool
session_encode(struct session *s, struct buf *b, uint16_t type,
    const void *body)
{
	return msg_encode(&exec_schema, b, type, s->serial, body) == 0;
}

void
session_send_frames(struct session *s, struct buf *b)
{
	chan_send_frames(s->chan, b);
}

void
session_set_job(struct session *s, struct id16 job)
{
	s->job = job;
}

void
session_detach(struct session *s, void *own)
{
	s->req = 0;
	s->own = own;
}

void *
session_own(const struct session *s)
{
	return s->own;
}

void
session_started(struct session *s)
{
	s->started = true;
}

const struct route_decision *
session_where(const struct session *s)
{
	return &s->where;
}

/* Random, so that no job of an earlier life can be meant; many at a time. */
struct id16
session_job(struct session *s)
{
	static uint8_t	 pool[64 * 16];
	static size_t	 left;

	if (left == 0) {
		if (getrandom(pool, sizeof(pool), 0) != sizeof(pool))
			fatal("getrandom");
		left = sizeof(pool);
	}
	left -= 16;
	memcpy(s->job.b, pool + left, 16);
	return s->job;
}

void
session_deadline(struct session *s, unsigned int ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	if (ms == 0) {
		if (s->timer != NULL)
			(void)evtimer_del(s->timer);
		return;
	}
	if (s->where.backend == BACKEND_REMOTE)
		tv.tv_sec += REMOTE_PATIENCE_S;
	if (s->timer == NULL)
		s->timer = evtimer_new(front.base, on_deadline, s);
	if (s->timer == NULL || evtimer_add(s->timer, &tv) == -1)
		log_warn("session %llu: no timer",
		    (unsigned long long)s->serial);
}

/* Without a word to the worker; it has gone or has said so itself. */
static void
session_lose(struct session *s, enum xerr code, const char *text)
{
	struct req *r = req_find(s->req);

	if (r != NULL || s->own != NULL)
		s->ops->on_lost(s, r, code, text);
	session_free(s);
}

static void
on_deadline(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)chan_send(s->chan, CTL_SESSION_CLOSE, s->serial, NULL);
	session_lose(s, XERR_ETIMEDOUT, "the backend did not answer in time");
}

/* All of these begin with the job's id. */
static void
on_message(struct chan *c, const struct msg *m)
{
	struct session		*s = session_find(m->serial);
	const struct id16	*job = m->body;
	struct req		*r;

	if (s == NULL || s->chan != c ||
	    memcmp(job->b, s->job.b, sizeof(job->b)) != 0)
		return;
	if ((r = req_find(s->req)) == NULL && s->own == NULL) {
		session_drop(s);
		return;
	}
	s->ops->on_msg(s, r, m);
}

static void
on_bulk_session(struct chan *c, const struct msg *m)
{
	struct session *s = session_find(m->serial);

	if (s != NULL && s->chan == c)
		s->bulk = true;
}

/* As if the bytes had come with it. */
static void
on_bulk_data(struct chan *c, const struct msg *m)
{
	const struct ctl_bulk_data	*b = m->body;
	struct exec_job_data		 d = { b->job, b->stream, b->offset,
					    { NULL, 0 } };
	const struct msg		 data = { EXEC_JOB_DATA, m->serial,
					    schema_find(&exec_schema,
					    EXEC_JOB_DATA), &d };

	if (bulk_find(b->bulk, &d.bytes) && d.bytes.len == b->len)
		on_message(c, &data);
	else
		chan_refuse(c, "bulk that is not there");
}

static void
on_lost(struct chan *c, const struct msg *m)
{
	const struct ctl_session_lost	*l = m->body;
	struct session			*s = session_find(m->serial);
	char				 text[513];

	if (s == NULL || s->chan != c)
		return;
	if (!slice_copy(text, sizeof(text), l->text))
		text[0] = '\0';
	session_lose(s, l->code == XERR_NONE ? XERR_EIO : l->code, text);
}

/*
 * What has no effect can be asked again; a process that was asked for may have
 * run, and nobody knows how far it came.
 */
static void
session_orphan(struct table_node *n, void *chan)
{
	struct session *s = (struct session *)n;

	if (s->chan != chan)
		return;
	s->chan = NULL;
	if (s->started)
		session_lose(s, XERR_EIO,
		    "lost: the worker of this sandbox ended");
	else
		session_lose(s, XERR_EOFFLINE,
		    "the worker of this sandbox ended");
}

static void
on_closed(struct chan *c, const char *why, bool protocol)
{
	table_each(&sessions, session_orphan, c);
}

static void
on_remote_closed(struct chan *c, const char *why, bool protocol)
{
	on_closed(c, why, protocol);
	runner_ws_down();
	bulks_clear();
}
