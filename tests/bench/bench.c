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
 * Times one way to run /bin/true, for run.py.  Runs in: tests/bench.
 *
 *   bench spawn N            posix_spawn, pipes for stdout and stderr, read
 *                            to their ends, waitpid: the floor
 *   bench http PORT USER N   POST exec on one keep-alive connection; the
 *                            token is the first line of stdin; USER -: stdin
 *                            is the whole request, a skill's run
 *   bench load PORT USER N C the same from C connections at once
 *   bench cat BYTES          so many through five socketpairs in a chain,
 *                            a cat between each two: for transfer.py
 *
 * Prints the nanoseconds of each of the N; load, cat: of all together.
 */

#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>

#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX	64
#define PAIRS		5

static uint64_t	 now(void);
static void	 drain(int, int);
static void	 spawn_one(void);
static int	 http_connect(const char *);
static size_t	 http_request(const char *, char *, size_t);
static bool	 http_complete(char *, size_t);
static void	 http_one(int, const char *, size_t);
static void	 load(const char *, const char *, size_t, long, int);
static void	 cat_start(int, int);
static void	 cat_feed(int, long);
static void	 cat_chain(long);

extern char	**environ;

static const char *expected = "\"exit_code\":0";

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Both ends, as anybody has to who wants the output of a command. */
static void
drain(int out, int err_fd)
{
	struct pollfd	 p[2] = { { out, POLLIN, 0 }, { err_fd, POLLIN, 0 } };
	char		 buf[4096];
	int		 i, open_fds = 2;

	while (open_fds > 0) {
		if (poll(p, 2, -1) == -1)
			err(1, "poll");
		for (i = 0; i < 2; i++)
			if (p[i].revents != 0 &&
			    read(p[i].fd, buf, sizeof(buf)) <= 0) {
				close(p[i].fd);
				p[i].fd = -1;
				open_fds--;
			}
	}
}

static void
spawn_one(void)
{
	posix_spawn_file_actions_t	 fa;
	char				*argv[] = { "/bin/true", NULL };
	int				 o[2], e[2], status;
	pid_t				 pid;

	if (pipe(o) == -1 || pipe(e) == -1)
		err(1, "pipe");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, o[1], 1);
	posix_spawn_file_actions_adddup2(&fa, e[1], 2);
	posix_spawn_file_actions_addclose(&fa, o[0]);
	posix_spawn_file_actions_addclose(&fa, o[1]);
	posix_spawn_file_actions_addclose(&fa, e[0]);
	posix_spawn_file_actions_addclose(&fa, e[1]);
	if (posix_spawn(&pid, argv[0], &fa, NULL, argv, environ) != 0)
		errx(1, "posix_spawn");
	posix_spawn_file_actions_destroy(&fa);
	close(o[1]);
	close(e[1]);
	drain(o[0], e[0]);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		errx(1, "true was not");
}

static int
http_connect(const char *port)
{
	struct sockaddr_in	 sin = { .sin_family = AF_INET };
	int			 s, on = 1;

	sin.sin_port = htons((uint16_t)atoi(port));
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    connect(s, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		err(1, "connect");
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return s;
}

static size_t
http_request(const char *user, char *buf, size_t size)
{
	static const char	 body[] = "{\"args\":[\"/bin/true\"]}";
	char			 token[256];
	int			 n;

	if (strcmp(user, "-") == 0) {
		expected = "\"success\": true";
		return fread(buf, 1, size, stdin);
	}
	if (fgets(token, sizeof(token), stdin) == NULL)
		errx(1, "no token");
	token[strcspn(token, "\n")] = '\0';
	n = snprintf(buf, size, "POST /v1/users/%s/exec HTTP/1.1\r\n"
	    "Host: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    user, token, sizeof(body) - 1, body);
	return (size_t)n;
}

/* Is the answer there to its last byte, and right? */
static bool
http_complete(char *buf, size_t len)
{
	char	*end, *length;

	buf[len] = '\0';
	if ((end = strstr(buf, "\r\n\r\n")) == NULL)
		return false;
	if (strncmp(buf, "HTTP/1.1 200", 12) != 0)
		errx(1, "answer: %s", buf);
	if ((length = strcasestr(buf, "\r\nContent-Length:")) == NULL)
		errx(1, "no length: %s", buf);
	if (buf + len < end + 4 + atoi(length + 17))
		return false;
	if (strstr(end, expected) == NULL)
		errx(1, "answer: %s", buf);
	return true;
}

static void
http_one(int s, const char *req, size_t reqlen)
{
	char	 buf[8192];
	size_t	 len = 0;
	ssize_t	 n;

	if (write(s, req, reqlen) != (ssize_t)reqlen)
		err(1, "write");
	do {
		if ((n = read(s, buf + len, sizeof(buf) - 1 - len)) <= 0)
			err(1, "read");
		len += (size_t)n;
	} while (!http_complete(buf, len));
}

static void
load(const char *port, const char *req, size_t reqlen, long count, int c)
{
	static char	 buf[CLIENTS_MAX][8192];
	struct pollfd	 p[CLIENTS_MAX];
	size_t		 len[CLIENTS_MAX] = { 0 };
	uint64_t	 start = now();
	long		 sent = 0, done = 0;
	ssize_t		 n;
	int		 i;

	for (i = 0; i < c; i++, sent++) {
		p[i] = (struct pollfd){ http_connect(port), POLLIN, 0 };
		if (write(p[i].fd, req, reqlen) != (ssize_t)reqlen)
			err(1, "write");
	}
	while (done < count) {
		if (poll(p, (nfds_t)c, -1) == -1)
			err(1, "poll");
		for (i = 0; i < c; i++) {
			if (p[i].revents == 0)
				continue;
			if ((n = read(p[i].fd, buf[i] + len[i],
			    sizeof(buf[i]) - 1 - len[i])) <= 0)
				err(1, "read");
			len[i] += (size_t)n;
			if (!http_complete(buf[i], len[i]))
				continue;
			len[i] = 0;
			done++;
			if (sent < count && write(p[i].fd, req, reqlen) ==
			    (ssize_t)reqlen)
				sent++;
		}
	}
	printf("%" PRIu64 "\n", now() - start);
}

static void
cat_start(int in, int out)
{
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		if (dup2(in, 0) == -1 || dup2(out, 1) == -1)
			err(1, "dup2");
		execlp("cat", "cat", (char *)NULL);
		err(1, "cat");
	}
	close(in);
	close(out);
}

static void
cat_feed(int fd, long left)
{
	static char	 buf[131072];
	ssize_t		 n;

	for (; left > 0; left -= n)
		if ((n = write(fd, buf, left < (long)sizeof(buf) ?
		    (size_t)left : sizeof(buf))) == -1)
			err(1, "write");
}

/* The pairs close on exec, so that a cat sees the end of its input. */
static void
cat_chain(long bytes)
{
	static char	 buf[131072];
	uint64_t	 start;
	ssize_t		 n;
	long		 got = 0;
	int		 i, p[PAIRS][2];

	for (i = 0; i < PAIRS; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
		    p[i]) == -1)
			err(1, "socketpair");
	for (i = 1; i < PAIRS; i++)
		cat_start(p[i - 1][1], p[i][0]);
	start = now();
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		cat_feed(p[0][0], bytes);
		_exit(0);
	}
	close(p[0][0]);
	while ((n = read(p[PAIRS - 1][1], buf, sizeof(buf))) > 0)
		got += n;
	if (n == -1 || got != bytes)
		errx(1, "%ld of %ld bytes came", got, bytes);
	printf("%" PRIu64 "\n", now() - start);
	while (wait(NULL) != -1)
		;
}

int
main(int argc, char *argv[])
{
	char		 req[4096];
	uint64_t	 start;
	size_t		 reqlen = 0;
	long		 i, n;
	int		 s = -1;

	if (argc < 3)
		errx(2, "usage: bench spawn N | http PORT USER N | "
		    "load PORT USER N C | cat BYTES");
	if (strcmp(argv[1], "cat") == 0) {
		cat_chain(atol(argv[2]));
		return 0;
	}
	if (strcmp(argv[1], "spawn") == 0)
		n = atol(argv[2]);
	else if (argc >= 5) {
		n = atol(argv[4]);
		reqlen = http_request(argv[3], req, sizeof(req));
	} else
		errx(2, "usage");
	if (strcmp(argv[1], "load") == 0) {
		i = argc > 5 ? atol(argv[5]) : 8;
		if (i < 1 || i > CLIENTS_MAX || n < i)
			errx(2, "clients: 1 to %d", CLIENTS_MAX);
		load(argv[2], req, reqlen, n, (int)i);
		return 0;
	}
	if (reqlen > 0)
		s = http_connect(argv[2]);
	for (i = 0; i < n; i++) {
		start = now();
		if (s == -1)
			spawn_one();
		else
			http_one(s, req, reqlen);
		printf("%" PRIu64 "\n", now() - start);
	}
	return 0;
}
