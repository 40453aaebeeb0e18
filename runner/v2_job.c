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
 * What came over the link and has not ended: which of it is a session's, what
 * input it may be given, what credit it must wait for.  Runs in: xbot-runner.
 * Input is hostile: the server may be anybody's.
 */

#include <sys/queue.h>
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/chan.h"
#include "base/log.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"
#include "proto/jobs.h"
#include "runner/fetch.h"
#include "runner/launch.h"
#include "runner/llm.h"
#include "runner/v2.h"
#include "runner/v2_job.h"
#include "runner/v2_llm.h"
#include "runner/v2_log.h"

#define BUCKETS		256	/* job ids are random */
#define JOBS_MAX	1024	/* as many as an executor takes */
#define STREAMS		4
#define NO_INPUT	255
#define LLM_WINDOW	(1024 * 1024)	/* of a call's body */

/* What the server asked for and what has not ended. */
struct job {
	LIST_ENTRY(job)	 entry;
	struct id16	 id;
	bool		 process;	/* of a session; ends with job_exit */
	bool		 task;		/* ours until it has all its input */
	bool		 started;
	bool		 in_eof;
	uint8_t		 input;		/* the stream that it reads */
	uint64_t	 in_sent, in_credit;
	struct fetch	*fetch;		/* borrowed */
	struct v2_llm	*llm;		/* owned; or NULL */
	char		*name;		/* of a fetched file; owned */
	uint64_t	 held[STREAMS];	/* credit, while the link is full */
	struct v2_log	 log;
};

static LIST_HEAD(, job)	 buckets[BUCKETS];
static size_t		 njobs;
static bool		 holding;	/* some job's credit */

static struct job	*job_find(const struct id16 *);
static void		 job_end(struct job *);
static void		 job_drop(struct job *);
static struct job	*job_open(const struct msg *);
static void		 job_eof(struct job *);
static void		 refuse(const char *, const struct id16 *, enum xerr,
			    const char *);
static void		 on_fetched(void *, const struct fetched *);
static void		 on_llm_ended(void *);
static void		 llm_input(struct job *, struct slice);

/* Whatever opens an operation, or is about one, begins with its job. */
_Static_assert(offsetof(struct exec_file_stat, job) == 0 &&
    offsetof(struct exec_file_list, job) == 0 &&
    offsetof(struct exec_file_mkdir, job) == 0 &&
    offsetof(struct exec_file_remove, job) == 0 &&
    offsetof(struct exec_file_get, job) == 0 &&
    offsetof(struct exec_file_put, job) == 0 &&
    offsetof(struct exec_file_hash, job) == 0 &&
    offsetof(struct exec_task_list, job) == 0 &&
    offsetof(struct exec_task_read, job) == 0 &&
    offsetof(struct exec_task_kill, job) == 0 &&
    offsetof(struct exec_fetch, job) == 0 &&
    offsetof(struct exec_llm_call, job) == 0 &&
    offsetof(struct exec_job_start, job) == 0, "job_open");

static struct job *
job_find(const struct id16 *id)
{
	struct job	*j;

	LIST_FOREACH(j, &buckets[id->b[0]], entry)
		if (memcmp(&j->id, id, sizeof(*id)) == 0)
			return j;
	return NULL;
}

static void
job_drop(struct job *j)
{
	LIST_REMOVE(j, entry);
	njobs--;
	v2_llm_free(j->llm);
	free(j->name);
	free(j);
}

/* It cannot go on: the server is told what became of it. */
static void
job_end(struct job *j)
{
	struct exec_job_exit	 lost = { .job = j->id, .how = JOB_LOST };
	struct id16		 id = j->id;
	bool			 started = j->process && j->started;
	const char		*what = j->log.what;

	if (started)
		v2_log_ended(&j->log, &lost);
	job_drop(j);
	if (started)
		v2_send(EXEC_JOB_EXIT, &lost);
	else
		refuse(what, &id, XERR_EIO, "the executor ended");
}

/* NULL: it was refused. */
static struct job *
job_open(const struct msg *m)
{
	const struct id16	*id = m->body;
	struct job		*j;

	if (job_find(id) != NULL) {
		v2_refuse("a job id that is in use");
		return NULL;
	}
	if (njobs >= JOBS_MAX) {
		refuse(m->desc->name, id, XERR_EBUSY,
		    "too many operations on this runner");
		return NULL;
	}
	if (!launch_up()) {
		refuse(m->desc->name, id, XERR_EOFFLINE,
		    "the executor is being restarted");
		return NULL;
	}
	if ((j = calloc(1, sizeof(*j))) == NULL)
		fatalx("out of memory");
	j->id = *id;
	v2_log_open(&j->log, m);
	j->input = m->type == EXEC_JOB_START || m->type == EXEC_LLM_CALL ?
	    STREAM_STDIN : m->type == EXEC_FILE_PUT ? STREAM_FILE : NO_INPUT;
	LIST_INSERT_HEAD(&buckets[id->b[0]], j, entry);
	njobs++;
	return j;
}

static void
job_eof(struct job *j)
{
	struct exec_job_eof	 eof = { .job = j->id, .stream = j->input,
				    .offset = j->in_sent };

	j->in_eof = true;
	launch_send(EXEC_JOB_EOF, &eof);
}

void
v2_jobs_cancel(void)
{
	struct exec_job_cancel	 cancel;
	struct job		*j;
	size_t			 i;

	if (njobs > 0)
		log_info("%zu operations of lost sessions are cancelled",
		    njobs);
	for (i = 0; i < BUCKETS; i++) {
		while ((j = LIST_FIRST(&buckets[i])) != NULL) {
			cancel.job = j->id;
			if (j->fetch != NULL)
				fetch_cancel(j->fetch);
			else if (j->llm != NULL)
				;	/* its connection goes with it */
			else if (!j->task)
				launch_send(EXEC_JOB_CANCEL, &cancel);
			else if (!j->in_eof)
				job_eof(j);
			job_drop(j);
		}
	}
	holding = false;
}

void
v2_on_forward(const struct msg *m)
{
	launch_send(m->type, m->body);
}

/*
 * Checked here, for the executor would take it for our fault and end, with the
 * tasks of everybody.  Of a job that has ended it is late, no more.
 */
void
v2_on_input(const struct msg *m)
{
	const struct exec_job_data	*b = m->body;
	struct job			*j = job_find(&b->job);

	if (j == NULL)
		return;
	if (b->stream != j->input || j->in_eof || b->offset != j->in_sent ||
	    b->bytes.len > j->in_credit - j->in_sent) {
		v2_refuse("input beyond its credit or out of order");
		return;
	}
	j->in_sent += b->bytes.len;
	if (j->llm != NULL)
		llm_input(j, b->bytes);
	else
		launch_send(m->type, m->body);
}

void
v2_on_eof(const struct msg *m)
{
	const struct exec_job_eof	*b = m->body;
	struct job			*j = job_find(&b->job);

	/* What has no body may say so. */
	if (j == NULL || (j->llm != NULL && j->in_eof))
		return;
	if (b->stream != j->input || j->in_eof || b->offset != j->in_sent) {
		v2_refuse("end of input out of order");
		return;
	}
	if (j->llm != NULL) {
		j->in_eof = true;
		v2_llm_eof(j->llm);
		return;
	}
	job_eof(j);
	if (j->task && j->started)
		job_drop(j);
}

void
v2_on_start(const struct msg *m)
{
	const struct exec_job_start	*b = m->body;
	struct job			*j;

	if (b->kind > JOB_PTY) {
		refuse(m->desc->name, &b->job, XERR_ENOTSUP,
		    "no such kind of job");
		return;
	}
	if ((j = job_open(m)) == NULL)
		return;
	j->task = b->kind == JOB_TASK;
	j->process = !j->task;
	launch_send(m->type, m->body);
}

void
v2_on_open(const struct msg *m)
{
	if (job_open(m) != NULL)
		launch_send(m->type, m->body);
}

void
v2_on_cancel(const struct msg *m)
{
	const struct exec_job_cancel	*b = m->body;
	struct job			*j = job_find(&b->job);
	const char			*what;

	if (j == NULL || (j->fetch == NULL && j->llm == NULL)) {
		launch_send(m->type, m->body);
		return;
	}
	fetch_cancel(j->fetch);
	what = j->log.what;
	job_drop(j);
	refuse(what, &b->job, XERR_EIO, "cancelled");
}

static void
job_credit(struct job *j, const struct exec_job_credit *credit)
{
	if (j == NULL || j->llm == NULL)
		launch_send(EXEC_JOB_CREDIT, credit);
	else if (credit->stream == STREAM_FILE)
		v2_llm_credit(j->llm, credit->upto);
}

/* While the link is full, whoever produces gets no more of it. */
void
v2_on_credit(const struct msg *m)
{
	const struct exec_job_credit	*b = m->body;
	struct job			*j = job_find(&b->job);

	if (!v2_is_full() || b->stream >= STREAMS || j == NULL) {
		job_credit(j, b);
		return;
	}
	if (b->upto > j->held[b->stream])
		j->held[b->stream] = b->upto;
	holding = true;
}

void
v2_jobs_release(void)
{
	struct exec_job_credit	 credit;
	struct job		*j;
	size_t			 i;

	if (!holding)
		return;
	holding = false;
	for (i = 0; i < BUCKETS; i++) {
		LIST_FOREACH(j, &buckets[i], entry) {
			credit.job = j->id;
			for (credit.stream = 0; credit.stream < STREAMS;
			    credit.stream++) {
				credit.upto = j->held[credit.stream];
				j->held[credit.stream] = 0;
				if (credit.upto > 0)
					job_credit(j, &credit);
			}
		}
	}
}

/* -- downloads: our own -- */

void
v2_on_fetch(const struct msg *m)
{
	const struct exec_fetch	*b = m->body;
	struct fetched		 why;
	struct job		*j;
	const char		*cut, *path = b->path.p;

	if ((j = job_open(m)) == NULL)
		return;
	j->fetch = fetch_start(b->url, b->path,
	    b->limit > 0 ? b->limit : FETCH_LIMIT, on_fetched, j, &why);
	if (j->fetch == NULL) {
		job_drop(j);
		refuse(m->desc->name, &b->job, why.code, why.why);
		return;
	}
	if (b->path.len > 0 && path != NULL) {
		cut = memrchr(path, '/', b->path.len);
		cut = cut != NULL ? cut + 1 : path;
		j->name = strndup(cut, b->path.len - (size_t)(cut - path));
	}
}

static void
on_fetched(void *arg, const struct fetched *f)
{
	struct job		*j = arg;
	struct exec_job_done	 done = { .job = j->id };
	struct exec_file_info	 info = { .job = j->id, .size = f->size,
				    .mode = S_IFREG | 0644 };
	const char		*what;
	char			 name[257];

	info.mtime_ns = (int64_t)time(NULL) * 1000000000;
	snprintf(name, sizeof(name), "%s", j->name != NULL ? j->name : "");
	info.name = slice_str(name);
	what = j->log.what;
	job_drop(j);
	if (f->code != XERR_NONE) {
		refuse(what, &done.job, f->code, f->why);
		return;
	}
	v2_send(EXEC_FILE_INFO, &info);
	v2_send(EXEC_JOB_DONE, &done);
}

/* -- language models: the provider is asked by ourselves -- */

static void
llm_grant(struct job *j)
{
	const struct exec_job_credit	 credit = { j->id, STREAM_STDIN,
					    j->in_sent + LLM_WINDOW };

	if (j->in_credit - j->in_sent > LLM_WINDOW / 2)
		return;
	j->in_credit = credit.upto;
	v2_send(EXEC_JOB_CREDIT, &credit);
}

void
v2_on_llm_call(const struct msg *m)
{
	const struct exec_llm_call	*b = m->body;
	struct job			*j;
	const char			*why;
	enum xerr			 code;

	if ((j = job_open(m)) == NULL)
		return;
	if ((j->llm = v2_llm_new(b, on_llm_ended, j, &code, &why)) == NULL) {
		job_drop(j);
		refuse(m->desc->name, &b->job, code, why);
	} else if (b->what == LLM_MODELS) {
		j->in_eof = true;
		v2_llm_eof(j->llm);
	} else
		llm_grant(j);
}

static void
llm_input(struct job *j, struct slice bytes)
{
	const struct id16	 id = j->id;
	const char		*what = j->log.what;

	if (v2_llm_input(j->llm, bytes)) {
		llm_grant(j);
		return;
	}
	job_drop(j);
	refuse(what, &id, XERR_E2BIG,
	    "the request is too large for this runner");
}

static void
on_llm_ended(void *arg)
{
	struct job	*j = arg;

	j->llm = NULL;		/* it has freed itself */
	job_drop(j);
}

void
v2_on_llm_settings(const struct msg *m)
{
	const struct exec_llm_settings	*b = m->body;
	const struct exec_job_done	 done = { b->job };
	const char			*why;
	enum xerr			 code = llm_change(b, &why);

	/* The frame is the connection's memory, and used again. */
	if (b->key.len > 0)
		explicit_bzero((void *)(uintptr_t)b->key.p, b->key.len);
	if (code != XERR_NONE)
		refuse(m->desc->name, &b->job, code, why);
	else
		v2_send(EXEC_JOB_DONE, &done);
}

/* -- to the server -- */

static void
refuse(const char *what, const struct id16 *id, enum xerr code,
    const char *text)
{
	struct exec_job_refused	 r = { .job = *id, .code = (uint8_t)code,
				    .text = slice_str(text) };

	v2_log_refused(what, id, code, r.text);
	v2_send(EXEC_JOB_REFUSED, &r);
}

void
v2_answer(struct chan *c, const struct msg *m)
{
	const union exec_any	*b = m->body;
	struct job		*j = job_find(&b->job_done.job);
	struct buf		 frame;

	/* Late answers to what was cancelled are for nobody. */
	if (!v2_is_used())
		return;
	if (j != NULL)
		v2_log_answer(&j->log, m);
	if (j != NULL && m->type == EXEC_JOB_STARTED) {
		j->started = true;
		if (j->task && j->in_eof)
			job_drop(j);
	} else if (j != NULL && m->type == EXEC_JOB_CREDIT) {
		if (b->job_credit.stream == j->input &&
		    b->job_credit.upto > j->in_credit)
			j->in_credit = b->job_credit.upto;
	} else if (j != NULL && (m->type == EXEC_JOB_EXIT ||
	    m->type == EXEC_JOB_DONE || m->type == EXEC_JOB_REFUSED))
		job_drop(j);
	/* Bulk goes on as it came, without a copy. */
	if (m->type == EXEC_JOB_DATA && b->job_data.bytes.len >= FRAME_BULK &&
	    chan_take_frame(c, &frame))
		v2_send_frame(&frame);
	else
		v2_send(m->type, m->body);
}

void
v2_lost(void)
{
	struct job	*j;
	size_t		 i;

	/* From the start again each time: an end may be the link's. */
	for (i = 0; i < BUCKETS; i++)
		for (j = LIST_FIRST(&buckets[i]); j != NULL; )
			if (j->llm == NULL) {
				job_end(j);
				j = LIST_FIRST(&buckets[i]);
			} else
				j = LIST_NEXT(j, entry);
}

size_t
v2_jobs(void)
{
	return njobs;
}
