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
 * The loop of a test that plays both ends in one process.  What is waited for
 * is time and turns: on a busy machine the time may pass without us.
 */

#ifndef TESTS_UNIT_TURNS_H
#define TESTS_UNIT_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"

#define TURN_US		200	/* between two turns with nothing to do */

static struct event_base	*base;

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
turns_ms(unsigned int ms)
{
	uint64_t	 end = clock_ms() + ms;
	unsigned int	 turns = 0;

	do {
		turn();
		usleep(TURN_US);
	} while (clock_ms() < end || ++turns < ms / 2 + 2);
}

/* Since when nothing has happened: begin with {0}. */
struct quiet {
	uint64_t	 since;
	unsigned int	 turns;
};

/* Asked once a turn; true after that many ms without a something. */
static bool
is_quiet(struct quiet *q, bool something, unsigned int ms)
{
	if (something || q->since == 0) {
		q->since = clock_ms();
		q->turns = 0;
		return false;
	}
	usleep(TURN_US);
	return clock_ms() - q->since >= ms && ++q->turns >= 5;
}

#endif
