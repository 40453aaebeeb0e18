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
 * The directory that a container sees as /.xbot: the executor's program, and
 * the socket on which it calls.  Runs in: xbot-runner.  Owns: the directory,
 * its lock, the listening socket.
 */

#ifndef RUNNER_BOXDIR_H
#define RUNNER_BOXDIR_H

#include <sys/types.h>

#include <stdbool.h>

struct event_base;

/*
 * Made or found, for the container of that name, and locked: two runners in
 * one container would end each other's executors.  Never within the canonical
 * workspace, which the container's root may change.  The path, for life; NULL:
 * the log said why.  on_peer takes the descriptor.
 */
const char	*boxdir_open(struct event_base *, const char *name,
		    const char *workspace, void (*on_peer)(int fd));
/* From now on callers are held until boxdir_expect says who it is. */
bool		 boxdir_listen(void);
/* Only this process is answered; on_peer may come at once. */
void		 boxdir_expect(pid_t);
/* Nobody is. */
void		 boxdir_close(void);
/* Who else called since boxdir_listen; -1 is nobody, 0 a process that cannot
 * be seen from here. */
pid_t		 boxdir_stranger(void);

#endif
