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
 * Server-sent events: a stream of bytes cut at its empty lines.
 * Runs in: front, control.  Input is hostile; one event is held at most.
 */

#include <string.h>

#include "supervisor/front/llm.h"

static size_t	event_len(const struct sse *);
static void	event_read(struct slice, struct sse_event *);
static bool	field_is(const char *, size_t, const char *, struct slice *);

/* The event's length with its empty line; 0: it is not whole. */
static size_t
event_len(const struct sse *s)
{
	const char	*p = (const char *)buf_data(&s->wait);
	size_t		 i = s->seen, n = s->wait.len;

	for (; i < n; i++) {
		if (p[i] != '\n')
			continue;
		if (i == 0 || p[i - 1] == '\n' ||
		    (i >= 2 && p[i - 1] == '\r' && p[i - 2] == '\n') ||
		    (i == 1 && p[0] == '\r'))
			return i + 1;
	}
	return 0;
}

static bool
field_is(const char *line, size_t len, const char *name, struct slice *value)
{
	size_t n = strlen(name);

	if (len < n || memcmp(line, name, n) != 0)
		return false;
	if (len > n && line[n] == ' ')
		n++;
	*value = (struct slice){ line + n, len - n };
	return true;
}

/* Both dialects have one line of data; of more the last one counts. */
static void
event_read(struct slice raw, struct sse_event *e)
{
	const char	*p = raw.p, *end = p + raw.len, *nl;
	size_t		 len;

	memset(e, 0, sizeof(*e));
	e->raw = raw;
	for (; p < end; p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		len = (size_t)(nl - p);
		if (len > 0 && p[len - 1] == '\r')
			len--;
		if (!field_is(p, len, "data:", &e->data))
			(void)field_is(p, len, "event:", &e->name);
		if (nl == end)
			break;
	}
}

enum xerr
sse_feed(struct sse *s, const void *p, size_t n,
    bool (*fn)(void *, const struct sse_event *), void *arg)
{
	struct sse_event	 e;
	size_t			 len;

	if (buf_add(&s->wait, p, n) == -1)
		return XERR_EBUSY;
	while ((len = event_len(s)) > 0) {
		event_read((struct slice){ buf_data(&s->wait), len }, &e);
		if (!fn(arg, &e))
			return XERR_EIO;
		buf_drain(&s->wait, len);
		s->seen = 0;
	}
	s->seen = s->wait.len;
	return s->wait.len > LLM_EVENT_MAX ? XERR_E2BIG : XERR_NONE;
}

enum xerr
sse_end(struct sse *s, bool (*fn)(void *, const struct sse_event *), void *arg)
{
	if (s->wait.len == 0)
		return XERR_NONE;
	return sse_feed(s, "\n\n", 2, fn, arg);
}

bool
sse_write(struct buf *b, const char *name, const struct buf *data)
{
	return (name == NULL || (buf_add(b, "event: ", 7) == 0 &&
	    buf_add(b, name, strlen(name)) == 0 && buf_add(b, "\n", 1) == 0)) &&
	    buf_add(b, "data: ", 6) == 0 &&
	    buf_add(b, buf_data(data), data->len) == 0 &&
	    buf_add(b, "\n\n", 2) == 0;
}
