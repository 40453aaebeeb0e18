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
 * Operations that a runner of version 2 knows itself: messages go on between
 * front's session and the runner as they are.  Runs in: remote.
 * Front is ours; the runner is hostile, and may send about what it was asked
 * for, as far as front's credit goes.
 */

#include <stdlib.h>
#include <string.h>

#include "base/chan.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/frame.h"
#include "workers/remote/remote.h"

#define JOBS_MAX	1024	/* of one runner, ended ones included */
#define JOB_COST	4096	/* of the budget that has to be left */

/* Every message begins with its operation's id; these open one. */
static const uint16_t opening[] = {
	EXEC_JOB_START, EXEC_FILE_STAT, EXEC_FILE_LIST,
	EXEC_FILE_MKDIR, EXEC_FILE_REMOVE, EXEC_FILE_GET, EXEC_FILE_PUT,
	EXEC_FILE_HASH, EXEC_TASK_LIST, EXEC_TASK_READ, EXEC_TASK_KILL,
	EXEC_FETCH, EXEC_LLM_CALL, EXEC_LLM_SETTINGS,
};

static bool
job_opens(uint16_t type)
{
	size_t i;

	for (i = 0; i < sizeof(opening) / sizeof(opening[0]); i++)
		if (opening[i] == type)
			return true;
	return false;
}

static struct job *
job_find(const struct v2 *v, const struct id16 *id)
{
	struct table_node	*n;
	struct job		*j;

	for (n = table_find(&v->jobs, table_key(*id)); n != NULL;
	    n = table_same(n)) {
		j = container_of(n, struct job, node);
		if (memcmp(&j->id, id, sizeof(*id)) == 0)
			return j;
	}
	return NULL;
}

void
job_free(struct v2 *v, struct job *j)
{
	if (j->session != NULL)
		LIST_REMOVE(j, entry);
	if (j->other && --v->nothers == 0)
		v2_bulk_allow(v);
	table_remove(&v->jobs, &j->node);
	free(j->provider);
	free(j->model);
	free(j);
}

static void
job_refuse(struct session *s, const struct id16 *id, enum xerr code,
    const char *text)
{
	const struct exec_job_refused refused = { *id, (uint8_t)code,
	    slice_str(text) };

	chan_send(session_peer(s), EXEC_JOB_REFUSED, s->serial, &refused);
}

/* NULL and *why. */
static struct job *
job_new(struct session *s, const struct id16 *id, const char **why)
{
	struct v2	*v = s->v2;
	struct job	*j;

	*why = "too much is going on at this runner";
	if (v->jobs.n >= JOBS_MAX)
		return NULL;
	*why = "an operation with this id is still running";
	if (job_find(v, id) != NULL)
		return NULL;
	*why = "too much is on its way to runners at the moment";
	if (!budget_take(JOB_COST))
		return NULL;
	budget_give(JOB_COST);
	*why = "out of memory";
	if ((j = calloc(1, sizeof(*j))) == NULL ||
	    !table_add(&v->jobs, &j->node, table_key(*id))) {
		free(j);
		return NULL;
	}
	j->id = *id;
	j->session = s;
	LIST_INSERT_HEAD(&s->jobs, j, entry);
	/* Front hears it before the runner hears of the job. */
	if ((j->other = s->peer != ROLE_FRONT) && v->nothers++ == 0)
		v2_bulk_allow(v);
	return j;
}

/* What is so when it was done; the key goes through and is not kept. */
static void
job_settings(struct job *j, const struct exec_llm_settings *b)
{
	j->provider = strndup(b->provider.len > 0 ? b->provider.p : "",
	    b->provider.len);
	j->model = strndup(b->model.len > 0 ? b->model.p : "", b->model.len);
}

static void
job_open(struct session *s, const struct msg *m)
{
	const struct exec_job_start	*start = m->body;
	const struct id16		*id = m->body;
	const char			*why;
	struct job			*j = job_new(s, id, &why);

	if (j == NULL) {
		job_refuse(s, id, XERR_EBUSY, why);
		return;
	}
	j->type = m->type;
	j->task = m->type == EXEC_JOB_START && start->kind == JOB_TASK;
	if (m->type == EXEC_LLM_SETTINGS)
		job_settings(j, m->body);
	v2_send(s->v2, m->type, m->body);
}

void
job_message(struct session *s, const struct msg *m)
{
	const struct exec_job_credit	*credit = m->body;
	const struct id16		*id = m->body;
	struct job			*j;

	if (job_opens(m->type)) {
		job_open(s, m);
		return;
	}
	if ((j = job_find(s->v2, id)) == NULL || j->session != s)
		return;
	if (m->type == EXEC_JOB_CREDIT && credit->stream < STREAMS &&
	    credit->upto > j->upto[credit->stream])
		j->upto[credit->stream] = credit->upto;
	v2_send(s->v2, m->type, m->body);
}

void
on_bulk_data(struct chan *c, const struct msg *m)
{
	const struct ctl_bulk_data	*b = m->body;
	const struct exec_job_data	 head = { .job = b->job,
					    .stream = b->stream,
					    .offset = b->offset };
	struct session			*s = session_find(c, m->serial);
	struct job			*j = NULL;

	if (b->len < FRAME_BULK || b->len > FRAME_CHUNK ||
	    (s != NULL && s->v2 == NULL)) {
		chan_refuse(c, "bulk_data where it was not asked for");
		return;
	}
	if (s != NULL)
		j = job_find(s->v2, &b->job);
	if (j != NULL && j->session == s)
		v2_send_bulk(s->v2, &head, b->bulk, b->len);
	else
		bulk_free(b->bulk);
}

void
jobs_cancel(struct session *s)
{
	struct exec_job_cancel	 cancel;
	struct job		*j;

	while ((j = LIST_FIRST(&s->jobs)) != NULL) {
		if (j->task) {
			job_free(s->v2, j);
			continue;
		}
		/* It is kept until the runner has ended it. */
		LIST_REMOVE(j, entry);
		j->session = NULL;
		cancel.job = j->id;
		v2_send(s->v2, EXEC_JOB_CANCEL, &cancel);
	}
}

/* --- from the runner --- */

/* n bytes, or entries, from that offset on. */
static const char *
job_progress(struct job *j, uint8_t stream, uint64_t offset, uint64_t n)
{
	if (stream >= STREAMS || offset < j->got[stream])
		return "data that goes back";
	if (offset > j->upto[stream] || n > j->upto[stream] - offset)
		return "data beyond its credit";
	j->got[stream] = offset + n;
	return NULL;
}

static const char *
job_check(struct job *j, const struct msg *m)
{
	const struct exec_job_data	*data = m->body;
	const struct exec_file_entries	*entries = m->body;

	if (m->type == EXEC_JOB_DATA)
		return job_progress(j, data->stream, data->offset,
		    data->bytes.len);
	if (m->type == EXEC_FILE_ENTRIES)
		return job_progress(j, STREAM_FILE, entries->offset,
		    entries->names.n);
	return NULL;
}

/* Nobody fills what is full: front gets that credit later. */
static bool
job_hold(struct v2 *v, struct job *j, const struct msg *m)
{
	const struct exec_job_credit *credit = m->body;

	if (m->type != EXEC_JOB_CREDIT || credit->stream >= STREAMS ||
	    !exlink_is_full(&v->x))
		return false;
	if (credit->upto > j->held[credit->stream])
		j->held[credit->stream] = credit->upto;
	v->holding = true;
	return true;
}

const char *
job_answer(struct v2 *v, const struct msg *m)
{
	const struct id16	*id = m->body;
	struct job		*j = job_find(v, id);
	const char		*why;

	if (j == NULL)		/* our cancel has crossed its end */
		return NULL;
	if (j->session != NULL) {
		if ((why = job_check(j, m)) != NULL)
			return why;
		if (job_hold(v, j, m))
			return NULL;
		chan_forward(session_peer(j->session), m,
		    j->session->serial);
	}
	if (m->type == EXEC_JOB_DONE && j->type == EXEC_LLM_SETTINGS &&
	    v->conn != NULL)
		register_llm(v->conn, j->provider, j->model);
	if (m->type == EXEC_JOB_EXIT || m->type == EXEC_JOB_DONE ||
	    m->type == EXEC_JOB_REFUSED)
		job_free(v, j);
	return NULL;
}

const char *
job_bulk(struct v2 *v, const struct exec_job_data *head, uint64_t bulk,
    uint32_t len)
{
	const struct ctl_bulk_data	 data = { head->job, head->stream,
					    head->offset, bulk, len };
	struct job			*j = job_find(v, &head->job);
	const char			*why;

	if (j == NULL || j->session == NULL)
		return NULL;
	if ((why = job_progress(j, head->stream, head->offset, len)) != NULL)
		return why;
	/* v2_bulk_allow has told front in time; it did not listen. */
	if (j->session->peer != ROLE_FRONT)
		session_lost(j->session, XERR_EIO, "its bytes went astray");
	else
		chan_send(session_peer(j->session), CTL_BULK_DATA,
		    j->session->serial, &data);
	return NULL;
}

static void
job_release(struct table_node *n, void *arg)
{
	struct job		*j = container_of(n, struct job, node);
	struct exec_job_credit	 credit = { .job = j->id };

	for (; credit.stream < STREAMS; credit.stream++) {
		credit.upto = j->held[credit.stream];
		j->held[credit.stream] = 0;
		if (credit.upto > 0 && j->session != NULL)
			chan_send(session_peer(j->session), EXEC_JOB_CREDIT,
			    j->session->serial, &credit);
	}
}

void
jobs_release(struct v2 *v)
{
	v->holding = false;
	table_each(&v->jobs, job_release, v);
}

struct unsupported {
	struct v2	*v;
	uint16_t	 type;
};

static void
job_unsupported(struct table_node *n, void *arg)
{
	const struct unsupported	*u = arg;
	struct job			*j = container_of(n, struct job, node);

	if (j->type != u->type)
		return;
	if (j->session != NULL)
		job_refuse(j->session, &j->id, XERR_ENOTSUP,
		    "this runner is too old for it");
	job_free(u->v, j);
}

void
jobs_unsupported(struct v2 *v, uint16_t type)
{
	struct unsupported u = { v, type };

	table_each(&v->jobs, job_unsupported, &u);
}
