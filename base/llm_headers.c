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
 * See llm_headers.h.
 */

#include <string.h>
#include <strings.h>

#include "base/llm_headers.h"

/* What a client may say to the provider; never who it is. */
static const char *const	up[] = {
	"accept", "anthropic-beta", "anthropic-version", "openai-beta",
	"idempotency-key"
};

/* And the provider to the client; '*': whatever follows. */
static const char *const	down[] = {
	"content-type", "retry-after", "retry-after-ms", "x-should-retry",
	"request-id", "openai-processing-ms", "x-xbot-llm-ignored",
	"x-ratelimit-*",
	"anthropic-ratelimit-*"
};

static bool	header_listed(const char *, size_t, const char *const *,
		    size_t);

#define N(v)	(sizeof(v) / sizeof((v)[0]))

/* "name: value" with a name of the list and a value of visible text. */
static bool
header_listed(const char *h, size_t len, const char *const *list, size_t n)
{
	const char	*colon = memchr(h, ':', len);
	size_t		 i, name, part;

	if (colon == NULL)
		return false;
	for (i = 0; i < len; i++)
		if (((unsigned char)h[i] < ' ' && h[i] != '\t') ||
		    (unsigned char)h[i] >= 0x7f)
			return false;
	name = (size_t)(colon - h);
	for (i = 0; i < n; i++) {
		part = strcspn(list[i], "*");
		if ((list[i][part] == '*' ? name > part : name == part) &&
		    strncasecmp(h, list[i], part) == 0)
			return true;
	}
	return false;
}

bool
llm_header_up(struct slice h)
{
	return header_listed(h.p, h.len, up, N(up));
}

bool
llm_header_down(struct slice h)
{
	return header_listed(h.p, h.len, down, N(down));
}
