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
	uint8_t		 persist, pull;		/* enums of supervisor/conf.h */
	int		 program;		/* the executor, for reading */
};

extern struct docker_conf	 docker_conf;
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

struct sandbox {
	struct table_node	 node;
	char			 user[ID_USER_MAX + 1];
	enum sandbox_state	 state;
	const char		*claimed;	/* by whom, for the log; NULL */
};

/* NULL: there is none. */
struct sandbox	*sandbox_find(const char *user);
/* The user's, made (absent) when there is none.  NULL: out of memory. */
struct sandbox	*sandbox_get(const char *user);
/* true: yours until sandbox_release.  false: somebody else works on it. */
bool		 sandbox_claim(struct sandbox *, const char *who);
void		 sandbox_release(struct sandbox *);
/* Tells front, control and ledger. */
void		 sandbox_set_state(struct sandbox *, enum sandbox_state);
/* "running", as http-api.md has it. */
const char	*sandbox_state_name(enum sandbox_state);
/* From box. */
void		 on_executor_wanted(struct chan *, const struct msg *);
void		 on_sandbox_why(struct chan *, const struct msg *);
void		 on_sandbox_activity(struct chan *, const struct msg *);
/* From the parent. */
void		 on_workdir(struct chan *, const struct msg *);

/* --- journal.c: what ledger keeps for us --- */

void		 on_sandbox_record(struct chan *, const struct msg *);
void		 on_journal_entry(struct chan *, const struct msg *);
void		 on_sandboxes_synced(struct chan *, const struct msg *);
void		 on_sandbox_stored(struct chan *, const struct msg *);

/* --- lifecycle.c: questions of front, control and reaper --- */

void		 on_sandbox_show(struct chan *, const struct msg *);
void		 on_sandbox_list(struct chan *, const struct msg *);
void		 on_sandbox_commit(struct chan *, const struct msg *);
void		 on_sandbox_stop(struct chan *, const struct msg *);
void		 on_sandbox_reset(struct chan *, const struct msg *);
void		 on_sandbox_idle(struct chan *, const struct msg *);
void		 on_sandbox_sweep(struct chan *, const struct msg *);

#endif
