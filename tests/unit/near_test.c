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
 * workers/skill/near: the allocator that Python has in a run.  Whatever is
 * asked of it in whatever order, what was written stays, also when the room
 * is full, and what it is given back it knows to be its own or not.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "workers/skill/skill.h"

#define SLOTS	256
#define STEPS	200000
#define BIG	20000

static struct slot {
	uint8_t	*p;
	size_t	 n;
	uint8_t	 byte;
} slots[SLOTS];

/* An interpreter leaves things behind; they are not what is tested. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* Small ones most of the time, as Python's. */
static size_t
any_size(void)
{
	return (size_t)random() % (random() % 20 == 0 ? BIG : 600);
}

static bool
is_all(const uint8_t *p, size_t n, uint8_t byte)
{
	while (n-- > 0)
		if (p[n] != byte)
			return false;
	return true;
}

static void
slot_fill(struct slot *s, size_t n)
{
	CHECK(s->p != NULL && (uintptr_t)s->p % 16 == 0);
	s->n = n;
	s->byte = (uint8_t)random();
	memset(s->p, s->byte, n);
}

static void
slot_empty(struct slot *s)
{
	CHECK(is_all(s->p, s->n, s->byte));
	PyObject_Free(s->p);
	s->p = NULL;
}

static void
slot_resize(struct slot *s)
{
	size_t n = any_size();

	s->p = PyObject_Realloc(s->p, n);
	CHECK(is_all(s->p, s->n < n ? s->n : n, s->byte));
	slot_fill(s, n);
}

static void
step(struct slot *s)
{
	size_t n = any_size();

	if (s->p != NULL && random() % 3 == 0)
		slot_resize(s);
	else if (s->p != NULL)
		slot_empty(s);
	else if (random() % 4 == 0) {
		s->p = PyObject_Calloc(1, n);
		CHECK(is_all(s->p, n, 0));
		slot_fill(s, n);
	} else {
		s->p = PyObject_Malloc(n);
		slot_fill(s, n);
	}
}

/* In the zygote, where it comes and goes, and then in a run. */
static void
any_order(void)
{
	long i;

	for (i = 0; i < STEPS; i++) {
		if (i < STEPS / 2 && i % 1000 == 0)
			near_set(i % 2000 == 0);
		if (i == STEPS / 2)
			near_run();
		step(&slots[random() % SLOTS]);
	}
	for (i = 0; i < SLOTS; i++)
		if (slots[i].p != NULL)
			slot_empty(&slots[i]);
}

/* Side by side, and what was allocated last is used again. */
static void
side_by_side(void)
{
	uint8_t	*a, *b, *c;

	near_run();
	a = PyObject_Malloc(1);
	b = PyMem_Malloc(0);
	c = PyObject_Malloc(100);
	CHECK(b == a + 16 && c == b + 16);
	CHECK(PyObject_Realloc(c, 1000) == c);
	PyObject_Free(c);
	CHECK((c = PyObject_Malloc(50)) == b + 16);
	/* b is not the last: it moves, and takes what it holds with it */
	memset(c, 7, 50);
	PyMem_Free(a);
	CHECK(PyMem_Realloc(b, 64) == c + 64);
	CHECK(is_all(c, 50, 7));
	CHECK(PyObject_Malloc(SIZE_MAX) == NULL);
	CHECK(PyObject_Calloc(SIZE_MAX / 2, 3) == NULL);
}

static void
off(void)
{
	uint8_t	*a, *b;

	near_run();
	a = PyObject_Malloc(16);
	near_set(false);
	b = PyObject_Malloc(16);
	CHECK(b != a + 16);
	PyObject_Free(a);
	PyObject_Free(b);
	near_set(true);
	CHECK(PyObject_Malloc(16) == a + 16);
}

int
main(void)
{
	srandom(1);
	Py_InitializeEx(0);
	near_start();
	any_order();
	side_by_side();
	off();
	near_set(false);
	return checks_end();
}
