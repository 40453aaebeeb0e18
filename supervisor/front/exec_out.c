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
 * A command's output towards the client.  Runs in: front, control.
 *
 * JSON: kept up to the limit, the rest discarded while the command runs on;
 * a long answer is written in pieces as the client takes it.  NDJSON: a line
 * for each piece, and no credit for a command whose client does not read.
 */

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/front/events.h"
#include "supervisor/front/exec.h"

/* What all requests together may keep; past it answers are truncated. */
#define KEPT_MAX	(768u * 1024 * 1024)
#define KEPT_SHARE	8
#define PIECE		(48u * 1024)	/* of a long answer; a multiple of 3 */
#define SHORT_MAX	(256u * 1024)	/* whole answers, with a length */

enum phase { PHASE_NONE, PHASE_STDOUT, PHASE_STDERR, PHASE_TAIL, PHASE_END };

static size_t	 kept_total;

static void	 keep(struct exec *, struct exec_stream *, struct slice);
static bool	 line_start(struct exec *, struct req *);
static void	 line_output(struct exec *, struct req *, int, struct slice);
static void	 members_end(void *, struct jsonw *);
static void	 members_write(const struct exec_pieces *, void *, bool,
		    struct buf *);
static void	 exec_piece(struct exec_stream *, bool base64, struct buf *);
static void	 answer_pump(struct exec *, struct req *);
static void	 lines_end(struct exec *, struct req *, struct buf *);
static void	 answer_short(struct exec *, struct req *);
static void	 trail(struct exec *, struct req *, const char *);

static const char *const names[] = { "stdout", "stderr" };

static void
keep(struct exec *x, struct exec_stream *s, struct slice d)
{
	size_t	 n = d.len, room, most;

	/* No stream takes more than its share of what is left, so the ones
	 * that keep much do not leave the others nothing. */
	most = (KEPT_MAX - kept_total + s->kept.len) / KEPT_SHARE;
	if (most > front.conf.output_max)
		most = (size_t)front.conf.output_max;
	room = s->kept.len < most ? most - s->kept.len : 0;
	if (n > room) {
		n = room;
		x->truncated = true;
	}
	if (n == 0)
		return;
	if (buf_add(&s->kept, d.p, n) == -1) {
		x->truncated = true;
		return;
	}
	kept_total += n;
}

bool
exec_keep_last(struct exec_stream *s, struct slice d, size_t most)
{
	size_t over;

	if (d.len > KEPT_MAX - kept_total ||
	    buf_add(&s->kept, d.p, d.len) == -1)
		return false;
	over = s->kept.len > most ? s->kept.len - most : 0;
	buf_drain(&s->kept, over);
	kept_total += d.len - over;
	return true;
}

void
exec_stream_clear(struct exec_stream *s)
{
	kept_total -= s->kept.len;
	buf_clear(&s->kept);
}

void
exec_discard(struct exec *x)
{
	exec_stream_clear(&x->out[0]);
	exec_stream_clear(&x->out[1]);
}

void
exec_output(struct exec *x, struct req *r, int i, struct slice d)
{
	if (x->ndjson)
		line_output(x, r, i, d);
	else {
		keep(x, &x->out[i], d);
		exec_credit(x, i);
	}
}

static bool
line_start(struct exec *x, struct req *r)
{
	if (x->phase != PHASE_NONE)
		return true;
	x->phase = PHASE_STDOUT;
	return req_start(r, 200, "application/x-ndjson", -1) != -1;
}

static void
line_output(struct exec *x, struct req *r, int i, struct slice d)
{
	struct exec_stream	*s = &x->out[i];
	struct buf		 text = { 0 }, b = { 0 };
	struct jsonw		 w;
	int			 full = 0;

	if (!line_start(x, r))
		return;
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	if (x->base64)
		jsonw_base64(&w, names[i], d.p, d.len);
	else {
		if (utf8_replace(&s->utf8, &text, d.p, d.len, false) == -1) {
			req_abort(r, "no memory");
			goto out;
		}
		jsonw_str(&w, names[i],
		    (struct slice){ buf_data(&text), text.len });
	}
	jsonw_end(&w);
	(void)buf_add(&b, "\n", 1);
	/* A character that is not whole yet makes no line. */
	if (x->base64 || text.len > 0)
		full = req_data(r, buf_data(&b), b.len);
	if (full == 0)
		exec_credit(x, i);
out:
	buf_clear(&text);
	buf_clear(&b);
}

void
exec_writable(struct exec *x, struct req *r)
{
	if (x->ndjson) {
		exec_credit(x, 0);
		exec_credit(x, 1);
		exec_deadline(x);
	} else if (x->phase != PHASE_NONE)
		answer_pump(x, r);
}

/* What stands behind the output in each kind of answer. */
static void
members_end(void *arg, struct jsonw *w)
{
	const struct exec	*x = arg;

	jsonw_int(w, "exit_code", x->exit_code);
	jsonw_bool(w, "timed_out", x->how == JOB_TIMED_OUT);
	exec_limit(w, x->how);
	jsonw_bool(w, "truncated", x->truncated);
	jsonw_uint(w, "duration_ms", x->duration_ms);
	jsonw_text(w, "backend", backend_name(x->where.backend));
	jsonw_text(w, "runner", x->runner);
}

static void
trail(struct exec *x, struct req *r, const char *error)
{
	struct jsonw	 w;
	struct buf	 b = { 0 };

	events_exec(r, x->exit_code, error, clock_ms() - x->start_ms);
	if (!audit_begin(&w, &b, r, "exec"))
		return;
	jsonw_text(&w, "command", x->command != NULL ? x->command : "");
	jsonw_text(&w, "backend", backend_name(x->where.backend));
	jsonw_text(&w, "runner", x->runner);
	if (error != NULL)
		jsonw_text(&w, "error", error);
	else
		jsonw_int(&w, "exit_code", x->exit_code);
	jsonw_bool(&w, "timed_out", x->how == JOB_TIMED_OUT);
	exec_limit(&w, x->how);
	jsonw_uint(&w, "duration_ms", clock_ms() - x->start_ms);
	audit_end(&w, &b);
}

/* A character that never became whole is told before the last line. */
static void
lines_end(struct exec *x, struct req *r, struct buf *b)
{
	struct buf	 text = { 0 };
	struct jsonw	 w;
	int		 i;

	for (i = 0; i < 2 && !x->base64; i++) {
		if (utf8_replace(&x->out[i].utf8, &text, NULL, 0, true) == -1
		    || text.len == 0)
			continue;
		jsonw_init(&w, b);
		jsonw_object(&w, NULL);
		jsonw_str(&w, names[i],
		    (struct slice){ buf_data(&text), text.len });
		jsonw_end(&w);
		(void)buf_add(b, "\n", 1);
		buf_drain(&text, text.len);
	}
	buf_clear(&text);
}

void
exec_answer(struct exec *x, struct req *r)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	trail(x, r, NULL);
	if (!x->ndjson) {
		if (x->out[0].kept.len + x->out[1].kept.len <= SHORT_MAX)
			answer_short(x, r);
		else
			answer_pump(x, r);
		return;
	}
	if (!line_start(x, r))
		return;
	lines_end(x, r, &b);
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	members_end(x, &w);
	jsonw_end(&w);
	(void)buf_add(&b, "\n", 1);
	(void)req_data(r, buf_data(&b), b.len);
	buf_clear(&b);
	req_end(r);
}

void
exec_fail(struct exec *x, struct req *r, enum xerr code, const char *text)
{
	struct buf	 b = { 0 };

	if (x->session == NULL && r->answered)
		return;
	trail(x, r, xerr_name(code));
	if (x->phase == PHASE_NONE || !x->ndjson) {
		req_error(r, code, "%s", text);
		return;
	}
	lines_end(x, r, &b);
	(void)req_data(r, buf_data(&b), b.len);
	buf_clear(&b);
	req_error_line(r, code, text);
}

static void
answer_short(struct exec *x, struct req *r)
{
	struct exec_stream	*s;
	struct buf		 b = { 0 };
	struct jsonw		 w;
	int			 i;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	for (i = 0; i < 2; i++) {
		s = &x->out[i];
		if (x->base64)
			jsonw_base64(&w, names[i], buf_data(&s->kept),
			    s->kept.len);
		else
			jsonw_str(&w, names[i], (struct slice){
			    buf_data(&s->kept), s->kept.len });
	}
	members_end(x, &w);
	jsonw_end(&w);
	if (jsonw_ok(&w))
		req_json(r, 200, &b);
	else
		req_error(r, XERR_EBUSY, "no memory");
	buf_clear(&b);
}

/*
 * The next piece of a stream into b, as the inside of a JSON string; at the
 * stream's end what was held back.
 */
static void
exec_piece(struct exec_stream *s, bool base64, struct buf *b)
{
	struct buf	 text = { 0 }, quoted = { 0 };
	struct jsonw	 w;
	size_t		 n = s->kept.len < PIECE ? s->kept.len : PIECE;
	bool		 last = n == s->kept.len;
	char		*dst;

	if (base64) {
		/* PIECE is a multiple of 3: the pieces join. */
		if ((dst = buf_reserve(b, BASE64_LEN(n))) != NULL)
			b->len += base64_encode(dst, buf_data(&s->kept), n);
	} else if (utf8_replace(&s->utf8, &text, buf_data(&s->kept), n,
	    last) == 0) {
		jsonw_init(&w, &quoted);
		jsonw_str(&w, NULL,
		    (struct slice){ buf_data(&text), text.len });
		if (jsonw_ok(&w) && quoted.len >= 2)
			(void)buf_add(b, buf_data(&quoted) + 1,
			    quoted.len - 2);
	}
	kept_total -= n;
	buf_drain(&s->kept, n);
	buf_clear(&text);
	buf_clear(&quoted);
}

/* The members of an answer that stand around its two streams. */
static void
members_write(const struct exec_pieces *p, void *arg, bool tail,
    struct buf *b)
{
	struct buf	 text = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &text);
	jsonw_object(&w, NULL);
	if (tail)
		p->tail(arg, &w);
	else if (p->head != NULL)
		p->head(arg, &w);
	jsonw_end(&w);
	if (jsonw_ok(&w) && tail) {
		(void)buf_add(b, "\",", 2);
		(void)buf_add(b, buf_data(&text) + 1, text.len - 1);
	} else if (jsonw_ok(&w)) {
		(void)buf_add(b, buf_data(&text), text.len - 1);
		if (text.len > 2)
			(void)buf_add(b, ",", 1);
		(void)buf_add(b, "\"stdout\":\"", 10);
	}
	buf_clear(&text);
}

void
exec_pump(struct req *r, const struct exec_pieces *p, void *arg,
    struct exec_stream out[2], bool base64, unsigned int *phase)
{
	struct buf	 b = { 0 };
	int		 full = 0, i;

	if (*phase == PHASE_NONE) {
		if (req_start(r, 200, "application/json", -1) == -1)
			return;
		*phase = PHASE_STDOUT;
		members_write(p, arg, false, &b);
	}
	while (full == 0 && *phase != PHASE_END) {
		i = (int)*phase - PHASE_STDOUT;
		if (*phase == PHASE_TAIL) {
			members_write(p, arg, true, &b);
			*phase = PHASE_END;
		} else {
			exec_piece(&out[i], base64, &b);
			if (out[i].kept.len == 0 &&
			    ++*phase == PHASE_STDERR)
				(void)buf_add(&b, "\",\"stderr\":\"", 12);
		}
		full = req_data(r, buf_data(&b), b.len);
		buf_drain(&b, b.len);
	}
	buf_clear(&b);
	if (*phase == PHASE_END)
		req_end(r);
}

/* A long answer, as far as the client takes it. */
static void
answer_pump(struct exec *x, struct req *r)
{
	static const struct exec_pieces	 pieces = { NULL, members_end };

	exec_pump(r, &pieces, x, x->out, x->base64, &x->phase);
}
