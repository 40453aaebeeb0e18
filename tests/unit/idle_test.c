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

/* A row of time each. */

#include <stdio.h>

#include "supervisor/reaper/idle.h"

static const struct {
	struct idle_view	 v;
	uint32_t		 due;
} rows[] = {
	{ { true, false, 1000, 1000, 1800 }, 1800 },
	{ { true, false, 1000, 1001, 1800 }, 1799 },
	{ { true, false, 1000, 2799, 1800 }, 1 },
	{ { true, false, 1000, 2800, 1800 }, 0 },
	{ { true, false, 1000, UINT64_MAX, 1800 }, 0 },
	{ { true, false, 0, 1700000000, 1800 }, 0 },
	/* what runs is never idle, nor what is not there */
	{ { true, true, 1000, 9000, 1800 }, IDLE_NEVER },
	{ { false, false, 1000, 9000, 1800 }, IDLE_NEVER },
	{ { true, false, 1000, 9000, 0 }, IDLE_NEVER },
	/* the clock was set back: a little, by a year */
	{ { true, false, 1010, 1000, 1800 }, 1800 },
	{ { true, false, 2800, 1000, 1800 }, 1800 },
	{ { true, false, 2801, 1000, 1800 }, 0 },
	{ { true, false, UINT64_MAX, 1000, 1800 }, 0 },
	{ { true, false, 1000, 1000, UINT32_MAX - 1 }, UINT32_MAX - 1 },
};

int
main(void)
{
	uint32_t	 due;
	size_t		 i;
	int		 bad = 0;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((due = idle_due(&rows[i].v)) != rows[i].due) {
			printf("not ok %zu: %u, not %u\n", i, due,
			    rows[i].due);
			bad = 1;
		}
	return bad;
}
