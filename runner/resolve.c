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
 * getaddrinfo(3) in a child: it alone knows /etc/hosts, nsswitch.conf and
 * mDNS as the user's other programs do, and it blocks.  Runs in: xbot-runner
 * and that child, which sees nothing but the name.
 */

#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "runner/resolve.h"

#define RESOLVE_TIMEOUT	30	/* s; resolvers give up themselves before */

struct answer {
	int			 error;		/* of getaddrinfo */
	size_t			 n;
	struct resolve_addr	 addr[RESOLVE_MAX];
};

struct resolve {
	resolve_cb	 cb;
	void		*arg;
	struct event	*ev;
	int		 fd;
	size_t		 got;
	struct answer	 answer;
};

/* Children not yet waited for; a cancelled one is still one of them. */
static pid_t	children[8];

static int	lookup(struct answer *, const char *, uint16_t, int);
static bool	lookup_at_once(int, const char *, uint16_t);
static bool	lookup_fork(int, const char *, uint16_t);
static void	on_answer(evutil_socket_t, short, void *);
static void	resolve_done(struct resolve *, const char *);

/* Returns what getaddrinfo did. */
static int
lookup(struct answer *a, const char *host, uint16_t port, int flags)
{
	struct addrinfo	 hints, *list = NULL, *ai;
	char		 service[8];

	memset(a, 0, sizeof(*a));
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = flags;
	snprintf(service, sizeof(service), "%u", port);
	if ((a->error = getaddrinfo(host, service, &hints, &list)) != 0)
		return a->error;
	for (ai = list; ai != NULL && a->n < RESOLVE_MAX; ai = ai->ai_next) {
		memcpy(&a->addr[a->n].ss, ai->ai_addr, ai->ai_addrlen);
		a->addr[a->n++].len = ai->ai_addrlen;
	}
	freeaddrinfo(list);
	return 0;
}

/* An address needs nobody's answer, and so no child. */
static bool
lookup_at_once(int fd, const char *host, uint16_t port)
{
	struct answer a;

	/* It fits into a pipe. */
	return lookup(&a, host, port, AI_NUMERICHOST) == 0 &&
	    write(fd, &a, sizeof(a)) == sizeof(a);
}

static bool
lookup_fork(int fd, const char *host, uint16_t port)
{
	static const int	 signals[] = { SIGTERM, SIGINT, SIGHUP,
				    SIGCHLD };
	const size_t		 nchildren = sizeof(children) /
				    sizeof(children[0]);
	struct answer		 a;
	sigset_t		 none;
	size_t			 child = 0, i;
	pid_t			 pid;

	while (child < nchildren && children[child] != 0)
		child++;
	if (child == nchildren) {
		errno = EAGAIN;
		return false;
	}
	if ((pid = fork()) != 0) {
		if (pid > 0)
			children[child] = pid;
		return pid > 0;
	}
	/* libevent's handlers would write into our parent's event loop. */
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(RESOLVE_TIMEOUT);
	/* ADDRCONFIG finds nothing on a machine that has loopback only. */
	if (lookup(&a, host, port, AI_ADDRCONFIG) != 0)
		(void)lookup(&a, host, port, 0);
	_exit(write(fd, &a, sizeof(a)) == sizeof(a) ? 0 : 1);
}

static void
resolve_done(struct resolve *r, const char *why)
{
	size_t	 n = why == NULL ? r->answer.n : 0;

	r->cb(r->arg, r->answer.addr, n, why);
	resolve_cancel(r);
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct resolve	*r = arg;
	ssize_t		 n;

	n = read(fd, (char *)&r->answer + r->got, sizeof(r->answer) - r->got);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && (r->got += (size_t)n) < sizeof(r->answer))
		return;
	if (n <= 0)
		resolve_done(r, "the name server does not answer");
	else if (r->answer.error != 0)
		resolve_done(r, gai_strerror(r->answer.error));
	else if (r->answer.n == 0 || r->answer.n > RESOLVE_MAX)
		resolve_done(r, "it has no address");
	else
		resolve_done(r, NULL);
}

struct resolve *
resolve_start(struct event_base *base, const char *host, uint16_t port,
    resolve_cb cb, void *arg)
{
	struct resolve	*r = NULL;
	int		 fds[2] = { -1, -1 }, saved;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->fd = -1;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		goto fail;
	r->fd = fds[0];
	r->cb = cb;
	r->arg = arg;
	r->ev = event_new(base, r->fd, EV_READ | EV_PERSIST, on_answer, r);
	if (r->ev == NULL || event_add(r->ev, NULL) == -1)
		goto fail;
	if (!lookup_at_once(fds[1], host, port) &&
	    !lookup_fork(fds[1], host, port))
		goto fail;
	close(fds[1]);
	return r;
fail:
	saved = errno;
	if (fds[1] != -1)
		close(fds[1]);
	resolve_cancel(r);
	errno = saved;
	return NULL;
}

void
resolve_cancel(struct resolve *r)
{
	if (r == NULL)
		return;
	if (r->ev != NULL)
		event_free(r->ev);
	if (r->fd != -1)
		close(r->fd);
	free(r);
}

void
resolve_reap(void)
{
	size_t	 i;

	for (i = 0; i < sizeof(children) / sizeof(children[0]); i++)
		if (children[i] != 0 &&
		    waitpid(children[i], NULL, WNOHANG) == children[i])
			children[i] = 0;
}
