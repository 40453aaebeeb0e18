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

#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/logger.h"
#include "supervisor/paths.h"

static bool		 foreground;
static enum log_level	 level;
static char		*audit_path;
static int		 audit_fd = -1;

static const struct {
	const char	*name;
	int		 priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
	[LOG_LEVEL_TRACE] = { "trace", LOG_DEBUG },
};

static void
own_line(void *arg, enum log_level l, const char *text)
{
	logger_line("supervisor", l, text);
}

void
logger_init(bool in_foreground, enum log_level l)
{
	foreground = in_foreground;
	if (!foreground)
		openlog("xbot", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	logger_set_level(l);
	log_set_sink(own_line, NULL);
}

bool
logger_foreground(void)
{
	return foreground;
}

enum log_level
logger_level(void)
{
	return level;
}

void
logger_set_level(enum log_level l)
{
	level = l;
	log_set_level(l);
}

void
logger_line(const char *name, enum log_level l, const char *text)
{
	struct timespec	ts;
	struct tm	tm;
	char		stamp[32];

	if (!foreground) {
		syslog(levels[l].priority, "%s: %s", name, text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	dprintf(STDERR_FILENO, "%s.%03ldZ %s %s: %s\n", stamp,
	    ts.tv_nsec / 1000000, levels[l].name, name, text);
}

int
logger_audit_open(const char *path)
{
	if (!dirs_make_above(path))
		return -1;
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
}

void
logger_audit_use(const char *path, int fd)
{
	if (audit_fd != -1)
		close(audit_fd);
	audit_fd = fd;
	if (path != audit_path) {
		free(audit_path);
		audit_path = path == NULL ? NULL : strdup(path);
	}
}

void
logger_reopen(void)
{
	int fd;

	if (audit_path == NULL)
		return;
	if ((fd = logger_audit_open(audit_path)) == -1)
		log_warn("%s", audit_path);
	else
		logger_audit_use(audit_path, fd);
}

/* One write a line, so that lines of a rotation never mix. */
void
logger_audit(const char *line, size_t len)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)line, len }, { (char[]){ '\n' }, 1 },
	};

	if (audit_fd != -1 && writev(audit_fd, iov, 2) == -1)
		log_warn("audit log");
}
