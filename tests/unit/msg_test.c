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
 * Tests that the message tables make themselves: for every message of both
 * schemas a round trip, every truncation, every field at its maximum and one
 * above, a trailing byte, a field too many and too few, the wrong sender.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack/pack.h>

#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"

#define LIST_MAX	4096

static struct msg_reader	*reader;
static unsigned long		 checks;

/* Content for every kind of field, large enough for any maximum. */
static uint8_t			 bytes[FRAME_CHUNK + 1];
static struct slice		 slices[LIST_MAX + 1];
static uint32_t			 numbers32[LIST_MAX + 1];
static uint64_t			 numbers64[LIST_MAX + 1];
static struct id16		 ids[LIST_MAX + 1];

static const size_t scalar_sizes[FIELD_MAX] = {
	[FIELD_BOOL] = 1, [FIELD_U8] = 1, [FIELD_U16] = 2, [FIELD_U32] = 4,
	[FIELD_U64] = 8, [FIELD_I32] = 4, [FIELD_I64] = 8, [FIELD_ID] = 16,
};

static bool
is_bytes(enum field_type t)
{
	return t == FIELD_STR || t == FIELD_PATH || t == FIELD_BIN ||
	    t == FIELD_SECRET;
}

/* n: bytes or elements; a scalar gets its largest value. */
static void
field_fill(const struct field *f, uint8_t *body, uint32_t n)
{
	struct slices	*list = (struct slices *)(body + f->off);
	struct slice	*s = (struct slice *)(body + f->off);

	if (scalar_sizes[f->type] != 0) {
		memset(body + f->off, f->type == FIELD_BOOL ? 1 : 0xff,
		    scalar_sizes[f->type]);
		return;
	}
	if (is_bytes(f->type)) {
		*s = (struct slice){ bytes, n };
		return;
	}
	list->n = n;
	if (f->type == FIELD_U32S)
		list->v = (void *)numbers32;
	else if (f->type == FIELD_U64S)
		list->v = (void *)numbers64;
	else if (f->type == FIELD_IDS)
		list->v = (void *)ids;
	else
		list->v = slices;
}

static void
body_fill(const struct message *m, uint8_t *body, uint32_t n)
{
	uint16_t i;

	memset(body, 0, MSG_BODY_MAX);
	for (i = 0; i < m->nfields; i++)
		field_fill(&m->fields[i], body,
		    n < m->fields[i].max ? n : m->fields[i].max);
}

static bool
slice_same(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static void
field_same(const struct field *f, const uint8_t *a, const uint8_t *b)
{
	const struct slices	*la = (const void *)(a + f->off);
	const struct slices	*lb = (const void *)(b + f->off);
	static const size_t	 widths[FIELD_MAX] = {
		[FIELD_U32S] = 4, [FIELD_U64S] = 8, [FIELD_IDS] = 16,
	};
	uint32_t		 i;

	checks++;
	if (scalar_sizes[f->type] != 0) {
		assert(memcmp(a + f->off, b + f->off,
		    scalar_sizes[f->type]) == 0);
		return;
	}
	if (is_bytes(f->type)) {
		assert(slice_same(*(const struct slice *)(a + f->off),
		    *(const struct slice *)(b + f->off)));
		return;
	}
	assert(la->n == lb->n);
	if (widths[f->type] != 0 && la->n > 0)
		assert(memcmp(la->v, lb->v, la->n * widths[f->type]) == 0);
	for (i = 0; widths[f->type] == 0 && i < la->n; i++)
		assert(slice_same(la->v[i], lb->v[i]));
}

static int
decode(const struct schema *s, uint32_t from, const uint8_t *p, size_t len,
    struct msg *m)
{
	const char	*why = NULL;
	uint8_t		*copy;
	int		 rc;

	/* Exactly its size, so that the sanitizer sees a step too far. */
	copy = malloc(len == 0 ? 1 : len);
	memcpy(copy, p, len);
	rc = msg_decode(reader, s, from, copy, len, m, &why);
	checks++;
	/* The views of an accepted one are compared by the caller: keep. */
	if (rc == -1)
		free(copy);
	else {
		static uint8_t *last;

		free(last);
		last = copy;
	}
	return rc;
}

static void
test_round_trip(const struct schema *s, const struct message *m, uint32_t n)
{
	uint8_t		 body[MSG_BODY_MAX];
	char		 text[128];
	struct buf	 b = { 0 };
	const uint8_t	*frame;
	size_t		 len, i;
	struct msg	 got;

	body_fill(m, body, n);
	assert(msg_encode(s, &b, m->id, 77, body) == 0);
	assert(frame_next(&b, &frame, &len) == 1 && len + 4 == b.len);
	assert(msg_peek(frame, len) == m->id);
	assert(decode(s, m->from, frame, len, &got) == 0);
	assert(got.type == m->id && got.serial == 77 && got.desc == m);
	for (i = 0; i < m->nfields; i++)
		field_same(&m->fields[i], body, got.body);
	msg_print(&got, text, sizeof(text));
	assert(strncmp(text, m->name, strlen(m->name)) == 0);
	assert(decode(s, ~m->from, frame, len, &got) == -1);
	for (i = 0; i < len; i += len > 4096 ? 997 : 1)
		assert(decode(s, m->from, frame, i, &got) == -1);
	/* A trailing byte. */
	assert(buf_add(&b, "\0", 1) == 0);
	frame = buf_data(&b) + 4;
	assert(decode(s, m->from, frame, len + 1, &got) == -1);
	buf_clear(&b);
}

/* Each field at its maximum is taken, one above is refused by the encoder. */
static void
test_maxima(const struct schema *s, const struct message *m)
{
	uint8_t			 body[MSG_BODY_MAX];
	const struct field	*f;
	struct buf		 b = { 0 };
	uint16_t		 i;
	struct slice		 over = { bytes, 0 };

	for (i = 0; i < m->nfields; i++) {
		f = &m->fields[i];
		if (scalar_sizes[f->type] != 0)
			continue;
		body_fill(m, body, 0);
		field_fill(f, body, f->max);
		assert(msg_encode(s, &b, m->id, 1, body) == 0);
		body_fill(m, body, 0);
		field_fill(f, body, f->max + 1);
		assert(msg_encode(s, &b, m->id, 1, body) == -1);
		if (f->type == FIELD_STRS || f->type == FIELD_PATHS) {
			over.len = f->each + 1;
			((struct slices *)(body + f->off))->n = 1;
			((struct slices *)(body + f->off))->v = &over;
			assert(msg_encode(s, &b, m->id, 1, body) == -1);
		}
		checks += 2;
	}
	buf_clear(&b);
}

/* The same fields, with one replaced by something that it must not be. */
static void
test_wrong_types(const struct schema *s, const struct message *m)
{
	uint16_t	 k;
	struct buf	 b = { 0 };
	struct msg	 got;
	msgpack_packer	 pk;
	int		 delta;

	/* Too few and too many fields, all of them false. */
	for (delta = -1; delta <= 1; delta += 2) {
		if (m->nfields + delta < 0)
			continue;
		b.len = 0;
		msgpack_packer_init(&pk, &b,
		    (int (*)(void *, const char *, size_t))buf_add);
		msgpack_pack_array(&pk, (size_t)(2 + m->nfields + delta));
		msgpack_pack_uint16(&pk, m->id);
		msgpack_pack_uint64(&pk, 1);
		for (k = 0; k < m->nfields + delta; k++)
			msgpack_pack_false(&pk);
		if (!s->grows)
			assert(decode(s, m->from, buf_data(&b), b.len, &got)
			    == -1);
	}
	if (m->nfields > 0) {
		b.len = 0;
		msgpack_packer_init(&pk, &b,
		    (int (*)(void *, const char *, size_t))buf_add);
		msgpack_pack_array(&pk, 2u + m->nfields);
		msgpack_pack_uint16(&pk, m->id);
		msgpack_pack_uint64(&pk, 1);
		/* No field is a list of negative numbers. */
		for (k = 0; k < m->nfields; k++) {
			msgpack_pack_array(&pk, 1);
			msgpack_pack_int8(&pk, -1);
		}
		assert(decode(s, m->from, buf_data(&b), b.len, &got) == -1);
	}
	buf_clear(&b);
}

static void
test_guard(void)
{
	static const struct {
		const char	*bytes;
		size_t		 len;
		int		 rc;
	} rows[] = {
		{ "", 0, -1 },
		{ "\x90", 1, 0 },
		{ "\x01", 1, -1 },			/* not an array */
		{ "\x90\x01", 2, -1 },			/* trailing */
		{ "\xdd\xff\xff\xff\xff", 5, -1 },	/* a huge count */
		{ "\xdc\x00\x02\x01", 4, -1 },		/* one short */
		{ "\x91\xc6\xff\xff\xff\xff", 6, -1 },	/* a huge bin */
		{ "\x91\x91\x91\x90", 4, 0 },
		{ "\x91\x91\x91\x91\x90", 5, -1 },	/* too deep */
		{ "\x91\xc0", 2, -1 },			/* nil */
		{ "\x91\x80", 2, -1 },			/* map */
		{ "\x91\xca\0\0\0\0", 6, -1 },		/* float */
		{ "\x91\xd4\0\0", 4, -1 },		/* ext */
		{ "\x91\xc1", 2, -1 },			/* never used */
		{ "\x92\xa3""ab", 4, -1 },
	};
	const char	*why;
	size_t		 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++, checks++)
		assert(guard_check((const uint8_t *)rows[i].bytes,
		    rows[i].len, &why) == rows[i].rc);
}

/* Of every prefix of a frame with bulk: it is found as soon as its head is
 * there, never elsewhere, and only when it reaches to the frame's end. */
static void
test_guard_bulk(void)
{
	static const size_t	 sizes[] = { 0, FRAME_BULK - 1, FRAME_BULK,
				    65535, 65536, FRAME_CHUNK };
	struct exec_job_data	 d = { .stream = 3, .offset = 1u << 31 };
	struct exec_job_refused	 text = { .text = { bytes, 1000 } };
	struct buf		 b = { 0 };
	const uint8_t		*p;
	size_t			 i, have, at, field, len;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		d.bytes = (struct slice){ bytes, sizes[i] };
		assert(msg_encode(&exec_schema, &b, EXEC_JOB_DATA, 0, &d) == 0);
		p = buf_data(&b) + 4;
		len = b.len - 4;
		at = len - sizes[i];
		for (have = 0; have < at; have++, checks++)
			assert(guard_bulk(p, have, len, &field) == 0);
		if (sizes[i] < FRAME_BULK)
			at = 0;
		assert(guard_bulk(p, have, len, &field) == at);
		assert(guard_bulk(p, len, len, &field) == at);
		assert(at == 0 || p[field] == (sizes[i] > 65535 ? 0xc6 : 0xc5));
		assert(guard_bulk(p, have, len + 1, &field) == 0);
		assert(guard_bulk(p, have, len - 1, &field) == 0);
		buf_drain(&b, b.len);
	}
	/* Its last field is no bin. */
	assert(msg_encode(&exec_schema, &b, EXEC_JOB_REFUSED, 0, &text) == 0);
	assert(guard_bulk(buf_data(&b) + 4, b.len - 4, b.len - 4, &field) ==
	    0);
	buf_clear(&b);
}

static void
test_missing(void)
{
	static const struct {
		const char	*bytes;
		size_t		 len, missing;
	} rows[] = {
		{ "", 0, 0 }, { "\0\0\1", 3, 0 }, { "\0\0\1\0", 4, 256 },
		{ "\0\0\0\2\x90", 5, 1 }, { "\0\0\0\1\x90", 5, 0 },
		{ "\0\0\0\1\x90\0", 6, 0 }, { "\0\0\0\0", 4, 0 },
		{ "\xff\xff\xff\xff", 4, 0 },
	};
	struct buf	 b = { 0 };
	size_t		 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++, checks++) {
		assert(buf_add(&b, rows[i].bytes, rows[i].len) == 0);
		assert(frame_missing(&b) == rows[i].missing);
		buf_drain(&b, b.len);
	}
	buf_clear(&b);
}

static void
test_text(void)
{
	static const struct {
		const char	*text;
		bool		 valid;
	} rows[] = {
		{ "", true }, { "a\xc3\xa9", true }, { "\xf0\x9f\x98\x80", true },
		{ "\xc0\xaf", false }, { "\xe0\x80\xaf", false },
		{ "\xed\xa0\x80", false }, { "\xf4\x90\x80\x80", false },
		{ "\xc3", false }, { "\x80", false }, { "\xf8\x88", false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++, checks++)
		assert(utf8_valid(rows[i].text, strlen(rows[i].text)) ==
		    rows[i].valid);
}

int
main(void)
{
	static const struct schema *const both[] = {
		&exec_schema, &ctl_schema,
	};
	const struct message	*m;
	size_t			 i, k;

	memset(bytes, 'x', sizeof(bytes));
	for (i = 0; i <= LIST_MAX; i++) {
		slices[i] = (struct slice){ bytes, i % 7 };
		numbers32[i] = (uint32_t)i * 2654435761u;
		numbers64[i] = i * UINT64_C(0x9e3779b97f4a7c15);
		memset(ids[i].b, (int)i, 16);
	}
	reader = msg_reader_new();
	for (i = 0; i < 2; i++)
		for (k = 0; k < both[i]->nmessages; k++) {
			m = &both[i]->messages[k];
			assert(schema_find(both[i], m->id) == m);
			test_round_trip(both[i], m, 0);
			test_round_trip(both[i], m, 3);
			test_round_trip(both[i], m, UINT32_MAX);
			test_maxima(both[i], m);
			test_wrong_types(both[i], m);
		}
	assert(schema_find(&exec_schema, 200) == NULL);
	test_guard();
	test_guard_bulk();
	test_missing();
	test_text();
	msg_reader_free(reader);
	printf("%lu checks\n", checks);
	return 0;
}
