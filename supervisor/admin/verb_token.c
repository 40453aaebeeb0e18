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
 * token create, list, revoke.  Runs in: xbot-admin.  A token is seen once,
 * on standard output; the daemon keeps its hash.
 */

#include <stdio.h>

#include "supervisor/admin/admin.h"

int
verb_token_create(const struct args *a)
{
	struct buf	 b = { 0 };
	struct slice	 token;
	struct jsonw	 w;
	struct reply	 r;
	bool		 ok;

	if ((a->user != NULL) == (a->opt['s'] != NULL))
		return verb_wrong("a service token (-s), or one of a user "
		    "(-u)?");
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "kind", a->user != NULL ? "user" : "service");
	if (a->user != NULL)
		jsonw_text(&w, "user", a->user);
	if (a->opt['n'] != NULL)
		jsonw_text(&w, "name", a->opt['n']);
	jsonw_end(&w);
	ok = api_ask(&r, "POST", &w, "/v1/admin/tokens");
	buf_clear(&b);
	if (!ok)
		return STATUS_FAILED;
	if (!json_str(json_find(r.root, "token"), &token)) {
		complain("there is no token in the answer");
		ok = false;
	} else if (!admin.json)
		text_print(token.p, token.len);
	reply_clear(&r);
	return ok ? 0 : STATUS_FAILED;
}

int
verb_token_list(const struct args *a)
{
	static const struct column columns[] = {
		{ "ID", "id", COLUMN_TEXT },
		{ "KIND", "kind", COLUMN_TEXT },
		{ "USER", "user", COLUMN_TEXT },
		{ "NAME", "name", COLUMN_TEXT },
		{ "CREATED", "created_at", COLUMN_WHEN },
	};
	struct reply	 r;

	if (!api_ask(&r, "GET", NULL, "/v1/admin/tokens"))
		return STATUS_FAILED;
	return reply_table(&r, "tokens", columns, NITEMS(columns));
}

int
verb_token_revoke(const struct args *a)
{
	struct reply	 r;

	if (!api_ask(&r, "DELETE", NULL, "/v1/admin/tokens/%", a->argv[0]))
		return STATUS_FAILED;
	reply_clear(&r);
	return 0;
}
