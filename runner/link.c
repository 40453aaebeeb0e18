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
 * Resolve, connect, register, serve, and begin again.  Runs in: xbot-runner.
 * Input is hostile: every byte behind the connection is the server's.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/exlink.h"
#include "base/log.h"
#include "base/tls_client.h"
#include "base/ws_client.h"
#include "runner/budget.h"
#include "runner/link.h"
#include "runner/op.h"
#include "runner/proxy.h"
#include "runner/reply.h"
#include "runner/resolve.h"
#include "runner/v1_in.h"
#include "runner/v1_out.h"
#include "runner/v1_stream.h"
#include "runner/v1_task.h"
#include "runner/v2.h"

#define HANDSHAKE_MS	45000	/* all addresses together */
#define HANDSHAKE_MIN	5000	/* for one of several */
#define PING_MS		30000
#define DEAD_MS		60000
#define STALL_MS	10000	/* D3: a server that takes nothing */
#define BACKOFF_MAX	60	/* s */
#define BACKOFF_FULL	7	/* the attempt that waits that long */
#define HEALTHY_MS	60000	/* D57: a session that resets the count */
#define UNSENT_MAX	(128 * 1024)	/* a pong waits behind it */
#define KEPT		4096	/* of a message that is too large */
#define SKIPPED_MAX	5	/* lines a connection */

enum link_state {
	LINK_WAITING,		/* for the next attempt */
	LINK_RESOLVING,
	LINK_CONNECTING,
	LINK_REGISTERING,
	LINK_SERVING,
	LINK_CLOSING,		/* we sent a close frame */
	LINK_STOPPED
};

static struct {
	struct event_base	*base;
	const struct link_conf	*conf;
	void			 (*done)(bool);
	enum link_state		 state;
	struct event		*timer;		/* back-off, or no answer */
	unsigned int		 attempt;	/* for the log */
	unsigned int		 step;		/* of the back-off */
	struct resolve		*resolve;
	struct resolve_addr	 addr[RESOLVE_MAX];
	size_t			 naddr, next;
	uint64_t		 deadline;	/* of the handshake, ms */
	struct proxy_call	*proxy;
	struct wsc		*wsc;
	struct ws		*ws;
	uint64_t		 since;		/* registered, ms */
	char			 code[REGISTER_CODE_MAX];
	struct buf		 in;		/* being assembled, charged */
	const char		*skip;		/* why the rest is dropped */
	unsigned int		 skipped;	/* messages without an answer */
	bool			 paused;
	bool			 v2;		/* selected by the server */
	bool			 stopping;
} lk;

static void	link_attempt(void);
static void	link_lost(const char *);
static void	link_end(bool);
static bool	link_connect_next(void);
static bool	link_connect(const struct resolve_addr *, unsigned int);
static bool	link_handshake(struct bufferevent *, bool, unsigned int);
static void	on_proxied(void *, struct bufferevent *, const char *);
static void	link_forget(void);
static void	link_register(char *, size_t);
static void	link_take(void);
static void	link_skipped(size_t, const char *);
static void	timer_set(uint64_t);
static void	on_timer(evutil_socket_t, short, void *);
static void	on_resolved(void *, const struct resolve_addr *, size_t,
		    const char *);
static void	on_open(void *, struct ws *, const char *);
static void	on_fail(void *, int, const char *);
static void	on_data(struct ws *, void *, enum ws_opcode, int, int,
		    const void *, size_t);
static void	on_writable(struct ws *, void *);
static void	on_close(struct ws *, void *, int);

static const struct ws_ops	ws_ops = {
	.on_data = on_data, .on_writable = on_writable, .on_close = on_close
};

static const struct wsc_ops	wsc_ops = {
	.on_open = on_open, .on_fail = on_fail
};

static void
timer_set(uint64_t ms)
{
	const struct timeval	 tv = { .tv_sec = (time_t)(ms / 1000),
				    .tv_usec = (suseconds_t)(ms % 1000) *
				    1000 };

	evtimer_add(lk.timer, &tv);
}

void
link_start(struct event_base *base, const struct link_conf *conf,
    void (*done)(bool))
{
	lk.base = base;
	lk.conf = conf;
	lk.done = done;
	if ((lk.timer = evtimer_new(base, on_timer, NULL)) == NULL)
		fatalx("out of memory");
	timer_set(0);
}

void
link_stop(void)
{
	lk.stopping = true;
	switch (lk.state) {
	case LINK_REGISTERING:
	case LINK_SERVING:
		lk.state = LINK_CLOSING;
		v1_out_abandon();
		reply_attach(NULL);
		ws_close(lk.ws, WS_NORMAL, "runner stopped");
		return;
	case LINK_CLOSING:
		return;
	case LINK_WAITING:
	case LINK_RESOLVING:
	case LINK_CONNECTING:
		link_end(true);
		return;
	case LINK_STOPPED:
		lk.done(true);
		return;
	}
}

/* For good. */
static void
link_end(bool good)
{
	lk.state = LINK_STOPPED;
	evtimer_del(lk.timer);
	resolve_cancel(lk.resolve);
	lk.resolve = NULL;
	proxy_cancel(lk.proxy);
	lk.proxy = NULL;
	if (lk.wsc != NULL)
		wsc_cancel(lk.wsc);
	lk.wsc = NULL;
	lk.done(good);
}

/* The timer's meaning is the state's. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	if (lk.state == LINK_WAITING)
		link_attempt();
	else if (lk.state == LINK_REGISTERING) {
		log_warnx("no answer to the registration");
		ws_abort(lk.ws);
	}
}

static void
link_attempt(void)
{
	const struct url	*u = lk.conf->url;
	const struct proxy	*p = &lk.conf->proxy;
	char			 vis[300];

	log_info("connecting to %s%s%s",
	    log_vis(vis, sizeof(vis), u->authority, strlen(u->authority)),
	    p->used ? " through the proxy " : "", p->used ? p->host : "");
	lk.state = LINK_RESOLVING;
	lk.resolve = resolve_start(lk.base, p->used ? p->host : u->host,
	    p->used ? p->port : u->port, on_resolved, NULL);
	if (lk.resolve == NULL)
		link_lost(strerror(errno));
}

/* Back-off: 1 s doubling to 60 s, and up to a quarter more by chance. */
static void
link_lost(const char *why)
{
	uint64_t	 ms = BACKOFF_MAX * 1000;

	evtimer_del(lk.timer);
	if (lk.stopping || lk.conf->once) {
		if (!lk.stopping)
			log_errorx("%s", why);
		link_end(lk.stopping);
		return;
	}
	if (++lk.step < BACKOFF_FULL)
		ms = (uint64_t)1000 << (lk.step - 1);
	ms += arc4random_uniform((uint32_t)ms / 4);
	lk.state = LINK_WAITING;
	log_warnx("%s; attempt %u in %llu.%03llu s", why, ++lk.attempt + 1,
	    (unsigned long long)ms / 1000, (unsigned long long)ms % 1000);
	timer_set(ms);
}

static void
on_resolved(void *arg, const struct resolve_addr *addr, size_t n,
    const char *why)
{
	char	 text[512];

	lk.resolve = NULL;
	if (n == 0) {
		snprintf(text, sizeof(text), "cannot find %s: %s",
		    lk.conf->proxy.used ? lk.conf->proxy.host :
		    lk.conf->url->host, why);
		link_lost(text);
		return;
	}
	memcpy(lk.addr, addr, n * sizeof(*addr));
	lk.naddr = n;
	lk.next = 0;
	lk.deadline = clock_ms() + HANDSHAKE_MS;
	lk.state = LINK_CONNECTING;
	if (!link_connect_next())
		link_lost("cannot connect");
}

/* What is left of the time, shared among the addresses still to be tried. */
static unsigned int
link_share(void)
{
	uint64_t	 now = clock_ms(), left = 0;

	if (now < lk.deadline)
		left = (lk.deadline - now) / (lk.naddr - lk.next + 1);
	return (unsigned int)(left < HANDSHAKE_MIN ? HANDSHAKE_MIN : left);
}

/* false: there is no further address, or no time. */
static bool
link_connect_next(void)
{
	const struct resolve_addr	*a;

	while (lk.next < lk.naddr && clock_ms() < lk.deadline) {
		a = &lk.addr[lk.next++];
		if (link_connect(a, link_share()))
			return true;
	}
	return false;
}

static bool
link_connect(const struct resolve_addr *a, unsigned int ms)
{
	const struct link_conf	*conf = lk.conf;
	const int		 unsent = UNSENT_MAX;
	struct bufferevent	*bev;

	bev = conf->tls != NULL && !conf->proxy.used ?
	    tls_client_bev(conf->tls, lk.base, -1, conf->url->host) :
	    bufferevent_socket_new(lk.base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		return false;
	if (bufferevent_socket_connect(bev, (const struct sockaddr *)&a->ss,
	    (int)a->len) == -1) {
		bufferevent_free(bev);
		return false;
	}
	setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NOTSENT_LOWAT,
	    &unsent, sizeof(unsent));
	if (!conf->proxy.used)
		return link_handshake(bev, true, ms);
	lk.proxy = proxy_connect(lk.base, bev, &conf->proxy, conf->url, ms,
	    on_proxied, NULL);
	return lk.proxy != NULL;
}

/* Takes bev; connecting: BEV_EVENT_CONNECTED is still to come. */
static bool
link_handshake(struct bufferevent *bev, bool connecting, unsigned int ms)
{
	struct wsc_conf	 conf = {
		.host = lk.conf->url->authority,
		.path = lk.conf->url->target,
		.subprotocols = EXLINK_PROTOCOL,
		.tls_why = lk.conf->tls != NULL ? tls_client_why : NULL,
		.timeout_ms = ms,
		.ws_flags = lk.conf->tls == NULL ? WS_RAW : 0,
	};

	lk.wsc = wsc_start(lk.base, bev, connecting, &conf, &wsc_ops, &ws_ops,
	    NULL);
	return lk.wsc != NULL;
}

static void
on_proxied(void *arg, struct bufferevent *bev, const char *why)
{
	const bool	 tls = lk.conf->tls != NULL;
	char		 text[700];
	int		 fd;

	lk.proxy = NULL;
	/* The same socket, now spoken through by TLS. */
	if (bev != NULL && tls) {
		fd = bufferevent_getfd(bev);
		bufferevent_setfd(bev, -1);
		bufferevent_free(bev);
		bev = tls_client_bev(lk.conf->tls, lk.base, fd,
		    lk.conf->url->host);
		if (bev == NULL)
			close(fd);
		why = "out of memory";
	}
	if ((bev != NULL && link_handshake(bev, tls, link_share())) ||
	    link_connect_next())
		return;
	snprintf(text, sizeof(text), "cannot connect: %s", why != NULL ? why :
	    "out of memory");
	link_lost(text);
}

static void
on_fail(void *arg, int status, const char *why)
{
	char	 text[1024];

	lk.wsc = NULL;
	if (status == 0 && link_connect_next())
		return;
	if (status > 0)
		snprintf(text, sizeof(text), "the server refused the "
		    "connection: %s (is --server right?)", why);
	else
		snprintf(text, sizeof(text), "cannot connect: %s", why);
	link_lost(text);
}

static void
on_open(void *arg, struct ws *ws, const char *subprotocol)
{
	lk.wsc = NULL;
	lk.ws = ws;
	lk.v2 = subprotocol != NULL;
	lk.state = LINK_REGISTERING;
	/* Messages are counted here, where they are kept. */
	ws_set_limits(ws, 0, 0);
	ws_set_keepalive(ws, PING_MS, DEAD_MS);
	ws_set_stall(ws, STALL_MS);
	register_send(ws, &lk.conf->reg, lk.v2);
	timer_set(V1_REGISTER_WAIT * 1000);
}

static void
on_data(struct ws *ws, void *arg, enum ws_opcode opcode, int first, int fin,
    const void *data, size_t len)
{
	size_t	 max = lk.state == LINK_SERVING ? BUDGET_MESSAGE :
		    V1_REGISTER_MAX;
	size_t	 was;

	if (lk.state != LINK_REGISTERING && lk.state != LINK_SERVING)
		return;
	if (first)
		lk.skip = NULL;
	if (lk.v2 && lk.state == LINK_SERVING && opcode != WS_BINARY)
		lk.skip = "a message that is not binary";
	else if (lk.skip == NULL && len > max - lk.in.len)
		lk.skip = "the message is larger than 700 MiB";
	else if (lk.skip == NULL && !budget_take(len))
		lk.skip = "the runner has no memory left for this message";
	else if (lk.skip == NULL && buf_add(&lk.in, data, len) == -1) {
		budget_give(len);
		lk.skip = "the runner has no memory left for this message";
	}
	/* What is kept of it is enough to refuse it by its id. */
	if (lk.skip != NULL && lk.in.len > KEPT) {
		struct buf	 kept = { 0 };

		if (buf_add(&kept, buf_data(&lk.in), KEPT) == -1)
			fatalx("out of memory");
		was = lk.in.len;
		buf_clear(&lk.in);
		lk.in = kept;
		budget_give(was - KEPT);
	}
	if (fin)
		link_take();
}

/* A whole message: to whom it belongs. */
static void
link_take(void)
{
	const char	*why;
	size_t		 len = lk.in.len;
	bool		 ours;

	if (lk.state == LINK_REGISTERING)
		link_register((char *)buf_data(&lk.in), len);
	else if (lk.v2 && lk.skip != NULL)
		v2_refuse(lk.skip);
	else if (lk.v2)
		v2_message(buf_data(&lk.in), len);
	else if (lk.skip != NULL)
		v1_in_refuse(&lk.in, lk.skip);
	else if ((why = v1_in_message(&lk.in)) != NULL)
		link_skipped(len, why);
	/* A message with input now belongs to its operation. */
	ours = lk.in.mem != NULL;
	buf_drain(&lk.in, lk.in.len);
	if (ours)
		budget_give(len);
	lk.skip = NULL;
	/* A server that asks and does not read the answers waits for them. */
	if (!lk.paused && reply_waiting() > REPLY_HIGH &&
	    lk.state == LINK_SERVING) {
		lk.paused = true;
		ws_pause(lk.ws);
	}
}

/* The first few of a connection, lest its server fills our disk. */
static void
link_skipped(size_t len, const char *why)
{
	if (lk.skipped++ < SKIPPED_MAX)
		log_warnx("message of %zu bytes skipped: %s%s", len, why,
		    lk.skipped == SKIPPED_MAX ? "; further ones are not "
		    "logged" : "");
}

static void
link_register(char *text, size_t len)
{
	enum register_answer	 answer = REGISTER_UNREADABLE;

	evtimer_del(lk.timer);
	if (lk.skip == NULL)
		answer = register_read(text, len, lk.code);
	if (answer == REGISTER_OK) {
		lk.state = LINK_SERVING;
		lk.since = clock_ms();
		v1_task_back();
		if (lk.v2)
			v2_attach(lk.ws);
		else
			reply_attach(lk.ws);
		log_info("registered, protocol %d", lk.v2 ? 2 : 1);
		return;
	}
	/* Asking again at once would change nothing. */
	if (answer == REGISTER_REFUSED)
		lk.step = BACKOFF_FULL - 1;
	lk.state = LINK_CLOSING;
	ws_close(lk.ws, answer == REGISTER_REFUSED ? WS_NORMAL : WS_PROTOCOL,
	    NULL);
}

static void
on_writable(struct ws *ws, void *arg)
{
	if (lk.v2) {
		v2_writable();
		return;
	}
	reply_writable();
	v1_stream_writable();
	if (lk.paused && reply_waiting() < REPLY_LOW) {
		lk.paused = false;
		ws_resume(ws);
	}
}

/* Nothing of a connection outlives it. */
static void
link_forget(void)
{
	size_t	 was;

	lk.ws = NULL;
	lk.paused = false;
	lk.skip = NULL;
	lk.skipped = 0;
	was = lk.in.len;
	buf_clear(&lk.in);
	budget_give(was);
	v1_out_abandon();
	reply_attach(NULL);
	v2_detach();
}

static void
on_close(struct ws *ws, void *arg, int code)
{
	const enum link_state	 was = lk.state;
	char			 text[64];

	link_forget();
	/* Protocol 2: what waits for the next connection must not wait long. */
	if (was == LINK_SERVING && (clock_ms() - lk.since >= HEALTHY_MS ||
	    (lk.v2 && v2_moved())))
		lk.attempt = lk.step = 0;
	snprintf(text, sizeof(text), was == LINK_SERVING ?
	    "connection lost (%d)" : "registration failed (%d)", code);
	if (was == LINK_SERVING && lk.conf->once &&
	    (code == WS_NORMAL || code == WS_GOING_AWAY)) {
		log_info("the server closed the connection");
		link_end(true);
		return;
	}
	link_lost(text);
}
