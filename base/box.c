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
 * See box.h.  The socket appears under its name once it can be called, so
 * that one who waits for the name need not try twice.
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/box.h"

#define CALLERS_MAX	8	/* held while the container is asked after */

struct caller {
	int	 fd;
	pid_t	 pid;
};

struct box {
	struct event_base	*base;
	int			 dir;
	int			 fd;		/* listens; -1 */
	struct event		*ev;
	struct caller		 callers[CALLERS_MAX];
	unsigned int		 ncallers;
	pid_t			 expected;	/* 0: not known yet */
	pid_t			 stranger;
	void			 (*on_peer)(void *, int);
	void			 (*on_stranger)(void *);
	void			*arg;
};

static void	on_call(evutil_socket_t, short, void *);

struct box *
box_new(struct event_base *base, int dir, void (*on_peer)(void *, int),
    void *arg)
{
	struct box	*b;

	if ((b = calloc(1, sizeof(*b))) == NULL) {
		close(dir);
		return NULL;
	}
	b->base = base;
	b->dir = dir;
	b->fd = -1;
	b->stranger = -1;
	b->on_peer = on_peer;
	b->arg = arg;
	return b;
}

void
box_free(struct box *b)
{
	if (b == NULL)
		return;
	box_close(b);
	close(b->dir);
	free(b);
}

/* A program that runs cannot be written to, but it can be replaced. */
bool
box_put(struct box *b, const void *image, size_t len)
{
	const char	*p = image;
	size_t		 at = 0;
	ssize_t		 n;
	int		 fd;

	unlinkat(b->dir, "executor.new", 0);
	fd = openat(b->dir, "executor.new", O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0700);
	if (fd == -1)
		return false;
	while (at < len) {
		n = write(fd, p + at, len - at);
		if (n == -1 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	/* The container's root may be another uid of ours. */
	if (at < len || fchmod(fd, 0555) == -1) {
		close(fd);
		return false;
	}
	return close(fd) == 0 && renameat(b->dir, "executor.new", b->dir,
	    "executor") == 0;
}

bool
box_listen(struct box *b)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };

	box_close(b);
	unlinkat(b->dir, "sock.new", 0);
	/* The directory's own path may be longer than a socket's may be. */
	snprintf(sun.sun_path, sizeof(sun.sun_path),
	    "/proc/self/fd/%d/sock.new", b->dir);
	b->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (b->fd != -1 &&
	    bind(b->fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    fchmodat(b->dir, "sock.new", 0666, 0) == 0 &&
	    listen(b->fd, CALLERS_MAX) == 0 &&
	    (b->ev = event_new(b->base, b->fd, EV_READ | EV_PERSIST, on_call,
	    b)) != NULL && event_add(b->ev, NULL) == 0 &&
	    renameat(b->dir, "sock.new", b->dir, "sock") == 0)
		return true;
	box_close(b);
	return false;
}

static void
box_strange(struct box *b, pid_t pid)
{
	b->stranger = pid;
	if (b->on_stranger != NULL)
		b->on_stranger(b->arg);
}

static void
on_call(evutil_socket_t fd, short what, void *arg)
{
	struct box	*b = arg;
	struct ucred	 peer;
	struct caller	 c;
	socklen_t	 len = sizeof(peer);

	c.fd = accept4(b->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c.fd == -1)
		return;
	if (getsockopt(c.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1 ||
	    (b->expected == 0 && b->ncallers == CALLERS_MAX)) {
		close(c.fd);
		return;
	}
	c.pid = peer.pid;
	if (b->expected == 0) {
		b->callers[b->ncallers++] = c;
		return;
	}
	if (c.pid != b->expected) {
		close(c.fd);
		box_strange(b, c.pid);
		return;
	}
	/* Closing comes first: on_peer may want to listen again, or free. */
	box_close(b);
	b->on_peer(b->arg, c.fd);
}

void
box_expect(struct box *b, pid_t pid)
{
	unsigned int	 i;
	pid_t		 other = -1;
	int		 fd = -1;

	b->expected = pid;
	for (i = 0; i < b->ncallers; i++) {
		if (b->callers[i].pid == pid && fd == -1)
			fd = b->callers[i].fd;
		else {
			other = b->callers[i].pid;
			close(b->callers[i].fd);
		}
	}
	b->ncallers = 0;
	if (fd != -1) {
		box_close(b);
		b->on_peer(b->arg, fd);
	} else if (other != -1)
		box_strange(b, other);
}

void
box_on_stranger(struct box *b, void (*f)(void *))
{
	b->on_stranger = f;
}

void
box_close(struct box *b)
{
	unsigned int	 i;

	if (b == NULL)
		return;
	for (i = 0; i < b->ncallers; i++)
		close(b->callers[i].fd);
	b->ncallers = 0;
	b->expected = 0;
	b->stranger = -1;
	if (b->ev != NULL)
		event_free(b->ev);
	b->ev = NULL;
	if (b->fd != -1)
		close(b->fd);
	b->fd = -1;
	unlinkat(b->dir, "sock", 0);
}

pid_t
box_stranger(const struct box *b)
{
	return b->stranger;
}
