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
 * What the log says of the operations that came over a link: that they came
 * (verbose), how they ended, every refusal.  Never what they carry.
 * Runs in: xbot-runner.
 */

#ifndef RUNNER_V2_LOG_H
#define RUNNER_V2_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/msg.h"

struct exec_job_exit;

struct v2_log {
	const char	*what;		/* of static memory */
	bool		 job;		/* not a question about one */
	uint64_t	 out, err;	/* bytes of a job's output so far */
};

/* A message that opens an operation. */
void	 v2_log_open(struct v2_log *, const struct msg *);
/* What the executor says about it. */
void	 v2_log_answer(struct v2_log *, const struct msg *);
void	 v2_log_ended(const struct v2_log *, const struct exec_job_exit *);
void	 v2_log_refused(const char *what, const struct id16 *, enum xerr,
	    struct slice why);

#endif
