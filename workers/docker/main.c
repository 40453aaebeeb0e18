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
 * xbot-docker: the client of the Docker Engine.  Runs as: docker, with the
 * group of the Engine's socket; that is root, so it parses no executor's byte:
 * box does.  Reads and writes in <state>/box, connects to the Engine.
 */

#include <sys/stat.h>

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/docker/commit.h"

#define PROGRAM_MAX	(64 * 1024 * 1024)

struct docker_conf	 docker_conf;
struct buf		 docker_program;
struct engine		*docker_engine;
int			 docker_box = -1;

static struct docker_conf	 next;
static int			 next_program = -1;
static bool			 serving, synced;

static void
on_conf_docker(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_docker	*d = m->body;
	uint32_t			 i;

	if (next_program != -1)
		close(next_program);
	next_program = chan_take_fd(c);
	slice_copy(next.socket, sizeof(next.socket), d->socket);
	slice_copy(next.image, sizeof(next.image), d->image);
	slice_copy(next.workdir, sizeof(next.workdir), d->workdir);
	slice_copy(next.box, sizeof(next.box), d->box);
	slice_copy(next.network, sizeof(next.network), d->network);
	next.idle = d->idle;
	next.memory = d->memory;
	next.millicpus = d->millicpus;
	next.pids = d->pids;
	next.nnp = d->nnp;
	next.persist = d->persist;
	next.pull = d->pull;
	next.ncapdrop = 0;
	for (i = 0; i < d->capdrop.n; i++)
		slice_copy(next.capdrop[next.ncapdrop++],
		    sizeof(next.capdrop[0]), d->capdrop.v[i]);
}

/* Into memory: each container gets a copy. */
static bool
program_read(int fd)
{
	struct stat	 st;
	ssize_t		 n = -1;
	void		*p;

	buf_clear(&docker_program);
	if (fstat(fd, &st) == 0 && st.st_size > 0 &&
	    st.st_size <= PROGRAM_MAX &&
	    (p = buf_reserve(&docker_program, (size_t)st.st_size)) != NULL &&
	    (n = pread(fd, p, (size_t)st.st_size, 0)) > 0)
		docker_program.len = (size_t)n;
	return n > 0 && n == st.st_size;
}

/* The Engine's socket stays what it was: its group was joined at start. */
static void
reloaded(void)
{
	docker_conf = next;
	if (next_program == -1)
		return;
	if (!program_read(next_program))
		log_warn("the executor's program");
	close(next_program);
	next_program = -1;
}

/* Whose members may use the Engine; 0: nobody's but root's. */
static gid_t
engine_group(void)
{
	struct stat	 st;
	struct group	*g;

	if (stat(next.socket, &st) == 0)
		return st.st_gid;
	return (g = getgrnam("docker")) != NULL ? g->gr_gid : 0;
}

/*
 * box lies in ledger's directory, into which we cannot look later: opened
 * now, and named through the descriptor.
 */
static bool
prepare(enum role role, struct priv_opts *opts)
{
	static char path[64];

	if ((docker_box = open(next.box, O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC)) == -1) {
		log_error("%s", next.box);
		return false;
	}
	reloaded();
	if (docker_program.len == 0)
		return false;
	exports_prune();
	if ((docker_engine = engine_new(child_base(), docker_conf.socket)) ==
	    NULL) {
		log_error("engine");
		return false;
	}
	opts->engine_gid = engine_group();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", docker_box);
	opts->paths[opts->npaths++] = (struct priv_path){ path,
	    MAY_READ | MAY_WRITE | MAY_LISTEN_UNIX };
	return true;
}

#define RULES(name, letter, closed)					\
	static const struct rules name##_rules = {			\
		name##_table, sizeof(name##_table) /			\
		    sizeof(name##_table[0]), letter, closed		\
	}

static const struct rule from_parent[] = {
	{ CTL_CONF_DOCKER, STATES_ALL, on_conf_docker },
	{ CTL_WORKDIR, STATES_ALL, on_workdir },
};

static const struct rule front_table[] = {
	{ CTL_SANDBOX_SHOW, STATES_ALL, on_sandbox_show },
	{ CTL_SANDBOX_LIST, STATES_ALL, on_sandbox_list },
	{ CTL_SANDBOX_COMMIT, STATES_ALL, on_sandbox_commit },
	{ CTL_SANDBOX_STOP, STATES_ALL, on_sandbox_stop },
	{ CTL_SANDBOX_RESET, STATES_ALL, on_sandbox_reset },
};
RULES(front, FROM_F, lifecycle_closed);

static const struct rule box_table[] = {
	{ CTL_EXECUTOR_WANTED, STATES_ALL, on_executor_wanted },
	{ CTL_SANDBOX_WHY, STATES_ALL, on_sandbox_why },
	{ CTL_SANDBOX_ACTIVITY, STATES_ALL, on_sandbox_activity },
};
RULES(box, FROM_S, NULL);

/* ledger may be faster than we enter our privileges. */
static void
on_synced(struct chan *c, const struct msg *m)
{
	synced = true;
	if (serving)
		on_sandboxes_synced(c, m);
}

static const struct rule ledger_table[] = {
	{ CTL_SANDBOX_RECORD, STATES_ALL, on_sandbox_record },
	{ CTL_JOURNAL_ENTRY, STATES_ALL, on_journal_entry },
	{ CTL_SANDBOXES_SYNCED, STATES_ALL, on_synced },
	{ CTL_SANDBOX_STORED, STATES_ALL, on_sandbox_stored },
};
RULES(ledger, FROM_L, NULL);

static const struct rule reaper_table[] = {
	{ CTL_SANDBOX_IDLE, STATES_ALL, on_sandbox_idle },
	{ CTL_SANDBOX_SWEEP, STATES_ALL, on_sandbox_sweep },
};
RULES(reaper, FROM_Z, lifecycle_closed);

static const struct rules *
peer_rules(enum role role, void **arg)
{
	static const struct rules *const edges[ROLE_MAX] = {
		[ROLE_FRONT] = &front_rules,
		[ROLE_CONTROL] = &front_rules,
		[ROLE_BOX] = &box_rules,
		[ROLE_LEDGER] = &ledger_rules,
		[ROLE_REAPER] = &reaper_rules
	};

	return edges[role];
}

static void
peer_up(enum role role, struct chan *c)
{
	if (role == ROLE_BOX)
		sandboxes_box_up();
}

static bool
entered(void)
{
	serving = true;
	watch_start();
	if (synced)
		on_sandboxes_synced(NULL, NULL);
	return true;
}

static const struct child_ops ops = {
	.roles = 1u << ROLE_DOCKER,
	.from_parent = from_parent,
	.nfrom_parent = sizeof(from_parent) / sizeof(from_parent[0]),
	.peer_rules = peer_rules,
	.peer_up = peer_up,
	.prepare = prepare,
	.entered = entered,
	.reloaded = reloaded,
};

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &ops);
}
