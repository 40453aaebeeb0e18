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
 * The dialects of language models, where real clients do not reach: streams
 * cut anywhere, pieces that alternate, providers' whims.  The rest is in
 * tests/llm.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/llm.h"
#include "tests/unit/check.h"

struct turn {
	struct llm_stream	*s;
	struct buf		 out;
	struct llm_why		 why;
};

static bool
on_event(void *arg, const struct sse_event *e)
{
	struct turn *t = arg;

	return llm_stream_event(t->s, e, &t->out, &t->why);
}

/* What a client of dialect to gets, cut into steps; why: of the failure. */
static char *
stream(enum llm_dialect from, enum llm_dialect to, const char *text,
    size_t step, char *why)
{
	struct turn	 t = { .why = { "" } };
	struct sse	 sse = { 0 };
	size_t		 n = strlen(text), part;
	enum xerr	 code = XERR_NONE;

	t.s = llm_stream_new(from, to, true);
	for (; n > 0 && code == XERR_NONE; text += part, n -= part) {
		part = n < step ? n : step;
		code = sse_feed(&sse, text, part, on_event, &t);
	}
	if (code == XERR_NONE)
		(void)(sse_end(&sse, on_event, &t) == XERR_NONE &&
		    llm_stream_end(t.s, &t.out, &t.why));
	if (why != NULL)
		memcpy(why, t.why.text, sizeof(t.why.text));
	(void)buf_add(&t.out, "", 1);
	llm_stream_free(t.s);
	buf_clear(&sse.wait);
	return (char *)buf_data(&t.out);	/* nothing was drained */
}

static bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

#define CALL(i, id, name, args)						\
	"data: {\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"index\":0,"	\
	"\"delta\":{\"tool_calls\":[{\"index\":" #i ",\"id\":\"" id "\","	\
	"\"function\":{\"name\":\"" name "\",\"arguments\":\"" args "\"}}"	\
	"]}}]}\n\n"

static const char	openai_calls[] =
	CALL(0, "a", "f", "{") CALL(1, "b", "g", "") CALL(0, "", "", "}")
	CALL(1, "", "", "[1]")
	"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}],"
	"\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,"
	"\"prompt_tokens_details\":{\"cached_tokens\":4}}}\r\n\r\n"
	"data: [DONE]\n\n";

static void
test_cuts(void)
{
	char	*whole, *cut;
	size_t	 step;

	whole = stream(LLM_OPENAI, LLM_ANTHROPIC, openai_calls,
	    sizeof(openai_calls), NULL);
	for (step = 1; step < 40; step++) {
		cut = stream(LLM_OPENAI, LLM_ANTHROPIC, openai_calls, step,
		    NULL);
		CHECK(strcmp(whole, cut) == 0);
		free(cut);
	}
	CHECK(has(whole, "\"partial_json\":\"}\"}"));
	CHECK(has(whole, "{\"type\":\"content_block_delta\",\"index\":1,"
	    "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
	    "\"[1]\"}}"));
	CHECK(has(whole, "\"stop_reason\":\"tool_use\""));
	CHECK(has(whole, "\"usage\":{\"input_tokens\":5,\"output_tokens\":3,"
	    "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\""
	    ":4}"));
	CHECK(has(whole, "event: message_stop\n"));
	free(whole);
}

static void
test_ends(void)
{
	static const char	delta[] = "data: {\"choices\":[{\"delta\":"
				    "{\"content\":\"hi\"}}]}\n\n";
	static const char	no_done[] = "data: {\"choices\":[{\"delta\":"
				    "{},\"finish_reason\":\"stop\"}]}\n\n";
	static const char	error[] = "event: error\ndata: {\"type\":"
				    "\"error\",\"error\":{\"message\":"
				    "\"too hot\"}}\n\n";
	char			why[sizeof(struct llm_why)], *out;

	out = stream(LLM_OPENAI, LLM_ANTHROPIC, delta, 100, why);
	CHECK(has(why, "broke off") && has(out, "\"text\":\"hi\"") &&
	    !has(out, "message_stop"));
	free(out);
	out = stream(LLM_OPENAI, LLM_ANTHROPIC, no_done, 100, why);
	CHECK(why[0] == '\0' && has(out, "message_stop"));
	free(out);
	out = stream(LLM_ANTHROPIC, LLM_OPENAI, error, 100, why);
	CHECK(has(why, "too hot") && !has(out, "[DONE]"));
	free(out);
	out = stream(LLM_ANTHROPIC, LLM_OPENAI, "data: {]\n\n", 100, why);
	CHECK(has(why, "no JSON object"));
	free(out);
	out = stream(LLM_OPENAI, LLM_OPENAI, ": comment\n\ndata: {]\n\n",
	    100, why);
	CHECK(why[0] == '\0' &&
	    strcmp(out, ": comment\n\ndata: {]\n\n") == 0);
	free(out);
}

/* A body with another model, or as it came to the byte. */
static void
model_is(const char *body, const char *model, const char *want)
{
	struct llm_why	 why;
	struct buf	 b = { 0 };
	struct json	*j;
	const char	*bad;
	bool		 ok;

	j = json_parse(body, strlen(body), 0, &bad);
	ok = llm_request_make(LLM_OPENAI, LLM_OPENAI, json_root(j),
	    slice_str(body), model, &b, &why);
	CHECK(ok == (want != NULL));
	if (ok && want != NULL)
		CHECK(b.len == strlen(want) &&
		    memcmp(buf_data(&b), want, b.len) == 0);
	buf_clear(&b);
	json_free(j);
}

static void
test_models(void)
{
	model_is(" {\"n\": 1.50}", "", " {\"n\": 1.50}");
	model_is(" {\"n\": 1.50}", "m\"", "{\"model\":\"m\\\"\",\"n\": 1.50}");
	model_is("{}", "m", "{\"model\":\"m\"}");
	model_is("{\"model\": \"default\", \"a\":1}", "m",
	    "{\"model\": \"m\", \"a\":1}");
	model_is("{\"model\": null}", "m", NULL);
}

static void
test_errors(void)
{
	struct buf b = { 0 };

	llm_error_make(LLM_ANTHROPIC, 529, slice_str("<html>\xff"), &b);
	(void)buf_add(&b, "", 1);
	CHECK(strcmp((char *)buf_data(&b), "{\"type\":\"error\",\"error\":"
	    "{\"message\":\"<html>\xef\xbf\xbd\",\"type\":"
	    "\"overloaded_error\"}}") == 0);
	buf_clear(&b);
	llm_error_make(LLM_OPENAI, 418, slice_str(""), &b);
	(void)buf_add(&b, "", 1);
	CHECK(has((char *)buf_data(&b), "gave no reason"));
	buf_clear(&b);
}

static void
test_too_long(void)
{
	struct sse	 s = { 0 };
	struct turn	 t = { .why = { "" } };
	char		*line;
	int		 i;
	enum xerr	 code = XERR_NONE;

	line = calloc(1, 65536);
	memset(line, 'x', 65536);
	t.s = llm_stream_new(LLM_OPENAI, LLM_OPENAI, false);
	for (i = 0; i < 17 && code == XERR_NONE; i++)
		code = sse_feed(&s, line, 65536, on_event, &t);
	CHECK(code == XERR_E2BIG && i == 17);
	llm_stream_free(t.s);
	buf_clear(&s.wait);
	free(line);
}

int
main(void)
{
	test_cuts();
	test_ends();
	test_models();
	test_errors();
	test_too_long();
	return checks_end();
}
