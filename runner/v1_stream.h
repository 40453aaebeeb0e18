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
 * stdio and PTY streams of protocol v1.  Runs in: xbot-runner.
 * Owns: the streams that are open, what each has not yet been given.
 */

#ifndef RUNNER_V1_STREAM_H
#define RUNNER_V1_STREAM_H

struct event_base;
struct request;

void	 v1_stream_init(struct event_base *);
void	 start_stdio(struct request *);
void	 start_pty(struct request *);
/* stdio_write and pty_stdin, pty_resize: never answered. */
void	 stream_input(struct request *);
void	 stream_resize(struct request *);
void	 stream_close(struct request *);

/* The connection takes more. */
void	 v1_stream_writable(void);
/* The connection is gone, and with it every stream. */
void	 v1_stream_abandon(void);
/* The executor is gone. */
void	 v1_stream_lost(void);

#endif
