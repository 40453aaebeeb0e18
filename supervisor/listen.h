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
 * Listening sockets: bound here, passed to front and control, forgotten by
 * nobody (a restarted front gets them again).  Runs in: supervisor.
 */

#ifndef SUPERVISOR_LISTEN_H
#define SUPERVISOR_LISTEN_H

#include <stdbool.h>

#include "base/policy.h"

struct conf;
struct chan;

/*
 * Bind what the configuration names and is not bound yet.  false: log says what
 * cannot be, and everything is as before.  listen_commit then hands out the new
 * ones and ends those that the configuration no longer names.
 */
bool	 listen_open(const struct conf *);
void	 listen_commit(void);
/* The sockets of that role, as messages to a process that has just started. */
void	 listen_hand_out(enum role, struct chan *);
/* Remove the control socket's name. */
void	 listen_close(void);

#endif
