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
 * Background tasks: start, list, end.  Runs in: front, control.  Input is
 * hostile on both sides.  A task belongs to its executor; the session here
 * only starts it, and stays until the task has taken its input.
 * Owns: struct starting, one a request or, behind it, one a session.
 */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/jobs.h"
#include "supervisor/front/tasks.h"
#include "supervisor/front/wanted.h"

#define INPUT_CHUNK	(64u * 1024)
#define INPUT_ALL	(64u * 1024 * 1024)	/* of all that start */
#define INPUT_MS	3600000	/* a task that never reads: given up */
#define LIST_MAX	1024	/* an executor has 256 and 64 that ended */
#define LIST_BYTES	(8u * 1024 * 1024)
#define AUDIT_COMMAND	1024

struct starting {
	struct session		*session;
	char			 user[ID_USER_MAX + 1];
	struct id16		 task;
	struct buf		 frames;	/* job_start, until it may */
	struct buf		 input;
	size_t			 counted;	/* in input_all */
	uint64_t		 in_off, in_upto;
	unsigned int		 running;	/* of this user */
	bool			 listing, in_eof;
	char			*command;	/* for the audit trail */
};

struct listing {
	struct session		*session;
	struct buf		 b;
	struct jsonw		 w;
	unsigned int		 n;
};

static void	 on_start(struct req *);
static void	 start_begin(struct req *, struct starting *,
		    struct wanted *);
static void	 start_go(struct starting *);
static void	 start_listed(struct starting *, struct req *);
static void	 start_done(struct starting *, struct req *);
static void	 start_input(struct starting *);
static void	 start_msg(struct session *, struct req *,
		    const struct msg *);
static void	 start_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 start_close(struct req *, void *);
static void	 start_free(struct starting *);
static void	 on_list(struct req *);
static void	 list_msg(struct session *, struct req *,
		    const struct msg *);
static void	 list_add(struct listing *, const struct exec_task_info *);
static void	 list_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 list_close(struct req *, void *);
static void	 on_kill(struct req *);
static void	 kill_msg(struct session *, struct req *,
		    const struct msg *);
static void	 kill_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 kill_close(struct req *, void *);

const struct api_route task_routes[] = {
	{ HV_POST, "/v1/users/{user}/tasks", RIGHT_USER, ON_API, BODY_JSON,
	    on_start },
	{ HV_GET, "/v1/users/{user}/tasks", RIGHT_USER, ON_API, BODY_NONE,
	    on_list },
	{ HV_GET, "/v1/users/{user}/tasks/{id}", RIGHT_USER, ON_API,
	    BODY_NONE, task_on_show },
	{ HV_GET, "/v1/users/{user}/tasks/{id}/stream", RIGHT_USER, ON_API,
	    BODY_NONE, task_on_stream },
	{ HV_DELETE, "/v1/users/{user}/tasks/{id}", RIGHT_USER, ON_API,
	    BODY_NONE, on_kill },
	{ .pattern = NULL }
};

static const struct session_ops start_ops = { start_msg, start_lost };
static const struct session_ops list_ops = { list_msg, list_lost };
static const struct session_ops kill_ops = { kill_msg, kill_lost };

static size_t	 input_all;	/* what tasks have yet to read */

/* --- common --- */

struct session *
task_session(struct req *r, const struct session_ops *ops,
    const char *session)
{
	struct route_decision	 d = routes_decide(r->user, session);
	struct session		*s;

	if (d.code != XERR_NONE) {
		req_error(r, d.code, "%s", d.reason);
		return NULL;
	}
	if ((s = session_open(r, &d, ops)) != NULL)
		session_deadline(s, TASK_ANSWER_MS);
	return s;
}

bool
task_named(struct req *r, struct id16 *id)
{
	static const char	 hex[] = "0123456789abcdef";
	const char		*s = r->seg[0], *digit;
	size_t			 i;

	memset(id, 0, sizeof(*id));
	for (i = 0; i < TASK_ID_LEN; i++) {
		if (s[i] == '\0' || (digit = strchr(hex, s[i])) == NULL)
			break;
		id->b[i / 2] = (uint8_t)(id->b[i / 2] << 4 | (digit - hex));
	}
	if (i == TASK_ID_LEN && s[i] == '\0')
		return true;
	req_error(r, XERR_ENOENT, "no such task");
	return false;
}

void
task_id_text(struct id16 id, char dst[TASK_ID_LEN + 1])
{
	static const char	hex[] = "0123456789abcdef";
	size_t			i;

	for (i = 0; i < sizeof(id.b); i++) {
		*dst++ = hex[id.b[i] >> 4];
		*dst++ = hex[id.b[i] & 15];
	}
	*dst = '\0';
}

const char *
task_status(bool running, uint8_t how, int32_t code)
{
	if (running)
		return "running";
	if (how == JOB_KILLED)
		return "killed";
	return how == JOB_EXITED && code == 0 ? "completed" : "failed";
}

void
task_refused(struct req *r, const struct exec_job_refused *m)
{
	char text[1025];

	if (!slice_copy(text, sizeof(text), m->text))
		text[0] = '\0';
	req_error(r, m->code == XERR_NONE ? XERR_EIO : m->code, "%s", text);
}

/* --- start --- */

static void
on_start(struct req *r)
{
	static struct wanted	 w;	/* used up before we return */
	struct starting		*t;

	if (!wanted_parse(r, &w, false))
		return;
	if ((t = calloc(1, sizeof(*t))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	if (!limit_task(r)) {
		free(t);
		return;
	}
	(void)slice_copy(t->user, sizeof(t->user), slice_str(r->user));
	r->data = t;
	r->close = start_close;
	if (!wanted_input(r, &w, &t->input))
		return;
	t->counted = t->input.len;
	input_all += t->counted;
	if (input_all > INPUT_ALL)
		req_error(r, XERR_EBUSY, "too much input is waiting");
	else if ((t->session = task_session(r, &start_ops, w.session)) !=
	    NULL)
		start_begin(r, t, &w);
}

/* Its turn comes when it is known how many tasks this user has. */
static void
start_begin(struct req *r, struct starting *t, struct wanted *w)
{
	struct exec_task_list	 list;
	const struct slice	*text;

	if (front.conf.audit) {
		text = w->start.argv.n > 0 ? w->argv : &w->start.command;
		t->command = strndup(text->p, text->len < AUDIT_COMMAND ?
		    text->len : AUDIT_COMMAND);
	}
	w->start.kind = JOB_TASK;
	t->task = w->start.job = session_job(t->session);
	if (!session_encode(t->session, &t->frames, EXEC_JOB_START,
	    &w->start)) {
		req_error(r, XERR_E2BIG, "the command does not fit");
		return;
	}
	if (front.control || front.conf.user_task == 0) {
		start_go(t);
		return;
	}
	t->listing = true;
	list.job = session_job(t->session);
	(void)session_send(t->session, EXEC_TASK_LIST, &list);
}

static void
start_go(struct starting *t)
{
	session_set_job(t->session, t->task);
	session_started(t->session);
	session_send_frames(t->session, &t->frames);
	buf_clear(&t->frames);
	start_input(t);
}

static void
start_listed(struct starting *t, struct req *r)
{
	t->listing = false;
	/* Those that are about to start count, this one among them. */
	if (t->running + limit_task_starting(r->user) >
	    front.conf.user_task) {
		session_drop(t->session);
		t->session = NULL;
		req_error(r, XERR_EBUSY, "more than %u tasks at once",
		    front.conf.user_task);
		return;
	}
	start_go(t);
}

/* As far as the task has room; the end right behind the last byte. */
static void
start_input(struct starting *t)
{
	struct exec_job_data	 d = { .job = t->task };
	struct exec_job_eof	 e = { .job = t->task };
	size_t			 n;

	while (t->input.len > 0 && t->in_off < t->in_upto) {
		n = t->input.len < INPUT_CHUNK ? t->input.len : INPUT_CHUNK;
		if (n > t->in_upto - t->in_off)
			n = (size_t)(t->in_upto - t->in_off);
		d.stream = STREAM_STDIN;
		d.offset = t->in_off;
		d.bytes = (struct slice){ buf_data(&t->input), n };
		(void)session_send(t->session, EXEC_JOB_DATA, &d);
		t->in_off += n;
		buf_drain(&t->input, n);
	}
	if (t->input.len > 0 || t->in_eof)
		return;
	t->in_eof = true;
	e.stream = STREAM_STDIN;
	e.offset = t->in_off;
	(void)session_send(t->session, EXEC_JOB_EOF, &e);
}

static void
start_done(struct starting *t, struct req *r)
{
	char		 id[TASK_ID_LEN + 1];
	struct buf	 b = { 0 };
	struct jsonw	 w;

	task_id_text(t->task, id);
	if (audit_begin(&w, &b, r, "task")) {
		jsonw_text(&w, "task_id", id);
		jsonw_text(&w, "command", t->command != NULL ? t->command :
		    "");
		jsonw_text(&w, "backend",
		    backend_name(session_where(t->session)->backend));
		jsonw_text(&w, "runner", session_where(t->session)->runner);
		audit_end(&w, &b);
	}
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "task_id", id);
	jsonw_end(&w);
	req_json(r, 201, &b);
	if (t->in_eof)
		return;
	/* The rest of the input goes on behind the answer. */
	r->data = NULL;
	r->close = NULL;
	limit_task_release(t->user);
	session_detach(t->session, t);
	session_deadline(t->session, INPUT_MS);
}

static void
start_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct starting			*t;
	const struct exec_task_info	*info = m->body;
	const struct exec_job_credit	*c = m->body;

	t = r != NULL ? r->data : session_own(s);
	if (t->listing) {
		if (m->type == EXEC_TASK_INFO)
			t->running += info->running;
		else if (m->type == EXEC_JOB_DONE)
			start_listed(t, r);
	} else if (m->type == EXEC_JOB_CREDIT && c->stream == STREAM_STDIN &&
	    c->upto > t->in_upto) {
		t->in_upto = c->upto;
		start_input(t);
		if (r == NULL && t->in_eof)
			start_free(t);
		else if (r == NULL)
			session_deadline(s, INPUT_MS);
		return;
	} else if (m->type == EXEC_JOB_STARTED && r != NULL)
		start_done(t, r);
	if (m->type != EXEC_JOB_REFUSED)
		return;
	if (r == NULL) {
		start_free(t);
		return;
	}
	session_drop(t->session);
	t->session = NULL;
	task_refused(r, m->body);
}

static void
start_lost(struct session *s, struct req *r, enum xerr code,
    const char *text)
{
	struct starting *t = r != NULL ? r->data : session_own(s);

	t->session = NULL;
	if (r != NULL)
		req_error(r, code, "%s", text);
	else
		start_free(t);
}

static void
start_close(struct req *r, void *data)
{
	struct starting *t = data;

	limit_task_release(t->user);
	start_free(t);
}

static void
start_free(struct starting *t)
{
	session_drop(t->session);
	input_all -= t->counted;
	buf_clear(&t->frames);
	buf_clear(&t->input);
	free(t->command);
	free(t);
}

/* --- list --- */

static void
on_list(struct req *r)
{
	struct exec_task_list	 list;
	struct listing		*l;
	char			 session[SESSION_MAX + 1];

	if (!req_session(r, session, sizeof(session)))
		return;
	if ((l = calloc(1, sizeof(*l))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	r->data = l;
	r->close = list_close;
	if ((l->session = task_session(r, &list_ops, session)) == NULL)
		return;
	jsonw_init(&l->w, &l->b);
	jsonw_object(&l->w, NULL);
	jsonw_array(&l->w, "tasks");
	list.job = session_job(l->session);
	(void)session_send(l->session, EXEC_TASK_LIST, &list);
}

static void
list_add(struct listing *l, const struct exec_task_info *i)
{
	char id[TASK_ID_LEN + 1], when[WHEN_LEN];

	task_id_text(i->task, id);
	when_text(i->started_ms, when);
	jsonw_object(&l->w, NULL);
	jsonw_text(&l->w, "task_id", id);
	jsonw_str(&l->w, "command", i->command);
	jsonw_text(&l->w, "status", task_status(i->running, i->how,
	    i->code));
	jsonw_text(&l->w, "started_at", when);
	jsonw_end(&l->w);
}

static void
list_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct listing *l = r->data;

	if (m->type == EXEC_TASK_INFO && l->n++ < LIST_MAX &&
	    l->b.len < LIST_BYTES) {
		list_add(l, m->body);
		return;
	}
	session_drop(l->session);
	l->session = NULL;
	if (m->type == EXEC_JOB_REFUSED)
		task_refused(r, m->body);
	else if (m->type != EXEC_JOB_DONE)
		req_error(r, XERR_EIO, "the sandbox broke the protocol");
	else {
		jsonw_end(&l->w);
		jsonw_end(&l->w);
		if (jsonw_ok(&l->w))
			req_json(r, 200, &l->b);
		else
			req_error(r, XERR_EBUSY, "no memory");
	}
}

static void
list_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	struct listing *l = r->data;

	l->session = NULL;
	req_error(r, code, "%s", text);
}

static void
list_close(struct req *r, void *data)
{
	struct listing *l = data;

	session_drop(l->session);
	buf_clear(&l->b);
	free(l);
}

/* --- end --- */

static void
on_kill(struct req *r)
{
	struct exec_task_kill	 kill;
	struct session		*s;
	char			 session[SESSION_MAX + 1];

	if (!req_session(r, session, sizeof(session)) ||
	    !task_named(r, &kill.task) ||
	    (s = task_session(r, &kill_ops, session)) == NULL)
		return;
	r->data = s;
	r->close = kill_close;
	kill.job = session_job(s);
	(void)session_send(s, EXEC_TASK_KILL, &kill);
}

static void
kill_msg(struct session *s, struct req *r, const struct msg *m)
{
	session_drop(s);
	r->data = NULL;
	if (m->type == EXEC_JOB_DONE) {
		audit(r, "task_kill", r->seg[0]);
		req_empty(r, 204);
	} else if (m->type == EXEC_JOB_REFUSED)
		task_refused(r, m->body);
	else
		req_error(r, XERR_EIO, "the sandbox broke the protocol");
}

static void
kill_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	r->data = NULL;
	req_error(r, code, "%s", text);
}

static void
kill_close(struct req *r, void *data)
{
	session_drop(data);
}
