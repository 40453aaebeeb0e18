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
 * The workspace and the directories commands ask for.  Runs in: xbot-runner.
 */

#ifndef RUNNER_WORKDIR_H
#define RUNNER_WORKDIR_H

#include <stdbool.h>

#include "proto/msg.h"

/*
 * Canonical path of the workspace, made if it is missing; the caller frees it.
 * NULL: impossible, the log said why.
 */
char	*workdir_prepare(const char *);

/*
 * Whether a command's dir lies in the canonical workspace: cleaned, joined to
 * it when relative, its longest existing part resolved, compared by component.
 * That is advice (the executor opens it beneath the workspace, or not at all):
 * protocol v1 wants a directory outside replaced, not refused.
 */
bool	 workdir_inside(const char *workspace, struct slice dir);

#endif
