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
 * The processes: one row each, started, configured, connected, watched,
 * restarted, stopped.  Runs in: supervisor.
 */

#ifndef SUPERVISOR_PROC_H
#define SUPERVISOR_PROC_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/chan.h"
#include "base/policy.h"

struct conf;
struct event_base;

enum proc_state {
	PROC_DOWN,		/* not wanted, or waiting for its restart */
	PROC_STARTING,		/* started, not ready yet */
	PROC_UP,
	PROC_STOPPING		/* was told to stop */
};

struct proc {
	enum role	 role;
	enum proc_state	 state;
	bool		 wanted;
	pid_t		 pid;		/* 0: none */
	struct chan	*chan;		/* NULL: none */
	uint32_t	 generation;	/* of this process */
	uint32_t	 restarts;
	unsigned int	 backoff;	/* seconds until the next restart */
	time_t		 since;		/* it came up, or went down */
	struct event	*timer;
};

/* Opens the programs of all rows that can run.  false: log says which. */
bool		 proc_init(struct event_base *, const struct conf *);
/* The configuration decides which rows are wanted: starts and stops. lent
 * until the next call. */
void		 proc_configure(const struct conf *);
/* New slices for all that run, after a reload. */
void		 proc_reconfigure(const struct conf *);
/* `sandbox require': each has its own user, or the text says who has none. */
bool		 proc_users(const struct conf *, char *, size_t);
/* `sandbox require': one could not be started, so all were stopped. */
bool		 proc_failed(void);
struct proc	*proc_get(enum role);
/* NULL when it does not run. */
struct chan	*proc_chan(enum role);
/* waitpid() said so: true when the pid was one of the processes. */
bool		 proc_exited(pid_t, int status);
/* In order: who accepts, who works, who keeps; done() when all are gone. */
void		 proc_stop_all(void (*done)(void));
void		 proc_log_level(int);
/* End it, it will be restarted. */
void		 proc_kick(enum role, const char *why);
/* The environment that programs of ours get. */
extern char	*const *const proc_environ;
/* The descriptor of a program in libexec, -1. */
int		 libexec_open(const char *);

#endif
