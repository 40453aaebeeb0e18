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
 * See llm_http.h.
 */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/llm_headers.h"
#include "base/llm_http.h"

#define CONNECT_MS	10000
#define RETRIES		2
#define SEND_MAX	16	/* exec.def: llm_call.headers */
#define HEADER_MAX	1024
#define VALUE_MAX	2048	/* exec.def: llm_head.headers */

static const char *const	names[] = {
	[LLM_OPENAI] = "openai", [LLM_ANTHROPIC] = "anthropic"
};

/* Behind the base URL.  NULL: that provider has it not. */
static const char *const	paths[2][3] = {
	[LLM_OPENAI] = {
		[LLM_CHAT] = "/chat/completions", [LLM_MODELS] = "/models"
	},
	[LLM_ANTHROPIC] = {
		[LLM_CHAT] = "/v1/messages", [LLM_MODELS] = "/v1/models",
		[LLM_COUNT] = "/v1/messages/count_tokens"
	}
};

/* The request's headers as C strings. */
struct lines {
	char	key[LLM_KEY_MAX + 32];
	char	more[SEND_MAX][HEADER_MAX + 1];
};

static bool	header_has(const char *const *, size_t, const char *);
static bool	url_make(char *, size_t, const char *, const char *);
static void	headers_make(const struct llm_provider *, bool,
		    const struct slices *, struct lines *, const char **);

#define N(v)	(sizeof(v) / sizeof((v)[0]))

bool
llm_dialect_by_name(const char *name, enum llm_dialect *d)
{
	size_t	 i;

	for (i = 0; i < N(names); i++)
		if (strcmp(names[i], name) == 0) {
			*d = (enum llm_dialect)i;
			return true;
		}
	return false;
}

static bool
header_has(const char *const *v, size_t n, const char *name)
{
	size_t	 i, len = strlen(name);

	for (i = 0; i < n; i++)
		if (strncasecmp(v[i], name, len) == 0 && v[i][len] == ':')
			return true;
	return false;
}

/* One "/" between, and no "/v1" twice, however the base was written. */
static bool
url_make(char *dst, size_t size, const char *base, const char *path)
{
	size_t	 len = strlen(base);
	int	 n;

	while (len > 0 && base[len - 1] == '/')
		len--;
	if (strncmp(path, "/v1/", 4) == 0 && len > 3 &&
	    strncmp(base + len - 3, "/v1", 3) == 0)
		len -= 3;
	n = snprintf(dst, size, "%s%.*s%s",
	    strstr(base, "://") == NULL ? "https://" : "", (int)len, base,
	    path);
	return n > 0 && (size_t)n < size;
}

/* Into v, which lends from l and ends with NULL. */
static void
headers_make(const struct llm_provider *p, bool body,
    const struct slices *more, struct lines *l, const char **v)
{
	size_t	 n = 0;
	uint32_t i;

	for (i = 0; i < more->n && n < SEND_MAX; i++)
		if (llm_header_up(more->v[i]) && slice_copy(l->more[n],
		    sizeof(l->more[n]), more->v[i])) {
			v[n] = l->more[n];
			n++;
		}
	if (p->key[0] != '\0') {
		snprintf(l->key, sizeof(l->key), "%s%s",
		    p->dialect == LLM_OPENAI ? "Authorization: Bearer " :
		    "x-api-key: ", p->key);
		v[n++] = l->key;
	}
	if (body)
		v[n++] = "Content-Type: application/json";
	if (p->dialect == LLM_ANTHROPIC &&
	    !header_has(v, n, "anthropic-version"))
		v[n++] = "anthropic-version: 2023-06-01";
	v[n] = NULL;
}

struct http_call *
llm_http_call(struct http_client *hc, const struct llm_provider *p,
    enum llm_what what, const struct slices *headers, struct buf *body,
    const struct http_ops *ops, void *arg, const char **why)
{
	static struct lines	 l;
	const char		*v[SEND_MAX + 4], *path;
	char			 url[LLM_URL_MAX];
	struct http_call	*call;
	struct http_request	 req = {
		.method = what == LLM_MODELS ? "GET" : "POST", .url = url,
		.headers = v, .body = what == LLM_MODELS ? NULL : body,
		.ca_file = p->ca_file, .proxy = p->proxy,
		.connect_ms = CONNECT_MS, .first_ms = p->first_ms,
		.idle_ms = p->idle_ms, .retries = RETRIES
	};

	*why = "the provider has no such thing";
	path = (unsigned int)what < 3 ? paths[p->dialect][what] : NULL;
	if (path == NULL)
		return NULL;
	*why = "the provider's address is too long";
	if (!url_make(url, sizeof(url), p->base_url, path))
		return NULL;
	headers_make(p, what != LLM_MODELS, headers, &l, v);
	*why = "out of memory";
	call = http_call_new(hc, &req, ops, arg);
	explicit_bzero(l.key, sizeof(l.key));
	return call;
}

size_t
llm_http_headers(const struct http_head *head,
    struct slice dst[LLM_HEADERS_MAX])
{
	struct slice	 h;
	size_t		 i, len, n = 0;

	for (i = 0; i < head->nheaders && n < LLM_HEADERS_MAX; i++) {
		len = strlen(head->headers[i]);
		h = (struct slice){ head->headers[i], len };
		if (len <= VALUE_MAX && llm_header_down(h))
			dst[n++] = h;
	}
	return n;
}
