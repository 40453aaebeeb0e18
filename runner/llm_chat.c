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
 * The messages and tools of llm_generate, one by one.  See llm_chat.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "proto/buf.h"
#include "runner/llm_chat.h"

#define PARAMS_MAX	512	/* of one tool */

static const char *const roles[] = {
	[CHAT_SYSTEM] = "system", [CHAT_USER] = "user",
	[CHAT_ASSISTANT] = "assistant", [CHAT_TOOL] = "tool"
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

static bool
wrong(char why[LLM_WHY_MAX], const char *what)
{
	snprintf(why, LLM_WHY_MAX, "%s", what);
	return false;
}

/* A string, or nothing. */
static bool
take(struct v1_member *m, struct slice *dst)
{
	*dst = (struct slice){ "", 0 };
	if (m->value.kind == V1_STRING) {
		*dst = v1_string(&m->value);
		if (dst->len == 0)
			dst->p = "";
	}
	return m->value.kind == V1_STRING || m->value.kind <= V1_NULL;
}

int
llm_message_next(struct v1_value *messages, struct llm_message *msg,
    char why[LLM_WHY_MAX])
{
	struct v1_member	 m[] = {
		{ .key = "role" }, { .key = "content" },
		{ .key = "reasoning_content" }, { .key = "tool_call_id" },
		{ .key = "cache_hint" }, { .key = "tool_calls" },
	};
	struct slice		 role, hint;
	struct v1_value		 e;
	size_t			 i;

	if (!v1_element(messages, &e))
		return 0;
	memset(msg, 0, sizeof(*msg));
	if (!v1_members(&e, m, NITEMS(m)) || !take(&m[0], &role) ||
	    !take(&m[1], &msg->content) || !take(&m[2], &msg->reasoning) ||
	    !take(&m[3], &msg->tool_call_id) || !take(&m[4], &hint) ||
	    (m[5].value.kind > V1_NULL && m[5].value.kind != V1_ARRAY)) {
		wrong(why, "a message with a member of the wrong type");
		return -1;
	}
	for (i = 0; i < NITEMS(roles); i++)
		if (slice_is(role, roles[i]))
			break;
	if (i == NITEMS(roles)) {
		wrong(why, "a message of an unknown role");
		return -1;
	}
	msg->role = (enum llm_role)i;
	msg->hint = slice_is(hint, "static");
	msg->tool_calls = m[5].value;
	return 1;
}

int
llm_call_next(struct v1_value *calls, struct slice *id, struct slice *name,
    struct slice *arguments, char why[LLM_WHY_MAX])
{
	struct v1_member	 m[] = { { .key = "id" }, { .key = "name" },
				    { .key = "arguments" } };
	struct v1_value		 e;

	if (!v1_element(calls, &e))
		return 0;
	if (v1_members(&e, m, NITEMS(m)) && take(&m[0], id) &&
	    take(&m[1], name) && take(&m[2], arguments))
		return 1;
	wrong(why, "a tool call with a member of the wrong type");
	return -1;
}

bool
llm_image_next(struct slice *text, struct slice *before, struct slice *url)
{
	static const char	 mark[] = "](data:image/";
	const char		*p = text->p, *end = p + text->len, *at = p;
	const char		*open, *close;

	while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1)) !=
	    NULL) {
		/* From the "![" whose alternative text ends here. */
		for (open = at; open > p && open[-1] != ']' &&
		    open[-1] != '\n'; open--)
			if (open[-1] == '[' && open - 1 > p && open[-2] == '!')
				break;
		close = memchr(at, ')', (size_t)(end - at));
		if (open > p + 1 && open[-1] == '[' && open[-2] == '!' &&
		    close != NULL) {
			*before = (struct slice){ p, (size_t)(open - 2 - p) };
			*url = (struct slice){ at + 2,
			    (size_t)(close - at - 2) };
			*text = (struct slice){ close + 1,
			    (size_t)(end - close - 1) };
			return true;
		}
		at++;
	}
	return false;
}

/* --- tools --- */

struct param {
	char		*name;		/* owned */
	bool		 required;
};

static int
param_cmp(const void *a, const void *b)
{
	const struct param *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* One ToolParam as a property; false: refused. */
static bool
param_write(struct jsonw *w, struct v1_value *e, struct param *p,
    char why[LLM_WHY_MAX])
{
	struct v1_member	 m[] = { { .key = "name" }, { .key = "type" },
				    { .key = "description" },
				    { .key = "required" }, { .key = "items" } };
	struct slice		 name, type, description, items;

	if (!v1_members(e, m, NITEMS(m)) || !take(&m[0], &name) ||
	    !take(&m[1], &type) || !take(&m[2], &description) ||
	    name.len == 0 || memchr(name.p, '\0', name.len) != NULL ||
	    (m[3].value.kind > V1_NULL &&
	    !v1_bool(&m[3].value, &p->required)) ||
	    (m[4].value.kind > V1_NULL && m[4].value.kind != V1_OBJECT))
		return wrong(why, "a parameter with a member of the wrong "
		    "type");
	if ((p->name = strndup(name.p, name.len)) == NULL)
		return wrong(why, "out of memory");
	jsonw_object(w, p->name);
	jsonw_str(w, "type", type);
	jsonw_str(w, "description", description);
	if (m[4].value.kind == V1_OBJECT) {
		items = v1_raw(&m[4].value);
		jsonw_raw(w, "items", items.p, items.len);
	}
	jsonw_end(w);
	return true;
}

/* {"type":"object","properties":...,"required":...} as that member. */
static bool
params_write(struct jsonw *w, const char *key, const struct v1_value *params,
    char why[LLM_WHY_MAX])
{
	struct v1_value	 rest = *params, e;
	struct param	*p = calloc(PARAMS_MAX, sizeof(*p));
	size_t		 i, n = 0;
	bool		 ok = p != NULL || wrong(why, "out of memory");

	jsonw_object(w, key);
	jsonw_text(w, "type", "object");
	jsonw_object(w, "properties");
	while (ok && v1_element(&rest, &e)) {
		if (n == PARAMS_MAX)
			ok = wrong(why, "a tool with too many parameters");
		else
			ok = param_write(w, &e, &p[n++], why);
	}
	jsonw_end(w);
	jsonw_array(w, "required");
	if (ok && n > 0)
		qsort(p, n, sizeof(*p), param_cmp);
	for (i = 0; ok && i < n; i++)
		if (p[i].required)
			jsonw_text(w, NULL, p[i].name);
	jsonw_end(w);
	jsonw_end(w);
	while (n > 0)
		free(p[--n].name);
	free(p);
	return ok;
}

/* What is said of the next tool; as llm_message_next. */
static int
tool_next(struct v1_value *tools, struct slice *name,
    struct slice *description, struct v1_value *params, char why[LLM_WHY_MAX])
{
	struct v1_member	 m[] = { { .key = "name" },
				    { .key = "description" },
				    { .key = "parameters" } };
	struct v1_value		 e;

	if (!v1_element(tools, &e))
		return 0;
	if (v1_members(&e, m, NITEMS(m)) && take(&m[0], name) &&
	    take(&m[1], description) && (m[2].value.kind <= V1_NULL ||
	    m[2].value.kind == V1_ARRAY)) {
		*params = m[2].value;
		return 1;
	}
	wrong(why, "a tool with a member of the wrong type");
	return -1;
}

bool
llm_tools_write(struct jsonw *w, struct v1_value *tools, const char *type,
    const char *schema, char why[LLM_WHY_MAX])
{
	struct v1_value	 params;
	struct slice	 name, description;
	bool		 open = false;
	int		 got;

	while ((got = tool_next(tools, &name, &description, &params,
	    why)) == 1) {
		if (!open)
			jsonw_array(w, "tools");
		open = true;
		jsonw_object(w, NULL);
		if (type != NULL) {
			jsonw_text(w, "type", type);
			jsonw_object(w, type);
		}
		jsonw_str(w, "name", name);
		jsonw_str(w, "description", description);
		if (!params_write(w, schema, &params, why))
			return false;
		if (type != NULL)
			jsonw_end(w);
		jsonw_end(w);
	}
	if (open)
		jsonw_end(w);
	return got == 0;
}

bool
llm_write_end(struct jsonw *w, char why[LLM_WHY_MAX])
{
	jsonw_end(w);
	return jsonw_ok(w) || wrong(why, "out of memory");
}
