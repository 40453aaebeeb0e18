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
 * xbot-admin: shows and steers a running xbot-supervisor through its control
 * socket.  Runs as an administrator; see admin.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/admin/admin.h"

#define SOCKET_DEFAULT	"/var/run/xbot.sock"

struct admin	 admin;

static const char	*socket_find(void);
static void		 standard_open(void);
static void		 usage(void) __attribute__((noreturn));

void
complain(const char *fmt, ...)
{
	va_list	 ap;

	fflush(stdout);
	fputs("xbot-admin: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int
write_all(int fd, const void *data, size_t len)
{
	struct pollfd	 pfd = { .fd = fd, .events = POLLOUT };
	const char	*p = data;
	ssize_t		 n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN)
			(void)poll(&pfd, 1, -1);
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

/* Without a configuration file the socket is in the state directory. */
static const char *
socket_find(void)
{
	static char	 path[PATH_MAX];
	const char	*dir;
	int		 n;

	if (access(SOCKET_DEFAULT, F_OK) == 0)
		return SOCKET_DEFAULT;
	if (geteuid() == 0)
		n = snprintf(path, sizeof(path), "/var/db/xbot/xbot.sock");
	else if ((dir = getenv("XDG_STATE_HOME")) != NULL && *dir == '/')
		n = snprintf(path, sizeof(path), "%s/xbot/xbot.sock", dir);
	else if ((dir = getenv("HOME")) != NULL && *dir == '/')
		n = snprintf(path, sizeof(path),
		    "%s/.local/state/xbot/xbot.sock", dir);
	else
		return SOCKET_DEFAULT;
	if (n < 0 || (size_t)n >= sizeof(path) || access(path, F_OK) == -1)
		return SOCKET_DEFAULT;
	return path;
}

/* A closed one would become the number of a connection. */
static void
standard_open(void)
{
	int	 fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

static void
usage(void)
{
	fprintf(stderr, "usage: xbot-admin [-jV] [-s socket] verb ...\n");
	verb_usage(NULL);
	exit(STATUS_USAGE);
}

int
main(int argc, char *argv[])
{
	int	 ch, status;

	standard_open();
	while ((ch = getopt(argc, argv, "+js:V")) != -1)
		switch (ch) {
		case 'j':
			admin.json = true;
			break;
		case 's':
			admin.socket = optarg;
			break;
		case 'V':
			printf("xbot-admin %s\n", XBOT_VERSION);
			return 0;
		default:
			usage();
		}
	if (optind == argc)
		usage();
	if (admin.socket == NULL)
		admin.socket = socket_find();
	status = verb_run(argc - optind, argv + optind);
	if ((fflush(stdout) == EOF || ferror(stdout)) && status == 0) {
		complain("standard output: %s", strerror(errno));
		status = STATUS_FAILED;
	}
	return status;
}
