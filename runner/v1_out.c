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
 * The executor's answers, collected and turned into replies.
 * Runs in: xbot-runner.  The executor shares its uid with whatever the server
 * runs, so offsets and credit are checked; a wrong one ends it.
 */

#include <sys/stat.h>

#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/v1.h"
#include "proto/exec_msg.h"
#include "proto/jobs.h"
#include "runner/budget.h"
#include "runner/fetch.h"
#include "runner/launch.h"
#include "runner/op.h"
#include "runner/reply.h"
#include "runner/v1_in.h"
#include "runner/v1_llm.h"
#include "runner/v1_out.h"
#include "runner/v1_stream.h"
#include "runner/v1_task.h"

#define WINDOW		(1024 * 1024)	/* bytes a stream may run ahead */
#define WINDOW_ENTRIES	2048		/* the same of a listing */

static int		 out_index(const struct op *, uint8_t);
static uint64_t		 out_window(const struct op *);
static void		 out_grant(struct op *, unsigned int);
static struct evbuffer	*out_take(struct op *, unsigned int);
static void		 out_error(struct op *, enum xerr, struct slice);
static void		 reply_output(struct reply *, struct op *,
			    unsigned int);
static void		 reply_exec(struct op *, int, bool);
static void		 reply_info(struct op *);
static void		 op_cancel(const struct op *);
static bool		 op_changes(const struct op *);
static void		 op_orphan(struct op *);
static void		 on_orphan(struct op *, struct chan *,
			    const struct msg *);

/* Which of out[] a stream is, -1 if this operation has none such. */
static int
out_index(const struct op *op, uint8_t stream)
{
	if (op->type == V1_EXEC)
		return stream == STREAM_STDOUT ? 0 :
		    stream == STREAM_STDERR ? 1 : -1;
	return stream == STREAM_FILE && op->type == V1_READ_FILE ? 0 : -1;
}

static uint64_t
out_window(const struct op *op)
{
	return op->type == V1_READ_DIR ? WINDOW_ENTRIES : WINDOW;
}

/* Credit again once half of it is used: not a message for each message. */
static void
out_grant(struct op *op, unsigned int i)
{
	struct exec_job_credit	 credit = { .job = op->job };

	if (op->credit[i] - op->got[i] > out_window(op) / 2)
		return;
	op->credit[i] = op->got[i] + out_window(op);
	credit.stream = op->type != V1_EXEC ? STREAM_FILE :
	    i == 0 ? STREAM_STDOUT : STREAM_STDERR;
	credit.upto = op->credit[i];
	launch_send(EXEC_JOB_CREDIT, &credit);
}

void
v1_out_open(struct op *op)
{
	if (op->type == V1_EXEC || op->type == V1_READ_FILE ||
	    op->type == V1_READ_DIR)
		out_grant(op, 0);
	if (op->type == V1_EXEC)
		out_grant(op, 1);
}

static struct evbuffer *
out_take(struct op *op, unsigned int i)
{
	struct evbuffer	*eb = op->out[i];

	op->out[i] = NULL;
	return eb;
}

static void
out_error(struct op *op, enum xerr code, struct slice text)
{
	if (op->answer != on_orphan)
		reply_error(op_id(op), slice_str(v1_type_name(op->type)),
		    code, text);
	op_free(op);
}

static void
op_cancel(const struct op *op)
{
	struct exec_job_cancel	 cancel = { .job = op->job };

	launch_send(EXEC_JOB_CANCEL, &cancel);
}

void
v1_out_fail(struct op *op, enum xerr code, const char *text)
{
	op_cancel(op);
	out_error(op, code, slice_str(text));
}

void
v1_out_lost(void)
{
	struct op	*op;

	while ((op = op_any()) != NULL)
		out_error(op, XERR_EIO,
		    slice_str("the executor ended before it had answered"));
	while ((op = op_answered_by(on_orphan)) != NULL)
		op_free(op);
}

void
v1_out_abandon(void)
{
	struct op	*op;

	v1_stream_abandon();
	v1_task_away();
	v1_llm_abandon();
	while ((op = op_any()) != NULL) {
		if (op_changes(op)) {
			op_orphan(op);
			continue;
		}
		if (op->fetch != NULL)
			fetch_cancel(op->fetch);
		else
			op_cancel(op);
		op_free(op);
	}
}

/* -- without the connection that asked -- */

/* Half of it would be worse than all of it. */
static bool
op_changes(const struct op *op)
{
	return op->type == V1_EXEC || op->type == V1_WRITE_FILE ||
	    op->type == V1_MKDIR_ALL || op->type == V1_REMOVE ||
	    op->type == V1_REMOVE_ALL;
}

/* It runs to its end, as existing runners have it; nobody hears of it. */
static void
op_orphan(struct op *op)
{
	size_t	 i, n;

	op->stays = true;
	op->answer = on_orphan;
	for (i = 0; i < 2; i++) {
		n = evbuffer_get_length(op->out[i]);
		evbuffer_drain(op->out[i], n);
		budget_give(n);
	}
}

static void
on_orphan(struct op *op, struct chan *c, const struct msg *m)
{
	const union exec_any	*b = m->body;
	int			 i;

	switch (m->type) {
	case EXEC_JOB_STARTED:
	case EXEC_JOB_EOF:
		return;
	case EXEC_JOB_CREDIT:
		v1_out_credit(c, m);
		return;
	case EXEC_JOB_DATA:
		i = out_index(op, b->job_data.stream);
		if (i == -1 || b->job_data.offset != op->got[i] ||
		    b->job_data.bytes.len > op->credit[i] - op->got[i]) {
			chan_refuse(c, "data out of place");
			return;
		}
		op->got[i] += b->job_data.bytes.len;
		out_grant(op, (unsigned int)i);
		return;
	default:
		op_free(op);
	}
}

void
v1_out_started(struct chan *c, const struct msg *m)
{
	const struct exec_job_started	*b = m->body;
	struct op			*op;
	char				 vid[80];

	if ((op = op_find(&b->job)) != NULL)
		log_debug("%s is process %u",
		    log_vis(vid, sizeof(vid), op->id, op->idlen), b->pid);
}

void
v1_out_refused(struct chan *c, const struct msg *m)
{
	const struct exec_job_refused	*b = m->body;
	struct op			*op;
	char				 text[1100];

	if ((op = op_find(&b->job)) == NULL)
		return;
	if (op->type != V1_EXEC) {
		out_error(op, b->code, b->text);
		return;
	}
	snprintf(text, sizeof(text), "exec error: %.*s", (int)b->text.len,
	    b->text.len > 0 ? (const char *)b->text.p : "");
	out_error(op, XERR_EIO, slice_str(text));
}

void
v1_out_data(struct chan *c, const struct msg *m)
{
	const struct exec_job_data	*b = m->body;
	struct op			*op;
	int				 i;
	size_t				 room;

	if ((op = op_find(&b->job)) == NULL)
		return;
	if ((i = out_index(op, b->stream)) == -1 || b->offset != op->got[i] ||
	    b->bytes.len > op->credit[i] - op->got[i]) {
		chan_refuse(c, "data out of place");
		return;
	}
	op->got[i] += b->bytes.len;
	room = op->type == V1_EXEC ? BUDGET_STREAM : BUDGET_FILE;
	if (op->dropped[i] == 0 && op->got[i] <= room &&
	    op_collect(op, (unsigned int)i, b->bytes.p, b->bytes.len)) {
		out_grant(op, (unsigned int)i);
		return;
	}
	if (op->type != V1_EXEC) {
		v1_out_fail(op, XERR_E2BIG, op->got[i] > room ?
		    "the file is too large for this protocol" :
		    "the runner has no memory left for this file");
		return;
	}
	/* The command must not notice: it would block until its timeout. */
	op->dropped[i] += b->bytes.len;
	out_grant(op, (unsigned int)i);
}

void
v1_out_credit(struct chan *c, const struct msg *m)
{
	const struct exec_job_credit	*b = m->body;
	struct op			*op;

	if ((op = op_find(&b->job)) == NULL || b->stream != op->in_stream ||
	    b->upto <= op->in_credit)
		return;
	op->in_credit = b->upto;
	v1_in_feed(op);
}

/* What is missing at its end is said, there is no other place for it. */
static void
reply_output(struct reply *r, struct op *op, unsigned int i)
{
	reply_text(r, out_take(op, i));
	if (op->dropped[i] > 0) {
		reply_json(r, "\\n");
		reply_dropped(r, op->dropped[i]);
	}
}

static void
reply_exec(struct op *op, int code, bool timed_out)
{
	struct reply	*r;
	char		 vid[80];

	log_vis(vid, sizeof(vid), op->id, op->idlen);
	log_info("exec %s: exit %d%s, stdout %llu stderr %llu bytes, %llu ms",
	    vid, code, timed_out ? " (timed out)" : "",
	    (unsigned long long)op->got[0], (unsigned long long)op->got[1],
	    (unsigned long long)(clock_ms() - op->start_ms));
	if (op->dropped[0] > 0 || op->dropped[1] > 0)
		log_warnx("exec %s: too much output, %llu and %llu bytes "
		    "dropped", vid, (unsigned long long)op->dropped[0],
		    (unsigned long long)op->dropped[1]);
	r = reply_new(op_id(op), V1_EXEC_RESULT);
	reply_json(r, ",\"body\":{\"stdout\":\"");
	reply_output(r, op, 0);
	reply_json(r, "\",\"stderr\":\"");
	reply_output(r, op, 1);
	reply_json(r, "\",\"exit_code\":%d,\"timed_out\":%s}}", code,
	    timed_out ? "true" : "false");
	op_free(op);
	reply_queue(r);
}

void
v1_out_exit(struct chan *c, const struct msg *m)
{
	const struct exec_job_exit	*b = m->body;
	struct op			*op;

	if ((op = op_find(&b->job)) == NULL)
		return;
	if (op->type != V1_EXEC)
		chan_refuse(c, "exit of something that is no process");
	else if (b->how == JOB_LOST)
		out_error(op, XERR_EIO,
		    slice_str("exec error: nobody knows how it ended"));
	else
		reply_exec(op, b->how == JOB_EXITED ? b->code : -1,
		    b->how == JOB_TIMED_OUT);
}

void
v1_out_info(struct chan *c, const struct msg *m)
{
	const struct exec_file_info	*b = m->body;
	struct op			*op;

	if ((op = op_find(&b->job)) == NULL)
		return;
	if (op->type == V1_READ_FILE && b->size > BUDGET_FILE) {
		v1_out_fail(op, XERR_E2BIG,
		    "the file is too large for this protocol");
		return;
	}
	if (op->type != V1_STAT || op->informed)
		return;
	if (!op_collect(op, 0, b->name.p, b->name.len)) {
		v1_out_fail(op, XERR_EIO, "the runner has no memory left");
		return;
	}
	op->informed = true;
	op->size = b->size;
	op->mode = b->mode;
	op->mtime_ns = b->mtime_ns;
}

static void
reply_info(struct op *op)
{
	struct reply	*r;
	char		 when[V1_TIME_MAX];
	int64_t		 seconds = op->mtime_ns / 1000000000;

	if (op->mtime_ns % 1000000000 < 0)
		seconds--;
	v1_time_format(when, seconds);
	r = reply_new(op_id(op), V1_FILE_INFO);
	reply_json(r, ",\"body\":{\"name\":\"");
	reply_text(r, out_take(op, 0));
	reply_json(r, "\",\"size\":%llu,\"mode\":%u,\"mod_time\":\"%s\","
	    "\"is_dir\":%s}}", (unsigned long long)op->size,
	    v1_mode_to_go(op->mode), when,
	    S_ISDIR(op->mode) ? "true" : "false");
	op_free(op);
	reply_queue(r);
}

void
v1_out_entries(struct chan *c, const struct msg *m)
{
	const struct exec_file_entries	*b = m->body;
	struct op			*op;
	struct buf			 text = { 0 };
	struct jsonw			 w;
	uint32_t			 i;

	if ((op = op_find(&b->job)) == NULL)
		return;
	if (op->type != V1_READ_DIR || b->offset != op->got[0] ||
	    b->modes.n != b->names.n || b->sizes.n != b->names.n ||
	    b->names.n > op->credit[0] - op->got[0]) {
		chan_refuse(c, "entries out of place");
		return;
	}
	for (i = 0; i < b->names.n; i++) {
		if (op->got[0]++ > 0 && buf_add(&text, ",", 1) == -1)
			fatalx("out of memory");
		jsonw_init(&w, &text);
		jsonw_object(&w, NULL);
		jsonw_str(&w, "name", b->names.v[i]);
		jsonw_bool(&w, "is_dir", S_ISDIR(b->modes.v[i]));
		jsonw_uint(&w, "size", b->sizes.v[i]);
		jsonw_end(&w);
		if (!jsonw_ok(&w))
			fatalx("out of memory");
	}
	if (evbuffer_get_length(op->out[0]) + text.len > BUDGET_FILE ||
	    !op_collect(op, 0, buf_data(&text), text.len))
		v1_out_fail(op, XERR_E2BIG, "the directory is too large");
	else
		out_grant(op, 0);
	buf_clear(&text);
}

void
v1_out_done(struct chan *c, const struct msg *m)
{
	const struct exec_job_done	*b = m->body;
	struct op			*op;
	struct reply			*r;

	if ((op = op_find(&b->job)) == NULL)
		return;
	if (op->type == V1_EXEC || (op->type == V1_STAT && !op->informed)) {
		chan_refuse(c, "done out of place");
		return;
	}
	if (op->type == V1_STAT) {
		reply_info(op);
		return;
	}
	r = reply_new(op_id(op), v1_type_reply(op->type));
	if (op->type == V1_READ_FILE) {
		reply_json(r, ",\"body\":{\"data\":\"");
		reply_base64(r, out_take(op, 0));
		reply_json(r, "\"}}");
	} else if (op->type == V1_READ_DIR) {
		reply_json(r, ",\"body\":{\"entries\":[");
		reply_raw(r, out_take(op, 0));
		reply_json(r, "]}}");
	} else
		reply_json(r, "}");
	op_free(op);
	reply_queue(r);
}
