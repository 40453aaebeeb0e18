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
 * Errors in the words of the two dialects.  Runs in: front, control.
 * A provider's text is hostile: it is read as JSON or told as a string.
 */

#include <string.h>

#include "supervisor/front/llm.h"

#define TEXT_MAX	4096	/* of a provider's error that is no JSON */

/* What the two call it; the first line of a status counts. */
static const struct {
	int		 status;
	const char	*openai, *anthropic;
} kinds[] = {
	{ 400, "invalid_request_error",	"invalid_request_error" },
	{ 401, "authentication_error",	"authentication_error" },
	{ 403, "permission_error",	"permission_error" },
	{ 404, "not_found_error",	"not_found_error" },
	{ 413, "invalid_request_error",	"request_too_large" },
	{ 422, "invalid_request_error",	"invalid_request_error" },
	{ 429, "rate_limit_error",	"rate_limit_error" },
	{ 501, "invalid_request_error",	"invalid_request_error" },
	{ 503, "server_error",		"overloaded_error" },
	{ 504, "server_error",		"timeout_error" },
	{ 529, "server_error",		"overloaded_error" },
};

static const char	*kind_of(enum llm_dialect, int);
static void		 error_write(enum llm_dialect, const char *kind,
			    struct slice message, struct slice code,
			    struct buf *);

static const char *
kind_of(enum llm_dialect to, int status)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].status == status)
			return to == LLM_OPENAI ? kinds[i].openai :
			    kinds[i].anthropic;
	if (status >= 500)
		return to == LLM_OPENAI ? "server_error" : "api_error";
	return "invalid_request_error";
}

static void
error_write(enum llm_dialect to, const char *kind, struct slice message,
    struct slice code, struct buf *b)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w, NULL);
	if (to == LLM_ANTHROPIC)
		jsonw_text(&w, "type", "error");
	jsonw_object(&w, "error");
	jsonw_str(&w, "message", message);
	jsonw_text(&w, "type", kind);
	if (to == LLM_OPENAI)
		jsonw_null(&w, "param");
	if (code.len > 0)
		jsonw_str(&w, "code", code);
	else if (to == LLM_OPENAI)
		jsonw_null(&w, "code");
	jsonw_end(&w);
	jsonw_end(&w);
}

/* Both put it into error.message; some say error: text, or no JSON at all. */
void
llm_error_make(enum llm_dialect to, int status, struct slice text,
    struct buf *b)
{
	const struct json_value	*error;
	struct slice		 message = text, code = { "", 0 };
	struct json		*j;
	const char		*why;

	if (message.len > TEXT_MAX)
		message.len = TEXT_MAX;
	if (message.len == 0)
		message = slice_str("the provider gave no reason");
	j = json_parse_deep(text.p, text.len, LLM_VALUES, LLM_DEPTH, &why);
	error = json_find(json_root(j), "error");
	if (json_type(error) == JSON_STRING)
		(void)json_str(error, &message);
	else {
		(void)json_get_str(error, "message", &message);
		if (to == LLM_OPENAI)
			(void)json_get_str(error, "code", &code);
	}
	error_write(to, kind_of(to, status), message, code, b);
	json_free(j);
}

void
llm_error_own(enum llm_dialect to, enum xerr code, const char *text,
    struct buf *b)
{
	error_write(to, kind_of(to, xerr_status(code)), slice_str(text),
	    slice_str(xerr_name(code)), b);
}

void
llm_stream_error(enum llm_dialect to, enum xerr code, const char *text,
    struct buf *b)
{
	struct buf data = { 0 };

	llm_error_own(to, code, text, &data);
	(void)sse_write(b, to == LLM_ANTHROPIC ? "error" : NULL, &data);
	buf_clear(&data);
}
