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
 * JSON: a strict reader into a tree, and a writer.  Runs in: front, control,
 * remote, runner, admin.  Input is hostile: depth, number of values, UTF-8
 * and number ranges are checked here; the caller bounds the text's length.
 *
 * A key that stands twice: the last one wins.  null counts as absent in the
 * typed getters.  \u0000 is allowed in the text and comes back as a byte, so
 * whoever makes a C string of a slice must use json_cstr or check himself.
 */

#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/msg.h"		/* struct slice */

#define JSON_DEPTH_MAX	16	/* nesting; ours needs 4 */
#define JSON_DEPTH_DEEP	64	/* at most, of json_parse_deep */
#define JSON_VALUES_MAX	65536	/* values in a text, when 0 is given */

enum json_type {
	JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_STRING,
	JSON_ARRAY, JSON_OBJECT
};

struct json;			/* a parsed text; owns its values */
struct json_value;

/*
 * Parses one whole text.  NULL and *why (a literal) when it is malformed or
 * over a limit; *why is "no memory" when that is so.  Borrows text for life:
 * a string without escapes is a view of it, however long it is.
 */
struct json	*json_parse(const char *text, size_t len, size_t max_values,
		    const char **why);
/* The same with a nesting of at most depth, for texts that are others'. */
struct json	*json_parse_deep(const char *text, size_t len,
		    size_t max_values, unsigned int depth, const char **why);
/* NULL is fine. */
void		 json_free(struct json *);
const struct json_value *json_root(const struct json *);

/* NULL counts as JSON_NULL; the others take it too and find nothing in it. */
enum json_type	 json_type(const struct json_value *);
/* Members of an object or elements of an array, in order; NULL at the end. */
const struct json_value *json_first(const struct json_value *);
const struct json_value *json_next(const struct json_value *);
size_t		 json_count(const struct json_value *);
struct slice	 json_key(const struct json_value *);	/* of a member */
/* The text of an object or array as it came; empty for others. */
struct slice	 json_raw(const struct json_value *);
/* The last member of that name, NULL if there is none. */
const struct json_value *json_find(const struct json_value *, const char *);

/* Of one value; false: another type (an int is a double as well). */
bool	 json_str(const struct json_value *, struct slice *);
bool	 json_bool(const struct json_value *, bool *);
bool	 json_int(const struct json_value *, int64_t *);
bool	 json_double(const struct json_value *, double *);
/* A string without NUL byte that fits, copied with a NUL behind it. */
bool	 json_cstr(const struct json_value *, char *dst, size_t dstlen);

/*
 * Members by name.  JSON_ABSENT leaves *out alone, so set the default first.
 */
enum json_got {
	JSON_WRONG = -1,	/* other type, or out of range */
	JSON_ABSENT = 0,	/* not there, or null */
	JSON_GOT = 1
};

enum json_got	 json_get_str(const struct json_value *, const char *,
		    struct slice *);
enum json_got	 json_get_bool(const struct json_value *, const char *,
		    bool *);
/* min <= value <= max, else JSON_WRONG; 1.0 is no int. */
enum json_got	 json_get_int(const struct json_value *, const char *,
		    int64_t min, int64_t max, int64_t *out);
enum json_got	 json_get_double(const struct json_value *, const char *,
		    double *);
enum json_got	 json_get_array(const struct json_value *, const char *,
		    const struct json_value **);
enum json_got	 json_get_object(const struct json_value *, const char *,
		    const struct json_value **);

/*
 * The writer appends to a buf.  key is NULL in arrays and at the top.  Errors
 * (no memory, deeper than 32) stick: ask jsonw_ok at the end.
 *
 *	jsonw_init(&w, &buf);
 *	jsonw_object(&w, NULL);
 *	jsonw_text(&w, "name", name);
 *	jsonw_end(&w);
 */
struct jsonw {
	struct buf	*b;		/* lent */
	uint32_t	 used;		/* bit a level: has a member */
	uint32_t	 array;		/* bit a level: is an array */
	unsigned int	 depth;
	bool		 bad;
};

void	 jsonw_init(struct jsonw *, struct buf *);
void	 jsonw_object(struct jsonw *, const char *key);
void	 jsonw_array(struct jsonw *, const char *key);
void	 jsonw_end(struct jsonw *);
/* Bytes that are not UTF-8 become U+FFFD. */
void	 jsonw_str(struct jsonw *, const char *key, struct slice);
void	 jsonw_text(struct jsonw *, const char *key, const char *);
void	 jsonw_int(struct jsonw *, const char *key, int64_t);
void	 jsonw_uint(struct jsonw *, const char *key, uint64_t);
void	 jsonw_double(struct jsonw *, const char *key, double);
void	 jsonw_bool(struct jsonw *, const char *key, bool);
void	 jsonw_null(struct jsonw *, const char *key);
/* The bytes as a base64 string, straight into the buf. */
void	 jsonw_base64(struct jsonw *, const char *key, const void *, size_t);
/* Complete JSON from elsewhere, as it is. */
void	 jsonw_raw(struct jsonw *, const char *key, const void *, size_t);
bool	 jsonw_ok(const struct jsonw *);

#endif
