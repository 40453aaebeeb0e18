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
 * The table of requests in progress.  Runs in: xbot-runner.
 */

#include <sys/random.h>

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "base/clock.h"
#include "base/log.h"
#include "runner/budget.h"
#include "runner/op.h"

#define BUCKETS	256	/* job ids are random: their first byte is a hash */

static LIST_HEAD(, op)	 buckets[BUCKETS];
static size_t		 count;

struct op *
op_new(enum v1_type type, struct slice id)
{
	struct op	*op;

	if (count >= OP_MAX)
		return NULL;
	if ((op = calloc(1, sizeof(*op))) == NULL ||
	    (op->id = malloc(id.len + 1)) == NULL ||
	    (op->out[0] = evbuffer_new()) == NULL ||
	    (op->out[1] = evbuffer_new()) == NULL)
		fatalx("out of memory");
	op->type = type;
	/* Short of entropy at boot it waits; it never gives part of 16. */
	if (getrandom(&op->job, sizeof(op->job), 0) != sizeof(op->job))
		fatal("getrandom");
	if (id.len > 0)
		memcpy(op->id, id.p, id.len);
	op->idlen = id.len;
	op->start_ms = clock_ms();
	LIST_INSERT_HEAD(&buckets[op->job.b[0]], op, entry);
	count++;
	return op;
}

void
op_free(struct op *op)
{
	size_t	 i, n;

	if (op == NULL)
		return;
	LIST_REMOVE(op, entry);
	count--;
	for (i = 0; i < 2; i++) {
		/* NULL when a reply has taken it, and the charge with it. */
		if (op->out[i] == NULL)
			continue;
		n = evbuffer_get_length(op->out[i]);
		evbuffer_free(op->out[i]);
		budget_give(n);
	}
	n = op->text.len;
	buf_clear(&op->text);
	budget_give(n);
	free(op->id);
	free(op);
}

struct op *
op_find(const struct id16 *job)
{
	struct op	*op;

	LIST_FOREACH(op, &buckets[job->b[0]], entry)
		if (memcmp(&op->job, job, sizeof(*job)) == 0)
			return op;
	return NULL;
}

struct op *
op_any(void)
{
	struct op	*op;
	size_t		 i;

	for (i = 0; i < BUCKETS; i++)
		LIST_FOREACH(op, &buckets[i], entry)
			if (!op->stays)
				return op;
	return NULL;
}

struct op *
op_answered_by(void (*answer)(struct op *, struct chan *, const struct msg *))
{
	struct op	*op;
	size_t		 i;

	for (i = 0; i < BUCKETS; i++)
		LIST_FOREACH(op, &buckets[i], entry)
			if (op->answer == answer)
				return op;
	return NULL;
}

struct slice
op_id(const struct op *op)
{
	return (struct slice){ op->id, op->idlen };
}

bool
op_collect(struct op *op, unsigned int i, const void *bytes, size_t n)
{
	if (!budget_take(n))
		return false;
	if (evbuffer_add(op->out[i], bytes, n) == -1)
		fatalx("out of memory");
	return true;
}
