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
 * answer.  Runs in: remote.  Front's messages are checked for order and
 * credit; what the runner answers is reply.c's business.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/child.h"
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
static void	on_job_start(struct chan *, const struct msg *);
static void	on_job_data(struct chan *, const struct msg *);
static void	on_job_credit(struct chan *, const struct msg *);
static void	on_job_eof(struct chan *, const struct msg *);
static void	on_job_cancel(struct chan *, const struct msg *);
static void	on_file_stat(struct chan *, const struct msg *);
static void	on_file_list(struct chan *, const struct msg *);
static void	on_file_mkdir(struct chan *, const struct msg *);
static void	on_file_remove(struct chan *, const struct msg *);
static void	on_file_get(struct chan *, const struct msg *);
static void	on_file_put(struct chan *, const struct msg *);
static void	on_job_resize(struct chan *, const struct msg *);
static void	on_task_list(struct chan *, const struct msg *);
static void	on_task_read(struct chan *, const struct msg *);
static void	on_task_kill(struct chan *, const struct msg *);
static void	on_fetch(struct chan *, const struct msg *);

static const struct {
	uint16_t	 type;
	void		(*handler)(struct chan *, const struct msg *);
} messages[] = {
	{ EXEC_JOB_START, on_job_start },
	{ EXEC_JOB_DATA, on_job_data },
	{ EXEC_JOB_CREDIT, on_job_credit },
	{ EXEC_JOB_EOF, on_job_eof },
	{ EXEC_JOB_CANCEL, on_job_cancel },
	{ EXEC_JOB_RESIZE, on_job_resize },
	{ EXEC_FILE_STAT, on_file_stat },
	{ EXEC_FILE_LIST, on_file_list },
	{ EXEC_FILE_MKDIR, on_file_mkdir },
	{ EXEC_FILE_REMOVE, on_file_remove },
	{ EXEC_FILE_GET, on_file_get },
	{ EXEC_FILE_PUT, on_file_put },
	{ EXEC_TASK_LIST, on_task_list },
	{ EXEC_TASK_READ, on_task_read },
	{ EXEC_TASK_KILL, on_task_kill },
	{ EXEC_FETCH, on_fetch },
	{ EXEC_LLM_CALL, llm_on_call },
	{ EXEC_LLM_SETTINGS, llm_on_settings },
};

static struct op *
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

/* The same for an operation on a path. */
static struct op *
op_new_path(struct chan *c, const struct msg *m, const struct id16 *job,
    struct slice path)
{
	struct op *op = op_new(c, m, job);

	if (op == NULL)
		return NULL;
	if (!utf8_valid(path.p, path.len)) {
		op_refuse(op, XERR_EINVAL,
		    "this runner takes names in UTF-8 only");
		return NULL;
	}
	if ((op->path = request_path(op->link, path)) == NULL) {
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

void
op_message(struct chan *c, const struct msg *m)
{
	size_t i;

	for (i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == m->type) {
			messages[i].handler(c, m);
			return;
		}
	log_debug("session %llu: %s: not in protocol v1",
	    (unsigned long long)m->serial, m->desc->name);
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
	op->at_us = now_us();
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

/* --- what front asks --- */

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

static void
input_grant(struct op *op, uint8_t stream)
{
	op_grant(op, stream, INPUT_WINDOW);
}

/* Existing runners do these as themselves only. */
static bool
start_refused(struct op *op, const struct exec_job_start *start)
{
	if (start->kind > JOB_PTY)
		op_refuse(op, XERR_ENOTSUP, "no such kind of job");
	else if (start->kind != JOB_EXEC && start->run_as_user.len > 0)
		op_refuse(op, XERR_ENOTSUP, "this runner does this only as "
		    "its own user");
	else if (!utf8_valid(start->dir.p, start->dir.len))
		op_refuse(op, XERR_EINVAL,
		    "this runner takes names in UTF-8 only");
	else
		return false;
	return true;
}

static bool
start_task(struct op *op, const struct exec_job_start *start)
{
	const struct task *t = task_new(op, start);

	op->unseen = t != NULL;
	return t != NULL && request_task(op, t, start);
}

static void
on_job_start(struct chan *c, const struct msg *m)
{
	const struct exec_job_start	*start = m->body;
	struct op			*op = op_new(c, m, &start->job);

	if (op == NULL || start_refused(op, start))
		return;
	op->kind = start->kind;
	if (op->kind == JOB_STDIO || op->kind == JOB_PTY) {
		stream_start(op, start);
		return;
	}
	op->step = OP_INPUT;
	op->limit = STDIN_MAX;
	op->timeout = start->timeout_ms / 1000 +
	    (start->timeout_ms % 1000 != 0);
	if (op->timeout == 0 || op->timeout > V1_TIMEOUT_MAX)
		op->timeout = V1_TIMEOUT_MAX;
	if (op->kind == JOB_TASK ? !start_task(op, start) :
	    !request_exec(op, start))
		op_refuse(op, XERR_EBUSY, "out of memory");
	else
		input_grant(op, STREAM_STDIN);
}

/* Its input is kept as it comes; else it is a file's. */
static bool
is_text(const struct op *op)
{
	return op->type == EXEC_JOB_START || op->type == EXEC_LLM_CALL;
}

/* The op that collects this stream; a message out of place is refused. */
static struct op *
input_op(struct chan *c, const struct msg *m, const struct id16 *job,
    uint8_t stream, uint64_t offset)
{
	struct op *op = op_find(c, m, job);

	if (op == NULL)
		return NULL;
	if (op->step != OP_INPUT || offset != op->taken ||
	    stream != (is_text(op) ? STREAM_STDIN : STREAM_FILE)) {
		chan_refuse(c, "input out of order");
		return NULL;
	}
	return op;
}

static bool
input_add(struct op *op, struct slice bytes)
{
	size_t n = is_text(op) ? bytes.len : BASE64_LEN(bytes.len + 2);

	if (!budget_take(n))
		return false;
	op->held += n;
	if (is_text(op))
		return buf_add(&op->input, bytes.p, bytes.len) == 0;
	return request_put_add(op, bytes);
}

static void
on_job_data(struct chan *c, const struct msg *m)
{
	const struct exec_job_data	*data = m->body;
	struct op			*op = op_find(c, m, &data->job);
	char				 text[96];

	if (op != NULL && op->stream != NULL) {
		if (data->stream != STREAM_STDIN ||
		    data->offset != op->taken ||
		    data->bytes.len > op->granted - op->taken)
			chan_refuse(c, "input out of order or credit");
		else
			stream_input(op, data);
		return;
	}
	op = input_op(c, m, &data->job, data->stream, data->offset);
	if (op == NULL)
		return;
	if (data->bytes.len > op->granted - op->taken) {
		chan_refuse(c, "input without credit");
		return;
	}
	op->taken += data->bytes.len;
	if (op->taken > op->limit) {
		snprintf(text, sizeof(text), "over the limit of %llu bytes "
		    "for this runner", (unsigned long long)op->limit);
		op_refuse(op, XERR_E2BIG, text);
	} else if (!input_add(op, data->bytes))
		op_refuse(op, XERR_EBUSY,
		    "too much is on its way to runners at the moment");
	else
		input_grant(op, data->stream);
}

static void
on_job_eof(struct chan *c, const struct msg *m)
{
	const struct exec_job_eof	*eof = m->body;
	struct op			*op = op_find(c, m, &eof->job);

	if (op != NULL && op->stream != NULL) {
		stream_eof(op);
		return;
	}
	/* A question without a body may say so. */
	if (op != NULL && op->llm != NULL && op->llm->what == LLM_MODELS)
		return;
	op = input_op(c, m, &eof->job, eof->stream, eof->offset);
	if (op == NULL)
		return;
	op->step = OP_WORK;
	if (op->llm != NULL) {
		llm_body(op);
		return;
	}
	if (op->type == EXEC_JOB_START) {
		/* v1 carries it as text; silently spoiling it is worse. */
		if (!utf8_valid(buf_data(&op->input), op->input.len))
			op_refuse(op, XERR_ENOTSUP, "this runner takes "
			    "input in UTF-8 only");
		else if (!request_exec_end(op))
			op_refuse(op, XERR_EBUSY, "out of memory");
		else
			op_ask(op, op->kind == JOB_TASK ? V1_BG_EXEC :
			    V1_EXEC);
		return;
	}
	if (!request_put_end(op))
		op_refuse(op, XERR_EBUSY, "out of memory");
	else if (op->parents) {
		op->step = OP_PARENT;
		op_ask(op, V1_MKDIR_ALL);
	} else
		op_ask(op, V1_WRITE_FILE);
}

static void
on_job_credit(struct chan *c, const struct msg *m)
{
	const struct exec_job_credit	*credit = m->body;
	struct op			*op = op_find(c, m, &credit->job);

	if (op != NULL)
		output_credit(op, credit->stream, credit->upto);
}

/*
 * v1 has no way to cancel: what was not handed over never ran; how the rest
 * ends nobody will know, and its answer is dropped when it comes.
 */
static void
on_job_cancel(struct chan *c, const struct msg *m)
{
	const struct exec_job_cancel	*cancel = m->body;
	struct op			*op = op_find(c, m, &cancel->job);
	bool				 unseen;

	if (op == NULL)
		return;
	if (op->type != EXEC_JOB_START) {
		op_refuse(op, XERR_EIO, "cancelled");
		return;
	}
	if (op->stream != NULL) {
		stream_cancel(op);
		return;
	}
	unseen = !op->handed;
	if (op->out != NULL) {
		unseen = link_unqueue(op->link, op->out);
		op->out = NULL;
	}
	op->code = 0;
	op->how = unseen ? JOB_KILLED : JOB_LOST;
	op_exit(op);
}

static void
on_file_stat(struct chan *c, const struct msg *m)
{
	const struct exec_file_stat	*ask = m->body;
	struct op			*op = op_new_path(c, m, &ask->job,
					    ask->path);

	if (op != NULL)
		op_ask(op, V1_STAT);
}

static void
on_file_list(struct chan *c, const struct msg *m)
{
	const struct exec_file_list	*ask = m->body;
	struct op			*op = op_new_path(c, m, &ask->job,
					    ask->path);

	if (op != NULL)
		op_ask(op, V1_READ_DIR);
}

static void
on_file_mkdir(struct chan *c, const struct msg *m)
{
	const struct exec_file_mkdir	*ask = m->body;
	struct op			*op = op_new_path(c, m, &ask->job,
					    ask->path);

	if (op == NULL)
		return;
	op->mode = ask->mode & 07777;
	if (op->mode == 0)
		op->mode = 0755;
	if (ask->parents)
		op_ask(op, V1_MKDIR_ALL);
	else
		op_refuse(op, XERR_ENOTSUP, "this runner makes directories "
		    "only together with their parents");
}

static void
on_file_remove(struct chan *c, const struct msg *m)
{
	const struct exec_file_remove	*ask = m->body;
	struct op			*op = op_new_path(c, m, &ask->job,
					    ask->path);

	if (op == NULL)
		return;
	op->missing_ok = ask->missing_ok;
	op->recursive = ask->recursive;
	if (request_is_root(op))
		op_refuse(op, XERR_EPERM, "the workspace is not removed");
	else if (!ask->recursive)
		op_ask(op, V1_REMOVE);
	else if (ask->missing_ok)
		op_ask(op, V1_REMOVE_ALL);
	else {
		/* remove_all never says that there was nothing. */
		op->step = OP_LOOK;
		op_ask(op, V1_STAT);
	}
}

static void
on_file_get(struct chan *c, const struct msg *m)
{
	const struct exec_file_get	*ask = m->body;
	struct op			*op = op_new_path(c, m, &ask->job,
					    ask->path);

	if (op == NULL)
		return;
	op->offset = ask->offset;
	op->length = ask->length;
	op->step = OP_LOOK;
	op_ask(op, V1_STAT);
}

static void
on_file_put(struct chan *c, const struct msg *m)
{
	const struct exec_file_put	*ask = m->body;
	struct op			*op = op_new_path(c, m, &ask->job,
					    ask->path);

	if (op == NULL)
		return;
	op->step = OP_INPUT;
	op->mode = ask->mode & 07777;
	if (op->mode == 0)
		op->mode = 0644;
	op->parents = ask->parents;
	op->limit = conf_message_limit < MESSAGE_EXTRA ? 0 :
	    (conf_message_limit - MESSAGE_EXTRA) / 4 * 3;
	if (ask->limit != 0 && ask->limit < op->limit)
		op->limit = ask->limit;
	if (!request_put(op))
		op_refuse(op, XERR_EBUSY, "out of memory");
	else
		input_grant(op, STREAM_FILE);
}

static void
on_job_resize(struct chan *c, const struct msg *m)
{
	const struct exec_job_resize	*resize = m->body;
	struct op			*op = op_find(c, m, &resize->job);

	if (op != NULL && op->stream != NULL)
		stream_resize(op, resize);
}

/* A new op about a task of this runner; NULL: refused. */
static struct op *
op_new_task(struct chan *c, const struct msg *m, const struct id16 *job,
    const struct id16 *task)
{
	struct op *op = op_new(c, m, job);

	if (op == NULL)
		return NULL;
	op->task = *task;
	if (task_find(op->link, task) == NULL) {
		op_refuse(op, XERR_ENOENT, "no such task");
		return NULL;
	}
	return op;
}

static void
on_task_list(struct chan *c, const struct msg *m)
{
	const struct exec_task_list	*ask = m->body;
	struct op			*op = op_new(c, m, &ask->job);

	if (op == NULL)
		return;
	op->begun_us = now_us();
	task_list_next(op);
}

static void
on_task_read(struct chan *c, const struct msg *m)
{
	const struct exec_task_read	*ask = m->body;
	struct op			*op = op_new_task(c, m, &ask->job,
					    &ask->task);

	if (op == NULL)
		return;
	op->follow = ask->follow;
	op->outputs[0].stream = STREAM_STDOUT;
	op->outputs[0].sent = ask->stdout_offset;
	op->outputs[1].stream = STREAM_STDERR;
	op->outputs[1].sent = ask->stderr_offset;
	op_ask(op, V1_BG_STATUS);
}

static void
on_task_kill(struct chan *c, const struct msg *m)
{
	const struct exec_task_kill	*ask = m->body;
	struct op			*op = op_new_task(c, m, &ask->job,
					    &ask->task);

	if (op == NULL)
		return;
	if (task_find(op->link, &op->task)->running)
		op_ask(op, V1_BG_KILL);
	else
		op_done(op);
}

static bool
is_http(struct slice url)
{
	return url.len > 8 && memchr(url.p, '\0', url.len) == NULL &&
	    (strncasecmp(url.p, "http://", 7) == 0 ||
	    strncasecmp(url.p, "https://", 8) == 0);
}

static void
on_fetch(struct chan *c, const struct msg *m)
{
	const struct exec_fetch	*ask = m->body;
	struct op		*op = op_new_path(c, m, &ask->job, ask->path);

	if (op == NULL)
		return;
	op->limit = ask->limit;
	/* An existing runner in docker mode takes every scheme. */
	if (!is_http(ask->url))
		op_refuse(op, XERR_EINVAL, "only http and https");
	else if ((op->url = strndup(ask->url.p, ask->url.len)) == NULL)
		op_refuse(op, XERR_EBUSY, "out of memory");
	else
		op_ask(op, V1_DOWNLOAD_FILE);
}
