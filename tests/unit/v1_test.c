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
 * base/v1 and base/v1_json: names, modes, times, codes; what is JSON and what
 * is not; strings unescaped where they stand.
 */

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/v1.h"

static int	passed, failed;

static void
check(bool ok, const char *what, const char *detail)
{
	if (ok) {
		passed++;
		return;
	}
	failed++;
	printf("not ok %s: %s\n", what, detail);
}

static void
names(void)
{
	unsigned int	 i;
	const char	*name;

	for (i = 1; i < V1_TYPE_MAX; i++) {
		name = v1_type_name(i);
		check(name[0] != '\0' && v1_type_by_name(slice_str(name)) ==
		    i, "type", name);
	}
	check(v1_type_by_name(slice_str("")) == V1_UNKNOWN, "type", "empty");
	check(v1_type_by_name(slice_str("execx")) == V1_UNKNOWN, "type",
	    "execx");
	check(v1_type_reply(V1_STAT) == V1_FILE_INFO, "reply", "stat");
	check(v1_type_reply(V1_OK) == V1_UNKNOWN, "reply", "ok");
	check(strcmp(v1_type_name(V1_TYPE_MAX), "") == 0, "type", "max");
	check(strcmp(v1_error_name(XERR_ENOTDIR), "ENOTDIR") == 0, "error",
	    "ENOTDIR");
	check(strcmp(v1_error_name(XERR_EOFFLINE), "EIO") == 0, "error",
	    "EOFFLINE");
	check(v1_error_code(slice_str("EEXIST")) == XERR_EEXIST, "code",
	    "EEXIST");
	check(v1_error_code(slice_str("")) == XERR_EIO, "code", "empty");
	check(v1_error_code(slice_str("ENOENTENOENTENOENTENOENT")) ==
	    XERR_EIO, "code", "long");
}

static void
modes(void)
{
	static const struct { uint32_t go, mode; } v[] = {
		{ 0644, S_IFREG | 0644 }, { 0, S_IFREG },
		{ 0x801001ff, S_IFDIR | 01777 },
		{ 1u << 31 | 0755, S_IFDIR | 0755 },
		{ 1u << 27 | 0777, S_IFLNK | 0777 },
		{ 1u << 26 | 0660, S_IFBLK | 0660 },
		{ 1u << 26 | 1u << 21 | 0620, S_IFCHR | 0620 },
		{ 1u << 25 | 0600, S_IFIFO | 0600 },
		{ 1u << 24 | 0700, S_IFSOCK | 0700 },
		{ 1u << 23 | 0755, S_IFREG | 04755 },
		{ 1u << 22 | 0755, S_IFREG | 02755 },
	};
	char	text[64];
	size_t	i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(text, sizeof(text), "%x %o", v[i].go, v[i].mode);
		check(v1_mode_to_go(v[i].mode) == v[i].go, "to go", text);
		check(v1_mode_from_go(v[i].go) == v[i].mode, "from go", text);
	}
	check(v1_mode_from_go(04755) == (S_IFREG | 04755), "from go",
	    "docker mode");
	check(v1_mode_to_go(0170000 | 0644) == (1u << 19 | 0644), "to go",
	    "irregular");
}

static void
times(void)
{
	static const struct { const char *text; bool ok; int64_t ns; } v[] = {
		{ "2026-08-23T01:09:06+08:00", true, 1787418546000000000 },
		{ "2026-08-22T17:09:06Z", true, 1787418546000000000 },
		{ "2026-08-22T17:09:06.5Z", true, 1787418546500000000 },
		{ "2026-08-22T17:09:06.1234567899Z", true,
		    1787418546123456789 },
		{ "1970-01-01T00:00:00Z", true, 0 },
		{ "1969-12-31T23:59:59-00:00", true, -1000000000 },
		{ "2000-02-29T00:00:00Z", true, 951782400000000000 },
		{ "2100-03-01T00:00:00Z", true, 4107542400000000000 },
		{ "0001-01-01T00:00:00Z", false, 0 },
		{ "9999-12-31T23:59:59Z", false, 0 },
		{ "2026-08-23T01:09:06", false, 0 },
		{ "2026-08-23T01:09Z", false, 0 },
		{ "2026-13-23T01:09:06Z", false, 0 },
		{ "2026-08-23T24:09:06Z", false, 0 },
		{ "2026-08-23T01:09:06.Z", false, 0 },
		{ "2026-08-23T01:09:06+0800", false, 0 },
		{ "2026-08-23T01:09:06+99:00", false, 0 },
		{ "2026-08-23T01:09:06ZZ", false, 0 },
		{ "-026-08-23T01:09:06Z", false, 0 },
		{ "", false, 0 },
	};
	char	text[V1_TIME_MAX];
	size_t	i;
	int64_t	ns;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		ns = 0;
		check(v1_time_parse(slice_str(v[i].text), &ns) == v[i].ok &&
		    ns == v[i].ns, "time", v[i].text);
	}
	v1_time_format(text, 1787418546);
	check(strcmp(text, "2026-08-22T17:09:06Z") == 0, "format", text);
	v1_time_format(text, -62135596800);
	check(strcmp(text, "0001-01-01T00:00:00Z") == 0, "format", text);
	v1_time_format(text, INT64_MAX);
	check(strcmp(text, "1970-01-01T00:00:00Z") == 0, "format", text);
}

/* Whether it is a message, and what its id is. */
static void
envelopes(void)
{
	static const struct { const char *text, *id; } v[] = {
		{ "{\"type\":\"ok\"}", "" },
		{ " {\t\"id\" :\r\"a\\u0062\" , \"type\":\"ok\"} \n", "ab" },
		{ "{\"type\":\"ok\",\"id\":null}", "" },
		{ "{\"id\":\"1\",\"type\":\"ok\",\"id\":\"2\"}", "2" },
		{ "{\"x\":[1,-0,0.5,1e9,-2E-3,true,false,null,{},[]],"
		    "\"ty\\u0070e\":\"ok\"}", "" },
		{ "{\"type\":\"ok\",\"body\":{\"type\":5,\"id\":6}}", "" },
		{ "", NULL }, { "{", NULL }, { "[]", NULL },
		{ "\"type\"", NULL }, { "null", NULL },
		{ "{\"type\":\"ok\"}}", NULL },
		{ "{\"type\":\"ok\",}", NULL }, { "{,\"type\":\"ok\"}", NULL },
		{ "{\"type\":\"ok\" \"id\":\"\"}", NULL },
		{ "{\"type\":ok}", NULL }, { "{\"type\":5}", NULL },
		{ "{\"type\":\"ok\",\"id\":5}", NULL },
		{ "{\"type\":\"ok\",\"n\":01}", NULL },
		{ "{\"type\":\"ok\",\"n\":1.}", NULL },
		{ "{\"type\":\"ok\",\"n\":.5}", NULL },
		{ "{\"type\":\"ok\",\"n\":+5}", NULL },
		{ "{\"type\":\"ok\",\"n\":-}", NULL },
		{ "{\"type\":\"ok\",\"n\":1e}", NULL },
		{ "{\"type\":\"ok\",\"n\":tru}", NULL },
		{ "{\"type\":\"ok\",\"n\":[1,]}", NULL },
		{ "{\"type\":\"ok\",\"n\":[,1]}", NULL },
		{ "{\"type\":\"ok\",\"n\":[1 2]}", NULL },
		{ "{\"type\":\"ok\",\"n\":\"\\x\"}", NULL },
		{ "{\"type\":\"ok\",\"n\":\"\\u12g4\"}", NULL },
		{ "{\"type\":\"ok\",\"n\":\"\\u123", NULL },
		{ "{\"type\":\"ok\",\"n\":\"\\", NULL },
		{ "{\"type\":\"ok\",\"n\":\"a\nb\"}", NULL },
		{ "{\"type\":\"ok\",5:1}", NULL },
		{ "{\"type\":\"ok\",\"n\"}", NULL },
	};
	struct v1_message	 msg;
	const char		*why;
	char			*text;
	size_t			 i;
	int			 rc;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		/* Without the NUL, so that a step too far is seen. */
		text = malloc(strlen(v[i].text) + 1);
		if (text == NULL)
			abort();
		memcpy(text, v[i].text, strlen(v[i].text));
		text = realloc(text, strlen(v[i].text) + (*v[i].text == 0));
		rc = v1_parse(text, strlen(v[i].text), &msg, &why);
		check((rc == 0) == (v[i].id != NULL), "parse", v[i].text);
		if (rc == 0 && v[i].id != NULL)
			check(slice_is(msg.id, v[i].id) && msg.type == V1_OK,
			    "id", v[i].text);
		free(text);
	}
}

/* It can be answered, if it says to whom. */
static void
no_type(void)
{
	static const char	*v[] = { "{}", "{\"type\":null}",
				    "{\"type\":\"\"}", "{\"id\":\"\"}" };
	struct v1_message	 msg;
	const char		*why;
	char			 text[32];
	size_t			 i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(text, sizeof(text), "%s", v[i]);
		check(v1_parse(text, strlen(text), &msg, &why) == 0 &&
		    msg.type == V1_UNKNOWN && msg.type_text.len == 0 &&
		    msg.id.len == 0, "no type", v[i]);
	}
}

static void
strings(void)
{
	static const struct { const char *in, *out; size_t len; } v[] = {
		{ "plain", "plain", 5 }, { "", "", 0 },
		{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8 },
		{ "\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac", 6 },
		{ "\\ud83d\\ude00!", "\xf0\x9f\x98\x80!", 5 },
		{ "\\ud83d!", "\xef\xbf\xbd!", 4 },
		{ "\\ude00\\ud83d", "\xef\xbf\xbd\xef\xbf\xbd", 6 },
		{ "\\ud83d\\u0041", "\xef\xbf\xbd" "A", 4 },
		{ "a\\u0000b", "a\0b", 3 },
		{ "\xff\xfe", "\xff\xfe", 2 },
		{ "x\\\\", "x\\", 2 },
	};
	struct v1_member	 m[] = { { .key = "s" } };
	struct v1_message	 msg;
	const char		*why;
	char			 text[128];
	struct slice		 s;
	size_t			 i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(text, sizeof(text),
		    "{\"type\":\"ok\",\"body\":{\"s\":\"%s\"}}", v[i].in);
		if (v1_parse(text, strlen(text), &msg, &why) == -1 ||
		    !v1_members(&msg.body, m, 1)) {
			check(false, "string", v[i].in);
			continue;
		}
		s = v1_string(&m[0].value);
		check(s.len == v[i].len && memcmp(s.p, v[i].out, s.len) == 0,
		    "string", v[i].in);
		s = v1_string(&m[0].value);
		check(s.len == v[i].len, "string again", v[i].in);
	}
}

static void
values(void)
{
	static const struct { const char *text; bool ok; int64_t n; } v[] = {
		{ "0", true, 0 }, { "-0", true, 0 }, { "-17", true, -17 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "1.0", false, 0 }, { "1e3", false, 0 },
		{ "\"5\"", false, 0 }, { "null", false, 0 },
		{ "true", false, 0 }, { "[5]", false, 0 },
	};
	struct v1_member	 m[] = { { .key = "n" }, { .key = "none" } };
	struct v1_message	 msg;
	struct v1_value		 e;
	const char		*why;
	char			 text[V1_DEPTH_MAX * 4];
	int64_t			 n;
	size_t			 i;
	bool			 b;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(text, sizeof(text),
		    "{\"type\":\"ok\",\"body\":{\"n\":%s}}", v[i].text);
		n = 0;
		check(v1_parse(text, strlen(text), &msg, &why) == 0 &&
		    v1_members(&msg.body, m, 2) &&
		    v1_int(&m[0].value, &n) == v[i].ok && n == v[i].n &&
		    m[1].value.kind == V1_ABSENT, "int", v[i].text);
		check(v1_bool(&m[0].value, &b) == (v[i].text[0] == 't'),
		    "bool", v[i].text);
	}
	strcpy(text, "{\"type\":\"ok\",\"body\": [ 1 , {\"n\":7},[], \"x\" ]}");
	v1_parse(text, strlen(text), &msg, &why);
	check(!v1_members(&msg.body, m, 1), "members", "of an array");
	for (i = 0; v1_element(&msg.body, &e); i++)
		if (i == 1)
			check(v1_members(&e, m, 1) && v1_int(&m[0].value,
			    &n) && n == 7, "element", "object");
	check(i == 4, "elements", text);
	/* As deep as may be, and one more. */
	for (i = V1_DEPTH_MAX - 1; i <= V1_DEPTH_MAX; i++) {
		snprintf(text, sizeof(text), "{\"type\":\"ok\",\"n\":");
		memset(text + strlen(text), 0, 1);
		n = (int64_t)strlen(text);
		memset(text + n, '[', i);
		memset(text + n + i, ']', i);
		memcpy(text + n + 2 * i, "}", 2);
		check((v1_parse(text, strlen(text), &msg, &why) == 0) ==
		    (i < V1_DEPTH_MAX), "depth", text);
	}
}

/* One odd byte at every place of strings around the size of a word. */
static void
places(void)
{
	static const struct { char c; bool ok; } odd[] = {
		{ 0x1f, false }, { 0x20, true }, { 0x21, true },
		{ 0x23, true }, { 0x5b, true }, { 0x5d, true },
		{ 0x7f, true }, { (char)0x80, true }, { (char)0xa2, true },
		{ (char)0xdc, true }, { (char)0xff, true }, { 0, false },
		{ '"', false }, { '\\', false },
	};
	struct v1_message	 msg;
	const char		*why;
	char			 text[128];
	size_t			 i, len, at, n;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		for (len = 1; len < 26; len++)
			for (at = 0; at < len; at++) {
				n = (size_t)snprintf(text, sizeof(text),
				    "{\"type\":\"ok\",\"id\":\"%.*s\"}",
				    (int)len, "zzzzzzzzzzzzzzzzzzzzzzzzzz");
				text[n - 2 - len + at] = odd[i].c;
				if ((v1_parse(text, n, &msg, &why) == 0) !=
				    odd[i].ok || (odd[i].ok &&
				    msg.id.len != len)) {
					check(false, "place", text);
					return;
				}
			}
	check(true, "places", "");
}

int
main(void)
{
	places();
	names();
	modes();
	times();
	envelopes();
	no_type();
	strings();
	values();
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
