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
 * JSON as tables for people.  Runs in: xbot-admin.  What stands in the
 * cells came from users and runners.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/utf8.h"
#include "supervisor/admin/admin.h"

#define CELL_MAX	257		/* a longer one is cut */
#define COLUMNS_MAX	16

static void	 when(char *, size_t, int64_t);
static bool	 cell(char *, size_t, const struct column *,
		    const struct json_value *);
static bool	 harmless(const char *, size_t);

static void
when(char *dst, size_t size, int64_t seconds)
{
	time_t		 t = (time_t)seconds;
	struct tm	 tm;

	if (seconds == 0 || localtime_r(&t, &tm) == NULL ||
	    strftime(dst, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(dst, size, "-");
}

/* false: it is not there. */
static bool
cell(char *dst, size_t size, const struct column *c,
    const struct json_value *row)
{
	const struct json_value	*v = json_find(row, c->key);
	struct slice		 s;
	int64_t			 n;
	bool			 flag;

	(void)snprintf(dst, size, "-");
	if (json_str(v, &s)) {
		if (s.len > 0)
			log_vis(dst, size, s.p, s.len);
	} else if (json_int(v, &n)) {
		if (c->kind == COLUMN_WHEN)
			when(dst, size, n);
		else
			(void)snprintf(dst, size, "%" PRId64, n);
	} else if (json_bool(v, &flag)) {
		if (c->kind == COLUMN_STATE)
			(void)snprintf(dst, size, flag ? "up" : "down");
		else
			(void)snprintf(dst, size, flag ? "yes" : "no");
	}
	return json_type(v) != JSON_NULL;
}

void
table_print(const struct json_value *rows, const struct column *columns,
    size_t n)
{
	const struct json_value	*row;
	size_t			 width[COLUMNS_MAX], i, len;
	char			 text[CELL_MAX];

	if (n == 0 || n > COLUMNS_MAX)
		return;
	for (i = 0; i < n; i++) {
		width[i] = strlen(columns[i].head);
		for (row = json_first(rows); row != NULL;
		    row = json_next(row)) {
			(void)cell(text, sizeof(text), &columns[i], row);
			if ((len = strlen(text)) > width[i])
				width[i] = len;
		}
	}
	/* No blanks at the end of a line. */
	width[n - 1] = 0;
	for (i = 0; i < n; i++)
		printf("%-*s%s", (int)width[i], columns[i].head,
		    i + 1 < n ? "  " : "\n");
	for (row = json_first(rows); row != NULL; row = json_next(row))
		for (i = 0; i < n; i++) {
			(void)cell(text, sizeof(text), &columns[i], row);
			printf("%-*s%s", (int)width[i], text,
			    i + 1 < n ? "  " : "\n");
		}
}

/* UTF-8 without control characters, C1's included. */
static bool
harmless(const char *s, size_t len)
{
	const unsigned char	*p = (const unsigned char *)s;
	size_t			 bad;
	int			 n;

	for (; len > 0; p += n, len -= (size_t)n) {
		if ((n = utf8_char(p, len, &bad)) <= 0)
			return false;
		if (*p < 0x20 || *p == 0x7f ||
		    (n == 2 && *p == 0xc2 && p[1] < 0xa0))
			return false;
	}
	return true;
}

void
text_print(const char *s, size_t len)
{
	char	 text[8192];

	if (harmless(s, len))
		printf("%.*s\n", (int)len, s);
	else
		printf("%s\n", log_vis(text, sizeof(text), s, len));
}

void
pairs_print(const struct json_value *object, const struct column *columns,
    size_t n)
{
	struct slice	 s;
	size_t		 width = 0, i;
	char		 text[CELL_MAX];

	for (i = 0; i < n; i++)
		if (strlen(columns[i].head) > width)
			width = strlen(columns[i].head);
	for (i = 0; i < n; i++) {
		if (!cell(text, sizeof(text), &columns[i], object))
			continue;
		printf("%-*s  ", (int)width, columns[i].head);
		if (json_str(json_find(object, columns[i].key), &s) &&
		    s.len > 0)
			text_print(s.p, s.len);
		else
			printf("%s\n", text);
	}
}

int
reply_table(struct reply *r, const char *rows, const struct column *columns,
    size_t n)
{
	if (!admin.json)
		table_print(json_find(r->root, rows), columns, n);
	reply_clear(r);
	return 0;
}

int
reply_pairs(struct reply *r, const struct column *columns, size_t n)
{
	if (!admin.json)
		pairs_print(r->root, columns, n);
	reply_clear(r);
	return 0;
}
