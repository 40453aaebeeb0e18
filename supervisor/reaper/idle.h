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
 * When is a sandbox idle?  Runs in: reaper.  A pure function.
 */

#ifndef REAPER_IDLE_H
#define REAPER_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#define IDLE_NEVER	UINT32_MAX

struct idle_view {
	bool		 container;	/* there is one */
	bool		 busy;		/* something runs or is connected */
	uint64_t	 used;		/* last activity, seconds since 1970 */
	uint64_t	 now;
	uint32_t	 timeout;	/* seconds; 0: sandboxes stay */
};

/* Seconds until it is to be stopped, 0: now, or IDLE_NEVER. */
uint32_t	 idle_due(const struct idle_view *);

#endif
