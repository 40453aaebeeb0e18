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
 * The one encoder, decoder and printer of all messages: they walk the
 * descriptors that msggen.py made.  Runs in: every process, the executor.
 * Input is hostile; guard.c has seen the frame before msgpack-c does.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <msgpack/pack.h>
#include <msgpack/unpack.h>
#include <msgpack/zone.h>

#include "proto/frame.h"
#include "proto/msg.h"

struct msg_reader {
	msgpack_zone	zone;
	union {
		uint64_t	align;
		uint8_t		bytes[MSG_BODY_MAX];
	} body;
};

static int	field_pack(msgpack_packer *, const struct field *,
		    const void *);
static int	field_unpack(msgpack_zone *, const struct field *,
		    const msgpack_object *, void *);
static int	list_unpack(msgpack_zone *, const struct field *,
		    const msgpack_object_array *, void *);
static int	field_print(const struct field *, const void *, char *, size_t);

struct msg_reader *
msg_reader_new(void)
{
	struct msg_reader *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	if (!msgpack_zone_init(&r->zone, 1024)) {
		free(r);
		return NULL;
	}
	return r;
}

void
msg_reader_free(struct msg_reader *r)
{
	if (r == NULL)
		return;
	msgpack_zone_destroy(&r->zone);
	free(r);
}

const struct message *
schema_find(const struct schema *schema, uint16_t type)
{
	size_t lo = 0, hi = schema->nmessages, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (schema->messages[mid].id == type)
			return &schema->messages[mid];
		if (schema->messages[mid].id < type)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Where msgpack-c's output goes. */
struct sink {
	struct buf	*out;
	struct msg_bulk	*bulk;		/* NULL: all of it to out */
};

/* Whole or not at all. */
static int
pack_write(void *arg, const char *p, size_t n)
{
	struct sink *s = arg;

	if (s->bulk == NULL || n < MSG_BULK || s->bulk->bytes.len > 0)
		return buf_add(s->out, p, n);
	s->bulk->bytes = (struct slice){ p, n };
	s->bulk->at = s->out->len;
	return 0;
}

static int
encode(const struct schema *schema, const struct sink *sink, uint16_t type,
    uint64_t serial, const void *body)
{
	struct buf		*out = sink->out;
	const struct message	*m;
	msgpack_packer		 pk;
	size_t			 before = out->len, n;
	uint8_t			*head;
	uint16_t		 i;

	if ((m = schema_find(schema, type)) == NULL) {
		errno = EINVAL;
		return -1;
	}
	msgpack_packer_init(&pk, (void *)(uintptr_t)sink, pack_write);
	if (buf_add(out, "\0\0\0\0", 4) == -1 ||
	    msgpack_pack_array(&pk, 2u + m->nfields) != 0 ||
	    msgpack_pack_uint16(&pk, type) != 0 ||
	    msgpack_pack_uint64(&pk, serial) != 0) {
		errno = ENOMEM;
		goto fail;
	}
	for (i = 0; i < m->nfields; i++) {
		out->secret |= m->fields[i].type == FIELD_SECRET;
		if (field_pack(&pk, &m->fields[i],
		    (const uint8_t *)body + m->fields[i].off) == -1)
			goto fail;
	}
	n = out->len - before - 4;
	if (sink->bulk != NULL)
		n += sink->bulk->bytes.len;
	if (n > FRAME_MAX) {
		errno = EMSGSIZE;
		goto fail;
	}
	head = buf_data(out) + before;
	head[0] = (uint8_t)(n >> 24);
	head[1] = (uint8_t)(n >> 16);
	head[2] = (uint8_t)(n >> 8);
	head[3] = (uint8_t)n;
	return 0;
fail:
	out->len = before;
	return -1;
}

int
msg_encode(const struct schema *schema, struct buf *out, uint16_t type,
    uint64_t serial, const void *body)
{
	const struct sink sink = { out, NULL };

	return encode(schema, &sink, type, serial, body);
}

int
msg_encode_bulk(const struct schema *schema, struct buf *out, uint16_t type,
    uint64_t serial, const void *body, struct msg_bulk *bulk)
{
	const struct sink sink = { out, bulk };

	*bulk = (struct msg_bulk){ { NULL, 0 }, 0 };
	return encode(schema, &sink, type, serial, body);
}

static int
bytes_pack(msgpack_packer *pk, enum field_type type, struct slice s,
    uint32_t max)
{
	bool bin = type == FIELD_BIN || type == FIELD_PATH ||
	    type == FIELD_PATHS;
	int rc;

	if (s.len > max) {
		errno = EMSGSIZE;
		return -1;
	}
	rc = bin ? msgpack_pack_bin(pk, s.len) : msgpack_pack_str(pk, s.len);
	if (rc == 0 && s.len > 0)
		rc = bin ? msgpack_pack_bin_body(pk, s.p, s.len) :
		    msgpack_pack_str_body(pk, s.p, s.len);
	if (rc != 0)
		errno = ENOMEM;
	return rc == 0 ? 0 : -1;
}

/* The head of a list and the check of its count. */
static int
list_pack(msgpack_packer *pk, uint32_t n, uint32_t max)
{
	if (n > max) {
		errno = EMSGSIZE;
		return -1;
	}
	if (msgpack_pack_array(pk, n) != 0) {
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

static int
slices_pack(msgpack_packer *pk, const struct field *f, const void *p)
{
	const struct slices	*l = p;
	uint32_t		 i;

	if (list_pack(pk, l->n, f->max) == -1)
		return -1;
	for (i = 0; i < l->n; i++)
		if (bytes_pack(pk, f->type, l->v[i], f->each) == -1)
			return -1;
	return 0;
}

static int
numbers_pack(msgpack_packer *pk, const struct field *f, const void *p)
{
	const struct u32s	*l32 = p;
	const struct u64s	*l64 = p;
	const struct id16s	*ids = p;
	uint32_t		 i, n = l32->n;
	int			 rc = 0;

	if (list_pack(pk, n, f->max) == -1)
		return -1;
	for (i = 0; i < n && rc == 0; i++) {
		if (f->type == FIELD_U32S)
			rc = msgpack_pack_uint32(pk, l32->v[i]);
		else if (f->type == FIELD_U64S)
			rc = msgpack_pack_uint64(pk, l64->v[i]);
		else
			rc = bytes_pack(pk, FIELD_BIN,
			    (struct slice){ ids->v[i].b, 16 }, 16);
	}
	if (rc != 0)
		errno = ENOMEM;
	return rc == 0 ? 0 : -1;
}

static int
field_pack(msgpack_packer *pk, const struct field *f, const void *p)
{
	int rc = -1;

	switch (f->type) {
	case FIELD_BOOL:
		rc = *(const bool *)p ? msgpack_pack_true(pk) :
		    msgpack_pack_false(pk);
		break;
	case FIELD_U8:
		rc = msgpack_pack_uint8(pk, *(const uint8_t *)p);
		break;
	case FIELD_U16:
		rc = msgpack_pack_uint16(pk, *(const uint16_t *)p);
		break;
	case FIELD_U32:
		rc = msgpack_pack_uint32(pk, *(const uint32_t *)p);
		break;
	case FIELD_U64:
		rc = msgpack_pack_uint64(pk, *(const uint64_t *)p);
		break;
	case FIELD_I32:
		rc = msgpack_pack_int32(pk, *(const int32_t *)p);
		break;
	case FIELD_I64:
		rc = msgpack_pack_int64(pk, *(const int64_t *)p);
		break;
	case FIELD_ID:
		return bytes_pack(pk, FIELD_BIN, (struct slice){ p, 16 }, 16);
	case FIELD_STR:
	case FIELD_PATH:
	case FIELD_BIN:
	case FIELD_SECRET:
		return bytes_pack(pk, f->type, *(const struct slice *)p,
		    f->max);
	case FIELD_STRS:
	case FIELD_PATHS:
		return slices_pack(pk, f, p);
	case FIELD_U32S:
	case FIELD_U64S:
	case FIELD_IDS:
		return numbers_pack(pk, f, p);
	case FIELD_MAX:
		break;
	}
	if (rc != 0)
		errno = ENOMEM;
	return rc == 0 ? 0 : -1;
}

uint16_t
msg_peek(const uint8_t *p, size_t len)
{
	size_t i = 1;

	/* The array's head: fixarray, array 16 or array 32. */
	if (len > 0 && p[0] == 0xdc)
		i = 3;
	else if (len > 0 && p[0] == 0xdd)
		i = 5;
	if (i >= len)
		return 0;
	if (p[i] <= 0x7f)
		return p[i];
	if (p[i] == 0xcc && len - i > 1)
		return p[i + 1];
	if (p[i] == 0xcd && len - i > 2)
		return (uint16_t)(p[i + 1] << 8 | p[i + 2]);
	return 0;
}

int
msg_decode(struct msg_reader *r, const struct schema *schema, uint32_t from,
    const uint8_t *frame, size_t len, struct msg *m, const char **why)
{
	msgpack_object			 obj;
	const msgpack_object_array	*a = &obj.via.array;
	size_t				 off = 0, i, n;

	if (guard_check(frame, len, why) == -1)
		return -1;
	m->type = msg_peek(frame, len);
	*why = NULL;
	if ((m->desc = schema_find(schema, m->type)) == NULL)
		return -1;
	*why = "wrong sender";
	if ((m->desc->from & from) == 0)
		return -1;
	msgpack_zone_clear(&r->zone);
	*why = "not msgpack";
	if (msgpack_unpack((const char *)frame, len, &off, &r->zone, &obj) !=
	    MSGPACK_UNPACK_SUCCESS || obj.type != MSGPACK_OBJECT_ARRAY)
		return -1;
	*why = "wrong number of fields";
	if (a->size < 2 || a->ptr[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return -1;
	n = a->size - 2;
	if (n != m->desc->nfields && !schema->grows)
		return -1;
	if (n > m->desc->nfields)
		n = m->desc->nfields;
	m->serial = a->ptr[1].via.u64;
	memset(r->body.bytes, 0, sizeof(r->body.bytes));
	*why = "a field of the wrong type or over its maximum";
	for (i = 0; i < n; i++)
		if (field_unpack(&r->zone, &m->desc->fields[i],
		    &a->ptr[i + 2], r->body.bytes + m->desc->fields[i].off)
		    == -1)
			return -1;
	m->body = m->desc->nfields == 0 ? NULL : r->body.bytes;
	return 0;
}

static int
unsigned_unpack(const msgpack_object *o, void *p, size_t width)
{
	uint64_t u = o->via.u64;

	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return -1;
	if (width < 8 && u >> (8 * width) != 0)
		return -1;
	switch (width) {
	case 1:
		*(uint8_t *)p = (uint8_t)u;
		return 0;
	case 2:
		*(uint16_t *)p = (uint16_t)u;
		return 0;
	case 4:
		*(uint32_t *)p = (uint32_t)u;
		return 0;
	}
	*(uint64_t *)p = u;
	return 0;
}

static int
signed_unpack(const msgpack_object *o, int64_t min, int64_t max, int64_t *v)
{
	if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
		if (o->via.u64 > (uint64_t)max)
			return -1;
	} else if (o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER ||
	    o->via.i64 < min)
		return -1;
	*v = o->via.i64;
	return 0;
}

/* Text and paths hold no NUL, so that a copy is a C string. */
static int
bytes_unpack(const msgpack_object *o, enum field_type type, uint32_t max,
    struct slice *s)
{
	bool bin = type == FIELD_BIN || type == FIELD_PATH ||
	    type == FIELD_PATHS || type == FIELD_ID;

	if (o->type != (bin ? MSGPACK_OBJECT_BIN : MSGPACK_OBJECT_STR))
		return -1;
	s->p = bin ? o->via.bin.ptr : o->via.str.ptr;
	s->len = bin ? o->via.bin.size : o->via.str.size;
	if (s->len > max)
		return -1;
	if (type == FIELD_BIN || type == FIELD_ID || s->len == 0)
		return 0;
	if (memchr(s->p, '\0', s->len) != NULL)
		return -1;
	return bin || utf8_valid(s->p, s->len) ? 0 : -1;
}

static int
field_unpack(msgpack_zone *zone, const struct field *f,
    const msgpack_object *o, void *p)
{
	struct slice	s;
	int64_t		v;

	switch (f->type) {
	case FIELD_BOOL:
		if (o->type != MSGPACK_OBJECT_BOOLEAN)
			return -1;
		*(bool *)p = o->via.boolean;
		return 0;
	case FIELD_U8:
		return unsigned_unpack(o, p, 1);
	case FIELD_U16:
		return unsigned_unpack(o, p, 2);
	case FIELD_U32:
		return unsigned_unpack(o, p, 4);
	case FIELD_U64:
		return unsigned_unpack(o, p, 8);
	case FIELD_I32:
		if (signed_unpack(o, INT32_MIN, INT32_MAX, &v) == -1)
			return -1;
		*(int32_t *)p = (int32_t)v;
		return 0;
	case FIELD_I64:
		return signed_unpack(o, INT64_MIN, INT64_MAX, p);
	case FIELD_ID:
		if (bytes_unpack(o, f->type, 16, &s) == -1 || s.len != 16)
			return -1;
		memcpy(p, s.p, 16);
		return 0;
	case FIELD_STR:
	case FIELD_PATH:
	case FIELD_BIN:
	case FIELD_SECRET:
		return bytes_unpack(o, f->type, f->max, p);
	case FIELD_STRS:
	case FIELD_PATHS:
	case FIELD_U32S:
	case FIELD_U64S:
	case FIELD_IDS:
		if (o->type != MSGPACK_OBJECT_ARRAY ||
		    o->via.array.size > f->max)
			return -1;
		return list_unpack(zone, f, &o->via.array, p);
	case FIELD_MAX:
		break;
	}
	return -1;
}

/* The four list structs share a layout: a pointer and a count. */
static int
list_unpack(msgpack_zone *zone, const struct field *f,
    const msgpack_object_array *a, void *p)
{
	static const size_t	 sizes[FIELD_MAX] = {
		[FIELD_STRS] = sizeof(struct slice),
		[FIELD_PATHS] = sizeof(struct slice),
		[FIELD_U32S] = 4, [FIELD_U64S] = 8, [FIELD_IDS] = 16,
	};
	struct slices		*list = p;
	struct slice		 s;
	uint8_t			*v;
	uint32_t		 i;
	int			 rc = 0;

	if (a->size == 0)
		return 0;
	if ((v = msgpack_zone_malloc(zone, a->size * sizes[f->type])) == NULL)
		return -1;
	list->v = (void *)v;
	list->n = a->size;
	for (i = 0; i < a->size && rc == 0; i++, v += sizes[f->type]) {
		if (f->type == FIELD_U32S || f->type == FIELD_U64S)
			rc = unsigned_unpack(&a->ptr[i], v, sizes[f->type]);
		else if (f->type == FIELD_IDS) {
			rc = bytes_unpack(&a->ptr[i], FIELD_ID, 16, &s);
			if (rc == 0 && (rc = s.len == 16 ? 0 : -1) == 0)
				memcpy(v, s.p, 16);
		} else {
			rc = bytes_unpack(&a->ptr[i], f->type, f->each, &s);
			memcpy(v, &s, sizeof(s));
		}
	}
	return rc;
}

void
msg_print(const struct msg *m, char *dst, size_t dstlen)
{
	size_t	 n;
	uint16_t i;
	int	 rc;

	rc = snprintf(dst, dstlen, "%s serial %" PRIu64, m->desc->name,
	    m->serial);
	for (i = 0; i < m->desc->nfields; i++) {
		if (rc < 0 || (n = strlen(dst)) + 1 >= dstlen)
			return;
		rc = field_print(&m->desc->fields[i],
		    (const uint8_t *)m->body + m->desc->fields[i].off,
		    dst + n, dstlen - n);
	}
}

/* Untrusted text: what is not printable becomes '?', the rest is cut. */
static int
text_print(const char *name, struct slice s, char *dst, size_t dstlen)
{
	char	 text[49];
	size_t	 i, n = s.len < sizeof(text) - 1 ? s.len : sizeof(text) - 1;
	uint8_t	 c;

	for (i = 0; i < n; i++) {
		c = ((const uint8_t *)s.p)[i];
		text[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	text[n] = '\0';
	return snprintf(dst, dstlen, " %s \"%s\"%s", name, text,
	    n < s.len ? "..." : "");
}

static int
field_print(const struct field *f, const void *p, char *dst, size_t dstlen)
{
	const uint8_t	*id = p;
	uint64_t	 u = 0;

	switch (f->type) {
	case FIELD_BOOL:
		u = *(const bool *)p;
		break;
	case FIELD_U8:
		u = *(const uint8_t *)p;
		break;
	case FIELD_U16:
		u = *(const uint16_t *)p;
		break;
	case FIELD_U32:
		u = *(const uint32_t *)p;
		break;
	case FIELD_U64:
		u = *(const uint64_t *)p;
		break;
	case FIELD_I32:
		return snprintf(dst, dstlen, " %s %" PRId32, f->name,
		    *(const int32_t *)p);
	case FIELD_I64:
		return snprintf(dst, dstlen, " %s %" PRId64, f->name,
		    *(const int64_t *)p);
	case FIELD_ID:
		return snprintf(dst, dstlen, " %s %02x%02x%02x%02x", f->name,
		    id[0], id[1], id[2], id[3]);
	case FIELD_STR:
	case FIELD_PATH:
		return text_print(f->name, *(const struct slice *)p, dst,
		    dstlen);
	case FIELD_SECRET:
		return snprintf(dst, dstlen, " %s *", f->name);
	case FIELD_BIN:
		return snprintf(dst, dstlen, " %s[%zu]", f->name,
		    ((const struct slice *)p)->len);
	case FIELD_STRS:
	case FIELD_PATHS:
	case FIELD_U32S:
	case FIELD_U64S:
	case FIELD_IDS:
		return snprintf(dst, dstlen, " %s{%" PRIu32 "}", f->name,
		    ((const struct slices *)p)->n);
	case FIELD_MAX:
		break;
	}
	return snprintf(dst, dstlen, " %s %" PRIu64, f->name, u);
}
