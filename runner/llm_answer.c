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
 * A provider's answer on its way to a server of protocol v1.  See llm_chat.h.
 */

#include <string.h>

#include "runner/llm_chat.h"

static const char *const usages[] = {
	[USAGE_PROMPT] = "prompt_tokens",
	[USAGE_COMPLETION] = "completion_tokens",
	[USAGE_TOTAL] = "total_tokens",
	[USAGE_HIT] = "cache_hit_tokens",
	[USAGE_CREATION] = "cache_creation_tokens"
};

void
llm_answer_clear(struct llm_answer *a)
{
	size_t	 i;

	buf_clear(&a->content);
	buf_clear(&a->reasoning);
	for (i = 0; i < a->ntools; i++) {
		buf_clear(&a->tools[i].id);
		buf_clear(&a->tools[i].name);
		buf_clear(&a->tools[i].arguments);
	}
	memset(a, 0, sizeof(*a));
}

struct llm_tool *
llm_answer_tool(struct llm_answer *a, size_t i)
{
	if (i == a->ntools && i < LLM_TOOLS_MAX)
		a->ntools++;
	return i < a->ntools ? &a->tools[i] : NULL;
}

bool
llm_add(struct buf *b, struct slice s)
{
	return s.len == 0 || buf_add(b, s.p, s.len) == 0;
}

void
llm_finish(struct llm_answer *a, struct slice s)
{
	/* A provider's own word: as much of it as anybody may want. */
	if (s.len > 0 && s.len < sizeof(a->finish) &&
	    memchr(s.p, '\0', s.len) == NULL)
		slice_copy(a->finish, sizeof(a->finish), s);
}

void
llm_count(const struct v1_value *v, int64_t *n)
{
	int64_t	 value;

	if (v1_int(v, &value) && value >= 0)
		*n = value;
}

static struct slice
slice_of(const struct buf *b)
{
	return (struct slice){ buf_data(b), b->len };
}

/* What some endpoints say twice. */
static struct slice
content_of(const struct llm_answer *a)
{
	struct slice	 c = slice_of(&a->content);

	if (a->reasoning.len > 0 && c.len >= a->reasoning.len &&
	    memcmp(c.p, buf_data(&a->reasoning), a->reasoning.len) == 0)
		c = (struct slice){ (const char *)c.p + a->reasoning.len,
		    c.len - a->reasoning.len };
	return c;
}

bool
llm_answer_write(struct llm_answer *a, struct buf *out)
{
	struct jsonw	 w;
	size_t		 i;

	if (a->finish[0] == '\0' && a->ntools > 0)
		llm_finish(a, slice_str("tool_calls"));
	jsonw_init(&w, out);
	jsonw_object(&w, NULL);
	jsonw_str(&w, "content", content_of(a));
	if (a->reasoning.len > 0)
		jsonw_str(&w, "reasoning_content", slice_of(&a->reasoning));
	if (a->ntools > 0)
		jsonw_array(&w, "tool_calls");
	for (i = 0; i < a->ntools; i++) {
		jsonw_object(&w, NULL);
		jsonw_str(&w, "id", slice_of(&a->tools[i].id));
		jsonw_str(&w, "name", slice_of(&a->tools[i].name));
		jsonw_str(&w, "arguments", slice_of(&a->tools[i].arguments));
		jsonw_end(&w);
	}
	if (a->ntools > 0)
		jsonw_end(&w);
	jsonw_text(&w, "finish_reason", a->finish);
	jsonw_object(&w, "usage");
	for (i = 0; i < USAGE_MAX; i++)
		jsonw_int(&w, usages[i], a->usage[i]);
	jsonw_end(&w);
	jsonw_end(&w);
	return jsonw_ok(&w);
}

/* Lines of "data: {...}"; other fields and comments say nothing here. */
const char *
llm_events_read(const struct llm_backend *be, struct llm_answer *a, char *p,
    size_t len)
{
	const char	*why = NULL;
	char		*end = p + len, *nl;
	size_t		 n;

	if (be->event == NULL)
		return "an event stream that nobody asked for";
	for (; p < end && why == NULL; p = nl < end ? nl + 1 : end) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		n = (size_t)(nl - p);
		if (n > 0 && p[n - 1] == '\r')
			n--;
		if (n < 5 || memcmp(p, "data:", 5) != 0)
			continue;
		for (p += 5, n -= 5; n > 0 && *p == ' '; n--)
			p++;
		if (n == 6 && memcmp(p, "[DONE]", 6) == 0)
			break;
		if (n > 0)
			why = be->event(a, p, n);
	}
	return why;
}
