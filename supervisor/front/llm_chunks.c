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
 * OpenAI's chunks: how they look, and Anthropic's events as such, and a whole
 * answer as such.  Runs in: front, control.  Input is hostile.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "supervisor/front/llm_stream.h"

static bool	delta_text(struct llm_stream *, const char *, struct slice,
		    struct buf *);
static bool	on_start(struct llm_stream *, const struct json_value *,
		    struct buf *, struct llm_why *);
static bool	on_block(struct llm_stream *, const struct json_value *,
		    struct buf *, struct llm_why *);
static bool	arguments(struct llm_stream *, int64_t, struct slice,
		    struct buf *);
static bool	on_block_stop(struct llm_stream *,
		    const struct json_value *, struct buf *,
		    struct llm_why *);
static bool	on_delta(struct llm_stream *, const struct json_value *,
		    struct buf *, struct llm_why *);
static bool	on_message_delta(struct llm_stream *,
		    const struct json_value *, struct buf *,
		    struct llm_why *);
static bool	on_stop(struct llm_stream *, const struct json_value *,
		    struct buf *, struct llm_why *);
static bool	on_error(struct llm_stream *, const struct json_value *,
		    struct buf *, struct llm_why *);
static bool	chunk_message(const struct json_value *, const char *,
		    const char *, struct buf *);

static const struct {
	const char	*type;
	/* NULL: it has no counterpart and says nothing */
	bool		(*handler)(struct llm_stream *,
			    const struct json_value *, struct buf *,
			    struct llm_why *);
} events[] = {
	{ "message_start", on_start },
	{ "content_block_start", on_block },
	{ "content_block_delta", on_delta },
	{ "content_block_stop", on_block_stop },
	{ "message_delta", on_message_delta },
	{ "message_stop", on_stop },
	{ "ping", NULL },
	{ "error", on_error },
};

/* ---- the form */

void
llm_chunk_open(struct jsonw *w, struct buf *data, const char *id,
    const char *model)
{
	jsonw_init(w, data);
	jsonw_object(w, NULL);
	jsonw_text(w, "id", id);
	jsonw_text(w, "object", "chat.completion.chunk");
	jsonw_int(w, "created", (int64_t)time(NULL));
	jsonw_text(w, "model", model);
	jsonw_array(w, "choices");
	jsonw_object(w, NULL);
	jsonw_int(w, "index", 0);
	jsonw_object(w, "delta");
}

bool
llm_chunk_close(struct jsonw *w, const char *finish, struct buf *out)
{
	bool ok;

	jsonw_end(w);
	if (finish != NULL)
		jsonw_text(w, "finish_reason", finish);
	else
		jsonw_null(w, "finish_reason");
	jsonw_end(w);
	jsonw_end(w);
	jsonw_end(w);
	ok = jsonw_ok(w) && sse_write(out, NULL, w->b);
	buf_clear(w->b);
	return ok;
}

bool
llm_chunk_usage(const char *id, const char *model, const struct llm_usage *u,
    struct buf *out)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;
	bool		 ok;

	jsonw_init(&w, &data);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "id", id);
	jsonw_text(&w, "object", "chat.completion.chunk");
	jsonw_int(&w, "created", (int64_t)time(NULL));
	jsonw_text(&w, "model", model);
	jsonw_array(&w, "choices");
	jsonw_end(&w);
	llm_usage_write(LLM_OPENAI, &w, "usage", u);
	jsonw_end(&w);
	ok = jsonw_ok(&w) && sse_write(out, NULL, &data);
	buf_clear(&data);
	return ok;
}

static bool
delta_text(struct llm_stream *s, const char *key, struct slice text,
    struct buf *out)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;

	llm_chunk_open(&w, &data, s->id, s->model);
	jsonw_str(&w, key, text);
	return llm_chunk_close(&w, NULL, out);
}

/* ---- Anthropic's events */

static bool
on_start(struct llm_stream *s, const struct json_value *v, struct buf *out,
    struct llm_why *why)
{
	const struct json_value	*m = NULL;
	struct buf		 data = { 0 };
	struct jsonw		 w;

	if (s->begun || json_get_object(v, "message", &m) != JSON_GOT)
		return llm_refuse(why, "the provider's stream has no begin");
	s->begun = true;
	(void)json_cstr(json_find(m, "id"), s->id, sizeof(s->id));
	(void)json_cstr(json_find(m, "model"), s->model, sizeof(s->model));
	llm_usage_read(LLM_ANTHROPIC, json_find(m, "usage"), &s->usage);
	llm_chunk_open(&w, &data, s->id, s->model);
	jsonw_text(&w, "role", "assistant");
	jsonw_text(&w, "content", "");
	return llm_chunk_close(&w, NULL, out);
}

static bool
on_block(struct llm_stream *s, const struct json_value *v, struct buf *out,
    struct llm_why *why)
{
	const struct json_value	*block = NULL;
	struct buf		 data = { 0 };
	struct jsonw		 w;
	struct slice		 text;
	int64_t			 index;

	if (json_get_int(v, "index", 0, LLM_BLOCKS_MAX - 1, &index) !=
	    JSON_GOT || json_get_object(v, "content_block", &block) !=
	    JSON_GOT)
		return llm_refuse(why, "the provider sent a block without "
		    "its number");
	if (llm_is(block, "type", "text"))
		return json_get_str(block, "text", &text) != JSON_GOT ||
		    text.len == 0 || delta_text(s, "content", text, out);
	if (llm_is(block, "type", "thinking") ||
	    llm_is(block, "type", "redacted_thinking"))
		return true;
	if (!llm_is(block, "type", "tool_use"))
		return llm_refuse(why, "the provider's answer has a block "
		    "that this API cannot say");
	if (s->ntools == LLM_TOOLS_MAX)
		return llm_refuse(why, "the provider calls too many tools");
	s->tool_of[index] = (uint8_t)s->ntools++;
	s->bare[index] = true;
	llm_chunk_open(&w, &data, s->id, s->model);
	jsonw_array(&w, "tool_calls");
	jsonw_object(&w, NULL);
	jsonw_uint(&w, "index", s->tool_of[index]);
	llm_copy(&w, "id", json_find(block, "id"));
	jsonw_text(&w, "type", "function");
	jsonw_object(&w, "function");
	llm_copy(&w, "name", json_find(block, "name"));
	jsonw_text(&w, "arguments", "");
	jsonw_end(&w);
	jsonw_end(&w);
	jsonw_end(&w);
	return llm_chunk_close(&w, NULL, out);
}

static bool
arguments(struct llm_stream *s, int64_t index, struct slice text,
    struct buf *out)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;

	s->bare[index] = false;
	llm_chunk_open(&w, &data, s->id, s->model);
	jsonw_array(&w, "tool_calls");
	jsonw_object(&w, NULL);
	jsonw_uint(&w, "index", s->tool_of[index]);
	jsonw_object(&w, "function");
	jsonw_str(&w, "arguments", text);
	jsonw_end(&w);
	jsonw_end(&w);
	jsonw_end(&w);
	return llm_chunk_close(&w, NULL, out);
}

static bool
on_delta(struct llm_stream *s, const struct json_value *v, struct buf *out,
    struct llm_why *why)
{
	const struct json_value	*delta = NULL;
	struct slice		 text;
	int64_t			 index;

	(void)json_get_object(v, "delta", &delta);
	if (json_get_str(delta, "text", &text) == JSON_GOT)
		return delta_text(s, "content", text, out);
	if (json_get_str(delta, "thinking", &text) == JSON_GOT)
		return delta_text(s, "reasoning_content", text, out);
	if (json_get_str(delta, "partial_json", &text) != JSON_GOT)
		return true;		/* a signature, a citation */
	if (json_get_int(v, "index", 0, LLM_BLOCKS_MAX - 1, &index) !=
	    JSON_GOT)
		return llm_refuse(why, "the provider sent a piece without "
		    "its block");
	return text.len == 0 || arguments(s, index, text, out);
}

/* No arguments at all are an empty object, in OpenAI's words. */
static bool
on_block_stop(struct llm_stream *s, const struct json_value *v,
    struct buf *out, struct llm_why *why)
{
	int64_t index;

	return json_get_int(v, "index", 0, LLM_BLOCKS_MAX - 1, &index) !=
	    JSON_GOT || !s->bare[index] ||
	    arguments(s, index, slice_str("{}"), out);
}

static bool
on_message_delta(struct llm_stream *s, const struct json_value *v,
    struct buf *out, struct llm_why *why)
{
	const struct json_value	*delta = NULL;
	struct slice		 word;
	char			 text[64];

	llm_usage_read(LLM_ANTHROPIC, json_find(v, "usage"), &s->usage);
	(void)json_get_object(v, "delta", &delta);
	if (json_get_str(delta, "stop_reason", &word) == JSON_GOT)
		(void)snprintf(s->stop, sizeof(s->stop), "%s",
		    llm_stop(LLM_OPENAI, word, text, sizeof(text)));
	return true;
}

static bool
on_stop(struct llm_stream *s, const struct json_value *v, struct buf *out,
    struct llm_why *why)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;

	s->over = true;
	llm_chunk_open(&w, &data, s->id, s->model);
	return llm_chunk_close(&w, s->stop[0] != '\0' ? s->stop : "stop",
	    out) && (!s->wants_usage || llm_chunk_usage(s->id, s->model,
	    &s->usage, out)) && buf_add(out, LLM_CHUNKS_END,
	    strlen(LLM_CHUNKS_END)) == 0;
}

/* The provider's own words reach the client as the end of the stream. */
static bool
on_error(struct llm_stream *s, const struct json_value *v, struct buf *out,
    struct llm_why *why)
{
	const struct json_value	*error = NULL;
	struct slice		 text = slice_str("no reason given");

	(void)json_get_object(v, "error", &error);
	(void)json_get_str(error, "message", &text);
	return llm_refuse(why, "the provider: %.*s",
	    text.len < 256 ? (int)text.len : 256, (const char *)text.p);
}

bool
llm_from_anthropic(struct llm_stream *s, const struct json_value *v,
    struct buf *out, struct llm_why *why)
{
	size_t i;

	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (llm_is(v, "type", events[i].type))
			return events[i].handler == NULL ||
			    events[i].handler(s, v, out, why);
	return true;	/* both APIs say that unknown events are to be ignored */
}

/* ---- a whole answer */

/* Text and calls in one chunk each: nothing more is known of their times. */
static bool
chunk_message(const struct json_value *m, const char *id, const char *model,
    struct buf *out)
{
	static const char *const	 texts[] = {
		"reasoning_content", "content", "refusal"
	};
	const struct json_value		*calls = NULL, *v, *c;
	struct buf			 data = { 0 };
	struct jsonw			 w;
	struct slice			 s;
	uint64_t			 n = 0;
	size_t				 i;

	llm_chunk_open(&w, &data, id, model);
	jsonw_text(&w, "role", "assistant");
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (json_get_str(m, texts[i], &s) == JSON_GOT)
			jsonw_str(&w, texts[i], s);
	if (!llm_chunk_close(&w, NULL, out))
		return false;
	(void)json_get_array(m, "tool_calls", &calls);
	for (v = json_first(calls); v != NULL; v = json_next(v)) {
		llm_chunk_open(&w, &data, id, model);
		jsonw_array(&w, "tool_calls");
		jsonw_object(&w, NULL);
		jsonw_uint(&w, "index", n++);
		for (c = json_first(v); c != NULL; c = json_next(c))
			if (slice_is(json_key(c), "id"))
				llm_copy(&w, "id", c);
			else if (slice_is(json_key(c), "type"))
				llm_copy(&w, "type", c);
			else if (slice_is(json_key(c), "function"))
				llm_copy(&w, "function", c);
		jsonw_end(&w);
		jsonw_end(&w);
		if (!llm_chunk_close(&w, NULL, out))
			return false;
	}
	return true;
}

bool
llm_answer_chunks(const struct json_value *v, bool usage, struct buf *out,
    struct llm_why *why)
{
	const struct json_value	*choices = NULL, *m = NULL;
	struct llm_usage	 u = { 0 };
	struct buf		 data = { 0 };
	struct jsonw		 w;
	char			 id[129] = "", model[257] = "";
	char			 finish[65] = "stop";

	(void)json_get_array(v, "choices", &choices);
	if (json_get_object(json_first(choices), "message", &m) != JSON_GOT)
		return llm_refuse(why, "the provider's answer has no message");
	(void)json_cstr(json_find(v, "id"), id, sizeof(id));
	(void)json_cstr(json_find(v, "model"), model, sizeof(model));
	(void)json_cstr(json_find(json_first(choices), "finish_reason"),
	    finish, sizeof(finish));
	llm_usage_read(LLM_OPENAI, json_find(v, "usage"), &u);
	if (!chunk_message(m, id, model, out))
		return llm_refuse(why, "no memory");
	llm_chunk_open(&w, &data, id, model);
	return (llm_chunk_close(&w, finish, out) && (!usage ||
	    llm_chunk_usage(id, model, &u, out)) && buf_add(out,
	    LLM_CHUNKS_END, strlen(LLM_CHUNKS_END)) == 0) ||
	    llm_refuse(why, "no memory");
}
