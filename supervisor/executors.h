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
 * Executors of the host sandbox: one a user, started by the parent because
 * nobody else may change a uid.  Architecture section 2, "uids".
 * Runs in: supervisor.
 */

#ifndef SUPERVISOR_EXECUTORS_H
#define SUPERVISOR_EXECUTORS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct chan;
struct conf;
struct msg;

/* Opens the program and the workspaces' base.  false: log says why. */
bool	 executors_init(const struct conf *);
/* How many slots there are; 0: all users share one uid. */
uint32_t executors_slots(const struct conf *);
/* none asks for the executor of a user. */
void	 on_executor_wanted(struct chan *, const struct msg *);
/* waitpid() said so: true when it was one of ours. */
bool	 executors_exited(pid_t, int status);
/* At the very end: whatever is left is killed. */
void	 executors_kill(void);

#endif
