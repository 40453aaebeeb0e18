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

#include "base/exlink.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"

#define PART_FULL	(64u * 1024)	/* no further frame is added to it */

static struct exlink_part	*part_take(struct exlink *);
static void			 part_free(struct exlink *,
				    struct exlink_part *);
static size_t			 frame_at(const struct exlink_part *, size_t);
static bool			 kept_drop(struct exlink *, uint64_t);

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

/* The last part, which takes another frame; NULL and errno: out of memory. */
static struct exlink_part *
part_take(struct exlink *l)
{
	struct exlink_part *p = TAILQ_LAST(&l->kept, exlink_parts);

	if (p != NULL && p->frames.len < PART_FULL)
		return p;
	if ((p = calloc(1, sizeof(*p))) != NULL)
		TAILQ_INSERT_TAIL(&l->kept, p, entry);
	return p;
}

static void
part_free(struct exlink *l, struct exlink_part *p)
{
	if (l->next == p) {
		l->next = TAILQ_NEXT(p, entry);
		l->written = 0;
	}
	l->kept_len -= p->frames.len;
	l->kept_size -= p->frames.cap;
	TAILQ_REMOVE(&l->kept, p, entry);
	buf_clear(&p->frames);
	free(p);
}

bool
exlink_send(struct exlink *l, uint16_t type, const void *body)
{
	struct exlink_part	*p;
	size_t			 len, cap;
	int			 rc;

	if (l->kept_len > EXLINK_HARD) {
		errno = ENOBUFS;
		return false;
	}
	if ((p = part_take(l)) == NULL)
		return false;
	len = p->frames.len;
	cap = p->frames.cap;
	rc = msg_encode(&exec_schema, &p->frames, type, 0, body);
	/* Also when it failed it may have grown. */
	l->kept_size += p->frames.cap - cap;
	if (rc == -1) {
		if (len == 0)
			part_free(l, p);
		return false;
	}
	l->kept_len += p->frames.len - len;
	l->sent++;
	if (l->next == NULL) {
		l->next = p;
		l->written = len;
	}
	return true;
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
	const uint8_t	*p = buf_data(&part->frames) + off;

	return 4 + ((size_t)p[0] << 24 | (size_t)p[1] << 16 |
	    (size_t)p[2] << 8 | p[3]);
}

struct slice
exlink_pending(const struct exlink *l)
{
	size_t	 n, end = l->written;

	if (!l->up || l->next == NULL)
		return (struct slice){ 0 };
	do {
		n = frame_at(l->next, end);
		if (end > l->written && end - l->written + n > EXLINK_BATCH)
			break;
		end += n;
	} while (end < l->next->frames.len);
	return (struct slice){ buf_data(&l->next->frames) + l->written,
	    end - l->written };
}

bool
exlink_pending_secret(const struct exlink *l)
{
	return l->next != NULL && l->next->frames.secret;
}

void
exlink_wrote(struct exlink *l, size_t n)
{
	size_t	 end = l->written + n;

	for (; l->written < end; l->out++)
		l->written += frame_at(l->next, l->written);
	if (l->written == l->next->frames.len) {
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
	size_t			 n, cap;

	if (taken < l->acked || taken > l->sent)
		return false;
	for (; l->acked < taken; l->acked++) {
		p = TAILQ_FIRST(&l->kept);
		n = frame_at(p, 0);
		if (n == p->frames.len) {
			part_free(l, p);
			continue;
		}
		cap = p->frames.cap;
		buf_drain(&p->frames, n);
		l->kept_size -= cap - p->frames.cap;
		l->kept_len -= n;
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
	n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
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
