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
 * See query.h.  Runs in: front, control.  Input is hostile.
 */

#include <string.h>

#include "proto/jobs.h"
#include "supervisor/front/query.h"

static bool	 query_text(struct req *, struct query *, const char *,
		    unsigned int, struct slice *);
static bool	 query_list(struct req *, struct query *, const char *,
		    struct slice *, uint32_t *);
static bool	 query_number(struct req *, const char *, uint16_t *);

/* The idx-th value of a parameter; s->p is NULL when there is none. */
static bool
query_text(struct req *r, struct query *q, const char *name,
    unsigned int idx, struct slice *s)
{
	struct http_req	*h = req_http(r);
	char		*dst = q->text + q->used;
	ssize_t		 n;

	*s = (struct slice){ NULL, 0 };
	if (h == NULL)
		return false;
	n = http_req_param(h, name, idx, dst, sizeof(q->text) - q->used);
	if (n == -1)
		return true;
	if (n < 0 || memchr(dst, '\0', (size_t)n) != NULL ||
	    !utf8_valid(dst, (size_t)n)) {
		req_error(r, XERR_EINVAL, "%s: malformed or too long", name);
		return false;
	}
	*s = (struct slice){ dst, (size_t)n };
	q->used += (size_t)n + 1;
	return true;
}

static bool
query_list(struct req *r, struct query *q, const char *name,
    struct slice *v, uint32_t *n)
{
	struct slice	 s;
	unsigned int	 i;

	for (i = 0; ; i++) {
		if (!query_text(r, q, name, i, &s))
			return false;
		if (s.p == NULL)
			return true;
		if (*n == QUERY_ARGS) {
			req_error(r, XERR_E2BIG, "%s: too many", name);
			return false;
		}
		v[(*n)++] = s;
	}
}

static bool
query_number(struct req *r, const char *name, uint16_t *value)
{
	static const struct req_range	 characters = { 10, 1, UINT16_MAX,
	    "not a number of characters" };
	uint64_t			 n = *value;
	bool				 ok;

	ok = req_number(r, name, &characters, &n);
	*value = (uint16_t)n;
	return ok;
}

bool
query_parse(struct req *r, struct query *q, uint8_t kind)
{
	struct slice	 s;
	uint32_t	 argc = 1, envc = 0;

	memset(&q->start, 0, sizeof(q->start));
	q->used = 0;
	q->start.kind = kind;
	q->start.cols = 80;
	q->start.rows = 24;
	if (!req_session(r, q->session, sizeof(q->session)) ||
	    !query_number(r, "cols", &q->start.cols) ||
	    !query_number(r, "rows", &q->start.rows) ||
	    !query_text(r, q, "dir", 0, &q->start.dir) ||
	    !query_text(r, q, "command", 0, &s) ||
	    !query_list(r, q, "arg", q->argv, &argc) ||
	    !query_list(r, q, "env", q->env, &envc))
		return false;
	if (s.len > 0) {
		q->argv[0] = s;
		q->start.argv = (struct slices){ q->argv, argc };
	} else if (kind == JOB_STDIO || argc > 1) {
		req_error(r, XERR_EINVAL, "no command");
		return false;
	}
	q->start.env = (struct slices){ q->env, envc };
	while (envc-- > 0)
		if (q->env[envc].len < 2 || *(const char *)q->env[envc].p ==
		    '=' || memchr(q->env[envc].p, '=', q->env[envc].len) ==
		    NULL) {
			req_error(r, XERR_EINVAL, "env: not NAME=value");
			return false;
		}
	if (q->start.dir.len > 4096) {
		req_error(r, XERR_EINVAL, "dir: too long");
		return false;
	}
	return true;
}
