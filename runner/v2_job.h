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
 * Between the two files of protocol v2: v2.c has the link, v2_job.c what came
 * over it.  Runs in: xbot-runner.
 */

#ifndef RUNNER_V2_JOB_H
#define RUNNER_V2_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/msg.h"

/* -- v2.c */
/* Counted, kept until it is taken. */
void	 v2_send(uint16_t, const void *);
/* The same as a frame; takes it. */
void	 v2_send_frame(struct buf *);
/* No more credit for whoever produces. */
bool	 v2_is_full(void);
/* A server has taken this link up. */
bool	 v2_is_used(void);

/* -- v2_job.c: handlers of what the server sends */
void	 v2_on_start(const struct msg *);
void	 v2_on_open(const struct msg *);
void	 v2_on_fetch(const struct msg *);
void	 v2_on_llm_call(const struct msg *);
void	 v2_on_llm_settings(const struct msg *);
void	 v2_on_credit(const struct msg *);
void	 v2_on_cancel(const struct msg *);
void	 v2_on_input(const struct msg *);
void	 v2_on_eof(const struct msg *);
void	 v2_on_forward(const struct msg *);
/* Nobody waits for them any more; tasks are nobody's session's. */
void	 v2_jobs_cancel(void);
/* There is room again: the credit that waited. */
void	 v2_jobs_release(void);
size_t	 v2_jobs(void);

#endif
