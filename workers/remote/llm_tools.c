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
 * Tools: JSON Schema to the few words that v1 has for parameters.  See llm.h.
 * What those cannot say goes into the tool's description as it is, where the
 * model reads it.
 */

#include <stdio.h>
#include <string.h>

#include "workers/remote/llm.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define DEPTH_MAX	16	/* of items in items */

static bool
wrong(char why[LLM_TEXT_MAX], const char *what)
{
	snprintf(why, LLM_TEXT_MAX, "%s", what);
	return false;
}

/* Has it only these members?  Nothing is unescaped. */
static bool
only(const struct v1_value *object, const char *const *names)
{
	struct v1_value	 rest = *object, key, value;
	size_t		 i;

	if (object->kind != V1_OBJECT)
		return false;
	while (v1_pair(&rest, &key, &value)) {
		for (i = 0; names[i] != NULL; i++)
			if (slice_is((struct slice){ key.p, key.len },
			    names[i]))
				break;
		if (names[i] == NULL)
			return false;
	}
	return true;
}

/* As struct ToolParamItems says it, and what is in it. */
static bool
items_exact(const struct v1_value *v, unsigned int depth)
{
	static const char *const names[] = { "type", "properties", "required",
	    "items", "description", "additionalProperties", NULL };
	struct v1_member	 m[] = { { .key = "type" },
				    { .key = "items" } };

	if (depth > DEPTH_MAX || !only(v, names) ||
	    !v1_members(v, m, NITEMS(m)) || m[0].value.kind != V1_STRING)
		return false;
	return m[1].value.kind == V1_ABSENT ||
	    items_exact(&m[1].value, depth + 1);
}

static bool
param_exact(const struct v1_value *v)
{
	static const char *const names[] = { "type", "description", "items",
	    NULL };
	struct v1_member	 m[] = { { .key = "type" },
				    { .key = "items" } };

	return only(v, names) && v1_members(v, m, NITEMS(m)) &&
	    m[0].value.kind == V1_STRING && (m[1].value.kind == V1_ABSENT ||
	    items_exact(&m[1].value, 0));
}

/* Does v1 say all of it? */
static bool
schema_exact(const struct v1_value *schema)
{
	static const char *const names[] = { "type", "properties", "required",
	    "additionalProperties", "$schema", "title", NULL };
	struct v1_member	 m[] = { { .key = "properties" } };
	struct v1_value		 key, value;

	if (!only(schema, names) || !v1_members(schema, m, 1))
		return false;
	while (v1_pair(&m[0].value, &key, &value))
		if (!param_exact(&value))
			return false;
	return true;
}

/* Empty: it has none, or several. */
static struct slice
plain_type(const struct v1_value *v)
{
	struct v1_member	 m[] = { { .key = "type" } };

	if (!v1_members(v, m, 1) || m[0].value.kind != V1_STRING)
		return (struct slice){ NULL, 0 };
	return (struct slice){ m[0].value.p, m[0].value.len };
}

/* The first of a list that is not null: of types, or of schemas. */
static struct slice
first_type(struct v1_value list)
{
	struct v1_value	 e;
	struct slice	 s;

	while (v1_element(&list, &e)) {
		s = e.kind == V1_STRING ? (struct slice){ e.p, e.len } :
		    plain_type(&e);
		if (s.len > 0 && !slice_is(s, "null"))
			return s;
	}
	return (struct slice){ NULL, 0 };
}

/* v1 wants one: the nearest. */
static struct slice
type_of(const struct v1_value *v)
{
	struct v1_member	 m[] = { { .key = "type" }, { .key = "anyOf" },
				    { .key = "oneOf" },
				    { .key = "properties" } };
	struct slice		 s = plain_type(v);
	size_t			 i;

	v1_members(v, m, NITEMS(m));
	for (i = 0; s.len == 0 && i < 3; i++)
		s = first_type(m[i].value);
	if (s.len > 0)
		return s;
	return slice_str(m[3].value.kind == V1_OBJECT ? "object" : "string");
}

static bool
is_required(struct v1_value list, struct slice name)
{
	struct v1_value	 e;

	while (v1_element(&list, &e))
		if (e.kind == V1_STRING && e.len == name.len &&
		    memcmp(e.p, name.p, name.len) == 0)
			return true;
	return false;
}

static void
param_write(struct jsonw *w, struct v1_value *key, const struct v1_value *v,
    bool required)
{
	struct v1_member	 m[] = { { .key = "description" },
				    { .key = "items" } };
	struct slice		 raw, type = type_of(v);

	v1_members(v, m, NITEMS(m));
	jsonw_object(w, NULL);
	jsonw_str(w, "type", type);
	if (m[1].value.kind == V1_OBJECT && items_exact(&m[1].value, 0)) {
		raw = v1_raw(&m[1].value);
		jsonw_raw(w, "items", raw.p, raw.len);
	} else if (m[1].value.kind == V1_OBJECT) {
		jsonw_object(w, "items");
		jsonw_str(w, "type", type_of(&m[1].value));
		jsonw_end(w);
	}
	jsonw_bool(w, "required", required);
	jsonw_str(w, "description", v1_string(&m[0].value));
	jsonw_str(w, "name", v1_string(key));
	jsonw_end(w);
}

static bool
params_write(struct jsonw *w, const struct v1_value *schema,
    char why[LLM_TEXT_MAX])
{
	struct v1_member	 m[] = { { .key = "properties" },
				    { .key = "required" } };
	struct v1_value		 key, value;

	jsonw_array(w, "parameters");
	if (v1_members(schema, m, NITEMS(m))) {
		if (m[0].value.kind > V1_NULL && m[0].value.kind != V1_OBJECT)
			return wrong(why, "tools: properties are no object");
		while (v1_pair(&m[0].value, &key, &value)) {
			if (value.kind != V1_OBJECT)
				return wrong(why, "tools: a property that is "
				    "no object");
			param_write(w, &key, &value, is_required(m[1].value,
			    (struct slice){ key.p, key.len }));
		}
	}
	jsonw_end(w);
	return true;
}

static bool
description_write(struct jsonw *w, struct slice text,
    const struct v1_value *schema)
{
	static const char	 intro[] = "\n\nJSON Schema of the parameters: ";
	struct slice		 raw = v1_raw(schema);
	struct buf		 b = { 0 };
	bool			 ok;

	if (schema->kind != V1_OBJECT || schema_exact(schema)) {
		jsonw_str(w, "description", text);
		return true;
	}
	ok = (text.len == 0 || buf_add(&b, text.p, text.len) == 0) &&
	    buf_add(&b, intro, sizeof(intro) - 1) == 0 &&
	    buf_add(&b, raw.p, raw.len) == 0;
	if (ok)
		jsonw_str(w, "description", (struct slice){ buf_data(&b),
		    b.len });
	buf_clear(&b);
	return ok;
}

static bool
tool_write(struct llm *l, struct jsonw *w, const struct v1_value *e,
    char why[LLM_TEXT_MAX])
{
	struct v1_member	 m[] = { { .key = "function" },
				    { .key = "type" } };
	struct v1_member	 f[] = {
		{ .key = "name" }, { .key = "description" },
		{ .key = "parameters" }, { .key = "strict" },
	};
	bool			 strict = false;

	if (!v1_members(e, m, NITEMS(m)) ||
	    !slice_is(v1_string(&m[1].value), "function") ||
	    !v1_members(&m[0].value, f, NITEMS(f)))
		return wrong(why, "tools: only functions can be carried by "
		    "this runner's protocol (1)");
	if (f[0].value.kind != V1_STRING ||
	    (f[1].value.kind > V1_NULL && f[1].value.kind != V1_STRING) ||
	    (f[2].value.kind > V1_NULL && f[2].value.kind != V1_OBJECT))
		return wrong(why, "tools: a function with a member of the "
		    "wrong type");
	if (v1_bool(&f[3].value, &strict) && strict)
		llm_ignore(l, "tools.strict");
	jsonw_object(w, NULL);
	jsonw_str(w, "name", v1_string(&f[0].value));
	if (!description_write(w, v1_string(&f[1].value), &f[2].value))
		return false;
	if (!params_write(w, &f[2].value, why))
		return false;
	jsonw_end(w);
	return true;
}

bool
llm_tools(struct llm *l, struct jsonw *w, struct v1_value *tools,
    char why[LLM_TEXT_MAX])
{
	struct v1_value	 e, peek = *tools;

	if (tools->kind > V1_NULL && tools->kind != V1_ARRAY)
		return wrong(why, "tools: not a list");
	if (!v1_element(&peek, &e))
		return true;
	jsonw_array(w, "tools");
	while (v1_element(tools, &e))
		if (!tool_write(l, w, &e, why))
			return false;
	jsonw_end(w);
	return true;
}
