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
 * What commit.c (in which order, and what after a failure or a kill) and
 * step.c (what the Engine is asked) share; for nobody else.
 */

#ifndef DOCKER_COMMIT_INT_H
#define DOCKER_COMMIT_INT_H

#include <sys/queue.h>

#include "base/engine.h"
#include "workers/docker/commit.h"

struct event;

struct commit;
typedef void	 step_fn(struct commit *);

struct commit {
	LIST_ENTRY(commit)	 entry;
	struct journal		 j;
	struct sandbox		*s;
	char			 tag[SANDBOX_NAME_MAX + 8];
	char			 from[IMAGE_ID_MAX];	/* container's image */
	const char		*base;		/* an image that was asked for */
	step_fn *const		*next;
	bool			 clean;		/* nothing to keep */
	bool			 recovering;	/* finishing or undoing */
	bool			 undo;		/* was refused, not killed */
	bool			 idle;
	uint64_t		 activity;	/* when it was claimed */
	bool			 running, paused, dirty;
	unsigned int		 pauses;	/* that failed */
	uint64_t		 started;	/* the container; ms */
	struct buf		 mounts;	/* see changes_any */
	struct buf		 changes;	/* of the new image */
	struct event		*timer;
	unsigned int		 again;		/* s */
	uint64_t		 began;		/* ms of the monotonic clock */
	uint64_t		 bytes;		/* of the new image */
	commit_done		*done;		/* NULL: answered */
	void			*arg;
	bool			 changed;
};

/* --- commit.c --- */

/* The next step. */
void	 commit_go(struct commit *);
/* Others from here on. */
void	 commit_go_to(struct commit *, step_fn *const *);
/* It cannot go on like this. */
void	 commit_fail(struct commit *, enum xerr, const char *);
/* There is nothing to keep: the short way to the end. */
void	 commit_clean(struct commit *);
/* There is nothing at all: the end. */
void	 commit_nothing(struct commit *);

/* --- step.c: each goes on, or fails --- */

step_fn	 step_changes, step_clean, step_drop, step_find, step_inspect,
	 step_look, step_meta, step_pause, step_pipe, step_prune, step_remove,
	 step_reset, step_same, step_stop, step_tag, step_unpause, step_untag;

#endif
