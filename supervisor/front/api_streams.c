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
 * Terminals and pipes as WebSockets: /pty and /stdio.  Runs in: front,
 * control.  Input is hostile on both sides.  The request becomes a WebSocket
 * when its process has started, so that what goes wrong before is an HTTP
 * error; from then on the session is ours and ends with the connection.
 * Owns: struct stream and what it holds back, 320 KiB at most.
 */

#include <sys/queue.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/jobs.h"
#include "supervisor/front/exec.h"
#include "supervisor/front/query.h"
#include "supervisor/front/session.h"

#define START_MS	30000	/* until the process runs */
#define IN_HOLD		(256u * 1024)	/* then the client is not read */
#define IN_CHUNK	(64u * 1024)
#define TEXT_MAX	(64u * 1024)	/* a message of the client's */
/* A client may take its time; a dead one is found out by and by. */
#define PING_MS		30000
#define DEAD_MS		600000
#define STALL_MS	600000
#define SUBPROTOCOL	"xbot.v1"

struct stream {
	TAILQ_ENTRY(stream)	 entry;		/* while it has a ws */
	struct session		*session;	/* NULL: over */
	struct ws		*ws;		/* NULL: not yet */
	struct id16		 job;
	uint64_t		 serial;	/* of the request */
	uint8_t			 kind;
	char			 user[ID_USER_MAX + 1];
	/* towards the client: stdout and stderr */
	uint64_t		 got[2], upto[2];
	struct utf8_stream	 utf8;
	bool			 full;
	/* towards the process */
	struct buf		 in;
	uint64_t		 in_off, in_upto;
	bool			 eof, eof_sent;
	struct buf		 text;		/* a message not yet whole */
	/* the end: close with this once the client has all */
	int			 code;		/* 0: not yet */
	const char		*why;
};

TAILQ_HEAD(stream_list, stream);

static void	 on_pty(struct req *);
static void	 on_stdio(struct req *);
static void	 stream_begin(struct req *, uint8_t);
static void	 stream_audit(struct stream *, struct req *,
		    const struct query *);
static void	 stream_free(struct stream *);
static void	 request_close(struct req *, void *);
static void	 stream_upgrade(struct stream *, struct req *);
static void	 stream_credit(struct stream *);
static void	 stream_error(struct stream *, enum xerr, const char *);
static void	 stream_end(struct stream *, int, const char *);
static void	 stream_fail(struct stream *, struct req *, enum xerr,
		    const char *);
static int	 say(struct stream *, struct buf *);
static void	 say_stderr(struct stream *, struct slice, bool);
static void	 on_msg(struct session *, struct req *, const struct msg *);
static void	 on_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 on_job_data(struct stream *, struct req *,
		    const struct exec_job_data *);
static void	 on_job_exit(struct stream *, struct req *,
		    const struct exec_job_exit *);
static void	 on_credit(struct stream *, const struct exec_job_credit *);
static void	 on_refused(struct stream *, struct req *,
		    const struct exec_job_refused *);
static void	 in_flush(struct stream *);
static void	 on_data(struct ws *, void *, enum ws_opcode, int, int,
		    const void *, size_t);
static void	 on_text(struct stream *, const char *, size_t);
static void	 on_writable(struct ws *, void *);
static void	 on_close(struct ws *, void *, int);
static void	 ask_resize(struct stream *, const struct json_value *);
static void	 ask_signal(struct stream *, const struct json_value *);
static void	 ask_eof(struct stream *, const struct json_value *);

const struct api_route stream_routes[] = {
	{ HV_GET, "/v1/users/{user}/pty", RIGHT_USER, ON_API, BODY_NONE,
	    on_pty },
	{ HV_GET, "/v1/users/{user}/stdio", RIGHT_USER, ON_API, BODY_NONE,
	    on_stdio },
	{ .pattern = NULL }
};

static const struct session_ops session_ops = { on_msg, on_lost };
static const struct ws_ops ws_ops = {
	.on_data = on_data, .on_writable = on_writable, .on_close = on_close
};

/* Messages of the client's, by their type. */
static const struct {
	const char	*type;
	void		(*ask)(struct stream *, const struct json_value *);
} asks[] = {
	{ "resize", ask_resize },
	{ "signal", ask_signal },
	{ "eof", ask_eof }
};

static const struct {
	const char	*name;
	uint8_t		 number;
} signals[] = {
	{ "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT },
	{ "ABRT", SIGABRT }, { "KILL", SIGKILL }, { "USR1", SIGUSR1 },
	{ "USR2", SIGUSR2 }, { "PIPE", SIGPIPE }, { "ALRM", SIGALRM },
	{ "TERM", SIGTERM }, { "CONT", SIGCONT }, { "STOP", SIGSTOP },
	{ "TSTP", SIGTSTP }, { "WINCH", SIGWINCH }
};

static struct stream_list	 streams = TAILQ_HEAD_INITIALIZER(streams);

/* --- the request --- */

static void
on_pty(struct req *r)
{
	stream_begin(r, JOB_PTY);
}

static void
on_stdio(struct req *r)
{
	stream_begin(r, JOB_STDIO);
}

static void
stream_begin(struct req *r, uint8_t kind)
{
	static struct query	 q;	/* used up before we return */
	struct route_decision	 d;
	struct stream		*st;
	struct http_req		*h = req_http(r);

	if (h == NULL || !query_parse(r, &q, kind))
		return;
	if (!http_upgrade_wanted(h, NULL)) {
		r->answered = true;
		return;
	}
	d = routes_decide(r->user, q.session);
	if (d.code != XERR_NONE) {
		req_error(r, d.code, "%s", d.reason);
		return;
	}
	if ((st = calloc(1, sizeof(*st))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	if (!limit_pty(r)) {
		free(st);
		return;
	}
	st->kind = kind;
	st->serial = r->serial;
	(void)slice_copy(st->user, sizeof(st->user), slice_str(r->user));
	r->data = st;
	r->close = request_close;
	if ((st->session = session_open(r, &d, &session_ops)) == NULL)
		return;
	st->job = q.start.job = session_job(st->session);
	if (!session_send(st->session, EXEC_JOB_START, &q.start)) {
		req_error(r, XERR_E2BIG, "the command does not fit");
		return;
	}
	session_deadline(st->session, START_MS);
	stream_credit(st);
	stream_audit(st, r, &q);
}

static void
stream_audit(struct stream *st, struct req *r, const struct query *q)
{
	struct jsonw	 w;
	struct buf	 b = { 0 };

	if (!audit_begin(&w, &b, r, st->kind == JOB_PTY ? "pty" : "stdio"))
		return;
	jsonw_str(&w, "command", q->start.argv.n > 0 ? q->argv[0] :
	    slice_str(""));
	jsonw_text(&w, "backend",
	    backend_name(session_where(st->session)->backend));
	jsonw_text(&w, "runner", session_where(st->session)->runner);
	audit_end(&w, &b);
}

static void
stream_free(struct stream *st)
{
	limit_pty_release(st->user);
	session_drop(st->session);
	buf_clear(&st->in);
	buf_clear(&st->text);
	free(st);
}

/* The client went before anything began, or it was an error. */
static void
request_close(struct req *r, void *data)
{
	stream_free(data);
}

/* The process runs: from here on this is a WebSocket. */
static void
stream_upgrade(struct stream *st, struct req *r)
{
	struct http_req	*h = req_http(r);
	const char	*proto = NULL;

	if (h == NULL || st->ws != NULL)
		return;
	if (http_req_header_has(h, "Sec-WebSocket-Protocol", SUBPROTOCOL))
		proto = SUBPROTOCOL;
	r->answered = true;	/* from here on by http_upgrade_ws */
	st->ws = http_upgrade_ws(h, proto, WS_UTF8, &ws_ops, st);
	if (st->ws == NULL)
		return;
	front.answers[101]++;
	r->data = NULL;
	r->close = NULL;
	TAILQ_INSERT_TAIL(&streams, st, entry);
	session_detach(st->session, st);
	session_deadline(st->session, 0);
	/* Bytes are not assembled, text is counted in on_data. */
	ws_set_limits(st->ws, 0, 0);
	ws_set_stall(st->ws, STALL_MS);
	ws_set_keepalive(st->ws, PING_MS, DEAD_MS);
}

/* --- towards the client --- */

static void
stream_credit(struct stream *st)
{
	struct exec_job_credit	 c = { .job = st->job };
	int			 i, n = st->kind == JOB_PTY ? 1 : 2;

	for (i = 0; i < n && st->session != NULL && !st->full; i++) {
		if (st->upto[i] - st->got[i] > EXEC_WINDOW / 2)
			continue;
		c.stream = (uint8_t)(STREAM_STDOUT + i);
		c.upto = st->upto[i] = st->got[i] + EXEC_WINDOW;
		(void)session_send(st->session, EXEC_JOB_CREDIT, &c);
	}
}

/* One text message; clears the buf. */
static int
say(struct stream *st, struct buf *b)
{
	int rc = ws_send(st->ws, WS_TEXT, 1, buf_data(b), b->len);

	buf_clear(b);
	return rc;
}

static void
say_stderr(struct stream *st, struct slice d, bool last)
{
	struct buf	 text = { 0 }, b = { 0 };
	struct jsonw	 w;

	if (utf8_replace(&st->utf8, &text, d.p, d.len, last) == 0 &&
	    text.len > 0) {
		jsonw_init(&w, &b);
		jsonw_object(&w, NULL);
		jsonw_text(&w, "type", "stderr");
		jsonw_str(&w, "data", (struct slice){ buf_data(&text),
		    text.len });
		jsonw_end(&w);
		if (jsonw_ok(&w))
			st->full |= say(st, &b) == 1;
		buf_clear(&b);
	}
	buf_clear(&text);
}

static void
stream_error(struct stream *st, enum xerr code, const char *text)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "type", "error");
	error_member(&w, code, text);
	jsonw_end(&w);
	/* Who makes mistakes without reading what we say of them. */
	if (say(st, &b) == 1 && st->code == 0 && st->session != NULL)
		ws_close(st->ws, WS_POLICY, "too many bad messages");
}

/* Nothing more is said; the close frame follows when all of it is on its
 * way, for it leaves the client five seconds. */
static void
stream_end(struct stream *st, int code, const char *why)
{
	st->code = code;
	st->why = why;
	buf_clear(&st->in);
	ws_resume(st->ws);
	if (ws_pending(st->ws) == 0)
		ws_close(st->ws, code, why);
}

static void
stream_fail(struct stream *st, struct req *r, enum xerr code,
    const char *text)
{
	session_drop(st->session);
	st->session = NULL;
	if (st->ws == NULL) {
		if (r != NULL)
			req_error(r, code, "%s", text);
		return;
	}
	log_info("request %llu: stream: %s",
	    (unsigned long long)st->serial, text);
	ws_set_marks(st->ws, 0, 0);
	stream_error(st, code, text);
	stream_end(st, WS_INTERNAL, xerr_name(code));
}

static void
on_job_data(struct stream *st, struct req *r, const struct exec_job_data *d)
{
	int i = d->stream - STREAM_STDOUT;

	if ((i != 0 && i != 1) || st->ws == NULL || d->offset != st->got[i] ||
	    d->bytes.len > st->upto[i] - st->got[i]) {
		stream_fail(st, r, XERR_EIO, "the sandbox broke the protocol");
		return;
	}
	st->got[i] += d->bytes.len;
	if (i == 1)
		say_stderr(st, d->bytes, false);
	else if (d->bytes.len > 0)
		st->full |= ws_send(st->ws, WS_BINARY, 1, d->bytes.p,
		    d->bytes.len) == 1;
	stream_credit(st);
}

static void
on_job_exit(struct stream *st, struct req *r, const struct exec_job_exit *e)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	if (st->ws == NULL || e->how == JOB_LOST) {
		stream_fail(st, r, XERR_EIO, "lost: nobody knows how the "
		    "process ended");
		return;
	}
	session_drop(st->session);
	st->session = NULL;
	/* Any of it that is still here makes on_writable come. */
	ws_set_marks(st->ws, 0, 0);
	say_stderr(st, slice_str(""), true);
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "type", "exit");
	jsonw_int(&w, "exit_code", exec_code(e->how, e->code));
	exec_limit(&w, e->how);
	jsonw_end(&w);
	(void)say(st, &b);
	stream_end(st, WS_NORMAL, NULL);
}

static void
on_refused(struct stream *st, struct req *r, const struct exec_job_refused *m)
{
	char text[1025];

	if (!slice_copy(text, sizeof(text), m->text))
		text[0] = '\0';
	stream_fail(st, r, m->code == XERR_NONE ? XERR_EIO : m->code, text);
}

static void
on_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct stream *st = r != NULL ? r->data : session_own(s);

	if (m->type == EXEC_JOB_STARTED)
		stream_upgrade(st, r);
	else if (m->type == EXEC_JOB_DATA)
		on_job_data(st, r, m->body);
	else if (m->type == EXEC_JOB_CREDIT)
		on_credit(st, m->body);
	else if (m->type == EXEC_JOB_EXIT)
		on_job_exit(st, r, m->body);
	else if (m->type == EXEC_JOB_REFUSED)
		on_refused(st, r, m->body);
}

static void
on_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	struct stream *st = r != NULL ? r->data : session_own(s);

	st->session = NULL;
	stream_fail(st, r, code, text);
}

static void
on_writable(struct ws *ws, void *arg)
{
	struct stream *st = arg;

	if (st->code != 0) {
		ws_close(ws, st->code, st->why);
		return;
	}
	st->full = false;
	stream_credit(st);
}

static void
on_close(struct ws *ws, void *arg, int code)
{
	struct stream *st = arg;

	log_debug("request %llu: stream closed with %d",
	    (unsigned long long)st->serial, code);
	TAILQ_REMOVE(&streams, st, entry);
	stream_free(st);
}

void
streams_stop(void)
{
	struct stream *st;

	TAILQ_FOREACH(st, &streams, entry)
		ws_close(st->ws, WS_GOING_AWAY, "the server stops");
}

/* --- towards the process --- */

static void
on_credit(struct stream *st, const struct exec_job_credit *c)
{
	if (c->stream != STREAM_STDIN || c->upto <= st->in_upto)
		return;
	st->in_upto = c->upto;
	in_flush(st);
}

static void
in_flush(struct stream *st)
{
	struct exec_job_data	 d = { .job = st->job };
	struct exec_job_eof	 e = { .job = st->job };
	size_t			 n;

	while (st->session != NULL && st->in.len > 0 &&
	    st->in_off < st->in_upto) {
		n = st->in.len < IN_CHUNK ? st->in.len : IN_CHUNK;
		if (n > st->in_upto - st->in_off)
			n = (size_t)(st->in_upto - st->in_off);
		d.stream = STREAM_STDIN;
		d.offset = st->in_off;
		d.bytes = (struct slice){ buf_data(&st->in), n };
		(void)session_send(st->session, EXEC_JOB_DATA, &d);
		st->in_off += n;
		buf_drain(&st->in, n);
	}
	if (st->ws != NULL && st->in.len < IN_HOLD)
		ws_resume(st->ws);
	if (st->session == NULL || st->in.len > 0 || !st->eof || st->eof_sent)
		return;
	st->eof_sent = true;
	e.stream = STREAM_STDIN;
	e.offset = st->in_off;
	(void)session_send(st->session, EXEC_JOB_EOF, &e);
}

static void
on_data(struct ws *ws, void *arg, enum ws_opcode opcode, int first, int fin,
    const void *data, size_t len)
{
	struct stream	*st = arg;
	struct buf	*b = opcode == WS_TEXT ? &st->text : &st->in;

	if (st->session == NULL || (opcode == WS_BINARY && st->eof))
		return;
	if (opcode == WS_TEXT && len > TEXT_MAX - st->text.len) {
		ws_close(ws, WS_TOO_BIG, "message too long");
		return;
	}
	if (buf_add(b, data, len) == -1) {
		ws_close(ws, WS_TRY_LATER, "no memory");
		return;
	}
	if (opcode == WS_BINARY) {
		in_flush(st);
		if (st->in.len >= IN_HOLD)
			ws_pause(ws);
	} else if (fin) {
		on_text(st, (const char *)buf_data(&st->text), st->text.len);
		buf_clear(&st->text);
	}
}

static void
on_text(struct stream *st, const char *text, size_t len)
{
	const struct json_value	*v;
	struct json		*j;
	struct slice		 type;
	const char		*why;
	size_t			 i;

	if ((j = json_parse(text, len, 64, &why)) == NULL) {
		stream_error(st, XERR_EINVAL, why);
		return;
	}
	v = json_root(j);
	if (json_type(v) != JSON_OBJECT ||
	    json_get_str(v, "type", &type) != JSON_GOT)
		stream_error(st, XERR_EINVAL, "not an object with a type");
	else
		for (i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
			if (slice_is(type, asks[i].type))
				asks[i].ask(st, v);
	json_free(j);
}

static void
ask_resize(struct stream *st, const struct json_value *v)
{
	struct exec_job_resize	 m = { .job = st->job };
	int64_t			 cols, rows;

	if (json_get_int(v, "cols", 1, UINT16_MAX, &cols) != JSON_GOT ||
	    json_get_int(v, "rows", 1, UINT16_MAX, &rows) != JSON_GOT) {
		stream_error(st, XERR_EINVAL, "resize: no cols and rows");
		return;
	}
	m.cols = (uint16_t)cols;
	m.rows = (uint16_t)rows;
	if (st->kind == JOB_PTY)
		(void)session_send(st->session, EXEC_JOB_RESIZE, &m);
}

static void
ask_signal(struct stream *st, const struct json_value *v)
{
	struct exec_job_signal	 m = { .job = st->job };
	char			 name[16];
	const char		*s = name;
	size_t			 i;

	if (!json_cstr(json_find(v, "signal"), name, sizeof(name))) {
		stream_error(st, XERR_EINVAL, "signal: no name");
		return;
	}
	if (strncmp(s, "SIG", 3) == 0)
		s += 3;
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strcmp(s, signals[i].name) == 0) {
			m.signal = signals[i].number;
			(void)session_send(st->session, EXEC_JOB_SIGNAL, &m);
			return;
		}
	stream_error(st, XERR_EINVAL, "signal: unknown");
}

/* Behind the bytes that came before it. */
static void
ask_eof(struct stream *st, const struct json_value *v)
{
	st->eof = true;
	in_flush(st);
}
