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
 * Skills and agents on their way to runners.  Runs in: remote.
 *
 * source.c keeps what the parent opened for us, in memory; sync.c copies it to a
 * runner that has just come, as a client of our own sessions: over a channel
 * to ourselves it says what front would say, so version 1 and version 2 are
 * the session's business and not the copier's.
 */

#ifndef REMOTE_SYNC_H
#define REMOTE_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chan;
struct link;
struct msg;
struct rules;

struct source_file {
	char		*path;	/* relative to the runner's workspace */
	uint8_t		*data;
	size_t		 size;
	uint64_t	 hash;	/* FNV-1a of data */
};

/* All files in the contract's order, as they were at one time. */
struct source {
	struct source_file	*v;
	size_t			 n, cap, bytes;
	unsigned int		 holds;
};

/* source.c */
/* Not older than a few seconds; else NULL, and sync_ready() is called when it
 * is there.  It stays as it is until it is given back. */
struct source	*source_take(void);
void	 source_give(struct source *);
void	 on_sync_file(struct chan *, const struct msg *);
void	 on_sync_end(struct chan *, const struct msg *);

/* sync.c */
/* Before the privileges: false, and the log says why. */
bool	 sync_init(void);
void	 sync_ready(void);
/* This runner is online (again). */
void	 sync_start(const struct link *);
/* The session side of our channel. */
struct chan	*sync_chan(void);

/* main.c: what a client of sessions may say. */
const struct rules *sync_rules(void **arg);

#endif
