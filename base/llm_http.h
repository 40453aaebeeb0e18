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
 * A call of a provider of language models over HTTP: where to, with which key
 * and headers, and what of the answer's head the client may see.
 * Runs in: llm, runner.  Input is hostile on both sides: what the client
 * sends along is matched with a list, and so is what the provider answers.
 */

#ifndef BASE_LLM_HTTP_H
#define BASE_LLM_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/http_client.h"
#include "proto/jobs.h"
#include "proto/msg.h"

#define LLM_URL_MAX		2048
#define LLM_KEY_MAX		8192	/* with its NUL */
#define LLM_HEADERS_MAX		32	/* exec.def: llm_head.headers */
#define LLM_OPENAI_URL		"https://api.openai.com/v1"
#define LLM_ANTHROPIC_URL	"https://api.anthropic.com"

/* All lent. */
struct llm_provider {
	enum llm_dialect	 dialect;
	const char		*base_url;	/* OpenAI's with its /v1 */
	const char		*key;		/* "": none is sent */
	const char		*ca_file;	/* as in struct http_request */
	const char		*proxy;
	unsigned int		 first_ms;
	unsigned int		 idle_ms;
};

/* "openai", "anthropic"; false: neither. */
bool	 llm_dialect_by_name(const char *, enum llm_dialect *);
/*
 * headers: of exec.def's llm_call.  body is taken.  NULL: no memory, or *why (a
 * literal): this provider has no such thing.
 */
struct http_call *llm_http_call(struct http_client *,
	    const struct llm_provider *, enum llm_what,
	    const struct slices *headers, struct buf *body,
	    const struct http_ops *, void *arg, const char **why);
/* Those that the client may see, for llm_head; views of the head's. */
size_t	 llm_http_headers(const struct http_head *,
	    struct slice dst[LLM_HEADERS_MAX]);

#endif
