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
 * What front sends along with a question, collected until its end: the input
 * of a command, a file, the body of a call of a language model.
 * Runs in: remote.  Front's messages are checked for order and credit.
 */

#include <stdio.h>

#include "base/chan.h"
#include "workers/remote/llm.h"
#include "workers/remote/remote.h"

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

void
input_on_start(struct chan *c, const struct msg *m)
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
		op_grant(op, STREAM_STDIN, INPUT_WINDOW);
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

void
input_on_data(struct chan *c, const struct msg *m)
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
		op_grant(op, data->stream, INPUT_WINDOW);
}

void
input_on_eof(struct chan *c, const struct msg *m)
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
