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
 * Memory for objects that a run touches, laid side by side.
 * Runs in: the zygote, while the package is imported; its children.
 *
 * Python counts references in the objects themselves, so whatever a run looks
 * at is a page that the kernel copies for it.  Python's own allocator sorts
 * objects by size into pools of their own: a run's first objects, of twenty
 * sizes, are forty pages, and the package lies among everything else that was
 * imported.  Here they lie in the order in which they were made.  Nothing is
 * used again but what was allocated last; when the room is full, and for what
 * is not near, it is Python's own allocator as ever.
 *
 * Called with the GIL held, as PYMEM_DOMAIN_OBJ and _MEM are.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <sys/mman.h>

#include <stdint.h>
#include <string.h>

#include "workers/skill/skill.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23	/* madvise(2), since Linux 5.14 */
#endif
#define ALIGN		((size_t)16)		/* as Python aligns */
#define PACKAGE_ROOM	((size_t)4 << 20)	/* 1.9 MB of it with 3.11 */
#define RUN_ROOM	((size_t)256 << 10)
#define RUN_FIRST	((size_t)32 << 10)	/* what any run comes to */
#define ROOM		(PACKAGE_ROOM + RUN_ROOM)

static PyMemAllocatorEx	 objects, memory;	/* Python's own */
static bool		 near_on;
static uint8_t		*room;		/* ROOM bytes; NULL: none */
static uint8_t		*next, *end;	/* of the part that is being filled */
static uint8_t		*last;		/* before next; NULL: was freed */

static bool
is_near(const void *p)
{
	return (uintptr_t)p - (uintptr_t)room < ROOM;
}

/* Nothing takes room, too: each has an address of its own. */
static size_t
taken(size_t n)
{
	return n == 0 ? ALIGN : (n + ALIGN - 1) & ~(ALIGN - 1);
}

/* All lengths in the room are multiples of ALIGN. */
static bool
fits(const uint8_t *at, size_t n)
{
	return near_on && at < end && n <= (size_t)(end - at);
}

static void *
near_malloc(void *ctx, size_t n)
{
	const PyMemAllocatorEx *below = ctx;

	if (!fits(next, n))
		return below->malloc(below->ctx, n);
	last = next;
	next += taken(n);
	return last;
}

static void *
near_calloc(void *ctx, size_t count, size_t each)
{
	const PyMemAllocatorEx	*below = ctx;
	size_t			 n;

	if (__builtin_mul_overflow(count, each, &n) || !fits(next, n))
		return below->calloc(below->ctx, count, each);
	return memset(near_malloc(ctx, n), 0, n);
}

static void
near_free(void *ctx, void *p)
{
	const PyMemAllocatorEx *below = ctx;

	if (!is_near(p)) {
		below->free(below->ctx, p);
		return;
	}
	if (p == last) {
		next = last;
		last = NULL;
	}
}

/* How long it was is not known: it ends before what is not yet taken. */
static void *
near_realloc(void *ctx, void *p, size_t n)
{
	const PyMemAllocatorEx	*below = ctx;
	size_t			 most;
	void			*q;

	if (p == NULL)
		return near_malloc(ctx, n);
	if (!is_near(p))
		return below->realloc(below->ctx, p, n);
	if (p == last && fits(last, n)) {
		next = last + taken(n);
		return p;
	}
	most = (size_t)(next - (uint8_t *)p);
	if ((q = near_malloc(ctx, n)) != NULL)
		memcpy(q, p, n < most ? n : most);
	return q;
}

static void
hook(PyMemAllocatorDomain which, PyMemAllocatorEx *below)
{
	PyMemAllocatorEx near = { below, near_malloc, near_calloc,
	    near_realloc, near_free };

	PyMem_GetAllocator(which, below);
	PyMem_SetAllocator(which, &near);
}

void
near_start(void)
{
	if ((room = pages_room(ROOM)) == NULL)
		return;
	next = room;
	end = room + PACKAGE_ROOM;
	hook(PYMEM_DOMAIN_OBJ, &objects);
	hook(PYMEM_DOMAIN_MEM, &memory);
}

void
near_set(bool on)
{
	near_on = on;
	last = NULL;
}

/* The pages that every run fills come at once, without a fault each; a kernel
 * that cannot do this brings them one by one. */
void
near_run(void)
{
	if (room == NULL)
		return;
	next = room + PACKAGE_ROOM;
	end = next + RUN_ROOM;
	(void)madvise(next, RUN_FIRST, MADV_POPULATE_WRITE);
	near_set(true);
}
