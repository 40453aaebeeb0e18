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
 * HTTP proxies as Go's http.ProxyFromEnvironment finds them.
 * Runs in: xbot-runner.
 */

#include <sys/socket.h>
#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/base64.h"
#include "base/log.h"
#include "runner/proxy.h"

#define ANSWER_MAX	16384

struct proxy_call {
	struct bufferevent	*bev;
	struct event		*timer;
	proxy_cb		 cb;
	void			*arg;
	char			*request;
};

static const char *variable(const char *, const char *);
static bool	 is_exempt(const struct url *);
static bool	 is_loopback(const char *);
static bool	 entry_fits(const char *, size_t, const struct url *);
static bool	 network_fits(const char *, const char *);
static bool	 auth_set(struct proxy *, const char *, size_t);
static void	 call_end(struct proxy_call *, struct bufferevent *,
		    const char *);
static void	 on_read(struct bufferevent *, void *);
static void	 on_state(struct bufferevent *, short, void *);
static void	 on_late(evutil_socket_t, short, void *);

/* --- the environment --- */

static const char *
variable(const char *upper, const char *lower)
{
	const char	*text = getenv(upper);

	if (text == NULL || *text == '\0')
		text = getenv(lower);
	return text != NULL && *text != '\0' ? text : NULL;
}

static bool
is_loopback(const char *host)
{
	struct in6_addr	 six;
	struct in_addr	 four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(host, "localhost") == 0;
}

/* 10.0.0.0/8 and the like. */
static bool
network_fits(const char *entry, const char *host)
{
	unsigned char	 net[16], addr[16];
	char		 text[INET6_ADDRSTRLEN];
	const char	*slash = strchr(entry, '/');
	int		 family = strchr(entry, ':') != NULL ? AF_INET6 :
			    AF_INET;
	unsigned long	 bits, i;

	if (slash == NULL || (size_t)(slash - entry) >= sizeof(text) ||
	    slash[1] < '0' || slash[1] > '9')
		return false;
	memcpy(text, entry, (size_t)(slash - entry));
	text[slash - entry] = '\0';
	bits = strtoul(slash + 1, NULL, 10);
	if (bits > (family == AF_INET ? 32 : 128) ||
	    inet_pton(family, text, net) != 1 ||
	    inet_pton(family, host, addr) != 1)
		return false;
	for (i = 0; i < bits; i++)
		if ((net[i / 8] ^ addr[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

/* One word of NO_PROXY: *, address, network, name or .suffix; :port. */
static bool
entry_fits(const char *word, size_t len, const struct url *u)
{
	char		 text[300], *entry = text, *colon;
	unsigned char	 addr[16];
	size_t		 hostlen = strlen(u->host);

	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, word, len);
	text[len] = '\0';
	if (strcmp(text, "*") == 0 || network_fits(text, u->host))
		return true;
	if (inet_pton(AF_INET6, text, addr) != 1 &&
	    (colon = strrchr(text, ':')) != NULL) {
		if (strtoul(colon + 1, NULL, 10) != u->port)
			return false;
		*colon = '\0';
	}
	if (entry[0] == '[' && entry[strlen(entry) - 1] == ']') {
		entry[strlen(entry) - 1] = '\0';
		entry++;
	}
	if (strncmp(entry, "*.", 2) == 0)
		entry++;
	if (strcasecmp(entry, u->host) == 0)
		return true;
	/* example.org: what is below it, too; .example.org: only that. */
	len = strlen(entry);
	return len > 0 && hostlen > len &&
	    strcasecmp(u->host + hostlen - len, entry) == 0 &&
	    (entry[0] == '.' || u->host[hostlen - len - 1] == '.');
}

static bool
is_exempt(const struct url *u)
{
	const char	*list = variable("NO_PROXY", "no_proxy");
	size_t		 len;

	if (is_loopback(u->host))
		return true;
	while (list != NULL && *list != '\0') {
		list += strspn(list, ", \t");
		len = strcspn(list, ", \t");
		if (entry_fits(list, len, u))
			return true;
		list += len;
	}
	return false;
}

/* USER:PASSWORD, percent-encoded, as Basic. */
static bool
auth_set(struct proxy *p, const char *text, size_t len)
{
	char	 plain[512], hex[3] = "", *end;
	size_t	 i, n = 0;

	for (i = 0; i < len; i++) {
		if (n == sizeof(plain))
			return false;
		plain[n] = text[i];
		if (text[i] == '%' && len - i > 2) {
			memcpy(hex, text + i + 1, 2);
			plain[n] = (char)strtoul(hex, &end, 16);
			if (*end != '\0')
				return false;
			i += 2;
		}
		n++;
	}
	if ((p->auth = calloc(1, BASE64_LEN(n) + 1)) == NULL)
		fatal("calloc");
	base64_encode(p->auth, plain, n);
	explicit_bzero(plain, sizeof(plain));
	return true;
}

bool
proxy_find(struct proxy *p, const struct url *u, const char **why)
{
	const char	*text, *at;
	struct url	 of = { 0 };
	char		 ws[512];
	size_t		 len;

	memset(p, 0, sizeof(*p));
	text = u->tls ? variable("HTTPS_PROXY", "https_proxy") :
	    variable("HTTP_PROXY", "http_proxy");
	if (text == NULL || is_exempt(u))
		return true;
	*why = "only http:// proxies are understood";
	if (strncasecmp(text, "http://", 7) == 0)
		text += 7;
	else if (strstr(text, "://") != NULL)
		return false;
	*why = "it is no http://[USER:PASSWORD@]HOST[:PORT]";
	len = strcspn(text, "/");
	if ((at = memrchr(text, '@', len)) != NULL) {
		if (!auth_set(p, text, (size_t)(at - text)))
			return false;
		len -= (size_t)(at + 1 - text);
		text = at + 1;
	}
	/* The rest is what stands in a ws:// address as well. */
	if (snprintf(ws, sizeof(ws), "ws://%.*s", (int)len, text) >=
	    (int)sizeof(ws) || !url_parse(&of, ws, why))
		return false;
	memcpy(p->host, of.host, sizeof(p->host));
	p->port = of.port;
	p->used = true;
	url_clear(&of);
	return true;
}

void
proxy_clear(struct proxy *p)
{
	if (p->auth != NULL)
		explicit_bzero(p->auth, strlen(p->auth));
	free(p->auth);
	memset(p, 0, sizeof(*p));
}

/* --- CONNECT --- */

struct proxy_call *
proxy_connect(struct event_base *base, struct bufferevent *bev,
    const struct proxy *p, const struct url *u, unsigned int timeout_ms,
    proxy_cb cb, void *arg)
{
	const bool		 six = strchr(u->host, ':') != NULL;
	const struct timeval	 tv = { .tv_sec = timeout_ms / 1000 };
	struct proxy_call	*call = calloc(1, sizeof(*call));
	char			 host[300];

	if (call == NULL) {
		bufferevent_free(bev);
		return NULL;
	}
	call->bev = bev;
	call->cb = cb;
	call->arg = arg;
	snprintf(host, sizeof(host), "%s%s%s:%u", six ? "[" : "", u->host,
	    six ? "]" : "", u->port);
	if (asprintf(&call->request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n"
	    "%s%s%s\r\n", host, host, p->auth != NULL ?
	    "Proxy-Authorization: Basic " : "", p->auth != NULL ? p->auth : "",
	    p->auth != NULL ? "\r\n" : "") == -1)
		call->request = NULL;
	call->timer = evtimer_new(base, on_late, call);
	if (call->request == NULL || call->timer == NULL ||
	    evtimer_add(call->timer, &tv) == -1) {
		proxy_cancel(call);
		return NULL;
	}
	bufferevent_setcb(bev, on_read, NULL, on_state, call);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	return call;
}

void
proxy_cancel(struct proxy_call *call)
{
	if (call == NULL)
		return;
	if (call->bev != NULL) {
		bufferevent_setcb(call->bev, NULL, NULL, NULL, NULL);
		bufferevent_free(call->bev);
	}
	if (call->timer != NULL)
		event_free(call->timer);
	if (call->request != NULL)
		explicit_bzero(call->request, strlen(call->request));
	free(call->request);
	free(call);
}

static void
call_end(struct proxy_call *call, struct bufferevent *bev, const char *why)
{
	const proxy_cb	 cb = call->cb;
	void		*arg = call->arg;

	if (bev != NULL) {
		bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
		bufferevent_disable(bev, EV_READ);
		call->bev = NULL;
	}
	proxy_cancel(call);
	cb(arg, bev, why);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	call_end(arg, NULL, "the proxy does not answer");
}

static void
on_state(struct bufferevent *bev, short what, void *arg)
{
	struct proxy_call	*call = arg;
	char			 why[200];

	if (what & BEV_EVENT_CONNECTED) {
		bufferevent_write(bev, call->request, strlen(call->request));
		return;
	}
	snprintf(why, sizeof(why), "the proxy: %s", what & BEV_EVENT_EOF ?
	    "closed the connection" : strerror(EVUTIL_SOCKET_ERROR()));
	call_end(call, NULL, why);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer		*in = bufferevent_get_input(bev);
	struct evbuffer_ptr	 end;
	char			 line[200], vis[400], why[600];
	ssize_t			 n;

	end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	if (end.pos < 0 || end.pos > ANSWER_MAX) {
		if (evbuffer_get_length(in) >= ANSWER_MAX)
			call_end(arg, NULL, "the proxy's answer is too long");
		return;
	}
	n = evbuffer_copyout(in, line, sizeof(line) - 1);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	evbuffer_drain(in, (size_t)end.pos + 4);
	if (strncmp(line, "HTTP/1.", 7) == 0 && line[8] == ' ' &&
	    line[9] == '2') {
		call_end(arg, bev, NULL);
		return;
	}
	log_vis(vis, sizeof(vis), line, strlen(line));
	snprintf(why, sizeof(why), "the proxy refused: %s%s", vis,
	    strstr(line, " 407") != NULL ?
	    " (give it as http://USER:PASSWORD@HOST:PORT)" : "");
	call_end(arg, NULL, why);
}
