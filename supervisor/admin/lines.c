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
 * Answers that come as lines: NDJSON, events.  Runs in: xbot-admin.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "supervisor/admin/admin.h"

#define LINE_MAX_BYTES	(2u * 1024 * 1024)	/* 256 KiB, each \u0000 */

bool
lines_add(void *arg, const void *data, size_t len)
{
	struct lines	*l = arg;
	const char	*start, *end;
	size_t		 n, seen = l->part.len;

	if (buf_add(&l->part, data, len) == -1) {
		complain("no memory");
		return false;
	}
	for (;;) {
		start = (char *)buf_data(&l->part);
		end = l->part.len == seen ? NULL :
		    memchr(start + seen, '\n', l->part.len - seen);
		if (end == NULL)
			break;
		n = (size_t)(end - start);
		if (!l->line(l->arg, start, n))
			return false;
		buf_drain(&l->part, n + 1);
		seen = 0;
	}
	if (l->part.len <= LINE_MAX_BYTES)
		return true;
	complain("a line of the answer is too long");
	return false;
}

bool
output_write(int fd, const void *data, size_t len)
{
	if (write_all(fd, data, len) == 0)
		return true;
	complain("standard %s: %s", fd == STDOUT_FILENO ? "output" : "error",
	    strerror(errno));
	return false;
}

bool
output_decode(struct buf *bytes, struct slice s)
{
	ssize_t	 n;
	void	*dst;

	buf_drain(bytes, bytes->len);
	if ((dst = buf_reserve(bytes, BASE64_DECODED_MAX(s.len))) == NULL) {
		complain("no memory");
		return false;
	}
	if ((n = base64_decode(dst, s.p, s.len)) == -1) {
		complain("the answer cannot be read: malformed base64");
		return false;
	}
	bytes->len = (size_t)n;
	return true;
}
