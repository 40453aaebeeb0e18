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
 * xbot-admin sandbox list, show, commit, stop, reset.  Runs in: xbot-admin.
 */

#include <stdio.h>
#include <string.h>

#include "supervisor/admin/admin.h"

static int	 change(const char *, const struct args *, const char *);

int
verb_sandbox_list(const struct args *a)
{
	static const struct column columns[] = {
		{ "USER", "user", COLUMN_TEXT },
		{ "STATE", "state", COLUMN_TEXT },
		{ "IDLE", "idle_seconds", COLUMN_NUMBER },
		{ "CONTAINER", "container", COLUMN_TEXT },
		{ "IMAGE", "image", COLUMN_TEXT },
	};
	struct reply	 r;

	if (!api_ask(&r, "GET", NULL, "/v1/admin/sandboxes"))
		return STATUS_FAILED;
	return reply_table(&r, "sandboxes", columns, NITEMS(columns));
}

int
verb_sandbox_show(const struct args *a)
{
	static const struct column members[] = {
		{ "backend", "backend", COLUMN_TEXT },
		{ "state", "state", COLUMN_TEXT },
		{ "container", "container", COLUMN_TEXT },
		{ "image", "image", COLUMN_TEXT },
		{ "idle", "idle_seconds", COLUMN_NUMBER },
		{ "dirty", "dirty", COLUMN_FLAG },
	};
	struct reply	 r;

	if (!api_ask(&r, "GET", NULL, "/v1/users/%/sandbox", a->user))
		return STATUS_FAILED;
	return reply_pairs(&r, members, NITEMS(members));
}

int
verb_sandbox_commit(const struct args *a)
{
	static const struct column members[] = {
		{ "image", "image", COLUMN_TEXT },
		{ "changed", "changed", COLUMN_FLAG },
	};
	struct reply	 r;

	if (!api_ask(&r, "POST", NULL, "/v1/users/%/sandbox/commit", a->user))
		return STATUS_FAILED;
	return reply_pairs(&r, members, NITEMS(members));
}

static int
change(const char *method, const struct args *a, const char *path)
{
	struct reply	 r;

	if (!api_ask(&r, method, NULL, path, a->user))
		return STATUS_FAILED;
	reply_clear(&r);
	return 0;
}

int
verb_sandbox_stop(const struct args *a)
{
	return change("POST", a, "/v1/users/%/sandbox/stop");
}

int
verb_sandbox_reset(const struct args *a)
{
	return change("DELETE", a, "/v1/users/%/sandbox");
}
