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
 * Language models in protocol v1, on both sides of it: whatever a client, a
 * server or a provider says, what goes out is one JSON value.  The first byte
 * says who speaks.
 */

#include <stdlib.h>
#include <string.h>

#include "runner/llm_chat.h"
#include "workers/remote/llm.h"

#define NEST_MAX	40	/* what goes out is nested deeper than that */

int		 LLVMFuzzerTestOneInput(const uint8_t *, size_t);
static bool	 is_flat(const char *, size_t);
static void	 is_json(struct buf *, bool);
static void	 client(char *, size_t);
static void	 server(const struct llm_backend *, char *, size_t);
static void	 provider(const struct llm_backend *, bool, char *, size_t);

/* Of the worker's main.c; here any text will do. */
void
text_clean(char *dst, size_t max, struct slice s)
{
	const char	*p = s.p;
	size_t		 i;

	for (i = 0; i < s.len && i < max; i++)
		dst[i] = p[i] > ' ' && p[i] <= '~' ? p[i] : '?';
	dst[i] = '\0';
}

static bool
is_flat(const char *text, size_t len)
{
	size_t	 n = 0;

	while (len-- > 0)
		n += text[len] == '{' || text[len] == '[';
	return n < NEST_MAX;
}

static void
is_json(struct buf *b, bool flat)
{
	struct v1_value	 v;

	if (flat && !v1_value((char *)buf_data(b), b->len, &v))
		abort();
	buf_clear(b);
}

static void
client(char *text, size_t len)
{
	const bool	 flat = is_flat(text, len);
	struct llm	 l = { .what = LLM_CHAT };
	struct buf	 b = { 0 };
	struct jsonw	 w;
	char		 why[LLM_TEXT_MAX] = "";

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	if (llm_ask(&l, &w, text, len, why)) {
		jsonw_end(&w);
		if (jsonw_ok(&w))
			is_json(&b, flat);
	}
	buf_clear(&b);
	free(l.model);
}

static void
server(const struct llm_backend *be, char *text, size_t len)
{
	struct v1_member	 m[] = { { .key = "messages" },
				    { .key = "tools" },
				    { .key = "thinking_mode" } };
	struct llm_chat		 c = { .model = "glm-4", .base_url = "http://x" };
	const bool		 flat = is_flat(text, len);
	struct v1_value		 v;
	struct buf		 b = { 0 };
	char			 why[LLM_WHY_MAX] = "";

	if (v1_value(text, len, &v) && v1_members(&v, m, 3)) {
		c.messages = m[0].value;
		c.tools = m[1].value;
		c.thinking = v1_string(&m[2].value);
		if (be->write(&c, &b, why))
			is_json(&b, flat);
	}
	buf_clear(&b);
}

static void
provider(const struct llm_backend *be, bool events, char *text, size_t len)
{
	struct llm_answer	*a = calloc(1, sizeof(*a));
	struct buf		 b = { 0 };
	const char		*why;

	if (a == NULL)
		return;
	why = events ? llm_events_read(be, a, text, len) :
	    be->read(a, text, len);
	if (why == NULL && llm_answer_write(a, &b))
		is_json(&b, true);
	buf_clear(&b);
	llm_answer_clear(a);
	free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char	*text;

	if (len == 0 || (text = malloc(len)) == NULL)
		return 0;
	memcpy(text, bytes + 1, len - 1);
	switch (bytes[0] & 7) {
	case 0:
		client(text, len - 1);
		break;
	case 1:
		server(&llm_openai, text, len - 1);
		break;
	case 2:
		server(&llm_anthropic, text, len - 1);
		break;
	case 3:
		provider(&llm_openai, false, text, len - 1);
		break;
	case 4:
		provider(&llm_anthropic, false, text, len - 1);
		break;
	default:
		provider(&llm_openai, true, text, len - 1);
		break;
	}
	free(text);
	return 0;
}
