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
 * How each process of ours lives: it is started with its channel to the
 * parent on fd 3, is told its role, its configuration and its peers, enters
 * its privileges when the parent says go, and serves until it is told to stop.
 *
 *	int
 *	main(int argc, char *argv[])
 *	{
 *		return child_main(argc, argv, &ledger_ops);
 *	}
 */

#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/chan.h"
#include "base/policy.h"
#include "base/priv.h"

struct event_base;

#define CHILD_PARENT_FD	3

struct child_ops {
	/* Roles this binary plays, bits 1 << enum role. */
	uint32_t	  roles;
	/* What the parent may send beyond child.c's own (start, peer, go,
	 * stop, log_level): configuration, listeners, answers. */
	const struct rule *from_parent;
	size_t		  nfrom_parent;
	/* An edge came (again); lent.  Return the rules of that peer and set *arg, or
	 * NULL when this process has no such edge.  The chan is given to peer_up;
	 * it is not read before entered() has returned. */
	const struct rules *(*peer_rules)(enum role, void **arg);
	void		 (*peer_up)(enum role, struct chan *);
	/* Before the privileges: open, warm up; may fill priv_opts.  After:
	 * whatever must be done inside.  false: log said why, exit. */
	bool		 (*prepare)(enum role, struct priv_opts *);
	bool		 (*entered)(void);
	/* conf_commit arrived again after go: the slices now count. */
	void		 (*reloaded)(void);
	/* The parent wants an orderly end; call child_exit() when done. NULL: at once. */
	void		 (*stop)(void);
};

int	 child_main(int, char *[], const struct child_ops *);

/* Valid from prepare on. */
struct event_base	*child_base(void);
enum role		 child_role(void);
/* The channel to the parent. */
struct chan		*child_parent(void);
/* The newest channel to that peer, NULL when it is down.  The rules' closed()
 * is called when it goes; child.c has forgotten and will free it by then. */
struct chan		*child_peer(enum role);
void			 child_exit(void);

#endif
