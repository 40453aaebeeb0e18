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
 * A process at the other end of a WebSocket: shell, exec -i.
 * Runs in: xbot-admin.  What it writes is passed on as it is.
 */

#ifndef ADMIN_STREAM_H
#define ADMIN_STREAM_H

#include <stdbool.h>
#include <stddef.h>

struct stream_conf {
	const char	*path;		/* encoded, with its query */
	bool		 terminal;	/* ours is at its disposal */
	long		 seconds;	/* 0: no limit */
};

/* Until the process has ended; returns our exit status. */
int	 stream_run(const struct stream_conf *);

/* --- stream_out.c --- */

struct event_base;

/* Bytes that standard output or error has yet to take. */
struct outlet;

/*
 * changed(arg, true): less is held than before; false: it cannot be written
 * to any more, and that was said.
 */
struct outlet	*outlet_new(struct event_base *, int fd,
		    void (*changed)(void *, bool), void *arg);
void		 outlet_free(struct outlet *);
/* false: no memory, and that was said. */
bool		 outlet_add(struct outlet *, const void *, size_t);
size_t		 outlet_held(const struct outlet *);

/* --- term.c --- */

/* Again after SIGCONT, too. */
bool	 term_raw(void);
void	 term_restore(void);
void	 term_size(unsigned int *cols, unsigned int *rows);

#endif
