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
 * Direct writes on socket bufferevents.  Runs in: front, control, xbot-runner.
 */

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <linux/sockios.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/bevio.h"

static int	bevio_rest(struct bufferevent *, struct iovec *, int);

void (*bevio_tls_bye)(struct bufferevent *);

size_t
bevio_pending(struct bufferevent *bev)
{
	return evbuffer_get_length(bufferevent_get_output(bev));
}

size_t
bevio_untaken(struct bufferevent *bev)
{
	int n = 0;

	if (ioctl(bufferevent_getfd(bev), SIOCOUTQ, &n) == -1 || n < 0)
		n = 0;
	return bevio_pending(bev) + (size_t)n;
}

uint64_t
bevio_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void
bevio_bye(struct bufferevent *bev)
{
	if (bevio_tls_bye != NULL)
		bevio_tls_bye(bev);
}

int
bevio_flush(struct bufferevent *bev, int raw)
{
	struct evbuffer *out = bufferevent_get_output(bev);
	int n;

	if (evbuffer_get_length(out) == 0)
		return 0;
	if (!raw || bufferevent_get_enabled(bev) & EV_WRITE) {
		bufferevent_enable(bev, EV_WRITE);
		return 0;
	}
	/* The front is frozen so that only the bufferevent itself drains. */
	evbuffer_unfreeze(out, 1);
	n = evbuffer_write(out, bufferevent_getfd(bev));
	evbuffer_freeze(out, 1);
	if (n == -1 && errno != EAGAIN && errno != EINTR)
		return -1;
	if (evbuffer_get_length(out) > 0)
		bufferevent_enable(bev, EV_WRITE);
	return 0;
}

/* Keep what the socket did not take. */
static int
bevio_rest(struct bufferevent *bev, struct iovec *iov, int n)
{
	struct evbuffer *out = bufferevent_get_output(bev);
	int i;

	for (i = 0; i < n; i++)
		if (iov[i].iov_len > 0 && evbuffer_add(out, iov[i].iov_base,
		    iov[i].iov_len) == -1)
			return -1;
	return 0;
}

int
bevio_writev(struct bufferevent *bev, int raw, struct iovec *iov, int n)
{
	struct msghdr msg;
	ssize_t sent;
	size_t left;
	int i;

	if (!raw || bevio_pending(bev) > 0) {
		if (bevio_rest(bev, iov, n) == -1)
			return -1;
		return bevio_flush(bev, raw);
	}
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = iov;
	msg.msg_iovlen = (size_t)n;
	sent = sendmsg(bufferevent_getfd(bev), &msg,
	    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent == -1 && errno != EAGAIN && errno != EINTR &&
	    errno != ENOBUFS)
		return -1;
	left = sent > 0 ? (size_t)sent : 0;
	for (i = 0; i < n && left >= iov[i].iov_len; i++)
		left -= iov[i].iov_len;
	if (i == n)
		return 0;
	iov[i].iov_base = (char *)iov[i].iov_base + left;
	iov[i].iov_len -= left;
	if (bevio_rest(bev, iov + i, n - i) == -1)
		return -1;
	bufferevent_enable(bev, EV_WRITE);
	return 0;
}

void
bevio_drained(struct bufferevent *bev, int raw)
{
	if (raw && bevio_pending(bev) == 0)
		bufferevent_disable(bev, EV_WRITE);
}

void
bevio_read_ahead(struct bufferevent *bev, size_t high)
{
	int full = evbuffer_get_length(bufferevent_get_input(bev)) >= high;
	int on = (bufferevent_get_enabled(bev) & EV_READ) != 0;

	if (full && on)
		bufferevent_disable(bev, EV_READ);
	else if (!full && !on)
		bufferevent_enable(bev, EV_READ);
}
