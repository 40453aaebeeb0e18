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
 * Serial to pointer: how front finds what an answer belongs to.  A look-up
 * that fails is normal: it is gone.  Runs in: front, control.
 */

#ifndef FRONT_TABLE_H
#define FRONT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint64_t	 key;		/* 0: free */
	void		*value;
};

/* All-zero is an empty table. */
struct table {
	struct table_slot *slots;
	size_t		   size;	/* 0 or a power of two */
	size_t		   used;
};

/* key is not 0 and not there yet; false: no memory. */
bool	 table_put(struct table *, uint64_t key, void *value);
/* NULL: gone. */
void	*table_get(const struct table *, uint64_t key);
void	*table_take(struct table *, uint64_t key);
/* The value at or behind *pos, NULL at the end; do not change it meanwhile,
 * except by starting again at 0. */
void	*table_each(const struct table *, size_t *pos);

#endif
