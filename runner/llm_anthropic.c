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
 * Provider anthropic: section 3.4 of the contract.  See llm_chat.h.
 */

#include <stdio.h>
#include <string.h>

#include "runner/llm_chat.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define THINKING_MAX	4096	/* bytes of a thinking_mode in JSON */

/* What is less than we ask for, and would be refused. */
static const struct {
	const char	*prefix;
	unsigned int	 tokens;
} limits[] = {
	{ "claude-3-5-", 8192 }, { "claude-3-opus", 4096 },
	{ "claude-3-sonnet", 4096 }, { "claude-3-haiku", 4096 },
	{ "claude-opus-4-0", 32000 }, { "claude-opus-4-1", 32000 },
	{ "claude-opus-4-2025", 32000 }, { "claude-2", 4096 },
};

static const struct {
	const char	*theirs, *ours;
} reasons[] = {
	{ "end_turn", "stop" }, { "max_tokens", "length" },
	{ "tool_use", "tool_calls" },
};

static unsigned int
anthropic_tokens(const char *model)
{
	size_t	 i;

	for (i = 0; i < NITEMS(limits); i++)
		if (strncmp(model, limits[i].prefix,
		    strlen(limits[i].prefix)) == 0)
			return limits[i].tokens;
	return LLM_TOKENS;
}

/* --- thinking --- */

static void
enabled_write(struct jsonw *w, const struct llm_chat *c)
{
	jsonw_object(w, "thinking");
	jsonw_text(w, "type", "enabled");
	/* It has to be there, and below the limit of tokens (D33). */
	jsonw_int(w, "budget_tokens", anthropic_tokens(c->model) / 2);
	jsonw_end(w);
}

/* An object with a type is passed on, and completed. */
static void
thinking_json(struct jsonw *w, const struct llm_chat *c)
{
	struct v1_member	 m[] = { { .key = "type" },
				    { .key = "budget_tokens" } };
	struct v1_value		 v;
	struct slice		 raw;
	char			 copy[THINKING_MAX];

	if (c->thinking.len > sizeof(copy))
		return;
	memcpy(copy, c->thinking.p, c->thinking.len);
	if (!v1_value(copy, c->thinking.len, &v) ||
	    !v1_members(&v, m, NITEMS(m)) || m[0].value.kind != V1_STRING)
		return;
	if (slice_is((struct slice){ m[0].value.p, m[0].value.len },
	    "enabled") && m[1].value.kind == V1_ABSENT) {
		enabled_write(w, c);
		return;
	}
	raw = v1_raw(&v);
	jsonw_raw(w, "thinking", raw.p, raw.len);
}

/*
 * In the middle of tools the provider wants its own signed thoughts back,
 * which v1 does not carry: then it goes on without (D33).
 */
static bool
amid_tools(const struct llm_chat *c)
{
	struct v1_member	 m[] = { { .key = "role" } };
	struct v1_value		 rest = c->messages, e;
	bool			 tool = false;

	while (v1_element(&rest, &e))
		tool = v1_members(&e, m, 1) && slice_is((struct slice){
		    m[0].value.p, m[0].value.len }, "tool");
	return tool;
}

static void
thinking_write(struct jsonw *w, const struct llm_chat *c, bool amid)
{
	if (c->thinking.len == 0 || slice_is(c->thinking, "disabled") || amid)
		return;
	if (*(const char *)c->thinking.p == '{')
		thinking_json(w, c);
	else if (slice_is(c->thinking, "adaptive")) {
		jsonw_object(w, "thinking");
		jsonw_text(w, "type", "adaptive");
		jsonw_text(w, "effort", "high");
		jsonw_end(w);
	} else
		enabled_write(w, c);
}

/* --- messages --- */

static void
text_write(struct jsonw *w, struct slice text, bool hint)
{
	if (text.len == 0)
		return;
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "text");
	jsonw_str(w, "text", text);
	if (hint) {
		jsonw_object(w, "cache_control");
		jsonw_text(w, "type", "ephemeral");
		jsonw_end(w);
	}
	jsonw_end(w);
}

/* "data:image/png;base64,....": false when it is another kind. */
static bool
image_write(struct jsonw *w, struct slice url)
{
	const char	*p = url.p, *end = p + url.len, *semi;
	const char	 base64[] = ";base64,";

	semi = memmem(p, url.len, base64, sizeof(base64) - 1);
	if (semi == NULL)
		return false;
	p += strlen("data:");
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "image");
	jsonw_object(w, "source");
	jsonw_text(w, "type", "base64");
	jsonw_str(w, "media_type", (struct slice){ p, (size_t)(semi - p) });
	semi += sizeof(base64) - 1;
	jsonw_str(w, "data", (struct slice){ semi, (size_t)(end - semi) });
	jsonw_end(w);
	jsonw_end(w);
	return true;
}

static bool
user_write(struct jsonw *w, struct slice text, char why[LLM_WHY_MAX])
{
	struct slice	 rest = text, before, url;
	bool		 ok = true;

	if (!llm_image_next(&rest, &before, &url)) {
		jsonw_str(w, "content", text);
		return true;
	}
	rest = text;
	jsonw_array(w, "content");
	while (ok && llm_image_next(&rest, &before, &url)) {
		text_write(w, before, false);
		ok = image_write(w, url);
	}
	text_write(w, rest, false);
	jsonw_end(w);
	snprintf(why, LLM_WHY_MAX, "an image that is not in base64");
	return ok;
}

/* What is no JSON object becomes an empty one. */
static void
input_write(struct jsonw *w, struct slice arguments)
{
	struct v1_value	 v;
	struct slice	 raw = slice_str("{}");

	if (v1_value((char *)(uintptr_t)arguments.p, arguments.len, &v) &&
	    v.kind == V1_OBJECT)
		raw = v1_raw(&v);
	jsonw_raw(w, "input", raw.p, raw.len);
}

static bool
has_calls(const struct llm_message *msg)
{
	struct v1_value	 peek = msg->tool_calls, e;

	return v1_element(&peek, &e);
}

static bool
assistant_write(struct jsonw *w, struct llm_message *msg,
    char why[LLM_WHY_MAX])
{
	struct slice	 id, name, arguments;
	int		 got;

	if (!has_calls(msg)) {
		jsonw_str(w, "content", msg->content);
		return true;
	}
	jsonw_array(w, "content");
	text_write(w, msg->content, false);
	while ((got = llm_call_next(&msg->tool_calls, &id, &name, &arguments,
	    why)) == 1) {
		jsonw_object(w, NULL);
		jsonw_text(w, "type", "tool_use");
		jsonw_str(w, "id", id);
		jsonw_str(w, "name", name);
		input_write(w, arguments);
		jsonw_end(w);
	}
	jsonw_end(w);
	return got == 0;
}

static void
result_write(struct jsonw *w, const struct llm_message *msg)
{
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "tool_result");
	jsonw_str(w, "tool_use_id", msg->tool_call_id);
	jsonw_str(w, "content", msg->content);
	jsonw_end(w);
}

static bool
message_write(struct jsonw *w, struct llm_message *msg, bool *results,
    char why[LLM_WHY_MAX])
{
	bool	 ok;

	/* Results in a row are one message. */
	if (*results && msg->role != CHAT_TOOL) {
		jsonw_end(w);
		jsonw_end(w);
		*results = false;
	}
	/* An empty message of it says nothing and is refused. */
	if (msg->role == CHAT_SYSTEM || (msg->role == CHAT_ASSISTANT &&
	    msg->content.len == 0 && !has_calls(msg)))
		return true;
	if (msg->role == CHAT_TOOL && *results) {
		result_write(w, msg);
		return true;
	}
	jsonw_object(w, NULL);
	jsonw_text(w, "role", msg->role == CHAT_ASSISTANT ? "assistant" :
	    "user");
	if (msg->role == CHAT_TOOL) {
		jsonw_array(w, "content");
		result_write(w, msg);
		*results = true;
		return true;
	}
	ok = msg->role == CHAT_USER ? user_write(w, msg->content, why) :
	    assistant_write(w, msg, why);
	jsonw_end(w);
	return ok;
}

/* A request has them elsewhere: one of them as a text, or all as blocks. */
struct systems {
	struct slice	 first;
	bool		 hint;
	size_t		 n;
	struct buf	 blocks;
	struct jsonw	 w;
};

static void
system_add(struct systems *s, const struct llm_message *msg)
{
	if (s->n++ == 0) {
		jsonw_init(&s->w, &s->blocks);
		jsonw_array(&s->w, NULL);
		s->first = msg->content;
		s->hint = msg->hint;
	}
	text_write(&s->w, msg->content, msg->hint);
}

static void
system_write(struct jsonw *w, struct systems *s)
{
	if (s->n == 0)
		jsonw_text(w, "system", "");
	else if (s->n == 1 && !s->hint)
		jsonw_str(w, "system", s->first);
	else {
		jsonw_end(&s->w);
		jsonw_raw(w, "system", buf_data(&s->blocks), s->blocks.len);
		w->bad |= !jsonw_ok(&s->w);
	}
	buf_clear(&s->blocks);
}

static bool
messages_write(struct jsonw *w, struct llm_chat *c, struct systems *s,
    char why[LLM_WHY_MAX])
{
	struct llm_message	 msg;
	bool			 results = false;
	int			 got;

	jsonw_array(w, "messages");
	while ((got = llm_message_next(&c->messages, &msg, why)) == 1) {
		if (msg.role == CHAT_SYSTEM)
			system_add(s, &msg);
		if (!message_write(w, &msg, &results, why))
			return false;
	}
	if (results) {
		jsonw_end(w);
		jsonw_end(w);
	}
	jsonw_end(w);
	return got == 0;
}

static bool
anthropic_write(struct llm_chat *c, struct buf *out, char why[LLM_WHY_MAX])
{
	const bool	 amid = amid_tools(c);
	struct systems	 s = { .n = 0 };
	struct jsonw	 w;

	jsonw_init(&w, out);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "model", c->model);
	if (!messages_write(&w, c, &s, why)) {
		buf_clear(&s.blocks);
		return false;
	}
	system_write(&w, &s);
	if (!llm_tools_write(&w, &c->tools, NULL, "input_schema", why))
		return false;
	thinking_write(&w, c, amid);
	return llm_write_end(&w, why);
}

/* --- the answer --- */

static const char *
block_read(struct llm_answer *a, const struct v1_value *block)
{
	struct v1_member	 m[] = {
		{ .key = "type" }, { .key = "text" }, { .key = "thinking" },
		{ .key = "id" }, { .key = "name" }, { .key = "input" },
	};
	struct slice		 type;
	struct llm_tool		*t;

	if (!v1_members(block, m, NITEMS(m)))
		return "a block that is no object";
	type = v1_string(&m[0].value);
	if (slice_is(type, "text"))
		return llm_add(&a->content, v1_string(&m[1].value)) ? NULL :
		    "out of memory";
	if (slice_is(type, "thinking"))
		return (a->reasoning.len == 0 ||
		    llm_add(&a->reasoning, slice_str("\n"))) &&
		    llm_add(&a->reasoning, v1_string(&m[2].value)) ? NULL :
		    "out of memory";
	if (!slice_is(type, "tool_use"))
		return NULL;
	if ((t = llm_answer_tool(a, a->ntools)) == NULL)
		return "too many tool calls";
	return llm_add(&t->id, v1_string(&m[3].value)) &&
	    llm_add(&t->name, v1_string(&m[4].value)) &&
	    llm_add(&t->arguments, m[5].value.kind == V1_OBJECT ?
	    v1_raw(&m[5].value) : slice_str("{}")) ? NULL : "out of memory";
}

static void
usage_read(struct llm_answer *a, const struct v1_value *usage)
{
	struct v1_member	 m[] = {
		{ .key = "input_tokens" }, { .key = "output_tokens" },
		{ .key = "cache_read_input_tokens" },
		{ .key = "cache_creation_input_tokens" },
	};

	if (!v1_members(usage, m, NITEMS(m)))
		return;
	llm_count(&m[0].value, &a->usage[USAGE_PROMPT]);
	llm_count(&m[1].value, &a->usage[USAGE_COMPLETION]);
	llm_count(&m[2].value, &a->usage[USAGE_HIT]);
	llm_count(&m[3].value, &a->usage[USAGE_CREATION]);
	if (__builtin_add_overflow(a->usage[USAGE_PROMPT],
	    a->usage[USAGE_COMPLETION], &a->usage[USAGE_TOTAL]))
		a->usage[USAGE_TOTAL] = INT64_MAX;
}

static const char *
anthropic_read(struct llm_answer *a, char *text, size_t len)
{
	struct v1_member	 m[] = { { .key = "content" },
				    { .key = "stop_reason" },
				    { .key = "usage" } };
	struct v1_value		 v, block;
	struct slice		 stop;
	const char		*why;
	size_t			 i;

	if (!v1_value(text, len, &v) || !v1_members(&v, m, NITEMS(m)) ||
	    m[0].value.kind != V1_ARRAY)
		return "an answer without content";
	stop = v1_string(&m[1].value);
	for (i = 0; i < NITEMS(reasons); i++)
		if (slice_is(stop, reasons[i].theirs))
			stop = slice_str(reasons[i].ours);
	llm_finish(a, stop);
	usage_read(a, &m[2].value);
	while (v1_element(&m[0].value, &block))
		if ((why = block_read(a, &block)) != NULL)
			return why;
	return NULL;
}

const struct llm_backend llm_anthropic = {
	anthropic_write, anthropic_read, NULL, anthropic_tokens, 0
};
