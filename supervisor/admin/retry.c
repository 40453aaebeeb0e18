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
 * Trying again: a task is followed and events are watched across a restart
 * of the daemon or of a part of it.  Runs in: xbot-admin.
 */

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "supervisor/admin/admin.h"

#define WAIT_FIRST	250u
#define WAIT_MOST	8000u
#define PATIENCE	(10u * 60 * 1000)	/* twice a runner's grace */

void
retry_good(struct retry *r)
{
	r->since_ms = 0;
	r->wait_ms = 0;
}

bool
retry_wait(struct retry *r)
{
	struct timespec	 ts;

	if (r->since_ms == 0)
		r->since_ms = clock_ms();
	else if (clock_ms() - r->since_ms > PATIENCE)
		return false;
	r->wait_ms = r->wait_ms == 0 ? WAIT_FIRST : r->wait_ms * 2;
	if (r->wait_ms > WAIT_MOST)
		r->wait_ms = WAIT_MOST;
	ts.tv_sec = r->wait_ms / 1000;
	ts.tv_nsec = r->wait_ms % 1000 * 1000000L;
	(void)nanosleep(&ts, NULL);
	return true;
}

/* No code: the connection broke off. */
bool
retry_worth(const char *code)
{
	static const char *const codes[] = {
		"", "EBUSY", "EIO", "EOFFLINE", "ETIMEDOUT"
	};
	size_t	 i;

	for (i = 0; i < NITEMS(codes); i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}
