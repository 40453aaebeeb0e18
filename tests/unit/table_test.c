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

#include <assert.h>
#include <stdlib.h>

#include "base/table.h"

static void
remove_odd(struct table_node *n, void *t)
{
	if (n->key % 2 == 1)
		table_remove(t, n);
}

int
main(void)
{
	static struct table_node	nodes[1000], twin;
	struct table			t = { 0 };
	uint64_t			i;

	assert(table_find(&t, 1) == NULL && table_any(&t) == NULL);
	for (i = 0; i < 1000; i++)
		assert(table_add(&t, &nodes[i], i));
	assert(table_add(&t, &twin, 500) && t.n == 1001);
	assert(table_same(table_find(&t, 500)) != NULL);
	assert(table_same(table_same(table_find(&t, 500))) == NULL);
	table_remove(&t, &twin);
	table_each(&t, remove_odd, &t);
	assert(t.n == 500);
	for (i = 0; i < 1000; i++)
		assert(table_find(&t, i) == (i % 2 == 1 ? NULL : &nodes[i]));
	while (t.n > 0)
		table_remove(&t, table_any(&t));
	table_clear(&t);
	return 0;
}
