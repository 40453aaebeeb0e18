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
 * The query of /pty and /stdio: the process that is to run.  A WebSocket's
 * request has no body, so all of it stands there.  Runs in: front, control.
 */

#ifndef FRONT_QUERY_H
#define FRONT_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/exec_msg.h"
#include "supervisor/front/front.h"

#define QUERY_MAX	(64u * 1024)	/* all arguments together */
#define QUERY_ARGS	1024

/* What the query says; strings are in text. */
struct query {
	struct exec_job_start	 start;
	struct slice		 argv[QUERY_ARGS], env[QUERY_ARGS];
	char			 text[QUERY_MAX];
	size_t			 used;
	char			 session[SESSION_MAX + 1];
};

/*
 * command and arg are the argument vector; without them, for a terminal, the
 * user's shell.  kind: enum job_kind.  EINVAL has been answered when false.
 */
bool	 query_parse(struct req *, struct query *, uint8_t kind);

#endif
