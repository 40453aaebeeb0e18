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
 * Events of a provider's stream on their way to the client: as they are where
 * both speak one dialect, with an eye on the usage; else translated.
 * Runs in: front, control.  Input is hostile.
 */

#include <stdlib.h>
#include <string.h>

#include "supervisor/front/llm_stream.h"

static void	look(struct llm_stream *, const struct json_value *);

struct llm_stream *
llm_stream_new(enum llm_dialect from, enum llm_dialect to, bool usage)
{
	struct llm_stream	*s;
	size_t			 i;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->from = from;
	s->to = to;
	s->wants_usage = usage;
	s->text = s->thinking = -1;
	for (i = 0; i < LLM_TOOLS_MAX; i++)
		s->tools[i] = -1;
	return s;
}

void
llm_stream_free(struct llm_stream *s)
{
	free(s);
}

const struct llm_usage *
llm_stream_usage(const struct llm_stream *s)
{
	return &s->usage;
}

/* Only the usage, in whichever place. */
static void
look(struct llm_stream *s, const struct json_value *v)
{
	const struct json_value *m = NULL;

	llm_usage_read(s->from, json_find(v, "usage"), &s->usage);
	if (s->from == LLM_ANTHROPIC &&
	    json_get_object(v, "message", &m) == JSON_GOT)
		llm_usage_read(s->from, json_find(m, "usage"), &s->usage);
}

bool
llm_stream_event(struct llm_stream *s, const struct sse_event *e,
    struct buf *out, struct llm_why *why)
{
	struct json	*j;
	const char	*text;
	bool		 ok = true, same = s->from == s->to;

	why->text[0] = '\0';
	if (same && buf_add(out, e->raw.p, e->raw.len) == -1)
		return llm_refuse(why, "no memory");
	if (e->data.len == 0 || s->over)
		return true;
	if (s->from == LLM_OPENAI && slice_is(e->data, "[DONE]")) {
		s->over = true;
		return same || llm_from_openai_end(s, out, why);
	}
	if (same && memmem(e->data.p, e->data.len, "\"usage\"", 7) == NULL)
		return true;
	j = json_parse_deep(e->data.p, e->data.len, LLM_VALUES, LLM_DEPTH,
	    &text);
	if (same) {
		look(s, json_root(j));
		json_free(j);
		return true;
	}
	if (j == NULL || json_type(json_root(j)) != JSON_OBJECT)
		ok = llm_refuse(why, "the provider sent an event that is no "
		    "JSON object");
	else if (s->from == LLM_ANTHROPIC)
		ok = llm_from_anthropic(s, json_root(j), out, why);
	else
		ok = llm_from_openai(s, json_root(j), out, why);
	json_free(j);
	if (!ok && why->text[0] == '\0')
		llm_refuse(why, "no memory");
	return ok;
}

bool
llm_stream_end(struct llm_stream *s, struct buf *out, struct llm_why *why)
{
	if (s->from == s->to || s->over)
		return true;
	/* Some providers of OpenAI's dialect leave [DONE] out. */
	if (s->from == LLM_OPENAI && s->stop[0] != '\0') {
		s->over = true;
		return llm_from_openai_end(s, out, why);
	}
	return llm_refuse(why, "the provider's answer broke off");
}
