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
 * base/json: reader, getters, writer.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tests/unit/check.h"

static void	 reads(void);
static void	 gets(void);
static void	 limits(void);
static void	 writes(void);

static const struct {
	const char	*text;
	bool		 good;
} texts[] = {
	{ "{}", true }, { "[]", true }, { " {\"a\":1} \n", true },
	{ "\"x\"", true }, { "1", true }, { "null", true },
	{ "[1,2.5,-3,1e3,true,false,null,\"\\u00e9\\n\"]", true },
	{ "[\"\\ud83d\\ude00\"]", true }, { "[\"\\u0000\"]", true },
	{ "", false }, { "{", false }, { "[1", false }, { "{}x", false },
	{ "{} {}", false }, { "{}\",", false }, { "[] \"", false },
	{ "{}\"}", false }, { "{}\"\\", false }, { "5 \"", false },
	{ "\"a", false }, { "{}1", false }, { "{}tr", false },
	{ "{}-", false }, { "{\"a\"}", false }, { "{\"a\":}", false },
	{ "{a:1}", false }, { "{'a':1}", false }, { "[1,]", false },
	{ "{\"a\":1,}", false }, { "[01]", false }, { "[+1]", false },
	{ "[.5]", false }, { "[1.]", false }, { "[NaN]", false },
	{ "[tru]", false }, { "nul", false }, { "[\"\\x\"]", false },
	{ "[\"\\u12\"]", false }, { "[\"a\nb\"]", false },
	{ "[\"\\ud800\"]", true },	/* yajl makes it "?" */
	{ "[\"\\udc00\"]", false },
	{ "[\"\xff\"]", false }, { "[\"\xc0\x80\"]", false },
	{ "[\"\xed\xa0\x80\"]", false }, { "[\"\xf4\x90\x80\x80\"]", false },
	{ "// x\n{}", false }, { "/* x */ {}", false },
	{ "[99999999999999999999]", false }, { "[\"abc]", false },
	{ "\xef\xbb\xbf{}", false }, { "]", false }, { "[}", false },
};

static void
reads(void)
{
	struct json	*j;
	const char	*why;
	size_t		 i;
	char		*copy;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		/* Without a NUL behind it, so ASan sees reads past the end. */
		copy = malloc(strlen(texts[i].text) + 1);
		memcpy(copy, texts[i].text, strlen(texts[i].text));
		j = json_parse(copy, strlen(texts[i].text), 0, &why);
		if (!CHECK((j != NULL) == texts[i].good))
			printf("%s: %s\n", texts[i].text,
			    j != NULL ? "accepted" : why);
		json_free(j);
		free(copy);
	}
}

static void
gets(void)
{
	static const char text[] = "{\"s\":\"h\\u00e9\",\"i\":7,\"d\":1.5,"
	    "\"b\":true,\"n\":null,\"a\":[\"x\",\"y\"],\"o\":{\"k\":1},"
	    "\"i\":8,\"z\":\"a\\u0000b\",\"e\":\"\"}";
	const struct json_value	*r, *v;
	struct json		*j;
	struct slice		 s;
	const char		*why;
	char			 c[4];
	int64_t			 i = 0;
	double			 d = 0;
	bool			 b = false;

	j = json_parse(text, strlen(text), 0, &why);
	r = json_root(j);
	CHECK(json_type(r) == JSON_OBJECT && json_count(r) == 10);
	CHECK(json_get_str(r, "s", &s) == JSON_GOT && slice_is(s, "h\xc3\xa9"));
	CHECK(json_get_str(r, "e", &s) == JSON_GOT && s.len == 0);
	CHECK(json_get_str(r, "i", &s) == JSON_WRONG);
	CHECK(json_get_str(r, "n", &s) == JSON_ABSENT);
	CHECK(json_get_str(r, "q", &s) == JSON_ABSENT);
	/* the last one of a name */
	CHECK(json_get_int(r, "i", 0, 10, &i) == JSON_GOT && i == 8);
	CHECK(json_get_int(r, "i", 0, 7, &i) == JSON_WRONG);
	CHECK(json_get_int(r, "d", 0, 7, &i) == JSON_WRONG);
	CHECK(json_get_int(r, "b", 0, 7, &i) == JSON_WRONG);
	CHECK(json_get_double(r, "d", &d) == JSON_GOT && d == 1.5);
	CHECK(json_get_double(r, "i", &d) == JSON_GOT && d == 8.0);
	CHECK(json_get_bool(r, "b", &b) == JSON_GOT && b);
	CHECK(json_get_bool(r, "i", &b) == JSON_WRONG);
	CHECK(json_get_array(r, "a", &v) == JSON_GOT && json_count(v) == 2);
	v = json_next(json_first(v));
	CHECK(json_str(v, &s) && slice_is(s, "y") && json_next(v) == NULL);
	CHECK(json_get_array(r, "o", &v) == JSON_WRONG);
	CHECK(json_get_object(r, "o", &v) == JSON_GOT);
	CHECK(slice_is(json_key(json_first(v)), "k"));
	CHECK(json_str(json_find(r, "z"), &s) && s.len == 3);
	CHECK(!json_cstr(json_find(r, "z"), c, sizeof(c)));
	CHECK(json_cstr(json_find(r, "s"), c, sizeof(c)));
	CHECK(!json_cstr(json_find(r, "s"), c, 3));
	CHECK(json_first(json_find(r, "i")) == NULL);
	CHECK(json_find(json_find(r, "i"), "x") == NULL);
	CHECK(json_find(NULL, "x") == NULL && json_root(NULL) == NULL);
	json_free(j);
}

static void
limits(void)
{
	char		 deep[JSON_DEPTH_MAX * 2 + 3], many[1024];
	struct json	*j;
	const char	*why;
	size_t		 i;

	for (i = JSON_DEPTH_MAX; i <= JSON_DEPTH_MAX + 1; i++) {
		memset(deep, '[', i);
		memset(deep + i, ']', i);
		j = json_parse(deep, 2 * i, 0, &why);
		CHECK((j != NULL) == (i == JSON_DEPTH_MAX));
		json_free(j);
	}
	(void)strcpy(many, "[0");
	for (i = 1; i < 99; i++)
		(void)strcat(many, ",0");
	(void)strcat(many, "]");
	j = json_parse(many, strlen(many), 100, &why);
	CHECK(j != NULL);
	json_free(j);
	j = json_parse(many, strlen(many), 99, &why);
	CHECK(j == NULL && strcmp(why, "too many values") == 0);
	json_free(j);
}

static void
writes(void)
{
	static const char	 want[] = "{\"t\":\"a\\\"\\\\\\n\\u0001\\u007f"
	    "\xc3\xa9\xef\xbf\xbdz\xef\xbf\xbd\",\"i\":-5,\"u\":7,\"b\":true,"
	    "\"n\":null,\"a\":[1,{},[]],\"o\":{\"x\":\"aGk=\"},\"d\":0.5,"
	    "\"r\":[9]}";
	static const char	 t[] = "a\"\\\n\x01\x7f\xc3\xa9\xffz\xe2\x82";
	struct buf		 b = { 0 };
	struct jsonw		 w;
	struct json		*j;
	const char		*why;
	int			 i;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "t", t);
	jsonw_int(&w, "i", -5);
	jsonw_uint(&w, "u", 7);
	jsonw_bool(&w, "b", true);
	jsonw_null(&w, "n");
	jsonw_array(&w, "a");
	jsonw_int(&w, NULL, 1);
	jsonw_object(&w, NULL);
	jsonw_end(&w);
	jsonw_array(&w, NULL);
	jsonw_end(&w);
	jsonw_end(&w);
	jsonw_object(&w, "o");
	jsonw_base64(&w, "x", "hi", 2);
	jsonw_end(&w);
	jsonw_double(&w, "d", 0.5);
	jsonw_raw(&w, "r", "[9]", 3);
	CHECK(!jsonw_ok(&w));
	jsonw_end(&w);
	CHECK(jsonw_ok(&w));
	CHECK(b.len == strlen(want) && memcmp(buf_data(&b), want, b.len) == 0);
	if (failed)
		printf("%.*s\n", (int)b.len, (char *)buf_data(&b));
	j = json_parse((char *)buf_data(&b), b.len, 0, &why);
	CHECK(j != NULL);
	json_free(j);
	jsonw_end(&w);
	CHECK(!jsonw_ok(&w));
	jsonw_init(&w, &b);
	for (i = 0; i < 33; i++)
		jsonw_array(&w, NULL);
	for (i = 0; i < 33; i++)
		jsonw_end(&w);
	CHECK(!jsonw_ok(&w));
	buf_clear(&b);
}

int
main(void)
{
	reads();
	gets();
	limits();
	writes();
	return checks_end();
}
