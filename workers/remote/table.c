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
 * Chained hash tables of nodes that live in what they index.
 * Runs in: remote.  Keys are numbers of ours and names that were accepted;
 * a secret of the process keeps the names from being chosen to collide.
 */

#include <sys/random.h>

#include <stdlib.h>

#include "workers/remote/remote.h"

#define SLOTS_MIN	64

static uint64_t
secret(void)
{
	static uint64_t value;

	/* Weak when there is no randomness, never wrong. */
	while (value == 0)
		if (getrandom(&value, sizeof(value), 0) != sizeof(value))
			value = 0x9e3779b97f4a7c15;
	return value;
}

/* The finish of splitmix64: one to one. */
uint64_t
hash_number(uint64_t x)
{
	x += secret();
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint64_t
hash_names(struct slice a, struct slice b)
{
	const uint8_t	*p = a.p, *q = b.p;
	uint64_t	 h = a.len;
	size_t		 i;

	for (i = 0; i < a.len; i++)
		h = hash_number(h ^ p[i]);
	for (i = 0; i < b.len; i++)
		h = hash_number(h ^ (uint64_t)q[i] << 8);
	return h;
}

static int
table_grow(struct table *t)
{
	size_t		  n = t->nslots == 0 ? SLOTS_MIN : t->nslots * 2, i;
	struct node	**slots = calloc(n, sizeof(*slots)), *e;

	if (slots == NULL)
		return -1;
	for (i = 0; i < t->nslots; i++)
		while ((e = t->slots[i]) != NULL) {
			t->slots[i] = e->next;
			e->next = slots[e->hash & (n - 1)];
			slots[e->hash & (n - 1)] = e;
		}
	free(t->slots);
	t->slots = slots;
	t->nslots = n;
	return 0;
}

int
table_add(struct table *t, struct node *e, uint64_t hash)
{
	if (t->n >= t->nslots && table_grow(t) == -1)
		return -1;
	e->hash = hash;
	e->next = t->slots[hash & (t->nslots - 1)];
	t->slots[hash & (t->nslots - 1)] = e;
	t->n++;
	return 0;
}

void
table_del(struct table *t, struct node *e)
{
	struct node **at;

	if (t->nslots == 0)
		return;
	at = &t->slots[e->hash & (t->nslots - 1)];
	while (*at != NULL && *at != e)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = e->next;
	e->next = NULL;
	t->n--;
}

struct node *
table_find(const struct table *t, const struct node *after, uint64_t hash)
{
	struct node *e;

	if (t->nslots == 0)
		return NULL;
	e = after == NULL ? t->slots[hash & (t->nslots - 1)] : after->next;
	while (e != NULL && e->hash != hash)
		e = e->next;
	return e;
}
