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
 * priv_enter: see priv.h.  Runs in: every child.  The steps are a list, in
 * the order in which they must happen; each says in the result what it did.
 */

#include <sys/types.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compat/compat.h"
#include "priv.h"
#include "sandbox.h"

/* One call of priv_enter: what the steps tell each other. */
struct entry {
	const struct policy	*p;
	const struct priv_opts	*o;
	struct priv_result	*r;
	int			 root;	/* started as root */
	uid_t			 uid;
	gid_t			 gid;
};

static int	 step_check(struct entry *);
static int	 step_user(struct entry *);
static int	 step_root(struct entry *);
static int	 step_ids(struct entry *);
static int	 step_proof(struct entry *);
static int	 step_limits(struct entry *);
static int	 step_flags(struct entry *);
static int	 step_landlock(struct entry *);
static int	 step_seccomp(struct entry *);
static void	 said(struct entry *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));
static int	 fail(struct entry *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));
static int	 weaker(struct entry *, const char *, int);
static const char *root_dir(const struct entry *);
static int	 root_usable(const struct entry *, const char *);
static int	 limit(struct entry *, int, rlim_t, const char *);

/* Appends to the line of what was achieved. */
static void
said(struct entry *e, const char *fmt, ...)
{
	char	 buf[sizeof(e->r->text)];
	va_list	 ap;

	va_start(ap, fmt);
	(void)vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (e->r->text[0] != '\0')
		(void)strlcat(e->r->text, " ", sizeof(e->r->text));
	(void)strlcat(e->r->text, buf, sizeof(e->r->text));
}

/* The line becomes the reason; errno stays for the caller. */
static int
fail(struct entry *e, const char *fmt, ...)
{
	char	 buf[sizeof(e->r->text)];
	int	 saved = errno;
	va_list	 ap;

	va_start(ap, fmt);
	(void)vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	(void)snprintf(e->r->text, sizeof(e->r->text), "%.160s: %.80s", buf,
	    strerror(saved));
	errno = saved != 0 ? saved : EINVAL;
	return -1;
}

/* Something this machine does not give: told, or refused. */
static int
weaker(struct entry *e, const char *what, int error)
{
	errno = error;
	if (e->o->mode == PRIV_REQUIRE)
		return fail(e, "%s", what);
	e->r->degraded = 1;
	said(e, "(%s: %s)", what, strerror(error));
	return 0;
}

static int
step_check(struct entry *e)
{
	errno = EINVAL;
	if (e->p->role == ROLE_SUPERVISOR)
		return fail(e, "the parent has no row to enter");
	if (e->p->root == POLICY_ROOT_STATE && e->o->state == NULL)
		return fail(e, "%s: no state directory given", e->p->name);
	if (e->o->npaths > PRIV_MAXPATHS)
		return fail(e, "%s: too many paths", e->p->name);
	return 0;
}

static int
step_user(struct entry *e)
{
	int	 fallback;

	e->root = geteuid() == 0;
	if (!e->root) {
		e->uid = getuid();
		e->gid = getgid();
		return weaker(e, "not started as root", EPERM);
	}
	if (priv_user(e->p, e->o->mode, &e->uid, &e->gid, &fallback) == -1)
		return fail(e, "user %s", e->p->user != NULL ? e->p->user :
		    "of this row");
	if (fallback)
		return weaker(e, "no user of its own, nobody instead",
		    ENOENT);
	return 0;
}

static const char *
root_dir(const struct entry *e)
{
	switch (e->p->root) {
	case POLICY_ROOT_HOST:
		return "/";
	case POLICY_ROOT_EMPTY:
		return e->o->empty != NULL ? e->o->empty : PRIV_EMPTY;
	case POLICY_ROOT_STATE:
		return e->o->state;
	}
	return "/";
}

/* An empty root that somebody else can fill is worse than none. */
static int
root_usable(const struct entry *e, const char *dir)
{
	struct stat	 st;

	if (stat(dir, &st) == -1)
		return -1;
	errno = ENOTDIR;
	if (!S_ISDIR(st.st_mode))
		return -1;
	errno = EPERM;
	if (e->p->root == POLICY_ROOT_EMPTY &&
	    (st.st_uid != 0 || (st.st_mode & 022) != 0))
		return -1;
	return 0;
}

static int
step_root(struct entry *e)
{
	const char	*dir = root_dir(e);

	if (e->p->root == POLICY_ROOT_HOST)
		return chdir("/") == -1 ? fail(e, "chdir /") : 0;
	if (!e->root) {
		/* Landlock stands in for the root; it has to be there. */
		if (chdir(dir) == 0)
			return 0;
		if (e->p->root == POLICY_ROOT_STATE)
			return fail(e, "chdir %s", dir);
		return chdir("/") == -1 ? fail(e, "chdir /") : 0;
	}
	if (root_usable(e, dir) == -1 || chdir(dir) == -1) {
		if (e->p->root == POLICY_ROOT_STATE)
			return fail(e, "chroot %s", dir);
		if (chdir("/") == -1)
			return fail(e, "chdir /");
		return weaker(e, "no empty root", errno);
	}
	if (PRIV_SANITIZED)
		return 0;
	if (chroot(".") == -1)
		return weaker(e, "no chroot", errno);
	e->r->chrooted = 1;
	return chdir("/") == -1 ? fail(e, "chdir in %s", dir) : 0;
}

static int
step_ids(struct entry *e)
{
	gid_t	 groups[2];
	size_t	 n = 0;

	if (e->root) {
		groups[n++] = e->gid;
		if (e->p->engine_group && e->o->engine_gid != 0)
			groups[n++] = e->o->engine_gid;
		if (setgroups(n, groups) == -1)
			return fail(e, "setgroups");
		if (setresgid(e->gid, e->gid, e->gid) == -1)
			return fail(e, "setresgid %u", (unsigned)e->gid);
		if (setresuid(e->uid, e->uid, e->uid) == -1)
			return fail(e, "setresuid %u", (unsigned)e->uid);
		e->r->was_root = 1;
	}
	if (sandbox_nocaps() == -1)
		return fail(e, "dropping capabilities");
	e->r->uid = e->uid;
	e->r->gid = e->gid;
	said(e, "uid %u gid %u", (unsigned)e->uid, (unsigned)e->gid);
	if (e->r->chrooted)
		said(e, "chroot %s", root_dir(e));
	return 0;
}

/* Do not believe the calls above: try to get back. */
static int
step_proof(struct entry *e)
{
	gid_t	 groups[64];
	int	 i, n, fd;

	errno = EPERM;
	if (setuid(0) == 0 || seteuid(0) == 0 || getuid() == 0 ||
	    geteuid() == 0)
		return fail(e, "root is not gone");
	if (e->root) {
		if (setgid(0) == 0 || setegid(0) == 0)
			return fail(e, "root's group is not gone");
		n = getgroups(64, groups);
		for (i = 0; i < n; i++)
			if (groups[i] != e->gid && !(e->p->engine_group &&
			    groups[i] == e->o->engine_gid))
				return fail(e, "group %u is not gone",
				    (unsigned)groups[i]);
	}
	if (e->r->chrooted) {
		fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
		if (fd != -1) {
			(void)close(fd);
			errno = EEXIST;
			return fail(e, "/etc/passwd is still there");
		}
	}
	return 0;
}

/* Never raises: the hard limit in force wins, without a complaint. */
static int
limit(struct entry *e, int what, rlim_t want, const char *name)
{
	struct rlimit	 rl;

	if (getrlimit(what, &rl) == -1)
		return fail(e, "getrlimit %s", name);
	if (rl.rlim_max == RLIM_INFINITY || rl.rlim_max > want)
		rl.rlim_max = want;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(what, &rl) == -1)
		return fail(e, "setrlimit %s", name);
	return 0;
}

static int
step_limits(struct entry *e)
{
	if (limit(e, RLIMIT_CORE, 0, "core") == -1 ||
	    limit(e, RLIMIT_NOFILE, e->p->nofile, "nofile") == -1)
		return -1;
	if (PRIV_SANITIZED)
		return 0;
	if (e->p->data_mb != POLICY_NOLIMIT &&
	    limit(e, RLIMIT_DATA, (rlim_t)e->p->data_mb << 20, "data") == -1)
		return -1;
	/* Counts the whole uid, so 0 is the only value that means a thing. */
	if (!(e->p->rights & (MAY_FORK | MAY_THREAD)))
		return limit(e, RLIMIT_NPROC, 0, "nproc");
	return 0;
}

static int
step_flags(struct entry *e)
{
	if (sandbox_flags() == -1)
		return weaker(e, "no_new_privs", errno);
	return 0;
}

static int
step_landlock(struct entry *e)
{
	size_t	 skipped;

	if (PRIV_SANITIZED)
		return weaker(e, "sanitizer build, no sandbox", ENOTSUP);
	e->r->landlock = sandbox_landlock(e->p, e->o, &skipped);
	if (e->r->landlock == -1) {
		e->r->landlock = 0;
		return weaker(e, "no landlock", errno);
	}
	said(e, "landlock abi %d", e->r->landlock);
	if (skipped != 0)
		return weaker(e, "some paths do not exist", ENOENT);
	return 0;
}

static int
step_seccomp(struct entry *e)
{
	if (PRIV_SANITIZED)
		return 0;
	e->r->seccomp = sandbox_seccomp(e->p);
	if (e->r->seccomp == -1) {
		e->r->seccomp = 0;
		return weaker(e, "no seccomp", errno);
	}
	said(e, "seccomp %d rules", e->r->seccomp);
	return 0;
}

int
priv_enter(const struct policy *p, const struct priv_opts *o,
    struct priv_result *r)
{
	static int	 (*const steps[])(struct entry *) = {
		step_check, step_user, step_root, step_ids, step_proof,
		step_limits, step_flags, step_landlock, step_seccomp
	};
	struct entry	 e;
	size_t		 i;

	memset(r, 0, sizeof(*r));
	memset(&e, 0, sizeof(e));
	e.p = p;
	e.o = o;
	e.r = r;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i](&e) == -1)
			return -1;
	return 0;
}
