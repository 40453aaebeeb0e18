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
 * Background tasks over HTTP: api_tasks.c starts, lists and ends them,
 * task_read.c reads their output.  Runs in: front, control.
 */

#ifndef FRONT_TASKS_H
#define FRONT_TASKS_H

#include "supervisor/front/exec.h"
#include "supervisor/front/session.h"

#define TASK_ID_LEN	32		/* hex digits */
#define TASK_ANSWER_MS	20000		/* for a backend to begin to answer */

/* The routing and a session for what this request names; NULL: answered. */
struct session	*task_session(struct req *, const struct session_ops *,
		    const char *session);
/* The task in the path; false: answered with ENOENT. */
bool		 task_named(struct req *, struct id16 *);
void		 task_id_text(struct id16, char dst[TASK_ID_LEN + 1]);
/* "running", "completed", "failed", "killed" */
const char	*task_status(bool running, uint8_t how, int32_t code);
/* What job_refused says, as this request's answer. */
void		 task_refused(struct req *, const struct exec_job_refused *);

/* task_read.c */
void		 task_on_show(struct req *);
void		 task_on_stream(struct req *);

#endif
