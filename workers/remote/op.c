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
 * One operation of exec.def, from front's question to its one terminal
 * answer.  Runs in: remote.  What is asked is ask.c's business, what comes
 * with it input.c's, what the runner answers reply.c's.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "workers/remote/llm.h"
#include "workers/remote/remote.h"

/* A message that moves this much between two looks is not given up. */
#define PROGRESS_MIN	(32 * 1024)
#define POLL_S		2	/* between two looks at a task */
#define DOWNLOAD_WAIT	310	/* s; the runner itself gives up at 300 (D9) */
#define LLM_WAIT	310	/* the same */
#define MODELS_WAIT	10

static void	op_timeout(evutil_socket_t, short, void *);

struct op *
op_find(struct chan *c, const struct msg *m, const struct id16 *job)
{
	struct session	*s = session_find(c, m->serial);
	struct op	*op;

	if (s == NULL)
		return NULL;
	TAILQ_FOREACH(op, &s->ops, of_session)
		if (memcmp(&op->job, job, sizeof(*job)) == 0)
			return op;
	return NULL;
}

static void
job_refuse(struct chan *c, uint64_t serial, const struct id16 *job,
    enum xerr code, const char *text)
{
	struct exec_job_refused refused = { *job, (uint8_t)code,
	    slice_str(text) };

	chan_send(c, EXEC_JOB_REFUSED, serial, &refused);
}

struct op *
op_new(struct chan *c, const struct msg *m, const struct id16 *job)
{
	struct session	*s = session_find(c, m->serial);
	struct op	*op;

	if (s == NULL)		/* it was told so already */
		return NULL;
	if (op_find(c, m, job) != NULL) {
		chan_refuse(c, "a job was started twice");
		return NULL;
	}
	if (s->link->nops >= LINK_OPS_MAX ||
	    (op = calloc(1, sizeof(*op))) == NULL) {
		job_refuse(c, m->serial, job, XERR_EBUSY,
		    "too much is going on at this runner");
		return NULL;
	}
	op->s = s;
	op->link = s->link;
	op->job = *job;
	op->type = m->type;
	op->step = OP_WORK;
	TAILQ_INSERT_TAIL(&s->ops, op, of_session);
	TAILQ_INSERT_TAIL(&op->link->ops, op, of_link);
	op->link->nops++;
	if ((op->timer = evtimer_new(child_base(), op_timeout, op)) == NULL) {
		op_refuse(op, XERR_EBUSY, "out of memory");
		return NULL;
	}
	return op;
}

void
op_free(struct op *op)
{
	if (op->out != NULL && !link_unqueue(op->link, op->out)) {
		op->handed = true;
		op->unseen = false;
	}
	if (op->stream != NULL)
		stream_free(op);
	llm_free(op);
	if (op->unseen)
		task_forget(op->link, &op->job);
	link_unreserve(op->link, op);
	budget_give(op->held);
	TAILQ_REMOVE(&op->s->ops, op, of_session);
	TAILQ_REMOVE(&op->link->ops, op, of_link);
	op->link->nops--;
	if (op->timer != NULL)
		event_free(op->timer);
	buf_clear(&op->input);
	buf_clear(&op->text);
	free(op->path);
	free(op->url);
	free(op->entries);
	free(op->mem);
	free(op);
}

void
op_send(struct op *op, uint16_t type, const void *body)
{
	chan_send(session_peer(op->s), type, op->s->serial, body);
}

void
op_refuse(struct op *op, enum xerr code, const char *text)
{
	job_refuse(session_peer(op->s), op->s->serial, &op->job, code, text);
	op_free(op);
}

void
op_done(struct op *op)
{
	struct exec_job_done done = { op->job };

	op_send(op, EXEC_JOB_DONE, &done);
	op_free(op);
}

void
op_exit(struct op *op)
{
	struct exec_job_exit ex = { .job = op->job, .how = op->how,
	    .code = op->code, .duration_us = op->duration_us };

	op_send(op, EXEC_JOB_EXIT, &ex);
	op_free(op);
}

/* --- asking the runner --- */

static unsigned int
op_wait(const struct op *op)
{
	static const struct {
		enum v1_type	 asked;
		unsigned int	 seconds;
	} waits[] = {
		{ V1_DOWNLOAD_FILE, DOWNLOAD_WAIT },
		{ V1_LLM_GENERATE, LLM_WAIT }, { V1_LLM_MODELS, MODELS_WAIT },
	};
	size_t i;

	if (op->asked == V1_EXEC)
		return op->timeout + V1_EXEC_SLACK;
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		if (waits[i].asked == op->asked)
			return waits[i].seconds;
	return V1_FILE_WAIT;
}

static void
op_arm(struct op *op, unsigned int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	op->progress = op->link->received;
	evtimer_add(op->timer, &tv);
}

static void
op_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct op	*op = arg;
	char		 text[128];

	if (op->step == OP_PAUSE) {
		op->step = OP_WORK;
		op_ask(op, V1_BG_STATUS);
		return;
	}
	/* A large answer over a slow line is on its way. */
	if (op->link->in_message &&
	    op->link->received - op->progress >= PROGRESS_MIN) {
		op_arm(op, V1_FILE_WAIT);
		return;
	}
	snprintf(text, sizeof(text), "runner %.64s did not answer within "
	    "%u s", op->link->name, op_wait(op));
	log_info("connection %llu: %s (%s)",
	    (unsigned long long)op->link->serial, text,
	    v1_type_name(op->asked));
	op_refuse(op, XERR_ETIMEDOUT, text);
}

/* Those that carry what came from front were written as it came. */
static bool
is_written(enum v1_type type)
{
	return type == V1_EXEC || type == V1_WRITE_FILE ||
	    type == V1_BG_EXEC || type == V1_STDIO_START ||
	    type == V1_PTY_CREATE || type == V1_LLM_GENERATE ||
	    type == V1_LLM_MODELS;
}

void
op_pause(struct op *op)
{
	free(op->mem);
	op->mem = NULL;
	budget_give(op->held);
	op->held = 0;
	op->step = OP_PAUSE;
	op_arm(op, POLL_S);
}

void
op_ask(struct op *op, enum v1_type type)
{
	struct buf text = { 0 };

	op->asked = type;
	if (is_written(type)) {
		text = op->text;
		memset(&op->text, 0, sizeof(op->text));
		memcpy(op->id, op->text_id, sizeof(op->id));
		/* The queue charges for it from here on. */
		budget_give(op->held);
		op->held = 0;
	} else if (!request_simple(op, type, &text, op->id)) {
		buf_clear(&text);
		op_refuse(op, XERR_EBUSY, "out of memory");
		return;
	}
	if (!link_queue(op->link, op, &text))
		op_refuse(op, XERR_EBUSY, "out of memory");
}

void
op_handed(struct op *op)
{
	struct exec_job_started started = { op->job, 0 };

	op->out = NULL;
	if (op->stream != NULL && op->asked == V1_UNKNOWN) {
		stream_handed(op);
		return;
	}
	op->handed = true;
	op->unseen = false;
	op->at_us = clock_us();
	op_arm(op, op_wait(op));
	if (op->asked == V1_EXEC)
		op_send(op, EXEC_JOB_STARTED, &started);
}

void
op_answer(struct op *op, struct v1_message *msg)
{
	struct link	*l = op->link;
	enum v1_type	 asked = op->asked;
	size_t		 bytes = l->cap;

	evtimer_del(op->timer);
	op->asked = V1_UNKNOWN;
	if (op->stream != NULL) {	/* what it holds is its input */
		if (asked == V1_STAT)
			stream_clear(op);
		else
			reply_take(op, asked, msg);
		return;
	}
	free(op->mem);
	budget_give(op->held);
	op->mem = l->mem;
	op->held = bytes;
	l->mem = NULL;
	l->len = l->cap = 0;
	link_unreserve(l, op);
	budget_force(bytes);
	reply_take(op, asked, msg);
}

void
op_grant(struct op *op, uint8_t stream, uint64_t window)
{
	struct exec_job_credit credit = { op->job, stream,
	    op->taken + window };

	if (op->granted > op->taken + window / 2)
		return;
	op->granted = credit.upto;
	op_send(op, EXEC_JOB_CREDIT, &credit);
}
