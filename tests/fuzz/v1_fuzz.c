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
 * libFuzzer: one message of a runner, read as the remote worker and
 * xbot-runner do.  What the strict reader takes is taken here as well, every
 * view lies inside of the text, and reading an object twice gives the same.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/v1.h"

int		 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char	*text_start, *text_end;

static void
inside(struct slice s)
{
	const char *p = s.p;

	if (s.len > 0 && (p < text_start || p + s.len > text_end))
		abort();
}

static void
walk(struct v1_value *v, int depth)
{
	struct v1_member	m[] = {
		{ .key = "message" }, { .key = "data" }, { .key = "entries" },
		{ .key = "size" }, { .key = "mod_time" },
	};
	struct v1_member	again[1] = { { .key = "message" } };
	struct v1_value		e;
	int64_t			n;
	size_t			i;
	bool			b;

	inside((struct slice){ v->p, v->len });
	v1_int(v, &n);
	v1_bool(v, &b);
	if (depth > V1_DEPTH_MAX + 1)
		abort();
	if (v1_members(v, m, 5)) {
		if (!v1_members(v, again, 1) ||
		    again[0].value.kind != m[0].value.kind)
			abort();
		for (i = 0; i < 5; i++)
			walk(&m[i].value, depth + 1);
	}
	while (v1_element(v, &e))
		walk(&e, depth + 1);
	if (v->kind == V1_STRING) {
		inside(v1_string(v));
		v1_time_parse(v1_string(v), &n);
		v1_type_by_name(v1_string(v));
		v1_error_code(v1_string(v));
	}
}

/* Would the reader of the HTTP side take it as a message? */
static bool
strict(const char *text, size_t len)
{
	const char	*why;
	struct json	*j = json_parse(text, len, 0, &why);
	struct slice	 s;
	bool		 ok;

	if (j == NULL)
		return false;
	/* yajl takes these two for white space; JSON does not. */
	if (memchr(text, '\f', len) != NULL ||
	    memchr(text, '\v', len) != NULL) {
		json_free(j);
		return false;
	}
	ok = json_type(json_root(j)) == JSON_OBJECT &&
	    json_get_str(json_root(j), "type", &s) == JSON_GOT &&
	    json_get_str(json_root(j), "id", &s) != JSON_WRONG;
	json_free(j);
	return ok;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct v1_message	 msg;
	const char		*why;
	char			*text = malloc(len + (len == 0));
	bool			 want = strict((const char *)data, len);

	if (text == NULL)
		return 0;
	memcpy(text, data, len);
	text_start = text;
	text_end = text + len;
	if (v1_parse(text, len, &msg, &why) == 0) {
		inside(msg.id);
		inside(msg.type_text);
		walk(&msg.body, 0);
	} else if (want)
		abort();
	free(text);
	return 0;
}
