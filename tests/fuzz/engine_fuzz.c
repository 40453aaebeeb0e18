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
 * What a Docker Engine answers, read by its client and by docker mode.
 * A stream or a list cut anywhere gives the same lines, or elements, as the
 * whole; and a list that is read one by one is an array, as the reader of JSON
 * has it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/engine_int.h"
#include "runner/container.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define LIST_MAX	16384	/* no limit of engine_list.c is met */

struct seen {
	size_t		 lines, text;
	uint64_t	 numbers;
};

static void
on_line(void *arg, const struct engine_progress *p)
{
	struct seen	*s = arg;

	if (strlen(p->status) >= ENGINE_TEXT_MAX || strlen(p->id) > 127)
		abort();
	s->lines++;
	s->text += strlen(p->status) + 3 * strlen(p->id);
	s->numbers += p->current + 7 * p->total;
}

static void
never(void *arg, const struct engine_result *res)
{
	abort();
}

static enum xerr
stream_feed(const uint8_t *data, size_t len, size_t cut, struct seen *seen)
{
	struct engine_call	 call = { .progress = on_line, .done = never,
				    .arg = seen };
	struct engine_stream	*s = engine_stream_new(&call);
	enum xerr		 rc;

	if (s == NULL)
		abort();
	rc = engine_stream_feed(s, data, cut);
	if (rc == XERR_NONE)
		rc = engine_stream_feed(s, data + cut, len - cut);
	if (engine_stream_error(s) != NULL &&
	    strlen(engine_stream_error(s)) >= ENGINE_TEXT_MAX)
		abort();
	engine_stream_free(s);
	return rc;
}

static void
on_element(void *arg, const struct json_value *v)
{
	struct seen	*s = arg;

	s->lines++;
	s->text += json_count(v) + json_raw(v).len;
	s->numbers += (uint64_t)json_type(v);
}

static enum xerr
list_feed(const uint8_t *data, size_t len, size_t cut, struct seen *seen)
{
	struct engine_call	 call = { .element = on_element,
				    .done = never, .arg = seen };
	struct engine_list	*l = engine_list_new(&call);
	enum xerr		 rc;

	if (l == NULL)
		abort();
	rc = engine_list_feed(l, data, cut);
	if (rc == XERR_NONE)
		rc = engine_list_feed(l, data + cut, len - cut);
	if (rc == XERR_NONE && !engine_list_whole(l))
		rc = XERR_EOFFLINE;
	engine_list_free(l);
	return rc;
}

static void
list_fuzz(const uint8_t *data, size_t len)
{
	struct seen	 whole = { 0, 0, 0 }, parts = { 0, 0, 0 };
	struct json	*j;
	const char	*why;
	enum xerr	 a, b;

	a = list_feed(data, len, len, &whole);
	b = list_feed(data, len, len > 0 ? data[len / 2] % (len + 1) : 0,
	    &parts);
	if (a != b || memcmp(&whole, &parts, sizeof(whole)) != 0)
		abort();
	/* yajl takes these two for blanks, which they are not. */
	if (len > LIST_MAX || memchr(data, '\v', len) != NULL ||
	    memchr(data, '\f', len) != NULL)
		return;
	/* An element may be as deep as a whole text. */
	j = json_parse_deep((const char *)data, len, 0, JSON_DEPTH_MAX + 1,
	    &why);
	if (json_type(json_root(j)) == JSON_ARRAY &&
	    (a != XERR_NONE || whole.lines != json_count(json_root(j))))
		abort();
	if (a == XERR_NONE && json_type(json_root(j)) != JSON_ARRAY)
		abort();
	json_free(j);
}

static void
container_fuzz(const char *text, size_t len)
{
	struct container	 c = { .user = "u", .runner = "n",
				    .image = "i", .workspace = "/w",
				    .box = "/b" };
	struct json		*j;
	const char		*why;
	char			 reason[64], id[80];

	if (!container_name(&c) || strcmp(c.name, "xbot-runner-u-n") != 0)
		abort();
	if ((j = json_parse(text, len, 1000, &why)) == NULL)
		return;
	container_find(&c, json_root(j), id);
	if (strlen(id) >= sizeof(id))
		abort();
	container_fit(&c, json_root(j), reason, sizeof(reason));
	json_free(j);
}

static void
name_fuzz(const uint8_t *data, size_t len)
{
	struct container	 c = { .runner = "", .workspace = "/w" };
	char			 user[200], a[ENGINE_REF_MAX], b[ENGINE_REF_MAX];

	snprintf(user, sizeof(user), "%.*s", (int)(len < 199 ? len : 199),
	    (const char *)data);
	engine_ref_split(user, a, b);
	c.user = user;
	if (strchr("_.@:-", user[0]) == NULL && strspn(user,
	    "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@:-") == strlen(user) &&
	    container_name(&c) && (strlen(c.name) > 128 ||
	    strlen(c.hostname) > 63 || strchr("-_.", c.name[strlen(c.name) -
	    1]) != NULL))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct seen	 whole = { 0, 0, 0 }, parts = { 0, 0, 0 };
	enum xerr	 a, b;

	a = stream_feed(data, len, len, &whole);
	b = stream_feed(data, len, len > 0 ? data[0] % (len + 1) : 0, &parts);
	if (a != b || (a == XERR_NONE && memcmp(&whole, &parts,
	    sizeof(whole)) != 0))
		abort();
	list_fuzz(data, len);
	container_fuzz((const char *)data, len);
	name_fuzz(data, len);
	return 0;
}
