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

/* What the privilege probe's two halves share. */

#ifndef TESTS_PRIV_PROBE_H
#define TESTS_PRIV_PROBE_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <netinet/in.h>

#include "base/policy.h"
#include "base/priv.h"

enum expect { DENY, ALLOW, SKIP };

/* What the parent prepared for one row, and what the child became. */
struct ctx {
	const struct policy	*p;
	struct priv_result	 r;
	int			 root;		/* the test runs as root */
	uid_t			 uid;		/* the row's */
	gid_t			 gid;
	char			 base[64];	/* 0755, the test's */
	char			 dir[80];	/* the row's own directory */
	char			 sock[80];	/* somebody's unix socket */
	struct sockaddr_un	 abstract;
	socklen_t		 abstractlen;
	struct sockaddr_in	 tcp;
	int			 listener;	/* passed, non-blocking */
	int			 true_fd;	/* /bin/true */
	pid_t			 twin;		/* same uid */
	pid_t			 other;		/* another uid */
	char			*secret;	/* in the twin's memory, too */
};

struct attempt {
	const char	*name;
	int		(*try)(struct ctx *);	/* 0, errno, or -1: skip */
	enum expect	(*expect)(const struct ctx *);
};

extern const struct attempt	attempts[];
extern const int		nattempts;

int		is_parent(const struct ctx *);
enum expect	when(int);
/* Not tried in the control row: there it might be done. */
enum expect	x_refused(const struct ctx *);

#endif /* TESTS_PRIV_PROBE_H */
