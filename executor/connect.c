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
 * The way to the launcher: a socket that it binds into our container.  It
 * takes the one connection whose peer is the container's first process.
 * Runs in: executor.  With -r a lost connection is no end: the launcher may
 * have been restarted, and is waited for as long as it takes.
 */

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "executor/executor.h"

#define TRIES		200	/* of 50 ms: the launcher may be starting */
#define RETRY_US	50000	/* the first time; doubled each time */
#define BLIND_US	500000	/* at most, where nobody tells us */
#define TOLD_US		5000000	/* at most, where inotify does */

static void	on_change(struct watch *, uint32_t);

static struct watch	notify = { .fd = -1, .on = on_change };
static uint64_t		retry_at, retry;	/* 0: connected */

/* -1 and errno. */
static int
connect_once(void)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };
	int			fd, error;

	if (strlen(opt.channel) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun.sun_path, opt.channel, strlen(opt.channel));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

void
connect_wait(int as)
{
	int	fd, i;

	for (i = 1; (fd = connect_once()) == -1; i++) {
		if ((errno != ENOENT && errno != ECONNREFUSED &&
		    errno != EAGAIN) || i == TRIES)
			die(opt.channel);
		usleep(RETRY_US);
	}
	if (fd != as && (dup2(fd, as) == -1 || close(fd) == -1))
		die("dup2");
	warn_log("version " XBOT_VERSION " started");
}

/* Told when the socket comes; a kernel without it is asked again and again. */
static void
notify_open(void)
{
	char	 dir[PATH_MAX], *slash;

	snprintf(dir, sizeof(dir), "%s", opt.channel);
	if ((slash = strrchr(dir, '/')) == NULL)
		return;
	*slash = '\0';
	notify.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (notify.fd == -1)
		return;
	if (inotify_add_watch(notify.fd, dir, IN_CREATE | IN_MOVED_TO) == -1) {
		close(notify.fd);
		notify.fd = -1;
		return;
	}
	loop_want(&notify, EPOLLIN);
}

static void
connect_try(uint64_t now)
{
	uint64_t	most = notify.fd == -1 ? BLIND_US : TOLD_US;
	int		fd;

	if ((fd = connect_once()) == -1) {
		retry = retry * 2 < most ? retry * 2 : most;
		retry_at = now + retry;
		return;
	}
	retry_at = 0;
	loop_close(&notify);
	warn_log("connected");
	link_up(fd);
}

static void
on_change(struct watch *w, uint32_t events)
{
	char	scrap[4096];

	while (read(w->fd, scrap, sizeof(scrap)) > 0)
		;
	retry = RETRY_US;
	connect_try(now_us());
}

void
connect_start(void)
{
	static bool	 started;

	if (!started)
		warn_log("version " XBOT_VERSION " started");
	started = true;
	retry = RETRY_US;
	/* First watch, then look: what comes between is not missed. */
	notify_open();
	connect_try(now_us());
}

uint64_t
connect_next_timer(void)
{
	return retry_at == 0 ? UINT64_MAX : retry_at;
}

void
connect_timer(uint64_t now)
{
	if (retry_at != 0 && retry_at <= now)
		connect_try(now);
}
