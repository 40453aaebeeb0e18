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
 * bg_exec, bg_status, bg_kill.  Runs in: xbot-runner.
 * Input is hostile; the executor keeps the tasks and their output, this keeps
 * their names.  A task that could not start is one that failed, and says why
 * where its errors are expected.
 */

#include <sys/queue.h>
#include <sys/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/chan.h"
#include "base/exlink.h"
#include "base/log.h"
#include "proto/jobs.h"
#include "runner/budget.h"
#include "runner/launch.h"
#include "runner/reply.h"
#include "runner/v1_in.h"
#include "runner/v1_req.h"
#include "runner/v1_task.h"

#define TASKS_MAX	1024	/* names; the executor limits those that run */
#define TASK_AWAY_S	EXLINK_GRACE_S	/* without a connection, then killed */
#define TASK_RING	(1024 * 1024)	/* what the executor keeps a stream */

struct task {
	TAILQ_ENTRY(task)	 entry;
	struct id16		 job;
	char			*id;		/* the server's; owned */
	char			*why;		/* it failed to start; owned */
	bool			 killed;	/* final, whatever comes */
	bool			 ended;		/* as far as we were told */
};

static TAILQ_HEAD(, task)	 tasks = TAILQ_HEAD_INITIALIZER(tasks);
static size_t			 ntasks;
static struct event		*away;

static struct task	*task_find(struct slice);
static struct task	*task_by_job(const struct id16 *);
static struct task	*task_new(struct request *, struct slice);
static void		 task_free(struct task *);
static bool		 task_room(void);
static void		 task_failed(struct task *, const char *, size_t);
static struct task	*task_of(struct request *);
static const char	*task_word(const struct task *, const struct op *);
static void		 unknown(const struct op *);
static struct op	*task_op(struct slice, enum v1_type, struct task *,
			    void (*)(struct op *, struct chan *,
			    const struct msg *), uint16_t);
static void		 reply_status(struct task *, struct op *);
static void		 reply_failed(const struct task *, struct slice);
static void		 kill_begin(struct op *);
static void		 status_data(struct op *, struct chan *,
			    const struct exec_job_data *);
static void		 status_credit(struct op *, uint8_t, uint64_t);
static void		 on_away(evutil_socket_t, short, void *);
static void		 on_task(struct op *, struct chan *,
			    const struct msg *);
static void		 on_status(struct op *, struct chan *,
			    const struct msg *);
static void		 on_listed(struct op *, struct chan *,
			    const struct msg *);
static void		 on_killed(struct op *, struct chan *,
			    const struct msg *);

void
v1_task_init(struct event_base *base)
{
	if ((away = evtimer_new(base, on_away, NULL)) == NULL)
		fatalx("out of memory");
}

static struct task *
task_find(struct slice id)
{
	struct task	*t;

	TAILQ_FOREACH(t, &tasks, entry)
		if (slice_is(id, t->id))
			return t;
	return NULL;
}

static struct task *
task_by_job(const struct id16 *job)
{
	struct task	*t;

	TAILQ_FOREACH(t, &tasks, entry)
		if (memcmp(&t->job, job, sizeof(*job)) == 0)
			return t;
	return NULL;
}

static void
task_free(struct task *t)
{
	/* What it has not read of its input. */
	op_free(op_find(&t->job));
	TAILQ_REMOVE(&tasks, t, entry);
	ntasks--;
	free(t->id);
	free(t->why);
	free(t);
}

/* The oldest that has ended makes room. */
static bool
task_room(void)
{
	struct task	*t;

	if (ntasks < TASKS_MAX)
		return true;
	TAILQ_FOREACH(t, &tasks, entry) {
		if (t->ended) {
			task_free(t);
			return true;
		}
	}
	return false;
}

static struct task *
task_new(struct request *r, struct slice id)
{
	struct task	*t;

	if (id.len == 0 || id.len > OP_ID_MAX) {
		req_refuse(r, XERR_EINVAL, "invalid bg_exec request: task_id "
		    "is missing or too long");
		return NULL;
	}
	if (task_find(id) != NULL) {
		req_refuse(r, XERR_EEXIST, "task ID is in use");
		return NULL;
	}
	if (!task_room()) {
		req_refuse(r, XERR_EBUSY, "%d tasks are running", TASKS_MAX);
		return NULL;
	}
	if ((t = calloc(1, sizeof(*t))) == NULL ||
	    (t->id = strndup(id.p, id.len)) == NULL)
		fatalx("out of memory");
	TAILQ_INSERT_TAIL(&tasks, t, entry);
	ntasks++;
	return t;
}

static void
task_failed(struct task *t, const char *why, size_t len)
{
	char	 vid[80];

	log_warnx("task %s: %.*s",
	    log_vis(vid, sizeof(vid), t->id, strlen(t->id)),
	    len < 256 ? (int)len : 256, why);
	t->ended = true;
	free(t->why);
	if ((t->why = strndup(why, len)) == NULL)
		fatalx("out of memory");
}

void
start_bg_exec(struct request *r)
{
	struct exec_args	 x = { 0 };
	struct exec_job_start	 start = { .kind = JOB_TASK };
	struct slice		 shell[3];
	struct task		*t;
	struct op		*op;
	struct reply		*reply;
	char			 vid[80];

	if (!exec_read(r, &x) || (t = task_new(r, x.task)) == NULL)
		goto out;
	if ((op = req_begin(r)) == NULL) {
		task_free(t);
		goto out;
	}
	op->stays = true;
	op->answer = on_task;
	t->job = start.job = op->job;
	reply = reply_new(r->msg.id, V1_BG_STARTED);
	reply_json(reply, ",\"body\":{\"task_id\":\"");
	reply_bytes(reply, x.task);
	reply_json(reply, "\"}}");
	log_info("task %s started",
	    log_vis(vid, sizeof(vid), t->id, strlen(t->id)));
	exec_start(&x, &start, shell);
	if (!x.shell && x.nargs == 0) {
		task_failed(t, "non-shell exec requires args to be set", 38);
		op_free(op);
	} else if (!launch_send(EXEC_JOB_START, &start)) {
		task_failed(t, "the arguments are too long", 26);
		op_free(op);
	} else
		req_feed(op, r, x.input, STREAM_STDIN, false);
	reply_queue(reply);
out:
	exec_clear(&x);
}

/* Of a task itself: how it started, and its appetite for input. */
static void
on_task(struct op *op, struct chan *c, const struct msg *m)
{
	const union exec_any	*b = m->body;
	struct task		*t = task_by_job(&op->job);

	switch (m->type) {
	case EXEC_JOB_STARTED:
		if (op->in_eof)
			op_free(op);
		return;
	case EXEC_JOB_CREDIT:
		if (b->job_credit.stream != op->in_stream ||
		    b->job_credit.upto <= op->in_credit)
			return;
		op->in_credit = b->job_credit.upto;
		v1_in_feed(op);
		if (op->in_eof)
			op_free(op);
		return;
	case EXEC_JOB_REFUSED:
		if (t != NULL)
			task_failed(t, b->job_refused.text.p,
			    b->job_refused.text.len);
		op_free(op);
		return;
	default:
		chan_refuse(c, "an answer that no task has");
	}
}

/* NULL: refused. */
static struct task *
task_of(struct request *r)
{
	struct v1_member	 m[] = { { .key = "task_id" } };
	struct slice		 id;
	struct task		*t;

	if (!req_members(r, m, 1) || !req_text(r, &m[0], &id))
		return NULL;
	if ((t = task_find(id)) == NULL)
		req_refuse(r, XERR_EIO, "%s: task ID not found",
		    v1_type_name(r->msg.type));
	return t;
}

/* An operation about a task, begun; NULL: there is no executor, or too many. */
static struct op *
task_op(struct slice id, enum v1_type type, struct task *t,
    void (*answer)(struct op *, struct chan *, const struct msg *),
    uint16_t message)
{
	union exec_any	 any;
	struct op	*op;

	if (!launch_up() || (op = op_new(type, id)) == NULL)
		return NULL;
	op->answer = answer;
	op->target = t->job;
	memset(&any, 0, sizeof(any));
	any.task_read.job = op->job;
	if (message != EXEC_TASK_LIST)
		any.task_read.task = t->job;
	launch_send(message, &any);
	return op;
}

_Static_assert(offsetof(struct exec_task_read, task) ==
    offsetof(struct exec_task_kill, task), "task_op");

static const char *
task_word(const struct task *t, const struct op *op)
{
	if (t->killed || (!op->running && op->how == JOB_KILLED))
		return "killed";
	if (op->running)
		return "running";
	return op->how == JOB_EXITED && op->code == 0 ? "completed" :
	    "failed";
}

/* The executor has forgotten it, so we do. */
static void
unknown(const struct op *op)
{
	struct task	*t = task_by_job(&op->target);

	if (t != NULL)
		task_free(t);
	reply_error(op_id(op), slice_str(v1_type_name(op->type)), XERR_EIO,
	    slice_str(op->type == V1_BG_KILL ? "bg_kill: task ID not found" :
	    "bg_status: task ID not found"));
}

/* -- bg_status -- */

void
start_bg_status(struct request *r)
{
	struct task	*t;

	if ((t = task_of(r)) == NULL)
		return;
	if (t->why == NULL) {
		if (task_op(r->msg.id, V1_BG_STATUS, t, on_status,
		    EXEC_TASK_READ) == NULL)
			req_refuse(r, XERR_EBUSY, "too many requests are in "
			    "progress");
		return;
	}
	reply_failed(t, r->msg.id);
}

static void
reply_failed(const struct task *t, struct slice id)
{
	struct reply	*r;

	r = reply_new(id, V1_BG_OUTPUT);
	reply_json(r, ",\"body\":{\"task_id\":\"");
	reply_bytes(r, slice_str(t->id));
	reply_json(r, "\",\"status\":\"%s\",\"exit_code\":-1,"
	    "\"stdout\":\"\",\"stderr\":\"", t->killed ? "killed" : "failed");
	reply_bytes(r, slice_str(t->why));
	reply_json(r, "\"}}");
	reply_queue(r);
}

static void
status_credit(struct op *op, uint8_t stream, uint64_t end)
{
	struct exec_job_credit	 credit = { .job = op->job,
				    .stream = stream };

	op->credit[stream - 1] = credit.upto = end + TASK_RING;
	launch_send(EXEC_JOB_CREDIT, &credit);
}

/* What was overwritten while we read leaves a gap: begin behind it. */
static void
status_data(struct op *op, struct chan *c, const struct exec_job_data *b)
{
	unsigned int	 i = b->stream - STREAM_STDOUT;
	size_t		 n;

	if (b->stream < STREAM_STDOUT || b->stream > STREAM_STDERR ||
	    b->offset < op->got[i] || b->offset > op->credit[i] ||
	    b->bytes.len > op->credit[i] - b->offset) {
		chan_refuse(c, "data out of place");
		return;
	}
	if (b->offset > op->got[i]) {
		n = evbuffer_get_length(op->out[i]);
		evbuffer_drain(op->out[i], n);
		budget_give(n);
		op->dropped[i] = b->offset;
	}
	op->got[i] = b->offset + b->bytes.len;
	if (!op_collect(op, i, b->bytes.p, b->bytes.len))
		op->dropped[i] += b->bytes.len;
}

static void
on_status(struct op *op, struct chan *c, const struct msg *m)
{
	const union exec_any	*b = m->body;
	struct task		*t = task_by_job(&op->target);

	switch (m->type) {
	case EXEC_TASK_INFO:
		op->informed = true;
		op->running = b->task_info.running;
		op->how = b->task_info.how;
		op->code = b->task_info.code;
		status_credit(op, STREAM_STDOUT, b->task_info.stdout_end);
		status_credit(op, STREAM_STDERR, b->task_info.stderr_end);
		return;
	case EXEC_JOB_DATA:
		status_data(op, c, &b->job_data);
		return;
	case EXEC_JOB_EOF:
		return;
	case EXEC_JOB_DONE:
		if (!op->informed)
			chan_refuse(c, "done out of place");
		else if (t == NULL)
			unknown(op);
		else
			reply_status(t, op);
		op_free(op);
		return;
	case EXEC_JOB_REFUSED:
		if (t != NULL && t->why != NULL)
			reply_failed(t, op_id(op));
		else if (b->job_refused.code == XERR_ENOENT)
			unknown(op);
		else
			reply_error(op_id(op), slice_str("bg_status"),
			    b->job_refused.code, b->job_refused.text);
		op_free(op);
		return;
	default:
		chan_refuse(c, "no answer to task_read");
	}
}

static void
reply_status(struct task *t, struct op *op)
{
	const char	*word = task_word(t, op);
	struct reply	*r;
	unsigned int	 i;
	int		 code;

	t->ended = !op->running;
	if (t->ended)
		op_free(op_find(&t->job));
	r = reply_new(op_id(op), V1_BG_OUTPUT);
	reply_json(r, ",\"body\":{\"task_id\":\"");
	reply_bytes(r, slice_str(t->id));
	reply_json(r, "\",\"status\":\"%s\"", word);
	/* Absent it is 0, which is nothing that a task on its way out has. */
	code = op->running ? (t->killed ? -1 : 0) :
	    op->how == JOB_EXITED ? op->code : -1;
	if (code != 0)
		reply_json(r, ",\"exit_code\":%d", code);
	for (i = 0; i < 2; i++) {
		reply_json(r, i == 0 ? ",\"stdout\":\"" : "\",\"stderr\":\"");
		if (op->dropped[i] > 0)
			reply_dropped(r, op->dropped[i]);
		reply_text(r, op->out[i]);
		op->out[i] = NULL;
	}
	reply_json(r, "\"}}");
	reply_queue(r);
}

/* -- bg_kill -- */

void
start_bg_kill(struct request *r)
{
	struct task	*t;

	if ((t = task_of(r)) == NULL)
		return;
	if (t->why != NULL)
		req_refuse(r, XERR_EIO, "bg_kill: task is not running "
		    "(status=%s)", t->killed ? "killed" : "failed");
	/* Whether it runs decides between killing and refusing. */
	else if (task_op(r->msg.id, V1_BG_KILL, t, on_listed,
	    EXEC_TASK_LIST) == NULL)
		req_refuse(r, XERR_EBUSY, "too many requests are in progress");
}

static void
on_listed(struct op *op, struct chan *c, const struct msg *m)
{
	const union exec_any	*b = m->body;

	switch (m->type) {
	case EXEC_TASK_INFO:
		if (memcmp(&b->task_info.task, &op->target,
		    sizeof(op->target)) != 0)
			return;
		op->informed = true;
		op->running = b->task_info.running;
		op->how = b->task_info.how;
		op->code = b->task_info.code;
		return;
	case EXEC_JOB_DONE:
	case EXEC_JOB_REFUSED:
		kill_begin(op);
		op_free(op);
		return;
	default:
		chan_refuse(c, "no answer to task_list");
	}
}

static void
kill_begin(struct op *op)
{
	struct task	*t = task_by_job(&op->target);
	char		 text[80];

	if (t == NULL || (!op->informed && t->why == NULL)) {
		unknown(op);
		return;
	}
	if (t->why != NULL)
		op->how = JOB_LOST;
	if (op->running && !t->killed) {
		/* From now on, also when it exits by itself meanwhile. */
		t->killed = true;
		if (task_op(op_id(op), V1_BG_KILL, t, on_killed,
		    EXEC_TASK_KILL) != NULL)
			return;
		t->killed = false;
	}
	snprintf(text, sizeof(text), "bg_kill: task is not running "
	    "(status=%s)", task_word(t, op));
	reply_error(op_id(op), slice_str("bg_kill"), XERR_EIO,
	    slice_str(text));
}

static void
on_killed(struct op *op, struct chan *c, const struct msg *m)
{
	struct task	*t = task_by_job(&op->target);
	struct reply	*r;

	if (m->type != EXEC_JOB_DONE && m->type != EXEC_JOB_REFUSED) {
		chan_refuse(c, "no answer to task_kill");
		return;
	}
	if (t != NULL) {
		t->ended = true;
		op_free(op_find(&t->job));
	}
	if (op->idlen > 0) {
		r = reply_new(op_id(op), V1_OK);
		reply_json(r, "}");
		reply_queue(r);
	}
	op_free(op);
}

/* -- without a connection, without an executor -- */

void
v1_task_away(void)
{
	const struct timeval	 tv = { .tv_sec = TASK_AWAY_S };

	if (!TAILQ_EMPTY(&tasks) && !evtimer_pending(away, NULL))
		evtimer_add(away, &tv);
}

void
v1_task_back(void)
{
	evtimer_del(away);
}

static void
on_away(evutil_socket_t fd, short what, void *arg)
{
	struct task	*t;
	struct op	*op;

	log_warnx("no connection for %d s: tasks are killed", TASK_AWAY_S);
	TAILQ_FOREACH(t, &tasks, entry) {
		if (t->why == NULL && !t->ended && (op = task_op(
		    (struct slice){ NULL, 0 }, V1_BG_KILL, t, on_killed,
		    EXEC_TASK_KILL)) != NULL)
			op->stays = true;
		t->killed = t->killed || !t->ended;
	}
}

void
v1_task_lost(void)
{
	static const char	 why[] = "the executor ended, and the task with it";
	struct task		*t;

	TAILQ_FOREACH(t, &tasks, entry) {
		op_free(op_find(&t->job));
		if (t->why == NULL)
			task_failed(t, why, sizeof(why) - 1);
	}
}
