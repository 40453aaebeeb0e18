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
 * What names users, runners and sessions: the rules of http-api.md.
 * Runs in: front, control, ledger, remote, parent, runner.
 */

#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/msg.h"

#define ID_USER_MAX	128	/* bytes of a user id */
#define ID_RUNNER_MAX	64	/* bytes of a runner's name */
#define ID_SESSION_MAX	256	/* bytes of a session, for its binding */

#define RUNNER_DOCKER	"__docker__"	/* the built-in sandbox */
#define RUNNER_GLOBAL	"default"	/* who came with the global token */

/* ^[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127}$ */
bool	 id_user_ok(struct slice);
/* ^[A-Za-z0-9_.-]{1,64}$, and neither __docker__ nor active, "." or "..". */
bool	 id_runner_ok(struct slice);
/* 1 to 256 bytes of UTF-8 without control characters. */
bool	 id_session_ok(struct slice);
/* No control characters: it may stand in a line, whatever that is of. */
bool	 id_line_ok(struct slice);

#endif
