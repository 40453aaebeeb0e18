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
 * Messages: structs, wire form and text, all from the tables exec.def and
 * ctl.def (msggen.py makes the structs and the descriptors, msg.c walks them).
 *
 * Decoded bytes are views: a body borrows from the frame and from the
 * reader, and is valid until either is used again.
 */

#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/buf.h"

struct slice {
	const void	*p;		/* no NUL behind it */
	size_t		 len;
};

struct slices {
	const struct slice	*v;
	uint32_t		 n;
};

struct u32s {
	const uint32_t	*v;
	uint32_t	 n;
};

struct u64s {
	const uint64_t	*v;
	uint32_t	 n;
};

struct id16 {
	uint8_t	b[16];
};

struct id16s {
	const struct id16	*v;
	uint32_t		 n;
};

/* Who may send a message: the letters of the tables. */
enum from {
	FROM_H = 1 << 0,	/* host side of exec.def */
	FROM_E = 1 << 1,	/* executor side */
	FROM_P = 1 << 2,	/* parent */
	FROM_F = 1 << 3,	/* front, control */
	FROM_L = 1 << 4,	/* ledger */
	FROM_S = 1 << 5,	/* session worker: none, box */
	FROM_R = 1 << 6,	/* remote */
	FROM_D = 1 << 7,	/* docker */
	FROM_Z = 1 << 8,	/* reaper */
	FROM_M = 1 << 9,	/* llm */
	FROM_K = 1 << 10	/* skill */
};

enum field_type {
	FIELD_BOOL, FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_I32,
	FIELD_I64, FIELD_ID, FIELD_STR, FIELD_PATH, FIELD_BIN, FIELD_SECRET,
	FIELD_STRS, FIELD_PATHS, FIELD_U32S, FIELD_U64S, FIELD_IDS, FIELD_MAX
};

struct field {
	const char	*name;
	enum field_type	 type;
	size_t		 off;		/* in the body */
	uint32_t	 max;		/* bytes, or elements of a list */
	uint32_t	 each;		/* bytes of an element */
};

struct message {
	const char		*name;
	uint16_t		 id;
	uint16_t		 nfields;
	uint32_t		 from;		/* FROM_ bits */
	const struct field	*fields;
	size_t			 size;		/* of the body */
	bool			 carries_fd;	/* exactly one descriptor */
};

struct schema {
	const char		*name;
	bool			 grows;	/* other builds may know more fields */
	size_t			 nmessages;
	const struct message	*messages;
};

#define MSG_BODY_MAX	256

struct msg {
	uint16_t		 type;
	uint64_t		 serial;
	const struct message	*desc;
	const void		*body;	/* struct SCHEMA_NAME; NULL without fields */
};

/* Scratch memory of decoding, one a channel; opaque, returned by _new. */
struct msg_reader;
struct msg_reader	*msg_reader_new(void);
void			 msg_reader_free(struct msg_reader *);

/* NULL when the schema has no such message. */
const struct message	*schema_find(const struct schema *, uint16_t type);

/*
 * Append one frame.  -1 with errno EMSGSIZE (a field over its maximum, or
 * the whole over FRAME_MAX) or ENOMEM, and the buf as it was.
 */
int	 msg_encode(const struct schema *, struct buf *, uint16_t type,
	    uint64_t serial, const void *body);

/*
 * The same, but a field of MSG_BULK bytes and more is left out, for a sender
 * that need not copy it: bytes, lent from body, belong at that place in the
 * buf's content.  bytes.len is 0 when there is none.
 */
#define MSG_BULK	(16 * 1024)

struct msg_bulk {
	struct slice	bytes;
	size_t		at;
};

int	 msg_encode_bulk(const struct schema *, struct buf *, uint16_t type,
	    uint64_t serial, const void *body, struct msg_bulk *);

/*
 * The type of a frame that guard_check has passed, 0 when it has none.
 */
uint16_t msg_peek(const uint8_t *, size_t);

/*
 * Decode a frame (without its length): checks the shape, that one of the
 * senders in `from` may send it, every field's type, maximum, UTF-8.
 * -1 and *why (a literal) on anything else; *why NULL and m->type set when the
 * type is unknown to the schema.
 */
int	 msg_decode(struct msg_reader *, const struct schema *, uint32_t from,
	    const uint8_t *, size_t, struct msg *, const char **why);

/* "job_eof serial 7 job 0a1b.. stream 1 offset 12", cut to fit; no secret. */
void	 msg_print(const struct msg *, char *, size_t);

bool	 utf8_valid(const void *, size_t);

static inline struct slice
slice_str(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static inline bool
slice_is(struct slice a, const char *s)
{
	return a.len == strlen(s) &&
	    (a.len == 0 || memcmp(a.p, s, a.len) == 0);
}

/* A copy with NUL; false when it does not fit (dst is then empty). */
static inline bool
slice_copy(char *dst, size_t dstlen, struct slice a)
{
	if (dstlen == 0)
		return false;
	dst[0] = '\0';
	if (a.len >= dstlen)
		return false;
	if (a.len > 0)
		memcpy(dst, a.p, a.len);
	dst[a.len] = '\0';
	return true;
}

#endif
