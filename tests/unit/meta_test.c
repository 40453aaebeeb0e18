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
 * Lines that an image's configuration becomes.  What the Engine makes of them
 * is tests/docker's.
 */

#include <stdio.h>
#include <string.h>

#include "workers/docker/meta.h"

/* lines: with | for each NUL */
static const struct {
	const char	*config, *lines;
	unsigned int	 lost;
} rows[] = {
	{ "{}", "", 0 },
	{ "{\"Cmd\":null,\"Env\":null,\"Labels\":null,\"User\":\"\","
	    "\"Volumes\":null,\"Entrypoint\":[]}", "", 0 },
	/* the order is the table's, not the image's */
	{ "{\"Cmd\":[\"a b\",\"$x\"],\"Entrypoint\":[\"/e\"]}",
	    "ENTRYPOINT [\"/e\"]|CMD [\"a b\",\"$x\"]|", 0 },
	{ "{\"Cmd\":[\"two\\nlines\",\"q\\\"\\\\\"]}",
	    "CMD [\"two\\nlines\",\"q\\\"\\\\\"]|", 0 },
	{ "{\"Env\":[\"A=1\",\"B=\",\"C= x=y \",\"D=$HOME\",\"E=\\\"\\\\\"]}",
	    "ENV \"A\"=\"1\"|ENV \"B\"=\"\"|ENV \"C\"=\" x=y \"|"
	    "ENV \"D\"=\"\\$HOME\"|ENV \"E\"=\"\\\"\\\\\"|", 0 },
	/* none of these becomes an instruction of its own */
	{ "{\"Env\":[\"A=1\\nUSER joe\",\"B=2\\rUSER joe\",\"C=3\\u0000\","
	    "\"D\",\"=4\",7,\"F=5\"]}", "ENV \"F\"=\"5\"|", 6 },
	{ "{\"WorkingDir\":\"/a b$c\",\"User\":\"joe:1000\"}",
	    "WORKDIR \"/a b\\$c\"|"
	    "USER \"joe:1000\"|", 0 },
	{ "{\"User\":\"a\\nENV X=1\"}", "", 1 },
	{ "{\"Labels\":{\"a.b\":\"c d\",\"e\":\"\",\"xbot.image.commit\":\"0\","
	    "\"xbot.image\":\"1\",\"k=k\":\"2\",\"n\":\"x\\ny\"}}",
	    "LABEL \"a.b\"=\"c d\"|LABEL \"e\"=\"\"|"
	    "LABEL \"xbot.image\"=\"1\"|", 2 },
	{ "{\"ExposedPorts\":{\"80/tcp\":{},\"1-9/udp\":{},\"8 0\":{},"
	    "\"\":{}}}", "EXPOSE 80/tcp|EXPOSE 1-9/udp|", 2 },
	{ "{\"Volumes\":{\"/a b\":{},\"/$c\\\"\":{}}}",
	    "VOLUME [\"\\\"/a b\\\"\"]|VOLUME [\"\\\"/\\\\$c\\\\\\\"\\\"\"]|",
	    0 },
};

int
main(void)
{
	struct json	*json;
	struct buf	 out;
	const char	*why;
	unsigned int	 lost, bad = 0;
	size_t		 i, k;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		out = (struct buf){ 0 };
		json = json_parse(rows[i].config, strlen(rows[i].config), 0,
		    &why);
		if (json == NULL || !meta_changes(&out, json_root(json),
		    &lost))
			return 1;
		for (k = 0; k < out.len; k++)
			if (buf_data(&out)[k] == '\0')
				buf_data(&out)[k] = '|';
		if (lost != rows[i].lost || out.len != strlen(rows[i].lines) ||
		    (out.len > 0 && memcmp(buf_data(&out), rows[i].lines,
		    out.len) != 0)) {
			printf("not ok %zu: lost %u, %.*s\n", i, lost,
			    (int)out.len, (char *)buf_data(&out));
			bad++;
		}
		json_free(json);
		buf_clear(&out);
	}
	out = (struct buf){ 0 };
	if (!meta_label(&out, "k", "v") ||
	    strcmp((char *)buf_data(&out), "LABEL \"k\"=\"v\"") != 0 ||
	    meta_label(&out, "k", "v\nUSER joe"))
		bad++;
	buf_clear(&out);
	return bad != 0;
}
