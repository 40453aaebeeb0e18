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
 * Provider openai, and whatever speaks its dialect: section 3.3 of the
 * contract.  See llm_chat.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/llm_chat.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define THINKING_MAX	4096	/* bytes of a thinking_mode in JSON */

enum thinking { THINK_OFF, THINK_ON, THINK_MAX, THINK_JSON };

/* The longest prefix of the model's name counts. */
static const struct {
	const char	*prefix;
	unsigned int	 tokens;
} limits[] = {
	{ "gpt-3.5", 4096 }, { "gpt-4", 8192 }, { "gpt-4-turbo", 4096 },
	{ "gpt-4-1106", 4096 }, { "gpt-4-0125", 4096 }, { "gpt-4o", 16384 },
	{ "chatgpt-4o", 16384 }, { "gpt-4.1", 32768 }, { "gpt-4.5", 16384 },
	{ "gpt-5", 128000 }, { "o1", 100000 }, { "o1-preview", 32768 },
	{ "o1-mini", 65536 }, { "o3", 100000 }, { "o4", 100000 },
	{ "deepseek-chat", 8192 }, { "deepseek-reasoner", 65536 },
};

/* Who thinks how: by the model's name, else by where it is. */
static const struct vendor {
	const char	*prefix, *host;
	bool		 effort;	/* OpenAI's own word for it */
	bool		 keep;		/* "max": clear_thinking false */
} vendors[] = {
	{ "gpt-", "api.openai.com", true, false },
	{ "glm-", "bigmodel.cn", false, true },
	{ "deepseek", "deepseek.com", false, false },
};
static const struct vendor other_vendor;

static unsigned int
openai_tokens(const char *model)
{
	unsigned int	 tokens = LLM_TOKENS;
	size_t		 i, n, best = 0;

	for (i = 0; i < NITEMS(limits); i++) {
		n = strlen(limits[i].prefix);
		if (n > best && strncmp(model, limits[i].prefix, n) == 0) {
			best = n;
			tokens = limits[i].tokens;
		}
	}
	return tokens < LLM_TOKENS ? tokens : LLM_TOKENS;
}

static const struct vendor *
vendor_of(const struct llm_chat *c)
{
	size_t	 i;

	for (i = 0; i < NITEMS(vendors); i++)
		if (strncmp(c->model, vendors[i].prefix,
		    strlen(vendors[i].prefix)) == 0)
			return &vendors[i];
	for (i = 0; i < NITEMS(vendors); i++)
		if (strstr(c->base_url, vendors[i].host) != NULL)
			return &vendors[i];
	return &other_vendor;
}

static enum thinking
thinking_of(const struct llm_chat *c)
{
	if (slice_is(c->thinking, "enabled") || slice_is(c->thinking, "think"))
		return THINK_ON;
	if (slice_is(c->thinking, "think-max"))
		return THINK_MAX;
	if (c->thinking.len > 0 && *(const char *)c->thinking.p == '{')
		return THINK_JSON;
	return THINK_OFF;
}

/* Members that stand in the request already. */
static bool
key_ours(struct slice key)
{
	static const char *const ours[] = { "model", "messages", "tools", "n",
	    "stream", "max_tokens", "max_completion_tokens" };
	size_t	 i;

	for (i = 0; i < NITEMS(ours); i++)
		if (slice_is(key, ours[i]))
			return true;
	return false;
}

/* The members as they stand, at the top. */
static void
thinking_spread(struct jsonw *w, struct v1_value *object)
{
	struct v1_value	 key, value;
	struct slice	 raw;
	const char	*start;

	while (v1_pair(object, &key, &value)) {
		if (key_ours((struct slice){ key.p, key.len }))
			continue;
		start = key.p - 1;
		raw = v1_raw(&value);
		jsonw_raw(w, NULL, start,
		    (size_t)((const char *)raw.p + raw.len - start));
	}
}

/* What is no JSON object is ignored; false: then it is not thinking. */
static bool
thinking_json(struct jsonw *w, struct slice text)
{
	struct v1_member	 m[] = { { .key = "thinking" },
				    { .key = "type" } };
	struct v1_value		 v;
	struct slice		 raw;
	char			 copy[THINKING_MAX];

	if (text.len > sizeof(copy))
		return false;
	memcpy(copy, text.p, text.len);
	if (!v1_value(copy, text.len, &v) || !v1_members(&v, m, NITEMS(m)))
		return false;
	if (w == NULL)
		return true;
	raw = v1_raw(&v);
	if (m[0].value.kind == V1_ABSENT && m[1].value.kind != V1_ABSENT)
		jsonw_raw(w, "thinking", raw.p, raw.len);
	else
		thinking_spread(w, &v);
	return true;
}

static void
thinking_write(struct jsonw *w, const struct llm_chat *c)
{
	const enum thinking	 t = thinking_of(c);
	const struct vendor	*v = vendor_of(c);

	if (t == THINK_JSON)
		thinking_json(w, c->thinking);
	if (t != THINK_ON && t != THINK_MAX)
		return;
	if (v->effort) {
		jsonw_text(w, "reasoning_effort", t == THINK_ON ? "medium" :
		    "high");
		return;
	}
	jsonw_object(w, "thinking");
	jsonw_text(w, "type", "enabled");
	if (v->keep && t == THINK_MAX)
		jsonw_bool(w, "clear_thinking", false);
	jsonw_end(w);
}

/* Thinking, or a history of it: then every assistant message has its own.
 * Looks at nothing twice that is unescaped where it stands. */
static bool
reasons(const struct llm_chat *c)
{
	struct v1_member	 m[] = { { .key = "reasoning_content" } };
	struct v1_value		 rest = c->messages, e;
	const enum thinking	 t = thinking_of(c);

	if (t == THINK_ON || t == THINK_MAX ||
	    (t == THINK_JSON && thinking_json(NULL, c->thinking)))
		return true;
	while (v1_element(&rest, &e))
		if (v1_members(&e, m, 1) && m[0].value.kind == V1_STRING &&
		    m[0].value.len > 0)
			return true;
	return false;
}

static void
part_text(struct jsonw *w, struct slice text)
{
	if (text.len == 0)
		return;
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "text");
	jsonw_str(w, "text", text);
	jsonw_end(w);
}

/* An image that stands alone goes as the text that it is. */
static void
user_write(struct jsonw *w, struct slice text)
{
	struct slice	 rest = text, before, url;
	bool		 parts;

	parts = llm_image_next(&rest, &before, &url) &&
	    (before.len > 0 || rest.len > 0);
	if (!parts) {
		jsonw_str(w, "content", text);
		return;
	}
	rest = text;
	jsonw_array(w, "content");
	while (llm_image_next(&rest, &before, &url)) {
		part_text(w, before);
		jsonw_object(w, NULL);
		jsonw_text(w, "type", "image_url");
		jsonw_object(w, "image_url");
		jsonw_str(w, "url", url);
		jsonw_end(w);
		jsonw_end(w);
	}
	part_text(w, rest);
	jsonw_end(w);
}

static bool
calls_write(struct jsonw *w, struct v1_value *calls, char why[LLM_WHY_MAX])
{
	struct slice	 id, name, arguments;
	int		 got = 0;
	bool		 open = false;

	while ((got = llm_call_next(calls, &id, &name, &arguments, why)) == 1) {
		if (!open)
			jsonw_array(w, "tool_calls");
		open = true;
		jsonw_object(w, NULL);
		jsonw_str(w, "id", id);
		jsonw_text(w, "type", "function");
		jsonw_object(w, "function");
		jsonw_str(w, "name", name);
		jsonw_str(w, "arguments", arguments.len > 0 ? arguments :
		    slice_str("{}"));
		jsonw_end(w);
		jsonw_end(w);
	}
	if (open)
		jsonw_end(w);
	return got == 0;
}

static bool
message_write(struct jsonw *w, struct llm_message *msg, bool reasoning,
    char why[LLM_WHY_MAX])
{
	static const char *const names[] = { "system", "user", "assistant",
	    "tool" };
	bool	 ok = true;

	jsonw_object(w, NULL);
	jsonw_text(w, "role", names[msg->role]);
	if (msg->role == CHAT_USER)
		user_write(w, msg->content);
	else if (msg->role == CHAT_ASSISTANT && reasoning &&
	    msg->content.len == 0)
		jsonw_null(w, "content");
	else
		jsonw_str(w, "content", msg->content);
	if (msg->role == CHAT_ASSISTANT) {
		if (reasoning)
			jsonw_str(w, "reasoning_content", msg->reasoning);
		ok = calls_write(w, &msg->tool_calls, why);
	}
	if (msg->role == CHAT_TOOL)
		jsonw_str(w, "tool_call_id", msg->tool_call_id);
	jsonw_end(w);
	return ok;
}

static bool
openai_write(struct llm_chat *c, struct buf *out, char why[LLM_WHY_MAX])
{
	const bool		 reasoning = reasons(c);
	struct llm_message	 msg;
	struct jsonw		 w;
	int			 got;

	/* The bracket before it is the caller's, with the limit of tokens. */
	jsonw_init(&w, out);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "model", c->model);
	jsonw_array(&w, "messages");
	while ((got = llm_message_next(&c->messages, &msg, why)) == 1)
		if (!message_write(&w, &msg, reasoning, why))
			return false;
	jsonw_end(&w);
	if (got == -1 || !llm_tools_write(&w, &c->tools, "function",
	    "parameters", why))
		return false;
	jsonw_int(&w, "n", 1);
	thinking_write(&w, c);
	return llm_write_end(&w, why);
}

/* --- the answer --- */

static void
usage_read(struct llm_answer *a, const struct v1_value *usage)
{
	struct v1_member	 m[] = {
		{ .key = "prompt_tokens" }, { .key = "completion_tokens" },
		{ .key = "total_tokens" },
		{ .key = "prompt_tokens_details" },
	};
	struct v1_member	 details[] = { { .key = "cached_tokens" } };

	if (!v1_members(usage, m, NITEMS(m)))
		return;
	llm_count(&m[0].value, &a->usage[USAGE_PROMPT]);
	llm_count(&m[1].value, &a->usage[USAGE_COMPLETION]);
	llm_count(&m[2].value, &a->usage[USAGE_TOTAL]);
	if (v1_members(&m[3].value, details, 1))
		llm_count(&details[0].value, &a->usage[USAGE_HIT]);
}

/* Whole calls, and pieces of calls that have an index. */
static const char *
calls_read(struct llm_answer *a, struct v1_value *calls)
{
	struct v1_member	 m[] = { { .key = "id" }, { .key = "function" },
				    { .key = "index" } };
	struct v1_member	 f[] = { { .key = "name" },
				    { .key = "arguments" } };
	struct v1_value		 e;
	struct llm_tool		*t;
	int64_t			 at;
	bool			 piece;

	while (v1_element(calls, &e)) {
		if (!v1_members(&e, m, NITEMS(m)) ||
		    !v1_members(&m[1].value, f, NITEMS(f)))
			return "a tool call without its function";
		at = (int64_t)a->ntools;
		piece = v1_int(&m[2].value, &at);
		if (at < 0 || (t = llm_answer_tool(a, (size_t)at)) == NULL)
			return "tool calls out of order, or too many";
		/* Some say id and name with every piece. */
		if ((t->id.len == 0 && !llm_add(&t->id,
		    v1_string(&m[0].value))) || ((!piece || t->name.len == 0) &&
		    !llm_add(&t->name, v1_string(&f[0].value))) ||
		    !llm_add(&t->arguments, v1_string(&f[1].value)))
			return "out of memory";
	}
	return NULL;
}

/* A message, or the delta of one. */
static const char *
message_read(struct llm_answer *a, const struct v1_value *message)
{
	struct v1_member	 m[] = {
		{ .key = "content" }, { .key = "reasoning_content" },
		{ .key = "tool_calls" },
	};

	if (!v1_members(message, m, NITEMS(m)))
		return "an answer without a message";
	if ((m[0].value.kind > V1_NULL && m[0].value.kind != V1_STRING) ||
	    (m[1].value.kind > V1_NULL && m[1].value.kind != V1_STRING))
		return "a message that is no text";
	if (!llm_add(&a->content, v1_string(&m[0].value)) ||
	    !llm_add(&a->reasoning, v1_string(&m[1].value)))
		return "out of memory";
	return calls_read(a, &m[2].value);
}

static const char *
body_read(struct llm_answer *a, char *text, size_t len, const char *inner)
{
	struct v1_member	 m[] = { { .key = "choices" },
				    { .key = "usage" } };
	struct v1_member	 c[] = { { .key = inner },
				    { .key = "finish_reason" } };
	struct v1_value		 v, choice;

	if (!v1_value(text, len, &v) || !v1_members(&v, m, NITEMS(m)))
		return "an answer that is no JSON object";
	usage_read(a, &m[1].value);
	if (!v1_element(&m[0].value, &choice))
		return inner[0] == 'd' ? NULL : "an answer without a choice";
	if (!v1_members(&choice, c, NITEMS(c)))
		return "a choice that is no object";
	llm_finish(a, v1_string(&c[1].value));
	return message_read(a, &c[0].value);
}

static const char *
openai_read(struct llm_answer *a, char *text, size_t len)
{
	return body_read(a, text, len, "message");
}

static const char *
openai_event(struct llm_answer *a, char *text, size_t len)
{
	return body_read(a, text, len, "delta");
}

const struct llm_backend llm_openai = {
	openai_write, openai_read, openai_event, openai_tokens, 2
};
