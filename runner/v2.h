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
 * Protocol xbot.exec.v2 on the runner's side: frames of exec.def between the
 * server and the executor, over a link that outlives its connections.
 * Runs in: xbot-runner.  Input is hostile: the server may be anybody's.
 * Owns: the link, which jobs came over it.
 */

#ifndef RUNNER_V2_H
#define RUNNER_V2_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/frame.h"
#include "proto/msg.h"

struct chan;
struct event_base;
struct ws;

/* A message from the server; several frames share one. */
#define V2_MESSAGE_MAX	(2 * (size_t)FRAME_MAX)

void	 v2_init(struct event_base *);
/* A connection that speaks it is registered. */
void	 v2_attach(struct ws *);
/* A whole binary message. */
void	 v2_message(const void *, size_t);
/* The server broke the protocol: say so and close; the link begins anew. */
void	 v2_refuse(const char *why);
/* The connection takes more. */
void	 v2_writable(void);
/* The connection has gone, if there was one: jobs wait for the next. */
void	 v2_detach(void);
/* Work was done over the last connection. */
bool	 v2_moved(void);

/* An answer of the executor that nobody else asked for. */
void	 v2_answer(struct chan *, const struct msg *);
/* The executor is gone. */
void	 v2_lost(void);

#endif
