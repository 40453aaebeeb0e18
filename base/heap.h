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
 * The C library's heap: what it keeps and when it gives memory back.  Runs in:
 * every process.
 */

#ifndef BASE_HEAP_H
#define BASE_HEAP_H

/*
 * Frames of up to HEAP_FRAME bytes come and go by the thousand and stay in the
 * heap: mapping each anew costs a page fault every 4 KiB.  What is larger has a
 * mapping of its own, which goes back to the system when it is freed.
 */
#define HEAP_FRAME	(1024 * 1024)

/* Once, at the start. */
void	 heap_tune(void);
/* free(3), and nothing of it can be read afterwards, where the library says how
 * much it is. */
void	 heap_wipe(void *);
/* A crowd has left: give back what it needed.  Takes a millisecond or so. */
void	 heap_trim(void);

#endif
