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
 * JSON reader: yajl's events into a tree that lives in one arena.
 * Runs in: front, control, remote, runner, admin.  Input is hostile.
 */

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include "base/json.h"

#define CHUNK	(16 * 1024)	/* of the arena; grows for a long string */

struct json_value {
	const struct json_value	*next;
	struct slice		 key;
	enum json_type		 type;
	uint32_t		 count;		/* children */
	struct slice		 raw;		/* of an object or array */
	union {
		bool			 b;
		int64_t			 i;
		double			 d;
		struct slice		 s;
		const struct json_value	*first;
	} u;
};

struct chunk {
	struct chunk	*next;
	size_t		 used, size;
	max_align_t	 mem[];
};

struct json {
	struct chunk		*chunks;
	struct json_value	*root;
	/* While parsing: */
	yajl_handle		 yajl;
	const char		*text, *end;
	const char		*why;
	size_t			 left;		/* values still allowed */
	unsigned int		 depth, depth_max;
	struct json_value	*open[JSON_DEPTH_DEEP];
	struct json_value	*last[JSON_DEPTH_DEEP];
	struct slice		 key;
};

static void		*arena_alloc(struct json *, size_t);
static struct json_value *value_add(struct json *, enum json_type);
static int		 fail(struct json *, const char *);
static int		 string_keep(struct json *, struct slice *,
			    const unsigned char *, size_t);
static int		 open_add(struct json *, enum json_type);
static int		 on_null(void *);
static int		 on_bool(void *, int);
static int		 on_int(void *, long long);
static int		 on_double(void *, double);
static int		 on_string(void *, const unsigned char *, size_t);
static int		 on_key(void *, const unsigned char *, size_t);
static int		 on_object(void *);
static int		 on_array(void *);
static int		 on_end(void *);
static enum json_got	 get(const struct json_value *, const char *,
			    const struct json_value **);

static const yajl_callbacks callbacks = {
	.yajl_null = on_null, .yajl_boolean = on_bool,
	.yajl_integer = on_int, .yajl_double = on_double,
	.yajl_string = on_string, .yajl_map_key = on_key,
	.yajl_start_map = on_object, .yajl_end_map = on_end,
	.yajl_start_array = on_array, .yajl_end_array = on_end
};

static int
fail(struct json *j, const char *why)
{
	j->why = why;
	return 0;
}

static void *
arena_alloc(struct json *j, size_t n)
{
	struct chunk	*c = j->chunks;
	size_t		 size;
	void		*p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (c == NULL || n > c->size - c->used) {
		size = n > CHUNK ? n : CHUNK;
		if ((c = malloc(sizeof(*c) + size)) == NULL)
			return NULL;
		c->used = 0;
		c->size = size;
		c->next = j->chunks;
		j->chunks = c;
	}
	p = (char *)c->mem + c->used;
	c->used += n;
	return p;
}

static struct json_value *
value_add(struct json *j, enum json_type type)
{
	struct json_value *v, *up;

	if (j->left == 0) {
		(void)fail(j, "too many values");
		return NULL;
	}
	j->left--;
	if ((v = arena_alloc(j, sizeof(*v))) == NULL) {
		(void)fail(j, "no memory");
		return NULL;
	}
	memset(v, 0, sizeof(*v));
	v->type = type;
	v->key = j->key;
	memset(&j->key, 0, sizeof(j->key));
	if (j->depth == 0) {
		j->root = v;
		return v;
	}
	up = j->open[j->depth - 1];
	if (up->count++ == 0)
		up->u.first = v;
	else
		j->last[j->depth - 1]->next = v;
	j->last[j->depth - 1] = v;
	return v;
}

/*
 * yajl hands out the text itself when a string had no escapes, and its own
 * buffer, soon overwritten, when it had.
 */
static int
string_keep(struct json *j, struct slice *s, const unsigned char *p,
    size_t n)
{
	const char	*c = (const char *)p;
	char		*copy;

	if (n == 0) {
		*s = (struct slice){ "", 0 };
		return 1;
	}
	if ((uintptr_t)c >= (uintptr_t)j->text &&
	    (uintptr_t)c < (uintptr_t)j->end) {
		*s = (struct slice){ c, n };
		return 1;
	}
	/* An escaped lone surrogate is not text. */
	if (!utf8_valid(p, n))
		return fail(j, "bad escape in a string");
	if ((copy = arena_alloc(j, n)) == NULL)
		return fail(j, "no memory");
	memcpy(copy, p, n);
	*s = (struct slice){ copy, n };
	return 1;
}

static int
open_add(struct json *j, enum json_type type)
{
	struct json_value *v;

	if (j->depth == j->depth_max)
		return fail(j, "nested too deeply");
	if ((v = value_add(j, type)) == NULL)
		return 0;
	j->open[j->depth++] = v;
	v->raw.p = j->text + yajl_get_bytes_consumed(j->yajl) - 1;
	return 1;
}

static int
on_null(void *arg)
{
	return value_add(arg, JSON_NULL) != NULL;
}

static int
on_bool(void *arg, int b)
{
	struct json_value *v;

	if ((v = value_add(arg, JSON_BOOL)) == NULL)
		return 0;
	v->u.b = b != 0;
	return 1;
}

static int
on_int(void *arg, long long i)
{
	struct json_value *v;

	if ((v = value_add(arg, JSON_INT)) == NULL)
		return 0;
	v->u.i = i;
	return 1;
}

static int
on_double(void *arg, double d)
{
	struct json_value *v;

	if ((v = value_add(arg, JSON_DOUBLE)) == NULL)
		return 0;
	v->u.d = d;
	return 1;
}

static int
on_string(void *arg, const unsigned char *p, size_t n)
{
	struct json_value	*v;
	struct slice		 s;

	if (!string_keep(arg, &s, p, n) ||
	    (v = value_add(arg, JSON_STRING)) == NULL)
		return 0;
	v->u.s = s;
	return 1;
}

static int
on_key(void *arg, const unsigned char *p, size_t n)
{
	struct json *j = arg;

	return string_keep(j, &j->key, p, n);
}

static int
on_object(void *arg)
{
	return open_add(arg, JSON_OBJECT);
}

static int
on_array(void *arg)
{
	return open_add(arg, JSON_ARRAY);
}

static int
on_end(void *arg)
{
	struct json		*j = arg;
	struct json_value	*v = j->open[--j->depth];

	v->raw.len = (size_t)(j->text + yajl_get_bytes_consumed(j->yajl) -
	    (const char *)v->raw.p);
	return 1;
}

struct json *
json_parse(const char *text, size_t len, size_t max_values, const char **why)
{
	return json_parse_deep(text, len, max_values, JSON_DEPTH_MAX, why);
}

struct json *
json_parse_deep(const char *text, size_t len, size_t max_values,
    unsigned int depth, const char **why)
{
	struct json	*j;
	yajl_handle	 h = NULL;
	yajl_status	 st;

	*why = "no memory";
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return NULL;
	j->text = text;
	j->end = text + len;
	j->depth_max = depth < JSON_DEPTH_DEEP ? depth : JSON_DEPTH_DEEP;
	j->left = max_values != 0 ? max_values : JSON_VALUES_MAX;
	if (!utf8_valid(text, len)) {
		*why = "not UTF-8";
		goto bad;
	}
	if ((h = yajl_alloc(&callbacks, NULL, j)) == NULL)
		goto bad;
	j->yajl = h;
	(void)yajl_config(h, yajl_dont_validate_strings, 1);
	st = yajl_parse(h, (const unsigned char *)text, len);
	if (st == yajl_status_ok)
		st = yajl_complete_parse(h);
	/* Half a string behind the end passes for the end: complete it. */
	if (st == yajl_status_ok)
		st = yajl_parse(h, (const unsigned char *)"\"", 1);
	if (st != yajl_status_ok || j->root == NULL || j->depth != 0) {
		*why = j->why != NULL ? j->why : "malformed JSON";
		goto bad;
	}
	yajl_free(h);
	return j;
bad:
	if (h != NULL)
		yajl_free(h);
	json_free(j);
	return NULL;
}

void
json_free(struct json *j)
{
	struct chunk *c, *next;

	if (j == NULL)
		return;
	for (c = j->chunks; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(j);
}

const struct json_value *
json_root(const struct json *j)
{
	return j == NULL ? NULL : j->root;
}

enum json_type
json_type(const struct json_value *v)
{
	return v == NULL ? JSON_NULL : v->type;
}

const struct json_value *
json_first(const struct json_value *v)
{
	if (v == NULL || (v->type != JSON_ARRAY && v->type != JSON_OBJECT))
		return NULL;
	return v->u.first;
}

const struct json_value *
json_next(const struct json_value *v)
{
	return v == NULL ? NULL : v->next;
}

size_t
json_count(const struct json_value *v)
{
	return v == NULL ? 0 : v->count;
}

struct slice
json_key(const struct json_value *v)
{
	return v == NULL ? (struct slice){ NULL, 0 } : v->key;
}

const struct json_value *
json_find(const struct json_value *v, const char *key)
{
	const struct json_value *m, *found = NULL;

	if (v == NULL || v->type != JSON_OBJECT)
		return NULL;
	for (m = v->u.first; m != NULL; m = m->next)
		if (slice_is(m->key, key))
			found = m;
	return found;
}

struct slice
json_raw(const struct json_value *v)
{
	return v == NULL ? (struct slice){ "", 0 } : v->raw;
}

bool
json_str(const struct json_value *v, struct slice *s)
{
	if (v == NULL || v->type != JSON_STRING)
		return false;
	*s = v->u.s;
	return true;
}

bool
json_bool(const struct json_value *v, bool *b)
{
	if (v == NULL || v->type != JSON_BOOL)
		return false;
	*b = v->u.b;
	return true;
}

bool
json_int(const struct json_value *v, int64_t *i)
{
	if (v == NULL || v->type != JSON_INT)
		return false;
	*i = v->u.i;
	return true;
}

bool
json_double(const struct json_value *v, double *d)
{
	if (v == NULL || (v->type != JSON_INT && v->type != JSON_DOUBLE))
		return false;
	*d = v->type == JSON_INT ? (double)v->u.i : v->u.d;
	return true;
}

bool
json_cstr(const struct json_value *v, char *dst, size_t dstlen)
{
	struct slice s;

	if (!json_str(v, &s) || memchr(s.p, '\0', s.len) != NULL)
		return false;
	return slice_copy(dst, dstlen, s);
}

/* What all the typed getters start with. */
static enum json_got
get(const struct json_value *o, const char *key, const struct json_value **v)
{
	*v = json_find(o, key);
	return json_type(*v) == JSON_NULL ? JSON_ABSENT : JSON_GOT;
}

enum json_got
json_get_str(const struct json_value *o, const char *key, struct slice *s)
{
	const struct json_value *v;

	if (get(o, key, &v) == JSON_ABSENT)
		return JSON_ABSENT;
	return json_str(v, s) ? JSON_GOT : JSON_WRONG;
}

enum json_got
json_get_bool(const struct json_value *o, const char *key, bool *b)
{
	const struct json_value *v;

	if (get(o, key, &v) == JSON_ABSENT)
		return JSON_ABSENT;
	return json_bool(v, b) ? JSON_GOT : JSON_WRONG;
}

enum json_got
json_get_int(const struct json_value *o, const char *key, int64_t min,
    int64_t max, int64_t *out)
{
	const struct json_value	*v;
	int64_t			 i;

	if (get(o, key, &v) == JSON_ABSENT)
		return JSON_ABSENT;
	if (!json_int(v, &i) || i < min || i > max)
		return JSON_WRONG;
	*out = i;
	return JSON_GOT;
}

enum json_got
json_get_double(const struct json_value *o, const char *key, double *d)
{
	const struct json_value *v;

	if (get(o, key, &v) == JSON_ABSENT)
		return JSON_ABSENT;
	return json_double(v, d) ? JSON_GOT : JSON_WRONG;
}

enum json_got
json_get_array(const struct json_value *o, const char *key,
    const struct json_value **out)
{
	const struct json_value *v;

	if (get(o, key, &v) == JSON_ABSENT)
		return JSON_ABSENT;
	if (v->type != JSON_ARRAY)
		return JSON_WRONG;
	*out = v;
	return JSON_GOT;
}

enum json_got
json_get_object(const struct json_value *o, const char *key,
    const struct json_value **out)
{
	const struct json_value *v;

	if (get(o, key, &v) == JSON_ABSENT)
		return JSON_ABSENT;
	if (v->type != JSON_OBJECT)
		return JSON_WRONG;
	*out = v;
	return JSON_GOT;
}
