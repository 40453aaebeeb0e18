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

/* What an Engine says has changed, and its times. */

#include <stdio.h>
#include <string.h>

#include "workers/docker/commit.h"

#define MOUNTS	"[{\"Destination\":\"/workspace\"},{\"Destination\":" \
		"\"/.xbot\"},{\"Type\":\"tmpfs\"}]"

static const struct {
	const char	*changes;
	bool		 any;
} rows[] = {
	{ "null", false },
	{ "[]", false },
	{ "[{\"Path\":\"/.xbot\",\"Kind\":1}]", false },
	{ "[{\"Path\":\"/workspace\",\"Kind\":1},"
	    "{\"Path\":\"/.xbot\",\"Kind\":1}]", false },
	{ "[{\"Path\":\"/.xbot\",\"Kind\":1},{\"Path\":\"/x\",\"Kind\":0}]",
	    true },
	{ "[{\"Path\":\"/.xbot/x\",\"Kind\":1}]", true },
	{ "[{\"Path\":\"/.xbo\",\"Kind\":1}]", true },
	{ "[{\"Path\":\"\",\"Kind\":1}]", true },
	/* what cannot be read has changed */
	{ "[{\"Path\":7}]", true },
	{ "[1]", true },
};

static const struct {
	const char	*text;
	uint64_t	 ms;
} times[] = {
	{ "\"1970-01-01T00:00:00Z\"", 0 },
	{ "\"1970-01-01T00:00:01Z\"", 1000 },
	{ "\"2026-11-30T20:00:00.123456789Z\"", UINT64_C(1796068800123) },
	{ "\"2026-11-30T20:00:00.5Z\"", UINT64_C(1796068800500) },
	{ "\"0001-01-01T00:00:00Z\"", 0 },
	{ "\"yesterday\"", 0 },
	{ "7", 0 },
};

static struct json *
parse(const char *text)
{
	const char	*why;

	return json_parse(text, strlen(text), 0, &why);
}

int
main(void)
{
	struct json	*mounts = parse(MOUNTS), *json;
	struct buf	 points = { 0 };
	size_t		 i;
	int		 bad = 0;

	if (!changes_mounts(&points, json_root(mounts)))
		return 1;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json = parse(rows[i].changes);
		if (changes_any(json_root(json), (struct slice){
		    buf_data(&points), points.len }) != rows[i].any) {
			printf("not ok %s\n", rows[i].changes);
			bad = 1;
		}
		json_free(json);
	}
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		/* a time stands in an object */
		char	 text[64];

		snprintf(text, sizeof(text), "{\"t\":%s}", times[i].text);
		json = parse(text);
		if (engine_time(json_find(json_root(json), "t")) !=
		    times[i].ms) {
			printf("not ok %s\n", times[i].text);
			bad = 1;
		}
		json_free(json);
	}
	buf_clear(&points);
	json_free(mounts);
	return bad;
}
