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
 * How much memory what we hold for the server may take together: messages
 * being assembled, input not yet passed on, output, replies not yet sent.
 * Runs in: xbot-runner.
 */

#ifndef RUNNER_BUDGET_H
#define RUNNER_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

#define BUDGET_TOTAL	((size_t)1024 * 1024 * 1024)
/* One message: a 500 MiB file in base64, and what stands around it. */
#define BUDGET_MESSAGE	((size_t)700 * 1024 * 1024)
/* One file or listing on its way to the server, before base64. */
#define BUDGET_FILE	((size_t)500 * 1024 * 1024)
/* One of a command's two streams; more is dropped, and the log says so. */
#define BUDGET_STREAM	((size_t)64 * 1024 * 1024)

/* false: there is not that much left. */
bool	 budget_take(size_t);
/* What was charged has been freed: it may go back to the system now. */
void	 budget_give(size_t);

#endif
