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
 * What the Engine says has changed, and when things were.  Runs in: docker.
 * Pure functions of the Engine's answers.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "workers/docker/commit.h"

static bool	 is_mount(struct slice, struct slice);

bool
changes_mounts(struct buf *points, const struct json_value *mounts)
{
	/* relay.c's, where these are no mount */
	static const char	 ours[] = "/.xbot\0" "/.xbot/executor\0"
				    "/.xbot/sock\0" "/.xbot/sock.new";
	const struct json_value	*m;
	struct slice		 to;

	if (buf_add(points, ours, sizeof(ours)) == -1)
		return false;
	for (m = json_first(mounts); m != NULL; m = json_next(m))
		if (json_get_str(m, "Destination", &to) == JSON_GOT &&
		    (buf_add(points, to.p, to.len) == -1 ||
		    buf_add(points, "", 1) == -1))
			return false;
	return true;
}

static bool
is_mount(struct slice path, struct slice points)
{
	const char	*p = points.p;
	size_t		 n;

	for (; points.len > 0; p += n + 1, points.len -= n + 1) {
		n = strlen(p);
		if (n == path.len && memcmp(p, path.p, n) == 0)
			return true;
	}
	return false;
}

bool
changes_any(const struct json_value *changes, struct slice points)
{
	const struct json_value	*c;
	struct slice		 path;

	for (c = json_first(changes); c != NULL; c = json_next(c))
		if (json_get_str(c, "Path", &path) != JSON_GOT ||
		    !is_mount(path, points))
			return true;
	return false;
}

uint64_t
engine_time(const struct json_value *v)
{
	struct tm	 tm = { 0 };
	unsigned int	 ms = 0, scale = 100;
	char		 text[64];
	const char	*p;

	if (!json_cstr(v, text, sizeof(text)) ||
	    (p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm)) == NULL ||
	    tm.tm_year < 70)
		return 0;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (unsigned int)(*p - '0') * scale;
	return (uint64_t)timegm(&tm) * 1000 + ms;
}
