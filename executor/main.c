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
 * xbot-executor: runs commands and touches files for one host side.
 * Runs as: the user whose commands these are.  Trusts: its arguments.  Reads
 * no environment (but -e) and no file of its own; has no log but stderr.
 */

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "executor/executor.h"

#ifndef SYS_close_range
#define SYS_close_range	436
#endif

#define CHANNEL		3

struct options	opt = { .idle = 600, .grace = 300, .wsfd = -1, .nullfd = -1 };

static void	on_signal(struct watch *, uint32_t);

static struct watch	signals = { .fd = -1, .on = on_signal };

void
warn_log(const char *fmt, ...)
{
	char	text[512];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "xbot-executor: %s\n", text);
}

/* reason NULL: the host closed the channel, the usual end. */
void
die(const char *reason)
{
	static bool	dying;
	int		error = errno;

	if (dying)
		_exit(1);
	dying = true;
	if (reason != NULL)
		warn_log("%s%s%s", reason, error != 0 ? ": " : "",
		    error != 0 ? strerror(error) : "");
	else if (opt.channel != NULL)
		warn_log("the other side has gone");
	job_leave();
	op_clear_all();
	tree_kill_all();
	if (reason != NULL)
		link_bye(reason, 200, false);
	_exit(reason == NULL ? 0 : 1);
}

/* An orderly end on our own wish: nothing has failed. */
static void __attribute__((noreturn))
leave(const char *reason, unsigned int wait_ms)
{
	job_leave();
	op_clear_all();
	tree_kill_all();
	link_bye(reason, wait_ms, true);
	_exit(0);
}

static void
on_signal(struct watch *w, uint32_t events)
{
	struct signalfd_siginfo	si[16];
	ssize_t			n, i;
	bool			stop = false;

	n = read(w->fd, si, sizeof(si));
	for (i = 0; i < n / (ssize_t)sizeof(si[0]); i++)
		if (si[i].ssi_signo != SIGCHLD)
			stop = true;
	job_reap();
	if (!stop)
		return;
	if (opt.channel != NULL)
		warn_log("stopped by a signal");
	leave("stopped by a signal", 200);
}

/*
 * All signals are blocked and their dispositions are the defaults, so that a
 * child only has to clear its mask.
 */
static void
signals_init(void)
{
	sigset_t	all, some;
	int		sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&some);
	sigaddset(&some, SIGCHLD);
	sigaddset(&some, SIGTERM);
	sigaddset(&some, SIGINT);
	signals.fd = signalfd(-1, &some, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals.fd == -1)
		die("signalfd");
	loop_want(&signals, EPOLLIN);
}

/* 0 to 2 are open, 3 is the channel, nothing else came from the launcher. */
static void
descriptors_init(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) != -1 && fd < 3)
		if (fcntl(fd, F_SETFD, 0) == -1)
			die("fcntl");
	if (fd == -1 || (!opt.stay &&
	    fcntl(CHANNEL, F_SETFD, FD_CLOEXEC) == -1))
		die("no channel");
	close(fd);
	syscall(SYS_close_range, opt.stay ? 3u : 4u, ~0u, 0);
	if ((opt.nullfd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		die("/dev/null");
}

static void
usage(void)
{
	dprintf(STDERR_FILENO, "usage: xbot-executor -w workspace [-eFr] "
	    "[-c socket]\n\t[-g seconds] [-H home] [-i seconds] "
	    "[-U user[:group]] [-u name]\n       xbot-executor -b "
	    "socket\n");
	_exit(1);
}

static unsigned int
seconds(const char *text)
{
	char	*end;
	long	 n = strtol(text, &end, 10);

	if (end == text || *end != '\0' || n < 0 || n > 1000000)
		usage();
	return (unsigned int)n;
}

static void
options_read(int argc, char **argv)
{
	int	 c;

	while ((c = getopt(argc, argv, "b:c:eFg:H:i:rU:u:w:")) != -1)
		switch (c) {
		case 'b':
			opt.bridge = optarg;
			break;
		case 'c':
			opt.channel = optarg;
			break;
		case 'e':
			opt.inherit = true;
			break;
		case 'F':
			opt.full = true;
			break;
		case 'g':
			opt.grace = seconds(optarg);
			break;
		case 'H':
			opt.home = optarg;
			break;
		case 'i':
			opt.idle = seconds(optarg);
			break;
		case 'r':
			opt.stay = true;
			break;
		case 'U':
			opt.image_user = optarg;
			break;
		case 'u':
			opt.user = optarg;
			break;
		case 'w':
			opt.given = optarg;
			break;
		default:
			usage();
		}
	if (opt.bridge != NULL && optind == argc)
		return;
	if (optind != argc || opt.given == NULL || opt.given[0] != '/' ||
	    (opt.stay && opt.channel == NULL))
		usage();
	if (opt.user == NULL)
		opt.user = getuid() == 0 ? "root" : "xbot";
}

static void
workspace_init(void)
{
	static char	canonical[PATH_MAX], given[PATH_MAX];

	if (path_clean(opt.given, strlen(opt.given), given, sizeof(given))
	    != 0 || realpath(opt.given, canonical) == NULL)
		die(opt.given);
	opt.given = given;
	opt.workspace = canonical;
	opt.wsfd = open(canonical, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (opt.wsfd == -1)
		die(opt.workspace);
	path_init();
}

/* Milliseconds until something has to happen without an event. */
static int
timeout(uint64_t now, uint64_t idle_since)
{
	uint64_t at = job_next_timer(), idle;

	if (connect_next_timer() < at)
		at = connect_next_timer();
	if (op_pending())
		return 0;
	if (opt.idle > 0 && op_count() == 0) {
		idle = idle_since + opt.idle * UINT64_C(1000000);
		if (idle < at)
			at = idle;
	}
	if (at == UINT64_MAX)
		return -1;
	if (at <= now)
		return 0;
	return at - now > 3600000000 ? 3600000 :
	    (int)((at - now + 999) / 1000);
}

int
main(int argc, char **argv)
{
	uint64_t now, idle_since;

	options_read(argc, argv);
	if (opt.bridge != NULL)
		bridge_run(opt.bridge);
	if (opt.channel != NULL && !opt.stay)
		connect_wait(CHANNEL);
	descriptors_init();
	errno = 0;
	loop_init();
	signals_init();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
#if !defined(__SANITIZE_ADDRESS__)
	/* Jobs run under our uid: keep them off our memory and channel. */
	prctl(PR_SET_DUMPABLE, 0);
#endif
	workspace_init();
	spawn_init();
	if (opt.channel != NULL)
		limit_init();
	if (opt.image_user != NULL)
		user_init(opt.image_user);
	link_init();
	if (opt.stay)
		connect_start();
	else
		link_up(CHANNEL);
	now = idle_since = now_us();
	for (;;) {
		link_flush();
		loop_once(timeout(now, idle_since));
		now = now_us();
		job_timers(now);
		connect_timer(now);
		op_pump();
		if (op_count() > 0 || (opt.idle > 0 && tree_children()))
			idle_since = now;
		else if (opt.idle > 0 &&
		    now - idle_since >= opt.idle * UINT64_C(1000000))
			leave("idle", 1000);
	}
}
