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
 * base/utf8: what is replaced by how many U+FFFD, whole and cut at every
 * place.
 */

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define R	"\xef\xbf\xbd"

static const struct { const char *in, *out; } cases[] = {
	{ "", "" }, { "plain", "plain" },
	{ "h\xc3\xa9", "h\xc3\xa9" },
	{ "\xe2\x82\xac", "\xe2\x82\xac" },
	{ "\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!" },
	{ "\xff", R }, { "a\x80" "b", "a" R "b" },
	{ "\xc3", R }, { "\xc3" "A", R "A" },
	{ "\xc0\x80", R R }, { "\xe0\x80\x80", R R R },
	{ "\xed\xa0\x80", R R R }, { "\xf4\x90\x80\x80", R R R R },
	{ "\xe2\x82", R }, { "\xe2\x82" "x", R "x" },
	{ "\xf0\x9f\x98", R }, { "\xf0\x9f\x98\xf0\x9f\x98\x80",
	    R "\xf0\x9f\x98\x80" },
	{ "\xe2\xe2\x82\xac", R "\xe2\x82\xac" },
	{ "\xf8\x88\x80\x80\x80", R R R R R },
	{ "\xc3\xc3\xc3\xa9", R R "\xc3\xa9" },
	{ "\xf1\x80\x80\xe1\x80\xc2" "b\x80" "c\x80\xbf" "d",
	    R R R "b" R "c" R R "d" }
};

int
main(void)
{
	struct utf8_stream	 u;
	struct buf		 b = { 0 };
	size_t			 i, len, cut, cut2;
	int			 failures = 0;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		for (cut = 0; cut <= len; cut++)
			for (cut2 = cut; cut2 <= len; cut2++) {
				memset(&u, 0, sizeof(u));
				(void)utf8_replace(&u, &b, cases[i].in, cut,
				    false);
				(void)utf8_replace(&u, &b, cases[i].in + cut,
				    cut2 - cut, false);
				(void)utf8_replace(&u, &b, cases[i].in + cut2,
				    len - cut2, true);
				if (b.len != strlen(cases[i].out) ||
				    (b.len > 0 && memcmp(buf_data(&b),
				    cases[i].out, b.len) != 0)) {
					printf("case %zu cut at %zu, %zu: "
					    "%.*s\n", i, cut, cut2,
					    (int)b.len, (char *)buf_data(&b));
					failures++;
				}
				buf_clear(&b);
			}
	}
	return failures != 0;
}
