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
 * The way to the launcher where it is not on this machine: -b.  Runs in:
 * executor, as a process of its own that the Docker Engine puts beside the
 * container's first one.  It is the socket that the first one calls, and moves
 * bytes between that and its standard input and output; it reads none.
 */

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "executor/executor.h"

#define FIRST		1	/* the only pid that is answered */

struct way {
	int	 from, to;
	size_t	 off, len;
	uint8_t	 bytes[64 * 1024];
};

static void __attribute__((noreturn))
leave(const char *what)
{
	if (what != NULL)
		warn_log("bridge: %s: %s", what, strerror(errno));
	_exit(what != NULL);
}

/* Under its name once it can be called; an older one's is taken away. */
static int
bridge_listen(const char *path)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };
	int			fd;

	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s.new",
	    path) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		leave(path);
	}
	unlink(sun.sun_path);
	umask(0111);	/* the first one touches files as -U's user */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 8) == -1 || rename(sun.sun_path, path) == -1)
		leave(path);
	return fd;
}

/* Others may call, and learn nothing; the host may lose its patience. */
static int
bridge_accept(int listener)
{
	struct pollfd	pfd[2] = { { listener, POLLIN, 0 },
			    { STDIN_FILENO, 0, 0 } };
	struct ucred	peer;
	socklen_t	len;
	int		fd;

	for (;;) {
		if (poll(pfd, NELEM(pfd), -1) == -1 && errno != EINTR)
			leave("poll");
		if (pfd[1].revents != 0)
			leave(NULL);
		if ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) == -1)
			continue;
		len = sizeof(peer);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0
		    && peer.pid == FIRST)
			return fd;
		close(fd);
	}
}

/* The end of either side is the end of both. */
static void
way_move(struct way *w)
{
	ssize_t	n;

	if (w->len == 0) {
		n = read(w->from, w->bytes, sizeof(w->bytes));
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			leave(n == 0 ? NULL : "read");
		w->off = 0;
		w->len = (size_t)n;
	}
	n = write(w->to, w->bytes + w->off, w->len);
	if (n == -1 && errno != EAGAIN && errno != EINTR)
		leave(errno == EPIPE ? NULL : "write");
	if (n > 0) {
		w->off += (size_t)n;
		w->len -= (size_t)n;
	}
}

void
bridge_run(const char *path)
{
	static struct way	ways[2];
	struct pollfd		pfd[2];
	int			fd, i;

	/* What passes here is as secret as what the first process has. */
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	fd = bridge_listen(path);
	i = bridge_accept(fd);
	close(fd);
	fd = i;
	for (i = STDIN_FILENO; i <= STDOUT_FILENO; i++)
		fcntl(i, F_SETFL, fcntl(i, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	ways[0].from = STDIN_FILENO;
	ways[0].to = ways[1].from = fd;
	ways[1].to = STDOUT_FILENO;
	for (;;) {
		for (i = 0; i < 2; i++)
			pfd[i] = ways[i].len == 0 ?
			    (struct pollfd){ ways[i].from, POLLIN, 0 } :
			    (struct pollfd){ ways[i].to, POLLOUT, 0 };
		if (poll(pfd, NELEM(pfd), -1) == -1 && errno != EINTR)
			leave("poll");
		for (i = 0; i < 2; i++)
			if (pfd[i].revents != 0)
				way_move(&ways[i]);
	}
}
