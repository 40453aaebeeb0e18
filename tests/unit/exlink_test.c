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
 * Two ends of a link over a connection that is cut at random: every frame
 * arrives once and in order; and what a hostile peer may say is refused.
 */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exlink.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"

#define FRAMES	20000

struct end {
	struct exlink		 l;
	struct msg_reader	*r;
	uint32_t		 from;		/* who the other is */
	uint64_t		 made, got;
	struct buf		 wire;		/* on its way to the other */
	size_t			*numbers;	/* of bulk that is kept */
};

/* On the wire: the size of a message, of it the bulk at its end, and it. */
struct wire {
	size_t	len, bulk;
};

static const struct id16	 id = { { 7, 7, 7 } };
static char			 bulk[FRAME_CHUNK];
static size_t			 numbers, freed;

static void
number_free(uint64_t number)
{
	assert(number != 0 && numbers > 0);
	numbers--;
	freed++;
}

static void
end_make(struct end *e)
{
	struct exec_job_data	 d = { .stream = 1 };
	struct buf		 frame = { 0 };

	d.offset = e->made++;
	d.bytes = (struct slice){ bulk, (size_t)rand() %
	    (rand() % 100 == 0 ? sizeof(bulk) : 300) };
	if (e->numbers != NULL && d.bytes.len >= FRAME_BULK) {
		*e->numbers += 1;
		assert(exlink_send_bulk(&e->l, &d, e->made, d.bytes.len));
	} else if (rand() % 10 == 0) {
		assert(msg_encode(&exec_schema, &frame, EXEC_JOB_DATA, 0,
		    &d) == 0);
		assert(exlink_send_frame(&e->l, &frame) && frame.mem == NULL);
	} else
		assert(exlink_send(&e->l, EXEC_JOB_DATA, &d));
}

/* A message of at most a batch, or one frame, onto the wire with its size. */
static void
end_write(struct end *e)
{
	struct exlink_piece	 piece;
	struct slice		 rest;
	struct wire		 w;
	const uint8_t		*f;
	size_t			 n, frames = 0;

	if (!exlink_pending(&e->l, &piece))
		return;
	w = (struct wire){ piece.bytes.len + piece.bulk_len, piece.bulk_len };
	assert(buf_add(&e->wire, &w, sizeof(w)) == 0);
	assert(buf_add(&e->wire, piece.bytes.p, piece.bytes.len) == 0);
	assert((piece.bulk != 0) == (piece.bulk_len != 0));
	assert(buf_add(&e->wire, bulk, piece.bulk_len) == 0);
	rest = (struct slice){ buf_data(&e->wire) + e->wire.len - w.len,
	    w.len };
	while (exlink_cut(&rest, &f, &n) == 1)
		frames++;
	assert(rest.len == 0 && frames > 0);
	assert(w.len <= EXLINK_BATCH || frames == 1);
	exlink_wrote(&e->l, &piece);
}

/* Bulk is read in either of both ways. */
static void
end_read(struct end *e, struct end *other)
{
	struct slice	 s, head;
	struct wire	 w;
	struct msg	 m;
	const uint8_t	*f;
	const char	*why;
	size_t		 n;

	if (other->wire.len == 0)
		return;
	memcpy(&w, buf_data(&other->wire), sizeof(w));
	s = (struct slice){ buf_data(&other->wire) + sizeof(w), w.len };
	head = (struct slice){ s.p, w.len - w.bulk };
	while (exlink_cut(&s, &f, &n) == 1) {
		if (w.bulk > 0 && rand() % 2 == 0)
			assert(exlink_take_bulk(&e->l, e->r, e->from, head,
			    w.bulk, &m, &why) == 1);
		else
			assert(exlink_take(&e->l, e->r, e->from, f, n, &m,
			    &why) == 1);
		assert(m.type == EXEC_JOB_DATA);
		assert(((const struct exec_job_data *)m.body)->offset ==
		    e->got);
		e->got++;
	}
	assert(s.len == 0);
	buf_drain(&other->wire, sizeof(w) + w.len);
	/* An ack is not kept and may be lost with the connection. */
	if (exlink_ack_due(&e->l) || rand() % 50 == 0)
		assert(exlink_ack(&other->l, exlink_say(&e->l)));
}

static void
cut(struct end *a, struct end *b)
{
	struct exlink_piece	 none;
	uint64_t		 ta, tb;

	buf_clear(&a->wire);
	buf_clear(&b->wire);
	exlink_down(&a->l);
	exlink_down(&b->l);
	assert(!exlink_pending(&a->l, &none));
	end_make(a);		/* while it is away */
	ta = exlink_say(&a->l);
	tb = exlink_say(&b->l);
	assert(exlink_resume(&a->l, tb));
	assert(exlink_resume(&b->l, ta));
}

static void
test_cuts(void)
{
	struct end	 a = { .from = FROM_E }, b = { .from = FROM_H };
	unsigned int	 cuts = 0;

	a.numbers = &numbers;

	a.r = msg_reader_new();
	b.r = msg_reader_new();
	exlink_init(&a.l, &id);
	exlink_init(&b.l, &id);
	a.l.bulk_free = number_free;
	assert(exlink_resume(&a.l, 0) && exlink_resume(&b.l, 0));
	while (a.got < FRAMES || b.got < FRAMES || a.made > b.got) {
		switch (rand() % 8) {
		case 0:
			if (a.made < FRAMES && !exlink_is_full(&a.l))
				end_make(&a);
			break;
		case 1:
			if (b.made < FRAMES && !exlink_is_full(&b.l))
				end_make(&b);
			break;
		case 2:
			end_write(&a);
			break;
		case 3:
			end_write(&b);
			break;
		case 4:
		case 5:
			end_read(&a, &b);
			break;
		case 6:
		case 7:
			end_read(&b, &a);
			break;
		}
		if (rand() % 1000 == 0) {
			cut(&a, &b);
			cuts++;
		}
	}
	assert(a.got == b.made && b.got == a.made && cuts > 20);
	assert(freed > 20 && exlink_ack(&a.l, exlink_say(&b.l)));
	assert(a.l.kept_len == 0 && a.l.kept_size == 0 && numbers == 0);
	exlink_clear(&a.l);
	exlink_clear(&b.l);
	buf_clear(&a.wire);
	buf_clear(&b.wire);
	msg_reader_free(a.r);
	msg_reader_free(b.r);
}

static void
test_counts(void)
{
	struct exlink		 l = { 0 };
	struct exlink_piece	 piece;
	struct exec_job_eof	 eof = { .stream = 1 };
	int			 i;

	exlink_init(&l, &id);
	assert(!exlink_ack(&l, 0));		/* not up */
	for (i = 0; i < 5; i++)
		assert(exlink_send(&l, EXEC_JOB_EOF, &eof));
	assert(!exlink_pending(&l, &piece));
	assert(!exlink_resume(&l, 6));		/* more than was sent */
	assert(!l.up);
	assert(exlink_resume(&l, 2) && l.acked == 2);
	assert(!exlink_ack(&l, 3));		/* not yet written */
	assert(exlink_pending(&l, &piece));
	exlink_wrote(&l, &piece);
	assert(!exlink_ack(&l, 6) && !exlink_ack(&l, 1));
	assert(exlink_ack(&l, 4) && l.confirmed);
	exlink_down(&l);
	assert(!exlink_resume(&l, 3));		/* less than it said */
	assert(exlink_resume(&l, 4));
	exlink_init(&l, &l.id);
	assert(l.sent == 0 && l.kept_len == 0 && !l.up && !l.confirmed);
	assert(memcmp(&l.id, &id, sizeof(id)) == 0 && !id16_is_zero(&l.id));
	exlink_clear(&l);
	assert(id16_is_zero(&l.id));
}

static void
test_frames(void)
{
	static const uint8_t	 short_[] = { 0, 0, 0, 9, 0x90 },
				 none[] = { 0, 0, 0, 0 },
				 huge[] = { 1, 0, 0, 0, 0x90 },
				 typeless[] = { 0, 0, 0, 1, 0x90 },
				 future[] = { 0, 0, 0, 4, 0x92, 0xcc, 200, 0 };
	const struct {
		const uint8_t	*p;
		size_t		 len;
	} bad[] = { { short_, sizeof(short_) }, { none, sizeof(none) },
	    { huge, sizeof(huge) }, { short_, 3 } };
	struct exec_job_exit	 gone = { .how = 1 };
	struct exlink		 l = { 0 };
	struct msg_reader	*r = msg_reader_new();
	struct buf		 b = { 0 };
	struct slice		 s;
	struct msg		 m;
	const uint8_t		*f;
	const char		*why;
	size_t			 i, n;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s = (struct slice){ bad[i].p, bad[i].len };
		assert(exlink_cut(&s, &f, &n) == -1);
	}
	s = (struct slice){ NULL, 0 };
	assert(exlink_cut(&s, &f, &n) == 0);
	exlink_init(&l, &id);
	/* Nothing counted comes before resume, and nothing by the wrong one. */
	assert(msg_encode(&exec_schema, &b, EXEC_JOB_EXIT, 0, &gone) == 0);
	assert(exlink_take(&l, r, FROM_E, buf_data(&b) + 4, b.len - 4, &m,
	    &why) == -1);
	assert(exlink_resume(&l, 0));
	assert(exlink_take(&l, r, FROM_H, buf_data(&b) + 4, b.len - 4, &m,
	    &why) == -1 && l.taken == 0);
	assert(exlink_take(&l, r, FROM_E, buf_data(&b) + 4, b.len - 4, &m,
	    &why) == 1 && l.taken == 1);
	/* What we do not know is counted, for its sender counts it. */
	assert(exlink_take(&l, r, FROM_E, future + 4, 4, &m, &why) == 0 &&
	    m.type == 200 && l.taken == 2);
	assert(exlink_take(&l, r, FROM_E, typeless + 4, 1, &m, &why) == -1);
	assert(!exlink_counts(EXEC_ACK) && !exlink_counts(EXEC_HELLO) &&
	    exlink_counts(EXEC_JOB_DATA) && exlink_counts(200));
	assert(exlink_ack_owed(&l) && !exlink_ack_due(&l));
	for (i = 0; i < EXLINK_ACK_FRAMES; i++)
		assert(exlink_take(&l, r, FROM_E, buf_data(&b) + 4, b.len - 4,
		    &m, &why) == 1);
	assert(exlink_ack_due(&l) && exlink_say(&l) == 66 &&
	    !exlink_ack_owed(&l));
	buf_clear(&b);
	exlink_clear(&l);
	msg_reader_free(r);
}

/* Who kept the bytes is gone, some of which were taken. */
static void
test_bulk_lost(void)
{
	struct exec_job_data	 d = { .job = { { 9 } }, .stream = 3 };
	struct exlink		 l = { 0 };
	struct exlink_piece	 p;
	struct msg_reader	*r = msg_reader_new();
	struct exec_job_eof	 eof = { .stream = 3 };
	struct slice		 rest;
	struct msg		 m;
	const uint8_t		*f;
	const char		*why;
	size_t			 i, n, cancels = 0;

	exlink_init(&l, &id);
	l.bulk_free = number_free;
	numbers = 4;
	for (i = 1; i <= 4; i++) {
		assert(exlink_send_bulk(&l, &d, i, 20000));
		assert(exlink_send(&l, EXEC_JOB_EOF, &eof));
	}
	assert(exlink_resume(&l, 3) && numbers == 2);
	assert(exlink_pending(&l, &p) && p.bulk == 0);
	exlink_wrote(&l, &p);
	assert(exlink_pending(&l, &p) && p.bulk == 3 && p.bulk_len == 20000);
	exlink_down(&l);
	assert(exlink_bulk_lost(&l) && l.kept_len < 1000);
	assert(exlink_resume(&l, 3));
	for (i = 3; exlink_pending(&l, &p); exlink_wrote(&l, &p))
		for (rest = p.bytes; exlink_cut(&rest, &f, &n) == 1; i++) {
			assert(p.bulk == 0 && msg_decode(r, &exec_schema,
			    FROM_H, f, n, &m, &why) == 0);
			if (m.type == EXEC_JOB_EOF)
				continue;
			assert(m.type == EXEC_JOB_CANCEL && memcmp(m.body,
			    &d.job, sizeof(d.job)) == 0);
			cancels++;
		}
	assert(i == 8 && cancels == 2);
	exlink_clear(&l);
	assert(numbers == 2);		/* there is nobody to be told */
	numbers = 0;
	msg_reader_free(r);
}

static void
test_limits(void)
{
	struct exec_job_data	 d = { .bytes = { bulk, sizeof(bulk) } };
	struct exec_job_refused	 big = { .text = { bulk, 1025 } };
	struct exlink		 l = { 0 };
	size_t			 soft = 0, n = 0, size;

	exlink_init(&l, &id);
	memset(bulk, 'x', sizeof(bulk));
	assert(!exlink_send(&l, EXEC_JOB_REFUSED, &big) && errno == EMSGSIZE);
	assert(l.sent == 0 && l.kept_len == 0);
	for (; exlink_send(&l, EXEC_JOB_DATA, &d); n++)
		soft += exlink_is_full(&l) ? 0 : 1;
	size = l.kept_size;
	assert(!exlink_send_bulk(&l, &d, 1, sizeof(bulk)));
	assert(l.kept_size == size);
	assert(errno == ENOBUFS && soft * sizeof(bulk) <= EXLINK_SOFT &&
	    n * sizeof(bulk) >= EXLINK_HARD - sizeof(bulk));
	exlink_clear(&l);
}

int
main(void)
{
	srand(1);
	test_counts();
	test_frames();
	test_limits();
	test_bulk_lost();
	test_cuts();
	printf("ok exlink\n");
	return 0;
}
