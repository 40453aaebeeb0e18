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
 * JSON, base64, UTF-8: what is read is written, read again and the same.
 */

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/utf8.h"

int		 LLVMFuzzerTestOneInput(const uint8_t *, size_t);
static void	 rewrite(struct jsonw *, const struct json_value *, bool);
static void	 text_fuzz(const uint8_t *, size_t);
static void	 tree_fuzz(const char *, size_t);

/* Keys with a NUL cannot be written again; they are left out. */
static void
rewrite(struct jsonw *w, const struct json_value *v, bool member)
{
	const struct json_value	*e;
	struct slice		 s = json_key(v);
	char			 key[256];
	const char		*k = NULL;
	int64_t			 i = 0;
	double			 d = 0;
	bool			 b = false;

	if (member) {
		if (!slice_copy(key, sizeof(key), s) ||
		    strlen(key) != s.len)
			return;
		k = key;
	}
	switch (json_type(v)) {
	case JSON_NULL:
		jsonw_null(w, k);
		break;
	case JSON_BOOL:
		if (!json_bool(v, &b))
			abort();
		jsonw_bool(w, k, b);
		break;
	case JSON_INT:
		if (!json_int(v, &i))
			abort();
		jsonw_int(w, k, i);
		break;
	case JSON_DOUBLE:
		if (!json_double(v, &d))
			abort();
		jsonw_double(w, k, d);
		break;
	case JSON_STRING:
		if (!json_str(v, &s) || !utf8_valid(s.p, s.len))
			abort();
		jsonw_str(w, k, s);
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		if (json_type(v) == JSON_ARRAY)
			jsonw_array(w, k);
		else
			jsonw_object(w, k);
		for (e = json_first(v); e != NULL; e = json_next(e))
			rewrite(w, e, json_type(v) == JSON_OBJECT);
		jsonw_end(w);
		break;
	}
}

static void
tree_fuzz(const char *text, size_t len)
{
	struct json	*j, *again;
	struct jsonw	 w;
	struct buf	 b = { 0 };
	const char	*why;

	if ((j = json_parse(text, len, 1000, &why)) == NULL)
		return;
	jsonw_init(&w, &b);
	rewrite(&w, json_root(j), false);
	if (!jsonw_ok(&w))
		abort();
	if ((again = json_parse((char *)buf_data(&b), b.len, 1000, &why)) ==
	    NULL || json_count(json_root(again)) > json_count(json_root(j)))
		abort();
	json_free(again);
	json_free(j);
	buf_clear(&b);
}

static void
text_fuzz(const uint8_t *data, size_t len)
{
	struct utf8_stream	 u = { { 0 }, 0 }, u2 = { { 0 }, 0 };
	struct buf		 whole = { 0 }, cut = { 0 };
	size_t			 at = len > 0 ? data[0] % (len + 1) : 0;
	char			*dst = malloc(BASE64_DECODED_MAX(len));
	char			*back = malloc(BASE64_LEN(len) + 8);
	ssize_t			 n;

	if (dst == NULL || back == NULL)
		abort();
	(void)utf8_replace(&u, &whole, data, len, true);
	(void)utf8_replace(&u2, &cut, data, at, false);
	(void)utf8_replace(&u2, &cut, data + at, len - at, true);
	if (whole.len != cut.len || !utf8_valid(buf_data(&whole), whole.len) ||
	    (whole.len > 0 &&
	    memcmp(buf_data(&whole), buf_data(&cut), whole.len) != 0))
		abort();
	if ((n = base64_decode(dst, (const char *)data, len)) > 0 &&
	    base64_encode(back, dst, (size_t)n) > len)
		abort();
	buf_clear(&whole);
	buf_clear(&cut);
	free(dst);
	free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	text_fuzz(data, len);
	tree_fuzz((const char *)data, len);
	return 0;
}
