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
 * Counting, keeping, sending again.  Runs in: xbot-runner, remote.
 * Input is hostile.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/exlink.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"

_Static_assert(FRAME_BULK >= MSG_BULK, "exlink_send_bulk");

#define PART_FULL	(64u * 1024)	/* no further frame is added to it */

static void	part_free(struct exlink *, struct exlink_part *);
static size_t	frame_at(const struct exlink_part *, size_t);
static bool	kept_drop(struct exlink *, uint64_t);

void
exlink_init(struct exlink *l, const struct id16 *id)
{
	struct id16	 keep = *id;	/* may be l's own */

	exlink_clear(l);
	l->id = keep;
}

void
exlink_clear(struct exlink *l)
{
	struct exlink_part *p;

	while ((p = TAILQ_FIRST(&l->kept)) != NULL)
		part_free(l, p);
	*l = (struct exlink){ 0 };
	TAILQ_INIT(&l->kept);
}

bool
id16_is_zero(const struct id16 *id)
{
	static const struct id16	 zero;

	return memcmp(id, &zero, sizeof(zero)) == 0;
}

bool
exlink_counts(uint16_t type)
{
	static const uint16_t	 bare[] = { EXEC_HELLO, EXEC_UNSUPPORTED,
		EXEC_BYE, EXEC_PING, EXEC_PONG, EXEC_ACK, EXEC_RESUME };
	size_t			 i;

	for (i = 0; i < sizeof(bare) / sizeof(bare[0]); i++)
		if (bare[i] == type)
			return false;
	return true;
}

/* --- what is kept --- */

static struct exlink_part *
part_new(struct exlink *l)
{
	struct exlink_part *p = calloc(1, sizeof(*p));

	if (p != NULL)
		TAILQ_INSERT_TAIL(&l->kept, p, entry);
	return p;
}

/* The last part, when it takes another frame. */
static struct exlink_part *
part_last(struct exlink *l)
{
	struct exlink_part *p = TAILQ_LAST(&l->kept, exlink_parts);

	return p != NULL && p->frames.len < PART_FULL && p->bulk == 0 ? p :
	    part_new(l);
}

static size_t
part_len(const struct exlink_part *p)
{
	return p->frames.len + p->bulk_len;
}

/* What changes a part comes between these two. */
static void
part_leave(struct exlink *l, const struct exlink_part *p)
{
	l->kept_len -= part_len(p);
	l->kept_size -= p->frames.cap + p->bulk_len;
}

static void
part_enter(struct exlink *l, const struct exlink_part *p)
{
	l->kept_len += part_len(p);
	l->kept_size += p->frames.cap + p->bulk_len;
}

static void
part_free(struct exlink *l, struct exlink_part *p)
{
	if (l->next == p) {
		l->next = TAILQ_NEXT(p, entry);
		l->written = 0;
	}
	part_leave(l, p);
	if (p->bulk != 0)
		l->bulk_free(p->bulk);
	TAILQ_REMOVE(&l->kept, p, entry);
	buf_clear(&p->frames);
	free(p);
}

/* Another frame begins at off of p. */
static void
kept_sent(struct exlink *l, struct exlink_part *p, size_t off)
{
	l->sent++;
	if (l->next == NULL) {
		l->next = p;
		l->written = off;
	}
}

static bool
kept_has_room(const struct exlink *l)
{
	if (l->kept_len <= EXLINK_HARD)
		return true;
	errno = ENOBUFS;
	return false;
}

bool
exlink_send(struct exlink *l, uint16_t type, const void *body)
{
	struct exlink_part	*p;
	size_t			 off;
	int			 rc;

	if (!kept_has_room(l) || (p = part_last(l)) == NULL)
		return false;
	off = p->frames.len;
	part_leave(l, p);
	rc = msg_encode(&exec_schema, &p->frames, type, 0, body);
	part_enter(l, p);
	if (rc == 0)
		kept_sent(l, p, off);
	else if (off == 0)
		part_free(l, p);
	return rc == 0;
}

bool
exlink_send_bulk(struct exlink *l, const struct exec_job_data *head,
    uint64_t bulk, size_t len)
{
	struct exec_job_data	 d = *head;
	struct exlink_part	*p;
	struct msg_bulk		 left_out;
	int			 rc;

	if (!kept_has_room(l) || (p = part_new(l)) == NULL)
		return false;
	d.bytes = (struct slice){ "", len };	/* nobody looks at them */
	rc = msg_encode_bulk(&exec_schema, &p->frames, EXEC_JOB_DATA, 0, &d,
	    &left_out);
	if (rc == 0) {
		p->bulk = bulk;
		p->bulk_len = left_out.bytes.len;
		p->job = d.job;
	}
	part_enter(l, p);
	if (rc == 0)
		kept_sent(l, p, 0);
	else
		part_free(l, p);
	return rc == 0;
}

bool
exlink_send_frame(struct exlink *l, struct buf *frame)
{
	struct exlink_part *p;

	if (!kept_has_room(l) || (p = part_new(l)) == NULL) {
		buf_clear(frame);
		return false;
	}
	p->frames = *frame;
	memset(frame, 0, sizeof(*frame));
	part_enter(l, p);
	kept_sent(l, p, 0);
	return true;
}

bool
exlink_bulk_lost(struct exlink *l)
{
	struct exec_job_cancel	 cancel;
	struct exlink_part	*p;
	bool			 ok = true;

	TAILQ_FOREACH(p, &l->kept, entry) {
		if (p->bulk == 0)
			continue;
		part_leave(l, p);
		p->bulk = 0;
		p->bulk_len = 0;
		buf_clear(&p->frames);
		cancel.job = p->job;
		ok &= msg_encode(&exec_schema, &p->frames, EXEC_JOB_CANCEL,
		    0, &cancel) == 0;
		part_enter(l, p);
	}
	return ok;
}

bool
exlink_is_full(const struct exlink *l)
{
	return l->kept_len > EXLINK_SOFT;
}

/* Bytes of the kept frame that begins at off; we made it, so it is whole. */
static size_t
frame_at(const struct exlink_part *part, size_t off)
{
	return 4 + frame_length(buf_data(&part->frames) + off);
}

bool
exlink_pending(const struct exlink *l, struct exlink_piece *piece)
{
	const struct exlink_part	*p = l->next;
	size_t				 n, end = l->written;

	if (!l->up || p == NULL)
		return false;
	do {
		n = frame_at(p, end);
		if (end > l->written && end - l->written + n > EXLINK_BATCH)
			break;
		end += n;
	} while (end < part_len(p));
	*piece = (struct exlink_piece){ { buf_data(&p->frames) + l->written,
	    end - l->written - p->bulk_len }, p->bulk, p->bulk_len,
	    p->frames.secret };
	return true;
}

void
exlink_wrote(struct exlink *l, const struct exlink_piece *piece)
{
	size_t	 end = l->written + piece->bytes.len + piece->bulk_len;

	for (; l->written < end; l->out++)
		l->written += frame_at(l->next, l->written);
	if (l->written == part_len(l->next)) {
		l->next = TAILQ_NEXT(l->next, entry);
		l->written = 0;
	}
}

void
exlink_down(struct exlink *l)
{
	l->up = false;
}

/* The peer has taken that many; forget those frames. */
static bool
kept_drop(struct exlink *l, uint64_t taken)
{
	struct exlink_part	*p;
	size_t			 n;

	if (taken < l->acked || taken > l->sent)
		return false;
	for (; l->acked < taken; l->acked++) {
		p = TAILQ_FIRST(&l->kept);
		n = frame_at(p, 0);
		if (n == part_len(p)) {
			part_free(l, p);
			continue;
		}
		part_leave(l, p);
		buf_drain(&p->frames, n);
		part_enter(l, p);
		if (l->next == p)
			l->written -= n;
	}
	return true;
}

bool
exlink_resume(struct exlink *l, uint64_t taken)
{
	/* The next connection begins with what comes behind that. */
	l->next = NULL;
	if (!kept_drop(l, taken))
		return false;
	l->next = TAILQ_FIRST(&l->kept);
	l->written = 0;
	l->out = taken;
	l->up = true;
	return true;
}

bool
exlink_ack(struct exlink *l, uint64_t taken)
{
	/* What was not yet written here cannot have been taken here. */
	if (!l->up || taken < l->acked || taken > l->out)
		return false;
	l->confirmed = true;
	return kept_drop(l, taken);
}

/* --- what comes --- */

int
exlink_cut(struct slice *message, const uint8_t **frame, size_t *len)
{
	const uint8_t	*p = message->p;
	size_t		 n;

	if (message->len == 0)
		return 0;
	if (message->len < 4)
		return -1;
	n = frame_length(p);
	if (n == 0 || n > FRAME_MAX || n > message->len - 4)
		return -1;
	*frame = p + 4;
	*len = n;
	message->p = p + 4 + n;
	message->len -= 4 + n;
	return 1;
}

int
exlink_take(struct exlink *l, struct msg_reader *r, uint32_t from,
    const uint8_t *frame, size_t len, struct msg *m, const char **why)
{
	int	 known = 1;

	if (msg_decode(r, &exec_schema, from, frame, len, m, why) == -1) {
		if (*why != NULL)
			return -1;
		*why = "a frame without a type";
		if (m->type == 0)
			return -1;
		known = 0;
	}
	if (!exlink_counts(m->type))
		return known;
	if (!l->up) {
		*why = "a frame before the link was resumed";
		return -1;
	}
	l->taken++;
	l->unsaid += len;
	l->confirmed = true;
	return known;
}

int
exlink_take_bulk(struct exlink *l, struct msg_reader *r, uint32_t from,
    struct slice head, size_t len, struct msg *m, const char **why)
{
	static const uint8_t	 empty[] = { 0xc4, 0 };	/* bin 8 */
	const uint8_t		*p = head.p;
	uint8_t			 frame[EXLINK_HEAD];
	size_t			 n, field;

	*why = "bulk that is no frame";
	if (head.len < 4 || head.len > sizeof(frame))
		return -1;
	n = frame_length(p);
	if (n > FRAME_MAX || n != head.len - 4 + len ||
	    guard_bulk(p + 4, head.len - 4, n, &field) != head.len - 4)
		return -1;
	/* What is left of it is a frame as well, once it has no bytes. */
	memcpy(frame, p + 4, field);
	memcpy(frame + field, empty, sizeof(empty));
	if (exlink_take(l, r, from, frame, field + sizeof(empty), m, why) != 1)
		return -1;
	*why = "bulk in another message";
	if (m->type != EXEC_JOB_DATA)
		return -1;
	l->unsaid += len;
	return 1;
}

bool
exlink_ack_due(const struct exlink *l)
{
	return l->up && (l->taken - l->said >= EXLINK_ACK_FRAMES ||
	    l->unsaid >= EXLINK_ACK_BYTES);
}

bool
exlink_ack_owed(const struct exlink *l)
{
	return l->up && l->taken != l->said;
}

uint64_t
exlink_say(struct exlink *l)
{
	l->said = l->taken;
	l->unsaid = 0;
	return l->taken;
}
