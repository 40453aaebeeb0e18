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
 * status, users, route, reload, log, stop.  Runs in: xbot-admin.
 */

#include <stdio.h>
#include <string.h>

#include "supervisor/admin/admin.h"

static int	 order(const char *, const struct jsonw *);

/* "yes, no" of the members of an object that are true. */
static void
true_members(const struct json_value *object)
{
	const struct json_value	*v;
	struct slice		 key;
	const char		*between = "";
	bool			 flag;

	for (v = json_first(object); v != NULL; v = json_next(v)) {
		if (!json_bool(v, &flag) || !flag)
			continue;
		key = json_key(v);
		printf("%s%.*s", between, (int)key.len, (const char *)key.p);
		between = ", ";
	}
	printf("%s\n", *between == '\0' ? "none of them" : "");
}

int
verb_status(const struct args *a)
{
	static const struct column processes[] = {
		{ "PROCESS", "name", COLUMN_TEXT },
		{ "STATE", "up", COLUMN_STATE },
		{ "PID", "pid", COLUMN_NUMBER },
		{ "RESTARTS", "restarts", COLUMN_NUMBER },
		{ "SINCE", "since", COLUMN_WHEN },
	};
	static const struct column numbers[] = {
		{ "version", "version", COLUMN_TEXT },
		{ "users", "users", COLUMN_NUMBER },
		{ "runners", "runners", COLUMN_NUMBER },
		{ "online", "runners_online", COLUMN_NUMBER },
	};
	struct reply	 r;

	if (!api_ask(&r, "GET", NULL, "/v1/admin/status"))
		return STATUS_FAILED;
	if (!admin.json) {
		pairs_print(r.root, numbers, NITEMS(numbers));
		printf("sandbox  ");
		true_members(json_find(r.root, "backends"));
		putchar('\n');
		table_print(json_find(r.root, "workers"), processes,
		    NITEMS(processes));
	}
	reply_clear(&r);
	return 0;
}

int
verb_users(const struct args *a)
{
	static const struct column columns[] = {
		{ "USER", "user", COLUMN_TEXT },
		{ "RUNNERS", "runners", COLUMN_NUMBER },
		{ "ONLINE", "online", COLUMN_NUMBER },
		{ "ACTIVE", "active", COLUMN_TEXT },
	};
	struct reply	 r;

	if (!api_ask(&r, "GET", NULL, "/v1/admin/users"))
		return STATUS_FAILED;
	return reply_table(&r, "users", columns, NITEMS(columns));
}

int
verb_route(const struct args *a)
{
	static const struct column members[] = {
		{ "backend", "backend", COLUMN_TEXT },
		{ "runner", "runner", COLUMN_TEXT },
		{ "reason", "reason", COLUMN_TEXT },
	};
	struct reply	 r;
	bool		 ok;

	if (a->opt['S'] != NULL)
		ok = api_ask(&r, "GET", NULL, "/v1/users/%/route?session=%",
		    a->user, a->opt['S']);
	else
		ok = api_ask(&r, "GET", NULL, "/v1/users/%/route", a->user);
	if (!ok)
		return STATUS_FAILED;
	return reply_pairs(&r, members, NITEMS(members));
}

static int
order(const char *path, const struct jsonw *body)
{
	struct slice	 s;
	struct reply	 r;

	if (!api_ask(&r, "POST", body, path))
		return STATUS_FAILED;
	if (!admin.json &&
	    json_str(json_find(r.root, "message"), &s) && s.len > 0)
		text_print(s.p, s.len);
	reply_clear(&r);
	return 0;
}

int
verb_reload(const struct args *a)
{
	return order("/v1/admin/reload", NULL);
}

int
verb_stop(const struct args *a)
{
	return order("/v1/admin/stop", NULL);
}

int
verb_log(const struct args *a)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;
	int		 status;

	if (strcmp(a->argv[0], "verbose") != 0 &&
	    strcmp(a->argv[0], "brief") != 0)
		return verb_wrong("neither verbose nor brief");
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "level", a->argv[0]);
	jsonw_end(&w);
	status = order("/v1/admin/log", &w);
	buf_clear(&b);
	return status;
}
