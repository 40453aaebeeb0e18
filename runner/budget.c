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
 * One counter.  Runs in: xbot-runner.
 */

#include "base/heap.h"
#include "base/log.h"
#include "runner/budget.h"

/* This much less than there was is worth giving back to the system. */
#define TRIM_AT	((size_t)8 * 1024 * 1024)

static size_t	used;
static size_t	peak;		/* since memory was last given back */

bool
budget_take(size_t n)
{
	if (n > BUDGET_TOTAL - used)
		return false;
	used += n;
	if (used > peak)
		peak = used;
	return true;
}

void
budget_give(size_t n)
{
	if (n > used)
		fatalx("budget: %zu bytes back of %zu", n, used);
	used -= n;
	if (peak - used < TRIM_AT)
		return;
	peak = used;
	heap_trim();
}
