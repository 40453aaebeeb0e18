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
 * The zygote's memory in large pages: a fork copies an entry a page, and its
 * end takes each back, so this is what a run costs most of.
 * Runs in: the zygote, until everything is imported.
 * A kernel without it (before 6.1), or without room, leaves pages as they are.
 */

#include <sys/mman.h>

#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "workers/skill/skill.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25	/* madvise(2); not in Debian 12's headers */
#endif
#define LARGE		((uintptr_t)2 * 1024 * 1024)	/* bytes, aligned */
#define ROOM		(32 * LARGE)	/* for Python's objects */

static uintptr_t	 room_first, room_next, room_end;	/* 0: none yet */

static uintptr_t
large_up(uintptr_t at)
{
	return (at + LARGE - 1) & ~(LARGE - 1);
}

void *
pages_room(size_t n)
{
	void *p = mmap(NULL, n + LARGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : (void *)large_up((uintptr_t)p);
}

static void
room_make(void)
{
	void *p = pages_room(ROOM);

	if (p != NULL) {
		room_first = room_next = (uintptr_t)p;
		room_end = room_first + ROOM;
	}
}

/* Wherever the kernel puts them they would lie between libraries, and few
 * large pages would fit into such a piece. */
void *
pages_alloc(void *ctx, size_t n)
{
	void *p;

	if (room_first == 0 && !PRIV_SANITIZED)
		room_make();
	if (n <= room_end - room_next) {
		p = (void *)room_next;
		room_next += n;
		return p;
	}
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* What an import has freed stays; a run's own is given back. */
void
pages_free(void *ctx, void *p, size_t n)
{
	uintptr_t at = (uintptr_t)p;

	if (at < room_first || at >= room_end)
		(void)munmap(p, n);
}

/* The rest of the room would count as the memory of each run. */
static void
room_close(void)
{
	uintptr_t end = large_up(room_next);

	if (end < room_end && munmap((void *)end, room_end - end) == 0)
		room_end = end;
}

/* Every large page that fits into first .. end: how many were made. */
static unsigned int
collapse(uintptr_t first, uintptr_t end)
{
	uintptr_t	 at = large_up(first);
	unsigned int	 n = 0;

	for (; at < end && end - at >= LARGE; at += LARGE)
		if (madvise((void *)at, LARGE, MADV_COLLAPSE) == 0)
			n++;
	return n;
}

void
pages_collapse(void)
{
	char		 line[512], rights[8];
	uintptr_t	 first, end;
	unsigned long	 inode;
	unsigned int	 n = 0;
	FILE		*f;

	if (PRIV_SANITIZED)
		return;		/* a shadow is as large as the machine */
	room_close();
	f = fopen("/proc/self/maps", "re");
	/* proc(5): address rights offset device inode, then perhaps a name. */
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &first, &end,
		    rights, &inode) == 4 && rights[1] == 'w' && inode == 0)
			n += collapse(first, end);
	if (f != NULL)
		(void)fclose(f);
	log_debug("%u large pages", n);
}
