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
 * Words between the worker and its zygote.  Runs in: skill, and its zygote.
 * Each trusts the other: they are one program.
 */

#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "workers/skill/skill.h"

int
word_send(int fd, const struct word *w, int passed)
{
	struct iovec	 iov = { (void *)(uintptr_t)w, sizeof(*w) };
	struct msghdr	 m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*c;
	ssize_t		 n;
	int		 saved;
	union {
		struct cmsghdr	 align;
		char		 space[CMSG_SPACE(sizeof(int))];
	} control;

	if (passed != -1) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	saved = errno;
	if (passed != -1)
		(void)close(passed);
	errno = saved;
	return n == (ssize_t)sizeof(*w) ? 0 : -1;
}

int
word_recv(int fd, struct word *w, int *passed)
{
	struct iovec	 iov = { w, sizeof(*w) };
	struct msghdr	 m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*c;
	ssize_t		 n;
	union {
		struct cmsghdr	 align;
		char		 space[CMSG_SPACE(sizeof(int))];
	} control;

	*passed = -1;
	m.msg_control = &control;
	m.msg_controllen = sizeof(control);
	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n <= 0)
		return (int)n;
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL && c->cmsg_level == SOL_SOCKET &&
	    c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(passed, CMSG_DATA(c), sizeof(int));
	if (n != (ssize_t)sizeof(*w) || w->place >= SKILL_PLACES) {
		errno = EBADMSG;
		return -1;
	}
	return 1;
}
