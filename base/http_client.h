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
 * Client of HTTP servers elsewhere, on libcurl and the event loop.  Runs in:
 * llm, runner.  Trusts: nobody; answers are hostile.  https is verified; no
 * redirect is followed.  Owns: the calls; connections are kept and used again.
 *
 * Everything is asynchronous: no callback comes from within http_call_new.
 * head comes once, then body as bytes arrive and within the credit, then
 * done, once, the last; done may come alone.  After http_call_free none comes.
 */

#ifndef BASE_HTTP_CLIENT_H
#define BASE_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/error.h"

struct event_base;
struct http_client;
struct http_call;

#define HTTP_HEADERS_MAX	64	/* of an answer */
#define HTTP_HEAD_MAX		16384	/* bytes of them */
#define HTTP_TEXT_MAX		256

/* All is copied, but for body, which is taken (and empty afterwards). */
struct http_request {
	const char		*method;	/* "GET", "POST" */
	const char		*url;		/* http or https */
	const char *const	*headers;	/* "name: value"; NULL ends */
	struct buf		*body;		/* NULL: none */
	const char		*ca_file;	/* NULL: curl's own bundle */
	const char		*proxy;		/* NULL: as the environment
						   says; "": none */
	unsigned int		 connect_ms;
	unsigned int		 first_ms;	/* until the first byte; 0: any */
	unsigned int		 idle_ms;	/* between any two; the same */
	unsigned int		 retries;	/* when nothing was sent yet */
};

struct http_head {
	int			 status;
	const char *const	*headers;	/* "name: value" */
	size_t			 nheaders;
};

/* Lent until the callback returns. */
struct http_end {
	enum xerr		 code;	/* XERR_NONE: the answer came whole */
	const char		*text;	/* for people, printable ASCII */
};

struct http_ops {
	void	(*head)(void *, const struct http_head *);
	void	(*body)(void *, const void *, size_t);
	void	(*done)(void *, const struct http_end *);
};

/* agent: what it calls itself; lent for life.  NULL: out of memory. */
struct http_client	*http_client_new(struct event_base *,
			    const char *agent);
/* Takes its calls with it.  NULL is fine; not from within a callback. */
void			 http_client_free(struct http_client *);

/* ops are lent for life.  NULL: out of memory.  Credit is none at first.  Not
 * from within head or body. */
struct http_call	*http_call_new(struct http_client *,
			    const struct http_request *,
			    const struct http_ops *, void *arg);
/* Bytes of the body, in all, that body may be given. */
void			 http_call_credit(struct http_call *, uint64_t upto);
/* Closes the connection when the answer is not whole; also from within a
 * callback.  After done as well, and then nothing but this.  NULL is fine. */
void			 http_call_free(struct http_call *);

#endif
