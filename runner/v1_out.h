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
 * What the executor says about operations, to replies of protocol v1.
 * Runs in: xbot-runner.
 */

#ifndef RUNNER_V1_OUT_H
#define RUNNER_V1_OUT_H

#include "base/chan.h"
#include "proto/error.h"

struct op;

/* Handlers of the executor's channel. */
void	 v1_out_started(struct chan *, const struct msg *);
void	 v1_out_refused(struct chan *, const struct msg *);
void	 v1_out_data(struct chan *, const struct msg *);
void	 v1_out_credit(struct chan *, const struct msg *);
void	 v1_out_exit(struct chan *, const struct msg *);
void	 v1_out_done(struct chan *, const struct msg *);
void	 v1_out_info(struct chan *, const struct msg *);
void	 v1_out_entries(struct chan *, const struct msg *);

/* Let the executor send: called when an operation was started. */
void	 v1_out_open(struct op *);
/* Answer with an error, undo what the executor does for it, forget it. */
void	 v1_out_fail(struct op *, enum xerr, const char *);
/* The executor is gone: so is everything that it was doing. */
void	 v1_out_lost(void);
/* The connection is gone: nobody waits for an answer. */
void	 v1_out_abandon(void);

#endif
