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
 * The executor's answers, each to whoever asked.  Runs in: xbot-runner.
 */

#include <stddef.h>

#include "proto/exec_msg.h"
#include "runner/answer.h"
#include "runner/fetch.h"
#include "runner/op.h"
#include "runner/v1_out.h"
#include "runner/v1_stream.h"
#include "runner/v1_task.h"
#include "runner/v2.h"

/* Every answer begins with its job. */
_Static_assert(offsetof(struct exec_job_started, job) == 0 &&
    offsetof(struct exec_job_refused, job) == 0 &&
    offsetof(struct exec_job_data, job) == 0 &&
    offsetof(struct exec_job_credit, job) == 0 &&
    offsetof(struct exec_job_eof, job) == 0 &&
    offsetof(struct exec_job_exit, job) == 0 &&
    offsetof(struct exec_job_done, job) == 0 &&
    offsetof(struct exec_file_info, job) == 0 &&
    offsetof(struct exec_file_entries, job) == 0 &&
    offsetof(struct exec_file_hashes, job) == 0 &&
    offsetof(struct exec_task_info, job) == 0, "answers");

/* Of operations without a handler of their own; the rest is ignored. */
static const struct {
	uint16_t	 type;
	void		(*handler)(struct chan *, const struct msg *);
} plain[] = {
	{ EXEC_JOB_STARTED,	v1_out_started },
	{ EXEC_JOB_REFUSED,	v1_out_refused },
	{ EXEC_JOB_DATA,	v1_out_data },
	{ EXEC_JOB_CREDIT,	v1_out_credit },
	{ EXEC_JOB_EXIT,	v1_out_exit },
	{ EXEC_JOB_DONE,	v1_out_done },
	{ EXEC_FILE_INFO,	v1_out_info },
	{ EXEC_FILE_ENTRIES,	v1_out_entries },
};

void
answer_take(struct chan *c, const struct msg *m)
{
	const struct id16	*job = m->body;
	struct op		*op;
	size_t			 i;

	if (fetch_answer(c, m))
		return;
	if ((op = op_find(job)) == NULL) {
		v2_answer(c, m);
		return;
	}
	if (op->answer != NULL) {
		op->answer(op, c, m);
		return;
	}
	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (plain[i].type == m->type)
			plain[i].handler(c, m);
}

void
answer_lost(void)
{
	fetch_lost();
	v1_stream_lost();
	v1_task_lost();
	v1_out_lost();
	v2_lost();
}
