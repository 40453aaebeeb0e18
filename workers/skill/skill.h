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
 * The skill worker and its interpreter, the zygote.
 *
 * xbot-skill starts the zygote before it enters its row: the same program, with
 * Python in it, in namespaces of its own where the kernel gives them ("apart"),
 * else as the worker's user ("plain").  The worker says "fork at this place"; the
 * zygote forks a process that jails itself and reads one request from the
 * socket that came with the word.  So no byte of a stranger or of a skill
 * passes through the zygote, and processes can be forked before they are
 * needed: a spare waits for its request in its jail.
 *
 * A place is what a run has for itself: a uid (apart), a temporary
 * directory, a pipe for its output.
 */

#ifndef SKILL_SKILL_H
#define SKILL_SKILL_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/priv.h"
#include "base/skills.h"
#include "proto/buf.h"

struct chan;
struct msg;

/* conf_skill, copied. */
struct skill_conf {
	enum skill_policy	 policy;
	bool			 testing;
	uint32_t		 timeout;	/* seconds */
	uint32_t		 processes;	/* of a run, with threads */
	uint64_t		 memory;	/* bytes of a process of it */
	char			 api_url[2049];
};

extern struct skill_conf	 skill_conf;

/* --- link.c: words between worker and zygote --- */

enum word_what {
	WORD_READY,	/* zygote: once; ok, and text says what it has */
	WORD_FORK,	/* worker: the run's socket comes with it */
	WORD_KILL,	/* worker: the run and all that it left */
	WORD_EXITED	/* zygote: nothing of it is left, nor in its place */
};

struct word {
	uint32_t	 what;
	uint32_t	 place;
	uint64_t	 run;		/* counts up: which run at that place */
	int32_t		 status;	/* EXITED: as wait(2) gives it */
	bool		 ok;		/* READY */
	bool		 rehearse;	/* FORK: there is time for it */
	uint32_t	 policy;	/* FORK: enum skill_policy */
	uint32_t	 cpu;		/* FORK: limits of the run */
	uint32_t	 processes;
	uint64_t	 memory;
	char		 text[200];
};

/* takes passed (-1: none), also on failure.  -1 with errno. */
int	 word_send(int, const struct word *, int passed);
/* 1; 0 at the end; -1 with errno.  The caller owns *passed (-1: none). */
int	 word_recv(int, struct word *, int *passed);

/* --- the run's socket: this, the strings, the body; then its answer --- */

struct run_head {
	uint32_t	 policy;
	uint32_t	 testing;
	uint32_t	 timeout;
	uint32_t	 nurl, ntoken, ntrace;	/* bytes, without NUL */
	uint64_t	 nbody;
};

struct run_answer {
	uint32_t	 status;	/* 200, 400, 500 */
	uint32_t	 length;	/* bytes that follow */
};

/* --- zygote.c --- */

struct zygote {
	int	 link;			/* the worker's end */
	pid_t	 pid;
	int	 output[SKILL_PLACES];	/* reading ends */
};

/* Starts it and waits until it is ready; before the privileges are entered.
 * false: the log says why. */
bool	 zygote_start(struct zygote *, enum priv_mode);

/* --- apart.c: the zygote's namespaces, and the places' directories --- */

struct apart {
	bool	 on;
	char	 base[64];
	char	 dirs[SKILL_PLACES][80];	/* below base: one a place */
	int	 pid_space;		/* our own, to come back to; -1 */
	uid_t	 uid;			/* of a plain zygote */
	gid_t	 gid;
};

/*
 * fork(2) into new namespaces, or a plain one where that is refused; says
 * which in apart->on.  The child waits until its uids are mapped.
 */
pid_t	 apart_fork(struct apart *);
/* In the zygote: become who it shall be, make the directories. */
bool	 apart_enter(struct apart *);
/* Around a fork: the child is in a pid space of its own. */
bool	 apart_next(const struct apart *);
void	 apart_back(const struct apart *);
/* The zygote goes: so do the directories of a plain one. */
void	 apart_leave(const struct apart *);

/* --- tidy.c --- */

/* Is something in that directory?  An error counts as yes. */
bool	 tidy_needed(const char *);
/* Removes whatever is in it, however deep.  false: something stays. */
bool	 tidy(const char *);

/* --- jail.c --- */

struct jail {
	const struct apart	*apart;
	int			 rulesets[SKILL_PLACES];	/* -1: none */
	int			 output[SKILL_PLACES];
	int			 null;
};

/* What children enter is made once.  libs: NULL-terminated, lent.  false: text says
 * why; else text says what there is. */
bool	 jail_make(struct jail *, const struct apart *, char *const *libs,
	    char *text, size_t);
/* In the child: its socket becomes RUN_FD.  Does not return on failure. */
#define RUN_FD	3
void	 jail_enter(const struct jail *, const struct word *, int sock);

/* --- pages.c --- */

/* Python's arenas: see PyObjectArenaAllocator. */
void	*pages_alloc(void *, size_t);
void	 pages_free(void *, void *, size_t);
/* So many bytes, from the start of a large page on; NULL: no memory. */
void	*pages_room(size_t);
/* All is imported: large pages, where the kernel can. */
void	 pages_collapse(void);

/* --- near.c --- */

/* Python has its allocators: ours comes before them. */
void	 near_start(void);
/* Whether what Python allocates from now on lies there. */
void	 near_set(bool);
/* In a child, before Python: what it makes first lies there. */
void	 near_run(void);

/* --- python.c --- */

/* The interpreter, with everything imported.  false: why says it. */
bool	 python_start(char *why, size_t);
/* Directories whose files a run may read; NULL-terminated, kept. */
char	*const *python_libs(void);
/* fork(2), as Python wants it. */
pid_t	 python_fork(void);
/* In the jailed child: once for practice, or not, under the policy that is to
 * be expected; then one request from RUN_FD. */
void	 python_rehearse(enum skill_policy);
void	 python_run(void) __attribute__((noreturn));

/* --- run.c: the places, as the worker sees them --- */

struct run;
struct call;

void	 runs_init(struct zygote *);
/* The configuration is another one: spares of the old one go. */
void	 runs_renew(void);
/* A process for this call, NULL when all places are taken. */
struct run *run_take(struct call *);
/* Bytes for its socket; how many of them are still to be written. */
size_t	 run_write(struct run *, const void *, size_t);
/* Nobody wants its answer any more. */
void	 run_end(struct run *);
/* Orderly end: returns when the zygote is gone. */
void	 runs_stop(void);

/* --- call.c: what front asks --- */

extern const struct rules	 front_rules;

/* Takes the bytes of the answer out of the buf.  The run is over. */
void	 call_answered(struct call *, uint16_t status, struct buf *);
void	 call_failed(struct call *, const char *id, const char *text);
/* What was written has gone out. */
void	 call_writable(struct call *);
uint64_t call_serial(const struct call *);
/* There may be a place again. */
void	 calls_start(void);

#endif
