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
 * What start.c (what there is, and the executor's call) and make.c (a new
 * container) share; for nobody else.
 */

#ifndef DOCKER_START_INT_H
#define DOCKER_START_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "workers/docker/docker.h"

struct box;
struct event;

struct start {
	struct sandbox	*s;
	struct box	*box;
	struct event	*timer;
	uint64_t	 call;		/* the step's */
	bool		 workdir;	/* the parent was asked */
	const char	*image;		/* what is asked after or used */
	char		 own[SANDBOX_NAME_MAX + 8];	/* NAME:latest */
	char		 workspace[4097];
	char		 image_user[256];
	bool		 pulled;
	bool		 taken;		/* it ran before we asked */
	bool		 unborn;	/* found, and has never run */
	bool		 made;		/* by us, just now: nothing is in it */
	bool		 far;		/* the Engine is elsewhere: relay.c */
	struct relay	*relay;		/* that is waited for; NULL */
	unsigned int	 again;
};

/* --- start.c --- */

void	 start_ask(struct start *, enum engine_op, const char *, const char *,
	    engine_done *);
/* These end it, with an answer to box. */
void	 start_fail(struct start *, enum xerr, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
void	 start_fail_call(struct start *, const struct engine_result *);
void	 start_fail_box(struct start *);		/* says errno */
/* The directory behind /.xbot; the Engine wants it to be there at create.
 * false and errno. */
bool	 start_box_open(struct start *);
/* The container is there, and does not run. */
void	 start_run(struct start *);

/* --- make.c: each goes on to start_run, or fails --- */

void	 make_begin(struct start *);
/* The one that is there has never been used: it goes, and another comes. */
void	 make_anew(struct start *);
/* The same without our directory, for what the Engine does not see of it. */
void	 make_far(struct start *, const char *what);

#endif
