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
 * A chat of Anthropic's API as OpenAI's wants it.
 * Runs in: front, control.  Input is hostile.
 *
 * cache_control is a hint and OpenAI caches unasked, so it may go.  Thinking of
 * earlier answers becomes reasoning_content; an answer of a tool that says it
 * is an error says so in its text.
 */

#include <string.h>

#include "base/log.h"
#include "supervisor/front/llm.h"

static bool	block_refuse(const struct json_value *, struct llm_why *);
static bool	block_text(const struct json_value *, struct slice *);
static bool	texts_join(const struct json_value *, const char *,
		    struct buf *, struct llm_why *);
static bool	texts_write(struct jsonw *, const char *,
		    const struct json_value *, const char *,
		    struct llm_why *);
static bool	result_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	image_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	user_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	use_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	assistant_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	message_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	tools_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	choice_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	stop_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	metadata_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	thinking_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	tier_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);

static const struct llm_member	body_members[] = {
	{ "model", NULL }, { "messages", NULL }, { "stream", NULL },
	{ "system", NULL }, { "max_tokens", NULL },
	{ "cache_control", NULL },
	{ "tools", tools_write }, { "tool_choice", choice_write },
	{ "stop_sequences", stop_write },
	{ "temperature", llm_same }, { "top_p", llm_same },
	{ "metadata", metadata_write }, { "thinking", thinking_write },
	{ "service_tier", tier_write },
	{ NULL, NULL }
};
static const struct llm_member	message_members[] = {
	{ "role", NULL }, { "content", NULL }, { NULL, NULL }
};
static const struct llm_member	text_members[] = {
	{ "type", NULL }, { "text", NULL }, { "cache_control", NULL },
	{ NULL, NULL }
};
static const struct llm_member	image_members[] = {
	{ "type", NULL }, { "source", NULL }, { "cache_control", NULL },
	{ NULL, NULL }
};
static const struct llm_member	result_members[] = {
	{ "type", NULL }, { "tool_use_id", NULL }, { "content", NULL },
	{ "is_error", NULL }, { "cache_control", NULL }, { NULL, NULL }
};
static const struct llm_member	use_members[] = {
	{ "type", NULL }, { "id", NULL }, { "name", NULL },
	{ "input", NULL }, { "cache_control", NULL }, { NULL, NULL }
};

/* Models of OpenAI's that refuse the older max_tokens. */
static const char *const	reasoning_models[] = {
	"o1", "o3", "o4", "gpt-5"
};

static bool
block_refuse(const struct json_value *v, struct llm_why *why)
{
	struct slice	 s = slice_str("?");
	char		 name[40];

	(void)json_get_str(v, "type", &s);
	return llm_refuse(why, "content: a block of type %s cannot be put in "
	    "the provider's API here", log_vis(name, sizeof(name), s.p,
	    s.len));
}

static bool
block_text(const struct json_value *v, struct slice *s)
{
	return llm_is(v, "type", "text") &&
	    json_get_str(v, "text", s) == JSON_GOT;
}

/* Text, or the texts of all blocks, which must be nothing else. */
static bool
texts_join(const struct json_value *content, const char *between,
    struct buf *b, struct llm_why *why)
{
	const struct json_value	*v;
	struct slice		 s;
	bool			 ok = true;

	if (json_type(content) == JSON_NULL)
		return true;
	if (json_str(content, &s))
		return buf_add(b, s.p, s.len) == 0;
	if (json_type(content) != JSON_ARRAY)
		return llm_refuse(why, "content: neither text nor blocks");
	for (v = json_first(content); v != NULL && ok; v = json_next(v)) {
		if (!block_text(v, &s))
			return block_refuse(v, why);
		if (!llm_members(NULL, v, text_members, "content.", why))
			return false;
		ok = (b->len == 0 || buf_add(b, between, strlen(between)) ==
		    0) && buf_add(b, s.p, s.len) == 0;
	}
	return ok || llm_refuse(why, "no memory");
}

static bool
texts_write(struct jsonw *w, const char *prefix,
    const struct json_value *content, const char *between,
    struct llm_why *why)
{
	struct buf	b = { 0 }, all = { 0 };
	bool		ok;

	ok = texts_join(content, between, &b, why);
	if (ok && (buf_add(&all, prefix, strlen(prefix)) == -1 ||
	    buf_add(&all, buf_data(&b), b.len) == -1))
		ok = llm_refuse(why, "no memory");
	if (ok)
		jsonw_str(w, "content", (struct slice){ buf_data(&all),
		    all.len });
	buf_clear(&b);
	buf_clear(&all);
	return ok;
}

static bool
result_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	struct slice	 id;
	bool		 error = false;

	if (json_get_str(v, "tool_use_id", &id) != JSON_GOT ||
	    json_get_bool(v, "is_error", &error) == JSON_WRONG)
		return llm_refuse(why, "tool_result: no tool_use_id");
	if (!llm_members(w, v, result_members, "tool_result.", why))
		return false;
	jsonw_object(w, NULL);
	jsonw_text(w, "role", "tool");
	jsonw_str(w, "tool_call_id", id);
	if (!texts_write(w, error ? "Error: " : "", json_find(v, "content"),
	    "\n", why))
		return false;
	jsonw_end(w);
	return true;
}

static bool
image_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	const struct json_value	*source = NULL;
	struct slice		 type, data, url;
	struct buf		 b = { 0 };

	if (!llm_members(w, v, image_members, "image.", why))
		return false;
	(void)json_get_object(v, "source", &source);
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "image_url");
	jsonw_object(w, "image_url");
	if (llm_is(source, "type", "url") &&
	    json_get_str(source, "url", &url) == JSON_GOT)
		jsonw_str(w, "url", url);
	else if (llm_is(source, "type", "base64") &&
	    json_get_str(source, "media_type", &type) == JSON_GOT &&
	    json_get_str(source, "data", &data) == JSON_GOT) {
		if (buf_add(&b, "data:", 5) == -1 ||
		    buf_add(&b, type.p, type.len) == -1 ||
		    buf_add(&b, ";base64,", 8) == -1 ||
		    buf_add(&b, data.p, data.len) == -1) {
			buf_clear(&b);
			return llm_refuse(why, "no memory");
		}
		jsonw_str(w, "url", (struct slice){ buf_data(&b), b.len });
		buf_clear(&b);
	} else
		return llm_refuse(why, "image: its source is neither base64 "
		    "nor url");
	jsonw_end(w);
	jsonw_end(w);
	return true;
}

/* Answers of tools are messages of their own, before what he says. */
static bool
user_write(struct jsonw *w, const struct json_value *m, struct llm_why *why)
{
	const struct json_value	*content = json_find(m, "content"), *v;
	struct slice		 s;
	bool			 open = false;

	if (!llm_members(w, m, message_members, "messages.", why))
		return false;
	for (v = json_type(content) == JSON_ARRAY ? json_first(content) :
	    NULL; v != NULL; v = json_next(v))
		if (llm_is(v, "type", "tool_result") &&
		    !result_write(w, v, why))
			return false;
	if (json_str(content, &s)) {
		jsonw_object(w, NULL);
		jsonw_text(w, "role", "user");
		jsonw_str(w, "content", s);
		jsonw_end(w);
		return true;
	}
	if (json_type(content) != JSON_ARRAY)
		return llm_refuse(why, "content: neither text nor blocks");
	for (v = json_first(content); v != NULL; v = json_next(v)) {
		if (llm_is(v, "type", "tool_result"))
			continue;
		if (!open) {
			jsonw_object(w, NULL);
			jsonw_text(w, "role", "user");
			jsonw_array(w, "content");
		}
		open = true;
		if (block_text(v, &s)) {
			if (!llm_members(w, v, text_members, "content.", why))
				return false;
			jsonw_object(w, NULL);
			jsonw_text(w, "type", "text");
			jsonw_str(w, "text", s);
			jsonw_end(w);
		} else if (!llm_is(v, "type", "image"))
			return block_refuse(v, why);
		else if (!image_write(w, v, why))
			return false;
	}
	if (open) {
		jsonw_end(w);
		jsonw_end(w);
	}
	return true;
}

static bool
use_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	const struct json_value	*input = NULL;
	struct slice		 id, name;

	if (json_get_str(v, "id", &id) != JSON_GOT ||
	    json_get_str(v, "name", &name) != JSON_GOT ||
	    json_get_object(v, "input", &input) != JSON_GOT)
		return llm_refuse(why, "tool_use: no id, name or input");
	if (!llm_members(w, v, use_members, "tool_use.", why))
		return false;
	jsonw_object(w, NULL);
	jsonw_str(w, "id", id);
	jsonw_text(w, "type", "function");
	jsonw_object(w, "function");
	jsonw_str(w, "name", name);
	jsonw_str(w, "arguments", json_raw(input));
	jsonw_end(w);
	jsonw_end(w);
	return true;
}

/* Its text, its thinking and its calls are three members there. */
static bool
assistant_write(struct jsonw *w, const struct json_value *m,
    struct llm_why *why)
{
	const struct json_value	*content = json_find(m, "content"), *v;
	struct buf		 text = { 0 }, thought = { 0 };
	struct slice		 s;
	bool			 calls = false, ok = true;

	if (!llm_members(w, m, message_members, "messages.", why))
		return false;
	if (json_str(content, &s))
		ok = buf_add(&text, s.p, s.len) == 0;
	jsonw_object(w, NULL);
	jsonw_text(w, "role", "assistant");
	for (v = json_type(content) == JSON_ARRAY ? json_first(content) :
	    NULL; v != NULL && ok; v = json_next(v)) {
		if (block_text(v, &s))
			ok = llm_members(NULL, v, text_members, "content.",
			    why) && buf_add(&text, s.p, s.len) == 0;
		else if (llm_is(v, "type", "thinking") &&
		    json_get_str(v, "thinking", &s) == JSON_GOT)
			ok = buf_add(&thought, s.p, s.len) == 0;
		else if (llm_is(v, "type", "tool_use")) {
			if (!calls)
				jsonw_array(w, "tool_calls");
			calls = true;
			ok = use_write(w, v, why);
		} else
			ok = block_refuse(v, why);
	}
	if (calls)
		jsonw_end(w);
	if (text.len > 0 || !calls)
		jsonw_str(w, "content", (struct slice){ buf_data(&text),
		    text.len });
	else
		jsonw_null(w, "content");
	if (thought.len > 0)
		jsonw_str(w, "reasoning_content", (struct slice){
		    buf_data(&thought), thought.len });
	jsonw_end(w);
	buf_clear(&text);
	buf_clear(&thought);
	if (!ok && why->text[0] == '\0')
		llm_refuse(why, "no memory");
	return ok;
}

static bool
message_write(struct jsonw *w, const struct json_value *m,
    struct llm_why *why)
{
	if (llm_is(m, "role", "user"))
		return user_write(w, m, why);
	if (llm_is(m, "role", "assistant"))
		return assistant_write(w, m, why);
	return llm_refuse(why, "messages: an unknown role");
}

static bool
tools_write(struct jsonw *w, const struct json_value *tools,
    struct llm_why *why)
{
	static const struct llm_member	 members[] = {
		{ "type", NULL }, { "name", NULL }, { "description", NULL },
		{ "input_schema", NULL }, { "cache_control", NULL },
		{ NULL, NULL }
	};
	const struct json_value		*v, *schema;
	struct slice			 s, name;

	if (json_type(tools) != JSON_ARRAY)
		return llm_refuse(why, "tools: not an array");
	jsonw_array(w, "tools");
	for (v = json_first(tools); v != NULL; v = json_next(v)) {
		s = slice_str("custom");
		schema = NULL;
		if (json_get_str(v, "type", &s) == JSON_WRONG ||
		    !slice_is(s, "custom") ||
		    json_get_str(v, "name", &name) != JSON_GOT ||
		    json_get_object(v, "input_schema", &schema) != JSON_GOT)
			return llm_refuse(why, "tools: one that the "
			    "provider's API has not");
		if (!llm_members(w, v, members, "tools.", why))
			return false;
		jsonw_object(w, NULL);
		jsonw_text(w, "type", "function");
		jsonw_object(w, "function");
		jsonw_str(w, "name", name);
		if (json_get_str(v, "description", &s) == JSON_GOT)
			jsonw_str(w, "description", s);
		llm_copy(w, "parameters", schema);
		jsonw_end(w);
		jsonw_end(w);
	}
	jsonw_end(w);
	return true;
}

static bool
choice_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	struct slice	 name;
	bool		 alone = false;

	if (json_get_bool(v, "disable_parallel_tool_use", &alone) ==
	    JSON_WRONG)
		return llm_refuse(why, "disable_parallel_tool_use: not a "
		    "boolean");
	if (alone)
		jsonw_bool(w, "parallel_tool_calls", false);
	if (llm_is(v, "type", "auto"))
		jsonw_text(w, "tool_choice", "auto");
	else if (llm_is(v, "type", "none"))
		jsonw_text(w, "tool_choice", "none");
	else if (llm_is(v, "type", "any"))
		jsonw_text(w, "tool_choice", "required");
	else if (llm_is(v, "type", "tool") &&
	    json_get_str(v, "name", &name) == JSON_GOT) {
		jsonw_object(w, "tool_choice");
		jsonw_text(w, "type", "function");
		jsonw_object(w, "function");
		jsonw_str(w, "name", name);
		jsonw_end(w);
		jsonw_end(w);
	} else
		return llm_refuse(why, "tool_choice: the provider's API has "
		    "nothing like it");
	return true;
}

static bool
stop_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	llm_copy(w, "stop", v);
	return true;
}

static bool
metadata_write(struct jsonw *w, const struct json_value *v,
    struct llm_why *why)
{
	static const struct llm_member	members[] = {
		{ "user_id", NULL }, { NULL, NULL }
	};
	struct slice			s;

	if (!llm_members(w, v, members, "metadata.", why))
		return false;
	if (json_get_str(v, "user_id", &s) == JSON_GOT)
		jsonw_str(w, "user", s);
	return true;
}

static bool
thinking_write(struct jsonw *w, const struct json_value *v,
    struct llm_why *why)
{
	return llm_is(v, "type", "disabled") || llm_refuse(why,
	    "thinking: the provider's API has nothing like it");
}

static bool
tier_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	struct slice s;

	return (json_str(v, &s) && slice_is(s, "auto")) || llm_refuse(why,
	    "service_tier: the provider's API has nothing like it");
}

static const char *
tokens_name(struct slice model)
{
	size_t i, n;

	for (i = 0; i < sizeof(reasoning_models) / sizeof(char *); i++) {
		n = strlen(reasoning_models[i]);
		if (model.len >= n &&
		    memcmp(model.p, reasoning_models[i], n) == 0)
			return "max_completion_tokens";
	}
	return "max_tokens";
}

bool
llm_to_openai(const struct json_value *body, const char *model,
    struct buf *b, struct llm_why *why)
{
	const struct json_value	*messages, *m, *system;
	struct jsonw		 w;
	struct slice		 name = slice_str(model);
	bool			 stream = false;

	if (json_get_array(body, "messages", &messages) != JSON_GOT)
		return llm_refuse(why, "messages: not an array");
	if (name.len == 0)
		(void)json_get_str(body, "model", &name);
	(void)json_get_bool(body, "stream", &stream);
	jsonw_init(&w, b);
	jsonw_object(&w, NULL);
	if (name.len > 0)
		jsonw_str(&w, "model", name);
	if ((m = json_find(body, "max_tokens")) != NULL)
		llm_copy(&w, tokens_name(name), m);
	if (stream) {
		/* Anthropic's stream always says what it has used. */
		jsonw_bool(&w, "stream", true);
		jsonw_object(&w, "stream_options");
		jsonw_bool(&w, "include_usage", true);
		jsonw_end(&w);
	}
	jsonw_array(&w, "messages");
	system = json_find(body, "system");
	if (!llm_says_nothing(system)) {
		jsonw_object(&w, NULL);
		jsonw_text(&w, "role", "system");
		if (!texts_write(&w, "", system, "\n\n", why))
			return false;
		jsonw_end(&w);
	}
	for (m = json_first(messages); m != NULL; m = json_next(m))
		if (!message_write(&w, m, why))
			return false;
	jsonw_end(&w);
	if (!llm_members(&w, body, body_members, "", why))
		return false;
	jsonw_end(&w);
	return jsonw_ok(&w) || llm_refuse(why, "no memory");
}
