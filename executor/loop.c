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
 * The event loop: epoll and a clock.  Runs in: executor.
 * Owns: the epoll descriptor.  A watch may be closed and freed from any
 * handler; its events that are still in the batch are forgotten then.
 */

#include <sys/epoll.h>

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "executor/executor.h"

static struct epoll_event	 batch[64];
static int			 nbatch, cursor;
static int			 epfd = -1;

void
loop_init(void)
{
	if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		die("epoll_create1");
}

static void
loop_forget(const struct watch *w)
{
	int i;

	for (i = cursor; i < nbatch; i++)
		if (batch[i].data.ptr == w)
			batch[i].data.ptr = NULL;
}

void
loop_want(struct watch *w, uint32_t events)
{
	struct epoll_event	ev = { .events = events };
	int			how;

	if (w->fd == -1 || w->events == events)
		return;
	ev.data.ptr = w;
	how = events == 0 ? EPOLL_CTL_DEL :
	    w->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	if (epoll_ctl(epfd, how, w->fd, &ev) == -1)
		die("epoll_ctl");
	w->events = events;
	if (events == 0)
		loop_forget(w);
}

void
loop_close(struct watch *w)
{
	if (w->fd == -1)
		return;
	loop_want(w, 0);
	close(w->fd);
	w->fd = -1;
}

void
loop_once(int timeout_ms)
{
	struct watch *w;

	cursor = 0;
	nbatch = epoll_wait(epfd, batch, NELEM(batch), timeout_ms);
	if (nbatch == -1) {
		nbatch = 0;
		if (errno != EINTR)
			die("epoll_wait");
	}
	while (cursor < nbatch) {
		w = batch[cursor].data.ptr;
		cursor++;
		if (w != NULL)
			w->on(w, batch[cursor - 1].events);
	}
}

uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}
