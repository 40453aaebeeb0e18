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
 * Any bytes as a frame of either schema: what is accepted must encode again,
 * and decode to the same text; and where bulk is seen there is room for it.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct msg_reader *reader;

static void
try(const struct schema *s, const uint8_t *p, size_t len)
{
	struct msg	 m;
	struct buf	 b = { 0 };
	const uint8_t	*frame;
	const char	*why;
	char		 first[512], again[512];

	if (msg_decode(reader, s, UINT32_MAX, p, len, &m, &why) == -1)
		return;
	msg_print(&m, first, sizeof(first));
	if (msg_encode(s, &b, m.type, m.serial, m.body) == -1)
		abort();
	if (frame_next(&b, &frame, &len) != 1 ||
	    msg_decode(reader, s, UINT32_MAX, frame, len, &m, &why) == -1)
		abort();
	msg_print(&m, again, sizeof(again));
	if (strcmp(first, again) != 0)
		abort();
	buf_clear(&b);
}

/* The bytes are the beginning of a frame that is longer by up to a chunk. */
static void
try_bulk(const uint8_t *p, size_t have)
{
	struct buf	 b = { 0 };
	const char	*why;
	size_t		 at, field, more;

	for (more = 0; more <= FRAME_CHUNK; more += more < 4 ? 1 : more) {
		at = guard_bulk(p, have, have + more, &field);
		if (at == 0)
			continue;
		if (at > have || field >= at || have + more - at < FRAME_BULK)
			abort();
		/* The whole is one that the guard lets pass. */
		if (buf_add(&b, p, have) == -1 ||
		    buf_reserve(&b, more) == NULL)
			abort();
		memset(buf_data(&b) + have, 'x', more);
		if (guard_check(buf_data(&b), have + more, &why) == -1)
			abort();
		buf_clear(&b);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	if (reader == NULL)
		reader = msg_reader_new();
	try(&exec_schema, p, len);
	try(&ctl_schema, p, len);
	try_bulk(p, len);
	return 0;
}
