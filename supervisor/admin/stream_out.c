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
 * Standard output and error, written as they take it.  They may be shared
 * with others and are left in the mode they are in: what is written at once
 * is so little that a pipe or terminal which is ready has room for it.
 * Runs in: xbot-admin.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "supervisor/admin/admin.h"
#include "supervisor/admin/stream.h"

#define WRITES	64		/* before others have their turn */

struct outlet {
	int		 fd;
	struct event	*ev;
	struct buf	 held;
	bool		 broken;
	void		(*changed)(void *, bool);
	void		*arg;
};

static void	 on_ready(evutil_socket_t, short, void *);
static void	 outlet_break(struct outlet *, int);
static bool	 ready(int);

struct outlet *
outlet_new(struct event_base *base, int fd, void (*changed)(void *, bool),
    void *arg)
{
	struct outlet *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->fd = fd;
	o->changed = changed;
	o->arg = arg;
	o->ev = event_new(base, fd, EV_WRITE, on_ready, o);
	if (o->ev == NULL) {
		free(o);
		return NULL;
	}
	return o;
}

void
outlet_free(struct outlet *o)
{
	if (o == NULL)
		return;
	event_free(o->ev);
	buf_clear(&o->held);
	free(o);
}

bool
outlet_add(struct outlet *o, const void *data, size_t len)
{
	if (o->broken || len == 0)
		return true;
	if (buf_add(&o->held, data, len) == -1 ||
	    event_add(o->ev, NULL) == -1) {
		complain("no memory");
		return false;
	}
	return true;
}

size_t
outlet_held(const struct outlet *o)
{
	return o->held.len;
}

static bool
ready(int fd)
{
	struct pollfd	 pfd = { .fd = fd, .events = POLLOUT };

	return poll(&pfd, 1, 0) == 1;
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct outlet	*o = arg;
	ssize_t		 n;
	int		 i;

	for (i = 0; i < WRITES && o->held.len > 0 && (i == 0 || ready(fd));
	    i++) {
		n = write(fd, buf_data(&o->held), o->held.len < PIPE_BUF ?
		    o->held.len : PIPE_BUF);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n == -1) {
			outlet_break(o, errno);
			return;
		}
		buf_drain(&o->held, (size_t)n);
	}
	if (o->held.len > 0 && event_add(o->ev, NULL) == -1)
		outlet_break(o, ENOMEM);
	else
		o->changed(o->arg, true);
}

static void
outlet_break(struct outlet *o, int error)
{
	o->broken = true;
	buf_clear(&o->held);
	term_restore();
	if (error == EPIPE) {
		/* WebSockets ignore it; we end as any filter does. */
		(void)signal(SIGPIPE, SIG_DFL);
		(void)raise(SIGPIPE);
	}
	complain("standard %s: %s", o->fd == STDOUT_FILENO ? "output" :
	    "error", strerror(error));
	o->changed(o->arg, false);
}
