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
 * What an administrator orders of the running daemon: SIGHUP and the orders of
 * control.  Runs in: supervisor.
 */

#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H

#include <stdbool.h>

#include "base/log.h"
#include "supervisor/conf.h"

struct chan;
struct msg;

/* Where the first configuration came from; lent for life. */
void		 reload_init(const char *path, const struct conf_opts *);
/* Read all again, check, hand out.  false: nothing changed, and log (and the
 * order's answer) says why. */
bool		 reload(void);
/* The configuration in force. */
struct conf	*reload_conf(void);
void		 reload_set_conf(struct conf *);
/* What the configuration says, without -v. */
enum log_level	 reload_log_level(const struct conf *);
/* From control: reload, log level, stop. */
void		 on_order(struct chan *, const struct msg *);
/* main.c: begin the orderly end. */
void		 supervisor_stop(void);

#endif
