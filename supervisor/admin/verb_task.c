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
 * task start, list, show, kill.  Runs in: xbot-admin.
 */

#include <stdio.h>
#include <string.h>

#include "supervisor/admin/admin.h"

static bool	 ask(struct reply *, const char *, const struct jsonw *,
		    const struct args *, const char *id);
static void	 output_print(const struct json_value *, const char *);

static const struct column columns[] = {
	{ "TASK", "task_id", COLUMN_TEXT },
	{ "STATUS", "status", COLUMN_TEXT },
	{ "STARTED", "started_at", COLUMN_WHEN },
	{ "COMMAND", "command", COLUMN_TEXT },
};

/* Of one task, or (NULL) of all. */
static bool
ask(struct reply *r, const char *method, const struct jsonw *w,
    const struct args *a, const char *id)
{
	const char	*session = a->opt['S'];

	if (id == NULL && session == NULL)
		return api_ask(r, method, w, "/v1/users/%/tasks", a->user);
	if (id == NULL)
		return api_ask(r, method, w, "/v1/users/%/tasks?session=%",
		    a->user, session);
	if (session == NULL)
		return api_ask(r, method, w, "/v1/users/%/tasks/%", a->user,
		    id);
	return api_ask(r, method, w, "/v1/users/%/tasks/%?session=%", a->user,
	    id, session);
}

int
verb_task_start(const struct args *a)
{
	struct buf	 input = { 0 }, body = { 0 };
	struct slice	 id;
	struct jsonw	 w;
	struct reply	 r;
	int		 status = STATUS_FAILED;

	jsonw_init(&w, &body);
	if ((a->opt['i'] == NULL || command_input(&input)) &&
	    command_body(a, &w, &input) && api_ask(&r, "POST", &w,
	    "/v1/users/%/tasks", a->user)) {
		if (!json_str(json_find(r.root, "task_id"), &id))
			complain("there is no task in the answer");
		else {
			status = 0;
			if (!admin.json)
				text_print(id.p, id.len);
		}
		reply_clear(&r);
	}
	buf_clear(&input);
	buf_clear(&body);
	return status;
}

int
verb_task_list(const struct args *a)
{
	struct reply	 r;

	if (!ask(&r, "GET", NULL, a, NULL))
		return STATUS_FAILED;
	return reply_table(&r, "tasks", columns, NITEMS(columns));
}

/* Its lines, harmless to a terminal. */
static void
output_print(const struct json_value *root, const char *name)
{
	struct slice	 s;
	const char	*p, *end;
	size_t		 n;

	if (!json_str(json_find(root, name), &s) || s.len == 0)
		return;
	printf("\n%s:\n", name);
	for (p = s.p; s.len > 0; p += n, s.len -= n) {
		end = memchr(p, '\n', s.len);
		n = end != NULL ? (size_t)(end - p) : s.len;
		text_print(p, n);
		if (end != NULL)
			n++;
	}
}

int
verb_task_show(const struct args *a)
{
	static const struct column pairs[] = {
		{ "task", "task_id", COLUMN_TEXT },
		{ "command", "command", COLUMN_TEXT },
		{ "started", "started_at", COLUMN_WHEN },
		{ "status", "status", COLUMN_TEXT },
		{ "exit code", "exit_code", COLUMN_NUMBER },
	};
	struct reply	 r;

	if (!ask(&r, "GET", NULL, a, a->argv[0]))
		return STATUS_FAILED;
	if (!admin.json) {
		pairs_print(r.root, pairs, NITEMS(pairs));
		output_print(r.root, "stdout");
		output_print(r.root, "stderr");
	}
	reply_clear(&r);
	return 0;
}

int
verb_task_kill(const struct args *a)
{
	struct reply	 r;

	if (!ask(&r, "DELETE", NULL, a, a->argv[0]))
		return STATUS_FAILED;
	reply_clear(&r);
	return 0;
}
