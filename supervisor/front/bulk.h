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
 * Bulk: bytes between runners and clients that stay in front, under a number,
 * while remote decides where they go (ctl.def: bulk_*).  Runs in: front.
 */

#ifndef FRONT_BULK_H
#define FRONT_BULK_H

#include <stdint.h>

#include "base/chan.h"

struct bulk;

/*
 * Room for len bytes, to be filled by whoever asks; bulk_drop or bulk_give it.
 * NULL: too much is kept, or no memory.  Then they go through remote.
 */
struct bulk	*bulk_new(size_t len);
uint8_t		*bulk_bytes(struct bulk *);
/* NULL is fine. */
void		 bulk_drop(struct bulk *);
/* It is remote's, who will free it, under this number.  0: dropped. */
uint64_t	 bulk_give(struct bulk *);
/* What remote means by that number; false: nothing. */
bool		 bulk_find(uint64_t, struct slice *);
void		 bulk_on_free(struct chan *, const struct msg *);
/* Remote went, and with it whoever would free them. */
void		 bulks_clear(void);

#endif
