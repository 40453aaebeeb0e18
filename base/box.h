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
 * A directory that a container sees as /.xbot: the executor's program, and
 * the socket on which it calls.  Runs in: xbot-runner, docker.  Whoever
 * reaches the socket may call; the kernel says who it is, and one process
 * alone is answered.  Owns: the directory's descriptor, the listening socket.
 */

#ifndef BASE_BOX_H
#define BASE_BOX_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

struct box;
struct event_base;

/* takes dir, also on failure.  on_peer takes fd.  NULL: out of memory. */
struct box	*box_new(struct event_base *, int dir,
		    void (*on_peer)(void *, int fd), void *arg);
/* NULL is fine. */
void		 box_free(struct box *);
/* The program, put in the place of an older one.  false and errno. */
bool		 box_put(struct box *, const void *, size_t);
/* From now on callers are held until box_expect says who it is.  false and
 * errno. */
bool		 box_listen(struct box *);
/* Only this process is answered; on_peer may come at once. */
void		 box_expect(struct box *, pid_t);
/* Called, last, when somebody else has called: box_free is fine. */
void		 box_on_stranger(struct box *, void (*)(void *));
/* Nobody is.  NULL is fine. */
void		 box_close(struct box *);
/* Who else called since box_listen; -1 is nobody, 0 a process that cannot be
 * seen from here. */
pid_t		 box_stranger(const struct box *);

#endif
