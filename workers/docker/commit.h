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
 * Keeping what is in a container: commit, stop, reset, and the journal that
 * makes each of them whole.  Runs in: docker.
 *
 * A journal entry is in ledger from before the first thing that a crash could
 * leave half done until after the last.  Whatever happens in between, either
 * the container or the new image has all of the user's state, and who comes
 * after the crash finishes or undoes.
 */

#ifndef DOCKER_COMMIT_H
#define DOCKER_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"
#include "proto/error.h"
#include "proto/msg.h"
#include "workers/docker/docker.h"
#include "workers/docker/meta.h"

/* On an image of ours: its name, its user, the commit that made it. */
#define IMAGE_NAME	META_LABEL "name"
#define IMAGE_USER	META_LABEL "user"
#define IMAGE_COMMIT	META_LABEL "commit"

#define IMAGE_ID_MAX	80		/* "sha256:..." and a NUL */
#define COMMIT_ID_LEN	32		/* digits of a commit's id */

/* Numbers are on disks. */
enum journal_what {
	JOURNAL_COMMIT = 1,	/* the container stays */
	JOURNAL_STOP = 2,	/* it goes */
	JOURNAL_RESET = 3	/* the image goes too, nothing is kept */
};

enum journal_step {
	JOURNAL_INTENT = 1,
	JOURNAL_IMPORTED = 2,	/* image: the new one's id */
	JOURNAL_TAGGED = 3,
	JOURNAL_REMOVED = 4,	/* the container */
	JOURNAL_DONE = 5	/* the entry is gone */
};

struct journal {
	struct id16	 id;
	char		 user[ID_USER_MAX + 1];
	uint8_t		 what, step;
	char		 container[CONTAINER_ID_MAX];
	char		 image[IMAGE_ID_MAX];
	uint64_t	 began;		/* ms since 1970 */
};

/* --- journal.c --- */

typedef void	 journal_cb(void *, enum xerr, const char *text);

/*
 * The entry says step (JOURNAL_DONE: is gone) and that is on the disk when
 * cb is called.  While ledger is away it waits and is told again.
 */
void	 journal_put(struct journal *, enum journal_step, journal_cb *,
	    void *arg);
bool	 journal_is_told(const struct id16 *);
/* The test build's: waits at one of the steps.  See tests/docker/halt.c. */
void	 journal_halt(uint8_t what, enum journal_step, bool stored);
void	 commit_id_text(const struct id16 *, char [COMMIT_ID_LEN + 1]);

/* --- commit.c --- */

struct commit_result {
	enum xerr	 code;
	const char	*text;
	const char	*image;		/* name:latest, "" when there is none */
	bool		 changed;
};

typedef void	 commit_done(void *, const struct commit_result *);

/*
 * done is called once, with the result that the client may know; what is left
 * to do after a failure goes on.  idle: given up when there is activity before
 * it stops.  false: somebody works on this sandbox; done is not called.
 */
bool	 commit_start(struct sandbox *, enum journal_what, bool idle,
	    commit_done *, void *arg);
/* An entry of a docker before us. */
void	 commit_resume(const struct journal *);
/* Is it worked on, or its end not on the disk yet? */
bool	 commit_is_live(const struct id16 *);
bool	 commit_is_live_text(const char *);

/* --- changes.c: pure --- */

/* Where an inspected container's mounts are, each with a NUL behind it. */
bool	 changes_mounts(struct buf *points, const struct json_value *mounts);
/* Do /changes say anything but that a start made these points? */
bool	 changes_any(const struct json_value *changes, struct slice points);
/* "2026-11-30T20:00:00.123456789Z" in ms since 1970; 0: cannot be read. */
uint64_t engine_time(const struct json_value *);

/* --- sweep.c --- */

/* Reconcile with the Engine; done is called once. */
void	 sweep_start(void (*done)(void *, enum xerr, const char *), void *arg);
/* Its container is new: a list that is on its way does not know it. */
void	 sweep_spare(struct sandbox *);
/* Dangling images of ours that nobody needs, of one name or (NULL) all. */
void	 images_prune(const char *name, void (*done)(void *), void *arg);
/* Exports that another server left in /tmp; while we are still root. */
void	 exports_prune(void);

#endif
