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
 * Terminals.  Runs in: executor.  The job's side is opened through the
 * master: there may be no /dev/pts to look in.  Owns: nothing.
 */

#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "executor/executor.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER	_IO('T', 0x41)
#endif

/* O_NOCTTY: ours is the first process of a container, it would get it. */
static int
slave_open(int master)
{
	char	name[64];
	int	fd;

	fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd == -1 && ptsname_r(master, name, sizeof(name)) == 0)
		fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd;
}

static int
copy(int fd)
{
	return fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int
pty_open(int theirs[3], int ours[3], unsigned int cols, unsigned int rows)
{
	int i;

	for (i = 0; i < 3; i++)
		ours[i] = theirs[i] = -1;
	ours[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ours[1] == -1 || grantpt(ours[1]) == -1 ||
	    unlockpt(ours[1]) == -1 ||
	    fcntl(ours[1], F_SETFD, FD_CLOEXEC) == -1 ||
	    fcntl(ours[1], F_SETFL, O_NONBLOCK) == -1)
		return -1;
	pty_resize(ours[1], cols > 0 ? cols : 80, rows > 0 ? rows : 24);
	ours[0] = copy(ours[1]);
	theirs[0] = slave_open(ours[1]);
	theirs[1] = copy(theirs[0]);
	theirs[2] = copy(theirs[0]);
	return ours[0] == -1 || theirs[2] == -1 ? -1 : 0;
}

/* The kernel tells the foreground, if that is a change. */
void
pty_resize(int fd, unsigned int cols, unsigned int rows)
{
	struct winsize ws = { .ws_col = (unsigned short)cols,
	    .ws_row = (unsigned short)rows };

	if (cols > 0 && rows > 0)
		ioctl(fd, TIOCSWINSZ, &ws);
}

int
pty_signal(int fd, int sig)
{
	pid_t pgrp;

	if (fd == -1 || ioctl(fd, TIOCGPGRP, &pgrp) == -1 || pgrp <= 1)
		return -1;
	return kill(-pgrp, sig);
}

char
pty_eof(int fd)
{
	struct termios t;

	return tcgetattr(fd, &t) == 0 ? (char)t.c_cc[VEOF] : 4;
}
