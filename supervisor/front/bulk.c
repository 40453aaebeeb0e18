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
 * The table of bulk.  Runs in: front.  Owns: what remote was given.
 */

#include <stdlib.h>

#include "proto/ctl_msg.h"
#include "supervisor/front/bulk.h"
#include "supervisor/front/front.h"

#define BULK_TOTAL	(64u * 1024 * 1024)	/* of all, bytes */

struct bulk {
	struct table_node	 node;
	size_t			 len;
	uint8_t			 bytes[];
};

static struct table	 given;		/* by number */
static size_t		 total;

struct bulk *
bulk_new(size_t len)
{
	struct bulk *b;

	if (len > BULK_TOTAL - total ||
	    (b = malloc(sizeof(*b) + len)) == NULL)
		return NULL;
	b->len = len;
	total += len;
	return b;
}

uint8_t *
bulk_bytes(struct bulk *b)
{
	return b->bytes;
}

void
bulk_drop(struct bulk *b)
{
	if (b == NULL)
		return;
	total -= b->len;
	free(b);
}

uint64_t
bulk_give(struct bulk *b)
{
	uint64_t number = serial_next();

	if (table_add(&given, &b->node, number))
		return number;
	bulk_drop(b);
	return 0;
}

bool
bulk_find(uint64_t number, struct slice *bytes)
{
	const struct bulk *b = (struct bulk *)table_find(&given, number);

	if (b == NULL)
		return false;
	*bytes = (struct slice){ b->bytes, b->len };
	return true;
}

static void
bulk_take_back(struct bulk *b)
{
	table_remove(&given, &b->node);
	bulk_drop(b);
}

void
bulk_on_free(struct chan *c, const struct msg *m)
{
	const struct ctl_bulk_free	*done = m->body;
	struct table_node		*n = table_find(&given, done->bulk);

	if (n == NULL)
		chan_refuse(c, "bulk that is not there");
	else
		bulk_take_back((struct bulk *)n);
}

void
bulks_clear(void)
{
	struct table_node *n;

	while ((n = table_any(&given)) != NULL)
		bulk_take_back((struct bulk *)n);
}
