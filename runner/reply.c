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
 * The queue of replies and their way through UTF-8 repair, JSON escapes and
 * base64 into fragments.  Runs in: xbot-runner.  The bytes are those of
 * commands and files: anything.
 */

#include <sys/queue.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/utf8.h"
#include "base/ws.h"
#include "runner/budget.h"
#include "runner/reply.h"

#define FRAGMENT	(64 * 1024)	/* pongs go between two of them */
#define PIECE		(24 * 1024)	/* source bytes escaped at a time */
#define PARTS_MAX	8

enum part_kind {
	PART_RAW,
	PART_TEXT,
	PART_BASE64
};

struct part {
	enum part_kind		 kind;
	struct evbuffer		*eb;	/* owned */
	struct utf8_stream	 utf8;
	struct base64_enc	 enc;
	bool			 charged;
};

struct reply {
	TAILQ_ENTRY(reply)	 entry;
	struct part		 parts[PARTS_MAX];
	size_t			 n;
	size_t			 at;	/* the part being sent */
};

static TAILQ_HEAD(, reply)	 queue = TAILQ_HEAD_INITIALIZER(queue);
static size_t			 waiting;
static struct ws		*conn;
static bool			 full;	/* until it says that it is writable */

static void		 json_escape(struct buf *, const uint8_t *, size_t);
static struct part	*part_new(struct reply *, enum part_kind);
static void		 part_take(struct reply *, enum part_kind,
			    struct evbuffer *);
static bool		 part_fill(struct part *, struct buf *);
static void		 part_clear(struct part *);
static bool		 reply_fill(struct reply *, struct buf *);
static void		 reply_pump(void);
static void		 reply_free(struct reply *);
static void		 raw_add(struct reply *, const void *, size_t);
static void		 must(int);

/* Out of memory with bounded buffers: there is no honest way on. */
static void
must(int res)
{
	if (res == -1)
		fatalx("out of memory");
}

static void
json_escape(struct buf *out, const uint8_t *p, size_t n)
{
	static const char	 shorts[32] = { ['\b'] = 'b', ['\f'] = 'f',
				    ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
	static const char	 hex[] = "0123456789abcdef";
	char			 esc[6] = "\\u00";
	size_t			 i, len, from = 0;

	for (i = 0; i < n; i++) {
		if (p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
			continue;
		must(buf_add(out, p + from, i - from));
		from = i + 1;
		len = 2;
		if (p[i] >= 0x20)
			esc[1] = (char)p[i];
		else if (shorts[p[i]] != 0)
			esc[1] = shorts[p[i]];
		else {
			esc[1] = 'u';
			esc[4] = hex[p[i] >> 4];
			esc[5] = hex[p[i] & 15];
			len = 6;
		}
		must(buf_add(out, esc, len));
	}
	must(buf_add(out, p + from, n - from));
}

static struct part *
part_new(struct reply *r, enum part_kind kind)
{
	struct part	*p;

	if (r->n == PARTS_MAX)
		fatalx("reply with too many parts");
	p = &r->parts[r->n++];
	p->kind = kind;
	return p;
}

static void
part_take(struct reply *r, enum part_kind kind, struct evbuffer *eb)
{
	struct part	*p = part_new(r, kind);

	p->eb = eb;
	p->charged = true;
}

static void
part_clear(struct part *p)
{
	size_t	 n;

	if (p->eb == NULL)
		return;
	n = evbuffer_get_length(p->eb);
	evbuffer_free(p->eb);
	p->eb = NULL;
	if (p->charged)
		budget_give(n);
}

/* Moves one piece to out; false when this was the last. */
static bool
part_fill(struct part *p, struct buf *out)
{
	struct evbuffer_iovec	 v = { 0 };
	struct buf		 text = { 0 };
	size_t			 n;
	bool			 last;
	char			*dst;

	evbuffer_peek(p->eb, PIECE, NULL, &v, 1);
	n = v.iov_len < PIECE ? v.iov_len : PIECE;
	last = n == evbuffer_get_length(p->eb);
	switch (p->kind) {
	case PART_RAW:
		must(buf_add(out, v.iov_base, n));
		break;
	case PART_TEXT:
		must(utf8_replace(&p->utf8, &text, v.iov_base, n, last));
		json_escape(out, buf_data(&text), text.len);
		buf_clear(&text);
		break;
	case PART_BASE64:
		if ((dst = buf_reserve(out, BASE64_LEN(n + 2) + 4)) == NULL)
			must(-1);
		out->len += base64_enc_add(&p->enc, dst, v.iov_base, n);
		if (last)
			out->len += base64_enc_end(&p->enc,
			    (char *)buf_data(out) + out->len);
		break;
	}
	evbuffer_drain(p->eb, n);
	if (p->charged)
		budget_give(n);
	return !last;
}

/* A fragment's worth to out; false when the reply ends with it. */
static bool
reply_fill(struct reply *r, struct buf *out)
{
	while (r->at < r->n && out->len < FRAGMENT) {
		if (!part_fill(&r->parts[r->at], out))
			part_clear(&r->parts[r->at++]);
	}
	return r->at < r->n;
}

static void
reply_free(struct reply *r)
{
	size_t	 i;

	for (i = 0; i < r->n; i++)
		part_clear(&r->parts[i]);
	free(r);
}

static void
raw_add(struct reply *r, const void *bytes, size_t n)
{
	struct part	*p = r->n > 0 ? &r->parts[r->n - 1] : NULL;

	if (p == NULL || p->kind != PART_RAW || p->charged) {
		p = part_new(r, PART_RAW);
		if ((p->eb = evbuffer_new()) == NULL)
			must(-1);
	}
	must(evbuffer_add(p->eb, bytes, n));
}

struct reply *
reply_new(struct slice id, enum v1_type type)
{
	struct reply	*r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		must(-1);
	if (id.len > 0) {
		reply_json(r, "{\"id\":\"");
		reply_bytes(r, id);
		reply_json(r, "\",");
	} else
		reply_json(r, "{");
	reply_json(r, "\"type\":\"%s\"", v1_type_name(type));
	return r;
}

void
reply_json(struct reply *r, const char *fmt, ...)
{
	char	 text[512];
	va_list	 ap;
	int	 n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		fatalx("reply_json");
	raw_add(r, text, (size_t)n);
}

void
reply_bytes(struct reply *r, struct slice s)
{
	struct utf8_stream	 state = { 0 };
	struct buf		 text = { 0 }, out = { 0 };

	must(utf8_replace(&state, &text, s.p, s.len, true));
	json_escape(&out, buf_data(&text), text.len);
	raw_add(r, buf_data(&out), out.len);
	buf_clear(&text);
	buf_clear(&out);
}

void
reply_base64_bytes(struct reply *r, const void *bytes, size_t n)
{
	struct buf	 out = { 0 };
	char		*dst;

	if ((dst = buf_reserve(&out, BASE64_LEN(n) + 1)) == NULL)
		must(-1);
	raw_add(r, dst, base64_encode(dst, bytes, n));
	buf_clear(&out);
}

void
reply_dropped(struct reply *r, uint64_t n)
{
	reply_json(r, "[\u2026 %llu bytes dropped \u2026]\\n",
	    (unsigned long long)n);
}

void
reply_text(struct reply *r, struct evbuffer *eb)
{
	part_take(r, PART_TEXT, eb);
}

void
reply_base64(struct reply *r, struct evbuffer *eb)
{
	part_take(r, PART_BASE64, eb);
}

void
reply_raw(struct reply *r, struct evbuffer *eb)
{
	part_take(r, PART_RAW, eb);
}

void
reply_queue(struct reply *r)
{
	if (conn == NULL) {
		reply_free(r);
		return;
	}
	TAILQ_INSERT_TAIL(&queue, r, entry);
	waiting++;
	reply_pump();
}

void
reply_error(struct slice id, struct slice type, enum xerr code,
    struct slice text)
{
	char		 vid[80], vtype[80], vtext[512];
	struct reply	*r;

	if (text.len == 0)
		text = slice_str(v1_error_name(code));
	log_warnx("reply %s to %s: %s: %s", v1_error_name(code),
	    log_vis(vtype, sizeof(vtype), type.p, type.len),
	    log_vis(vid, sizeof(vid), id.p, id.len),
	    log_vis(vtext, sizeof(vtext), text.p, text.len));
	r = reply_new(id, V1_ERROR);
	reply_json(r, ",\"body\":{\"message\":\"");
	reply_bytes(r, text);
	reply_json(r, "\",\"code\":\"%s\"}}", v1_error_name(code));
	reply_queue(r);
}

void
reply_attach(struct ws *ws)
{
	struct reply	*r;

	conn = ws;
	full = false;
	while (ws == NULL && (r = TAILQ_FIRST(&queue)) != NULL) {
		TAILQ_REMOVE(&queue, r, entry);
		waiting--;
		reply_free(r);
	}
}

void
reply_writable(void)
{
	full = false;
	reply_pump();
}

static void
reply_pump(void)
{
	struct reply	*r;
	struct buf	 out = { 0 };
	bool		 more;

	while (conn != NULL && !full && (r = TAILQ_FIRST(&queue)) != NULL) {
		out.len = 0;
		more = reply_fill(r, &out);
		full = ws_send(conn, WS_TEXT, !more, buf_data(&out),
		    out.len) != 0;
		if (!more) {
			TAILQ_REMOVE(&queue, r, entry);
			waiting--;
			reply_free(r);
		}
	}
	buf_clear(&out);
}

size_t
reply_waiting(void)
{
	return waiting;
}

bool
reply_busy(void)
{
	return full || !TAILQ_EMPTY(&queue);
}
