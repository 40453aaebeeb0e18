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
 * Frames between the link and the executor, checked on both hops.
 * Runs in: xbot-runner.  Input is hostile.
 */

#include <sys/queue.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "base/exlink.h"
#include "base/log.h"
#include "base/ws.h"
#include "proto/error.h"
#include "proto/exec_msg.h"
#include "proto/jobs.h"
#include "runner/fetch.h"
#include "runner/launch.h"
#include "runner/v2.h"

#define VERSION		1
#define BUCKETS		256	/* job ids are random */
#define JOBS_MAX	1024	/* as many as an executor takes */
#define STREAMS		4
#define NO_INPUT	255

enum v2_state {
	V2_AWAY,
	V2_HELLO,		/* theirs is awaited */
	V2_RESUME,
	V2_UP,
	V2_ANY			/* of a row: in all of them */
};

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
	char		*name;		/* of a fetched file; owned */
	uint64_t	 held[STREAMS];	/* credit, while the link is full */
};

static struct {
	struct event_base	*base;
	struct ws		*ws;		/* borrowed; NULL: away */
	enum v2_state		 state;
	struct exlink		 link;
	struct msg_reader	*reader;
	struct event		*turn;		/* write what piled up */
	struct event		*ack;
	struct event		*grace;
	uint64_t		 before;	/* taken, when it attached */
	bool			 full;		/* until it is writable */
	bool			 holding;	/* some job's credit */
	bool			 used;		/* by this link's server */
	size_t			 njobs;
} v2;

static LIST_HEAD(, job)	 buckets[BUCKETS];

static struct job	*job_find(const struct id16 *);
static void		 job_end(struct job *);
static void		 job_drop(struct job *);
static struct job	*job_open(const struct msg *);
static void		 job_eof(struct job *);
static void		 jobs_cancel(void);
static void		 v2_control(uint16_t, const void *);
static void		 v2_frame(const uint8_t *, size_t);
static void		 v2_send(uint16_t, const void *);
static void		 v2_renew(void);
static void		 v2_pump(void);
static void		 v2_ack(void);
static void		 refuse(const struct id16 *, enum xerr, const char *);
static void		 release(void);
static void		 on_hello(const struct msg *);
static void		 on_resume(const struct msg *);
static void		 on_ack(const struct msg *);
static void		 on_ping(const struct msg *);
static void		 on_bye(const struct msg *);
static void		 on_unsupported(const struct msg *);
static void		 on_nothing(const struct msg *);
static void		 on_start(const struct msg *);
static void		 on_open(const struct msg *);
static void		 on_fetch(const struct msg *);
static void		 on_credit(const struct msg *);
static void		 on_cancel(const struct msg *);
static void		 on_input(const struct msg *);
static void		 on_eof(const struct msg *);
static void		 on_forward(const struct msg *);
static void		 on_fetched(void *, const struct fetched *);
static void		 on_turn(evutil_socket_t, short, void *);
static void		 on_ack_late(evutil_socket_t, short, void *);
static void		 on_grace(evutil_socket_t, short, void *);

/* What the server may send, and when. */
static const struct {
	uint16_t	 type;
	enum v2_state	 state;
	void		(*handler)(const struct msg *);
} rows[] = {
	{ EXEC_HELLO,		V2_HELLO,	on_hello },
	{ EXEC_RESUME,		V2_RESUME,	on_resume },
	{ EXEC_ACK,		V2_UP,		on_ack },
	{ EXEC_PING,		V2_ANY,		on_ping },
	{ EXEC_PONG,		V2_ANY,		on_nothing },
	{ EXEC_BYE,		V2_ANY,		on_bye },
	{ EXEC_UNSUPPORTED,	V2_ANY,		on_unsupported },
	{ EXEC_JOB_START,	V2_UP,		on_start },
	{ EXEC_JOB_DATA,	V2_UP,		on_input },
	{ EXEC_JOB_CREDIT,	V2_UP,		on_credit },
	{ EXEC_JOB_EOF,		V2_UP,		on_eof },
	{ EXEC_JOB_SIGNAL,	V2_UP,		on_forward },
	{ EXEC_JOB_RESIZE,	V2_UP,		on_forward },
	{ EXEC_JOB_CANCEL,	V2_UP,		on_cancel },
	{ EXEC_FILE_STAT,	V2_UP,		on_open },
	{ EXEC_FILE_LIST,	V2_UP,		on_open },
	{ EXEC_FILE_MKDIR,	V2_UP,		on_open },
	{ EXEC_FILE_REMOVE,	V2_UP,		on_open },
	{ EXEC_FILE_GET,	V2_UP,		on_open },
	{ EXEC_FILE_PUT,	V2_UP,		on_open },
	{ EXEC_FILE_HASH,	V2_UP,		on_open },
	{ EXEC_TASK_LIST,	V2_UP,		on_open },
	{ EXEC_TASK_READ,	V2_UP,		on_open },
	{ EXEC_TASK_KILL,	V2_UP,		on_open },
	{ EXEC_FETCH,		V2_UP,		on_fetch },
};

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
    offsetof(struct exec_job_start, job) == 0, "job_open");

void
v2_init(struct event_base *base)
{
	v2.base = base;
	v2.reader = msg_reader_new();
	v2.turn = event_new(base, -1, 0, on_turn, NULL);
	v2.ack = evtimer_new(base, on_ack_late, NULL);
	v2.grace = evtimer_new(base, on_grace, NULL);
	if (v2.reader == NULL || v2.turn == NULL || v2.ack == NULL ||
	    v2.grace == NULL)
		fatalx("out of memory");
	v2_renew();
}

/* -- jobs -- */

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
	v2.njobs--;
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

	job_drop(j);
	if (started)
		v2_send(EXEC_JOB_EXIT, &lost);
	else
		refuse(&id, XERR_EIO, "the executor ended");
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
	if (v2.njobs >= JOBS_MAX) {
		refuse(id, XERR_EBUSY, "too many operations on this runner");
		return NULL;
	}
	if (!launch_up()) {
		refuse(id, XERR_EOFFLINE, "the executor is being restarted");
		return NULL;
	}
	if ((j = calloc(1, sizeof(*j))) == NULL)
		fatalx("out of memory");
	j->id = *id;
	j->input = m->type == EXEC_JOB_START ? STREAM_STDIN :
	    m->type == EXEC_FILE_PUT ? STREAM_FILE : NO_INPUT;
	LIST_INSERT_HEAD(&buckets[id->b[0]], j, entry);
	v2.njobs++;
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

/* Nobody waits for them any more; tasks are nobody's session's. */
static void
jobs_cancel(void)
{
	struct exec_job_cancel	 cancel;
	struct job		*j;
	size_t			 i;

	if (v2.njobs > 0)
		log_info("%zu operations of lost sessions are cancelled",
		    v2.njobs);
	for (i = 0; i < BUCKETS; i++) {
		while ((j = LIST_FIRST(&buckets[i])) != NULL) {
			cancel.job = j->id;
			if (j->fetch != NULL)
				fetch_cancel(j->fetch);
			else if (!j->task)
				launch_send(EXEC_JOB_CANCEL, &cancel);
			else if (!j->in_eof)
				job_eof(j);
			job_drop(j);
		}
	}
	v2.holding = false;
}

/* -- the link -- */

/* A link of another name: the server knows nothing about it. */
static void
v2_renew(void)
{
	struct id16	 id;

	jobs_cancel();
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		fatal("getrandom");
	exlink_init(&v2.link, &id);
	v2.used = false;
}

/* Not counted, never sent again. */
static void
v2_control(uint16_t type, const void *body)
{
	struct buf	 b = { 0 };

	if (v2.ws == NULL)
		return;
	if (msg_encode(&exec_schema, &b, type, 0, body) == -1)
		fatalx("out of memory");
	if (ws_send(v2.ws, WS_BINARY, 1, buf_data(&b), b.len) == 1)
		v2.full = true;
	buf_clear(&b);
}

static void
v2_send(uint16_t type, const void *body)
{
	if (!exlink_send(&v2.link, type, body)) {
		if (errno == EMSGSIZE) {
			log_warnx("message %u is too large", type);
			return;
		}
		log_warnx("the server takes nothing: its sessions are lost");
		v2_renew();
		if (v2.ws != NULL)
			ws_abort(v2.ws);
		return;
	}
	event_active(v2.turn, 0, 0);
}

static void
v2_pump(void)
{
	struct slice	 s;

	while (v2.ws != NULL && !v2.full &&
	    (s = exlink_pending(&v2.link)).len > 0) {
		v2.full = ws_send(v2.ws, WS_BINARY, 1, s.p, s.len) != 0;
		exlink_wrote(&v2.link, s.len);
	}
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	v2_pump();
}

void
v2_writable(void)
{
	v2.full = false;
	v2_pump();
}

void
v2_attach(struct ws *ws)
{
	struct exec_hello	 hello = { .min = VERSION, .max = VERSION };
	struct exec_resume	 resume = { .link = v2.link.id };

	v2.ws = ws;
	v2.full = false;
	v2.state = V2_HELLO;
	v2.before = v2.link.taken;
	event_del(v2.grace);
	hello.build = slice_str(XBOT_VERSION);
	hello.workspace = slice_str(launch_workspace());
	hello.shell = slice_str(launch_shell());
	v2_control(EXEC_HELLO, &hello);
	resume.taken = exlink_say(&v2.link);
	v2_control(EXEC_RESUME, &resume);
}

void
v2_detach(void)
{
	const struct timeval	 grace = { .tv_sec = EXLINK_GRACE_S };

	if (v2.ws == NULL)
		return;
	v2.ws = NULL;
	v2.state = V2_AWAY;
	exlink_down(&v2.link);
	event_del(v2.ack);
	evtimer_add(v2.grace, &grace);
}

bool
v2_moved(void)
{
	return v2.link.taken > v2.before;
}

static void
on_grace(evutil_socket_t fd, short what, void *arg)
{
	log_warnx("no connection for %d s: the server's sessions are lost",
	    EXLINK_GRACE_S);
	v2_renew();
}

void
v2_refuse(const char *why)
{
	struct exec_bye	 bye = { .reason = slice_str(why) };

	if (v2.ws == NULL || ws_closing(v2.ws))
		return;
	log_warnx("the server breaks the protocol: %s", why);
	v2_control(EXEC_BYE, &bye);
	ws_close(v2.ws, WS_PROTOCOL, why);
	/* The same frames again would end the same way. */
	v2_renew();
}

static void
v2_ack(void)
{
	struct exec_ack	 ack = { .taken = exlink_say(&v2.link) };

	event_del(v2.ack);
	v2_control(EXEC_ACK, &ack);
}

static void
on_ack_late(evutil_socket_t fd, short what, void *arg)
{
	if (exlink_ack_owed(&v2.link))
		v2_ack();
}

/* -- from the server -- */

void
v2_message(const void *bytes, size_t len)
{
	const struct timeval	 late = { .tv_usec = EXLINK_ACK_MS * 1000 };
	struct slice		 rest = { bytes, len };
	const uint8_t		*frame;
	size_t			 n;
	int			 more;

	while ((more = exlink_cut(&rest, &frame, &n)) == 1) {
		v2_frame(frame, n);
		if (v2.ws == NULL || ws_closing(v2.ws))
			return;
	}
	if (more == -1) {
		v2_refuse("a message that is no sequence of frames");
		return;
	}
	if (exlink_ack_due(&v2.link))
		v2_ack();
	else if (exlink_ack_owed(&v2.link) && !evtimer_pending(v2.ack, NULL))
		evtimer_add(v2.ack, &late);
}

static void
v2_frame(const uint8_t *frame, size_t len)
{
	struct exec_unsupported	 unknown;
	struct msg		 m;
	const char		*why;
	size_t			 i;

	switch (exlink_take(&v2.link, v2.reader, FROM_H, frame, len, &m,
	    &why)) {
	case -1:
		v2_refuse(why);
		return;
	case 0:
		unknown.type = m.type;
		v2_control(EXEC_UNSUPPORTED, &unknown);
		return;
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].type != m.type)
			continue;
		if (rows[i].state == V2_ANY || rows[i].state == v2.state)
			rows[i].handler(&m);
		else
			v2_refuse("a message out of turn");
		return;
	}
	v2_refuse("a message that no server sends");
}

static void
on_hello(const struct msg *m)
{
	const struct exec_hello	*b = m->body;

	if (b->min > VERSION || b->max < VERSION)
		v2_refuse("no version in common");
	else
		v2.state = V2_RESUME;
}

static void
on_resume(const struct msg *m)
{
	const struct exec_resume	*b = m->body;

	if (id16_is_zero(&b->link)) {
		/* It does not know the link: what ran for it has ended. */
		jobs_cancel();
		exlink_init(&v2.link, &v2.link.id);
		v2.before = 0;
		exlink_resume(&v2.link, 0);
		v2_ack();
	} else if (memcmp(&b->link, &v2.link.id, sizeof(b->link)) != 0 ||
	    !exlink_resume(&v2.link, b->taken)) {
		v2_refuse("resume of another link");
		return;
	} else
		log_info("taken up again, %zu operations go on", v2.njobs);
	v2.state = V2_UP;
	v2.used = true;
	v2_pump();
}

static void
on_ack(const struct msg *m)
{
	const struct exec_ack	*b = m->body;

	if (!exlink_ack(&v2.link, b->taken))
		v2_refuse("ack of what was not sent");
	else if (v2.holding && !exlink_is_full(&v2.link))
		release();
}

static void
on_ping(const struct msg *m)
{
	const struct exec_ping	*b = m->body;
	struct exec_pong	 pong = { .cookie = b->cookie };

	v2_control(EXEC_PONG, &pong);
}

static void
on_bye(const struct msg *m)
{
	const struct exec_bye	*b = m->body;
	char			 vis[512];

	log_info("the server says goodbye: %s",
	    log_vis(vis, sizeof(vis), b->reason.p, b->reason.len));
}

/* It will never answer that. */
static void
on_unsupported(const struct msg *m)
{
	const struct exec_unsupported	*b = m->body;

	log_warnx("the server does not know message %u", b->type);
}

static void
on_nothing(const struct msg *m)
{
}

static void
on_forward(const struct msg *m)
{
	launch_send(m->type, m->body);
}

/*
 * Checked here, for the executor would take it for our fault and end, with the
 * tasks of everybody.  Of a job that has ended it is late, no more.
 */
static void
on_input(const struct msg *m)
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
	launch_send(m->type, m->body);
}

static void
on_eof(const struct msg *m)
{
	const struct exec_job_eof	*b = m->body;
	struct job			*j = job_find(&b->job);

	if (j == NULL)
		return;
	if (b->stream != j->input || j->in_eof || b->offset != j->in_sent) {
		v2_refuse("end of input out of order");
		return;
	}
	job_eof(j);
	if (j->task && j->started)
		job_drop(j);
}

static void
on_start(const struct msg *m)
{
	const struct exec_job_start	*b = m->body;
	struct job			*j;

	if (b->kind > JOB_PTY) {
		refuse(&b->job, XERR_ENOTSUP, "no such kind of job");
		return;
	}
	if ((j = job_open(m)) == NULL)
		return;
	j->task = b->kind == JOB_TASK;
	j->process = !j->task;
	launch_send(m->type, m->body);
}

static void
on_open(const struct msg *m)
{
	if (job_open(m) != NULL)
		launch_send(m->type, m->body);
}

static void
on_cancel(const struct msg *m)
{
	const struct exec_job_cancel	*b = m->body;
	struct job			*j = job_find(&b->job);

	if (j == NULL || j->fetch == NULL) {
		launch_send(m->type, m->body);
		return;
	}
	fetch_cancel(j->fetch);
	job_drop(j);
	refuse(&b->job, XERR_EIO, "cancelled");
}

/* While the link is full, whoever produces gets no more of it. */
static void
on_credit(const struct msg *m)
{
	const struct exec_job_credit	*b = m->body;
	struct job			*j;

	if (!exlink_is_full(&v2.link) || b->stream >= STREAMS ||
	    (j = job_find(&b->job)) == NULL) {
		launch_send(m->type, m->body);
		return;
	}
	if (b->upto > j->held[b->stream])
		j->held[b->stream] = b->upto;
	v2.holding = true;
}

static void
release(void)
{
	struct exec_job_credit	 credit;
	struct job		*j;
	size_t			 i;

	v2.holding = false;
	for (i = 0; i < BUCKETS; i++) {
		LIST_FOREACH(j, &buckets[i], entry) {
			credit.job = j->id;
			for (credit.stream = 0; credit.stream < STREAMS;
			    credit.stream++) {
				credit.upto = j->held[credit.stream];
				j->held[credit.stream] = 0;
				if (credit.upto > 0)
					launch_send(EXEC_JOB_CREDIT, &credit);
			}
		}
	}
}

/* -- downloads: our own -- */

static void
on_fetch(const struct msg *m)
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
		refuse(&b->job, why.code, why.why);
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
	char			 name[257];

	info.mtime_ns = (int64_t)time(NULL) * 1000000000;
	snprintf(name, sizeof(name), "%s", j->name != NULL ? j->name : "");
	info.name = slice_str(name);
	job_drop(j);
	if (f->code != XERR_NONE) {
		refuse(&done.job, f->code, f->why);
		return;
	}
	v2_send(EXEC_FILE_INFO, &info);
	v2_send(EXEC_JOB_DONE, &done);
}

/* -- to the server -- */

static void
refuse(const struct id16 *id, enum xerr code, const char *text)
{
	struct exec_job_refused	 r = { .job = *id, .code = (uint8_t)code,
				    .text = slice_str(text) };

	v2_send(EXEC_JOB_REFUSED, &r);
}

void
v2_answer(const struct msg *m)
{
	const union exec_any	*b = m->body;
	struct job		*j = job_find(&b->job_done.job);

	/* Late answers to what was cancelled are for nobody. */
	if (!v2.used)
		return;
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
	v2_send(m->type, m->body);
}

void
v2_lost(void)
{
	struct job	*j;
	size_t		 i;

	for (i = 0; i < BUCKETS; i++)
		while ((j = LIST_FIRST(&buckets[i])) != NULL)
			job_end(j);
}
