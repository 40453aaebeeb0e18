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
 * A call's life, and the runner's answer in OpenAI's words.  See llm.h.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/chan.h"
#include "base/log.h"
#include "workers/remote/llm.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define BODY_MAX	(64 * 1024 * 1024)	/* with its images */
#define MODELS_MAX	4096		/* of a list */
#define HEADERS_MAX	4

/* What an error of the provider may be told behind (see status_find). */
static const char *const before_status[] = {
	"status ", "status: ", "status code ", "code: ", "\": ", "HTTP ",
};

void
llm_free(struct op *op)
{
	if (op->llm == NULL)
		return;
	free(op->llm->model);
	free(op->llm);
	op->llm = NULL;
}

void
llm_on_call(struct chan *c, const struct msg *m)
{
	const struct exec_llm_call	*ask = m->body;
	struct op			*op = op_new(c, m, &ask->job);

	if (op == NULL)
		return;
	if (op->link->provider[0] == '\0')
		op_refuse(op, XERR_ENOTSUP, "no language model is configured on "
		    "this runner");
	else if (ask->dialect != LLM_OPENAI || ask->what > LLM_MODELS)
		op_refuse(op, XERR_ENOTSUP, "this runner's protocol (1) has no "
		    "such call");
	else if ((op->llm = calloc(1, sizeof(*op->llm))) == NULL)
		op_refuse(op, XERR_EBUSY, "out of memory");
	else if ((op->llm->what = ask->what) == LLM_MODELS)
		llm_body(op);
	else {
		op->step = OP_INPUT;
		op->limit = BODY_MAX;
		op_grant(op, STREAM_STDIN, INPUT_WINDOW);
	}
}

/* v1 has no message for it. */
void
llm_on_settings(struct chan *c, const struct msg *m)
{
	const struct exec_llm_settings	*ask = m->body;
	struct op			*op = op_new(c, m, &ask->job);

	if (op != NULL)
		op_refuse(op, XERR_ENOTSUP, "this runner's protocol (1) "
		    "cannot take LLM settings; start it with them");
}

/* --- an answer to front --- */

/* takes the body: it goes out under front's credit. */
static void
answer(struct op *op, uint16_t status, const char *retry, struct buf *body)
{
	struct slice		 lines[HEADERS_MAX];
	struct exec_llm_head	 head = { op->job, status, { lines, 0 } };
	char			 ignored[sizeof(op->llm->ignored) + 32];

	lines[head.headers.n++] = slice_str("content-type: application/json");
	if (op->llm->ignored[0] != '\0') {
		snprintf(ignored, sizeof(ignored), "x-xbot-llm-ignored: %s",
		    op->llm->ignored);
		lines[head.headers.n++] = slice_str(ignored);
	}
	if (retry[0] != '\0')
		lines[head.headers.n++] = slice_str(retry);
	/* What came is not needed any more. */
	free(op->mem);
	op->mem = NULL;
	budget_give(op->held);
	buf_clear(&op->input);
	op->input = *body;
	*body = (struct buf){ 0 };
	op->held = op->input.cap;
	budget_force(op->held);
	op->outputs[0].stream = STREAM_FILE;
	op->outputs[0].data = (struct slice){ buf_data(&op->input),
	    op->input.len };
	op->step = OP_OUTPUT;
	op_send(op, EXEC_LLM_HEAD, &head);
	output_pump(op);
}

/* inner: JSON of the error, or empty: made of the text. */
static void
answer_error(struct op *op, uint16_t status, const char *retry,
    struct slice inner, const char *text)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	if (inner.len > 0)
		jsonw_raw(&w, "error", inner.p, inner.len);
	else {
		jsonw_object(&w, "error");
		jsonw_text(&w, "message", text);
		jsonw_text(&w, "type", status < 500 ?
		    "invalid_request_error" : "api_error");
		jsonw_null(&w, "param");
		jsonw_null(&w, "code");
		jsonw_end(&w);
	}
	jsonw_end(&w);
	if (jsonw_ok(&w))
		answer(op, status, retry, &b);
	else
		op_refuse(op, XERR_EBUSY, "out of memory");
	buf_clear(&b);
}

/* --- the question --- */

static bool
models_ask(struct op *op)
{
	struct jsonw	 w;

	request_id(op->text_id);
	jsonw_init(&w, &op->text);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "id", op->text_id);
	jsonw_text(&w, "type", v1_type_name(V1_LLM_MODELS));
	jsonw_text(&w, "user_id", op->link->user);
	jsonw_end(&w);
	return jsonw_ok(&w);
}

void
llm_body(struct op *op)
{
	struct slice	 none = { NULL, 0 };
	struct jsonw	 w;
	char		 why[LLM_TEXT_MAX] = "";
	bool		 ok;

	op->step = OP_WORK;
	if (op->llm->what == LLM_MODELS)
		ok = models_ask(op);
	else {
		request_id(op->text_id);
		request_open(op, &w, &op->text, V1_LLM_GENERATE, op->text_id);
		ok = llm_ask(op->llm, &w, (char *)buf_data(&op->input),
		    op->input.len, why) && request_end(&w);
		buf_clear(&op->input);
	}
	if (ok)
		op_ask(op, op->llm->what == LLM_MODELS ? V1_LLM_MODELS :
		    V1_LLM_GENERATE);
	else if (why[0] != '\0')
		answer_error(op, 400, "", none, why);
	else
		op_refuse(op, XERR_EBUSY, "out of memory");
}

/* --- the runner's answer --- */

static bool
text_ok(const struct v1_value *v)
{
	return v->kind <= V1_NULL || v->kind == V1_STRING;
}

static bool
calls_write(struct jsonw *w, struct v1_value *calls)
{
	struct v1_member	 m[] = { { .key = "id" }, { .key = "name" },
				    { .key = "arguments" } };
	struct v1_value		 e;

	jsonw_array(w, "tool_calls");
	while (v1_element(calls, &e)) {
		if (!v1_members(&e, m, NITEMS(m)) || !text_ok(&m[0].value) ||
		    m[1].value.kind != V1_STRING || !text_ok(&m[2].value))
			return false;
		jsonw_object(w, NULL);
		jsonw_str(w, "id", v1_string(&m[0].value));
		jsonw_text(w, "type", "function");
		jsonw_object(w, "function");
		jsonw_str(w, "name", v1_string(&m[1].value));
		jsonw_str(w, "arguments", m[2].value.len > 0 ?
		    v1_string(&m[2].value) : slice_str("{}"));
		jsonw_end(w);
		jsonw_end(w);
	}
	jsonw_end(w);
	return true;
}

/* A runner's numbers: not believed to be small. */
static int64_t
sum(int64_t a, int64_t b)
{
	int64_t n;

	return __builtin_add_overflow(a, b, &n) ? INT64_MAX : n;
}

/* Anthropic counts what is cached beside the prompt, OpenAI as part of it. */
static void
usage_write(struct jsonw *w, const struct v1_value *usage, bool anthropic)
{
	static const char *const	 names[] = { "prompt_tokens",
	    "completion_tokens", "total_tokens" };
	struct v1_member		 m[] = {
		{ .key = "prompt_tokens" }, { .key = "completion_tokens" },
		{ .key = "total_tokens" }, { .key = "cache_hit_tokens" },
		{ .key = "cache_creation_tokens" },
	};
	int64_t				 n[NITEMS(m)] = { 0 };
	size_t				 i;

	v1_members(usage, m, NITEMS(m));
	for (i = 0; i < NITEMS(m); i++)
		if (!v1_int(&m[i].value, &n[i]) || n[i] < 0)
			n[i] = 0;
	if (anthropic) {
		n[0] = sum(n[0], sum(n[3], n[4]));
		n[2] = sum(n[2], sum(n[3], n[4]));
	}
	jsonw_object(w, "usage");
	for (i = 0; i < NITEMS(names); i++)
		jsonw_int(w, names[i], n[i]);
	if (n[3] > 0 || n[4] > 0) {
		jsonw_object(w, "prompt_tokens_details");
		jsonw_int(w, "cached_tokens", n[3]);
		if (n[4] > 0)
			jsonw_int(w, "cache_creation_tokens", n[4]);
		jsonw_end(w);
	}
	jsonw_end(w);
}

/* Those that OpenAI has another word for; the rest as it came. */
static const char *
finish_of(struct slice s, bool tools, char dst[64])
{
	static const struct {
		const char	*theirs, *ours;
	} words[] = {
		{ "model_context_window_exceeded", "length" },
		{ "stop_sequence", "stop" }, { "pause_turn", "stop" },
		{ "refusal", "content_filter" },
	};
	size_t i;

	if (s.len == 0 || s.len >= 64)
		return tools ? "tool_calls" : "stop";
	for (i = 0; i < NITEMS(words); i++)
		if (slice_is(s, words[i].theirs))
			return words[i].ours;
	text_clean(dst, 63, s);
	return dst;
}

static bool
message_write(struct jsonw *w, struct v1_member m[4], bool tools)
{
	struct slice	 content = v1_string(&m[0].value);
	struct slice	 reasoning = v1_string(&m[1].value);

	jsonw_object(w, "message");
	jsonw_text(w, "role", "assistant");
	if (content.len == 0 && tools)
		jsonw_null(w, "content");
	else
		jsonw_str(w, "content", content);
	if (reasoning.len > 0)
		jsonw_str(w, "reasoning_content", reasoning);
	if (tools && !calls_write(w, &m[2].value))
		return false;
	jsonw_end(w);
	return true;
}

static bool
response_write(const struct op *op, struct jsonw *w, struct v1_value *body)
{
	struct v1_member	 m[] = {
		{ .key = "content" }, { .key = "reasoning_content" },
		{ .key = "tool_calls" }, { .key = "finish_reason" },
		{ .key = "usage" },
	};
	struct v1_value		 peek, e;
	char			 id[48], finish[64];
	bool			 tools;

	if (!v1_members(body, m, NITEMS(m)) || !text_ok(&m[0].value) ||
	    !text_ok(&m[1].value) || !text_ok(&m[3].value) ||
	    (m[2].value.kind > V1_NULL && m[2].value.kind != V1_ARRAY) ||
	    (m[4].value.kind > V1_NULL && m[4].value.kind != V1_OBJECT))
		return false;
	peek = m[2].value;
	tools = v1_element(&peek, &e);
	snprintf(id, sizeof(id), "chatcmpl-%s", op->id + strlen("req_"));
	jsonw_object(w, NULL);
	jsonw_text(w, "id", id);
	jsonw_text(w, "object", "chat.completion");
	jsonw_int(w, "created", (int64_t)time(NULL));
	jsonw_text(w, "model", op->llm->model[0] != '\0' ? op->llm->model :
	    op->link->model);
	jsonw_array(w, "choices");
	jsonw_object(w, NULL);
	jsonw_int(w, "index", 0);
	if (!message_write(w, m, tools))
		return false;
	jsonw_null(w, "logprobs");
	jsonw_text(w, "finish_reason", finish_of(v1_string(&m[3].value),
	    tools, finish));
	jsonw_end(w);
	jsonw_end(w);
	usage_write(w, &m[4].value,
	    strcmp(op->link->provider, "anthropic") == 0);
	jsonw_end(w);
	return true;
}

static void
written(struct op *op, bool good, struct jsonw *w, struct buf *b)
{
	if (!good)
		reply_malformed(op);
	else if (!jsonw_ok(w))
		op_refuse(op, XERR_EBUSY, "out of memory");
	else
		answer(op, 200, "", b);
	buf_clear(b);
}

void
llm_take_response(struct op *op, struct v1_value *body)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	written(op, response_write(op, &w, body), &w, &b);
}

static bool
models_write(const struct op *op, struct jsonw *w, struct v1_value *body)
{
	struct v1_member	 m[] = { { .key = "models" } };
	struct v1_value		 e;
	size_t			 n = 0;

	if (!v1_members(body, m, 1) || (m[0].value.kind > V1_NULL &&
	    m[0].value.kind != V1_ARRAY))
		return false;
	jsonw_object(w, NULL);
	jsonw_text(w, "object", "list");
	jsonw_array(w, "data");
	while (v1_element(&m[0].value, &e)) {
		if (e.kind != V1_STRING || n++ >= MODELS_MAX)
			return false;
		jsonw_object(w, NULL);
		jsonw_str(w, "id", v1_string(&e));
		jsonw_text(w, "object", "model");
		jsonw_int(w, "created", 0);
		jsonw_text(w, "owned_by", op->link->provider);
		jsonw_end(w);
	}
	jsonw_end(w);
	jsonw_end(w);
	return true;
}

void
llm_take_models(struct op *op, struct v1_value *body)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	written(op, models_write(op, &w, body), &w, &b);
}

/* --- its errors --- */

/*
 * A runner tells the provider's answer in words: of Go's clients "POST url:
 * 429 Too Many Requests {...}", of ours "status 429 (retry after 7 s): {...}".
 * Then the client gets what the provider said.  0: nothing like it.
 */
static uint16_t
status_find(const char *text, const char **behind)
{
	const char	*p, *at;
	size_t		 i, n;

	for (p = text; (p = strpbrk(p, "45")) != NULL; p++) {
		if (!isdigit((unsigned char)p[1]) ||
		    !isdigit((unsigned char)p[2]) ||
		    isalnum((unsigned char)p[3]))
			continue;
		for (i = 0; i < NITEMS(before_status); i++) {
			n = strlen(before_status[i]);
			at = p - n;
			if ((size_t)(p - text) < n || strncmp(at,
			    before_status[i], n) != 0)
				continue;
			*behind = p + 3;
			return (uint16_t)((p[0] - '0') * 100 +
			    (p[1] - '0') * 10 + (p[2] - '0'));
		}
	}
	return 0;
}

/* The error that a text ends with, as JSON; eaten.  Empty: none. */
static struct slice
error_find(char *text)
{
	struct v1_member	 m[] = { { .key = "error" },
				    { .key = "message" } };
	struct v1_value		 v;
	char			*open = strchr(text, '{');
	char			*close = open != NULL ? strrchr(open, '}') :
				    NULL;

	if (close == NULL ||
	    !v1_value(open, (size_t)(close + 1 - open), &v) ||
	    !v1_members(&v, m, NITEMS(m)))
		return (struct slice){ NULL, 0 };
	if (m[0].value.kind == V1_OBJECT)
		return v1_raw(&m[0].value);
	return m[1].value.kind == V1_STRING ? v1_raw(&v) :
	    (struct slice){ NULL, 0 };
}

static void
failed(struct op *op, struct slice message, const char *shown)
{
	struct slice	 inner = { NULL, 0 };
	const char	*behind, *after;
	char		*text, retry[64] = "";
	uint16_t	 status = 0;
	unsigned int	 seconds;

	text = strndup(message.len > 0 ? message.p : "", message.len);
	if (text == NULL) {
		op_refuse(op, XERR_EBUSY, "out of memory");
		return;
	}
	if (utf8_valid(text, strlen(text)) &&
	    (status = status_find(text, &behind)) != 0) {
		after = strstr(behind, "(retry after ");
		if (after != NULL && sscanf(after, "(retry after %5u",
		    &seconds) == 1)
			snprintf(retry, sizeof(retry), "retry-after: %u",
			    seconds);
		inner = error_find(text + (behind - text));
	}
	answer_error(op, status != 0 ? status : 502, retry, inner, shown);
	free(text);
}

void
llm_take_error(struct op *op, struct v1_value *body)
{
	struct v1_member	 m[] = { { .key = "message" },
				    { .key = "code" } };
	struct slice		 message, none = { NULL, 0 };
	char			 text[REPLY_TEXT_MAX + 1];
	enum xerr		 code;

	v1_members(body, m, NITEMS(m));
	message = v1_string(&m[0].value);
	code = v1_error_code(v1_string(&m[1].value));
	text_clean(text, REPLY_TEXT_MAX, message.len > 0 ? message :
	    slice_str("the runner gave no reason"));
	/* Most of it is a provider's: not for the log. */
	log_info("connection %llu: %s: %s",
	    (unsigned long long)op->link->serial,
	    op->llm->what == LLM_MODELS ? "llm_models" : "llm_generate",
	    xerr_name(code));
	if (code == XERR_EINVAL)
		answer_error(op, 400, "", none, text);
	else if (code == XERR_EIO)
		failed(op, message, text);
	else
		op_refuse(op, code, text);
}
