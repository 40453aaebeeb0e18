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
 * The client's handshake (RFC 6455, 4.1).  Runs in: xbot-runner, tests.
 * Input is hostile: a bounded answer, and nothing is believed before
 * Sec-WebSocket-Accept was right.
 */

#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/evp.h>

#include "base/bevio.h"
#include "base/log.h"
#include "base/ws_client.h"

#define ANSWER_MAX	16384

struct wsc {
	struct event_base	*base;
	struct bufferevent	*bev;
	struct event		*timer;
	const struct wsc_ops	*ops;
	const struct ws_ops	*ws_ops;
	void			*arg;
	const char		*(*tls_why)(struct bufferevent *);
	char			*request;
	char			*offered;
	char			 accept[WS_ACCEPT_LEN];
	int			 flags;
	struct addrinfo		*addrs, *next;	/* still to be tried */
};

/* What counts in the answer's head. */
struct answer {
	int		 upgrade, connection, accept, unasked;
	const char	*proto;
};

static struct wsc *wsc_new(struct event_base *, const struct wsc_conf *,
		    const struct wsc_ops *, const struct ws_ops *, void *);
static int	wsc_compose(struct wsc *, const struct wsc_conf *);
static void	wsc_watch(struct wsc *);
static void	wsc_fail(struct wsc *, int, const char *);
static int	wsc_try_next(struct wsc *);
static void	wsc_answer(struct wsc *, char *);
static void	answer_line(struct wsc *, struct answer *, char *);
static int	list_has(const char *, const char *);
static void	on_answer(struct bufferevent *, void *);
static void	on_state(struct bufferevent *, short, void *);
static void	on_late(evutil_socket_t, short, void *);

static int
line_ok(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if ((unsigned char)*s <= 0x20 || *s == 0x7f)
			return 0;
	return 1;
}

/* The whole request at once, with a fresh key. */
static int
wsc_compose(struct wsc *w, const struct wsc_conf *conf)
{
	unsigned char rnd[16];
	char key[25];
	const char *sub = conf->subprotocols, *more = conf->headers;

	if (conf->host == NULL || conf->path == NULL || *conf->path != '/' ||
	    !line_ok(conf->host) || !line_ok(conf->path) ||
	    (sub != NULL && strpbrk(sub, "\r\n") != NULL))
		return -1;
	arc4random_buf(rnd, sizeof(rnd));
	EVP_EncodeBlock((unsigned char *)key, rnd, sizeof(rnd));
	ws_accept(key, w->accept);
	if (sub != NULL && (w->offered = strdup(sub)) == NULL)
		return -1;
	if (asprintf(&w->request, "GET %s HTTP/1.1\r\nHost: %s\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
	    "%s%s%s%s\r\n", conf->path, conf->host, key,
	    sub != NULL ? "Sec-WebSocket-Protocol: " : "",
	    sub != NULL ? sub : "", sub != NULL ? "\r\n" : "",
	    more != NULL ? more : "") == -1) {
		w->request = NULL;
		return -1;
	}
	return 0;
}

static struct wsc *
wsc_new(struct event_base *base, const struct wsc_conf *conf,
    const struct wsc_ops *ops, const struct ws_ops *ws_ops, void *arg)
{
	unsigned int ms = conf->timeout_ms > 0 ? conf->timeout_ms : 45000;
	struct timeval tv = { .tv_sec = ms / 1000,
	    .tv_usec = ms % 1000 * 1000 };
	struct wsc *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	signal(SIGPIPE, SIG_IGN);	/* libevent writes with writev */
	w->base = base;
	w->ops = ops;
	w->ws_ops = ws_ops;
	w->arg = arg;
	w->flags = conf->ws_flags | WS_CLIENT;
	w->tls_why = conf->tls_why;
	if (wsc_compose(w, conf) == -1 ||
	    (w->timer = event_new(base, -1, 0, on_late, w)) == NULL ||
	    event_add(w->timer, &tv) == -1) {
		wsc_cancel(w);
		return NULL;
	}
	return w;
}

void
wsc_cancel(struct wsc *w)
{
	if (w == NULL)
		return;
	if (w->bev != NULL) {
		bufferevent_setcb(w->bev, NULL, NULL, NULL, NULL);
		bufferevent_free(w->bev);
	}
	if (w->timer != NULL)
		event_free(w->timer);
	if (w->addrs != NULL)
		freeaddrinfo(w->addrs);
	free(w->request);
	free(w->offered);
	free(w);
}

static void
wsc_fail(struct wsc *w, int status, const char *why)
{
	void (*fn)(void *, int, const char *) = w->ops->on_fail;
	void *arg = w->arg;

	wsc_cancel(w);
	if (fn != NULL)
		fn(arg, status, why);
}

static void
wsc_watch(struct wsc *w)
{
	bufferevent_setcb(w->bev, on_answer, NULL, on_state, w);
	bufferevent_enable(w->bev, EV_READ | EV_WRITE);
}

struct wsc *
wsc_start(struct event_base *base, struct bufferevent *bev, int connecting,
    const struct wsc_conf *conf, const struct wsc_ops *ops,
    const struct ws_ops *ws_ops, void *arg)
{
	struct wsc *w = wsc_new(base, conf, ops, ws_ops, arg);

	if (w == NULL) {
		bufferevent_free(bev);
		return NULL;
	}
	w->bev = bev;
	wsc_watch(w);
	if (!connecting)
		bufferevent_write(bev, w->request, strlen(w->request));
	return w;
}

struct wsc *
wsc_connect(struct event_base *base, const char *host, unsigned short port,
    const struct wsc_conf *conf, void *tls, const struct wsc_ops *ops,
    const struct ws_ops *ws_ops, void *arg)
{
	struct addrinfo hints;
	struct wsc *w;
	char service[8];

	if (tls != NULL || (w = wsc_new(base, conf, ops, ws_ops, arg)) == NULL)
		return NULL;
	w->flags |= WS_RAW;
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	snprintf(service, sizeof(service), "%u", port);
	/* Without an address on_late() reports it, at once. */
	if (getaddrinfo(host, service, &hints, &w->addrs) != 0)
		w->addrs = NULL;
	w->next = w->addrs;
	if (wsc_try_next(w) == -1)
		event_active(w->timer, EV_TIMEOUT, 0);
	return w;
}

static int
wsc_try_next(struct wsc *w)
{
	struct addrinfo *ai;

	while ((ai = w->next) != NULL) {
		w->next = ai->ai_next;
		if (w->bev != NULL) {
			bufferevent_setcb(w->bev, NULL, NULL, NULL, NULL);
			bufferevent_free(w->bev);
		}
		w->bev = bufferevent_socket_new(w->base, -1,
		    BEV_OPT_CLOSE_ON_FREE);
		if (w->bev == NULL)
			return -1;
		wsc_watch(w);
		if (bufferevent_socket_connect(w->bev, ai->ai_addr,
		    (int)ai->ai_addrlen) == 0)
			return 0;
	}
	return -1;
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	struct wsc *w = arg;

	wsc_fail(w, 0, w->bev == NULL ? "no such host or no connection" :
	    "no answer in time");
}

static void
on_state(struct bufferevent *bev, short what, void *arg)
{
	struct wsc *w = arg;
	const char *why;
	char text[160];
	int one = 1, error = EVUTIL_SOCKET_ERROR();

	if (what & BEV_EVENT_CONNECTED) {
		setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY,
		    &one, sizeof(one));
		bufferevent_write(bev, w->request, strlen(w->request));
		return;
	}
	if (what & BEV_EVENT_ERROR && w->tls_why != NULL &&
	    (why = w->tls_why(bev)) != NULL) {
		wsc_fail(w, -1, why);
		return;
	}
	if (what & BEV_EVENT_ERROR && wsc_try_next(w) == 0)
		return;
	snprintf(text, sizeof(text), "%s%s", what & BEV_EVENT_EOF ?
	    "closed during the handshake" : strerror(error),
	    what & BEV_EVENT_READING && w->tls_why == NULL ?
	    " (does that port want wss://?)" : "");
	wsc_fail(w, 0, text);
}

/* The head, once it is there, taken out of the buffer. */
static void
on_answer(struct bufferevent *bev, void *arg)
{
	struct wsc *w = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_ptr end;
	char *head;
	size_t n;

	end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	if (end.pos < 0 || end.pos > ANSWER_MAX) {
		if (evbuffer_get_length(in) >= ANSWER_MAX)
			wsc_fail(w, 0, "answer too long");
		return;
	}
	n = (size_t)end.pos + 2;
	if ((head = malloc(n + 1)) == NULL) {
		wsc_fail(w, 0, "out of memory");
		return;
	}
	evbuffer_remove(in, head, n);
	evbuffer_drain(in, 2);
	head[n] = '\0';
	if (memchr(head, '\0', n) != NULL)
		wsc_fail(w, 0, "malformed answer");
	else
		wsc_answer(w, head);
	free(head);
}

static int
list_has(const char *list, const char *token)
{
	size_t n, len = strlen(token);

	for (; *list != '\0'; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len && strncasecmp(list, token, n) == 0)
			return 1;
	}
	return 0;
}

static void
answer_line(struct wsc *w, struct answer *a, char *line)
{
	char *value = strchr(line, ':');
	size_t n;

	if (value == NULL)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	n = strlen(value);
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		value[--n] = '\0';
	if (strcasecmp(line, "Upgrade") == 0)
		a->upgrade = strcasecmp(value, "websocket") == 0;
	else if (strcasecmp(line, "Connection") == 0)
		a->connection |= list_has(value, "upgrade");
	else if (strcasecmp(line, "Sec-WebSocket-Accept") == 0)
		a->accept = strcmp(value, w->accept) == 0;
	else if (strcasecmp(line, "Sec-WebSocket-Extensions") == 0)
		a->unasked = 1;
	else if (strcasecmp(line, "Sec-WebSocket-Protocol") == 0)
		a->proto = value;
}

static void
wsc_answer(struct wsc *w, char *head)
{
	struct answer a = { 0, 0, 0, 0, NULL };
	struct bufferevent *bev = w->bev;
	const struct wsc_ops *ops = w->ops;
	void *arg = w->arg;
	char *line, *next, why[160];
	struct ws *ws;
	int status = 0;

	next = strstr(head, "\r\n");
	*next = '\0';
	if (strncmp(head, "HTTP/1.", 7) == 0 && strspn(head + 7, "01") == 1 &&
	    head[8] == ' ' && strspn(head + 9, "0123456789") == 3)
		status = (int)strtol(head + 9, NULL, 10);
	if (status < 100) {
		wsc_fail(w, 0, "malformed answer");
		return;
	}
	if (status != 101 && ops->on_refused != NULL) {
		w->bev = NULL;
		bufferevent_disable(bev, EV_READ);
		bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
		wsc_cancel(w);
		ops->on_refused(arg, status, bev);
		return;
	}
	if (status != 101) {
		log_vis(why, sizeof(why), head, strlen(head));
		wsc_fail(w, status, why);
		return;
	}
	for (line = next + 2; *line != '\0'; line = next + 2) {
		next = strstr(line, "\r\n");
		*next = '\0';
		answer_line(w, &a, line);
	}
	if (!a.upgrade || !a.connection || !a.accept || a.unasked ||
	    (a.proto != NULL && (w->offered == NULL ||
	    !list_has(w->offered, a.proto)))) {
		wsc_fail(w, status, "not the answer to our handshake");
		return;
	}
	w->bev = NULL;
	bufferevent_disable(bev, EV_READ);
	ws = ws_new(w->base, bev, w->flags, w->ws_ops, arg);
	wsc_cancel(w);
	if (ws == NULL) {
		if (ops->on_fail != NULL)
			ops->on_fail(arg, 0, "out of memory");
	} else if (ops->on_open != NULL)
		ops->on_open(arg, ws, a.proto);
}
