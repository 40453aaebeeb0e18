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
 * The body of exec and of tasks: which process is wanted, with what input.
 * Runs in: front, control.
 */

#ifndef FRONT_WANTED_H
#define FRONT_WANTED_H

#include "proto/exec_msg.h"
#include "supervisor/front/front.h"

#define ARGS_MAX	4096		/* exec.def: job_start.argv */
#define ENV_MAX		1024
#define TEXT_MAX	131072		/* each string of them */

/* What the body says; strings are views of it.  80 KB: make it static. */
struct wanted {
	struct exec_job_start	 start;
	struct slice		 argv[ARGS_MAX];
	struct slice		 env[ENV_MAX];
	char			 session[SESSION_MAX + 1];
	struct slice		 input;
	bool			 input_base64;
};

/* Each false: the request has been answered. */
/* timed: with `timeout`; else that member counts as unknown. */
bool	 wanted_parse(struct req *, struct wanted *, bool timed);
/* stdin, decoded: a copy, for the body goes when this turn ends. */
bool	 wanted_input(struct req *, const struct wanted *, struct buf *);
/* body.session, or else as req_session. */
bool	 wanted_session(struct req *, char *, size_t);

#endif
