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
 * A chat of OpenAI's API as Anthropic's wants it.
 * Runs in: front, control.  Input is hostile.
 *
 * System messages go to the top, whatever their place.  reasoning_content of
 * earlier answers is dropped: Anthropic takes its own only, which are signed.
 */

#include <string.h>

#include "base/log.h"
#include "supervisor/front/llm.h"

#define TOKENS_DEFAULT	8192	/* Anthropic wants a number; OpenAI none */

static bool	text_block(struct jsonw *, struct slice);
static bool	parts_write(struct jsonw *, const struct json_value *,
		    bool images, struct llm_why *);
static bool	image_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	call_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	result_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	assistant_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	system_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	messages_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	tools_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	choice_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	stop_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	temperature_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	user_write(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	only_one(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	only_zero(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	only_text(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	only_auto(struct jsonw *, const struct json_value *,
		    struct llm_why *);

static const struct llm_member	body_members[] = {
	{ "model", NULL }, { "messages", NULL }, { "stream", NULL },
	{ "stream_options", NULL }, { "max_tokens", NULL },
	{ "max_completion_tokens", NULL }, { "tool_choice", NULL },
	{ "parallel_tool_calls", NULL },
	{ "tools", tools_write }, { "stop", stop_write },
	{ "temperature", temperature_write }, { "top_p", llm_same },
	{ "user", user_write }, { "n", only_one },
	{ "frequency_penalty", only_zero }, { "presence_penalty", only_zero },
	{ "response_format", only_text }, { "service_tier", only_auto },
	{ NULL, NULL }
};
static const struct llm_member	user_members[] = {
	{ "role", NULL }, { "content", NULL }, { NULL, NULL }
};
static const struct llm_member	assistant_members[] = {
	{ "role", NULL }, { "content", NULL }, { "tool_calls", NULL },
	{ "reasoning_content", NULL }, { NULL, NULL }
};
static const struct llm_member	tool_members[] = {
	{ "role", NULL }, { "content", NULL }, { "tool_call_id", NULL },
	{ NULL, NULL }
};

static bool
text_block(struct jsonw *w, struct slice s)
{
	if (s.len == 0)		/* Anthropic refuses an empty one */
		return true;
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "text");
	jsonw_str(w, "text", s);
	jsonw_end(w);
	return true;
}

/* An address, or the image itself: data:TYPE;base64,BYTES */
static bool
image_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	const struct json_value	*image = NULL;
	struct slice		 url, type, detail = { "auto", 4 };
	const char		*comma;

	if (json_get_object(v, "image_url", &image) != JSON_GOT ||
	    json_get_str(image, "url", &url) != JSON_GOT ||
	    json_get_str(image, "detail", &detail) == JSON_WRONG)
		return llm_refuse(why, "image_url: no url in it");
	if (!slice_is(detail, "auto"))
		return llm_refuse(why, "image_url.detail: the provider's API "
		    "has nothing like it");
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "image");
	jsonw_object(w, "source");
	if (url.len > 5 && memcmp(url.p, "data:", 5) == 0) {
		comma = memchr(url.p, ',', url.len);
		type = (struct slice){ (const char *)url.p + 5, 0 };
		if (comma == NULL || (type.len = (size_t)(comma -
		    (const char *)type.p)) < 7 ||
		    memcmp(comma - 7, ";base64", 7) != 0)
			return llm_refuse(why, "image_url: a data: address "
			    "that is not base64");
		type.len -= 7;
		jsonw_text(w, "type", "base64");
		jsonw_str(w, "media_type", type);
		jsonw_str(w, "data", (struct slice){ comma + 1, url.len -
		    (size_t)(comma + 1 - (const char *)url.p) });
	} else {
		jsonw_text(w, "type", "url");
		jsonw_str(w, "url", url);
	}
	jsonw_end(w);
	jsonw_end(w);
	return true;
}

/* A string or an array of parts, as the inside of an array of blocks. */
static bool
parts_write(struct jsonw *w, const struct json_value *content, bool images,
    struct llm_why *why)
{
	const struct json_value	*v;
	struct slice		 s;
	char			 name[32];

	if (json_type(content) == JSON_NULL)
		return true;
	if (json_str(content, &s))
		return text_block(w, s);
	if (json_type(content) != JSON_ARRAY)
		return llm_refuse(why, "content: neither text nor parts");
	for (v = json_first(content); v != NULL; v = json_next(v)) {
		if (llm_is(v, "type", "text") &&
		    json_get_str(v, "text", &s) == JSON_GOT)
			(void)text_block(w, s);
		else if (images && llm_is(v, "type", "image_url")) {
			if (!image_write(w, v, why))
				return false;
		} else {
			s = slice_str("?");
			(void)json_get_str(v, "type", &s);
			return llm_refuse(why, "content: a part of type %s "
			    "cannot be put in the provider's API here",
			    log_vis(name, sizeof(name), s.p, s.len));
		}
	}
	return true;
}

static bool
call_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	struct slice name;

	switch (llm_tool_use(w, v, &name)) {
	case LLM_TOOL_NO_CALL:
		return llm_refuse(why, "tool_calls: no call of a function");
	case LLM_TOOL_NO_OBJECT:
		return llm_refuse(why, "tool_calls: arguments that are no "
		    "JSON object, which the provider's API wants");
	case LLM_TOOL_DONE:
		break;
	}
	return true;
}

static bool
assistant_write(struct jsonw *w, const struct json_value *m,
    struct llm_why *why)
{
	const struct json_value	*calls = NULL, *v;

	if (!llm_members(w, m, assistant_members, "messages.", why))
		return false;
	if (json_get_array(m, "tool_calls", &calls) == JSON_WRONG)
		return llm_refuse(why, "tool_calls: not an array");
	jsonw_object(w, NULL);
	jsonw_text(w, "role", "assistant");
	jsonw_array(w, "content");
	if (!parts_write(w, json_find(m, "content"), false, why))
		return false;
	for (v = json_first(calls); v != NULL; v = json_next(v))
		if (!call_write(w, v, why))
			return false;
	jsonw_end(w);
	jsonw_end(w);
	return true;
}

/* One block of the message that is open for them. */
static bool
result_write(struct jsonw *w, const struct json_value *m, struct llm_why *why)
{
	struct slice id;

	if (!llm_members(w, m, tool_members, "messages.", why))
		return false;
	if (json_get_str(m, "tool_call_id", &id) != JSON_GOT)
		return llm_refuse(why, "messages: no tool_call_id");
	jsonw_object(w, NULL);
	jsonw_text(w, "type", "tool_result");
	jsonw_str(w, "tool_use_id", id);
	jsonw_array(w, "content");
	if (!parts_write(w, json_find(m, "content"), false, why))
		return false;
	jsonw_end(w);
	jsonw_end(w);
	return true;
}

static bool
is_system(const struct json_value *m)
{
	return llm_is(m, "role", "system") || llm_is(m, "role", "developer");
}

static bool
system_write(struct jsonw *w, const struct json_value *messages,
    struct llm_why *why)
{
	const struct json_value	*m;
	bool			 any = false;

	for (m = json_first(messages); m != NULL; m = json_next(m)) {
		if (!is_system(m))
			continue;
		if (!any)
			jsonw_array(w, "system");
		any = true;
		if (!llm_members(w, m, user_members, "messages.", why) ||
		    !parts_write(w, json_find(m, "content"), false, why))
			return false;
	}
	if (any)
		jsonw_end(w);
	return true;
}

/* What tools and the user say until the next answer is one message. */
static bool
messages_write(struct jsonw *w, const struct json_value *messages,
    struct llm_why *why)
{
	const struct json_value	*m;
	bool			 open = false, tool, ok;

	jsonw_array(w, "messages");
	for (m = json_first(messages); m != NULL; m = json_next(m)) {
		if (is_system(m))
			continue;
		tool = llm_is(m, "role", "tool");
		if (tool || llm_is(m, "role", "user")) {
			if (!open) {
				jsonw_object(w, NULL);
				jsonw_text(w, "role", "user");
				jsonw_array(w, "content");
			}
			open = true;
			ok = tool ? result_write(w, m, why) :
			    llm_members(w, m, user_members, "messages.",
			    why) && parts_write(w, json_find(m, "content"),
			    true, why);
		} else {
			if (open) {
				jsonw_end(w);
				jsonw_end(w);
			}
			open = false;
			ok = llm_is(m, "role", "assistant") ?
			    assistant_write(w, m, why) :
			    llm_refuse(why, "messages: an unknown role");
		}
		if (!ok)
			return false;
	}
	if (open) {
		jsonw_end(w);
		jsonw_end(w);
	}
	jsonw_end(w);
	return true;
}

static bool
tools_write(struct jsonw *w, const struct json_value *tools,
    struct llm_why *why)
{
	static const struct llm_member	 members[] = {
		{ "name", NULL }, { "description", NULL },
		{ "parameters", NULL }, { NULL, NULL }
	};
	const struct json_value		*v, *f, *schema;
	struct slice			 s;

	if (json_type(tools) != JSON_ARRAY)
		return llm_refuse(why, "tools: not an array");
	jsonw_array(w, "tools");
	for (v = json_first(tools); v != NULL; v = json_next(v)) {
		f = NULL;
		if (!llm_is(v, "type", "function") ||
		    json_get_object(v, "function", &f) != JSON_GOT ||
		    json_get_str(f, "name", &s) != JSON_GOT)
			return llm_refuse(why, "tools: the provider's API "
			    "has functions only");
		jsonw_object(w, NULL);
		jsonw_str(w, "name", s);
		if (json_get_str(f, "description", &s) == JSON_GOT)
			jsonw_str(w, "description", s);
		schema = NULL;
		(void)json_get_object(f, "parameters", &schema);
		if (schema != NULL)
			llm_copy(w, "input_schema", schema);
		else
			jsonw_raw(w, "input_schema", "{\"type\":\"object\"}",
			    17);
		if (!llm_members(w, f, members, "tools.", why))
			return false;
		jsonw_end(w);
	}
	jsonw_end(w);
	return true;
}

/* tool_choice and parallel_tool_calls are one object there. */
static bool
choice_write(struct jsonw *w, const struct json_value *body,
    struct llm_why *why)
{
	static const char *const words[][2] = {
		{ "auto", "auto" }, { "none", "none" }, { "required", "any" }
	};
	const struct json_value	*v = json_find(body, "tool_choice"), *f = NULL;
	const char		*word = NULL;
	struct slice		 s, name;
	bool			 parallel = true;
	size_t			 i;

	if (json_get_bool(body, "parallel_tool_calls", &parallel) ==
	    JSON_WRONG)
		return llm_refuse(why, "parallel_tool_calls: not a boolean");
	if (json_type(v) == JSON_NULL && parallel)
		return true;
	jsonw_object(w, "tool_choice");
	if (json_type(v) == JSON_NULL)
		word = "auto";
	for (i = 0; i < 3 && json_str(v, &s); i++)
		if (slice_is(s, words[i][0]))
			word = words[i][1];
	if (word != NULL)
		jsonw_text(w, "type", word);
	else if (llm_is(v, "type", "function") &&
	    json_get_object(v, "function", &f) == JSON_GOT &&
	    json_get_str(f, "name", &name) == JSON_GOT) {
		jsonw_text(w, "type", "tool");
		jsonw_str(w, "name", name);
	} else
		return llm_refuse(why, "tool_choice: the provider's API has "
		    "nothing like it");
	if (!parallel && (word == NULL || strcmp(word, "none") != 0))
		jsonw_bool(w, "disable_parallel_tool_use", true);
	jsonw_end(w);
	return true;
}

static bool
stop_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	if (json_type(v) == JSON_ARRAY) {
		llm_copy(w, "stop_sequences", v);
		return true;
	}
	if (json_type(v) != JSON_STRING)
		return llm_refuse(why, "stop: neither text nor an array");
	jsonw_array(w, "stop_sequences");
	llm_copy(w, NULL, v);
	jsonw_end(w);
	return true;
}

static bool
temperature_write(struct jsonw *w, const struct json_value *v,
    struct llm_why *why)
{
	double d;

	if (!json_double(v, &d) || d < 0 || d > 1)
		return llm_refuse(why, "temperature: 0 to 1 at this provider");
	return llm_same(w, v, why);
}

static bool
user_write(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	jsonw_object(w, "metadata");
	llm_copy(w, "user_id", v);
	jsonw_end(w);
	return true;
}

static bool
only_one(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	int64_t n;

	return (json_int(v, &n) && n == 1) ||
	    llm_refuse(why, "n: the provider gives one answer");
}

static bool
only_zero(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	double d;

	return (json_double(v, &d) && !(d < 0) && !(d > 0)) ||
	    llm_refuse(why, "frequency_penalty, presence_penalty: the "
	    "provider's API has nothing like it");
}

static bool
only_text(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	return llm_is(v, "type", "text") || llm_refuse(why,
	    "response_format: the provider's API has text only");
}

static bool
only_auto(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	struct slice s;

	return (json_str(v, &s) && (slice_is(s, "auto") ||
	    slice_is(s, "default"))) || llm_refuse(why,
	    "service_tier: the provider's API has nothing like it");
}

bool
llm_to_anthropic(const struct json_value *body, const char *model,
    struct buf *b, struct llm_why *why)
{
	const struct json_value	*messages, *v;
	struct jsonw		 w;
	int64_t			 most = TOKENS_DEFAULT;

	if (json_get_array(body, "messages", &messages) != JSON_GOT)
		return llm_refuse(why, "messages: not an array");
	if (json_get_int(body, "max_tokens", 1, INT64_MAX, &most) ==
	    JSON_WRONG || json_get_int(body, "max_completion_tokens", 1,
	    INT64_MAX, &most) == JSON_WRONG)
		return llm_refuse(why, "max_tokens: not a number");
	jsonw_init(&w, b);
	jsonw_object(&w, NULL);
	if (model[0] != '\0')
		jsonw_text(&w, "model", model);
	else if ((v = json_find(body, "model")) != NULL)
		llm_copy(&w, "model", v);
	jsonw_int(&w, "max_tokens", most);
	if ((v = json_find(body, "stream")) != NULL)
		llm_copy(&w, "stream", v);
	if (!system_write(&w, messages, why) ||
	    !messages_write(&w, messages, why) ||
	    !choice_write(&w, body, why) ||
	    !llm_members(&w, body, body_members, "", why))
		return false;
	jsonw_end(&w);
	return jsonw_ok(&w) || llm_refuse(why, "no memory");
}
