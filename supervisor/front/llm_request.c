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
 * What a request's body asks for, and how members are gone through.
 * Runs in: front, control.  Input is hostile.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/front/llm.h"

static bool	model_put(const struct json_value *, struct slice,
		    const char *, struct buf *, struct llm_why *);

bool
llm_refuse(struct llm_why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return false;
}

bool
llm_says_nothing(const struct json_value *v)
{
	struct slice	 s;
	bool		 b;

	switch (json_type(v)) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return json_bool(v, &b) && !b;
	case JSON_STRING:
		return json_str(v, &s) && s.len == 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		return json_count(v) == 0;
	case JSON_INT:
	case JSON_DOUBLE:
		break;
	}
	return false;
}

enum llm_tool
llm_tool_use(struct jsonw *w, const struct json_value *v, struct slice *name)
{
	const struct json_value	*f = NULL;
	struct slice		 id, args = { "", 0 };
	struct json		*j;
	const char		*text;
	bool			 ok;

	if (json_get_object(v, "function", &f) != JSON_GOT ||
	    json_get_str(v, "id", &id) != JSON_GOT ||
	    json_get_str(f, "name", name) != JSON_GOT ||
	    json_get_str(f, "arguments", &args) == JSON_WRONG)
		return LLM_TOOL_NO_CALL;
	if (args.len == 0)
		args = slice_str("{}");
	j = json_parse_deep(args.p, args.len, LLM_VALUES, LLM_DEPTH, &text);
	ok = j != NULL && json_type(json_root(j)) == JSON_OBJECT;
	json_free(j);
	if (!ok)
		return LLM_TOOL_NO_OBJECT;
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "tool_use");
	jsonw_str(w, "id", id);
	jsonw_str(w, "name", *name);
	jsonw_raw(w, "input", args.p, args.len);
	jsonw_end(w);
	return LLM_TOOL_DONE;
}

void
llm_copy(struct jsonw *w, const char *key, const struct json_value *v)
{
	struct slice	 s;
	int64_t		 i;
	double		 d;
	bool		 b;

	switch (json_type(v)) {
	case JSON_NULL:
		jsonw_null(w, key);
		return;
	case JSON_BOOL:
		if (json_bool(v, &b))
			jsonw_bool(w, key, b);
		return;
	case JSON_INT:
		if (json_int(v, &i))
			jsonw_int(w, key, i);
		return;
	case JSON_DOUBLE:
		if (json_double(v, &d))
			jsonw_double(w, key, d);
		return;
	case JSON_STRING:
		if (json_str(v, &s))
			jsonw_str(w, key, s);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		s = json_raw(v);
		jsonw_raw(w, key, s.p, s.len);
		return;
	}
}

bool
llm_same(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	char	 name[64];	/* one of a table's */

	if (slice_copy(name, sizeof(name), json_key(v)))
		llm_copy(w, name, v);
	return true;
}

bool
llm_is(const struct json_value *v, const char *key, const char *text)
{
	struct slice s;

	return json_get_str(v, key, &s) == JSON_GOT && slice_is(s, text);
}

bool
llm_members(struct jsonw *w, const struct json_value *object,
    const struct llm_member *known, const char *where, struct llm_why *why)
{
	const struct json_value		*v;
	const struct llm_member		*m;
	struct slice			 key;
	char				 name[64];

	for (v = json_first(object); v != NULL; v = json_next(v)) {
		key = json_key(v);
		for (m = known; m->name != NULL; m++)
			if (slice_is(key, m->name))
				break;
		if (m->name != NULL) {
			if (m->write != NULL && json_type(v) != JSON_NULL &&
			    !m->write(w, v, why))
				return false;
		} else if (!llm_says_nothing(v))
			return llm_refuse(why, "%s%s: the provider's API has "
			    "nothing like it", where,
			    log_vis(name, sizeof(name), key.p, key.len));
	}
	return true;
}

bool
llm_asked_read(const struct json_value *body, struct llm_asked *a,
    struct llm_why *why)
{
	const struct json_value	*options = NULL;

	memset(a, 0, sizeof(*a));
	a->model = slice_str("");
	if (json_get_str(body, "model", &a->model) == JSON_WRONG)
		return llm_refuse(why, "model: not a string");
	if (slice_is(a->model, "default"))
		a->model = slice_str("");
	if (json_get_bool(body, "stream", &a->stream) == JSON_WRONG)
		return llm_refuse(why, "stream: not a boolean");
	if (json_get_object(body, "stream_options", &options) == JSON_WRONG)
		return llm_refuse(why, "stream_options: not an object");
	if (json_get_bool(options, "include_usage", &a->usage) == JSON_WRONG)
		return llm_refuse(why, "include_usage: not a boolean");
	return true;
}

/* The text as it came, but for the model's name. */
static bool
model_put(const struct json_value *body, struct slice text,
    const char *model, struct buf *b, struct llm_why *why)
{
	const struct json_value	*v = json_find(body, "model");
	const char		*from = text.p, *end = from + text.len;
	struct buf		 name = { 0 };
	struct jsonw		 w;
	struct slice		 old;
	bool			 ok = true;

	jsonw_init(&w, &name);
	jsonw_text(&w, NULL, model);
	if (v == NULL) {
		from = memchr(from, '{', text.len);
		from++;
		ok = buf_add(b, "{\"model\":", 9) == 0 &&
		    buf_add(b, buf_data(&name), name.len) == 0 &&
		    (json_count(body) == 0 || buf_add(b, ",", 1) == 0);
	} else if (json_str(v, &old) && (const char *)old.p > from &&
	    (const char *)old.p < end && old.len > 0) {
		ok = buf_add(b, from, (size_t)((const char *)old.p - 1 -
		    from)) == 0 &&
		    buf_add(b, buf_data(&name), name.len) == 0;
		from = (const char *)old.p + old.len + 1;
	} else
		ok = llm_refuse(why, "model: leave it out, or name one");
	if (ok && buf_add(b, from, (size_t)(end - from)) == -1)
		ok = false;
	if (!ok && why->text[0] == '\0')
		llm_refuse(why, "no memory");
	buf_clear(&name);
	return ok;
}

bool
llm_request_make(enum llm_dialect client, enum llm_dialect provider,
    const struct json_value *body, struct slice text, const char *model,
    struct buf *b, struct llm_why *why)
{
	why->text[0] = '\0';
	if (client == provider) {
		if (model[0] != '\0')
			return model_put(body, text, model, b, why);
		if (buf_add(b, text.p, text.len) == 0)
			return true;
		return llm_refuse(why, "no memory");
	}
	return provider == LLM_ANTHROPIC ?
	    llm_to_anthropic(body, model, b, why) :
	    llm_to_openai(body, model, b, why);
}
