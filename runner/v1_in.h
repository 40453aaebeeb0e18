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
 * Requests of protocol v1 to operations of exec.def.  Runs in: xbot-runner.
 * Input is hostile: the server may be anybody's.
 */

#ifndef RUNNER_V1_IN_H
#define RUNNER_V1_IN_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/buf.h"

struct op;

/*
 * One whole message, charged to the budget; it is written to.  Takes the
 * buffer's memory (mem is NULL then) with its charge, or leaves both.  Returns
 * why (a literal) when it is no request, and nobody gets an answer.
 */
const char *v1_in_message(struct buf *);
/* A message of which only the beginning was kept: refuse it. */
void	 v1_in_refuse(struct buf *, const char *why);
/* The executor has room for more of the input. */
void	 v1_in_feed(struct op *);

#endif
