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
 * The zygote: forks a jailed process for each word, reaps them, tidies up behind
 * them.  Runs in: the zygote; zygote_start in skill, before its privileges.
 * Trusts the worker; parses nothing, and no Python of a skill runs here.
 */

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compat/compat.h"
#include "base/log.h"
#include "base/policy.h"
#include "workers/skill/skill.h"

#define READY_MS	120000	/* imports on a machine that is busy */
#define OOM_SCORE	"500"	/* runs go before anything else of ours */

/* Descriptors of the zygote, in this order from 3 on. */
#define LINK_FD		3
#define OUTPUT_FD	4
#define FDS_END		(OUTPUT_FD + (int)SKILL_PLACES)

static struct {
	pid_t		 pid;		/* 0: nobody there */
	uint64_t	 run;
	int		 status;
	bool		 tidying;	/* pid removes what it left */
} places[SKILL_PLACES];

static struct apart	 apart;
static struct jail	 jail;
static int		 signals;

/* --- words --- */

static void
on_fork(const struct word *w, int sock)
{
	pid_t pid = -1;

	if (places[w->place].pid == 0 && sock != -1 && apart_next(&apart))
		pid = python_fork();
	if (pid == 0) {
		jail_enter(&jail, w, sock);
		if (w->rehearse)
			python_rehearse((enum skill_policy)w->policy);
		python_run();
	}
	apart_back(&apart);
	if (sock != -1)
		(void)close(sock);
	if (pid == -1) {
		struct word gone = { .what = WORD_EXITED, .place = w->place,
		    .run = w->run, .status = 126 << 8 };

		(void)word_send(LINK_FD, &gone, -1);
		return;
	}
	places[w->place].pid = pid;
	places[w->place].run = w->run;
	places[w->place].tidying = false;
}

/* Where it is apart its whole pid space ends with it; else it is alone. */
static void
on_kill(const struct word *w)
{
	if (places[w->place].run == w->run && places[w->place].pid > 0 &&
	    !places[w->place].tidying)
		(void)kill(places[w->place].pid, SIGKILL);
}

static void
place_freed(uint32_t i)
{
	struct word w = { .what = WORD_EXITED, .place = i,
	    .run = places[i].run, .status = places[i].status };

	places[i].pid = 0;
	(void)word_send(LINK_FD, &w, -1);
}

/* What it left may be much, so a child removes it. */
static void
place_left(uint32_t i)
{
	const char	*dir = apart.dirs[i];
	pid_t		 pid;

	if (!tidy_needed(dir)) {
		place_freed(i);
		return;
	}
	if ((pid = fork()) == 0)
		_exit(tidy(dir) ? 0 : 1);
	if (pid == -1)
		_exit(1);	/* the next zygote starts with empty ones */
	places[i].pid = pid;
	places[i].tidying = true;
}

static void
on_signal(void)
{
	struct signalfd_siginfo	 si;
	uint32_t		 i;
	pid_t			 pid;
	int			 status;

	/* It only wakes us: signals of one kind are not counted. */
	while (read(signals, &si, sizeof(si)) > 0)
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < SKILL_PLACES; i++) {
			if (places[i].pid != pid)
				continue;
			if (!places[i].tidying) {
				places[i].status = status;
				place_left(i);
			} else if (status == 0)
				place_freed(i);
			/* Else nobody gets this place again. */
			break;
		}
}

static void
zygote_end(void)
{
	uint32_t i;

	for (i = 0; i < SKILL_PLACES; i++)
		if (places[i].pid > 0)
			(void)kill(places[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	apart_leave(&apart);
	_exit(0);
}

static void
on_link(void)
{
	struct word	 w;
	int		 sock;

	if (word_recv(LINK_FD, &w, &sock) <= 0)
		zygote_end();
	if (w.what == WORD_FORK)
		on_fork(&w, sock);
	else if (w.what == WORD_KILL)
		on_kill(&w);
}

static void
zygote_loop(void)
{
	struct pollfd p[2] = {
		{ .fd = LINK_FD, .events = POLLIN },
		{ .fd = signals, .events = POLLIN }
	};

	for (;;) {
		if (poll(p, 2, -1) == -1) {
			if (errno == EINTR)
				continue;
			_exit(1);
		}
		if (p[1].revents)
			on_signal();
		if (p[0].revents)
			on_link();
	}
}

/* --- its start --- */

/* First out of the way of the numbers that we want, then onto them. */
static bool
descriptors_arrange(int link, const int *output)
{
	int	 high[SKILL_PLACES + 1], i;

	for (i = 0; i <= (int)SKILL_PLACES; i++)
		if ((high[i] = fcntl(i == 0 ? link : output[i - 1],
		    F_DUPFD_CLOEXEC, FDS_END + 64)) == -1)
			return false;
	for (i = 0; i <= (int)SKILL_PLACES; i++)
		if (dup2(high[i], LINK_FD + i) == -1)
			return false;
	closefrom(FDS_END);
	return true;
}

static void
oom_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd == -1 || write(fd, OOM_SCORE, sizeof(OOM_SCORE) - 1) == -1)
		log_debug("oom_score_adj: not changed");
	if (fd != -1)
		(void)close(fd);
}

static bool
zygote_enter(char *text, size_t size)
{
	sigset_t chld;
	uint32_t i;

	(void)clearenv();
	(void)signal(SIGXFSZ, SIG_IGN);
#ifdef M_ARENA_MAX
	/* Each further one takes 128 MiB of a run's addresses: seven threads
	 * would use up what a run may have, and hold nothing. */
	(void)mallopt(M_ARENA_MAX, 1);
#endif
	oom_first();
	if (!apart_enter(&apart)) {
		(void)snprintf(text, size, "namespaces: %s", strerror(errno));
		return false;
	}
	if (!python_start(text, size))
		return false;
	pages_collapse();
	for (i = 0; i < SKILL_PLACES; i++)
		jail.output[i] = OUTPUT_FD + (int)i;
	jail.null = STDIN_FILENO;
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &chld, NULL);
	signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	return signals != -1 &&
	    jail_make(&jail, &apart, python_libs(), text, size);
}

static void
zygote_main(int link, const int *output)
{
	struct word	 ready = { .what = WORD_READY };
	int		 null;

	(void)prctl(PR_SET_NAME, "xbot-zygote");
	log_set_sink(NULL, NULL);
	/* Python's own words at the start go where a run's would. */
	if ((null = open("/dev/null", O_RDWR)) == -1 ||
	    dup2(null, STDIN_FILENO) == -1 || dup2(null, STDOUT_FILENO) == -1)
		_exit(1);
	if (!descriptors_arrange(link, output))
		_exit(1);
	ready.ok = zygote_enter(ready.text, sizeof(ready.text));
	(void)dup2(STDIN_FILENO, STDERR_FILENO);
	if (word_send(LINK_FD, &ready, -1) == -1 || !ready.ok)
		_exit(1);
	zygote_loop();
}

/* --- in the worker --- */

static bool
zygote_await(struct zygote *z)
{
	struct pollfd	 p = { .fd = z->link, .events = POLLIN };
	struct word	 w;
	int		 passed;

	if (poll(&p, 1, READY_MS) != 1 ||
	    word_recv(z->link, &w, &passed) != 1 || w.what != WORD_READY) {
		log_errorx("Python does not start");
		return false;
	}
	w.text[sizeof(w.text) - 1] = '\0';
	if (!w.ok)
		log_errorx("Python: %s", w.text);
	else
		log_info("%s", w.text);
	return w.ok;
}

bool
zygote_start(struct zygote *z, enum priv_mode mode)
{
	int	 sv[2], ends[SKILL_PLACES], p[2], fallback, i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1 ||
	    (geteuid() == 0 && priv_user(policy_get(ROLE_SKILL), mode,
	    &apart.uid, &apart.gid, &fallback) == -1)) {
		log_error("start of Python");
		return false;
	}
	for (i = 0; i < (int)SKILL_PLACES; i++) {
		if (pipe2(p, O_CLOEXEC) == -1) {
			log_error("pipe");
			return false;
		}
		z->output[i] = p[0];
		ends[i] = p[1];
	}
	z->link = sv[0];
	z->pid = apart_fork(&apart);
	if (z->pid == 0)
		zygote_main(sv[1], ends);
	(void)close(sv[1]);
	for (i = 0; i < (int)SKILL_PLACES; i++)
		(void)close(ends[i]);
	if (z->pid == -1) {
		log_error("fork");
		return false;
	}
	if (!apart.on && mode == PRIV_REQUIRE) {
		log_errorx("sandbox require: no namespaces for runs");
		return false;
	}
	return zygote_await(z);
}
