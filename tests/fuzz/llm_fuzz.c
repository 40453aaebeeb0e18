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
 * The dialects of language models: whatever comes in, what goes out is JSON,
 * and a stream cut at other places says the same.
 */

#include <stdlib.h>
#include <string.h>

#include "supervisor/front/llm.h"

int		 LLVMFuzzerTestOneInput(const uint8_t *, size_t);
static void	 is_json(struct buf *);
static void	 requests(const struct json_value *, struct slice);
static void	 answers(const struct json_value *, struct slice);
static void	 stream(enum llm_dialect, enum llm_dialect, const uint8_t *,
		    size_t, size_t, struct buf *);
static bool	 on_event(void *, const struct sse_event *);

struct turn {
	struct llm_stream	*s;
	struct buf		*out;
	struct llm_why		 why;
};

static void
is_json(struct buf *b)
{
	struct json	*j;
	const char	*why;

	j = json_parse_deep((char *)buf_data(b), b->len, 0, JSON_DEPTH_DEEP,
	    &why);
	if (j == NULL && strcmp(why, "too many values") != 0 &&
	    strcmp(why, "nested too deeply") != 0)
		abort();
	json_free(j);
	buf_clear(b);
}

static void
requests(const struct json_value *v, struct slice text)
{
	struct llm_asked	 a;
	struct llm_why		 why;
	struct buf		 b = { 0 };
	int			 from, to;

	if (!llm_asked_read(v, &a, &why))
		return;
	for (from = 0; from < 2; from++)
		for (to = 0; to < 2; to++) {
			if (llm_request_make(from, to, v, text,
			    a.model.len == 0 ? "m" : "", &b, &why))
				is_json(&b);
			buf_clear(&b);
		}
}

static void
answers(const struct json_value *v, struct slice text)
{
	struct llm_why	 why;
	struct buf	 b = { 0 };
	int		 to;

	for (to = 0; to < 2; to++) {
		if (llm_answer_make(to, LLM_CHAT, v, &b, &why))
			is_json(&b);
		buf_clear(&b);
		if (llm_answer_make(to, LLM_MODELS, v, &b, &why))
			is_json(&b);
		buf_clear(&b);
		llm_error_make(to, 429, text, &b);
		is_json(&b);
	}
	(void)llm_answer_chunks(v, true, &b, &why);
	buf_clear(&b);
}

static bool
on_event(void *arg, const struct sse_event *e)
{
	struct turn *t = arg;

	return llm_stream_event(t->s, e, t->out, &t->why);
}

static void
stream(enum llm_dialect from, enum llm_dialect to, const uint8_t *p, size_t n,
    size_t step, struct buf *out)
{
	struct turn	 t = { .out = out };
	struct sse	 sse = { 0 };
	size_t		 part;

	if ((t.s = llm_stream_new(from, to, true)) == NULL)
		abort();
	for (; n > 0; p += part, n -= part) {
		part = n < step ? n : step;
		if (sse_feed(&sse, p, part, on_event, &t) != XERR_NONE)
			break;
	}
	if (n == 0 && sse_end(&sse, on_event, &t) == XERR_NONE)
		(void)llm_stream_end(t.s, out, &t.why);
	buf_clear(&sse.wait);
	llm_stream_free(t.s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice	 text = { p, n };
	struct buf	 a = { 0 }, b = { 0 };
	struct json	*j;
	const char	*why;
	int		 from, to;

	if (n == 0)
		return 0;
	j = json_parse_deep((const char *)p, n, LLM_VALUES, LLM_DEPTH, &why);
	if (j != NULL && json_type(json_root(j)) == JSON_OBJECT)
		requests(json_root(j), text);
	if (j != NULL)
		answers(json_root(j), text);
	json_free(j);
	for (from = 0; from < 2; from++)
		for (to = 0; to < 2; to++) {
			stream(from, to, p, n, n, &a);
			stream(from, to, p, n, 3, &b);
			/* "created" may differ by a second. */
			if (a.len != b.len)
				abort();
			buf_clear(&a);
			buf_clear(&b);
		}
	return 0;
}
