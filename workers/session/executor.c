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
 * One executor a user: asked for (slot from ledger, socket from the parent),
 * spoken to, lost.  Its frames are hostile: it runs under the user's uid.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "proto/fnv.h"
#include "workers/session/session.h"

#define EXECUTORS_MAX	16384
#define JOBS_MAX	1024		/* of one user, ended ones included */

/* States of an executor's channel. */
enum {
	EXECUTOR_HELLO = 1 << 0,
	EXECUTOR_UP = 1 << 1
};

static struct table	executors;	/* by hash of the user */
static uint64_t		last_serial;

static void	executor_hide(struct executor *);
static void	on_hello(struct chan *, const struct msg *);
static void	on_bye(struct chan *, const struct msg *);
static void	on_started(struct chan *, const struct msg *);
static void	on_progress(struct chan *, const struct msg *);
static void	on_end(struct chan *, const struct msg *);
static void	on_ignored(struct chan *, const struct msg *);
static void	executor_closed(struct chan *, const char *, bool);

static const struct rule rules_v[] = {
	{ EXEC_HELLO, EXECUTOR_HELLO, on_hello },
	{ EXEC_UNSUPPORTED, STATES_ALL, on_ignored },
	{ EXEC_BYE, STATES_ALL, on_bye },
	{ EXEC_PING, STATES_ALL, on_ignored },
	{ EXEC_PONG, STATES_ALL, on_ignored },
	{ EXEC_JOB_STARTED, EXECUTOR_UP, on_started },
	{ EXEC_JOB_DATA, EXECUTOR_UP, on_progress },
	{ EXEC_JOB_CREDIT, EXECUTOR_UP, on_progress },
	{ EXEC_JOB_EOF, EXECUTOR_UP, on_progress },
	{ EXEC_FILE_ENTRIES, EXECUTOR_UP, on_progress },
	{ EXEC_FILE_INFO, EXECUTOR_UP, on_progress },
	{ EXEC_TASK_INFO, EXECUTOR_UP, on_progress },
	{ EXEC_JOB_REFUSED, EXECUTOR_UP, on_end },
	{ EXEC_JOB_EXIT, EXECUTOR_UP, on_end },
	{ EXEC_JOB_DONE, EXECUTOR_UP, on_end },
};

static const struct rules executor_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_E, executor_closed
};

/* User ids are not secret, and a user has one executor at most. */
static uint64_t
user_key(const char *user)
{
	return fnv1a(FNV1A_START, user, strlen(user));
}

struct executor *
executor_find(const char *user)
{
	struct table_node *node = table_find(&executors, user_key(user));

	while (node != NULL &&
	    strcmp(((struct executor *)node)->user, user) != 0)
		node = table_same(node);
	return (struct executor *)node;
}

static void
socket_ask(struct executor *e, uint32_t slot)
{
	struct ctl_executor_wanted w = { slot, slice_str(e->user) };

	chan_send(session_launcher(), CTL_EXECUTOR_WANTED, e->serial, &w);
}

static void
slot_ask(struct executor *e)
{
	struct ctl_slot_get get = { slice_str(e->user) };

	chan_send(child_peer(ROLE_LEDGER), CTL_SLOT_GET, e->serial, &get);
}

struct executor *
executor_get(struct slice slice, const char **why)
{
	struct executor	*e;
	char		 user[ID_USER_MAX + 1];

	*why = "out of memory";
	if (!slice_copy(user, sizeof(user), slice))
		return NULL;
	if ((e = executor_find(user)) != NULL)
		return e;
	if (executors.n >= EXECUTORS_MAX) {
		*why = "too many users at once";
		return NULL;
	}
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return NULL;
	if (!table_add(&executors, &e->node, user_key(user))) {
		free(e);
		return NULL;
	}
	TAILQ_INIT(&e->sessions);
	memcpy(e->user, user, sizeof(user));
	e->serial = ++last_serial;
	/* Who is asked may be restarting: it is asked again when it is back. */
	if ((e->slot_open = session_has_slots()))
		slot_ask(e);
	else
		socket_ask(e, 0);
	return e;
}

static void
each_node(struct table_node *node, void *f)
{
	(*(void (**)(struct executor *))f)((struct executor *)node);
}

void
executor_each(void (*f)(struct executor *))
{
	table_each(&executors, each_node, &f);
}

static void
ask_again(struct table_node *node, void *arg)
{
	struct executor *e = (struct executor *)node;

	if (e->slot_open)
		slot_ask(e);
	else if (e->chan == NULL && child_role() == ROLE_BOX)
		socket_ask(e, 0);
}

static void
executor_hide(struct executor *e)
{
	if (!e->hidden)
		table_remove(&executors, &e->node);
	e->hidden = true;
}

void
executor_ask_again(void)
{
	table_each(&executors, ask_again, NULL);
}

void
executor_attach(struct executor *e, struct session *s)
{
	s->executor = e;
	TAILQ_INSERT_TAIL(&e->sessions, s, entry);
	box_activity(e);
}

void
executor_detach(struct session *s)
{
	struct executor *e = s->executor;

	TAILQ_REMOVE(&e->sessions, s, entry);
	s->executor = NULL;
	if (TAILQ_EMPTY(&e->sessions))
		box_idle(e);
}

bool
executor_takes(const struct executor *e)
{
	return e->chan != NULL && !e->held;
}

struct job *
job_find(const struct executor *e, struct id16 id)
{
	struct table_node *node = table_find(&e->jobs, table_key(id));

	while (node != NULL && memcmp(((struct job *)node)->id.b, id.b,
	    sizeof(id.b)) != 0)
		node = table_same(node);
	return (struct job *)node;
}

struct job *
job_add(struct session *s, struct id16 id, const char **why)
{
	struct executor	*e = s->executor;
	struct job	*j;

	*why = "too many operations at once";
	if (e->jobs.n >= JOBS_MAX)
		return NULL;
	*why = "an operation with this id is still running";
	if (job_find(e, id) != NULL)
		return NULL;
	*why = "out of memory";
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return NULL;
	if (!table_add(&e->jobs, &j->node, table_key(id))) {
		free(j);
		return NULL;
	}
	j->id = id;
	j->session = s;
	LIST_INSERT_HEAD(&s->jobs, j, entry);
	return j;
}

void
job_free(struct executor *e, struct job *j)
{
	if (j->session != NULL)
		LIST_REMOVE(j, entry);
	table_remove(&e->jobs, &j->node);
	free(j);
}

void
executor_free(struct executor *e, enum xerr code, const char *why)
{
	struct session		*s;
	struct job		*j;
	struct table_node	*node;
	enum xerr		 session_code;

	/* Out of the table first: a new session gets a new executor. */
	executor_hide(e);
	while ((s = TAILQ_FIRST(&e->sessions)) != NULL) {
		session_code = code;
		LIST_FOREACH(j, &s->jobs, entry)
			if (j->started)
				session_code = XERR_EIO;
		session_lost(s, session_code, why);
	}
	while ((node = table_any(&e->jobs)) != NULL)
		job_free(e, (struct job *)node);
	table_clear(&e->jobs);
	chan_free(e->chan);
	box_clear(e);
	free(e);
}

static void
session_move(struct session *s, struct executor *to)
{
	struct job *j;

	LIST_FOREACH(j, &s->jobs, entry) {
		table_remove(&s->executor->jobs, &j->node);
		/* There was room for it in the other table. */
		if (!table_add(&to->jobs, &j->node, table_key(j->id)))
			fatalx("out of memory");
	}
	executor_detach(s);
	executor_attach(to, s);
}

void
executor_replace(struct executor *e)
{
	struct executor	*to = NULL;
	struct session	*s, *next;
	const char	*why;

	executor_hide(e);
	for (s = TAILQ_FIRST(&e->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->sent)
			continue;
		if (to == NULL && (to = executor_get(slice_str(e->user),
		    &why)) == NULL)
			return;
		session_move(s, to);
	}
}

void
on_slot(struct chan *c, const struct msg *m)
{
	const struct ctl_slot	*slot = m->body;
	struct executor		*e;
	char			 user[ID_USER_MAX + 1], why[257];

	if (!slice_copy(user, sizeof(user), slot->user) ||
	    (e = executor_find(user)) == NULL || !e->slot_open ||
	    e->serial != m->serial)
		return;
	e->slot_open = false;
	if (slot->code == XERR_NONE) {
		socket_ask(e, slot->slot);
		return;
	}
	slice_copy(why, sizeof(why), slot->text);
	executor_free(e, slot->code, why);
}

void
on_executor(struct chan *c, const struct msg *m)
{
	const struct ctl_executor	*x = m->body;
	struct exec_hello		 hello = { .min = 1, .max = 1,
					    .build = slice_str(XBOT_VERSION) };
	struct executor			*e;
	char				 user[ID_USER_MAX + 1];

	/* Nobody waits any more: the socket closes, the executor ends. */
	if (!slice_copy(user, sizeof(user), x->user) ||
	    (e = executor_find(user)) == NULL || e->chan != NULL)
		return;
	e->chan = chan_new(child_base(), chan_take_fd(c), e->user,
	    &executor_rules, e);
	if (e->chan == NULL) {
		executor_free(e, XERR_EOFFLINE, "out of memory");
		return;
	}
	chan_send(e->chan, EXEC_HELLO, 0, &hello);
	e->tasks = true;
	executor_flush(e);
}

void
executor_flush(struct executor *e)
{
	struct session *s;

	if (!executor_takes(e))
		return;
	TAILQ_FOREACH(s, &e->sessions, entry)
		session_flush(s);
}

void
on_executor_refused(struct chan *c, const struct msg *m)
{
	const struct ctl_executor_refused	*r = m->body;
	struct executor				*e;
	char					 user[ID_USER_MAX + 1];
	char					 why[513];

	if (!slice_copy(user, sizeof(user), r->user) ||
	    (e = executor_find(user)) == NULL || e->chan != NULL)
		return;
	slice_copy(why, sizeof(why), r->text);
	executor_free(e, r->code, why);
}

static void
executor_closed(struct chan *c, const char *why, bool protocol)
{
	struct executor *e = chan_arg(c);

	if (protocol)
		log_warnx("executor of %s: %s", e->user, why);
	if (child_role() == ROLE_BOX)
		box_ask_why(e, protocol);
	else
		executor_free(e, XERR_EOFFLINE, "the sandbox was lost");
}

static void
on_hello(struct chan *c, const struct msg *m)
{
	const struct exec_hello *h = m->body;

	if (h->min > 1 || h->max < 1)
		chan_refuse(c, "no common version");
	chan_set_state(c, EXECUTOR_UP);
}

static void
on_bye(struct chan *c, const struct msg *m)
{
	const struct exec_bye	*bye = m->body;
	struct executor		*e = chan_arg(c);
	char			 text[300];

	log_info("executor of %s leaves: %s", e->user, log_vis(text,
	    sizeof(text), bye->reason.p, bye->reason.len));
	/* In a container that is its word alone: docker is asked. */
	if (child_role() == ROLE_BOX)
		box_ask_why(e, false);
	else
		executor_free(e, XERR_EOFFLINE, "the sandbox has just ended, "
		    "try again");
}

static void
on_started(struct chan *c, const struct msg *m)
{
	const struct exec_job_started	*s = m->body;
	struct job			*j = job_find(chan_arg(c), s->job);

	if (j == NULL)
		return;
	j->started = true;
	if (j->session != NULL)
		session_answer(j, m);
}

/* Its id comes first in each of these messages. */
static void
on_progress(struct chan *c, const struct msg *m)
{
	const struct id16	*id = m->body;
	struct job		*j = job_find(chan_arg(c), *id);

	if (j == NULL) {
		box_answer(chan_arg(c), m);
		return;
	}
	/* A transfer has no job_started; its first answer says as much. */
	j->started = true;
	if (j->session != NULL)
		session_answer(j, m);
}

static void
on_end(struct chan *c, const struct msg *m)
{
	const struct id16	*id = m->body;
	struct executor		*e = chan_arg(c);
	struct job		*j = job_find(e, *id);

	if (j == NULL) {
		box_answer(e, m);
		return;
	}
	if (j->session != NULL)
		session_answer(j, m);
	job_free(e, j);
}

static void
on_ignored(struct chan *c, const struct msg *m)
{
}
