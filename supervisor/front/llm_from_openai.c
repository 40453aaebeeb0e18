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
 * OpenAI's chunks as Anthropic's events.  Runs in: front, control.  Input is
 * hostile.
 *
 * A block is there from its first piece on.  Text ends where a call begins;
 * calls stay open until the end, for their pieces may alternate.
 */

#include <stdio.h>
#include <string.h>

#include "supervisor/front/llm_stream.h"

static bool	event_send(struct jsonw *, const char *, struct buf *);
static void	event_open(struct jsonw *, struct buf *, const char *);
static bool	message_start(struct llm_stream *, const struct json_value *,
		    struct buf *);
static bool	block_start(struct llm_stream *, int *, const char *,
		    const struct json_value *, struct buf *);
static bool	block_stop(int *, struct buf *);
static bool	block_delta(int, const char *, const char *, struct slice,
		    struct buf *);
static bool	on_text(struct llm_stream *, int *, const char *,
		    const char *, struct slice, struct buf *);
static bool	on_call(struct llm_stream *, const struct json_value *,
		    struct buf *, struct llm_why *);

static void
event_open(struct jsonw *w, struct buf *data, const char *type)
{
	jsonw_init(w, data);
	jsonw_object(w, NULL);
	jsonw_text(w, "type", type);
}

static bool
event_send(struct jsonw *w, const char *type, struct buf *out)
{
	bool ok;

	jsonw_end(w);
	ok = jsonw_ok(w) && sse_write(out, type, w->b);
	buf_clear(w->b);
	return ok;
}

static bool
message_start(struct llm_stream *s, const struct json_value *v,
    struct buf *out)
{
	struct llm_usage	 none = { 0 };
	struct buf		 data = { 0 };
	struct jsonw		 w;

	s->begun = true;
	(void)json_cstr(json_find(v, "id"), s->id, sizeof(s->id));
	(void)json_cstr(json_find(v, "model"), s->model, sizeof(s->model));
	event_open(&w, &data, "message_start");
	jsonw_object(&w, "message");
	jsonw_text(&w, "id", s->id);
	jsonw_text(&w, "type", "message");
	jsonw_text(&w, "role", "assistant");
	jsonw_text(&w, "model", s->model);
	jsonw_array(&w, "content");
	jsonw_end(&w);
	jsonw_null(&w, "stop_reason");
	jsonw_null(&w, "stop_sequence");
	llm_usage_write(LLM_ANTHROPIC, &w, "usage", &none);
	jsonw_end(&w);
	return event_send(&w, "message_start", out);
}

static bool
block_start(struct llm_stream *s, int *block, const char *type,
    const struct json_value *call, struct buf *out)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;

	*block = s->nblocks++;
	event_open(&w, &data, "content_block_start");
	jsonw_int(&w, "index", *block);
	jsonw_object(&w, "content_block");
	jsonw_text(&w, "type", type);
	if (call != NULL) {
		llm_copy(&w, "id", json_find(call, "id"));
		llm_copy(&w, "name", json_find(json_find(call, "function"),
		    "name"));
		jsonw_object(&w, "input");
		jsonw_end(&w);
	} else
		jsonw_text(&w, type, "");
	if (strcmp(type, "thinking") == 0)
		jsonw_text(&w, "signature", "");
	jsonw_end(&w);
	return event_send(&w, "content_block_start", out);
}

static bool
block_stop(int *block, struct buf *out)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;

	if (*block == -1)
		return true;
	event_open(&w, &data, "content_block_stop");
	jsonw_int(&w, "index", *block);
	*block = -1;
	return event_send(&w, "content_block_stop", out);
}

static bool
block_delta(int block, const char *type, const char *key, struct slice text,
    struct buf *out)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;

	event_open(&w, &data, "content_block_delta");
	jsonw_int(&w, "index", block);
	jsonw_object(&w, "delta");
	jsonw_text(&w, "type", type);
	jsonw_str(&w, key, text);
	jsonw_end(&w);
	return event_send(&w, "content_block_delta", out);
}

/* block: s->text or s->thinking; the other one ends. */
static bool
on_text(struct llm_stream *s, int *block, const char *type,
    const char *delta, struct slice text, struct buf *out)
{
	if (text.len == 0)
		return true;
	if (!block_stop(block == &s->text ? &s->thinking : &s->text, out))
		return false;
	if (*block == -1 && !block_start(s, block, type, NULL, out))
		return false;
	return block_delta(*block, delta, type, text, out);
}

static bool
on_call(struct llm_stream *s, const struct json_value *call, struct buf *out,
    struct llm_why *why)
{
	const struct json_value	*f = NULL;
	struct slice		 args;
	int64_t			 index = 0;

	if (json_get_int(call, "index", 0, LLM_TOOLS_MAX - 1, &index) ==
	    JSON_WRONG)
		return llm_refuse(why, "the provider calls too many tools");
	(void)json_get_object(call, "function", &f);
	if (s->tools[index] == -1) {
		if (!block_stop(&s->text, out) ||
		    !block_stop(&s->thinking, out) ||
		    !block_start(s, &s->tools[index], "tool_use", call, out))
			return false;
	}
	return json_get_str(f, "arguments", &args) != JSON_GOT ||
	    args.len == 0 || block_delta(s->tools[index],
	    "input_json_delta", "partial_json", args, out);
}

bool
llm_from_openai(struct llm_stream *s, const struct json_value *v,
    struct buf *out, struct llm_why *why)
{
	const struct json_value	*choices = NULL, *delta = NULL, *calls = NULL;
	const struct json_value	*c;
	struct slice		 text;
	char			 word[64];

	if (!llm_says_nothing(json_find(v, "error"))) {
		text = slice_str("no reason given");
		(void)json_get_str(json_find(v, "error"), "message", &text);
		return llm_refuse(why, "the provider: %.*s", text.len < 256 ?
		    (int)text.len : 256, (const char *)text.p);
	}
	if (!s->begun && !message_start(s, v, out))
		return false;
	llm_usage_read(LLM_OPENAI, json_find(v, "usage"), &s->usage);
	(void)json_get_array(v, "choices", &choices);
	c = json_first(choices);
	(void)json_get_object(c, "delta", &delta);
	if (json_get_str(delta, "reasoning_content", &text) == JSON_GOT &&
	    !on_text(s, &s->thinking, "thinking", "thinking_delta", text,
	    out))
		return false;
	if ((json_get_str(delta, "content", &text) == JSON_GOT ||
	    json_get_str(delta, "refusal", &text) == JSON_GOT) &&
	    !on_text(s, &s->text, "text", "text_delta", text, out))
		return false;
	(void)json_get_array(delta, "tool_calls", &calls);
	if (json_get_str(c, "finish_reason", &text) == JSON_GOT)
		(void)snprintf(s->stop, sizeof(s->stop), "%s",
		    llm_stop(LLM_ANTHROPIC, text, word, sizeof(word)));
	for (c = json_first(calls); c != NULL; c = json_next(c))
		if (!on_call(s, c, out, why))
			return false;
	return true;
}

bool
llm_from_openai_end(struct llm_stream *s, struct buf *out,
    struct llm_why *why)
{
	struct buf	 data = { 0 };
	struct jsonw	 w;
	int		 i;
	bool		 ok;

	if (!s->begun)
		return llm_refuse(why, "the provider's stream is empty");
	ok = block_stop(&s->thinking, out) && block_stop(&s->text, out);
	for (i = 0; i < LLM_TOOLS_MAX && ok; i++)
		ok = block_stop(&s->tools[i], out);
	event_open(&w, &data, "message_delta");
	jsonw_object(&w, "delta");
	jsonw_text(&w, "stop_reason", s->stop[0] != '\0' ? s->stop :
	    "end_turn");
	jsonw_null(&w, "stop_sequence");
	jsonw_end(&w);
	llm_usage_write(LLM_ANTHROPIC, &w, "usage", &s->usage);
	ok = event_send(&w, "message_delta", out) && ok;
	event_open(&w, &data, "message_stop");
	return event_send(&w, "message_stop", out) && ok;
}
