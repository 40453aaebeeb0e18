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
 * Answers that are one array: each element is read and given away by itself,
 * so that a machine may have thousands of containers and we hold one.
 * Runs in: docker.  Elements and their number are bounded; where one ends is
 * found here, what it is the JSON reader checks.
 */

#include <stdlib.h>
#include <string.h>

#include "base/engine_int.h"

#define ELEMENT_MAX	(256u * 1024)	/* bytes of one */
#define VALUES_MAX	16384		/* in one */
#define ELEMENTS_MAX	65536		/* some list has no end */

enum place { LIST_BEFORE, LIST_FIRST, LIST_ELEMENT, LIST_BEHIND };

struct engine_list {
	struct engine_call	*call;		/* lent */
	enum place		 place;
	struct buf		 one;		/* the element so far */
	unsigned int		 depth;		/* brackets open in it */
	bool			 string;	/* within one */
	bool			 escaped;	/* behind a backslash there */
	size_t			 n;
};

static bool		is_end(struct engine_list *, char);
static enum xerr	element_add(struct engine_list *, const char *, size_t);
static enum xerr	element_end(struct engine_list *);

struct engine_list *
engine_list_new(struct engine_call *call)
{
	struct engine_list	*l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->call = call;
	return l;
}

void
engine_list_free(struct engine_list *l)
{
	if (l == NULL)
		return;
	buf_clear(&l->one);
	free(l);
}

/* Is it the comma or the bracket behind the element? */
static bool
is_end(struct engine_list *l, char c)
{
	if (l->string) {
		if (l->escaped)
			l->escaped = false;
		else if (c == '\\')
			l->escaped = true;
		else if (c == '"')
			l->string = false;
		return false;
	}
	if (l->depth == 0 && (c == ',' || c == ']'))
		return true;
	if (c == '"')
		l->string = true;
	else if (c == '[' || c == '{')
		l->depth++;
	else if ((c == ']' || c == '}') && l->depth > 0)
		l->depth--;
	return false;
}

static enum xerr
element_add(struct engine_list *l, const char *p, size_t n)
{
	if (n > ELEMENT_MAX - l->one.len)
		return XERR_E2BIG;
	return buf_add(&l->one, p, n) == 0 ? XERR_NONE : XERR_EIO;
}

static enum xerr
element_end(struct engine_list *l)
{
	struct json	*j;
	const char	*why;

	if (l->n++ == ELEMENTS_MAX)
		return XERR_E2BIG;
	j = json_parse((char *)buf_data(&l->one), l->one.len, VALUES_MAX,
	    &why);
	if (j == NULL)
		return XERR_EIO;
	if (l->call->done != NULL)
		l->call->element(l->call->arg, json_root(j));
	json_free(j);
	buf_drain(&l->one, l->one.len);
	return XERR_NONE;
}

enum xerr
engine_list_feed(struct engine_list *l, const void *bytes, size_t n)
{
	const char	*p = bytes, *end = p + n, *from = p;
	enum xerr	 code = XERR_NONE;

	for (; p < end && code == XERR_NONE; p++) {
		if (l->place == LIST_ELEMENT) {
			if (!is_end(l, *p))
				continue;
			code = element_add(l, from, (size_t)(p - from));
			if (code == XERR_NONE)
				code = element_end(l);
			l->place = *p == ',' ? LIST_ELEMENT : LIST_BEHIND;
			from = p + 1;
		} else if (strchr(" \t\r\n", *p) != NULL && *p != '\0')
			continue;
		else if (l->place == LIST_BEFORE && *p == '[')
			l->place = LIST_FIRST;
		else if (l->place == LIST_FIRST && *p == ']')
			l->place = LIST_BEHIND;
		else if (l->place == LIST_FIRST) {
			l->place = LIST_ELEMENT;
			from = p--;	/* looked at once more, as its first */
		} else
			code = XERR_EIO;
	}
	if (code == XERR_NONE && l->place == LIST_ELEMENT)
		code = element_add(l, from, (size_t)(end - from));
	return code;
}

bool
engine_list_whole(const struct engine_list *l)
{
	return l->place == LIST_BEHIND;
}
