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
 * The files of xbot-llm.  Runs in: llm.
 */

#ifndef LLM_LLM_H
#define LLM_LLM_H

#include "base/chan.h"
#include "base/llm_http.h"
#include "base/table.h"

/* What front and control have open, each under its own serials. */
struct client {
	struct chan	*chan;		/* NULL: gone */
	struct table	 calls;
};

/* call.c */
extern const struct rules	call_rules;
/* provider is lent for life; its texts may be others for each new call. */
void	 call_init(struct http_client *, const struct llm_provider *);

#endif
