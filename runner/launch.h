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
 * The executor, wherever it runs, and the channel to it.  Runs in:
 * xbot-runner.  Owns: the channel.  How an executor comes to life and ends is
 * a launcher's business: a row of functions a mode.
 */

#ifndef RUNNER_LAUNCH_H
#define RUNNER_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;

/* Lent for life. */
struct launch_conf {
	const char	*workspace;	/* on this machine, canonical */
	bool		 full_control;
	const char	*user;		/* these three: docker's */
	const char	*name;		/* "": none was given */
	const char	*image;
};

struct launcher {
	const char	*mode;
	/* What executors call the workspace; NULL: as it is here. */
	const char	*workspace;
	/* false: impossible, the log said why. */
	bool		 (*start)(struct event_base *,
			    const struct launch_conf *);
	/* The executor said hello.  NULL: nobody wants to know. */
	void		 (*greeted)(void);
	/* The channel has closed: get another executor, in time. */
	void		 (*lost)(void);
	/* In order; launch_stopped when there is none any more. */
	void		 (*stop)(void);
	/* At once, with whatever it runs; we are about to end. */
	void		 (*kill)(void);
	/* SIGCHLD came. */
	void		 (*reap)(void);
};

extern const struct launcher	 launcher_native;
extern const struct launcher	 launcher_docker;

/*
 * ready comes from the loop: true when the first executor said hello, false
 * when there will be none, the log said why.  false: the same, at once.
 */
bool		 launch_start(struct event_base *, const struct launcher *,
		    const struct launch_conf *, void (*ready)(bool));
/* Let it end its jobs and itself; done comes from the loop when it is gone. */
void		 launch_stop(void (*done)(void));
void		 launch_kill(void);
void		 launch_reap(void);

/* A message of exec.def.  false: it is too large, or there is no executor. */
bool		 launch_send(uint16_t type, const void *body);
bool		 launch_up(void);
/* Once it is ready: what it is told to the server. */
const char	*launch_workspace(void);
const char	*launch_shell(void);

/* ---- for launchers */

/* takes fd, the connection to a new executor.  false: log said why. */
bool		 launch_open(int fd);
/* There will never be one; the log said why.  Not after it was ready. */
void		 launch_failed(void);
void		 launch_stopped(void);

#endif
