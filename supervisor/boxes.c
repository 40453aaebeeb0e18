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
 * Runs in: supervisor, as root when it may.  docker is trusted with the
 * Engine, which is root; its questions are checked all the same, so that a
 * user id can never become another path.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/policy.h"
#include "base/priv.h"
#include "base/sandbox.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "supervisor/boxes.h"
#include "supervisor/conf.h"
#include "supervisor/paths.h"
#include "supervisor/proc.h"

#define CAPS_MAX	64	/* conf_docker.capdrop */

static const struct conf	*conf;
static int			 program = -1;

static bool	box_path(const struct conf *, char[PATH_MAX]);
static bool	box_make(const struct conf *);
static int	workdir_open(const char *);

static bool
box_path(const struct conf *c, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/box", c->state) < PATH_MAX;
}

/*
 * docker's own, and closed: a socket in it answers whoever reaches it, so
 * that may be the container and nobody of this machine.
 */
static bool
box_make(const struct conf *c)
{
	char	path[PATH_MAX];
	uid_t	uid = getuid();
	gid_t	gid = getgid();
	int	fallback, fd, rv;

	if (!box_path(c, path) || !dirs_make(path, 0700))
		return false;
	if (c->is_root && priv_user(policy_get(ROLE_DOCKER), c->require ?
	    PRIV_REQUIRE : PRIV_PREFER, &uid, &gid, &fallback) == -1)
		return false;
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC)) == -1)
		return false;
	rv = fchown(fd, uid, gid);
	if (rv == 0)
		rv = fchmod(fd, 0700);
	close(fd);
	return rv == 0;
}

bool
boxes_init(const struct conf *c)
{
	conf = c;
	if (!c->have_docker)
		return true;
	/* A sanitizer build has two; containers have no library of ours. */
	if (program == -1 && (program = libexec_open(PRIV_SANITIZED ?
	    "xbot-executor-static" : "xbot-executor")) == -1)
		return false;
	if (!box_make(c)) {
		log_error("%s/box", c->state);
		return false;
	}
	/* 0711: a user's command that sees it finds no other's name. */
	if (!dirs_make(c->docker.workdir, 0711)) {
		log_error("host workdir %s", c->docker.workdir);
		return false;
	}
	return true;
}

void
boxes_slice(const struct conf *c, struct chan *to)
{
	struct slice		 caps[CAPS_MAX];
	char			 box[PATH_MAX];
	struct ctl_conf_docker	 d = {
		.socket = slice_str(c->docker.socket),
		.image = slice_str(c->docker.image),
		.workdir = slice_str(c->docker.workdir),
		.idle = c->docker.idle,
		.memory = c->docker.memory,
		.millicpus = c->docker.millicpus,
		.pids = c->docker.pids,
		.network = slice_str(c->docker.network),
		.capdrop = { caps, 0 },
		.nnp = c->docker.nnp,
		.persist = (uint8_t)c->docker.persist,
		.pull = (uint8_t)c->docker.pull,
	};
	const struct conf_name	*n;

	if (!box_path(c, box))
		return;
	d.box = slice_str(box);
	TAILQ_FOREACH(n, &c->docker.capdrop, entry)
		if (d.capdrop.n < CAPS_MAX)
			caps[d.capdrop.n++] = slice_str(n->name);
	chan_send_fd(to, CTL_CONF_DOCKER, 0, &d,
	    fcntl(program, F_DUPFD_CLOEXEC, 0));
}

/*
 * The directory of that name beneath `host workdir`: root's, as root within
 * the container is.  One that is a link is refused: the Engine would follow it.
 */
static int
workdir_open(const char *user)
{
	int	base, dir = -1, error;

	base = open(conf->docker.workdir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base == -1)
		return -1;
	if (mkdirat(base, user, 0755) == 0 || errno == EEXIST)
		dir = openat(base, user, O_PATH | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC);
	error = errno;
	close(base);
	errno = error;
	return dir;
}

void
on_workdir_wanted(struct chan *c, const struct msg *m)
{
	const struct ctl_workdir_wanted	*w = m->body;
	struct ctl_workdir		 answer = { .user = w->user };
	char				 user[ID_USER_MAX + 1], path[PATH_MAX];
	char				 why[512];
	int				 dir;

	if (!slice_copy(user, sizeof(user), w->user) || !id_user_ok(w->user)) {
		chan_refuse(c, "not a user id");
		return;
	}
	answer.path = answer.text = slice_str("");
	snprintf(path, sizeof(path), "%s/%s", conf->docker.workdir, user);
	if ((dir = workdir_open(user)) == -1) {
		snprintf(why, sizeof(why), "workspace of %s: %s", user,
		    strerror(errno));
		log_warnx("%s", why);
		answer.code = XERR_EIO;
		answer.text = slice_str(why);
	} else {
		answer.path = slice_str(path);
		close(dir);
	}
	chan_send(c, CTL_WORKDIR, m->serial, &answer);
}
