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
 * Downloads: libcurl in the runner fetches, the executor writes, so that its
 * path guard holds for them too.  Runs in: xbot-runner.
 * Input is hostile: address, path and what the address sends.
 */

#ifndef RUNNER_FETCH_H
#define RUNNER_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/msg.h"

struct chan;
struct event_base;
struct fetch;

#define FETCH_LIMIT	104857600	/* bytes of protocol v1, inclusive */

struct fetched {
	enum xerr	 code;		/* XERR_NONE: the file is there */
	char		 why[300];
	uint64_t	 size;
};

void	 fetch_init(struct event_base *);
/*
 * Copies url and path.  done comes from the loop, once, when the file is there
 * or nothing of it is left.  NULL: not begun, why is filled in.
 */
struct fetch	*fetch_start(struct slice url, struct slice path,
		    uint64_t limit, void (*done)(void *,
		    const struct fetched *), void *arg, struct fetched *why);
/* done does not come any more.  NULL is fine. */
void	 fetch_cancel(struct fetch *);

/* An answer of the executor; false: it is for somebody else. */
bool	 fetch_answer(struct chan *, const struct msg *);
/* The executor is gone. */
void	 fetch_lost(void);

#endif
