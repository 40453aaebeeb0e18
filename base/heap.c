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
#include <string.h>

#include "base/heap.h"

#ifdef __GLIBC__
#include <malloc.h>

/* At the end of the heap, some frames' worth. */
#define HEAP_KEEP	(4 * HEAP_FRAME)

void
heap_tune(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_FRAME);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
}

void
heap_trim(void)
{
	(void)malloc_trim(0);
}

void
heap_wipe(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

#else

void
heap_tune(void)
{
}

void
heap_trim(void)
{
}

void
heap_wipe(void *p)
{
	free(p);
}

#endif
