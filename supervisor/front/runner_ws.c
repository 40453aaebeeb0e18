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
 * Runners' WebSockets: GET /ws/{user}.  Runs in: front.  Input is hostile.
 * Relays payload bytes between a connection and the remote worker, which alone
 * understands them (also who this is: no token is checked here), under credit
 * both ways.  Bulk stays here, see bulk.h.  A connection is named by its
 * request's serial.
 * Owns: struct runner_ws and what it holds back: of what the runner sends a
 * read and a message of bulk, 256 KiB each; of what it is sent 1.25 MiB.
 */

#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>

#include "base/exlink.h"
#include "base/log.h"
#include "base/v1.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"
#include "supervisor/front/bulk.h"
#include "supervisor/front/front.h"

#define PING_MS		30000		/* xbot-runner-v1.md 1.4 */
#define DEAD_MS		60000
#define STALL_MS	10000		/* D3: takes nothing for so long */

/* Payload towards a runner that remote may have under way; and our queue. */
#define DOWN_WINDOW	(1024u * 1024)
#define DOWN_HIGH	(256u * 1024)
#define DOWN_LOW	(64u * 1024)

/*
 * Not yet registered (D1).  Remote takes 1000; one address may not use them
 * up.  Behind a proxy all runners have its address, hence not less.
 */
#define PENDING_MAX	900
#define PENDING_ADDRESS	256

#define CODE_RESTART	1012		/* service restart */

/* What the runner sent ahead of remote's credit. */
struct held {
	STAILQ_ENTRY(held)	 entry;
	uint8_t			 opcode;
	bool			 first, fin;
	size_t			 off, len;
	uint8_t			 bytes[];
};

struct runner_ws {
	struct table_node	 node;		/* first: see ws_find */
	TAILQ_ENTRY(runner_ws)	 entry;		/* pending, or registered */
	struct ws		*ws;
	uint64_t		 serial;
	uint64_t		 address;	/* IPv4, or an IPv6 /64 */
	bool			 registered;
	bool			 gone;		/* remote knows it no more */
	STAILQ_HEAD(, held)	 held;
	uint64_t		 up_sent, up_allowed;
	uint64_t		 down_got, down_granted;
	bool			 down_full;
	/* A message whose bytes stay here, if remote allows that. */
	bool			 bulk_on;
	struct bulk		*bulk;		/* being filled, or NULL */
	size_t			 bulk_len, bulk_got;
	uint8_t			 head[EXLINK_HEAD];	/* what precedes it */
	size_t			 head_len;
};

TAILQ_HEAD(ws_list, runner_ws);

static void	 on_connect(struct req *);
static void	 on_too_long(struct req *);
static void	 on_data(struct ws *, void *, enum ws_opcode, int, int,
		    const void *, size_t);
static void	 on_writable(struct ws *, void *);
static void	 on_close(struct ws *, void *, int);

static struct table	 by_serial;
static struct ws_list	 pending = TAILQ_HEAD_INITIALIZER(pending);
static struct ws_list	 registered = TAILQ_HEAD_INITIALIZER(registered);

const struct api_route runner_ws_routes[] = {
	{ HV_GET, "/ws/{user}", RIGHT_NONE, LISTENER_WS, BODY_NONE,
	    on_connect },
	{ HV_GET, "/ws/{user}/{more}", RIGHT_NONE, LISTENER_WS, BODY_NONE,
	    on_too_long },
	{ .pattern = NULL }
};

static const struct ws_ops runner_ops = {
	.on_data = on_data, .on_writable = on_writable, .on_close = on_close
};

static struct runner_ws *
ws_find(uint64_t serial)
{
	return (struct runner_ws *)table_find(&by_serial, serial);
}

static struct chan *
remote(void)
{
	return child_peer(ROLE_REMOTE);
}

/* --- connecting --- */

/* 0 when it has none: a unix socket in tests. */
static uint64_t
address_of(struct http_req *h)
{
	struct sockaddr_storage	 ss;
	struct sockaddr_in	 in;
	struct sockaddr_in6	 in6;
	socklen_t		 len = sizeof(ss);
	uint64_t		 a = 0;

	if (getpeername(http_req_fd(h), (struct sockaddr *)&ss, &len) == -1)
		return 0;
	if (ss.ss_family == AF_INET) {
		memcpy(&in, &ss, sizeof(in));
		return in.sin_addr.s_addr;
	}
	if (ss.ss_family != AF_INET6)
		return 0;
	memcpy(&in6, &ss, sizeof(in6));
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		memcpy(&a, &in6.sin6_addr.s6_addr[12], 4);
	else
		memcpy(&a, &in6.sin6_addr, sizeof(a));
	return a;
}

static bool
may_connect(uint64_t address)
{
	struct runner_ws	*w;
	unsigned int		 n = 0, same = 0;

	TAILQ_FOREACH(w, &pending, entry) {
		n++;
		same += w->address == address;
	}
	return n < PENDING_MAX && same < PENDING_ADDRESS;
}

static struct runner_ws *
ws_add(struct req *r, uint64_t address)
{
	struct runner_ws *w;

	if ((w = calloc(1, sizeof(*w))) == NULL ||
	    !table_add(&by_serial, &w->node, r->serial)) {
		free(w);
		return NULL;
	}
	w->serial = r->serial;
	w->address = address;
	STAILQ_INIT(&w->held);
	TAILQ_INSERT_TAIL(&pending, w, entry);
	return w;
}

static void
ws_remove(struct runner_ws *w)
{
	struct held *h;

	while ((h = STAILQ_FIRST(&w->held)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->held, entry);
		/* Before registration this may be a token. */
		explicit_bzero(h->bytes, h->len);
		free(h);
	}
	bulk_drop(w->bulk);
	TAILQ_REMOVE(w->registered ? &registered : &pending, w, entry);
	table_remove(&by_serial, &w->node);
	free(w);
}

static void
down_grant(struct runner_ws *w)
{
	struct ctl_ws_credit credit = { w->down_got + DOWN_WINDOW };

	if (w->gone || w->down_full ||
	    w->down_granted > w->down_got + DOWN_WINDOW / 2)
		return;
	w->down_granted = credit.upto;
	chan_send(remote(), CTL_WS_CREDIT, w->serial, &credit);
}

static void
on_connect(struct req *r)
{
	struct http_req		*h = req_http(r);
	struct ctl_ws_open	 open = { slice_str(r->user), { "", 0 },
				    { "", 0 } };
	const char		*proto = NULL;
	struct runner_ws	*w = NULL;
	uint64_t		 address;
	char			 peer[129];

	if (h == NULL)
		return;
	if (!front.conf.remote) {
		req_error(r, XERR_ENOENT, "no runners connect here");
		return;
	}
	if (remote() == NULL) {
		req_error(r, XERR_EOFFLINE, "the remote worker is not there");
		return;
	}
	address = address_of(h);
	if (!may_connect(address) || (w = ws_add(r, address)) == NULL) {
		req_error(r, XERR_EBUSY, "too many runners are connecting");
		return;
	}
	if (slice_copy(peer, sizeof(peer), slice_str(http_req_peer(h))))
		open.address = slice_str(peer);
	/* Existing runners offer none, and speak version 1. */
	if (http_req_header_has(h, "Sec-WebSocket-Protocol", EXLINK_PROTOCOL))
		open.protocol = slice_str(proto = EXLINK_PROTOCOL);
	r->answered = true;	/* from here on by http_upgrade_ws */
	w->ws = http_upgrade_ws(h, proto, 0, &runner_ops, w);
	if (w->ws == NULL) {
		ws_remove(w);
		return;
	}
	front.answers[101]++;
	/* Remote counts what it assembles; here nothing is. */
	ws_set_limits(w->ws, 0, 0);
	ws_set_marks(w->ws, DOWN_HIGH, DOWN_LOW);
	ws_set_stall(w->ws, STALL_MS);
	ws_set_keepalive(w->ws, PING_MS, DEAD_MS);
	log_debug("connection %llu: runner of %s from %s",
	    (unsigned long long)w->serial, r->user, peer);
	chan_send(remote(), CTL_WS_OPEN, w->serial, &open);
	down_grant(w);
}

/* A user id has no slash. */
static void
on_too_long(struct req *r)
{
	req_error(r, XERR_EINVAL, "malformed user id");
}

/* --- from the runner to remote --- */

/* As much as there is credit for; the number of bytes sent. */
static size_t
up_send(struct runner_ws *w, uint8_t opcode, bool first, bool fin,
    const uint8_t *p, size_t len)
{
	struct ctl_ws_data	 d = { .opcode = opcode, .first = first };
	size_t			 n, sent = 0;

	for (;;) {
		n = len - sent;
		if (n > w->up_allowed - w->up_sent)
			n = (size_t)(w->up_allowed - w->up_sent);
		if (n > FRAME_CHUNK)
			n = FRAME_CHUNK;
		if (n == 0 && sent < len)
			return sent;
		d.fin = fin && sent + n == len;
		d.bytes = (struct slice){ p + sent, n };
		chan_send(remote(), CTL_WS_DATA, w->serial, &d);
		d.first = false;
		sent += n;
		w->up_sent += n;
		if (sent == len)
			return sent;
	}
}

static void
up_data(struct runner_ws *w, enum ws_opcode opcode, bool first, bool fin,
    const uint8_t *p, size_t len)
{
	struct held		*h;
	size_t			 sent = 0;

	if (STAILQ_EMPTY(&w->held) && (len == 0 ||
	    w->up_sent < w->up_allowed)) {
		sent = up_send(w, (uint8_t)opcode, first, fin, p, len);
		if (sent == len)
			return;
	}
	if ((h = malloc(sizeof(*h) + len - sent)) == NULL) {
		ws_close(w->ws, WS_TRY_LATER, "no memory");
		return;
	}
	*h = (struct held){ .opcode = (uint8_t)opcode,
	    .first = first && sent == 0, .fin = fin, .len = len - sent };
	if (len > sent)
		memcpy(h->bytes, p + sent, len - sent);
	STAILQ_INSERT_TAIL(&w->held, h, entry);
	ws_pause(w->ws);
}

/*
 * Does a message begin like one frame of job_data with many bytes?  Then these
 * stay here, and remote gets what precedes them.  What else it means is
 * remote's to judge.
 */
static bool
bulk_begin(struct runner_ws *w, const uint8_t *p, size_t len)
{
	size_t n, at, field;

	if (len < 4 || !STAILQ_EMPTY(&w->held))
		return false;
	n = frame_length(p);
	if (n > FRAME_MAX || len - 4 > n ||
	    n + 4 > w->up_allowed - w->up_sent ||
	    (at = guard_bulk(p + 4, len - 4, n, &field)) == 0 ||
	    at + 4 > sizeof(w->head) ||
	    msg_peek(p + 4, at) != EXEC_JOB_DATA ||
	    (w->bulk = bulk_new(n - at)) == NULL)
		return false;
	w->head_len = at + 4;
	memcpy(w->head, p, w->head_len);
	w->bulk_len = n - at;
	w->bulk_got = 0;
	return true;
}

/* It is whole: remote's turn. */
static void
bulk_end(struct runner_ws *w)
{
	struct ctl_bulk_ws_data	 d = { { w->head, w->head_len }, 0,
				    (uint32_t)w->bulk_len };

	d.bulk = bulk_give(w->bulk);
	w->bulk = NULL;
	if (d.bulk == 0) {
		ws_close(w->ws, WS_TRY_LATER, "no memory");
		return;
	}
	w->up_sent += w->head_len + w->bulk_len;
	chan_send(remote(), CTL_BULK_WS_DATA, w->serial, &d);
}

/* It was no such message after all: from its beginning through remote. */
static void
bulk_undo(struct runner_ws *w)
{
	struct bulk *b = w->bulk;

	w->bulk = NULL;
	up_data(w, WS_BINARY, true, false, w->head, w->head_len);
	up_data(w, WS_BINARY, false, false, bulk_bytes(b), w->bulk_got);
	bulk_drop(b);
}

static void
bulk_add(struct runner_ws *w, bool fin, const uint8_t *p, size_t len)
{
	size_t room = w->bulk_len - w->bulk_got;

	if (len > room || (fin && len < room)) {
		bulk_undo(w);
		up_data(w, WS_BINARY, false, fin, p, len);
		return;
	}
	memcpy(bulk_bytes(w->bulk) + w->bulk_got, p, len);
	w->bulk_got += len;
	if (fin)
		bulk_end(w);
}

static void
on_data(struct ws *ws, void *arg, enum ws_opcode opcode, int first, int fin,
    const void *data, size_t len)
{
	struct runner_ws *w = arg;

	if (w->gone)
		return;
	if (w->bulk != NULL)
		bulk_add(w, fin, data, len);
	else if (first && w->bulk_on && opcode == WS_BINARY &&
	    bulk_begin(w, data, len))
		bulk_add(w, fin, (const uint8_t *)data + w->head_len,
		    len - w->head_len);
	else
		up_data(w, opcode, first, fin, data, len);
}

void
runner_ws_on_bulk_link(struct chan *c, const struct msg *m)
{
	const struct ctl_bulk_link	*b = m->body;
	struct runner_ws		*w = ws_find(m->serial);

	if (w != NULL)
		w->bulk_on = b->on;
}

static void
up_flush(struct runner_ws *w)
{
	struct held	*h;
	size_t		 n;

	while ((h = STAILQ_FIRST(&w->held)) != NULL) {
		if (h->len > 0 && w->up_sent == w->up_allowed)
			return;
		n = up_send(w, h->opcode, h->first, h->fin, h->bytes + h->off,
		    h->len);
		h->first = h->first && n == 0;
		h->off += n;
		h->len -= n;
		if (h->len > 0)
			return;
		STAILQ_REMOVE_HEAD(&w->held, entry);
		explicit_bzero(h->bytes, h->off);
		free(h);
	}
	ws_resume(w->ws);
}

void
runner_ws_on_credit(struct chan *c, const struct msg *m)
{
	const struct ctl_ws_credit	*credit = m->body;
	struct runner_ws		*w = ws_find(m->serial);

	if (w == NULL || w->gone)
		return;
	if (credit->upto < w->up_allowed) {
		chan_refuse(c, "ws_credit taken back");
		return;
	}
	w->up_allowed = credit->upto;
	/* So much is only granted to a runner that has registered. */
	if (!w->registered && credit->upto > V1_REGISTER_MAX + 1) {
		TAILQ_REMOVE(&pending, w, entry);
		TAILQ_INSERT_TAIL(&registered, w, entry);
		w->registered = true;
	}
	up_flush(w);
}

/* --- from remote to the runner --- */

/* n bytes more; false: it has no credit for them. */
static bool
down_take(struct runner_ws *w, struct chan *c, size_t n)
{
	if (n > w->down_granted - w->down_got) {
		chan_refuse(c, "ws_send out of credit");
		return false;
	}
	w->down_got += n;
	return true;
}

static void
down_sent(struct runner_ws *w, int rc)
{
	w->down_full = rc == 1;
	down_grant(w);
}

void
runner_ws_on_bulk_send(struct chan *c, const struct msg *m)
{
	const struct ctl_bulk_ws_send	*s = m->body;
	struct runner_ws		*w = ws_find(m->serial);
	struct slice			 bytes;

	if (w == NULL || w->gone)
		return;
	if (!bulk_find(s->bulk, &bytes)) {
		chan_refuse(c, "bulk that is not there");
		return;
	}
	if (down_take(w, c, s->head.len + bytes.len))
		down_sent(w, ws_send_two(w->ws, WS_BINARY, s->head.p,
		    s->head.len, bytes.p, bytes.len));
}

void
runner_ws_on_send(struct chan *c, const struct msg *m)
{
	const struct ctl_ws_send	*s = m->body;
	struct runner_ws		*w = ws_find(m->serial);
	int				 rc;

	if (w == NULL || w->gone)
		return;
	if (s->opcode != WS_TEXT && s->opcode != WS_BINARY) {
		chan_refuse(c, "ws_send of no message");
		return;
	}
	if (!down_take(w, c, s->bytes.len))
		return;
	rc = ws_send(w->ws, (enum ws_opcode)s->opcode, s->fin, s->bytes.p,
	    s->bytes.len);
	/* A key on its way to a runner: this is the channel's memory. */
	if (s->secret)
		explicit_bzero((void *)(uintptr_t)s->bytes.p, s->bytes.len);
	down_sent(w, rc);
}

static void
on_writable(struct ws *ws, void *arg)
{
	struct runner_ws *w = arg;

	w->down_full = false;
	down_grant(w);
}

void
runner_ws_on_close(struct chan *c, const struct msg *m)
{
	const struct ctl_ws_close	*s = m->body;
	struct runner_ws		*w = ws_find(m->serial);
	char				 reason[124];

	if (w == NULL)
		return;
	w->gone = true;
	slice_copy(reason, sizeof(reason), s->reason);
	ws_close(w->ws, s->code, reason);
}

/* --- the end --- */

static void
on_close(struct ws *ws, void *arg, int code)
{
	struct runner_ws *w = arg;

	log_debug("connection %llu: closed with %d",
	    (unsigned long long)w->serial, code);
	if (!w->gone)
		chan_send(remote(), CTL_WS_GONE, w->serial, NULL);
	ws_remove(w);
}

static void
close_all(struct ws_list *list, int code, const char *why)
{
	struct runner_ws *w;

	TAILQ_FOREACH(w, list, entry) {
		w->gone = true;
		ws_close(w->ws, code, why);
	}
}

/* Remote has forgotten them with its death; they come again by themselves. */
void
runner_ws_down(void)
{
	close_all(&pending, CODE_RESTART, "restarting");
	close_all(&registered, CODE_RESTART, "restarting");
}

void
runner_ws_stop(void)
{
	close_all(&pending, WS_GOING_AWAY, "the server stops");
	close_all(&registered, WS_GOING_AWAY, "the server stops");
}
