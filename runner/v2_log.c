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
 * Lines about operations, in the words of protocol v1's.  Runs in: xbot-runner.
 * Input is hostile: the server may be anybody's, and so may the executor.
 */

#include <stdio.h>

#include "base/log.h"
#include "proto/exec_msg.h"
#include "proto/jobs.h"
#include "runner/v2_log.h"

#define ID_TEXT		9	/* enough of an id to tell two apart */

static char	*id_text(const struct id16 *, char[ID_TEXT]);
static void	 on_started(struct v2_log *, const union exec_any *);
static void	 on_data(struct v2_log *, const union exec_any *);
static void	 on_ended(struct v2_log *, const union exec_any *);
static void	 on_refused(struct v2_log *, const union exec_any *);

static const char *const	kinds[] = {
	[JOB_EXEC] = "exec", [JOB_TASK] = "task", [JOB_STDIO] = "stdio",
	[JOB_PTY] = "pty",
};

static const char *const	hows[] = {
	[JOB_EXITED] = "exit", [JOB_SIGNALLED] = "signal",
	[JOB_TIMED_OUT] = "timed out", [JOB_KILLED] = "killed",
	[JOB_LIMIT] = "ended by a limit", [JOB_LOST] = "lost",
};

static const struct {
	uint16_t	 type;
	void		(*say)(struct v2_log *, const union exec_any *);
} rows[] = {
	{ EXEC_JOB_STARTED,	on_started },
	{ EXEC_JOB_DATA,	on_data },
	{ EXEC_JOB_EXIT,	on_ended },
	{ EXEC_JOB_REFUSED,	on_refused },
};

static char *
id_text(const struct id16 *id, char text[ID_TEXT])
{
	snprintf(text, ID_TEXT, "%02x%02x%02x%02x", id->b[0], id->b[1],
	    id->b[2], id->b[3]);
	return text;
}

void
v2_log_open(struct v2_log *l, const struct msg *m)
{
	const struct exec_job_start	*start = m->body;
	char				 id[ID_TEXT];

	l->what = m->desc->name;
	l->job = m->type == EXEC_JOB_START;
	if (l->job && start->kind < sizeof(kinds) / sizeof(kinds[0]))
		l->what = kinds[start->kind];
	log_debug("request %s %s", l->what, id_text(m->body, id));
}

void
v2_log_answer(struct v2_log *l, const struct msg *m)
{
	size_t	 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].type == m->type)
			rows[i].say(l, m->body);
}

static void
on_started(struct v2_log *l, const union exec_any *b)
{
	char	 id[ID_TEXT];

	/* The end of a command has all that matters about it. */
	if (l->what != kinds[JOB_EXEC])
		log_info("%s %s: started", l->what,
		    id_text(&b->job_started.job, id));
}

static void
on_data(struct v2_log *l, const union exec_any *b)
{
	const uint64_t	 end = b->job_data.offset + b->job_data.bytes.len;

	if (b->job_data.stream == STREAM_STDOUT)
		l->out = end;
	else if (b->job_data.stream == STREAM_STDERR)
		l->err = end;
}

static void
on_ended(struct v2_log *l, const union exec_any *b)
{
	/* Who reads a task hears of its end as often as he asks. */
	if (l->job)
		v2_log_ended(l, &b->job_exit);
}

void
v2_log_ended(const struct v2_log *l, const struct exec_job_exit *x)
{
	char	 id[ID_TEXT], code[16] = "";

	if (x->how == JOB_EXITED || x->how == JOB_SIGNALLED)
		snprintf(code, sizeof(code), " %d", x->code);
	log_info("%s %s: %s%s, stdout %llu stderr %llu bytes, %llu ms",
	    l->what, id_text(&x->job, id),
	    x->how < sizeof(hows) / sizeof(hows[0]) ? hows[x->how] : "ended",
	    code, (unsigned long long)l->out, (unsigned long long)l->err,
	    (unsigned long long)(x->duration_us / 1000));
}

static void
on_refused(struct v2_log *l, const union exec_any *b)
{
	v2_log_refused(l->what, &b->job_refused.job,
	    (enum xerr)b->job_refused.code, b->job_refused.text);
}

void
v2_log_refused(const char *what, const struct id16 *job, enum xerr code,
    struct slice why)
{
	char	 id[ID_TEXT], vis[512];

	log_warnx("reply %s to %s %s: %s", xerr_name(code), what,
	    id_text(job, id), log_vis(vis, sizeof(vis), why.p, why.len));
}
