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
 * What a provider answered, in the other dialect: whole answers, lists of
 * models, usage, reasons to stop.  Runs in: front, control.  Input is hostile.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "supervisor/front/llm.h"

static const struct {
	const char	*openai, *anthropic;
} stops[] = {
	/* The first with a word is how it is translated. */
	{ "stop",		"end_turn" },
	{ "length",		"max_tokens" },
	{ "tool_calls",		"tool_use" },
	{ "content_filter",	"refusal" },
	{ "stop",		"stop_sequence" },
	{ "stop",		"pause_turn" },
	{ "length",		"model_context_window_exceeded" },
	{ "function_call",	"tool_use" },
};

static uint64_t	number(const struct json_value *, const char *);
static bool	to_openai(const struct json_value *, struct jsonw *,
		    struct llm_why *);
static bool	to_anthropic(const struct json_value *, struct jsonw *,
		    struct llm_why *);
static bool	blocks_read(const struct json_value *, struct buf *,
		    struct buf *, struct llm_why *);
static bool	calls_write(struct jsonw *, const struct json_value *);
static bool	call_block(struct jsonw *, const struct json_value *,
		    struct llm_why *);
static bool	models_make(enum llm_dialect, const struct json_value *,
		    struct jsonw *, struct llm_why *);

static uint64_t
number(const struct json_value *v, const char *name)
{
	int64_t n = 0;

	(void)json_get_int(v, name, 0, INT64_MAX, &n);
	return (uint64_t)n;
}

void
llm_usage_read(enum llm_dialect d, const struct json_value *v,
    struct llm_usage *u)
{
	const struct json_value *details = NULL;

	if (json_type(v) != JSON_OBJECT)
		return;
	u->known = true;
	if (d == LLM_OPENAI) {
		(void)json_get_object(v, "prompt_tokens_details", &details);
		u->cache_read = number(details, "cached_tokens");
		u->input = number(v, "prompt_tokens");
		u->input -= u->cache_read < u->input ? u->cache_read :
		    u->input;
		u->output = number(v, "completion_tokens");
		return;
	}
	/* A stream says the input at its begin, the output at its end. */
	if (json_find(v, "input_tokens") != NULL)
		u->input = number(v, "input_tokens");
	if (json_find(v, "output_tokens") != NULL)
		u->output = number(v, "output_tokens");
	if (json_find(v, "cache_read_input_tokens") != NULL)
		u->cache_read = number(v, "cache_read_input_tokens");
	if (json_find(v, "cache_creation_input_tokens") != NULL)
		u->cache_written = number(v, "cache_creation_input_tokens");
}

void
llm_usage_write(enum llm_dialect to, struct jsonw *w, const char *key,
    const struct llm_usage *u)
{
	uint64_t in = u->input + u->cache_read + u->cache_written;

	jsonw_object(w, key);
	if (to == LLM_OPENAI) {
		jsonw_uint(w, "prompt_tokens", in);
		jsonw_uint(w, "completion_tokens", u->output);
		jsonw_uint(w, "total_tokens", in + u->output);
		jsonw_object(w, "prompt_tokens_details");
		jsonw_uint(w, "cached_tokens", u->cache_read);
		jsonw_end(w);
	} else {
		jsonw_uint(w, "input_tokens", u->input);
		jsonw_uint(w, "output_tokens", u->output);
		jsonw_uint(w, "cache_creation_input_tokens",
		    u->cache_written);
		jsonw_uint(w, "cache_read_input_tokens", u->cache_read);
	}
	jsonw_end(w);
}

const char *
llm_stop(enum llm_dialect to, struct slice word, char *dst, size_t size)
{
	size_t i;

	for (i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		if (slice_is(word, to == LLM_OPENAI ? stops[i].anthropic :
		    stops[i].openai))
			return to == LLM_OPENAI ? stops[i].openai :
			    stops[i].anthropic;
	return log_vis(dst, size, word.p, word.len);
}

/* Text and thinking; calls are the caller's. */
static bool
blocks_read(const struct json_value *content, struct buf *text,
    struct buf *thought, struct llm_why *why)
{
	const struct json_value	*v;
	struct slice		 s;
	bool			 ok = true;

	for (v = json_first(content); v != NULL && ok; v = json_next(v)) {
		if (llm_is(v, "type", "text") &&
		    json_get_str(v, "text", &s) == JSON_GOT)
			ok = buf_add(text, s.p, s.len) == 0;
		else if (llm_is(v, "type", "thinking") &&
		    json_get_str(v, "thinking", &s) == JSON_GOT)
			ok = buf_add(thought, s.p, s.len) == 0;
		else if (!llm_is(v, "type", "tool_use") &&
		    !llm_is(v, "type", "redacted_thinking"))
			return llm_refuse(why, "the provider's answer has a "
			    "block that this API cannot say");
	}
	return ok || llm_refuse(why, "no memory");
}

/* false: there are none. */
static bool
calls_write(struct jsonw *w, const struct json_value *content)
{
	const struct json_value	*c;
	bool			 any = false;

	for (c = json_first(content); c != NULL; c = json_next(c)) {
		if (!llm_is(c, "type", "tool_use"))
			continue;
		if (!any)
			jsonw_array(w, "tool_calls");
		any = true;
		jsonw_object(w, NULL);
		llm_copy(w, "id", json_find(c, "id"));
		jsonw_text(w, "type", "function");
		jsonw_object(w, "function");
		llm_copy(w, "name", json_find(c, "name"));
		jsonw_str(w, "arguments", json_raw(json_find(c, "input")));
		jsonw_end(w);
		jsonw_end(w);
	}
	if (any)
		jsonw_end(w);
	return any;
}

static bool
to_openai(const struct json_value *v, struct jsonw *w, struct llm_why *why)
{
	const struct json_value	*content;
	struct buf		 text = { 0 }, thought = { 0 };
	struct llm_usage	 u = { 0 };
	struct slice		 s = { "", 0 };
	char			 word[64];
	bool			 calls, ok;

	if (json_get_array(v, "content", &content) != JSON_GOT)
		return llm_refuse(why, "the provider's answer has no content");
	ok = blocks_read(content, &text, &thought, why);
	if (json_get_str(v, "id", &s) == JSON_GOT)
		jsonw_str(w, "id", s);
	jsonw_text(w, "object", "chat.completion");
	jsonw_int(w, "created", (int64_t)time(NULL));
	if (json_get_str(v, "model", &s) == JSON_GOT)
		jsonw_str(w, "model", s);
	jsonw_array(w, "choices");
	jsonw_object(w, NULL);
	jsonw_int(w, "index", 0);
	jsonw_object(w, "message");
	jsonw_text(w, "role", "assistant");
	calls = calls_write(w, content);
	if (text.len > 0 || !calls)
		jsonw_str(w, "content", (struct slice){ buf_data(&text),
		    text.len });
	else
		jsonw_null(w, "content");
	if (thought.len > 0)
		jsonw_str(w, "reasoning_content", (struct slice){
		    buf_data(&thought), thought.len });
	jsonw_null(w, "refusal");
	jsonw_end(w);
	s = slice_str("end_turn");
	(void)json_get_str(v, "stop_reason", &s);
	jsonw_null(w, "logprobs");
	jsonw_text(w, "finish_reason", llm_stop(LLM_OPENAI, s, word,
	    sizeof(word)));
	jsonw_end(w);
	jsonw_end(w);
	llm_usage_read(LLM_ANTHROPIC, json_find(v, "usage"), &u);
	llm_usage_write(LLM_OPENAI, w, "usage", &u);
	buf_clear(&text);
	buf_clear(&thought);
	return ok;
}

static bool
call_block(struct jsonw *w, const struct json_value *v, struct llm_why *why)
{
	struct slice name;

	switch (llm_tool_use(w, v, &name)) {
	case LLM_TOOL_NO_CALL:
		return llm_refuse(why, "the provider calls no function");
	case LLM_TOOL_NO_OBJECT:
		return llm_refuse(why, "the provider calls %.*s with "
		    "arguments that are no JSON object",
		    name.len < 64 ? (int)name.len : 64,
		    (const char *)name.p);
	case LLM_TOOL_DONE:
		break;
	}
	return true;
}

static bool
to_anthropic(const struct json_value *v, struct jsonw *w, struct llm_why *why)
{
	const struct json_value	*choices = NULL, *m = NULL, *calls = NULL, *c;
	struct llm_usage	 u = { 0 };
	struct slice		 s;
	char			 word[64];

	(void)json_get_array(v, "choices", &choices);
	if (json_get_object(json_first(choices), "message", &m) != JSON_GOT)
		return llm_refuse(why, "the provider's answer has no message");
	if (json_get_str(v, "id", &s) == JSON_GOT)
		jsonw_str(w, "id", s);
	jsonw_text(w, "type", "message");
	jsonw_text(w, "role", "assistant");
	if (json_get_str(v, "model", &s) == JSON_GOT)
		jsonw_str(w, "model", s);
	jsonw_array(w, "content");
	if (json_get_str(m, "reasoning_content", &s) == JSON_GOT &&
	    s.len > 0) {
		jsonw_object(w, NULL);
		jsonw_text(w, "type", "thinking");
		jsonw_str(w, "thinking", s);
		jsonw_text(w, "signature", "");
		jsonw_end(w);
	}
	if ((json_get_str(m, "content", &s) == JSON_GOT && s.len > 0) ||
	    (json_get_str(m, "refusal", &s) == JSON_GOT && s.len > 0)) {
		jsonw_object(w, NULL);
		jsonw_text(w, "type", "text");
		jsonw_str(w, "text", s);
		jsonw_end(w);
	}
	(void)json_get_array(m, "tool_calls", &calls);
	for (c = json_first(calls); c != NULL; c = json_next(c))
		if (!call_block(w, c, why))
			return false;
	jsonw_end(w);
	s = slice_str("stop");
	(void)json_get_str(json_first(choices), "finish_reason", &s);
	jsonw_text(w, "stop_reason", llm_stop(LLM_ANTHROPIC, s, word,
	    sizeof(word)));
	jsonw_null(w, "stop_sequence");
	llm_usage_read(LLM_OPENAI, json_find(v, "usage"), &u);
	llm_usage_write(LLM_ANTHROPIC, w, "usage", &u);
	return true;
}

/* "created" is a number of seconds there, "created_at" a text here. */
static bool
models_make(enum llm_dialect to, const struct json_value *v, struct jsonw *w,
    struct llm_why *why)
{
	const struct json_value	*data, *m;
	struct slice		 id, first = { "", 0 }, last = { "", 0 };
	struct tm		 tm;
	char			 when[32];
	time_t			 t;

	if (json_get_array(v, "data", &data) != JSON_GOT)
		return llm_refuse(why, "the provider's answer is no list of "
		    "models");
	jsonw_array(w, "data");
	for (m = json_first(data); m != NULL; m = json_next(m)) {
		if (json_get_str(m, "id", &id) != JSON_GOT)
			continue;
		jsonw_object(w, NULL);
		jsonw_str(w, "id", id);
		if (to == LLM_OPENAI) {
			jsonw_text(w, "object", "model");
			jsonw_int(w, "created", 0);
			jsonw_text(w, "owned_by", "anthropic");
		} else {
			t = (time_t)(number(m, "created") % 100000000000u);
			if (gmtime_r(&t, &tm) == NULL || strftime(when,
			    sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
				when[0] = '\0';
			jsonw_text(w, "type", "model");
			jsonw_str(w, "display_name", id);
			jsonw_text(w, "created_at", when);
		}
		jsonw_end(w);
		if (first.len == 0)
			first = id;
		last = id;
	}
	jsonw_end(w);
	if (to == LLM_OPENAI)
		jsonw_text(w, "object", "list");
	else {
		jsonw_bool(w, "has_more", false);
		jsonw_str(w, "first_id", first);
		jsonw_str(w, "last_id", last);
	}
	return true;
}

bool
llm_answer_make(enum llm_dialect to, enum llm_what what,
    const struct json_value *v, struct buf *b, struct llm_why *why)
{
	struct jsonw	 w;
	bool		 ok;

	jsonw_init(&w, b);
	jsonw_object(&w, NULL);
	if (what == LLM_MODELS)
		ok = models_make(to, v, &w, why);
	else if (to == LLM_OPENAI)
		ok = to_openai(v, &w, why);
	else
		ok = to_anthropic(v, &w, why);
	if (!ok)
		return false;
	jsonw_end(&w);
	return jsonw_ok(&w) || llm_refuse(why, "no memory");
}
