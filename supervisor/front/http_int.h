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
 * What the http*.c files share and nobody else includes.
 * Runs in: front, control.
 *
 * A connection carries one request at a time, so struct http_req is both;
 * its serial changes with every request.  Only http_run() calls handlers and
 * frees; everything else marks what is to be done and schedules it.
 */

#ifndef FRONT_HTTP_INT_H
#define FRONT_HTTP_INT_H

#include <sys/queue.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include "supervisor/front/http.h"

#define HTTP_SCRATCH	196608	/* a read of a body: a PUT's CHUNK at once */
#define HTTP_EXTRA_MAX	4096	/* http_reply_header() of one answer */
#define HTTP_ID_MAX	64
#define HTTP_LISTENER_MAX 128
#define HTTP_LINGER_MS	10000	/* for a client that still sends */
#define HTTP_LINGER_MAX	(64 << 20)
#define HTTP_HASH	4096	/* buckets by serial, a power of two */
#define HTTP_PEERS	1024

struct bufferevent;
struct event;

enum http_state {
	HS_IDLE,		/* between two requests */
	HS_HEAD,		/* some bytes of a head are there */
	HS_REQUEST,
	HS_LINGER,		/* answered; reading on so that it arrives */
	HS_DEAD
};

enum http_body_mode {
	HB_UNASKED,		/* the handler has not decided yet */
	HB_STREAM,
	HB_COLLECT,
	HB_DONE			/* read to its end, or dropped */
};

enum http_reply_state {
	HR_NONE,
	HR_STREAM,
	HR_DONE			/* complete, perhaps not yet sent */
};

enum http_chunk_state {
	HC_SIZE,
	HC_DATA,
	HC_DATA_END,
	HC_TRAILER
};

struct http_hdr {
	const char	*name;
	const char	*value;
};

/* The parsed head; strings point into one allocation of the request. */
struct http_head {
	char		*buf;
	size_t		 size;
	struct http_hdr	*hdr;
	unsigned int	 nhdr;
	enum http_verb	 verb;
	const char	*method;
	const char	*path;
	const char	*query;
	char		*decoded;	/* room for the path's segments */
	int64_t		 length;	/* -1: chunked */
	int		 minor;		/* HTTP/1.minor */
	int		 keepalive;
	int		 expect;	/* 100-continue */
};

/* Connections of one address. */
struct http_peer {
	struct http_peer	*next;
	unsigned char		 key[16];
	unsigned int		 n;
};

/* Bytes that must move in a window of time. */
struct http_window {
	uint64_t	start;
	uint64_t	mark;
};

struct http_req {
	TAILQ_ENTRY(http_req)	 all;
	TAILQ_ENTRY(http_req)	 work;
	struct http_req		*hnext;
	struct http_server	*srv;
	struct bufferevent	*bev;
	void			*listener;
	struct http_peer	*peer;
	uint64_t		 serial;
	uint64_t		 since;		/* of the state, ms */
	enum http_state		 state;

	/* set by anyone, acted upon by http_run() */
	unsigned int		 running:1, queued:1, hashed:1;
	unsigned int		 doomed:1, eof:1, refused:1, upgraded:1;
	unsigned int		 raw:1, reused:1;
	unsigned int		 greeted:1;	/* plain, or TLS is set up */

	/* request */
	struct http_head	 head;
	size_t			 scan, line;	/* of an incomplete head */
	const struct http_handler *handler;
	void			*arg;
	char			 id[HTTP_ID_MAX + 1];

	/* its body */
	enum http_body_mode	 mode;
	enum http_chunk_state	 chunk;
	unsigned int		 paused:1, expect:1;
	uint64_t		 left;		/* of body or chunk */
	size_t			 trailer;
	uint64_t		 rx;		/* body bytes so far */
	uint64_t		 rx_turn;	/* and when http_run() began */
	struct http_window	 rxw;
	http_collect_cb		 collect_cb;
	size_t			 collect_max, collect_len, collect_size;
	char			*collect;

	/* its answer */
	enum http_reply_state	 reply;
	unsigned int		 keepalive:1, chunked:1, bodyless:1, high:1;
	unsigned int		 until_close:1;
	uint64_t		 reply_left;
	uint64_t		 tx;		/* bytes given to the output */
	struct http_window	 txw;
	char			*extra;
	size_t			 extra_len;
	size_t			 lingered;

	char			 name[64];
};

TAILQ_HEAD(http_reqs, http_req);

struct http_listener {
	TAILQ_ENTRY(http_listener) entry;
	struct http_server	*srv;
	struct event		*ev;
	int			 fd;
	void			*opaque;
	void			*tls;
	char			 name[HTTP_LISTENER_MAX + 1];
};

struct http_server {
	struct event_base	*base;
	struct http_server_ops	 ops;
	void			*arg;
	struct http_conf	 conf;
	TAILQ_HEAD(, http_listener) listeners;
	struct http_reqs	 conns;
	struct http_reqs	 work;
	struct event		*work_ev, *tick_ev, *accept_ev;
	struct http_req		*hash[HTTP_HASH];
	struct http_peer	*peers[HTTP_PEERS];
	struct http_stats	 stats;
	uint64_t		 serial;
	uint32_t		 boot;		/* makes generated ids unique */
	unsigned int		 nofile;
	unsigned int		 draining:1, freed:1, paused:1, awake:1;
	uint64_t		 trimmed, trimmed_at;	/* when, accepted */
	int64_t			 date_at;
	char			 date[40];
};

/* http.c: the head.  Returns its length, 0 when more is needed, -1 with the
 * status and the reason of a refusal. */
ssize_t	 http_head_read(struct http_req *, int *status, const char **why);
void	 http_head_clear(struct http_head *);
int	 http_id_ok(const char *);

/* http_body.c */
void	 http_body_start(struct http_req *);
int	 http_body_step(struct http_req *);
void	 http_body_discard(struct http_req *);
void	 http_body_clear(struct http_req *);

/* http_out.c */
void	 http_refuse(struct http_req *, int status, enum xerr, const char *);
void	 http_out_reset(struct http_req *);
int	 http_out_write(struct http_req *, const void *, size_t);
const char *http_out_reason(int status);

/* http_conn.c */
int	 http_conn_new(struct http_server *, int fd, void *listener,
	    void *tls, struct http_peer *, const char *name, uint64_t serial);
void	 http_run(struct http_req *);
void	 http_schedule(struct http_req *);
void	 http_work(struct http_server *);
void	 http_conn_end(struct http_req *, enum http_end);
void	 http_conn_free(struct http_req *);
/* Another conf.max_head. */
void	 http_conn_limit(struct http_req *);
void	 http_tick(struct http_req *, uint64_t now);
size_t	 http_in_length(const struct http_req *);

/* http_server.c */
void	 http_peer_drop(struct http_server *, struct http_peer *);
void	 http_server_unref(struct http_server *);
void	 http_server_wake(struct http_server *);

extern unsigned char http_scratch[HTTP_SCRATCH];

#endif
