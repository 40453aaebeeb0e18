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
 * runner list, create, delete, rename, rotate, llm, use.  Runs in: xbot-admin.
 * A provider's key comes from a file: what stands in argv everybody can read.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/admin/admin.h"

#define KEY_MAX	1024

static bool	 key_read(const char *, char [KEY_MAX + 1]);
static void	 object_start(struct jsonw *, struct buf *);
static bool	 options_add(struct jsonw *, const struct args *);
static void	 secret_clear(struct buf *);
static int	 quiet(const char *, const struct jsonw *, struct buf *,
		    const char *, const char *, const char *);

static const struct column given[] = {
	{ "name", "name", COLUMN_TEXT },
	{ "token", "token", COLUMN_TEXT },
	{ "command", "command", COLUMN_TEXT },
};

int
verb_runner_list(const struct args *a)
{
	static const struct column columns[] = {
		{ "NAME", "name", COLUMN_TEXT },
		{ "MODE", "mode", COLUMN_TEXT },
		{ "ONLINE", "online", COLUMN_FLAG },
		{ "ACTIVE", "active", COLUMN_FLAG },
		{ "CREATED", "created_at", COLUMN_WHEN },
		{ "LLM", "llm_provider", COLUMN_TEXT },
		{ "MODEL", "llm_model", COLUMN_TEXT },
		{ "IMAGE", "docker_image", COLUMN_TEXT },
		{ "WORKSPACE", "workspace", COLUMN_TEXT },
	};
	struct reply	 r;

	if (!api_ask(&r, "GET", NULL, "/v1/users/%/runners", a->user))
		return STATUS_FAILED;
	return reply_table(&r, "runners", columns, NITEMS(columns));
}

/* The file's text without its last newline. */
static bool
key_read(const char *file, char key[KEY_MAX + 1])
{
	ssize_t	 n = -1;
	size_t	 len = 0;
	int	 fd;

	if ((fd = open(file, O_RDONLY | O_CLOEXEC)) == -1) {
		complain("%s: %s", file, strerror(errno));
		return false;
	}
	while (len <= KEY_MAX && (n = read(fd, key + len, KEY_MAX + 1 - len))
	    > 0)
		len += (size_t)n;
	if (n == -1)
		complain("%s: %s", file, strerror(errno));
	close(fd);
	if (n == -1)
		return false;
	if (len > 0 && key[len - 1] == '\n')
		len--;
	if (len == 0 || len > KEY_MAX || memchr(key, '\0', len) != NULL) {
		complain("%s: not a key of 1 to %d bytes", file, KEY_MAX);
		return false;
	}
	key[len] = '\0';
	return true;
}

static void
object_start(struct jsonw *w, struct buf *b)
{
	jsonw_init(w, b);
	jsonw_object(w, NULL);
}

int
verb_runner_create(const struct args *a)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;
	struct reply	 r;
	bool		 ok;

	object_start(&w, &b);
	jsonw_text(&w, "name", a->argv[0]);
	if (!options_add(&w, a)) {
		buf_clear(&b);
		return STATUS_FAILED;
	}
	jsonw_end(&w);
	ok = api_ask(&r, "POST", &w, "/v1/users/%/runners", a->user);
	secret_clear(&b);
	if (!ok)
		return STATUS_FAILED;
	return reply_pairs(&r, given, NITEMS(given));
}

/* What was said of a runner, the key too. */
static bool
options_add(struct jsonw *w, const struct args *a)
{
	static const struct { char opt; const char *member; } rows[] = {
		{ 'm', "mode" }, { 'i', "docker_image" },
		{ 'w', "workspace" }, { 'P', "llm_provider" },
		{ 'M', "llm_model" }, { 'B', "llm_base_url" },
	};
	char		 key[KEY_MAX + 1];
	const char	*value;
	size_t		 i;

	if (a->opt['K'] != NULL) {
		if (!key_read(a->opt['K'], key))
			return false;
		jsonw_text(w, "llm_api_key", key);
		explicit_bzero(key, sizeof(key));
	}
	for (i = 0; i < NITEMS(rows); i++)
		if ((value = a->opt[(int)rows[i].opt]) != NULL)
			jsonw_text(w, rows[i].member, value);
	return true;
}

static void
secret_clear(struct buf *b)
{
	if (b->cap > 0)
		explicit_bzero(b->mem, b->cap);
	buf_clear(b);
}

/* A change whose success is silent; takes the body's bytes. */
static int
quiet(const char *method, const struct jsonw *w, struct buf *b,
    const char *path, const char *user, const char *name)
{
	struct reply	 r;
	bool		 ok;

	ok = api_ask(&r, method, w, path, user, name);
	secret_clear(b);
	if (!ok)
		return STATUS_FAILED;
	reply_clear(&r);
	return 0;
}

int
verb_runner_delete(const struct args *a)
{
	struct buf	 b = { 0 };

	return quiet("DELETE", NULL, &b, "/v1/users/%/runners/%", a->user,
	    a->argv[0]);
}

int
verb_runner_rename(const struct args *a)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	object_start(&w, &b);
	jsonw_text(&w, "name", a->argv[1]);
	jsonw_end(&w);
	return quiet("PATCH", &w, &b, "/v1/users/%/runners/%", a->user,
	    a->argv[0]);
}

int
verb_runner_rotate(const struct args *a)
{
	struct reply	 r;

	if (!api_ask(&r, "POST", NULL, "/v1/users/%/runners/%/token", a->user,
	    a->argv[0]))
		return STATUS_FAILED;
	return reply_pairs(&r, given, NITEMS(given));
}

int
verb_runner_llm(const struct args *a)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	if (a->opt['P'] == NULL && a->opt['M'] == NULL &&
	    a->opt['B'] == NULL && a->opt['K'] == NULL)
		return verb_wrong("what is to change?");
	object_start(&w, &b);
	if (!options_add(&w, a)) {
		buf_clear(&b);
		return STATUS_FAILED;
	}
	jsonw_end(&w);
	return quiet("PATCH", &w, &b, "/v1/users/%/runners/%", a->user,
	    a->argv[0]);
}

int
verb_runner_use(const struct args *a)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	object_start(&w, &b);
	jsonw_text(&w, "name", a->argv[0]);
	jsonw_end(&w);
	if (a->opt['S'] != NULL)
		return quiet("PUT", &w, &b, "/v1/users/%/sessions/%/runner",
		    a->user, a->opt['S']);
	return quiet("PUT", &w, &b, "/v1/users/%/runners/active", a->user, "");
}
