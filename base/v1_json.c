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
 * Runner protocol v1: its JSON, read in place.  Runs in: remote, xbot-runner.
 * The text is hostile.  A message of hundreds of MiB is one string with a
 * little around it: it is walked twice and copied never.
 */

#include <string.h>

#include "base/v1.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

static char	*scan_value(char *, char *, int, struct v1_value *);

static char *
skip_space(char *p, char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' ||
	    *p == '\r'))
		p++;
	return p;
}

static int
hex4(const char *p)
{
	int	value = 0, i, c;

	for (i = 0; i < 4; i++) {
		c = (unsigned char)p[i];
		if (c >= '0' && c <= '9')
			c -= '0';
		else if ((c |= 0x20) >= 'a' && c <= 'f')
			c -= 'a' - 10;
		else
			return -1;
		value = value << 4 | c;
	}
	return value;
}

#define EACH(c)		((c) * 0x0101010101010101u)

/*
 * The first quote, backslash or control character, or the end.  Eight bytes
 * at a time: a file is one string, and all runners wait while it is walked.
 */
static char *
skip_plain(char *p, char *end)
{
	uint64_t w, quote, slash, low;

	for (; end - p >= 8; p += 8) {
		memcpy(&w, p, 8);
		quote = w ^ EACH((uint64_t)'"');
		slash = w ^ EACH((uint64_t)'\\');
		/* A byte below 1, or below 0x20, borrows into its high bit;
		 * what is found wrongly stands behind something true. */
		quote = (quote - EACH(1u)) & ~quote;
		slash = (slash - EACH(1u)) & ~slash;
		low = (w - EACH(0x20u)) & ~w;
		if ((quote | slash | low) & EACH(0x80u))
			break;
	}
	while (p < end && *p != '"' && *p != '\\' &&
	    (unsigned char)*p >= 0x20)
		p++;
	return p;
}

/* p is behind the opening quote; returns behind the closing one. */
static char *
scan_string(char *p, char *end, struct v1_value *v)
{
	v->kind = V1_STRING;
	v->escaped = false;
	v->p = p;
	for (;;) {
		p = skip_plain(p, end);
		if (p == end || (unsigned char)*p < 0x20)
			return NULL;
		if (*p == '"') {
			v->len = (size_t)(p - v->p);
			return p + 1;
		}
		v->escaped = true;
		if (end - p < 2)
			return NULL;
		if (p[1] == 'u') {
			if (end - p < 6 || hex4(p + 2) < 0)
				return NULL;
			p += 6;
		} else if (p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL)
			p += 2;
		else
			return NULL;
	}
}

static char *
scan_digits(char *p, char *end)
{
	char *start = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p == start ? NULL : p;
}

static char *
scan_number(char *p, char *end, struct v1_value *v)
{
	v->kind = V1_NUMBER;
	v->p = p;
	if (*p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else if ((p = scan_digits(p, end)) == NULL)
		return NULL;
	if (p < end && *p == '.' && (p = scan_digits(p + 1, end)) == NULL)
		return NULL;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if ((p = scan_digits(p, end)) == NULL)
			return NULL;
	}
	v->len = (size_t)(p - v->p);
	return p;
}

static char *
scan_word(char *p, char *end, struct v1_value *v)
{
	static const struct {
		const char	*word;
		enum v1_kind	 kind;
	} words[] = {
		{ "true", V1_BOOL }, { "false", V1_BOOL }, { "null", V1_NULL },
	};
	size_t i, n;

	for (i = 0; i < NITEMS(words); i++) {
		n = strlen(words[i].word);
		if ((size_t)(end - p) < n || memcmp(p, words[i].word, n) != 0)
			continue;
		*v = (struct v1_value){ words[i].kind, false, p, n };
		return p + n;
	}
	return NULL;
}

static void
member_set(struct v1_member *m, size_t n, struct v1_value *key,
    const struct v1_value *value)
{
	struct slice	name = { key->p, key->len };
	char		buf[64];

	/* An escaped key is rare; it is unescaped in a copy so that the
	 * object can be read again. */
	if (n == 0 || (key->escaped && key->len > sizeof(buf)))
		return;
	if (key->escaped) {
		memcpy(buf, key->p, key->len);
		key->p = buf;
		name = v1_string(key);
	}
	for (; n > 0; m++, n--)
		if (slice_is(name, m->key))
			m->value = *value;
}

/*
 * Behind the '{': members up to and with the '}'.  Each value is looked at
 * once, however many members are asked for.
 */
static char *
scan_members(char *p, char *end, int depth, struct v1_member *m, size_t n)
{
	struct v1_value key, value;

	p = skip_space(p, end);
	if (p < end && *p == '}')
		return p + 1;
	for (;;) {
		p = skip_space(p, end);
		if (p == end || *p != '"' ||
		    (p = scan_string(p + 1, end, &key)) == NULL)
			return NULL;
		p = skip_space(p, end);
		if (p == end || *p != ':' ||
		    (p = scan_value(p + 1, end, depth, &value)) == NULL)
			return NULL;
		member_set(m, n, &key, &value);
		p = skip_space(p, end);
		if (p == end)
			return NULL;
		if (*p == '}')
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static char *
scan_elements(char *p, char *end, int depth)
{
	struct v1_value value;

	p = skip_space(p, end);
	if (p < end && *p == ']')
		return p + 1;
	for (;;) {
		if ((p = scan_value(p, end, depth, &value)) == NULL)
			return NULL;
		p = skip_space(p, end);
		if (p == end)
			return NULL;
		if (*p == ']')
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

/* One value with the space before it; returns behind it, NULL: malformed. */
static char *
scan_value(char *p, char *end, int depth, struct v1_value *v)
{
	memset(v, 0, sizeof(*v));
	p = skip_space(p, end);
	if (p == end)
		return NULL;
	if (*p == '"')
		return scan_string(p + 1, end, v);
	if (*p == '-' || (*p >= '0' && *p <= '9'))
		return scan_number(p, end, v);
	if (*p != '{' && *p != '[')
		return scan_word(p, end, v);
	if (depth >= V1_DEPTH_MAX)
		return NULL;
	v->kind = *p == '{' ? V1_OBJECT : V1_ARRAY;
	v->p = p + 1;
	p = *p == '{' ? scan_members(p + 1, end, depth + 1, NULL, 0) :
	    scan_elements(p + 1, end, depth + 1);
	if (p != NULL)		/* with the closing bracket */
		v->len = (size_t)(p - v->p);
	return p;
}

bool
v1_members(const struct v1_value *object, struct v1_member *m, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		memset(&m[i].value, 0, sizeof(m[i].value));
	return object->kind == V1_OBJECT && scan_members(object->p,
	    object->p + object->len, 0, m, n) != NULL;
}

int
v1_parse(char *text, size_t len, struct v1_message *msg, const char **why)
{
	struct v1_member m[] = {
		{ .key = "id" }, { .key = "type" }, { .key = "body" },
	};
	char	*end = text + len, *p = skip_space(text, end);

	memset(msg, 0, sizeof(*msg));
	*why = "not a JSON object";
	if (p == end || *p != '{' ||
	    (p = scan_members(p + 1, end, 1, m, NITEMS(m))) == NULL)
		return -1;
	*why = "bytes behind the message";
	if (skip_space(p, end) != end)
		return -1;
	/* Without one it is of an unknown type, which has an answer. */
	*why = "the type is no string";
	if (m[1].value.kind != V1_STRING && m[1].value.kind != V1_ABSENT &&
	    m[1].value.kind != V1_NULL)
		return -1;
	*why = "the id is no string";
	if (m[0].value.kind != V1_STRING && m[0].value.kind != V1_ABSENT &&
	    m[0].value.kind != V1_NULL)
		return -1;
	msg->id = v1_string(&m[0].value);
	msg->type_text = v1_string(&m[1].value);
	msg->type = v1_type_by_name(msg->type_text);
	msg->body = m[2].value;
	return 0;
}

bool
v1_value(char *text, size_t len, struct v1_value *v)
{
	char *end = text + len, *p = scan_value(text, end, 0, v);

	return p != NULL && skip_space(p, end) == end;
}

bool
v1_pair(struct v1_value *object, struct v1_value *key, struct v1_value *value)
{
	char *end, *p;

	if (object->kind != V1_OBJECT)
		return false;
	end = object->p + object->len;
	p = skip_space(object->p, end);
	if (p < end && *p == ',')
		p = skip_space(p + 1, end);
	/* It was scanned when it was found: what is no key is the end. */
	if (p == end || *p != '"' ||
	    (p = scan_string(p + 1, end, key)) == NULL ||
	    (p = skip_space(p, end)) == end || *p != ':' ||
	    (p = scan_value(p + 1, end, 0, value)) == NULL) {
		object->len = 0;
		return false;
	}
	object->p = p;
	object->len = (size_t)(end - p);
	return true;
}

struct slice
v1_raw(const struct v1_value *v)
{
	switch (v->kind) {
	case V1_STRING:
		return (struct slice){ v->p - 1, v->len + 2 };
	case V1_ARRAY:
	case V1_OBJECT:
		return (struct slice){ v->p - 1, v->len + 1 };
	case V1_NULL:
	case V1_BOOL:
	case V1_NUMBER:
		return (struct slice){ v->p, v->len };
	case V1_ABSENT:
		break;
	}
	return (struct slice){ "null", 4 };
}

bool
v1_element(struct v1_value *array, struct v1_value *element)
{
	char *end, *p;

	if (array->kind != V1_ARRAY)
		return false;
	end = array->p + array->len;
	p = skip_space(array->p, end);
	if (p < end && *p == ',')
		p++;
	if (p == end || *p == ']' ||
	    (p = scan_value(p, end, 0, element)) == NULL) {
		array->len = 0;
		return false;
	}
	array->p = p;
	array->len = (size_t)(end - p);
	return true;
}

static char *
utf8_put(char *dst, uint32_t c)
{
	if (c < 0x80) {
		*dst++ = (char)c;
	} else if (c < 0x800) {
		*dst++ = (char)(0xc0 | c >> 6);
		*dst++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*dst++ = (char)(0xe0 | c >> 12);
		*dst++ = (char)(0x80 | (c >> 6 & 0x3f));
		*dst++ = (char)(0x80 | (c & 0x3f));
	} else {
		*dst++ = (char)(0xf0 | c >> 18);
		*dst++ = (char)(0x80 | (c >> 12 & 0x3f));
		*dst++ = (char)(0x80 | (c >> 6 & 0x3f));
		*dst++ = (char)(0x80 | (c & 0x3f));
	}
	return dst;
}

/* p is behind "\u"; returns behind the escape (or the pair). */
static char *
unescape_u(char *p, char *end, char **dst)
{
	uint32_t c = (uint32_t)hex4(p), low;

	p += 4;
	if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' &&
	    p[1] == 'u' && (low = (uint32_t)hex4(p + 2)) >= 0xdc00 &&
	    low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	if (c >= 0xd800 && c < 0xe000)
		c = 0xfffd;
	*dst = utf8_put(*dst, c);
	return p;
}

struct slice
v1_string(struct v1_value *v)
{
	static const char	 from[] = "bfnrt", to[] = "\b\f\n\r\t";
	char			*p = v->p, *dst = v->p, *end, *run;
	const char		*e;

	if (v->kind != V1_STRING)
		return (struct slice){ NULL, 0 };
	if (!v->escaped)
		return (struct slice){ v->p, v->len };
	end = p + v->len;
	for (;;) {
		if ((run = memchr(p, '\\', (size_t)(end - p))) == NULL)
			run = end;
		memmove(dst, p, (size_t)(run - p));
		dst += run - p;
		if ((p = run) == end)
			break;
		if (p[1] == 'u') {
			p = unescape_u(p + 2, end, &dst);
			continue;
		}
		e = strchr(from, p[1]);
		*dst++ = e != NULL ? to[e - from] : p[1];
		p += 2;
	}
	v->len = (size_t)(dst - v->p);
	v->escaped = false;
	return (struct slice){ v->p, v->len };
}

bool
v1_int(const struct v1_value *v, int64_t *n)
{
	const char	*p = v->p, *end;
	bool		 negative;
	int64_t		 value = 0;

	if (v->kind != V1_NUMBER)
		return false;
	end = p + v->len;
	if ((negative = *p == '-'))
		p++;
	for (; p < end; p++)
		if (*p < '0' || *p > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *p - '0', &value))
			return false;
	/* Counted downwards, so that the least number fits. */
	if (!negative && value == INT64_MIN)
		return false;
	*n = negative ? value : -value;
	return true;
}

bool
v1_bool(const struct v1_value *v, bool *b)
{
	if (v->kind != V1_BOOL)
		return false;
	*b = v->len == 4;
	return true;
}
