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
 * Replies on their way to the server.  A reply is a list of parts: finished JSON
 * and bytes that become JSON strings only as the socket takes them, so that
 * a file of 500 MiB is in memory once.  Runs in: xbot-runner.
 * Owns: the queue of the one connection.
 */

#ifndef RUNNER_REPLY_H
#define RUNNER_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/v1.h"

struct evbuffer;
struct reply;
struct ws;

/* More replies than this unsent: take no more requests. */
#define REPLY_HIGH	1024
#define REPLY_LOW	512

/* {"id":…,"type":…  without its end.  Aborts when out of memory. */
struct reply	*reply_new(struct slice id, enum v1_type);
/* JSON as it is. */
void		 reply_json(struct reply *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));
/* A JSON string without quotes; bytes that are not UTF-8 become U+FFFD. */
void		 reply_bytes(struct reply *, struct slice);
/* The same in base64, now. */
void		 reply_base64_bytes(struct reply *, const void *, size_t);
/* The mark of bytes that are missing here, inside a string. */
void		 reply_dropped(struct reply *, uint64_t);
/* takes the buffer, which was charged to the budget. */
void		 reply_text(struct reply *, struct evbuffer *);
void		 reply_base64(struct reply *, struct evbuffer *);
void		 reply_raw(struct reply *, struct evbuffer *);
/* takes it. */
void		 reply_queue(struct reply *);
/* A whole error reply, and its line in the log. */
void		 reply_error(struct slice id, struct slice type, enum xerr,
		    struct slice text);

/* To this connection from now on; NULL drops what is queued. */
void		 reply_attach(struct ws *);
/* The connection takes more. */
void		 reply_writable(void);
size_t		 reply_waiting(void);
/* The connection has more than enough to do. */
bool		 reply_busy(void);

#endif
