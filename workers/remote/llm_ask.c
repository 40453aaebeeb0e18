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
 * From chat/completions to llm_generate.  See llm.h.  Whatever v1 cannot say
 * is refused with its name; mere wishes (how warm, how long) are left to the
 * runner, and the client is told which.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "workers/remote/llm.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

enum carried {
	CARRIED,		/* v1 says it, or front does */
	WISH,			/* told */
	REFUSED			/* unless it says what is so anyway */
};

static const struct member {
	const char	*name;
	enum carried	 how;
	const char	*same;	/* in JSON: what is so anyway, beside null */
} members[] = {
	{ "model", CARRIED, NULL }, { "messages", CARRIED, NULL },
	{ "tools", CARRIED, NULL }, { "tool_choice", CARRIED, NULL },
	{ "reasoning_effort", CARRIED, NULL }, { "thinking", CARRIED, NULL },
	{ "stream", CARRIED, NULL }, { "stream_options", CARRIED, NULL },
	{ "user", CARRIED, NULL }, { "metadata", CARRIED, NULL },
	{ "store", CARRIED, NULL }, { "service_tier", CARRIED, NULL },
	{ "prompt_cache_key", CARRIED, NULL },
	{ "safety_identifier", CARRIED, NULL },
	{ "temperature", WISH, NULL }, { "top_p", WISH, NULL },
	{ "top_k", WISH, NULL }, { "max_tokens", WISH, NULL },
	{ "max_completion_tokens", WISH, NULL },
	{ "presence_penalty", WISH, "0" }, { "frequency_penalty", WISH, "0" },
	{ "seed", WISH, NULL }, { "verbosity", WISH, NULL },
	{ "parallel_tool_calls", WISH, "true" },
	{ "n", REFUSED, "1" }, { "logprobs", REFUSED, "false" },
	{ "top_logprobs", REFUSED, "0" }, { "logit_bias", REFUSED, "{}" },
	{ "stop", REFUSED, "[]" },
	{ "response_format", REFUSED, "{\"type\":\"text\"}" },
	{ "modalities", REFUSED, "[\"text\"]" },
};

static const struct member message_members[] = {
	{ "role", CARRIED, NULL }, { "content", CARRIED, NULL },
	{ "tool_calls", CARRIED, NULL }, { "tool_call_id", CARRIED, NULL },
	{ "reasoning_content", CARRIED, NULL },
	{ "name", WISH, NULL }, { "annotations", WISH, "[]" },
	{ "refusal", REFUSED, "\"\"" },
};

static bool
refuse(char why[LLM_TEXT_MAX], const char *fmt, ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(why, LLM_TEXT_MAX, fmt, ap);
	va_end(ap);
	return false;
}

void
llm_ignore(struct llm *l, const char *name)
{
	const size_t	 have = strlen(l->ignored), n = strlen(name);

	if (have + n + 3 > sizeof(l->ignored) ||
	    strstr(l->ignored, name) != NULL)
		return;
	snprintf(l->ignored + have, sizeof(l->ignored) - have, "%s%s",
	    have > 0 ? ", " : "", name);
}

/* Without the space that people write. */
static bool
same_json(struct slice s, const char *same)
{
	const char	*p = s.p;
	size_t		 i;

	for (i = 0; i < s.len; i++)
		if (strchr(" \t\r\n", p[i]) == NULL && p[i] != *same++)
			return false;
	return *same == '\0';
}

/* Every member is one that the table knows what to do with. */
static bool
members_check(struct llm *l, struct v1_value object, const char *where,
    const struct member *m, size_t n, char why[LLM_TEXT_MAX])
{
	struct v1_value	 key, value;
	char		 name[80], full[100];
	size_t		 i;

	while (v1_pair(&object, &key, &value)) {
		text_clean(name, sizeof(name) - 1,
		    (struct slice){ key.p, key.len });
		snprintf(full, sizeof(full), "%s%s", where, name);
		for (i = 0; i < n && strcmp(m[i].name, name) != 0; i++)
			;
		if (value.kind == V1_NULL || (i < n && (m[i].how == CARRIED ||
		    (m[i].same != NULL &&
		    same_json(v1_raw(&value), m[i].same)))))
			continue;
		if (i < n && m[i].how == WISH)
			llm_ignore(l, full);
		else
			return refuse(why, "%s: this runner's protocol (1) "
			    "cannot carry it", full);
	}
	return true;
}

/* A string or nothing; NULL in *s: nothing. */
static bool
take(struct v1_value *v, const char *name, struct slice *s,
    char why[LLM_TEXT_MAX])
{
	*s = (struct slice){ NULL, 0 };
	if (v->kind == V1_STRING)
		*s = v1_string(v);
	else if (v->kind > V1_NULL)
		return refuse(why, "%s: not a string", name);
	return true;
}

/* --- content --- */

/* What becomes one text in v1. */
struct content {
	struct buf	 text;
	unsigned int	 texts, images;
	bool		 last_text;
};

static bool
text_add(struct content *c, struct slice s)
{
	/* Parts beside one another are not one word. */
	if (s.len == 0)
		return true;
	if (c->last_text && buf_add(&c->text, "\n", 1) == -1)
		return false;
	c->texts++;
	c->last_text = true;
	return buf_add(&c->text, s.p, s.len) == 0;
}

static bool
image_add(struct llm *l, struct content *c, struct v1_value *image,
    char why[LLM_TEXT_MAX])
{
	static const char	 data[] = "data:image/", open[] = "![image](";
	struct v1_member	 m[] = { { .key = "url" }, { .key = "detail" } };
	struct slice		 url, detail;

	if (!v1_members(image, m, NITEMS(m)) ||
	    !take(&m[0].value, "image_url.url", &url, why) ||
	    !take(&m[1].value, "image_url.detail", &detail, why))
		return refuse(why, "image_url: malformed");
	if (url.len < sizeof(data) || memcmp(url.p, data, sizeof(data) - 1) !=
	    0 || memchr(url.p, ')', url.len) != NULL)
		return refuse(why, "image_url: this runner's protocol (1) "
		    "carries images as data URLs only");
	if (detail.len > 0 && !slice_is(detail, "auto"))
		llm_ignore(l, "image_url.detail");
	c->images++;
	c->last_text = false;
	return buf_add(&c->text, open, sizeof(open) - 1) == 0 &&
	    buf_add(&c->text, url.p, url.len) == 0 &&
	    buf_add(&c->text, ")", 1) == 0;
}

static bool
part_add(struct llm *l, struct content *c, struct v1_value *part, bool user,
    char why[LLM_TEXT_MAX])
{
	struct v1_member	 m[] = { { .key = "type" }, { .key = "text" },
				    { .key = "image_url" } };
	struct slice		 type, text;
	char			 name[64];

	if (!v1_members(part, m, NITEMS(m)))
		return refuse(why, "content: a part that is no object");
	if (!take(&m[0].value, "type", &type, why) ||
	    !take(&m[1].value, "text", &text, why))
		return false;
	if (slice_is(type, "text"))
		return text_add(c, text);
	if (slice_is(type, "image_url") && user)
		return image_add(l, c, &m[2].value, why);
	text_clean(name, sizeof(name) - 1, type);
	return refuse(why, "content: a part of type \"%s\" cannot be carried "
	    "by this runner's protocol (1)", name);
}

static bool
content_write(struct llm *l, struct jsonw *w, struct v1_value *v, bool user,
    char why[LLM_TEXT_MAX])
{
	struct content	 c = { .texts = 0 };
	struct v1_value	 part;
	struct slice	 s;
	bool		 ok = true;

	if (v->kind != V1_ARRAY) {
		if (!take(v, "content", &s, why))
			return false;
		jsonw_str(w, "content", s);
		return true;
	}
	while (ok && v1_element(v, &part))
		ok = part_add(l, &c, &part, user, why);
	/* A runner takes that for a text with a strange word in it. */
	if (ok && c.images == 1 && c.texts == 0)
		ok = refuse(why, "content: this runner's protocol (1) carries "
		    "no image without a text beside it");
	if (ok)
		jsonw_str(w, "content", (struct slice){ buf_data(&c.text),
		    c.text.len });
	buf_clear(&c.text);
	return ok;
}

/* --- messages --- */

static bool
calls_write(struct jsonw *w, struct v1_value *calls, char why[LLM_TEXT_MAX])
{
	struct v1_member	 m[] = { { .key = "id" }, { .key = "function" } };
	struct v1_member	 f[] = { { .key = "name" },
				    { .key = "arguments" } };
	struct slice		 id, name, arguments;
	struct v1_value		 e;

	if (calls->kind <= V1_NULL)
		return true;
	if (calls->kind != V1_ARRAY)
		return refuse(why, "tool_calls: not a list");
	jsonw_array(w, "tool_calls");
	while (v1_element(calls, &e)) {
		if (!v1_members(&e, m, NITEMS(m)) ||
		    !v1_members(&m[1].value, f, NITEMS(f)))
			return refuse(why, "tool_calls: only functions can be "
			    "carried by this runner's protocol (1)");
		if (!take(&m[0].value, "id", &id, why) ||
		    !take(&f[0].value, "name", &name, why) ||
		    !take(&f[1].value, "arguments", &arguments, why))
			return false;
		jsonw_object(w, NULL);
		jsonw_str(w, "id", id);
		jsonw_str(w, "name", name);
		jsonw_str(w, "arguments", arguments);
		jsonw_end(w);
	}
	jsonw_end(w);
	return true;
}

static const struct {
	const char	*theirs, *ours;
} roles[] = {
	{ "system", "system" }, { "developer", "system" },
	{ "user", "user" }, { "assistant", "assistant" }, { "tool", "tool" },
};

/* NULL and why. */
static const char *
role_of(struct v1_value *v, char why[LLM_TEXT_MAX])
{
	const struct slice	 s = v1_string(v);
	char			 name[64];
	size_t			 i;

	for (i = 0; i < NITEMS(roles); i++)
		if (slice_is(s, roles[i].theirs))
			return roles[i].ours;
	text_clean(name, sizeof(name) - 1, s);
	refuse(why, "role \"%s\" is none that this runner's protocol (1) "
	    "knows", name);
	return NULL;
}

static bool
message_write(struct llm *l, struct jsonw *w, struct v1_value *e,
    char why[LLM_TEXT_MAX])
{
	struct v1_member	 m[] = {
		{ .key = "role" }, { .key = "content" },
		{ .key = "tool_call_id" }, { .key = "reasoning_content" },
		{ .key = "tool_calls" },
	};
	struct slice		 id, reasoning;
	const char		*role;

	if (!v1_members(e, m, NITEMS(m)))
		return refuse(why, "messages: one that is no object");
	if (!members_check(l, *e, "messages.", message_members,
	    NITEMS(message_members), why) ||
	    (role = role_of(&m[0].value, why)) == NULL)
		return false;
	jsonw_object(w, NULL);
	jsonw_text(w, "role", role);
	if (!content_write(l, w, &m[1].value, strcmp(role, "user") == 0,
	    why) || !take(&m[2].value, "tool_call_id", &id, why) ||
	    !take(&m[3].value, "reasoning_content", &reasoning, why))
		return false;
	if (id.p != NULL)
		jsonw_str(w, "tool_call_id", id);
	if (reasoning.p != NULL)
		jsonw_str(w, "reasoning_content", reasoning);
	if (!calls_write(w, &m[4].value, why))
		return false;
	jsonw_end(w);
	return true;
}

/* --- the whole --- */

/* true in *none: no tool is to be called. */
static bool
choice_check(struct v1_value *v, bool *none, char why[LLM_TEXT_MAX])
{
	const struct slice	 s = v1_string(v);

	*none = slice_is(s, "none");
	if (v->kind <= V1_NULL || *none || slice_is(s, "auto"))
		return true;
	return refuse(why, "tool_choice: this runner's protocol (1) knows "
	    "\"auto\" and \"none\" only");
}

/* What v1 calls the modes of it. */
static bool
thinking_write(struct llm *l, struct jsonw *w, struct v1_value *effort,
    struct v1_value *thinking, char why[LLM_TEXT_MAX])
{
	struct slice	 s;

	if (thinking->kind == V1_OBJECT) {
		jsonw_str(w, "thinking_mode", v1_raw(thinking));
		return true;
	}
	if (thinking->kind > V1_NULL)
		return refuse(why, "thinking: not an object");
	if (!take(effort, "reasoning_effort", &s, why))
		return false;
	if (slice_is(s, "medium") || slice_is(s, "high"))
		jsonw_text(w, "thinking_mode", slice_is(s, "high") ?
		    "think-max" : "think");
	else if (s.len > 0 && !slice_is(s, "none"))
		llm_ignore(l, "reasoning_effort");
	return true;
}

bool
llm_ask(struct llm *l, struct jsonw *w, char *text, size_t len,
    char why[LLM_TEXT_MAX])
{
	struct v1_member	 m[] = {
		{ .key = "model" }, { .key = "messages" }, { .key = "tools" },
		{ .key = "tool_choice" }, { .key = "reasoning_effort" },
		{ .key = "thinking" },
	};
	struct v1_value		 v, e;
	struct slice		 model;
	bool			 none;

	if (!utf8_valid(text, len) || !v1_value(text, len, &v) ||
	    !v1_members(&v, m, NITEMS(m)))
		return refuse(why, "the body is no JSON object");
	if (m[1].value.kind != V1_ARRAY)
		return refuse(why, "messages: not a list");
	if (!members_check(l, v, "", members, NITEMS(members), why) ||
	    !take(&m[0].value, "model", &model, why) ||
	    !choice_check(&m[3].value, &none, why) ||
	    !thinking_write(l, w, &m[4].value, &m[5].value, why))
		return false;
	why[0] = '\0';
	if ((l->model = strndup(model.len > 0 ? model.p : "", model.len)) ==
	    NULL)
		return false;
	jsonw_str(w, "model", model);
	jsonw_array(w, "messages");
	while (v1_element(&m[1].value, &e))
		if (!message_write(l, w, &e, why))
			return false;
	jsonw_end(w);
	return none || llm_tools(l, w, &m[2].value, why);
}
