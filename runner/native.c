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
 * Native mode: the executor is a child of this program, which carries it
 * inside itself.  Runs in: xbot-runner.  Owns: the executor's process.
 */

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/compat/compat.h"
#include "base/log.h"
#include "runner/image.h"
#include "runner/launch.h"

#define EXEC_FD		3	/* the executor's end of the channel */
#define RESTART_DELAY	1	/* s */
#define STOP_DELAY	1500	/* ms: jobs get TERM, 200 ms, KILL */
#define MFD_EXEC_FLAG	0x0010u	/* newer than some headers: MFD_EXEC */

static void	on_restart(evutil_socket_t, short, void *);
static void	on_late(evutil_socket_t, short, void *);
static int	image_memfd(void);
static int	image_file(void);
static bool	image_write(int);
static bool	executor_spawn(void);
static void	executor_exec(int, int) __attribute__((noreturn));
static void	executor_child(int, int) __attribute__((noreturn));

static bool	native_start(struct event_base *, const struct launch_conf *);
static void	native_lost(void);
static void	native_stop(void);
static void	native_kill(void);
static void	native_reap(void);

const struct launcher	launcher_native = {
	.mode = "native",
	.start = native_start,
	.lost = native_lost,
	.stop = native_stop,
	.kill = native_kill,
	.reap = native_reap,
};

static struct {
	struct event_base	*base;
	const char		*workspace;
	bool			 full_control;
	bool			 stopping;
	pid_t			 pid;		/* 0: none */
	struct event		*restart;
	struct event		*late;
} native;

static bool
image_write(int fd)
{
	size_t	 at = 0;
	ssize_t	 n;

	while (at < executor_image_len) {
		n = write(fd, executor_image + at, executor_image_len - at);
		if (n == -1 && errno != EINTR)
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static int
image_memfd(void)
{
	int	 fd;

	fd = memfd_create("xbot-executor", MFD_CLOEXEC | MFD_EXEC_FLAG);
	if (fd == -1 && errno == EINVAL)
		fd = memfd_create("xbot-executor", MFD_CLOEXEC);
	if (fd != -1 && !image_write(fd)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* For systems that do not run programs from memory. */
static int
image_file(void)
{
	const char	*dir = getenv("TMPDIR");
	char		 path[4096];
	int		 fd, rfd = -1, saved;

	if (dir == NULL || dir[0] != '/')
		dir = "/tmp";
	snprintf(path, sizeof(path), "%s/xbot-executor.XXXXXX", dir);
	if ((fd = mkostemp(path, O_CLOEXEC)) == -1)
		return -1;
	/* A file open for writing cannot be executed. */
	if (image_write(fd) && fchmod(fd, 0500) == 0)
		rfd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	saved = errno;
	unlink(path);
	close(fd);
	errno = saved;
	return rfd;
}

static void
executor_exec(int image, int err)
{
	char	*argv[] = { "xbot-executor", "-w",
		    (char *)(uintptr_t)native.workspace, "-e", "-i", "0",
		    native.full_control ? "-F" : NULL, NULL };
	int	 saved;

	fexecve(image, argv, environ);
	saved = errno;
	if (write(err, &saved, sizeof(saved)) == -1)
		_exit(126);
	_exit(127);
}

/* In the child: nothing of ours goes along but stderr and the channel. */
static void
executor_child(int channel, int err)
{
	const pid_t	 parent = getppid();
	sigset_t	 none;
	int		 i, null, image;

	for (i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Ctrl-C is for us; we end it in order. */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (parent == 1 || getppid() != parent)
		_exit(127);
	/* Both above the range that is about to be laid out. */
	channel = fcntl(channel, F_DUPFD_CLOEXEC, 10);
	err = fcntl(err, F_DUPFD_CLOEXEC, 10);
	if ((null = open("/dev/null", O_RDWR)) == -1 ||
	    dup2(null, 0) == -1 || dup2(null, 1) == -1 ||
	    dup2(channel, EXEC_FD) == -1 || dup2(err, 4) == -1)
		_exit(127);
	closefrom(5);
	fcntl(4, F_SETFD, FD_CLOEXEC);
	if ((image = image_memfd()) != -1) {
		fcntl(image, F_SETFD, FD_CLOEXEC);
	} else
		image = image_file();
	executor_exec(image, 4);
}

static bool
executor_spawn(void)
{
	int	 fds[2], err[2], why = 0;
	ssize_t	 n;

	if (chan_pair(fds) == -1) {
		log_error("socketpair");
		return false;
	}
	if (pipe2(err, O_CLOEXEC) == -1) {
		log_error("pipe");
		close(fds[0]);
		close(fds[1]);
		return false;
	}
	if ((native.pid = fork()) == 0)
		executor_child(fds[1], err[1]);
	close(fds[1]);
	close(err[1]);
	if (native.pid == -1) {
		native.pid = 0;
		log_error("fork");
		close(fds[0]);
		close(err[0]);
		return false;
	}
	/* Ends with the exec. */
	do {
		n = read(err[0], &why, sizeof(why));
	} while (n == -1 && errno == EINTR);
	close(err[0]);
	if (n == (ssize_t)sizeof(why)) {
		errno = why;
		log_error("cannot run the executor");
		close(fds[0]);
		return false;
	}
	return launch_open(fds[0]);
}

static void
native_lost(void)
{
	const struct timeval	 delay = { .tv_sec = RESTART_DELAY };

	if (native.pid != 0)
		kill(native.pid, SIGTERM);
	evtimer_add(native.restart, &delay);
}

static void
on_restart(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval	 delay = { .tv_sec = RESTART_DELAY };

	native_reap();
	/* Its jobs end with it; two at once would be two sets of them. */
	if (native.pid != 0)
		kill(native.pid, SIGKILL);
	if (native.pid != 0 || !executor_spawn())
		evtimer_add(native.restart, &delay);
}

static bool
native_start(struct event_base *base, const struct launch_conf *conf)
{
	native.base = base;
	native.workspace = conf->workspace;
	native.full_control = conf->full_control;
	native.restart = evtimer_new(base, on_restart, NULL);
	native.late = evtimer_new(base, on_late, NULL);
	if (native.restart == NULL || native.late == NULL)
		fatalx("out of memory");
	return executor_spawn();
}

static void
native_stop(void)
{
	const struct timeval	 delay = { .tv_usec = 1000 };
	const struct timeval	 late = { .tv_sec = STOP_DELAY / 1000,
				    .tv_usec = STOP_DELAY % 1000 * 1000 };

	native.stopping = true;
	evtimer_del(native.restart);
	evtimer_add(native.late, native.pid != 0 ? &late : &delay);
}

/* Gone, or it had its time. */
static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	if (native.pid != 0)
		log_warnx("executor %d did not end in time", (int)native.pid);
	native_kill();
	launch_stopped();
}

static void
native_kill(void)
{
	if (native.pid != 0)
		kill(native.pid, SIGKILL);
}

static void
native_reap(void)
{
	int	 status;

	if (native.pid == 0 ||
	    waitpid(native.pid, &status, WNOHANG) != native.pid)
		return;
	log_debug("executor %d ended, status %#x", (int)native.pid, status);
	native.pid = 0;
	if (native.stopping && evtimer_pending(native.late, NULL)) {
		evtimer_del(native.late);
		launch_stopped();
	}
}
