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
 * Listening sockets, who may come in, the clock.  Runs in: front, control.
 * Owns: struct http_server, its listeners, the count of each address.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/bevio.h"
#include "base/compat/compat.h"
#include "base/heap.h"
#include "base/log.h"
#include "supervisor/front/error.h"
#include "supervisor/front/http_int.h"

#define ACCEPT_BATCH	32	/* then the others have their turn */
#define ACCEPT_PAUSE	{ 1, 0 }
#define TRIM_MS		30000	/* glibc keeps what a crowd has used */

static void	server_defaults(struct http_conf *);
static void	server_accept(evutil_socket_t, short, void *);
static void	server_resume(evutil_socket_t, short, void *);
static void	server_pause(struct http_server *);
static void	server_work(evutil_socket_t, short, void *);
static void	server_tick(evutil_socket_t, short, void *);
static int	server_admit(struct http_server *, int, void *, void *,
		    const struct sockaddr_storage *);
static void	server_turn_away(struct http_server *, int, void *, uint64_t,
		    const char *, const char *);
static int	peer_key(const struct sockaddr_storage *, unsigned char *);
static struct http_peer **peer_slot(struct http_server *,
		    const unsigned char *);
static void	peer_name(const struct sockaddr_storage *, char *, size_t);

static void
server_defaults(struct http_conf *c)
{
#define DEFAULT(field, value) do {					\
	if (c->field == 0)						\
		c->field = (value);					\
} while (0)
	DEFAULT(max_head, 16384);
	DEFAULT(max_headers, 100);
	DEFAULT(max_conns, 4096);
	DEFAULT(max_per_peer, 1024);
	DEFAULT(collect_budget, 64 << 20);
	DEFAULT(high, 256 << 10);
	DEFAULT(low, 64 << 10);
	DEFAULT(head_ms, 10000);
	DEFAULT(idle_ms, 75000);
	DEFAULT(stall_ms, 60000);
	DEFAULT(stall_bytes, 4096);
	DEFAULT(tick_ms, 1000);
	DEFAULT(fd_reserve, 32);
#undef DEFAULT
	if (c->max_head > 65536)
		c->max_head = 65536;	/* the parser's own limit is 80 KiB */
}

void
http_head_limit(struct http_server *s, size_t max)
{
	struct http_req *c;

	s->conf.max_head = max;
	server_defaults(&s->conf);
	TAILQ_FOREACH(c, &s->conns, all)
		http_conn_limit(c);
}

struct http_server *
http_server_new(struct event_base *base, const struct http_server_ops *ops,
    void *arg, const struct http_conf *conf)
{
	struct http_server *s = calloc(1, sizeof(*s));
	struct rlimit rl;
	struct timeval tv;

	if (s == NULL)
		return NULL;
	s->base = base;
	s->ops = *ops;
	s->arg = arg;
	if (conf != NULL)
		s->conf = *conf;
	server_defaults(&s->conf);
	TAILQ_INIT(&s->listeners);
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->work);
	s->boot = arc4random();
	s->nofile = getrlimit(RLIMIT_NOFILE, &rl) == 0 &&
	    rl.rlim_cur < 1 << 30 ? (unsigned int)rl.rlim_cur : 1 << 30;
	signal(SIGPIPE, SIG_IGN);	/* libevent writes with writev */
	s->work_ev = event_new(base, -1, 0, server_work, s);
	s->accept_ev = event_new(base, -1, 0, server_resume, s);
	s->tick_ev = event_new(base, -1, EV_PERSIST, server_tick, s);
	tv.tv_sec = s->conf.tick_ms / 1000;
	tv.tv_usec = s->conf.tick_ms % 1000 * 1000;
	if (s->work_ev == NULL || s->accept_ev == NULL ||
	    s->tick_ev == NULL || event_add(s->tick_ev, &tv) == -1) {
		http_server_free(s);
		return NULL;
	}
	return s;
}

static void
listener_free(struct http_listener *l)
{
	TAILQ_REMOVE(&l->srv->listeners, l, entry);
	event_free(l->ev);
	close(l->fd);
	free(l);
}

void
http_server_free(struct http_server *s)
{
	struct http_listener *l;
	struct http_req *c;

	if (s == NULL)
		return;
	while ((l = TAILQ_FIRST(&s->listeners)) != NULL)
		listener_free(l);
	while ((c = TAILQ_FIRST(&s->conns)) != NULL) {
		c->running = 1;
		c->doomed = 1;
		http_conn_end(c, c->upgraded ? HTTP_UPGRADED : HTTP_SHUTDOWN);
		http_conn_free(c);
	}
	if (s->work_ev != NULL)
		event_free(s->work_ev);
	if (s->accept_ev != NULL)
		event_free(s->accept_ev);
	if (s->tick_ev != NULL)
		event_free(s->tick_ev);
	s->freed = 1;
	http_server_unref(s);
}

/* Upgraded connections still count their addresses here. */
void
http_server_unref(struct http_server *s)
{
	if (s->freed && s->stats.upgraded == 0)
		free(s);
}

void
http_stats_get(const struct http_server *s, struct http_stats *st)
{
	*st = s->stats;
}

void
http_server_wake(struct http_server *s)
{
	if (s->awake)
		return;
	s->awake = 1;
	event_active(s->work_ev, EV_TIMEOUT, 0);
}

static void
server_work(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	s->awake = 0;
	http_work(s);
}

static void
server_tick(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct http_req *c, *next;
	uint64_t now = bevio_now();

	if (now - s->trimmed >= TRIM_MS) {
		if (s->stats.accepted != s->trimmed_at)
			heap_trim();
		s->trimmed = now;
		s->trimmed_at = s->stats.accepted;
	}
	/* http_tick(c) frees no other connection than c. */
	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		http_tick(c, now);
	}
}

void
http_drain(struct http_server *s)
{
	struct http_listener *l;
	struct http_req *c;

	s->draining = 1;
	TAILQ_FOREACH(l, &s->listeners, entry)
		event_del(l->ev);
	TAILQ_FOREACH(c, &s->conns, all)
		if (c->state == HS_IDLE)
			http_schedule(c);
}

/* --- addresses --- */

static int
peer_key(const struct sockaddr_storage *ss, unsigned char *key)
{
	const struct sockaddr_in *sin = (const void *)ss;
	const struct sockaddr_in6 *sin6 = (const void *)ss;

	memset(key, 0, 16);
	if (ss->ss_family == AF_INET) {
		memset(key + 10, 0xff, 2);
		memcpy(key + 12, &sin->sin_addr, 4);
	} else if (ss->ss_family == AF_INET6)
		/* A client of IPv6 has a /64 to choose from. */
		memcpy(key, &sin6->sin6_addr,
		    IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) ? 16 : 8);
	else
		return -1;
	return 0;
}

static struct http_peer **
peer_slot(struct http_server *s, const unsigned char *key)
{
	struct http_peer **slot;
	uint32_t h = s->boot;
	size_t i;

	for (i = 0; i < 16; i++)
		h = (h ^ key[i]) * 16777619u;
	slot = &s->peers[h % HTTP_PEERS];
	while (*slot != NULL && memcmp((*slot)->key, key, 16) != 0)
		slot = &(*slot)->next;
	return slot;
}

void
http_peer_drop(struct http_server *s, struct http_peer *peer)
{
	struct http_peer **slot;

	if (peer == NULL || --peer->n > 0)
		return;
	slot = peer_slot(s, peer->key);
	*slot = peer->next;
	free(peer);
}

static void
peer_name(const struct sockaddr_storage *ss, char *dst, size_t size)
{
	const struct sockaddr_in *sin = (const void *)ss;
	const struct sockaddr_in6 *sin6 = (const void *)ss;
	char addr[INET6_ADDRSTRLEN] = "?";

	if (ss->ss_family == AF_INET) {
		inet_ntop(AF_INET, &sin->sin_addr, addr, sizeof(addr));
		snprintf(dst, size, "%s:%u", addr, ntohs(sin->sin_port));
	} else if (ss->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &sin6->sin6_addr, addr, sizeof(addr));
		snprintf(dst, size, "[%s]:%u", addr, ntohs(sin6->sin6_port));
	} else
		strlcpy(dst, "unix", size);
}

/* --- accepting --- */

int
http_listen(struct http_server *s, int fd, void *opaque)
{
	return http_listen_as(s, fd, opaque, "", NULL);
}

int
http_listen_as(struct http_server *s, int fd, void *opaque, const char *name,
    void *tls)
{
	struct http_listener *l = calloc(1, sizeof(*l)), *old;

	if (l == NULL || evutil_make_socket_nonblocking(fd) == -1 ||
	    (l->ev = event_new(s->base, fd, EV_READ | EV_PERSIST,
	    server_accept, l)) == NULL || event_add(l->ev, NULL) == -1) {
		if (l != NULL && l->ev != NULL)
			event_free(l->ev);
		free(l);
		close(fd);
		return -1;
	}
	l->srv = s;
	l->fd = fd;
	l->opaque = opaque;
	l->tls = tls;
	strlcpy(l->name, name, sizeof(l->name));
	TAILQ_FOREACH(old, &s->listeners, entry)
		if (*name != '\0' && strcmp(old->name, name) == 0)
			break;
	if (old != NULL)
		listener_free(old);
	TAILQ_INSERT_TAIL(&s->listeners, l, entry);
	return 0;
}

int
http_serve_fd(struct http_server *s, int fd, void *listener)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	if (getpeername(fd, (struct sockaddr *)&ss, &len) == -1)
		ss.ss_family = AF_UNIX;
	evutil_make_socket_nonblocking(fd);
	return server_admit(s, fd, listener, NULL, &ss);
}

static void
server_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct http_listener *l = arg;
	struct http_server *s = l->srv;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, i;

	for (i = 0; i < ACCEPT_BATCH; i++) {
		len = sizeof(ss);
		memset(&ss, 0, sizeof(ss));
		fd = accept4(lfd, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			server_admit(s, fd, l->opaque, l->tls, &ss);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS)
			server_pause(s);
		else if (errno == EINVAL)
			/* Shut down by its owner: a reload dropped it. */
			listener_free(l);
		return;
	}
}

/* No descriptors: level-triggered accept would spin. */
static void
server_pause(struct http_server *s)
{
	struct http_listener *l;
	struct timeval tv = ACCEPT_PAUSE;

	log_warn("no new connections for a second");
	TAILQ_FOREACH(l, &s->listeners, entry)
		event_del(l->ev);
	event_add(s->accept_ev, &tv);
}

static void
server_resume(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct http_listener *l;

	if (s->draining)
		return;
	TAILQ_FOREACH(l, &s->listeners, entry)
		event_add(l->ev, NULL);
}

/* The one connection more: told why, if it fits into the socket.  In TLS that
 * would cost us a handshake. */
static void
server_turn_away(struct http_server *s, int fd, void *tls, uint64_t serial,
    const char *name, const char *why)
{
	char body[ERROR_BODY_MAX], msg[ERROR_BODY_MAX + 256];
	size_t len;
	int n;

	log_info("request %llu: %s refused with 503: %s",
	    (unsigned long long)serial, name, why);
	s->stats.refused++;
	if (tls != NULL) {
		close(fd);
		return;
	}
	len = error_body(body, sizeof(body), XERR_EOFFLINE, why);
	n = snprintf(msg, sizeof(msg), "HTTP/1.1 503 %s\r\n"
	    "X-Request-Id: %08x-%llu\r\nRetry-After: %d\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n%s", http_out_reason(503), s->boot,
	    (unsigned long long)serial, error_retry_after(XERR_EOFFLINE), len,
	    body);
	if (send(fd, msg, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		log_debug("request %llu: gone already",
		    (unsigned long long)serial);
	shutdown(fd, SHUT_WR);
	close(fd);
}

static int
server_admit(struct http_server *s, int fd, void *listener, void *tls,
    const struct sockaddr_storage *ss)
{
	struct http_peer **slot, *peer = NULL;
	unsigned char key[16];
	const char *why = NULL;
	uint64_t serial = ++s->serial;
	char name[64];
	int one = 1;

	s->stats.accepted++;
	peer_name(ss, name, sizeof(name));
	if (s->draining || (s->ops.on_accept != NULL &&
	    s->ops.on_accept(s->arg, listener, fd) != 0)) {
		log_info("request %llu: %s not admitted",
		    (unsigned long long)serial, name);
		s->stats.refused++;
		close(fd);
		return -1;
	}
	if (s->stats.conns + s->stats.upgraded >= s->conf.max_conns ||
	    (unsigned int)fd >= s->nofile ||
	    s->nofile - (unsigned int)fd <= s->conf.fd_reserve)
		why = "too many connections";
	else if (peer_key(ss, key) == 0) {
		slot = peer_slot(s, key);
		if (*slot == NULL) {
			if ((*slot = calloc(1, sizeof(**slot))) == NULL)
				why = "out of memory";
			else
				memcpy((*slot)->key, key, 16);
		} else if ((*slot)->n >= s->conf.max_per_peer)
			why = "too many connections from this address";
		if (why == NULL) {
			peer = *slot;
			peer->n++;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	if (why != NULL) {
		server_turn_away(s, fd, tls, serial, name, why);
		return -1;
	}
	return http_conn_new(s, fd, listener, tls, peer, name, serial);
}
