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
 * The configuration, cut into what each process may know.  Runs in:
 * supervisor.
 */

#ifndef SUPERVISOR_SLICES_H
#define SUPERVISOR_SLICES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/policy.h"

struct conf;
struct chan;

/* Is there work for this row?  Rows that no program plays yet never are. */
bool	 slices_wants(const struct conf *, enum role);
/* Queue the slice of that row. */
void	 slices_send(const struct conf *, enum role, struct chan *);
/* Where runners connect: as configured, or a guess in buf, or "". */
const char *public_url(const struct conf *, char *buf, size_t);

#endif
