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
 * What executors in containers have and those on the host have not: docker
 * can say why one was lost, holds a user's requests while it saves, and wants
 * to know who does something.  Runs in: box.
 */

#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "workers/session/session.h"

#define HELD_S		30	/* http-api.md: then EBUSY */
#define IDLE_S		1	/* docker is told that often at most */
#define POLL_S		10	/* tasks without a session: do they run? */

static struct table	ending;		/* by serial: docker was asked why */
static uint64_t		last_poll;

static void	on_held_timer(evutil_socket_t, short, void *);
static void	on_idle_timer(evutil_socket_t, short, void *);

static bool
timer_set(struct event **ev, event_callback_fn f, struct executor *e,
    time_t seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	if (*ev == NULL &&
	    (*ev = evtimer_new(child_base(), f, e)) == NULL)
		return false;
	return evtimer_add(*ev, &tv) == 0;
}

/* ---- activity */

static void
activity_send(struct executor *e, bool busy)
{
	struct ctl_sandbox_activity a = { .user = slice_str(e->user),
	    .busy = busy };

	e->busy = busy;
	chan_send(child_peer(ROLE_DOCKER), CTL_SANDBOX_ACTIVITY, 0, &a);
}

void
box_activity(struct executor *e)
{
	if (child_role() == ROLE_BOX && !e->busy)
		activity_send(e, true);
}

void
box_idle(struct executor *e)
{
	if (child_role() == ROLE_BOX && !e->hidden &&
	    !timer_set(&e->idle_timer, on_idle_timer, e, IDLE_S))
		log_warn("executor of %s", e->user);
}

/* A task outlives its session, and counts all the same. */
static void
tasks_ask(struct executor *e)
{
	struct exec_task_list list = { .job = { { 'b', 'o', 'x' } } };

	e->poll = ++last_poll;
	e->running = 0;
	memcpy(list.job.b + 8, &e->poll, sizeof(e->poll));
	chan_send(e->chan, EXEC_TASK_LIST, 0, &list);
}

static void
on_idle_timer(evutil_socket_t fd, short what, void *arg)
{
	struct executor *e = arg;

	if (!TAILQ_EMPTY(&e->sessions))
		return;
	if (e->chan != NULL && e->tasks)
		tasks_ask(e);
	else
		activity_send(e, false);
}

void
box_answer(struct executor *e, const struct msg *m)
{
	const struct exec_task_info	*t = m->body;
	const struct id16		*id = m->body;

	if (e->poll == 0 || memcmp(id->b, "box", 4) != 0 ||
	    memcmp(id->b + 8, &e->poll, sizeof(e->poll)) != 0)
		return;
	if (m->type == EXEC_TASK_INFO) {
		e->running += t->running;
		return;
	}
	e->poll = 0;
	if (e->running > 0) {
		timer_set(&e->idle_timer, on_idle_timer, e, POLL_S);
		return;
	}
	e->tasks = false;
	if (TAILQ_EMPTY(&e->sessions))
		activity_send(e, false);
}

/* The user may have another one already; if not, he does nothing. */
void
box_clear(struct executor *e)
{
	if (e->busy && executor_find(e->user) == NULL)
		activity_send(e, false);
	if (e->held_timer != NULL)
		event_free(e->held_timer);
	if (e->idle_timer != NULL)
		event_free(e->idle_timer);
}

/* ---- held */

static void
held_set(struct executor *e, bool held)
{
	if (e->held == held)
		return;
	e->held = held;
	e->late = false;
	if (e->held && !timer_set(&e->held_timer, on_held_timer, e, HELD_S))
		log_warn("executor of %s", e->user);
	if (!e->held && e->held_timer != NULL)
		evtimer_del(e->held_timer);
	executor_flush(e);
}

/* Before it is paused, or after: the container's log tells its story. */
static void
note_send(struct executor *e, struct slice why, bool begins)
{
	char		 text[128];
	struct exec_note n;

	snprintf(text, sizeof(text), "%.*s %s", (int)why.len,
	    (const char *)why.p, begins ? "begins" : "has ended");
	n.text = slice_str(text);
	chan_send(e->chan, EXEC_NOTE, 0, &n);
}

void
on_sandbox_held(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_held	*h = m->body;
	struct executor			*e;
	char				 user[ID_USER_MAX + 1];

	if (slice_copy(user, sizeof(user), h->user) &&
	    (e = executor_find(user)) != NULL) {
		if (h->why.len > 0)
			note_send(e, h->why, h->held);
		held_set(e, h->held);
	}
}

/* What runs is only slower; what has not begun is refused. */
static void
on_held_timer(evutil_socket_t fd, short what, void *arg)
{
	struct executor	*e = arg;
	struct session	*s, *next;

	e->late = true;
	for (s = TAILQ_FIRST(&e->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!s->sent)
			session_lost(s, XERR_EBUSY, BOX_LATE);
	}
}

/* ---- why */

void
box_ask_why(struct executor *e, bool broke)
{
	struct ctl_sandbox_why why = { slice_str(e->user), broke };

	chan_free(e->chan);
	e->chan = NULL;
	executor_replace(e);
	if ((TAILQ_EMPTY(&e->sessions) && !broke) ||
	    !table_add(&ending, &e->node, e->serial))
		executor_free(e, XERR_EOFFLINE, "the sandbox was lost");
	else if (!chan_send(child_peer(ROLE_DOCKER), CTL_SANDBOX_WHY,
	    e->serial, &why)) {
		table_remove(&ending, &e->node);
		executor_free(e, XERR_EOFFLINE, "the sandbox was lost");
	}
}

void
on_sandbox_ended(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_ended	*n = m->body;
	struct table_node		*node;
	char				 why[513];

	if ((node = table_find(&ending, m->serial)) == NULL)
		return;
	table_remove(&ending, node);
	slice_copy(why, sizeof(why), n->text);
	executor_free((struct executor *)node, n->code, why);
}

/* Nobody answers any more. */
void
box_docker_closed(struct chan *c, const char *why, bool protocol)
{
	struct table_node *node;

	while ((node = table_any(&ending)) != NULL) {
		table_remove(&ending, node);
		executor_free((struct executor *)node, XERR_EIO,
		    "lost: the sandbox was lost");
	}
}

/* Whom it holds it says again. */
static void
docker_tell(struct executor *e)
{
	held_set(e, false);
	if (e->busy)
		activity_send(e, true);
}

void
box_docker_up(void)
{
	executor_each(docker_tell);
}
