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

/* source.c */
/* All files in the contract's order, not older than a few seconds; else NULL, and
 * sync_ready() is called when they are there.  Valid until then. */
const struct source_file *source_files(size_t *n);
/* While somebody copies from it, it is not replaced. */
void	 source_hold(void);
void	 source_release(void);
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
