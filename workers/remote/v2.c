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
 * The link of protocol xbot.exec.v2 with a runner: it outlives connections
 * for EXLINK_GRACE_S, its sessions wait meanwhile.  Runs in: remote.
 * Input is hostile: whoever breaks the protocol loses the link.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/remote/remote.h"

#define VERSION		1
#define AWAY_MAX	LINKS_MAX	/* links whose runners are gone */
#define OPCODE_BINARY	2

static const char	*on_hello(struct link *, const struct msg *);
static const char	*on_resume(struct link *, const struct msg *);
static const char	*on_ack(struct link *, const struct msg *);
static const char	*on_ping(struct link *, const struct msg *);
static const char	*on_bye(struct link *, const struct msg *);
static const char	*on_unsupported(struct link *, const struct msg *);
static const char	*on_nothing(struct link *, const struct msg *);
static const char	*on_answer(struct link *, const struct msg *);
static void		 on_timer(evutil_socket_t, short, void *);
static void		 on_turn(evutil_socket_t, short, void *);
static void		 v2_free(struct v2 *);

#define V2_ANY	(V2_HELLO | V2_RESUME | V2_UP)

/* What a runner may send, and when.  A handler returns NULL, or what is wrong
 * with the message. */
static const struct {
	uint16_t	  type;
	uint8_t		  steps;
	const char	*(*handler)(struct link *, const struct msg *);
} rows[] = {
	{ EXEC_HELLO,		V2_HELLO,	on_hello },
	{ EXEC_RESUME,		V2_RESUME,	on_resume },
	{ EXEC_ACK,		V2_UP,		on_ack },
	{ EXEC_PING,		V2_ANY,		on_ping },
	{ EXEC_PONG,		V2_ANY,		on_nothing },
	{ EXEC_BYE,		V2_ANY,		on_bye },
	{ EXEC_UNSUPPORTED,	V2_ANY,		on_unsupported },
	{ EXEC_JOB_STARTED,	V2_UP,		on_answer },
	{ EXEC_JOB_DATA,	V2_UP,		on_answer },
	{ EXEC_JOB_CREDIT,	V2_UP,		on_answer },
	{ EXEC_JOB_EOF,		V2_UP,		on_answer },
	{ EXEC_FILE_INFO,	V2_UP,		on_answer },
	{ EXEC_FILE_ENTRIES,	V2_UP,		on_answer },
	{ EXEC_FILE_HASHES,	V2_UP,		on_answer },
	{ EXEC_TASK_INFO,	V2_UP,		on_answer },
	{ EXEC_LLM_HEAD,	V2_UP,		on_answer },
	{ EXEC_JOB_REFUSED,	V2_UP,		on_answer },
	{ EXEC_JOB_EXIT,	V2_UP,		on_answer },
	{ EXEC_JOB_DONE,	V2_UP,		on_answer },
};

static struct table	 by_name;
static size_t		 naway;

static struct v2 *
v2_find(struct slice user, struct slice name)
{
	struct table_node	*n;
	struct v2		*v;

	for (n = table_find(&by_name, names_key(user, name)); n != NULL;
	    n = table_same(n)) {
		v = container_of(n, struct v2, node);
		if (slice_is(user, v->user) && slice_is(name, v->name))
			return v;
	}
	return NULL;
}

static struct v2 *
v2_new(const struct link *l, const struct id16 *id)
{
	struct v2 *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	TAILQ_INIT(&v->sessions);
	v->user = strdup(l->user);
	v->name = strdup(l->name);
	v->timer = evtimer_new(child_base(), on_timer, v);
	v->turn = event_new(child_base(), -1, 0, on_turn, v);
	if (v->user == NULL || v->name == NULL || v->timer == NULL ||
	    v->turn == NULL || !table_add(&by_name, &v->node,
	    names_key(slice_str(l->user), slice_str(l->name)))) {
		v2_free(v);
		return NULL;
	}
	v->listed = true;
	exlink_init(&v->x, id);
	v->x.bulk_free = bulk_free;
	return v;
}

static void
v2_free(struct v2 *v)
{
	if (v->listed)
		table_remove(&by_name, &v->node);
	if (v->away)
		naway--;
	if (v->timer != NULL)
		event_free(v->timer);
	if (v->turn != NULL)
		event_free(v->turn);
	budget_give(v->charged);
	exlink_clear(&v->x);
	table_clear(&v->jobs);
	free(v->user);
	free(v->name);
	free(v);
}

/* Nobody will know how what was asked for has ended (EIO). */
static void
v2_lose(struct v2 *v, const char *why)
{
	struct table_node	*n;
	struct session		*s;
	struct job		*j;
	enum xerr		 code;
	char			 text[256];

	while ((s = TAILQ_FIRST(&v->sessions)) != NULL) {
		code = LIST_EMPTY(&s->jobs) ? XERR_EOFFLINE : XERR_EIO;
		while ((j = LIST_FIRST(&s->jobs)) != NULL)
			job_free(v, j);
		snprintf(text, sizeof(text), code == XERR_EIO ?
		    "lost: runner %s: %s" : "runner %s is offline (%s)",
		    v->name, why);
		session_lost(s, code, text);
	}
	while ((n = table_any(&v->jobs)) != NULL)
		job_free(v, container_of(n, struct job, node));
}

void
v2_drop(struct v2 *v, uint16_t code, const char *why)
{
	struct link *l = v->conn;

	log_info("runner %s of %s: its link is given up: %s", v->name,
	    v->user, why);
	if (l != NULL)
		l->v2 = NULL;
	v2_lose(v, why);
	v2_free(v);
	if (l != NULL)
		link_close(l, code, why);
}

void
v2_forget(struct slice user, struct slice name, const char *why)
{
	struct v2 *v = v2_find(user, name);

	if (v != NULL)
		v2_drop(v, 1008, why);
}

bool
v2_rename(struct slice user, struct slice from, struct slice to)
{
	struct v2	*v = v2_find(user, from);
	char		*name;

	if (v == NULL)
		return true;
	if ((name = strndup(to.p, to.len)) == NULL)
		return false;
	free(v->name);
	v->name = name;
	table_remove(&by_name, &v->node);
	v->listed = table_add(&by_name, &v->node, names_key(user, to));
	if (!v->listed)
		v2_drop(v, 1013, "out of memory, connect again");
	return true;
}

/* --- to the runner --- */

/* Not counted, never sent again. */
static void
v2_control(struct link *l, uint16_t type, const void *body)
{
	struct buf b = { 0 };

	/* Without memory it is a connection that says nothing, and ends. */
	if (msg_encode(&exec_schema, &b, type, 0, body) == 0)
		link_send_binary(l, (struct slice){ buf_data(&b), b.len },
		    false);
	buf_clear(&b);
}

static void
v2_charge(struct v2 *v)
{
	size_t want = v->x.kept_size;

	if (want > v->charged)
		budget_force(want - v->charged);
	else
		budget_give(v->charged - want);
	v->charged = want;
}

/* Whoever calls goes on; a link that cannot, ends in the next turn. */
void
v2_send(struct v2 *v, uint16_t type, const void *body)
{
	if (v->dead)
		return;
	if (!exlink_send(&v->x, type, body)) {
		if (errno == EMSGSIZE) {
			log_warnx("message %u is too large", type);
			return;
		}
		v->dead = true;
	}
	v2_charge(v);
	event_active(v->turn, 0, 0);
}

void
v2_send_bulk(struct v2 *v, const struct exec_job_data *head, uint64_t bulk,
    size_t len)
{
	if (v->dead || !exlink_send_bulk(&v->x, head, bulk, len)) {
		bulk_free(bulk);
		v->dead = true;
	}
	v2_charge(v);
	event_active(v->turn, 0, 0);
}

static void
v2_bulk_lost(struct table_node *n, void *arg)
{
	struct v2 *v = container_of(n, struct v2, node);

	if (!exlink_bulk_lost(&v->x))
		v2_drop(v, 1013, "out of memory");
}

void
v2_front_went(void)
{
	table_each(&by_name, v2_bulk_lost, NULL);
}

/* May front keep the bytes of what this runner sends?  Not when another than
 * front is to have some. */
void
v2_bulk_allow(struct v2 *v)
{
	const struct ctl_bulk_link allow = { v->nothers == 0 };

	if (v->conn != NULL)
		chan_send(child_peer(ROLE_FRONT), CTL_BULK_LINK,
		    v->conn->serial, &allow);
}

void
v2_pump(struct v2 *v)
{
	const struct timeval	soon = { .tv_usec = 100000 };
	struct exlink_piece	p;

	if (v->conn == NULL || v->pumping)
		return;
	v->pumping = true;
	while (TAILQ_EMPTY(&v->conn->out) && exlink_pending(&v->x, &p)) {
		if (p.bulk != 0 && !link_send_bulk(v->conn, &p))
			break;		/* until there is credit */
		if (p.bulk == 0 &&
		    !link_send_binary(v->conn, p.bytes, p.secret)) {
			evtimer_add(v->turn, &soon);
			break;
		}
		exlink_wrote(&v->x, &p);
	}
	v->pumping = false;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct v2 *v = arg;

	if (v->dead)
		v2_drop(v, 1013, "it takes nothing");
	else
		v2_pump(v);
}

static void
v2_ack(struct v2 *v)
{
	struct exec_ack ack = { .taken = exlink_say(&v->x) };

	event_del(v->timer);
	v2_control(v->conn, EXEC_ACK, &ack);
}

/* With a connection: an ack is due.  Without: it was away for too long. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct v2 *v = arg;

	if (v->conn == NULL)
		v2_drop(v, 1008, "it did not come back in time");
	else if (exlink_ack_owed(&v->x))
		v2_ack(v);
}

/* --- connections --- */

void
v2_begin(struct link *l)
{
	struct exec_hello hello = { .min = VERSION, .max = VERSION,
	    .build = slice_str(XBOT_VERSION) };

	l->step = V2_HELLO;
	v2_control(l, EXEC_HELLO, &hello);
}

void
v2_detach(struct link *l)
{
	const struct timeval	 grace = { .tv_sec = EXLINK_GRACE_S };
	struct v2		*v = l->v2;

	if (v == NULL)
		return;
	l->v2 = NULL;
	v->conn = NULL;
	exlink_down(&v->x);
	/* It may not have heard that this link is new; or nothing is in it. */
	if (!v->x.confirmed || naway >= AWAY_MAX ||
	    (TAILQ_EMPTY(&v->sessions) && v->jobs.n == 0 &&
	    v->x.kept_len == 0)) {
		v2_lose(v, "disconnected");
		v2_free(v);
		return;
	}
	v->away = true;
	naway++;
	evtimer_add(v->timer, &grace);
}

static void
v2_refuse(struct link *l, const char *why)
{
	const struct exec_bye bye = { slice_str(why) };

	log_warnx("connection %llu: runner %s of %s breaks the protocol: %s",
	    (unsigned long long)l->serial, l->name, l->user, why);
	v2_control(l, EXEC_BYE, &bye);
	/* The same frames again would end the same way. */
	if (l->v2 != NULL)
		v2_drop(l->v2, 1002, why);
	else
		link_close(l, 1002, why);
}

/* --- from the runner --- */

static struct msg_reader *
v2_reader(void)
{
	static struct msg_reader *reader;

	if (reader == NULL)
		reader = msg_reader_new();
	return reader;
}

static const char *
v2_frame(struct link *l, const uint8_t *frame, size_t len)
{
	struct exlink			 none = { 0 };
	struct exec_unsupported		 unknown;
	struct msg			 m;
	const char			*why;
	size_t				 i;

	if (v2_reader() == NULL)
		return "out of memory";
	switch (exlink_take(l->v2 != NULL ? &l->v2->x : &none, v2_reader(),
	    FROM_E, frame, len, &m, &why)) {
	case -1:
		return why;
	case 0:
		unknown.type = m.type;
		v2_control(l, EXEC_UNSUPPORTED, &unknown);
		return NULL;
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].type == m.type)
			return (rows[i].steps & l->step) != 0 ?
			    rows[i].handler(l, &m) : "a message out of turn";
	return "a message that no runner sends";
}

/* Behind a message: why it is refused; else it is acknowledged, if not yet. */
static void
v2_took(struct link *l, const char *why)
{
	const struct timeval	 late = { .tv_usec = EXLINK_ACK_MS * 1000 };

	if (why != NULL)
		v2_refuse(l, why);
	else if (l->v2 != NULL && exlink_ack_due(&l->v2->x))
		v2_ack(l->v2);
	else if (l->v2 != NULL && exlink_ack_owed(&l->v2->x) &&
	    !evtimer_pending(l->v2->timer, NULL))
		evtimer_add(l->v2->timer, &late);
}

void
v2_message(struct link *l)
{
	struct slice		 rest = { l->mem, l->len };
	const uint8_t		*frame;
	const char		*why = NULL;
	size_t			 n;
	int			 more = -1;

	if (l->opcode == OPCODE_BINARY)
		while (why == NULL &&
		    (more = exlink_cut(&rest, &frame, &n)) == 1)
			why = v2_frame(l, frame, n);
	if (why == NULL && more == -1)
		why = "a message that is no sequence of frames";
	v2_took(l, why);
}

void
v2_bulk(struct link *l, const struct ctl_bulk_ws_data *data)
{
	struct msg	 m;
	const char	*why = "a message out of turn";

	if (l->v2 != NULL && v2_reader() != NULL &&
	    exlink_take_bulk(&l->v2->x, v2_reader(), FROM_E, data->head,
	    data->len, &m, &why) == 1)
		why = job_bulk(l->v2, m.body, data->bulk, data->len);
	v2_took(l, why);
}

static const char *
on_hello(struct link *l, const struct msg *m)
{
	const struct exec_hello *b = m->body;

	if (b->min > VERSION || b->max < VERSION)
		return "no version in common";
	l->step = V2_RESUME;
	return NULL;
}

static const char *
on_resume(struct link *l, const struct msg *m)
{
	const struct exec_resume	*b = m->body;
	struct exec_resume		 answer = { .taken = 0 };
	struct v2			*v;

	if (id16_is_zero(&b->link))
		return "resume of no link";
	v = v2_find(slice_str(l->user), slice_str(l->name));
	if (v != NULL && v->conn == NULL && memcmp(&v->x.id, &b->link,
	    sizeof(b->link)) == 0 && exlink_resume(&v->x, b->taken)) {
		answer.link = b->link;
		answer.taken = exlink_say(&v->x);
		v->away = false;
		naway--;
		log_info("runner %s of %s: %zu operations go on", v->name,
		    v->user, v->jobs.n);
	} else {
		if (v != NULL)
			v2_drop(v, 1008, "it was started again");
		if ((v = v2_new(l, &b->link)) == NULL)
			return "out of memory";
		exlink_resume(&v->x, 0);
	}
	event_del(v->timer);
	v->conn = l;
	l->v2 = v;
	l->step = V2_UP;
	event_free(l->timer);
	l->timer = NULL;
	v2_control(l, EXEC_RESUME, &answer);
	v2_bulk_allow(v);
	register_online(l);
	event_active(v->turn, 0, 0);
	return NULL;
}

static const char *
on_ack(struct link *l, const struct msg *m)
{
	const struct exec_ack	*b = m->body;
	struct v2		*v = l->v2;

	if (!exlink_ack(&v->x, b->taken))
		return "ack of what was not sent";
	v2_charge(v);
	if (v->holding && !exlink_is_full(&v->x))
		jobs_release(v);
	return NULL;
}

static const char *
on_ping(struct link *l, const struct msg *m)
{
	const struct exec_ping	*b = m->body;
	const struct exec_pong	 pong = { b->cookie };

	v2_control(l, EXEC_PONG, &pong);
	return NULL;
}

static const char *
on_bye(struct link *l, const struct msg *m)
{
	const struct exec_bye	*b = m->body;
	char			 text[512];

	log_info("connection %llu: runner %s of %s says goodbye: %s",
	    (unsigned long long)l->serial, l->name, l->user,
	    log_vis(text, sizeof(text), b->reason.p, b->reason.len));
	return NULL;
}

static const char *
on_unsupported(struct link *l, const struct msg *m)
{
	const struct exec_unsupported *b = m->body;

	if (l->v2 != NULL && b->type <= UINT16_MAX)
		jobs_unsupported(l->v2, (uint16_t)b->type);
	return NULL;
}

static const char *
on_nothing(struct link *l, const struct msg *m)
{
	return NULL;
}

static const char *
on_answer(struct link *l, const struct msg *m)
{
	return job_answer(l->v2, m);
}
