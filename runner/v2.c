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
 * The link: connections that come and go, what may arrive in which order, when
 * to acknowledge and when to give up.  Runs in: xbot-runner.
 * Input is hostile.
 */

#include <sys/random.h>

#include <errno.h>
#include <string.h>

#include <event2/event.h>

#include "base/exlink.h"
#include "base/log.h"
#include "base/ws.h"
#include "proto/exec_msg.h"
#include "runner/launch.h"
#include "runner/v2.h"
#include "runner/v2_job.h"

#define VERSION		1

enum v2_state {
	V2_AWAY,
	V2_HELLO,		/* theirs is awaited */
	V2_RESUME,
	V2_UP,
	V2_ANY			/* of a row: in all of them */
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
	bool			 used;		/* by this link's server */
} v2;

static void		 v2_control(uint16_t, const void *);
static void		 v2_frame(const uint8_t *, size_t);
static void		 v2_renew(void);
static void		 v2_pump(void);
static void		 v2_ack(void);
static void		 on_hello(const struct msg *);
static void		 on_resume(const struct msg *);
static void		 on_ack(const struct msg *);
static void		 on_ping(const struct msg *);
static void		 on_bye(const struct msg *);
static void		 on_unsupported(const struct msg *);
static void		 on_nothing(const struct msg *);
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
	{ EXEC_JOB_START,	V2_UP,		v2_on_start },
	{ EXEC_JOB_DATA,	V2_UP,		v2_on_input },
	{ EXEC_JOB_CREDIT,	V2_UP,		v2_on_credit },
	{ EXEC_JOB_EOF,		V2_UP,		v2_on_eof },
	{ EXEC_JOB_SIGNAL,	V2_UP,		v2_on_forward },
	{ EXEC_JOB_RESIZE,	V2_UP,		v2_on_forward },
	{ EXEC_JOB_CANCEL,	V2_UP,		v2_on_cancel },
	{ EXEC_FILE_STAT,	V2_UP,		v2_on_open },
	{ EXEC_FILE_LIST,	V2_UP,		v2_on_open },
	{ EXEC_FILE_MKDIR,	V2_UP,		v2_on_open },
	{ EXEC_FILE_REMOVE,	V2_UP,		v2_on_open },
	{ EXEC_FILE_GET,	V2_UP,		v2_on_open },
	{ EXEC_FILE_PUT,	V2_UP,		v2_on_open },
	{ EXEC_FILE_HASH,	V2_UP,		v2_on_open },
	{ EXEC_TASK_LIST,	V2_UP,		v2_on_open },
	{ EXEC_TASK_READ,	V2_UP,		v2_on_open },
	{ EXEC_TASK_KILL,	V2_UP,		v2_on_open },
	{ EXEC_FETCH,		V2_UP,		v2_on_fetch },
	{ EXEC_LLM_CALL,	V2_UP,		v2_on_llm_call },
	{ EXEC_LLM_SETTINGS,	V2_UP,		v2_on_llm_settings },
};

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

/* -- the link -- */

/* A link of another name: the server knows nothing about it. */
static void
v2_renew(void)
{
	struct id16	 id;

	v2_jobs_cancel();
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

bool
v2_is_full(void)
{
	return exlink_is_full(&v2.link);
}

bool
v2_is_used(void)
{
	return v2.used;
}

static void
v2_sent(bool ok)
{
	if (ok) {
		event_active(v2.turn, 0, 0);
		return;
	}
	log_warnx("the server takes nothing: its sessions are lost");
	v2_renew();
	if (v2.ws != NULL)
		ws_abort(v2.ws);
}

void
v2_send(uint16_t type, const void *body)
{
	bool ok = exlink_send(&v2.link, type, body);

	if (!ok && errno == EMSGSIZE)
		log_warnx("message %u is too large", type);
	else
		v2_sent(ok);
}

void
v2_send_frame(struct buf *frame)
{
	v2_sent(exlink_send_frame(&v2.link, frame));
}

static void
v2_pump(void)
{
	struct exlink_piece	 p;

	while (v2.ws != NULL && !v2.full && exlink_pending(&v2.link, &p)) {
		v2.full = ws_send(v2.ws, WS_BINARY, 1, p.bytes.p,
		    p.bytes.len) != 0;
		exlink_wrote(&v2.link, &p);
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
		v2_jobs_cancel();
		exlink_init(&v2.link, &v2.link.id);
		v2.before = 0;
		exlink_resume(&v2.link, 0);
		v2_ack();
	} else if (memcmp(&b->link, &v2.link.id, sizeof(b->link)) != 0 ||
	    !exlink_resume(&v2.link, b->taken)) {
		v2_refuse("resume of another link");
		return;
	} else
		log_info("taken up again, %zu operations go on", v2_jobs());
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
	else if (!exlink_is_full(&v2.link))
		v2_jobs_release();
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
