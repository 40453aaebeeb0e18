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
 * HTTP/1.1 server on libevent bufferevents.  Runs in: front, control.
 * Input is hostile: every byte comes from a stranger.
 * Owns: connections and their requests.  Knows no route, token or JSON.
 *
 * A request is known by its 64-bit serial.  A struct http_req * is valid
 * inside the callback that lends it, and after http_req_find() until you
 * return to the event loop; keep the serial, never the pointer.
 */

#ifndef FRONT_HTTP_H
#define FRONT_HTTP_H

#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ws.h"
#include "proto/error.h"

struct bufferevent;
struct event_base;
struct http_server;
struct http_req;

/* Methods as bits, so that a route's allowed set is one word. */
enum http_verb {
	HV_GET = 0x01,
	HV_HEAD = 0x02,
	HV_POST = 0x04,
	HV_PUT = 0x08,
	HV_DELETE = 0x10,
	HV_PATCH = 0x20,
	HV_OPTIONS = 0x40,
	HV_OTHER = 0x80
};

/* Why a request is over. */
enum http_end {
	HTTP_DONE,		/* the whole answer was given to the kernel */
	HTTP_GONE,		/* the client went away or was cut off */
	HTTP_UPGRADED,		/* the connection is a WebSocket now */
	HTTP_SHUTDOWN		/* the server is being freed */
};

/*
 * One request's callbacks; any may be NULL.  They are only called from the
 * event loop, never from inside an http_*() function you called.
 */
struct http_handler {
	/* A piece of the body; data is lent until return. */
	void	(*on_body)(struct http_req *, void *arg, const void *data,
		    size_t len);
	/* The body is complete (also called for a request without one). */
	void	(*on_body_end)(struct http_req *, void *arg);
	/* The answer drained below the low mark after http_reply_data()
	 * had returned 1. */
	void	(*on_writable)(struct http_req *, void *arg);
	/* Exactly once for every request that got a handler, whatever
	 * happened: free arg here.  Afterwards the serial is unknown. */
	void	(*on_close)(struct http_req *, void *arg, enum http_end);
};

struct http_server_ops {
	/*
	 * A connection was accepted; listener is http_listen()'s pointer.
	 * Non-zero refuses it (closed without a word): the control process
	 * looks at SO_PEERCRED of fd here.  May be NULL.
	 */
	int	(*on_accept)(void *server_arg, void *listener, int fd);
	/*
	 * Headers are complete and syntactically fine.  Reply at once, or
	 * http_set_handler() and then one of: http_body_collect(),
	 * http_body_stream(), or nothing yet (e.g. while a token is looked
	 * up): then the body stays unread in the kernel's buffers.
	 */
	void	(*on_request)(struct http_req *, void *server_arg);
	/*
	 * TLS: a bufferevent over the accepted fd; NULL refuses it.  tls is
	 * http_listen_as()'s.
	 */
	struct bufferevent *(*on_tls)(void *tls, struct event_base *, int fd);
	/* Why its handshake failed, for the log. */
	const char *(*tls_why)(struct bufferevent *);
};

/* Times in milliseconds, sizes in bytes; 0 in any field means the default. */
struct http_conf {
	size_t		max_head;	/* 16384: request line + headers */
	unsigned int	max_headers;	/* 100 */
	unsigned int	max_conns;	/* 4096, WebSockets included */
	unsigned int	max_per_peer;	/* 1024 an IPv4 address or IPv6 /64 */
	size_t		collect_budget;	/* 64 MiB: collected bodies, together */
	size_t		high;		/* 256 KiB of unsent answer a request */
	size_t		low;		/* 64 KiB */
	unsigned int	head_ms;	/* 10000: first byte to end of headers */
	unsigned int	idle_ms;	/* 75000 between two requests */
	unsigned int	stall_ms;	/* 60000: in each such window a body ... */
	size_t		stall_bytes;	/* 4096: ... must move by this much */
	unsigned int	tick_ms;	/* 1000: how often all this is checked */
	unsigned int	fd_reserve;	/* 32 descriptors are never given away */
};

/* conf may be NULL.  Ignores SIGPIPE for the process.  NULL: no memory. */
struct http_server	*http_server_new(struct event_base *,
			    const struct http_server_ops *, void *server_arg,
			    const struct http_conf *);
/* Another max_head, for connections that are open, too. */
void	 http_head_limit(struct http_server *, size_t);
/* Ends every request (HTTP_SHUTDOWN).  Upgraded connections live on. */
void	 http_server_free(struct http_server *);
/*
 * Serve on a listening socket, TCP or unix; takes fd.  listener comes back
 * from http_req_listener().  -1: no memory.
 */
int	 http_listen(struct http_server *, int fd, void *listener);
/*
 * The same under a name: one of that name before it is closed, connections
 * live on.  tls is not NULL: what on_tls gets; else it is plain.
 */
int	 http_listen_as(struct http_server *, int fd, void *listener,
	    const char *name, void *tls);
/* Serve one connected socket; takes fd (tests, fuzzers, passed sockets). */
int	 http_serve_fd(struct http_server *, int fd, void *listener);
/* Stop accepting and close idle connections; requests run to their end. */
void	 http_drain(struct http_server *);

struct http_stats {
	uint64_t	accepted, requests, refused, timeouts;
	unsigned int	conns, upgraded;
	size_t		collected;	/* bytes held in collected bodies */
};
void	 http_stats_get(const struct http_server *, struct http_stats *);

/* --- the request --- */

uint64_t	 http_req_serial(const struct http_req *);
/* NULL: gone, or already answered to the end.  That is normal. */
struct http_req	*http_req_find(struct http_server *, uint64_t serial);
void		*http_req_listener(const struct http_req *);
int		 http_req_fd(const struct http_req *);
/* "192.0.2.1:4711", "[2001:db8::1]:4711" or "unix" */
const char	*http_req_peer(const struct http_req *);
/* What X-Request-Id of the answer says; at most 64 visible characters. */
const char	*http_req_id(const struct http_req *);

enum http_verb	 http_req_verb(const struct http_req *);
const char	*http_req_method(const struct http_req *);
/* The path as sent, still percent-encoded, without query: "/v1/a%20b". */
const char	*http_req_path(const struct http_req *);
/* The raw query without '?', "" when there is none. */
const char	*http_req_query(const struct http_req *);
/* First header of that name (any case), trimmed; NULL if absent. */
const char	*http_req_header(const struct http_req *, const char *name);
/* Is token in the comma separated list of that header (any case)? */
int		 http_req_header_has(const struct http_req *, const char *name,
		    const char *token);
/* Content-Length, 0 without a body, -1 when the body is chunked. */
int64_t		 http_req_length(const struct http_req *);

#define HTTP_SEGS_MAX	16
struct http_segs {
	unsigned int	 n;
	const char	*s[HTTP_SEGS_MAX];	/* decoded, NUL-terminated */
};
/*
 * Splits the path at '/' and decodes each segment by itself, so %2F stays
 * inside one.  "/" has none, a trailing '/' gives a last empty one.  Returns
 * 0, or -1: bad escape, %00, or too many.  Lives as long as the request.
 */
int	 http_req_segs(struct http_req *, struct http_segs *);
/*
 * The idx-th value of a query parameter, decoded ('+' is a space) and
 * NUL-terminated into dst.  Returns its length; -1: not there; -2: malformed
 * or longer than size - 1.
 */
ssize_t	 http_req_param(const struct http_req *, const char *name,
	    unsigned int idx, char *dst, size_t size);
/* Decodes len bytes of percent-encoding; as above: length or -2. */
ssize_t	 http_decode(const char *src, size_t len, int plus_is_space,
	    char *dst, size_t size);

/* --- the body --- */

void	 http_set_handler(struct http_req *, const struct http_handler *,
	    void *arg);
/* Deliver the body through on_body and on_body_end as it arrives. */
void	 http_body_stream(struct http_req *);
/* Stop and go: while paused nothing is read and the kernel pushes back. */
void	 http_req_pause(struct http_req *);
void	 http_req_resume(struct http_req *);
/*
 * Collect the whole body, then call back once; data is lent until return and
 * is followed by a NUL that len does not count.  Over the limit the client
 * gets 413 E2BIG and on_close follows.
 */
typedef void (*http_collect_cb)(struct http_req *, void *arg,
	    const char *data, size_t len);
void	 http_body_collect(struct http_req *, size_t limit, http_collect_cb);

/* --- the answer --- */

/*
 * Adds a header to the answer that is about to be given.  Values with
 * control characters are dropped; no room (4 KiB) drops it as well.
 */
void	 http_reply_header(struct http_req *, const char *name,
	    const char *value);
/* The whole answer.  ctype NULL: no Content-Type. */
void	 http_reply(struct http_req *, int status, const char *ctype,
	    const void *body, size_t len);
/* The contract's error object, its status and Retry-After. */
void	 http_reply_error(struct http_req *, enum xerr, const char *fmt, ...)
	    __attribute__((__format__(printf, 3, 4)));
/* The same with another status: 408, 426 ... */
void	 http_reply_error_status(struct http_req *, int status, enum xerr,
	    const char *fmt, ...)
	    __attribute__((__format__(printf, 4, 5)));
/* 405 with Allow from a set of HV_ bits (GET implies HEAD). */
void	 http_reply_405(struct http_req *, unsigned int verbs);

/*
 * An answer in pieces.  length -1: not known (chunked; to HTTP/1.0 until
 * close).  http_reply_data() returns 0, 1 when more than the high mark is
 * unsent (wait for on_writable), -1 when the client is gone (on_close comes).
 */
int	 http_reply_start(struct http_req *, int status, const char *ctype,
	    int64_t length);
int	 http_reply_data(struct http_req *, const void *data, size_t len);
/* Short of the announced length this is an abort. */
void	 http_reply_end(struct http_req *);
/* Cut the connection: without an end the client sees the truth. */
void	 http_reply_abort(struct http_req *);
int	 http_reply_started(const struct http_req *);
size_t	 http_reply_pending(const struct http_req *);

/*
 * Makes the connection a WebSocket (RFC 6455 checks, 101, and subprotocol if
 * not NULL).  Returns it, then on_close(HTTP_UPGRADED) ends the request; or
 * answers 400, 405 or 426 itself and returns NULL.  flags as for ws_new().
 */
struct ws	*http_upgrade_ws(struct http_req *, const char *subprotocol,
		    int flags, const struct ws_ops *, void *arg);
/* Would it be done?  0: no, and it has been answered just so. */
int		 http_upgrade_wanted(struct http_req *,
		    const char *subprotocol);

#endif
