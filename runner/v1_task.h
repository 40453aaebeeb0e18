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
 * Background tasks of protocol v1: the server's ids and the executor's tasks.
 * Runs in: xbot-runner.  Owns: which id is which task, and what became of
 * those that the executor does not know.
 */

#ifndef RUNNER_V1_TASK_H
#define RUNNER_V1_TASK_H

struct event_base;
struct request;

void	 v1_task_init(struct event_base *);
void	 start_bg_exec(struct request *);
void	 start_bg_kill(struct request *);
void	 start_bg_status(struct request *);

/* The connection has gone: tasks go on for five minutes without one. */
void	 v1_task_away(void);
void	 v1_task_back(void);
/* The executor is gone, and with it every task. */
void	 v1_task_lost(void);

#endif
