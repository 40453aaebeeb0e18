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
 * Tokens of clients, for administrators.  Runs in: control; front has none of
 * these routes, and the ledger does not take the questions from it.
 * A token's text is made here, shown once, and wiped.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/token.h"
#include "supervisor/front/front.h"

static void	 on_list(struct req *);
static void	 on_create(struct req *);
static void	 on_revoke(struct req *);

#define TOKENS	"/v1/admin/tokens"

const struct api_route token_routes[] = {
	{ HV_GET, TOKENS, RIGHT_ADMIN, LISTENER_UNIX, BODY_NONE, on_list },
	{ HV_POST, TOKENS, RIGHT_ADMIN, LISTENER_UNIX, BODY_JSON, on_create },
	{ HV_DELETE, TOKENS "/{id}", RIGHT_ADMIN, LISTENER_UNIX, BODY_NONE,
	    on_revoke },
	{ .pattern = NULL }
};

struct made {
	char	 user[ID_USER_MAX + 1];
	char	 name[129];
	char	 text[TOKEN_LEN + 1];
	uint8_t	 hash[TOKEN_HASH];
	uint8_t	 kind;
};

struct rows {
	struct buf	 b;
	struct jsonw	 w;
};

static const char *
kind_name(uint8_t kind)
{
	return kind == TOKEN_SERVICE ? "service" : "user";
}

/* --- list --- */

static void
rows_close(struct req *r, void *data)
{
	struct rows *rows = data;

	buf_clear(&rows->b);
	free(rows);
}

static void
row_add(struct jsonw *w, const struct ctl_token_row *row)
{
	time_t		 t = (time_t)(row->created / 1000);
	struct tm	 tm;
	char		 when[32] = "";

	if (row->created > 0 && gmtime_r(&t, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	jsonw_object(w, NULL);
	jsonw_str(w, "id", row->id);
	jsonw_text(w, "kind", kind_name(row->kind));
	jsonw_str(w, "user", row->user);
	jsonw_str(w, "name", row->name);
	jsonw_text(w, "created_at", when);
	jsonw_end(w);
}

static void
on_row(struct req *r, const struct msg *m)
{
	const struct ctl_ledger_done	*d = m->body;
	struct rows			*rows = r->data;

	if (m->type == CTL_TOKEN_ROW) {
		row_add(&rows->w, m->body);
		return;
	}
	if (d->code != XERR_NONE) {
		ledger_answer(r, m);
		return;
	}
	jsonw_end(&rows->w);
	jsonw_end(&rows->w);
	if (jsonw_ok(&rows->w))
		req_json(r, 200, &rows->b);
	else
		req_error(r, XERR_EBUSY, "no memory");
}

static void
on_list(struct req *r)
{
	struct rows *rows = calloc(1, sizeof(*rows));

	if (rows == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	r->data = rows;
	r->close = rows_close;
	jsonw_init(&rows->w, &rows->b);
	jsonw_object(&rows->w, NULL);
	jsonw_array(&rows->w, "tokens");
	ledger_ask(r, CTL_TOKEN_LIST, NULL, on_row);
}

/* --- create --- */

static void
made_close(struct req *r, void *data)
{
	explicit_bzero(data, sizeof(struct made));
	free(data);
}

static void
on_made(struct req *r, const struct msg *m)
{
	const struct ctl_ledger_done	*d = m->body;
	const struct made		*made = r->data;
	static const char		 hex[] = "0123456789abcdef";
	char				 id[17] = "";
	struct buf			 b = { 0 };
	struct jsonw			 w;
	int				 i;

	if (d->code != XERR_NONE) {
		ledger_answer(r, m);
		return;
	}
	for (i = 0; i < 16; i++)
		id[i] = hex[made->hash[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "id", id);
	jsonw_text(&w, "token", made->text);
	jsonw_text(&w, "kind", kind_name(made->kind));
	jsonw_text(&w, "user", made->user);
	jsonw_text(&w, "name", made->name);
	jsonw_end(&w);
	req_json(r, 201, &b);
}

/* {"kind": "service"|"user", "user", "name"}; a user alone says the kind. */
static bool
kind_read(struct req *r, struct made *made)
{
	char kind[16] = "";

	if (req_member(r, "kind", kind, sizeof(kind)) == JSON_WRONG ||
	    req_member(r, "user", made->user, sizeof(made->user)) ==
	    JSON_WRONG ||
	    req_member(r, "name", made->name, sizeof(made->name)) ==
	    JSON_WRONG)
		return false;
	if (kind[0] == '\0' && made->user[0] != '\0')
		memcpy(kind, "user", sizeof("user"));
	made->kind = strcmp(kind, "service") == 0 ? TOKEN_SERVICE :
	    strcmp(kind, "user") == 0 ? TOKEN_USER : TOKEN_UNKNOWN;
	if (made->kind == TOKEN_UNKNOWN)
		req_error(r, XERR_EINVAL, "kind: service or user");
	else if (made->kind == TOKEN_SERVICE && made->user[0] != '\0')
		req_error(r, XERR_EINVAL, "user: a service token has none");
	else if (made->kind == TOKEN_USER && !id_user_ok(slice_str(made->user)))
		req_error(r, XERR_EINVAL, "user: malformed user id");
	else
		return true;
	return false;
}

static void
on_create(struct req *r)
{
	struct ctl_token_create	 q;
	struct made		*made = calloc(1, sizeof(*made));

	if (made == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	r->data = made;
	r->close = made_close;
	if (!kind_read(r, made))
		return;
	if (!token_make(made->text) ||
	    !token_hash(made->hash, slice_str(made->text))) {
		req_error(r, XERR_EIO, "no random bytes");
		return;
	}
	audit(r, "token.create", made->kind == TOKEN_USER ? made->user :
	    "service");
	q = (struct ctl_token_create){ { made->hash, sizeof(made->hash) },
	    made->kind, slice_str(made->user), slice_str(made->name) };
	ledger_ask(r, CTL_TOKEN_CREATE, &q, on_made);
}

/* --- revoke --- */

static void
on_revoke(struct req *r)
{
	struct ctl_token_revoke q = { slice_str(r->seg[0]) };

	if (q.id.len > 16) {
		req_error(r, XERR_EINVAL, "no such id");
		return;
	}
	audit(r, "token.revoke", r->seg[0]);
	ledger_ask(r, CTL_TOKEN_REVOKE, &q, ledger_answer);
}
