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
 * When is a sandbox idle?  Runs in: reaper.
 */

#include "supervisor/reaper/idle.h"

/*
 * A clock that was set back makes `used` lie ahead: such a sandbox waits for
 * one timeout at most, not for a year.
 */
uint32_t
idle_due(const struct idle_view *v)
{
	uint64_t	 left;

	if (!v->container || v->busy || v->timeout == 0)
		return IDLE_NEVER;
	if (v->used > v->now) {
		left = v->used - v->now;
		return left <= v->timeout ? v->timeout : 0;
	}
	left = v->now - v->used;
	return left >= v->timeout ? 0 : v->timeout - (uint32_t)left;
}
