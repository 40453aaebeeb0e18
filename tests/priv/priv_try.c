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
 * What the probe tries from inside each row, and what the row's rights let
 * one expect.  Each attempt leaves the process as it was; the last ones may
 * not, in the control row, which is why they are last.
 */

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "priv_probe.h"

#define DOCKER_SOCKET	"/var/run/docker.sock"

int
is_parent(const struct ctx *c)
{
	return c->p->role == ROLE_SUPERVISOR;
}

enum expect
when(int yes)
{
	return yes ? ALLOW : DENY;
}

/* Expectations.  The control row needs root for most of them. */
static enum expect
x_never(const struct ctx *c)
{
	return is_parent(c) ? (c->root ? ALLOW : SKIP) : DENY;
}

static enum expect
x_parent(const struct ctx *c)
{
	return when(is_parent(c));
}

enum expect
x_refused(const struct ctx *c)
{
	return is_parent(c) ? SKIP : DENY;
}

static enum expect
x_always(const struct ctx *c)
{
	(void)c;
	return ALLOW;
}

/* Where "/" stays, only Landlock is in the way. */
static enum expect
x_hostfile(const struct ctx *c)
{
	if (!is_parent(c) && c->p->root == POLICY_ROOT_HOST &&
	    c->r.landlock == 0)
		return SKIP;
	return when(is_parent(c));
}

static enum expect
x_abstract(const struct ctx *c)
{
	if (is_parent(c) || !(c->p->rights & MAY_CONNECT_UNIX))
		return when(is_parent(c));
	return c->r.landlock >= 6 ? DENY : SKIP;
}

static enum expect
x_docker(const struct ctx *c)
{
	if (access(DOCKER_SOCKET, F_OK) == -1 && is_parent(c))
		return SKIP;
	/* Whether the row is in that socket's group is not known here. */
	if (c->p->rights & MAY_CONNECT_UNIX)
		return SKIP;
	return DENY;
}

#define EXPECT_RIGHT(name, bits)				\
static enum expect						\
name(const struct ctx *c)					\
{								\
	return when((c->p->rights & (bits)) != 0);		\
}
EXPECT_RIGHT(x_read, MAY_READ)
EXPECT_RIGHT(x_write, MAY_WRITE)
EXPECT_RIGHT(x_unix, MAY_CONNECT_UNIX)
EXPECT_RIGHT(x_tcp, MAY_CONNECT_TCP)
EXPECT_RIGHT(x_listen, MAY_LISTEN_UNIX)
EXPECT_RIGHT(x_accept, MAY_ACCEPT | MAY_LISTEN_UNIX)
EXPECT_RIGHT(x_fork, MAY_FORK)
EXPECT_RIGHT(x_exec, MAY_EXEC)
EXPECT_RIGHT(x_thread, MAY_THREAD)
EXPECT_RIGHT(x_kill, MAY_KILL)

static enum expect
x_code(const struct ctx *c)
{
	return when((c->p->rights & MAY_EXEC) != 0 ||
	    c->p->root == POLICY_ROOT_HOST);
}

/* Attempts.  Each leaves the child as it was. */
static int
rv(long ret)
{
	return ret == -1 ? errno : 0;
}

static int
try_open(const char *path, int flags)
{
	int	 fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd == -1)
		return errno;
	close(fd);
	return 0;
}

static const char *
own(const struct ctx *c, const char *name)
{
	static char	 path[128];

	/* The working directory is the row's root, chroot or not. */
	if (c->p->root == POLICY_ROOT_STATE)
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%s/%s", c->dir, name);
	return path;
}

static int
t_passwd(struct ctx *c)
{
	(void)c;
	return try_open("/etc/passwd", O_RDONLY);
}

static int
t_environ(struct ctx *c)
{
	char	 path[64];

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)c->twin);
	return try_open(path, O_RDONLY);
}

static int
t_init_environ(struct ctx *c)
{
	(void)c;
	return try_open("/proc/1/environ", O_RDONLY);
}

static int
t_root_list(struct ctx *c)
{
	return try_open(c->base, O_RDONLY | O_DIRECTORY);
}

static int
t_root_write(struct ctx *c)
{
	char	 path[128];

	snprintf(path, sizeof(path), "%s/probe",
	    c->p->root == POLICY_ROOT_HOST ? c->base : "");
	/* "/probe" is in the row's own directory there. */
	if (c->p->root == POLICY_ROOT_STATE && c->r.chrooted)
		return -1;
	return try_open(path, O_WRONLY | O_CREAT);
}

static int
t_dot_write(struct ctx *c)
{
	if (c->p->root != POLICY_ROOT_EMPTY)
		return -1;
	return try_open("probe", O_WRONLY | O_CREAT);
}

static int
t_own_read(struct ctx *c)
{
	return try_open(own(c, "data"), O_RDONLY);
}

static int
t_own_write(struct ctx *c)
{
	return try_open(own(c, "new"), O_WRONLY | O_CREAT);
}

static int
t_own_chmod(struct ctx *c)
{
	return rv(chmod(own(c, "data"), 0640));
}

static int
t_own_rename(struct ctx *c)
{
	char	 from[128];

	snprintf(from, sizeof(from), "%s", own(c, "data"));
	if (rename(from, own(c, "moved")) == -1)
		return errno;
	snprintf(from, sizeof(from), "%s", own(c, "moved"));
	return rv(rename(from, own(c, "data")));
}

static int
connect_unix(const struct sockaddr_un *sun, socklen_t len)
{
	int	 fd, error;

	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return errno;
	error = rv(connect(fd, (const struct sockaddr *)sun, len));
	close(fd);
	return error;
}

static int
connect_path(const char *path)
{
	struct sockaddr_un	 sun;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	return connect_unix(&sun, sizeof(sun));
}

static int
t_unix(struct ctx *c)
{
	return connect_path(c->sock);
}

static int
t_docker(struct ctx *c)
{
	(void)c;
	return connect_path(DOCKER_SOCKET);
}

static int
t_abstract(struct ctx *c)
{
	return connect_unix(&c->abstract, c->abstractlen);
}

static int
t_tcp(struct ctx *c)
{
	int	 fd, error;

	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return errno;
	error = rv(connect(fd, (struct sockaddr *)&c->tcp, sizeof(c->tcp)));
	close(fd);
	return error;
}

static int
t_packet(struct ctx *c)
{
	int	 fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)c;
	if (fd == -1)
		return errno;
	close(fd);
	return 0;
}

static int
t_tcp_listen(struct ctx *c)
{
	struct sockaddr_in	 sin = c->tcp;
	int			 fd, error;

	sin.sin_port = 0;
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return errno;
	error = rv(bind(fd, (struct sockaddr *)&sin, sizeof(sin)));
	if (error == 0)
		error = rv(listen(fd, 1));
	close(fd);
	return error;
}

static int
t_unix_listen(struct ctx *c)
{
	struct sockaddr_un	 sun;
	int			 fd, error;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	if (snprintf(sun.sun_path, sizeof(sun.sun_path), "%s",
	    own(c, "listen")) >= (int)sizeof(sun.sun_path))
		return -1;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return errno;
	error = rv(bind(fd, (struct sockaddr *)&sun, sizeof(sun)));
	if (error == 0)
		error = rv(listen(fd, 1));
	close(fd);
	return error;
}

static int
t_accept(struct ctx *c)
{
	int	 fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd == -1)	/* nobody calls; it would have worked */
		return errno == EAGAIN ? 0 : errno;
	close(fd);
	return 0;
}

static int
t_fork(struct ctx *c)
{
	pid_t	 pid = fork();

	(void)c;
	if (pid == -1)
		return errno;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return 0;
}

/* By descriptor: an empty root has nothing to execute by name. */
static int
t_exec(struct ctx *c)
{
	char	*argv[] = { (char *)"true", NULL }, *envp[] = { NULL };
	int	 status = 0;
	pid_t	 pid = 0;

	if ((c->p->rights & MAY_FORK) && (pid = fork()) != 0) {
		waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
	}
	syscall(SYS_execveat, c->true_fd, "", argv, envp, AT_EMPTY_PATH);
	if (c->p->rights & MAY_FORK)
		_exit(errno);
	return errno;
}

static void *
thread(void *arg)
{
	return arg;
}

static int
t_thread(struct ctx *c)
{
	pthread_t	 t;
	int		 error;

	(void)c;
	if ((error = pthread_create(&t, NULL, thread, NULL)) == 0)
		pthread_join(t, NULL);
	return error;
}

static int
t_ptrace(struct ctx *c)
{
	if (ptrace(PTRACE_SEIZE, c->twin, NULL, NULL) == -1)
		return errno;
	return 0;	/* ends with this process */
}

static int
t_vm_read(struct ctx *c)
{
	char		 buf[8];
	struct iovec	 here = { buf, sizeof(buf) };
	struct iovec	 there = { c->secret, sizeof(buf) };

	return rv(process_vm_readv(c->twin, &here, 1, &there, 1, 0));
}

static int
t_kill_twin(struct ctx *c)
{
	return rv(kill(c->twin, SIGCONT));
}

static int
t_kill_other(struct ctx *c)
{
	/* SIGCONT may cross uids within a session. */
	return rv(kill(c->other, 0));
}

static int
t_kill_self(struct ctx *c)
{
	(void)c;
	return rv(kill(getpid(), 0));
}

static int
t_tgkill_self(struct ctx *c)
{
	(void)c;
	return rv(syscall(SYS_tgkill, getpid(), getpid(), SIGCONT));
}

static int
t_pidfd(struct ctx *c)
{
	long	 fd = syscall(SYS_pidfd_open, c->twin, 0);

	if (fd == -1)
		return errno;
	close((int)fd);
	return 0;
}

static int
t_setuid(struct ctx *c)
{
	(void)c;
	return rv(setuid(0));
}

static int
t_setgroups(struct ctx *c)
{
	gid_t	 g = 0;

	(void)c;
	return rv(setgroups(1, &g));
}

static int
t_unshare(struct ctx *c)
{
	(void)c;
	return rv(unshare(CLONE_NEWNS));
}

static int
t_unshare_user(struct ctx *c)
{
	(void)c;
	return rv(unshare(CLONE_NEWUSER));
}

static int
t_mount(struct ctx *c)
{
	if (mount("none", c->dir, "tmpfs", 0, NULL) == -1)
		return errno;
	return rv(umount2(c->dir, MNT_DETACH));
}

static int
t_chroot(struct ctx *c)
{
	(void)c;
	return rv(chroot("/"));
}

static int
t_mmap_exec(struct ctx *c)
{
	void	*m = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)c;
	if (m == MAP_FAILED)
		return errno;
	munmap(m, 4096);
	return 0;
}

static int
t_mprotect_exec(struct ctx *c)
{
	void	*m = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int	 error;

	(void)c;
	error = rv(mprotect(m, 4096, PROT_READ | PROT_EXEC));
	munmap(m, 4096);
	return error;
}

/* Refused by the filter itself: EPERM whatever the arguments. */
static int
refused(long nr, long a0, long a1)
{
	long	 ret = syscall(nr, a0, a1, 0, 0, 0, 0);

	if (ret == -1 && errno == EPERM)
		return EPERM;
	return 0;
}

#define TRY_REFUSED(name, nr, a0, a1)				\
static int							\
name(struct ctx *c)						\
{								\
	(void)c;						\
	return refused(nr, a0, a1);				\
}
TRY_REFUSED(t_bpf, SYS_bpf, -1, 0)
TRY_REFUSED(t_keyctl, SYS_keyctl, -1, 0)
TRY_REFUSED(t_uring, SYS_io_uring_setup, 0, 0)
TRY_REFUSED(t_userfault, SYS_userfaultfd, -1, 0)
TRY_REFUSED(t_perf, SYS_perf_event_open, 0, 0)
TRY_REFUSED(t_handle, SYS_open_by_handle_at, -1, 0)
TRY_REFUSED(t_personality, SYS_personality, 0xffffffffL, 0)
TRY_REFUSED(t_setns, SYS_setns, -1, 0)
TRY_REFUSED(t_module, SYS_finit_module, -1, 0)
TRY_REFUSED(t_kexec, SYS_kexec_load, 0, -1)
TRY_REFUSED(t_shm, SYS_shmget, 0, 0)
TRY_REFUSED(t_clone_ns, SYS_clone, CLONE_NEWNET | SIGCHLD, 0)
TRY_REFUSED(t_dumpable, SYS_prctl, PR_SET_DUMPABLE, 1)
/* The kernel takes 32 bits of these, a careless filter compares 64. */
TRY_REFUSED(t_tiocsti, SYS_ioctl, -1, 0x5412)
TRY_REFUSED(t_tiocsti_high, SYS_ioctl, -1, 0x100005412L)
TRY_REFUSED(t_dumpable_high, SYS_prctl, 0x100000000L | PR_SET_DUMPABLE, 1)

static int
t_state(struct ctx *c)
{
	uid_t	 r, e, s;
	gid_t	 rg, eg, sg, groups[8];

	if (is_parent(c))
		return -1;
	if (getresuid(&r, &e, &s) == -1 || getresgid(&rg, &eg, &sg) == -1)
		return errno;
	if (r != c->uid || e != c->uid || s != c->uid || rg != c->gid ||
	    eg != c->gid || sg != c->gid || r == 0)
		return EPERM;
	if (c->root && getgroups(8, groups) != 1)
		return EPERM;
	if (c->root && c->p->root != POLICY_ROOT_HOST && !c->r.chrooted)
		return ENOTDIR;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return EACCES;
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 ? 0 : ENOSYS;
}

static int
t_limits(struct ctx *c)
{
	struct rlimit	 core, files, data;

	if (is_parent(c))
		return -1;
	if (getrlimit(RLIMIT_CORE, &core) == -1 ||
	    getrlimit(RLIMIT_NOFILE, &files) == -1 ||
	    getrlimit(RLIMIT_DATA, &data) == -1)
		return errno;
	if (core.rlim_max != 0 || files.rlim_max > c->p->nofile ||
	    data.rlim_max > (rlim_t)c->p->data_mb << 20)
		return ERANGE;
	return 0;
}

/* Everyday calls that must go on working, at the end of the row. */
static int
t_everyday(struct ctx *c)
{
	struct timespec	 ts;
	char		 rnd[8], *m;
	int		 sv[2];

	(void)c;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1 ||
	    write(sv[0], "x", 1) != 1 || read(sv[1], rnd, 1) != 1 ||
	    getentropy(rnd, sizeof(rnd)) == -1 ||
	    clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		return errno;
	close(sv[0]);
	close(sv[1]);
	if ((m = malloc(8 << 20)) == NULL)
		return ENOMEM;
	memset(m, 1, 8 << 20);
	free(m);
	return 0;
}

const struct attempt attempts[] = {
	{ "ids, no_new_privs, seccomp in force", t_state,	x_always },
	{ "limits in force",			t_limits,	x_always },
	{ "open /etc/passwd",			t_passwd,	x_hostfile },
	{ "open a sibling's environment",	t_environ,	x_parent },
	{ "open /proc/1/environ",		t_init_environ,	x_refused },
	{ "list a directory of the host",	t_root_list,	x_hostfile },
	{ "write to /",				t_root_write,	x_parent },
	{ "write to its working directory",	t_dot_write,	x_refused },
	{ "read a file of its own",		t_own_read,	x_read },
	{ "make a file of its own",		t_own_write,	x_write },
	{ "chmod a file of its own",		t_own_chmod,	x_write },
	{ "rename a file of its own",		t_own_rename,	x_write },
	{ "connect to a unix socket",		t_unix,		x_unix },
	{ "connect to Docker's socket",		t_docker,	x_docker },
	{ "connect to an abstract socket",	t_abstract,	x_abstract },
	{ "connect over TCP",			t_tcp,		x_tcp },
	{ "packet socket",			t_packet,	x_never },
	{ "listen on TCP",			t_tcp_listen,	x_parent },
	{ "listen on a unix socket",		t_unix_listen,	x_listen },
	{ "accept on a passed listener",	t_accept,	x_accept },
	{ "fork",				t_fork,		x_fork },
	{ "exec by descriptor",			t_exec,		x_exec },
	{ "start a thread",			t_thread,	x_thread },
	{ "process_vm_readv of a sibling",	t_vm_read,	x_never },
	{ "ptrace a sibling",			t_ptrace,	x_never },
	{ "kill a sibling of its uid",		t_kill_twin,	x_kill },
	{ "kill a sibling of another uid",	t_kill_other,	x_never },
	{ "kill itself",			t_kill_self,	x_always },
	{ "tgkill itself",			t_tgkill_self,	x_always },
	{ "pidfd of a sibling",			t_pidfd,	x_parent },
	{ "setgroups",				t_setgroups,	x_never },
	{ "setuid(0)",				t_setuid,	x_never },
	{ "map executable memory",		t_mmap_exec,	x_code },
	{ "make memory executable",		t_mprotect_exec, x_code },
	{ "bpf",				t_bpf,		x_refused },
	{ "keyctl",				t_keyctl,	x_refused },
	{ "io_uring",				t_uring,	x_refused },
	{ "userfaultfd",			t_userfault,	x_refused },
	{ "perf_event_open",			t_perf,		x_refused },
	{ "open_by_handle_at",			t_handle,	x_refused },
	{ "personality",			t_personality,	x_refused },
	{ "setns",				t_setns,	x_refused },
	{ "load a module",			t_module,	x_refused },
	{ "kexec",				t_kexec,	x_refused },
	{ "System V shared memory",		t_shm,		x_refused },
	{ "clone into a network namespace",	t_clone_ns,	x_refused },
	{ "become dumpable",			t_dumpable,	x_refused },
	{ "become dumpable, high bits set",	t_dumpable_high, x_refused },
	{ "TIOCSTI",				t_tiocsti,	x_refused },
	{ "TIOCSTI, high bits set",		t_tiocsti_high,	x_refused },
	{ "everyday calls",			t_everyday,	x_always },
	{ "chroot",				t_chroot,	x_never },
	{ "mount",				t_mount,	x_never },
	{ "unshare mounts",			t_unshare,	x_never },
	{ "unshare users",			t_unshare_user,	x_never }
};
const int nattempts = (int)(sizeof(attempts) / sizeof(attempts[0]));
