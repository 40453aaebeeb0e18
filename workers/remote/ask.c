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
 * What front asks of a runner of version 1, by message: files, tasks,
 * downloads, and what becomes of an operation that is under way.
 * Runs in: remote.  Trusts front to mean it, not to be right.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "workers/remote/llm.h"
#include "workers/remote/remote.h"

static void	on_job_credit(struct chan *, const struct msg *);
static void	on_job_cancel(struct chan *, const struct msg *);
static void	on_job_resize(struct chan *, const struct msg *);
static void	on_file_stat(struct chan *, const struct msg *);
static void	on_file_list(struct chan *, const struct msg *);
static void	on_file_mkdir(struct chan *, const struct msg *);
static void	on_file_remove(struct chan *, const struct msg *);
static void	on_file_get(struct chan *, const struct msg *);
static void	on_file_put(struct chan *, const struct msg *);
static void	on_fetch(struct chan *, const struct msg *);
static void	on_task_list(struct chan *, const struct msg *);
static void	on_task_read(struct chan *, const struct msg *);
static void	on_task_kill(struct chan *, const struct msg *);

static const struct {
	uint16_t	 type;
	void		(*handler)(struct chan *, const struct msg *);
} messages[] = {
	{ EXEC_JOB_START, input_on_start },
	{ EXEC_JOB_DATA, input_on_data },
	{ EXEC_JOB_CREDIT, on_job_credit },
	{ EXEC_JOB_EOF, input_on_eof },
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

void
ask_message(struct chan *c, const struct msg *m)
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

/* --- what is under way --- */

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
on_job_resize(struct chan *c, const struct msg *m)
{
	const struct exec_job_resize	*resize = m->body;
	struct op			*op = op_find(c, m, &resize->job);

	if (op != NULL && op->stream != NULL)
		stream_resize(op, resize);
}

/* --- files --- */

/* A new op on a path; NULL: refused. */
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
		op_grant(op, STREAM_FILE, INPUT_WINDOW);
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

/* --- tasks --- */

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
	op->begun_us = clock_us();
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
