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
 * Who is at the other end of the control socket?  Runs in: control.
 * The kernel says so; the socket's mode is only the first fence.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "supervisor/front/front.h"

#define GROUPS_MAX	4096	/* more than anybody has */

static uid_t	 own_uid;	/* what the supervisor runs as */
static gid_t	 admin_gid;
static bool	 has_admin_gid;

static bool	 in_group(int, gid_t);

/* A number: there is no /etc/group here, and a reload may name another. */
void
admin_group_set(void)
{
	const char	*text = front.conf.admin_group;
	char		*end;
	unsigned long	 n = strtoul(text, &end, 10);

	own_uid = getuid();
	has_admin_gid = text[0] != '\0' && *end == '\0';
	admin_gid = (gid_t)n;
}

static bool
in_group(int fd, gid_t gid)
{
	gid_t		*list;
	socklen_t	 len = 64 * sizeof(*list), i;
	bool		 found = false;

	if ((list = malloc(len)) == NULL)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len) == -1) {
		if (errno != ERANGE || len > GROUPS_MAX * sizeof(*list))
			goto out;
		free(list);
		if ((list = malloc(len)) == NULL ||
		    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len) ==
		    -1)
			goto out;
	}
	for (i = 0; i < len / sizeof(*list); i++)
		if (list[i] == gid)
			found = true;
out:
	free(list);
	return found;
}

bool
admin_peer(int fd)
{
	struct ucred	 cred;
	socklen_t	 len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return false;
	if (cred.uid == 0 || cred.uid == own_uid)
		return true;
	if (!has_admin_gid)
		return false;
	return cred.gid == admin_gid || in_group(fd, admin_gid);
}
