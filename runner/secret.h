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
 * Secrets of xbot-runner: where they come from, and that they do not stay
 * where a command of the server could read them (argv, environment, memory).
 * Runs in: xbot-runner.
 */

#ifndef RUNNER_SECRET_H
#define RUNNER_SECRET_H

#include <stdbool.h>

#define SECRET_MAX	4096

/* Overwrite the text with zeros; NULL is fine. */
void	 secret_wipe(char *);
/* Overwrite it with asterisks, so that argv keeps its shape. */
void	 secret_mask(char *);

/*
 * *value when it is not empty; else the first line of file; else the variable.
 * *value is replaced (heap); "" when there is none.  The variable leaves the
 * environment in every case.  false: the file was named but is unusable, logged.
 */
bool	 secret_find(char **value, const char *file, const char *variable);

/* No core dump, no /proc/PID/mem for those who share our uid. */
void	 secret_shield(void);

#endif
