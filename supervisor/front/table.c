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
 * Open addressing with linear probing; taking out closes the gap, so there
 * are no tombstones.  Keys are serials of ours: nobody outside chooses them.
 */

#include <stdlib.h>

#include "supervisor/front/table.h"

static size_t	 place(const struct table *, uint64_t);
static bool	 grow(struct table *);

static size_t
place(const struct table *t, uint64_t key)
{
	return (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (t->size - 1);
}

static bool
grow(struct table *t)
{
	struct table	 bigger = { 0 };
	size_t		 i;

	bigger.size = t->size == 0 ? 64 : t->size * 2;
	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return false;
	for (i = 0; i < t->size; i++)
		if (t->slots[i].key != 0)
			(void)table_put(&bigger, t->slots[i].key,
			    t->slots[i].value);
	free(t->slots);
	*t = bigger;
	return true;
}

bool
table_put(struct table *t, uint64_t key, void *value)
{
	size_t i;

	if ((t->used + 1) * 2 > t->size && !grow(t))
		return false;
	for (i = place(t, key); t->slots[i].key != 0; )
		i = (i + 1) & (t->size - 1);
	t->slots[i].key = key;
	t->slots[i].value = value;
	t->used++;
	return true;
}

void *
table_get(const struct table *t, uint64_t key)
{
	size_t i;

	if (t->size == 0 || key == 0)
		return NULL;
	for (i = place(t, key); t->slots[i].key != 0;
	    i = (i + 1) & (t->size - 1))
		if (t->slots[i].key == key)
			return t->slots[i].value;
	return NULL;
}

void *
table_take(struct table *t, uint64_t key)
{
	size_t	 i, next, home, mask = t->size - 1;
	void	*value;

	if (t->size == 0 || key == 0)
		return NULL;
	for (i = place(t, key); t->slots[i].key != key; i = (i + 1) & mask)
		if (t->slots[i].key == 0)
			return NULL;
	value = t->slots[i].value;
	t->used--;
	/* Move back what stands behind the gap and may. */
	for (next = (i + 1) & mask; t->slots[next].key != 0;
	    next = (next + 1) & mask) {
		home = place(t, t->slots[next].key);
		if (((next - home) & mask) >= ((next - i) & mask)) {
			t->slots[i] = t->slots[next];
			i = next;
		}
	}
	t->slots[i].key = 0;
	t->slots[i].value = NULL;
	return value;
}

void *
table_each(const struct table *t, size_t *pos)
{
	while (*pos < t->size)
		if (t->slots[(*pos)++].key != 0)
			return t->slots[*pos - 1].value;
	return NULL;
}
