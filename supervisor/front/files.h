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
 * Operations on files that share their beginning and their end: api_files.c
 * (bytes), api_dirs.c (names).  Runs in: front, control.
 */

#ifndef FRONT_FILES_H
#define FRONT_FILES_H

#include "supervisor/front/session.h"

#define PATH_BYTES	4096		/* exec.def: path */

struct fileop {
	struct session		*session;	/* NULL: over */
	struct id16		 job;
	char			 path[PATH_BYTES + 1];
	uint64_t		 got, upto;	/* stream 3, towards us */
	struct buf		 out;		/* PUT: not yet sent */
	uint64_t		 sent, room;	/* stream 3, from us */
	uint64_t		 size;		/* of the file */
	/* GET */
	bool			 ranged, begun;
	uint64_t		 first, length;	/* of the range */
	/* PUT */
	bool			 body_done, reading;
	bool			 comma;		/* listing: not the first */
};

/* The routing, the session, the path; NULL: the request is answered. */
struct fileop	*fileop_begin(struct req *, const struct session_ops *,
		    const char *path_default);
/* A new job in its session; false: answered. */
bool		 fileop_send(struct fileop *, struct req *, uint16_t type,
		    const void *body);
/* The backend moved: another FILE_IDLE_MS. */
void		 fileop_alive(struct fileop *);
/* The session is over; then comes the answer. */
void		 fileop_end(struct fileop *);
/* job_refused, or anything that must not come now. */
void		 fileop_refused(struct fileop *, struct req *,
		    const struct msg *);
void		 fileop_lost(struct session *, struct req *, enum xerr,
		    const char *);
/* ?mode=0644 */
bool		 fileop_mode(struct req *, uint32_t *);

/* api_dirs.c */
void		 dirs_on_stat(struct req *);
void		 dirs_on_list(struct req *);
void		 dirs_on_mkdir(struct req *);
void		 dirs_on_remove(struct req *);

#endif
