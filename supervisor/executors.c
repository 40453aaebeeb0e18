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
 * Runs in: supervisor, as root when it may.  none is trusted with which user
 * it serves, not with a uid, a path or a name: slot and name are checked here
 * again, so that a none taken over reaches slot uids and nothing else.
 */

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/ids.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "supervisor/conf.h"
#include "supervisor/executors.h"
#include "supervisor/paths.h"
#include "supervisor/proc.h"

#define EXECUTOR_FD	3
#define EXECUTOR_IDLE	"600"	/* seconds without children */
#define USER_LEN	(ID_USER_MAX + 1)

/* A uid below this is somebody's: never a slot's. */
#define UID_FLOOR	1000

struct executor {
	TAILQ_ENTRY(executor)	 entry;
	pid_t			 pid;
	uid_t			 uid;
	char			 user[USER_LEN];
};

static TAILQ_HEAD(, executor)	 executors =
				    TAILQ_HEAD_INITIALIZER(executors);
static const struct conf	*conf;
static int			 program = -1;

uint32_t
executors_slots(const struct conf *c)
{
	if (!c->have_host || !c->is_root || c->none.user != NULL)
		return 0;
	return c->none.uid_max - c->none.uid_min + 1;
}

/* Under which uid that slot's commands run. */
static bool
slot_uid(uint32_t slot, uid_t *uid, gid_t *gid)
{
	struct passwd *pw;

	if (!conf->is_root) {
		*uid = getuid();
		*gid = getgid();
		return true;
	}
	if (conf->none.user != NULL) {
		if ((pw = getpwnam(conf->none.user)) == NULL ||
		    pw->pw_uid == 0)
			return false;
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
		return true;
	}
	if (slot >= executors_slots(conf))
		return false;
	*uid = conf->none.uid_min + slot;
	*gid = (gid_t)*uid;
	return *uid >= UID_FLOOR;
}

bool
executors_init(const struct conf *c)
{
	uid_t	uid;
	gid_t	gid;

	conf = c;
	if (!conf->have_host)
		return true;
	if (conf->none.user != NULL && !slot_uid(0, &uid, &gid)) {
		log_errorx("none user %s: no such user", conf->none.user);
		return false;
	}
	if (program == -1 && (program = libexec_open("xbot-executor")) == -1)
		return false;
	/* 0711: users reach their own directory and list no other's. */
	if (!dirs_make(conf->none.base, 0711)) {
		log_error("workspace %s", conf->none.base);
		return false;
	}
	return true;
}

/*
 * The user's directory beneath the base, made when it is missing.  One that
 * belongs to another uid is refused: it may be another slot's.
 */
static int
workspace_open(const char *user, uid_t uid, gid_t gid, char *why, size_t n)
{
	struct stat	st;
	int		base, dir = -1;

	base = open(conf->none.base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base == -1 ||
	    (mkdirat(base, user, 0700) == -1 && errno != EEXIST) ||
	    (dir = openat(base, user, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC)) == -1 || fstat(dir, &st) == -1)
		goto fail;
	if (st.st_uid == 0 && uid != 0 && (fchown(dir, uid, gid) == -1 ||
	    fstat(dir, &st) == -1))
		goto fail;
	if (st.st_uid != uid) {
		errno = EPERM;
		goto fail;
	}
	close(base);
	return dir;
fail:
	snprintf(why, n, "workspace of %s: %s", user, strerror(errno));
	if (base != -1)
		close(base);
	if (dir != -1)
		close(dir);
	return -1;
}

static bool
limit_set(int which, uint64_t value)
{
	struct rlimit rl = { value, value };

	return value == CONF_OFF || setrlimit(which, &rl) == 0;
}

static bool
setup_limits(void)
{
	return limit_set(RLIMIT_CORE, 0) &&
	    limit_set(RLIMIT_CPU, conf->none.cpu) &&
	    limit_set(RLIMIT_NOFILE, conf->none.nofile) &&
	    limit_set(RLIMIT_FSIZE, conf->none.fsize) &&
	    limit_set(RLIMIT_AS, conf->none.as) &&
	    /* Counted by uid: only where the uid is this user's alone. */
	    (executors_slots(conf) == 0 ||
	    limit_set(RLIMIT_NPROC, conf->none.nproc));
}

static bool
setup_credentials(uid_t uid, gid_t gid)
{
	if (!conf->is_root)
		return true;
	return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
	    setresuid(uid, uid, uid) == 0 && setuid(0) == -1;
}

static bool
setup_descriptors(int fd)
{
	int null;

	if (fd == EXECUTOR_FD || (null = open("/dev/null", O_RDWR)) == -1)
		return false;
	return dup2(null, 0) != -1 && dup2(null, 1) != -1 &&
	    dup2(null, 2) != -1 && dup2(fd, EXECUTOR_FD) != -1;
}

/* After the uid, which clears it; the parent may be gone already. */
static bool
setup_death(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent;
}

static void
executor_exec(const char *user, uid_t uid, gid_t gid, int dir, int fd,
    pid_t parent)
{
	char		 path[PATH_MAX];
	char		*argv[] = { "xbot-executor", "-w", path, "-u",
			    (char *)(uintptr_t)user, "-i", EXECUTOR_IDLE,
			    NULL };
	sigset_t	 none;

	snprintf(path, sizeof(path), "%s/%s", conf->none.base, user);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	if (setsid() == -1 || fchdir(dir) == -1 || !setup_descriptors(fd) ||
	    !setup_limits() || !setup_credentials(uid, gid) ||
	    !setup_death(parent))
		_exit(126);
	fexecve(program, argv, (char *const *)proc_environ);
	_exit(127);
}

static struct executor *
executor_start(const char *user, uint32_t slot, int *sock, char *why,
    size_t whylen)
{
	struct executor	*e;
	gid_t		 gid;
	pid_t		 parent = getpid();
	int		 dir, sv[2] = { -1, -1 };

	if ((e = calloc(1, sizeof(*e))) == NULL ||
	    !slot_uid(slot, &e->uid, &gid)) {
		snprintf(why, whylen, "no uid for slot %u", slot);
		goto fail;
	}
	if ((dir = workspace_open(user, e->uid, gid, why, whylen)) == -1)
		goto fail;
	if (chan_pair(sv) == 0 && (e->pid = fork()) == 0)
		executor_exec(user, e->uid, gid, dir, sv[1], parent);
	close(dir);
	if (e->pid <= 0) {
		snprintf(why, whylen, "executor: %s", strerror(errno));
		goto fail;
	}
	close(sv[1]);
	*sock = sv[0];
	snprintf(e->user, sizeof(e->user), "%s", user);
	TAILQ_INSERT_TAIL(&executors, e, entry);
	return e;
fail:
	if (sv[0] != -1) {
		close(sv[0]);
		close(sv[1]);
	}
	free(e);
	return NULL;
}

void
on_executor_wanted(struct chan *c, const struct msg *m)
{
	const struct ctl_executor_wanted *w = m->body;
	struct ctl_executor		  ok;
	struct ctl_executor_refused	  no;
	struct executor			 *e;
	char				  user[USER_LEN], why[512] = "";
	int				  sock = -1;

	/* The table's FROM knows no difference between none and box. */
	if (c != proc_chan(ROLE_NONE)) {
		chan_refuse(c, "only none has executors on the host");
		return;
	}
	if (!slice_copy(user, sizeof(user), w->user) || !id_user_ok(w->user)) {
		chan_refuse(c, "not a user id");
		return;
	}
	if ((e = executor_start(user, w->slot, &sock, why, sizeof(why))) !=
	    NULL) {
		ok = (struct ctl_executor){ w->user, (uint32_t)e->pid };
		log_debug("executor of %s started, pid %d uid %u", user,
		    e->pid, e->uid);
		chan_send_fd(c, CTL_EXECUTOR, m->serial, &ok, sock);
		return;
	}
	log_warnx("%s", why);
	no = (struct ctl_executor_refused){ w->user, XERR_EIO,
	    slice_str(why) };
	chan_send(c, CTL_EXECUTOR_REFUSED, m->serial, &no);
}

static bool
uid_in_use(uid_t uid)
{
	const struct executor *e;

	TAILQ_FOREACH(e, &executors, entry)
		if (e->uid == uid)
			return true;
	return false;
}

/*
 * What a user's commands left behind ends with the executor.  Signalling -1 is
 * safe only in a process that *is* the slot's uid, which is nobody else's:
 * proven before, never as root, never with a shared uid.
 */
static void
slot_sweep(uid_t uid)
{
	uid_t	r, e, s;
	pid_t	pid;

	if (executors_slots(conf) == 0 || uid < UID_FLOOR ||
	    uid < conf->none.uid_min || uid > conf->none.uid_max ||
	    uid_in_use(uid))
		return;
	if ((pid = fork()) == -1)
		log_warn("sweep of uid %u", uid);
	if (pid != 0) {
		/* A millisecond; and the next executor of this uid must not
		 * be there yet when it strikes. */
		while (pid > 0 && waitpid(pid, NULL, 0) == -1 &&
		    errno == EINTR)
			continue;
		return;
	}
	if (setgroups(0, NULL) == -1 || setresgid(uid, uid, uid) == -1 ||
	    setresuid(uid, uid, uid) == -1 || getresuid(&r, &e, &s) == -1 ||
	    r != uid || e != uid || s != uid || r < UID_FLOOR ||
	    setuid(0) == 0)
		_exit(1);
	kill(-1, SIGKILL);
	_exit(0);
}

bool
executors_exited(pid_t pid, int status)
{
	struct executor *e;

	TAILQ_FOREACH(e, &executors, entry)
		if (e->pid == pid)
			break;
	if (e == NULL)
		return false;
	if (WIFSIGNALED(status))
		log_warnx("executor of %s ended by signal %d", e->user,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warnx("executor of %s exited with status %d", e->user,
		    WEXITSTATUS(status));
	else
		log_debug("executor of %s ended", e->user);
	TAILQ_REMOVE(&executors, e, entry);
	slot_sweep(e->uid);
	free(e);
	return true;
}

void
executors_kill(void)
{
	struct executor *e;

	TAILQ_FOREACH(e, &executors, entry)
		kill(e->pid, SIGTERM);
}
