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
 * priv_user: see priv.h.  Runs in: the parent, and every child.  A file of
 * its own so that the parent, which enters no row, links no libseccomp.
 */

#include <sys/types.h>

#include <errno.h>
#include <pwd.h>

#include "priv.h"

int
priv_user(const struct policy *p, enum priv_mode mode, uid_t *uid, gid_t *gid,
    int *fallback)
{
	struct passwd	*pw;

	*fallback = 0;
	if (p->user == NULL) {
		errno = EINVAL;
		return -1;
	}
	errno = 0;
	pw = getpwnam(p->user);
	if (pw == NULL && mode == PRIV_PREFER) {
		*fallback = 1;
		pw = getpwnam("nobody");
	}
	/* A user of ours with root's ids is a trap, not a user. */
	if (pw == NULL || pw->pw_uid == 0 || pw->pw_gid == 0) {
		errno = pw == NULL ? ENOENT : EPERM;
		return -1;
	}
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}
