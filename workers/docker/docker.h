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
 * Users' sandboxes in containers of a Docker Engine.  Runs in: docker.
 *
 * A user has one sandbox and at most one container.  Who works on it claims
 * it first: one at a time a user, different users side by side.  Everything is
 * done in steps of the Engine's answers; nothing waits.
 */

#ifndef DOCKER_DOCKER_H
#define DOCKER_DOCKER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/chan.h"
#include "base/engine.h"
#include "base/ids.h"
#include "base/table.h"

/* --- main.c: the configuration, the newest --- */

struct docker_conf {
	char		 socket[4097];
	char		 image[257];
	char		 workdir[4097];		/* on the host */
	char		 box[4097];		/* on the host */
	uint32_t	 idle;			/* seconds */
	uint64_t	 memory;		/* bytes */
	uint32_t	 millicpus;
	uint32_t	 pids;
	char		 network[129];
	char		 capdrop[64][65];
	uint32_t	 ncapdrop;
	bool		 nnp;
	uint8_t		 persist, pull;		/* as DOCKER_ below */
};

/* supervisor/conf.h: enum conf_persist, enum conf_pull */
#define DOCKER_PERSIST_EXPORT	0
#define DOCKER_PULL_NEVER	0

extern struct docker_conf	 docker_conf;
extern struct buf		 docker_program;	/* the executor */
extern struct engine		*docker_engine;
extern int			 docker_box;	/* the directory box */

/* --- sandbox.c --- */

enum sandbox_state {
	SANDBOX_ABSENT,		/* no container */
	SANDBOX_CREATING,
	SANDBOX_RUNNING,
	SANDBOX_COMMITTING,
	SANDBOX_STOPPED		/* a container that does not run */
};

#define SANDBOX_NAME_MAX	256	/* with NUL */
#define CONTAINER_ID_MAX	65	/* the Engine's, with NUL */
#define SANDBOX_LABEL		"xbot.sandbox.user"

struct start;

struct sandbox {
	struct table_node	 node;
	char			 user[ID_USER_MAX + 1];
	char			 name[SANDBOX_NAME_MAX];	/* of container
								 * and image */
	enum sandbox_state	 state;
	const char		*claimed;	/* by whom, for the log; NULL */
	bool			 held;		/* box keeps its requests */
	bool			 oom;		/* since it was started */
	bool			 killed;	/* likewise, by the Engine */
	uint64_t		 wanted;	/* box's question; 0: none */
	struct start		*start;		/* start.c's; NULL */
	char			 container[CONTAINER_ID_MAX]; /* "": none */
	char			 image[512];	/* what it was made from: id */
	uint64_t		 activity;	/* rises with each */
	time_t			 used;		/* the last one */
	bool			 busy;		/* one is going on */
	bool			 unsaved;	/* journal.c's */
	uint64_t		 saved;		/* activity that ledger has */
	uint64_t		 seen;		/* sweep.c's */
};

/* NULL: there is none. */
struct sandbox	*sandbox_find(const char *user);
/* The user's, made (absent) when there is none.  NULL: out of memory. */
struct sandbox	*sandbox_get(const char *user);
/* true: yours until sandbox_release.  false: somebody else works on it. */
bool		 sandbox_claim(struct sandbox *, const char *who);
void		 sandbox_release(struct sandbox *);
void		 sandbox_each(void (*)(struct sandbox *, void *), void *);
/* Whose container has this id; NULL. */
struct sandbox	*sandbox_by_container(const char *id);
/* "xbot-..." of a user. */
bool		 sandbox_name(const char *user, char dst[SANDBOX_NAME_MAX]);
/* box keeps this user's requests, for 30 s at most; no longer. */
void		 sandbox_hold(struct sandbox *, bool);
/* ledger's records are complete: questions that waited go on. */
void		 sandboxes_known(void);
/* box came (again). */
void		 sandboxes_box_up(void);
/* Tells front and control. */
void		 sandbox_set_state(struct sandbox *, enum sandbox_state);
/* "running", as http-api.md has it. */
const char	*sandbox_state_name(enum sandbox_state);
/* The directory behind /.xbot, made when it is not there.  -1 and errno. */
int		 sandbox_box_dir(const char *user);
/* Once the container has gone. */
void		 sandbox_box_remove(const char *user);
/* From box. */
void		 on_executor_wanted(struct chan *, const struct msg *);
void		 on_sandbox_activity(struct chan *, const struct msg *);

/* --- start.c, make.c: a container that runs, its executor's connection --- */

/* For the question in wanted; claims it, and answers box. */
void		 sandbox_start(struct sandbox *);
/* From the parent. */
void		 on_workdir(struct chan *, const struct msg *);

/* --- relay.c: an executor whose Engine is elsewhere --- */

/*
 * Before up is called a relay is its owner's; when down was called instead it
 * is gone.  After up it is nobody's, and ends with either side.
 */
struct relay;
typedef void	 relay_up(void *, int fd);	/* takes fd */

/* The executor's program into a container; as engine_call. */
uint64_t	 relay_put(const char *container, engine_done *, void *);
/* To the first process of a container that runs.  NULL: out of memory. */
struct relay	*relay_new(const struct sandbox *, relay_up *,
		    void (*down)(void *), void *arg);
/* NULL is fine. */
void		 relay_free(struct relay *);

/* --- why.c: how a sandbox ended --- */

void		 on_sandbox_why(struct chan *, const struct msg *);

/* --- watch.c: what happens to containers behind our back --- */

void		 watch_start(void);

/* --- journal.c: what ledger keeps for us --- */

/* ledger's records have come; before that nothing is created. */
bool		 journal_ready(void);
/* Its record, to ledger: container or state has changed. */
void		 sandbox_remember(struct sandbox *);

void		 on_sandbox_record(struct chan *, const struct msg *);
void		 on_journal_entry(struct chan *, const struct msg *);
void		 on_sandboxes_synced(struct chan *, const struct msg *);
void		 on_sandbox_stored(struct chan *, const struct msg *);

/* --- lifecycle.c: questions of front, control and reaper --- */

void		 lifecycle_closed(struct chan *, const char *why, bool);
void		 on_sandbox_show(struct chan *, const struct msg *);
void		 on_sandbox_list(struct chan *, const struct msg *);
void		 on_sandbox_commit(struct chan *, const struct msg *);
void		 on_sandbox_stop(struct chan *, const struct msg *);
void		 on_sandbox_reset(struct chan *, const struct msg *);
void		 on_sandbox_idle(struct chan *, const struct msg *);
void		 on_sandbox_sweep(struct chan *, const struct msg *);
/* The Engine is there (again): look what it has. */
void		 sandboxes_sweep(void);

#endif
