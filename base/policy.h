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
 * The policy table: one row a process, and everything that process may do.
 * Runs in: every process (each reads its own row; the parent reads them all).
 * Trusts nobody; it is constant data.
 */

#ifndef BASE_POLICY_H
#define BASE_POLICY_H

#include <stddef.h>
#include <stdio.h>

/* Table order is trust order: the later row of an edge is restarted first. */
enum role {
	ROLE_SUPERVISOR,
	ROLE_FRONT,
	ROLE_CONTROL,
	ROLE_LEDGER,
	ROLE_NONE,
	ROLE_BOX,
	ROLE_DOCKER,
	ROLE_REMOTE,
	ROLE_REAPER,
	ROLE_LLM,
	ROLE_SKILL,
	ROLE_KEYS,
	ROLE_MAX		/* also "no such role" */
};

/* What becomes of "/" for the process. */
enum policy_root {
	POLICY_ROOT_HOST,	/* stays; Landlock names the few paths */
	POLICY_ROOT_EMPTY,	/* /var/empty: root's, mode 0755, nothing in it */
	POLICY_ROOT_STATE	/* the state directory of the row */
};

/* Rights.  What is not named here is refused by priv_enter(). */
#define MAY_ACCEPT		0x0001	/* accept on a passed listener */
#define MAY_LISTEN_UNIX		0x0002	/* make and listen on unix sockets */
#define MAY_CONNECT_UNIX	0x0004
#define MAY_CONNECT_TCP		0x0008
#define MAY_FORK		0x0010
#define MAY_EXEC		0x0020
#define MAY_THREAD		0x0040
#define MAY_KILL		0x0080	/* signal processes but itself */
#define MAY_READ		0x0100	/* files under its root or paths */
#define MAY_WRITE		0x0200	/* make, write, remove them as well */
#define MAY_TIMERS		0x0400	/* acts unasked, by the clock; a note,
					   enforced by nothing */
#define MAY_ALL			0x07ff

#define POLICY_NOLIMIT		((unsigned long)-1)

struct policy {
	enum role	 role;
	const char	*name;		/* "front": configuration, logs, ps */
	const char	*binary;	/* file in libexec, NULL: not built yet */
	const char	*user;		/* NULL: stays what it is started as */
	int		 engine_group;	/* joins the group of Docker's socket */
	enum policy_root root;
	unsigned int	 rights;	/* MAY_* */
	unsigned long	 nofile;	/* RLIMIT_NOFILE (soft and hard) */
	unsigned long	 data_mb;	/* RLIMIT_DATA in MiB */
	const char	*paths;		/* told in -nv; see struct priv_opts */
	const char	*footnote;	/* why each privilege is there */
};

/* Returns a constant row; NULL for a role outside of the table. */
const struct policy	*policy_get(enum role);
/* Returns ROLE_MAX for a name that is not in the table. */
enum role		 policy_by_name(const char *);
/* The table with its footnotes, for xbot-supervisor -nv. */
void			 policy_print(FILE *);
/* "accept connect-unix", or "nothing"; cut to size, always terminated. */
void			 policy_rights(unsigned int, char *, size_t);

#endif /* BASE_POLICY_H */
