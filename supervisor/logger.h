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
 * Where log lines end: stderr in the foreground, else syslog; and the audit
 * log.  Runs in: supervisor.
 */

#ifndef SUPERVISOR_LOGGER_H
#define SUPERVISOR_LOGGER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

void		 logger_init(bool foreground, enum log_level);
bool		 logger_foreground(void);
enum log_level	 logger_level(void);
void		 logger_set_level(enum log_level);
/* name: which process says so. */
void		 logger_line(const char *name, enum log_level, const char *);
/* -1: it cannot be opened, errno says why. */
int		 logger_audit_open(const char *);
/* From now on, or none with NULL and -1.  Takes fd. */
void		 logger_audit_use(const char *, int fd);
void		 logger_audit(const char *, size_t);
/* SIGUSR1: after a rotation. */
void		 logger_reopen(void);

#endif
