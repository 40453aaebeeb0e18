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
 * An intrusive hash table with 64-bit keys: serials, and the first bytes of
 * random ids.  A node stands in one table at a time; the table owns no
 * node.  Runs in: every process.
 */

#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/msg.h"

struct table_node {
	struct table_node	*next;
	uint64_t		 key;
};

/* All-zero is a valid empty table. */
struct table {
	struct table_node	**slots;
	size_t			  nslots;	/* a power of two, or 0 */
	size_t			  n;
};

/* Doubles are allowed.  false when out of memory, and nothing was added. */
bool			 table_add(struct table *, struct table_node *,
			    uint64_t key);
/* The first with that key, NULL. */
struct table_node	*table_find(const struct table *, uint64_t key);
/* The next one with the same key, NULL. */
struct table_node	*table_same(const struct table_node *);
void			 table_remove(struct table *, struct table_node *);
/* Any node, NULL when empty: to take a table down. */
struct table_node	*table_any(const struct table *);
/* Every node; the function may remove the node it is given, no other. */
void			 table_each(struct table *,
			    void (*)(struct table_node *, void *), void *);
void			 table_clear(struct table *);

static inline uint64_t
table_key(struct id16 id)
{
	uint64_t key;

	memcpy(&key, id.b, sizeof(key));
	return key;
}

#endif
