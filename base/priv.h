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
 * priv_enter: a process takes the row of the policy table and the door closes
 * behind it.  Runs in: every child, once, after it was configured and has
 * opened and warmed up what it needs.  Never exits, never logs: the caller
 * logs result->text and decides.
 */

#ifndef BASE_PRIV_H
#define BASE_PRIV_H

#include <sys/types.h>

#include "policy.h"

#define PRIV_EMPTY	"/var/empty"
#define PRIV_MAXPATHS	96

enum priv_mode {
	PRIV_PREFER,	/* a weaker kernel, a missing user, no root: told */
	PRIV_REQUIRE	/* each of them is an error */
};

/* A path a row with POLICY_ROOT_HOST may use. */
struct priv_path {
	const char	*path;
	unsigned int	 rights;	/* MAY_READ, MAY_WRITE, MAY_LISTEN_UNIX */
};

/* All pointers are lent for the call.  Zeroed is a valid value. */
struct priv_opts {
	enum priv_mode	 mode;
	const char	*state;		/* POLICY_ROOT_STATE: the directory */
	const char	*empty;		/* NULL: PRIV_EMPTY */
	gid_t		 engine_gid;	/* engine_group rows; 0: none */
	struct priv_path paths[PRIV_MAXPATHS];
	size_t		 npaths;
};

struct priv_result {
	uid_t	uid;
	gid_t	gid;
	int	was_root;	/* started as root, and is not any more */
	int	chrooted;
	int	landlock;	/* ABI in force, 0: none */
	int	seccomp;	/* rules in force, 0: none */
	int	degraded;	/* PRIV_PREFER gave something up: log it loud */
	char	text[256];	/* one line: what was achieved, or what failed */
};

/*
 * Takes the row.  Afterwards the working directory is the root of the row
 * ("/" or the state directory, whether chroot was possible or not), so open
 * state files by relative names.  Returns 0, or -1 with errno and text; the
 * process is then half way and must exit.
 */
int	priv_enter(const struct policy *, const struct priv_opts *,
	    struct priv_result *);
/*
 * Which ids the row will run under when started by root: its own user; with
 * PRIV_PREFER and that one missing, nobody (and *fallback is 1).  The parent
 * uses it to chown state directories.  Returns 0, or -1 with errno.
 */
int	priv_user(const struct policy *, enum priv_mode, uid_t *, gid_t *,
	    int *fallback);

#endif /* BASE_PRIV_H */
