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
 * What happened, for those who listen: events.c keeps the listeners,
 * api_events.c words the events.  Runs in: front, control.
 */

#ifndef FRONT_EVENTS_H
#define FRONT_EVENTS_H

#include "supervisor/front/front.h"

/* Does anybody listen, here or at the other of front and control?  Else an
 * event need not be worded. */
bool	 events_wanted(void);
/* user's event `name`; data is JSON, lent. */
void	 events_emit(const char *name, const char *user, const struct buf *data);
/* The same for those who listen at the other one. */
void	 events_relay(const char *name, const char *user,
	    const struct buf *data);
void	 events_on_want(struct chan *, const struct msg *);
void	 events_on_exec(struct chan *, const struct msg *);
/* A new ledger: it learns whether somebody listens. */
void	 events_ledger_up(void);
/* This request listens from now on, to one user (NULL: to all). */
void	 events_listen(struct req *, const char *user);

/* api_events.c */
void	 events_runner(const char *user, const char *runner, bool online);
/* error NULL: the command ended by itself. */
void	 events_exec(struct req *, int exit_code, const char *error,
	    uint64_t duration_ms);
/* docker tells front and control alike. */
void	 events_sandbox(struct slice user, struct slice state);
void	 events_on_sync(struct chan *, const struct msg *);

#endif
