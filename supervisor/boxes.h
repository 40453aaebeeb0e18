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
 * What containers of the docker sandbox need of the host and docker may not
 * make: the directory for /.xbot, the executor's program, users' workspaces.
 * Runs in: supervisor.
 */

#ifndef SUPERVISOR_BOXES_H
#define SUPERVISOR_BOXES_H

#include <stdbool.h>

struct chan;
struct conf;
struct msg;

/* Makes the directories, opens the program.  false: log says why. */
bool	 boxes_init(const struct conf *);
/* docker's slice. */
void	 boxes_slice(const struct conf *, struct chan *);
/* docker asks for the workspace of a user. */
void	 on_workdir_wanted(struct chan *, const struct msg *);

#endif
