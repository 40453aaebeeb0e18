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

#include <stdlib.h>

#include "base/table.h"

#define SLOTS_MIN	16

/* Fibonacci hashing: serials are dense, ids random; both spread well. */
static size_t
slot_of(size_t nslots, uint64_t key)
{
	return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
	    (nslots - 1);
}

static bool
table_grow(struct table *t)
{
	size_t			  n = t->nslots == 0 ? SLOTS_MIN :
				    t->nslots * 2, i, s;
	struct table_node	**slots, *node;

	if ((slots = calloc(n, sizeof(struct table_node *))) == NULL)
		return false;
	for (i = 0; i < t->nslots; i++)
		while ((node = t->slots[i]) != NULL) {
			t->slots[i] = node->next;
			s = slot_of(n, node->key);
			node->next = slots[s];
			slots[s] = node;
		}
	free(t->slots);
	t->slots = slots;
	t->nslots = n;
	return true;
}

bool
table_add(struct table *t, struct table_node *node, uint64_t key)
{
	size_t s;

	if (t->n >= t->nslots && !table_grow(t))
		return false;
	node->key = key;
	s = slot_of(t->nslots, key);
	node->next = t->slots[s];
	t->slots[s] = node;
	t->n++;
	return true;
}

struct table_node *
table_find(const struct table *t, uint64_t key)
{
	struct table_node *node;

	if (t->nslots == 0)
		return NULL;
	node = t->slots[slot_of(t->nslots, key)];
	while (node != NULL && node->key != key)
		node = node->next;
	return node;
}

struct table_node *
table_same(const struct table_node *node)
{
	uint64_t		 key = node->key;
	struct table_node	*next = node->next;

	while (next != NULL && next->key != key)
		next = next->next;
	return next;
}

void
table_remove(struct table *t, struct table_node *node)
{
	struct table_node **p;

	p = &t->slots[slot_of(t->nslots, node->key)];
	while (*p != node)
		p = &(*p)->next;
	*p = node->next;
	node->next = NULL;
	t->n--;
}

struct table_node *
table_any(const struct table *t)
{
	size_t i;

	for (i = 0; i < t->nslots; i++)
		if (t->slots[i] != NULL)
			return t->slots[i];
	return NULL;
}

void
table_each(struct table *t, void (*fn)(struct table_node *, void *),
    void *arg)
{
	struct table_node	*node, *next;
	size_t			 i;

	for (i = 0; i < t->nslots; i++)
		for (node = t->slots[i]; node != NULL; node = next) {
			next = node->next;
			fn(node, arg);
		}
}

void
table_clear(struct table *t)
{
	free(t->slots);
	*t = (struct table){ 0 };
}
