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
 * The channel to the executor.  Runs in: xbot-runner.
 * The executor is our own code but shares its uid or container with whatever
 * the server runs: its messages are checked like a stranger's, its death is
 * normal.
 */

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/log.h"
#include "proto/exec_msg.h"
#include "runner/answer.h"
#include "runner/launch.h"

#define EXEC_VERSION	1
#define SHELL_MAX	256

static void	on_hello(struct chan *, const struct msg *);
static void	on_nothing(struct chan *, const struct msg *);
static void	on_bye(struct chan *, const struct msg *);
static void	on_unsupported(struct chan *, const struct msg *);
static void	on_ping(struct chan *, const struct msg *);
static void	on_closed(struct chan *, const char *, bool);
static bool	shell_ok(struct slice);

#define NEW	1u	/* before its hello */
#define READY	2u

static const struct rule	rules_v[] = {
	{ EXEC_HELLO,		NEW,		on_hello },
	{ EXEC_UNSUPPORTED,	READY,		on_unsupported },
	{ EXEC_BYE,		STATES_ALL,	on_bye },
	{ EXEC_PING,		READY,		on_ping },
	{ EXEC_PONG,		READY,		on_nothing },
	{ EXEC_JOB_STARTED,	READY,		answer_take },
	{ EXEC_JOB_REFUSED,	READY,		answer_take },
	{ EXEC_JOB_DATA,	READY,		answer_take },
	{ EXEC_JOB_CREDIT,	READY,		answer_take },
	{ EXEC_JOB_EOF,		READY,		answer_take },
	{ EXEC_JOB_EXIT,	READY,		answer_take },
	{ EXEC_JOB_DONE,	READY,		answer_take },
	{ EXEC_FILE_INFO,	READY,		answer_take },
	{ EXEC_FILE_ENTRIES,	READY,		answer_take },
	{ EXEC_FILE_HASHES,	READY,		answer_take },
	{ EXEC_TASK_INFO,	READY,		answer_take },
};

static const struct rules	rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_E, on_closed
};

static struct {
	struct event_base		*base;
	const struct launcher		*how;
	const struct launch_conf	*conf;
	struct chan			*chan;
	bool				 stopping;
	char				 shell[SHELL_MAX];
	void				 (*ready)(bool);
	void				 (*stopped)(void);
} launch;

/* It goes into the registration, and the server starts it. */
static bool
shell_ok(struct slice s)
{
	const char	*p = s.p;
	size_t		 i;

	if (s.len == 0 || s.len >= SHELL_MAX || p[0] != '/')
		return false;
	for (i = 0; i < s.len; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return false;
	return true;
}

static void
on_hello(struct chan *c, const struct msg *m)
{
	const struct exec_hello	*b = m->body;
	void			(*ready)(bool) = launch.ready;

	if (b->min > EXEC_VERSION || b->max < EXEC_VERSION) {
		chan_refuse(c, "speaks another version");
		return;
	}
	snprintf(launch.shell, sizeof(launch.shell), "/bin/sh");
	if (shell_ok(b->shell))
		snprintf(launch.shell, sizeof(launch.shell), "%.*s",
		    (int)b->shell.len, (const char *)b->shell.p);
	chan_set_state(c, READY);
	if (launch.how->greeted != NULL)
		launch.how->greeted();
	launch.ready = NULL;
	if (ready != NULL)
		ready(true);
}

static void
on_nothing(struct chan *c, const struct msg *m)
{
}

/* Its last words; on_closed follows. */
static void
on_bye(struct chan *c, const struct msg *m)
{
	const struct exec_bye	*b = m->body;
	char			 vis[256];

	log_info("executor: bye: %s", log_vis(vis, sizeof(vis), b->reason.p,
	    b->reason.len));
}

/* It is of our own build, so this cannot be; a request would wait for ever. */
static void
on_unsupported(struct chan *c, const struct msg *m)
{
	chan_refuse(c, "does not know one of our messages");
}

static void
on_ping(struct chan *c, const struct msg *m)
{
	const struct exec_ping	*b = m->body;
	struct exec_pong	 pong = { .cookie = b->cookie };

	chan_send(c, EXEC_PONG, 0, &pong);
}

static void
on_closed(struct chan *c, const char *why, bool protocol)
{
	chan_free(c);
	launch.chan = NULL;
	if (launch.stopping)
		return;
	log_warnx("executor: %s; restarting", why);
	answer_lost();
	launch.how->lost();
}

bool
launch_open(int fd)
{
	struct exec_hello	 hello = { .min = EXEC_VERSION,
				    .max = EXEC_VERSION };

	launch.chan = chan_new(launch.base, fd, "executor", &rules, NULL);
	if (launch.chan == NULL)
		fatal("chan_new");
	hello.build = slice_str(XBOT_VERSION);
	return chan_send(launch.chan, EXEC_HELLO, 0, &hello);
}

void
launch_failed(void)
{
	void	(*ready)(bool) = launch.ready;

	launch.ready = NULL;
	if (ready != NULL)
		ready(false);
}

void
launch_stopped(void)
{
	launch.stopped();
}

bool
launch_start(struct event_base *base, const struct launcher *how,
    const struct launch_conf *conf, void (*ready)(bool))
{
	launch.base = base;
	launch.how = how;
	launch.conf = conf;
	launch.ready = ready;
	return how->start(base, conf);
}

void
launch_stop(void (*done)(void))
{
	launch.stopping = true;
	launch.stopped = done;
	launch.ready = NULL;
	if (launch.chan != NULL) {
		chan_flush(launch.chan, 100);
		chan_free(launch.chan);
		launch.chan = NULL;
	}
	launch.how->stop();
}

void
launch_kill(void)
{
	launch.how->kill();
}

void
launch_reap(void)
{
	launch.how->reap();
}

bool
launch_send(uint16_t type, const void *body)
{
	return launch.chan != NULL && chan_send(launch.chan, type, 0, body);
}

bool
launch_up(void)
{
	return launch.chan != NULL;
}

const char *
launch_workspace(void)
{
	return launch.how->workspace != NULL ? launch.how->workspace :
	    launch.conf->workspace;
}

const char *
launch_shell(void)
{
	return launch.shell;
}
