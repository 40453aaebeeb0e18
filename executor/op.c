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
 * The table of operations and their turn-taking.  Runs in: executor.
 * Owns: every struct op (the head of a larger allocation of job.c or file.c).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "executor/executor.h"

#define BUCKETS		256

static struct op	*table[BUCKETS];
static size_t		 count;
static struct op	*ready_first, *ready_last;

static struct op **
bucket(const struct id16 *id)
{
	return &table[(id->b[0] ^ id->b[7] ^ id->b[15]) % BUCKETS];
}

struct op *
op_find(const struct id16 *id)
{
	struct op *op;

	for (op = *bucket(id); op != NULL; op = op->chain)
		if (memcmp(&op->id, id, sizeof(*id)) == 0)
			return op;
	return NULL;
}

size_t
op_count(void)
{
	return count;
}

bool
op_enter(struct op *op, const struct id16 *id, const struct op_class *class)
{
	struct op **b = bucket(id);

	if (op_find(id) != NULL) {
		refuse(id, XERR_EEXIST, "this job id is in use");
		return false;
	}
	if (count >= OPS_MAX) {
		refuse(id, XERR_EBUSY, "too many jobs at a time");
		return false;
	}
	op->id = *id;
	op->class = class;
	op->chain = *b;
	*b = op;
	count++;
	return true;
}

static void
op_unready(struct op *op)
{
	if (!op->ready)
		return;
	*(op->prev != NULL ? &op->prev->next : &ready_first) = op->next;
	*(op->next != NULL ? &op->next->prev : &ready_last) = op->prev;
	op->next = op->prev = NULL;
	op->ready = false;
}

void
op_ready(struct op *op)
{
	if (op->ready)
		return;
	op->ready = true;
	op->next = NULL;
	op->prev = ready_last;
	*(ready_last != NULL ? &ready_last->next : &ready_first) = op;
	ready_last = op;
}

bool
op_pending(void)
{
	return ready_first != NULL && link_room();
}

void
op_pump(void)
{
	uint64_t	 until = 0;
	struct op	*op;

	/* An operation that is freed in its turn says false. */
	while ((op = ready_first) != NULL && link_room()) {
		op_unready(op);
		if (op->class->pump(op))
			op_ready(op);
		/* The channel and the clock want their turn, too. */
		if (until == 0)
			until = now_us() + 5000;
		else if (now_us() > until)
			break;
	}
}

static void
op_free(struct op *op)
{
	struct op **p;

	op_unready(op);
	for (p = bucket(&op->id); *p != op; p = &(*p)->chain)
		;
	*p = op->chain;
	count--;
	op->class->clear(op);
	free(op);
}

void
op_cancel_all(void)
{
	struct op	*op, *next;
	size_t		 i;

	for (i = 0; i < BUCKETS; i++)
		for (op = table[i]; op != NULL; op = next) {
			next = op->chain;
			if (op->class->on_cancel != NULL)
				op->class->on_cancel(op);
		}
}

void
op_clear_all(void)
{
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (; table[i] != NULL; table[i] = table[i]->chain)
			table[i]->class->clear(table[i]);
}

void
refuse(const struct id16 *id, enum xerr code, const char *text)
{
	struct exec_job_refused m = { .job = *id, .code = (uint8_t)code };

	m.text = slice_str(text);
	link_send(EXEC_JOB_REFUSED, &m);
}

void
op_refuse(struct op *op, enum xerr code, const char *text)
{
	struct exec_job_refused m = { .job = op->id, .code = (uint8_t)code };

	m.text = slice_str(text);
	link_send_last(op, EXEC_JOB_REFUSED, &m);
	op_free(op);
}

/* Running out of something is busy, not broken. */
enum xerr
start_error(int error)
{
	switch (error) {
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return XERR_EBUSY;
	}
	return xerr_from_errno(error);
}

/* Names come from the client: what is not plain text is left out. */
void
op_printable(char *s)
{
	if (utf8_valid(s, strlen(s)))
		return;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			*s = '?';
}

void
op_fail(struct op *op, int error, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "%.400s: %s", what,
	    error == EXDEV ? "outside the workspace" : strerror(error));
	op_printable(text);
	op_refuse(op, start_error(error), text);
}

void
op_done(struct op *op)
{
	struct exec_job_done m = { .job = op->id };

	link_send_last(op, EXEC_JOB_DONE, &m);
	op_free(op);
}

void
op_drop(struct op *op)
{
	op_free(op);
}

void
op_exit(struct op *op, struct exec_job_exit *m)
{
	m->job = op->id;
	link_send_last(op, EXEC_JOB_EXIT, m);
	op_free(op);
}
