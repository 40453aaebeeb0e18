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
 * The connect command of xbot-runner-v1.md 4.5, with every value quoted that a
 * shell could take for something else.  Runs in: front, control; tests.
 */

#include <string.h>

#include "supervisor/front/connect.h"

static const char safe[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    "_./:@%+=,-";

static bool
add(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s)) == 0;
}

/* In single quotes, where a quote is: end, escaped quote, begin. */
static bool
add_quoted(struct buf *b, const char *s)
{
	size_t n;

	if (*s != '\0' && s[strspn(s, safe)] == '\0')
		return add(b, s);
	if (!add(b, "'"))
		return false;
	for (; *s != '\0'; s += n) {
		if (*s == '\'') {
			n = 1;
			if (!add(b, "'\\''"))
				return false;
			continue;
		}
		n = strcspn(s, "'");
		if (buf_add(b, s, n) == -1)
			return false;
	}
	return add(b, "'");
}

static bool
add_flag(struct buf *b, const char *flag, const char *value)
{
	return *value == '\0' ||
	    (add(b, flag) && add_quoted(b, value));
}

bool
connect_command(const struct connect *c, struct buf *b)
{
	struct buf	 url = { 0 };
	bool		 ok;

	ok = add(&url, c->public_url) && add(&url, "/ws/") &&
	    add(&url, c->user) && buf_add(&url, "", 1) == 0;
	ok = ok && add(b, "./xbot-runner") &&
	    add_flag(b, " --server ", (const char *)buf_data(&url)) &&
	    add_flag(b, " --token ", c->token);
	buf_clear(&url);
	if (ok && strcmp(c->mode, "docker") == 0)
		ok = add(b, " --mode docker") &&
		    add_flag(b, " --docker-image ", c->docker_image);
	ok = ok && add_flag(b, " --workspace ", c->workspace);
	if (ok && *c->llm_provider != '\0')
		ok = add_flag(b, " --llm-provider ", c->llm_provider) &&
		    add_flag(b, " --llm-api-key ", c->llm_api_key) &&
		    add_flag(b, " --llm-model ", c->llm_model) &&
		    add_flag(b, " --llm-base-url ", c->llm_base_url);
	return ok;
}
