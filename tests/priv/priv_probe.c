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
 * Takes every row of the policy table in a child of its own and tries what
 * the row does not allow, and what it does: expectations come from the row's
 * rights.  The supervisor's row is the control: there, without priv_enter,
 * every attempt has to work, else a refusal elsewhere would prove nothing.
 *
 * priv_probe [-d]: TAP.  As root all rows; -d drops to nobody first.
 * priv_probe -t: the table, tab-separated, for live.py.
 */

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "priv_probe.h"

/* One answer of the child. */
struct answer {
	int	index;
	int	error;
};

static int	 passed, failed, skipped, tests;

static void
tap(enum expect ok, const char *fmt, ...)
{
	char	 buf[300];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	tests++;
	if (ok == SKIP) {
		skipped++;
		printf("ok %d # skip %s\n", tests, buf);
	} else if (ok == ALLOW) {
		passed++;
		printf("ok %d %s\n", tests, buf);
	} else {
		failed++;
		printf("not ok %d %s\n", tests, buf);
	}
	fflush(stdout);
}

/* A process to be attacked: waits until its parent dies or kills it. */
static pid_t
victim(uid_t uid, gid_t gid)
{
	int	 ready[2];
	pid_t	 pid;
	char	 b;

	if (pipe(ready) == -1 || (pid = fork()) == -1)
		err(1, "victim");
	if (pid == 0) {
		if (geteuid() == 0 && (setgroups(0, NULL) == -1 ||
		    setresgid(gid, gid, gid) == -1 ||
		    setresuid(uid, uid, uid) == -1))
			_exit(1);
		/* The kernel would refuse on its own otherwise. */
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)!write(ready[1], "r", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &b, 1) != 1)
		errx(1, "victim did not start");
	close(ready[0]);
	return pid;
}

static int
listen_at(struct sockaddr *sa, socklen_t len)
{
	int	 fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0);

	if (fd == -1 || bind(fd, sa, len) == -1 || listen(fd, 64) == -1)
		err(1, "listen");
	return fd;
}

static void
world_make(struct ctx *c)
{
	static char		 secret[8] = "secret";
	struct sockaddr_un	 sun;
	socklen_t		 len = sizeof(c->tcp);
	int			 fd;

	memset(c, 0, sizeof(*c));
	c->root = geteuid() == 0;
	c->secret = secret;
	snprintf(c->base, sizeof(c->base), "/tmp/xbot-priv.XXXXXX");
	if (mkdtemp(c->base) == NULL || chmod(c->base, 0755) == -1)
		err(1, "%s", c->base);
	snprintf(c->sock, sizeof(c->sock), "%s/sock", c->base);
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", c->sock);
	listen_at((struct sockaddr *)&sun, sizeof(sun));
	if (chmod(c->sock, 0666) == -1)
		err(1, "chmod");
	c->abstract.sun_family = AF_UNIX;
	snprintf(c->abstract.sun_path + 1, 64, "xbot-priv-%d", (int)getpid());
	c->abstractlen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    1 + strlen(c->abstract.sun_path + 1));
	listen_at((struct sockaddr *)&c->abstract, c->abstractlen);
	c->tcp.sin_family = AF_INET;
	c->tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = listen_at((struct sockaddr *)&c->tcp, sizeof(c->tcp));
	if (getsockname(fd, (struct sockaddr *)&c->tcp, &len) == -1)
		err(1, "getsockname");
	c->listener = fd;
	if ((c->true_fd = open("/bin/true", O_RDONLY | O_CLOEXEC)) == -1)
		err(1, "/bin/true");
	c->other = victim(65533, 65533);
}

static void
row_make(struct ctx *c, const struct policy *p)
{
	char	 data[96];
	int	 fd, fallback;

	c->p = p;
	c->uid = getuid();
	c->gid = getgid();
	if (c->root && !is_parent(c) &&
	    priv_user(p, PRIV_PREFER, &c->uid, &c->gid, &fallback) == -1)
		err(1, "%s: no user", p->name);
	snprintf(c->dir, sizeof(c->dir), "%s/%s", c->base, p->name);
	if (mkdir(c->dir, 0700) == -1 || chown(c->dir, c->uid, c->gid) == -1)
		err(1, "%s", c->dir);
	snprintf(data, sizeof(data), "%s/data", c->dir);
	if ((fd = open(data, O_WRONLY | O_CREAT, 0600)) == -1 ||
	    fchown(fd, c->uid, c->gid) == -1)
		err(1, "%s", data);
	close(fd);
	c->twin = victim(c->uid, c->gid);
}

static void
opts_make(struct priv_opts *o, const struct ctx *c)
{
	memset(o, 0, sizeof(*o));
	o->mode = c->root ? PRIV_REQUIRE : PRIV_PREFER;
	o->state = c->dir;
	o->paths[0].path = c->dir;
	o->paths[0].rights = MAY_READ | MAY_WRITE | MAY_LISTEN_UNIX;
	o->npaths = 1;
}

/* The child: takes the row, then answers each attempt on the pipe. */
static void
row_child(struct ctx *c, int out)
{
	struct priv_opts	 o;
	struct answer		 a = { -1, 0 };

	if (!is_parent(c)) {
		opts_make(&o, c);
		if (priv_enter(c->p, &o, &c->r) == -1)
			a.error = errno;
	}
	(void)!write(out, &a, sizeof(a));
	(void)!write(out, &c->r, sizeof(c->r));
	if (a.error != 0)
		_exit(1);
	for (a.index = 0; a.index < nattempts; a.index++) {
		/* What is only refused may be done by the control. */
		a.error = is_parent(c) &&
		    attempts[a.index].expect == x_refused ? -1 :
		    attempts[a.index].try(c);
		(void)!write(out, &a, sizeof(a));
	}
	if (is_parent(c))
		_exit(0);
#ifdef __x86_64__
	/* The x32 call table goes around no filter: it kills. */
	syscall(0x40000000 | SYS_getpid);
	_exit(2);
#else
	raise(SIGSYS);
#endif
}

static int
get(int fd, void *buf, size_t len)
{
	size_t	 have = 0;
	ssize_t	 n;

	while (have < len) {
		n = read(fd, (char *)buf + have, len - have);
		if (n <= 0)
			return -1;
		have += (size_t)n;
	}
	return 0;
}

static void
row_judge(struct ctx *c, const struct answer *a)
{
	const struct attempt	*t = &attempts[a->index];
	enum expect		 want = t->expect(c);
	const char		*name = c->p->name;

	if (want == SKIP || a->error == -1)
		tap(SKIP, "%s: %s", name, t->name);
	else if (want == ALLOW)
		tap(a->error == 0 ? ALLOW : DENY, "%s: %s works%s%s", name,
		    t->name, a->error ? ": " : "",
		    a->error ? strerror(a->error) : "");
	else
		tap(a->error != 0 ? ALLOW : DENY, "%s: %s is refused%s%s",
		    name, t->name, a->error ? ": " : "",
		    a->error ? strerror(a->error) : ", it worked");
}

static void
row_run(struct ctx *c, const struct policy *p)
{
	struct answer	 a;
	int		 fds[2], i, status;
	pid_t		 pid;

	if (c->root && p->user == NULL && p->role != ROLE_SUPERVISOR) {
		tap(SKIP, "%s: its uid range comes with the row", p->name);
		return;
	}
	memset(&c->r, 0, sizeof(c->r));
	row_make(c, p);
	fflush(stdout);
	if (pipe2(fds, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		err(1, "fork");
	if (pid == 0)
		row_child(c, fds[1]);
	close(fds[1]);
	if (get(fds[0], &a, sizeof(a)) == -1 ||
	    get(fds[0], &c->r, sizeof(c->r)) == -1)
		errx(1, "%s: the child went away", p->name);
	tap(when(a.error == 0), "%s: enters (%s)", p->name, c->r.text);
	for (i = 0; a.error == 0 && i < nattempts; i++) {
		if (get(fds[0], &a, sizeof(a)) == -1 || a.index != i) {
			tap(DENY, "%s: %s: the child went away", p->name,
			    attempts[i].name);
			break;
		}
		row_judge(c, &a);
		a.error = 0;
	}
	close(fds[0]);
	waitpid(pid, &status, 0);
	if (p->role != ROLE_SUPERVISOR)
		tap(when(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS),
		    "%s: a foreign system call kills", p->name);
	kill(c->twin, SIGKILL);
	waitpid(c->twin, NULL, 0);
}

/* Modes: what is an error, what is only told. */
struct mode_case {
	const char	*name;
	enum role	 role;
	int		 as_root;	/* 1, 0, -1: both */
	enum priv_mode	 mode;
	const char	*user;		/* instead of the row's */
	const char	*empty;
	int		 nostate;
	int		 ok;
	int		 degraded;
};

static const struct mode_case mode_cases[] = {
	{ "require, all there", ROLE_FRONT, 1, PRIV_REQUIRE, NULL, NULL, 0,
	    1, 0 },
	{ "require, no root", ROLE_FRONT, 0, PRIV_REQUIRE, NULL, NULL, 0,
	    0, 0 },
	{ "prefer, no root", ROLE_FRONT, 0, PRIV_PREFER, NULL, NULL, 0, 1, 1 },
	{ "require, no such user", ROLE_FRONT, 1, PRIV_REQUIRE,
	    "_xbotnosuch", NULL, 0, 0, 0 },
	{ "prefer, no such user", ROLE_FRONT, 1, PRIV_PREFER,
	    "_xbotnosuch", NULL, 0, 1, 1 },
	{ "prefer, the user is root", ROLE_FRONT, 1, PRIV_PREFER, "root",
	    NULL, 0, 0, 0 },
	{ "require, no empty root", ROLE_FRONT, 1, PRIV_REQUIRE, NULL,
	    "/nonexistent", 0, 0, 0 },
	{ "prefer, no empty root", ROLE_FRONT, 1, PRIV_PREFER, NULL,
	    "/nonexistent", 0, 1, 1 },
	{ "require, empty root open to all", ROLE_FRONT, 1, PRIV_REQUIRE,
	    NULL, "/tmp", 0, 0, 0 },
	{ "prefer, empty root open to all", ROLE_FRONT, 1, PRIV_PREFER,
	    NULL, "/tmp", 0, 1, 1 },
	{ "prefer, no state directory", ROLE_LEDGER, -1, PRIV_PREFER, NULL,
	    NULL, 1, 0, 0 },
	{ "prefer, the parent's row", ROLE_SUPERVISOR, -1, PRIV_PREFER, NULL,
	    NULL, 0, 0, 0 }
};

/* 0: as expected; else the number of the check that was not. */
static int
mode_child(const struct ctx *c, const struct mode_case *m)
{
	struct policy		 p = *policy_get(m->role);
	struct priv_opts	 o;
	struct priv_result	 r;
	int			 ret;

	opts_make(&o, c);
	o.mode = m->mode;
	o.empty = m->empty;
	if (m->nostate)
		o.state = NULL;
	if (m->user != NULL)
		p.user = m->user;
	ret = priv_enter(&p, &o, &r);
	if ((ret == 0) != m->ok)
		return 1;
	if (r.text[0] == '\0')
		return 2;
	if (ret == -1)
		return 0;
	if (r.degraded != m->degraded)
		return 3;
	if (getuid() == 0 || geteuid() == 0)
		return 4;
	/* Degraded or not: no file of the host. */
	return open("/etc/passwd", O_RDONLY) == -1 ? 0 : 5;
}

static void
modes_run(struct ctx *c)
{
	const struct mode_case	*m;
	size_t			 i;
	int			 status;
	pid_t			 pid;

	for (i = 0; i < sizeof(mode_cases) / sizeof(mode_cases[0]); i++) {
		m = &mode_cases[i];
		if (m->as_root != -1 && m->as_root != c->root)
			continue;
		fflush(stdout);
		if ((pid = fork()) == -1)
			err(1, "fork");
		if (pid == 0)
			_exit(mode_child(c, m));
		waitpid(pid, &status, 0);
		tap(when(WIFEXITED(status) && WEXITSTATUS(status) == 0),
		    "%s: %s (check %d)", m->name, m->ok ? "enters" :
		    "is an error", WIFEXITED(status) ? WEXITSTATUS(status) :
		    -1);
	}
}

static void
table_check(void)
{
	const struct policy	*p, *q;
	int			 i, j, twice = 0;

	for (i = 0; i < ROLE_MAX; i++) {
		p = policy_get((enum role)i);
		tap(when(p->role == (enum role)i &&
		    policy_by_name(p->name) == p->role &&
		    p->footnote != NULL && p->nofile > 0 && p->data_mb > 0),
		    "%s: the row is whole", p->name);
		for (j = 0; j < i; j++) {
			q = policy_get((enum role)j);
			if (p->user != NULL && q->user != NULL &&
			    strcmp(p->user, q->user) == 0)
				twice++;
		}
	}
	tap(when(twice == 0), "no two rows share a user");
	tap(when(policy_get(ROLE_MAX) == NULL &&
	    policy_by_name("nosuch") == ROLE_MAX), "no row outside the table");
}

/* name, binary, user, root (enum), rights, nofile */
static void
table_print(void)
{
	const struct policy	*p;
	char			 rights[128];
	int			 i;

	for (i = 0; i < ROLE_MAX; i++) {
		p = policy_get((enum role)i);
		policy_rights(p->rights, rights, sizeof(rights));
		printf("%s\t%s\t%s\t%s\t%s\t%lu\n", p->name,
		    p->binary != NULL ? p->binary : "-",
		    p->user != NULL ? p->user : "-",
		    p->root == POLICY_ROOT_HOST ? "host" :
		    p->root == POLICY_ROOT_EMPTY ? "empty" : "state",
		    rights, p->nofile);
	}
}

int
main(int argc, char *argv[])
{
	struct ctx	 c;
	char		 cmd[128];
	int		 i;

	if (argc > 1 && strcmp(argv[1], "-t") == 0) {
		table_print();
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "-d") == 0 && geteuid() == 0 &&
	    (setgroups(0, NULL) == -1 || setresgid(65534, 65534, 65534) == -1 ||
	    setresuid(65534, 65534, 65534) == -1))
		err(1, "drop");
	/* A child that hangs is a failure, not a wait. */
	alarm(120);
	world_make(&c);
	table_check();
	for (i = 0; i < ROLE_MAX; i++)
		row_run(&c, policy_get((enum role)i));
	modes_run(&c);
	kill(c.other, SIGKILL);
	waitpid(c.other, NULL, 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", c.base);
	if (system(cmd) != 0)
		warnx("%s was not removed", c.base);
	printf("1..%d\n", tests);
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed != 0;
}
