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
 * The sandbox's life: what docker says of it.  Runs in: front, control.
 */

#include "proto/ctl_msg.h"
#include "supervisor/front/front.h"
#include "supervisor/front/session.h"

static void	 on_status(struct chan *, const struct msg *);
static void	 on_done(struct chan *, const struct msg *);
static void	 on_event(struct chan *, const struct msg *);

static const struct rule rules_v[] = {
	{ CTL_SANDBOX_STATUS, STATES_ALL, on_status },
	{ CTL_SANDBOX_DONE, STATES_ALL, on_done },
	{ CTL_SANDBOX_EVENT, STATES_ALL, on_event }
};

const struct rules sandbox_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_D, NULL
};

/* Nobody asks yet. */
static void
on_status(struct chan *c, const struct msg *m)
{
}

static void
on_done(struct chan *c, const struct msg *m)
{
}

static void
on_event(struct chan *c, const struct msg *m)
{
}
