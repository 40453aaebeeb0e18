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
 * Landlock and seccomp from a row of the policy table.  Runs in: every child,
 * inside priv_enter().
 *
 * seccomp denies by class with EPERM and never kills: a library that probes
 * for a feature must fall back instead of taking the process with it, and a
 * taken-over process gains nothing from a call that fails.  Only a foreign
 * architecture's system call (32-bit, x32) kills: no library does that.
 */

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>

#include "compat/landlock.h"
#include "sandbox.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME		0x00000080
#endif
#ifndef TIOCSTI
#define TIOCSTI			0x5412
#endif
#define TIOCLINUX_CMD		0x541c
#define LOW32			0xffffffffULL

static int	 ll_abi(void);
static int	 ll_ruleset(const struct policy *, int);
static int	 ll_allow(int, const char *, unsigned int, int);
static uint64_t	 ll_rights(unsigned int);
static int	 deny(scmp_filter_ctx, const char *, int *);
static int	 deny_as(scmp_filter_ctx, const char *, uint16_t, int *);
static int	 deny_names(scmp_filter_ctx, const char *const *, uint16_t,
		    int *);
static int	 deny_if(scmp_filter_ctx, const char *, struct scmp_arg_cmp,
		    int *);
static int	 deny_kill(scmp_filter_ctx, pid_t, int *);
static int	 deny_others(scmp_filter_ctx, int *);
static int	 deny_process(scmp_filter_ctx, const struct policy *, int *);
static int	 deny_socket(scmp_filter_ctx, const struct policy *, int *);
static int	 deny_files(scmp_filter_ctx, const struct policy *, int *);
static int	 deny_memory(scmp_filter_ctx, const struct policy *, int *);
static int	 deny_misc(scmp_filter_ctx, const struct policy *, int *);
static int	 filter_build(scmp_filter_ctx, const struct policy *, pid_t,
		    int *);

/*
 * For nobody, whatever the row.  Names that this libseccomp does not know
 * are skipped: they are of kernels newer than it.
 */
static const char *const never[] = {
	/* other processes' memory and descriptors */
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
	"process_mrelease", "kcmp", "pidfd_open", "pidfd_getfd",
	"pidfd_send_signal",
	/* the mount family, and out of the root */
	"mount", "umount", "umount2", "pivot_root", "chroot", "move_mount",
	"open_tree", "open_tree_attr", "fsopen", "fsconfig", "fsmount",
	"fspick", "mount_setattr", "statmount", "listmount",
	"open_by_handle_at", "name_to_handle_at",
	/* namespaces */
	"unshare", "setns",
	/* identity; the last one to change it was priv_enter */
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
	"setfsuid", "setfsgid", "setgroups", "setuid32", "setgid32",
	"setreuid32", "setregid32", "setresuid32", "setresgid32",
	"setfsuid32", "setfsgid32", "setgroups32", "capset", "personality",
	/* the kernel itself, and its large attack surfaces */
	"bpf", "perf_event_open", "kexec_load", "kexec_file_load",
	"init_module", "finit_module", "delete_module", "create_module",
	"reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd",
	"syslog", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old",
	"userfaultfd", "io_uring_setup", "io_uring_enter",
	"io_uring_register", "keyctl", "add_key", "request_key",
	"fanotify_init", "fanotify_mark", "lookup_dcookie", "nfsservctl",
	"uselib", "ustat", "sysfs", "_sysctl", "vhangup", "vserver",
	"lsm_set_self_attr", "vmsplice", "remap_file_pages",
	"migrate_pages", "move_pages",
	/* clocks and names */
	"settimeofday", "clock_settime", "clock_settime64", "clock_adjtime",
	"clock_adjtime64", "adjtimex", "stime", "sethostname",
	"setdomainname",
	/* System V and POSIX queues: a chroot does not cover them */
	"shmget", "shmat", "shmctl", "shmdt", "msgget", "msgsnd", "msgrcv",
	"msgctl", "semget", "semop", "semctl", "semtimedop",
	"semtimedop_time64", "ipc", "mq_open", "mq_unlink", "mq_notify",
	"mq_getsetattr", "mq_timedsend", "mq_timedreceive",
	NULL
};

static const char *const files_open[] = {
	"open", "openat", "openat2", "creat", "inotify_init",
	"inotify_init1", "inotify_add_watch",
	NULL
};

/* Landlock covers some of these, and not the attributes. */
static const char *const files_change[] = {
	"mkdir", "mkdirat", "mknod", "mknodat", "symlink",
	"symlinkat", "link", "linkat", "rename", "renameat", "renameat2",
	"unlink", "unlinkat", "rmdir", "truncate", "truncate64", "chmod",
	"fchmodat", "fchmodat2", "chown", "chown32", "lchown", "lchown32",
	"fchownat", "fchmod", "fchown", "fchown32", "utime", "utimes",
	"utimensat", "utimensat_time64", "futimesat", "setxattr",
	"lsetxattr", "fsetxattr", "setxattrat", "removexattr",
	"lremovexattr", "fremovexattr", "removexattrat", "file_setattr",
	NULL
};

int
sandbox_nocaps(void)
{
	struct __user_cap_header_struct	 hdr;
	struct __user_cap_data_struct	 data[2];

	memset(&hdr, 0, sizeof(hdr));
	memset(data, 0, sizeof(data));
	hdr.version = _LINUX_CAPABILITY_VERSION_3;
	/* Ambient ones first; kernels before 4.3 have none. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &hdr, data) == -1)
		return -1;
	if (syscall(SYS_capget, &hdr, data) == -1)
		return -1;
	if ((data[0].permitted | data[1].permitted | data[0].effective |
	    data[1].effective) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

int
sandbox_flags(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	if (PRIV_SANITIZED)
		return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int
ll_abi(void)
{
	return (int)syscall(LL_NR_CREATE_RULESET, NULL, 0, LL_CREATE_VERSION);
}

static uint64_t
ll_rights(unsigned int rights)
{
	uint64_t	 fs = 0;

	if (rights & MAY_READ)
		fs |= LL_FS_READ_FILE | LL_FS_READ_DIR;
	if (rights & MAY_WRITE)
		fs |= LL_FS_WRITE_FILE | LL_FS_TRUNCATE | LL_FS_MAKE_REG |
		    LL_FS_MAKE_DIR | LL_FS_REMOVE_FILE | LL_FS_REMOVE_DIR |
		    LL_FS_REFER;
	if (rights & MAY_LISTEN_UNIX)
		fs |= LL_FS_MAKE_SOCK | LL_FS_REMOVE_FILE;
	return fs;
}

/* Every right this kernel can handle; ABI 1 has 13 of the file system. */
static int
ll_ruleset(const struct policy *p, int abi)
{
	struct ll_ruleset	 rs;

	memset(&rs, 0, sizeof(rs));
	rs.fs = LL_FS_REFER - 1;
	if (abi >= 2)
		rs.fs |= LL_FS_REFER;
	if (abi >= 3)
		rs.fs |= LL_FS_TRUNCATE;
	if (abi >= 4) {
		rs.net = LL_NET_BIND_TCP;
		if (!(p->rights & MAY_CONNECT_TCP))
			rs.net |= LL_NET_CONNECT_TCP;
	}
	if (abi >= 5)
		rs.fs |= LL_FS_IOCTL_DEV;
	if (abi >= 6) {
		rs.scoped = LL_SCOPE_ABSTRACT_UNIX;
		if (!(p->rights & MAY_KILL))
			rs.scoped |= LL_SCOPE_SIGNAL;
	}
	/* The size is the newest; older kernels want the rest to be zero. */
	return (int)syscall(LL_NR_CREATE_RULESET, &rs, sizeof(rs), 0);
}

static int
ll_allow(int ruleset, const char *path, unsigned int rights, int abi)
{
	struct ll_path_beneath	 rule;
	struct stat		 st;
	int			 rv = -1, saved;

	memset(&rule, 0, sizeof(rule));
	rule.allowed = ll_rights(rights);
	if (abi < 2)
		rule.allowed &= ~LL_FS_REFER;
	if (abi < 3)
		rule.allowed &= ~LL_FS_TRUNCATE;
	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd == -1)
		return -1;
	if (fstat(rule.parent_fd, &st) == -1)
		goto out;
	/* Rights of directories on anything else are EINVAL. */
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= LL_FS_READ_FILE | LL_FS_WRITE_FILE |
		    LL_FS_TRUNCATE;
	if (rule.allowed == 0) {
		rv = 0;
		goto out;
	}
	rv = (int)syscall(LL_NR_ADD_RULE, ruleset, LL_RULE_PATH_BENEATH,
	    &rule, 0);
 out:
	saved = errno;
	(void)close(rule.parent_fd);
	errno = saved;
	return rv;
}

int
sandbox_landlock_make(const struct policy *p, const struct priv_opts *o,
    size_t *skipped)
{
	size_t	 i;
	int	 abi, fd, saved;

	*skipped = 0;
	if ((abi = ll_abi()) < 1) {
		if (abi == 0)
			errno = ENOSYS;
		return -1;
	}
	if ((fd = ll_ruleset(p, abi)) == -1)
		return -1;
	if (p->root == POLICY_ROOT_STATE &&
	    ll_allow(fd, ".", p->rights, abi) == -1)
		goto fail;
	for (i = 0; p->root == POLICY_ROOT_HOST && i < o->npaths; i++) {
		if (ll_allow(fd, o->paths[i].path,
		    o->paths[i].rights & p->rights, abi) == 0)
			continue;
		if (errno != ENOENT && errno != ENOTDIR)
			goto fail;
		(*skipped)++;
	}
	return fd;
 fail:
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

int
sandbox_landlock_enter(int fd)
{
	return (int)syscall(LL_NR_RESTRICT_SELF, fd, 0);
}

int
sandbox_landlock(const struct policy *p, const struct priv_opts *o,
    size_t *skipped)
{
	int	 fd, rv, saved;

	if ((fd = sandbox_landlock_make(p, o, skipped)) == -1)
		return -1;
	rv = sandbox_landlock_enter(fd) == -1 ? -1 : ll_abi();
	saved = errno;
	(void)close(fd);
	errno = saved;
	return rv;
}

/* The three ways to a rule; each counts what it added. */
static int
deny_as(scmp_filter_ctx ctx, const char *name, uint16_t error, int *n)
{
	int	 nr, rv;

	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR || nr < 0)
		return 0;	/* not on this architecture */
	rv = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error), nr, 0);
	if (rv == 0)
		(*n)++;
	return rv;
}

static int
deny(scmp_filter_ctx ctx, const char *name, int *n)
{
	return deny_as(ctx, name, EPERM, n);
}

static int
deny_names(scmp_filter_ctx ctx, const char *const *names, uint16_t error,
    int *n)
{
	int	 rv;

	for (; *names != NULL; names++)
		if ((rv = deny_as(ctx, *names, error, n)) != 0)
			return rv;
	return 0;
}

static int
deny_if(scmp_filter_ctx ctx, const char *name, struct scmp_arg_cmp cmp,
    int *n)
{
	int	 nr, rv;

	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR || nr < 0)
		return 0;
	rv = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 1, cmp);
	if (rv == 0)
		(*n)++;
	return rv;
}

/* A process may end itself (abort, raise), and nobody else. */
static int
deny_kill(scmp_filter_ctx ctx, pid_t self, int *n)
{
	static const char *const	 calls[] = { "kill", "tkill", "tgkill",
	    "rt_sigqueueinfo", "rt_tgsigqueueinfo" };
	size_t				 i;
	int				 rv;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if ((rv = deny_if(ctx, calls[i], SCMP_A0(SCMP_CMP_NE,
		    (scmp_datum_t)self), n)) != 0)
			return rv;
	return deny_others(ctx, n);
}

/* The other ways to touch a process of one's uid: owners of descriptors are
 * sent signals, and schedulers take a pid. */
static int
deny_others(scmp_filter_ctx ctx, int *n)
{
	static const scmp_datum_t	 fcntls[] = { F_SETOWN, F_SETOWN_EX,
	    F_SETSIG };
	static const scmp_datum_t	 ioctls[] = { FIOSETOWN, SIOCSPGRP };
	static const char *const	 pid_first[] = { "sched_setaffinity",
	    "sched_setscheduler", "sched_setparam", "sched_setattr" };
	static const char *const	 pid_second[] = { "setpriority",
	    "ioprio_set" };
	size_t				 i;
	int				 rv = 0;

	for (i = 0; i < 3 && rv == 0; i++)
		rv = deny_if(ctx, "fcntl", SCMP_A1(SCMP_CMP_MASKED_EQ, LOW32,
		    fcntls[i]), n);
	for (i = 0; i < 2 && rv == 0; i++)
		rv = deny_if(ctx, "ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, LOW32,
		    ioctls[i]), n);
	for (i = 0; i < 4 && rv == 0; i++)
		rv = deny_if(ctx, pid_first[i], SCMP_A0(SCMP_CMP_NE, 0), n);
	for (i = 0; i < 2 && rv == 0; i++)
		rv = deny_if(ctx, pid_second[i], SCMP_A1(SCMP_CMP_NE, 0), n);
	return rv;
}

/* fork, exec, namespaces through clone. */
static int
deny_process(scmp_filter_ctx ctx, const struct policy *p, int *n)
{
	static const scmp_datum_t	 spaces[] = { CLONE_NEWNS,
	    CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
	    CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWTIME };
	size_t				 i;
	int				 rv = 0;

	/* Its flags are in memory; ENOSYS sends libc back to clone. */
	if ((rv = deny_as(ctx, "clone3", ENOSYS, n)) != 0)
		return rv;
	if (!(p->rights & MAY_EXEC))
		if ((rv = deny(ctx, "execve", n)) != 0 ||
		    (rv = deny(ctx, "execveat", n)) != 0)
			return rv;
	if (!(p->rights & MAY_FORK)) {
		if ((rv = deny(ctx, "fork", n)) != 0 ||
		    (rv = deny(ctx, "vfork", n)) != 0)
			return rv;
		if (!(p->rights & MAY_THREAD))
			return deny(ctx, "clone", n);
		if ((rv = deny_if(ctx, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ,
		    CLONE_THREAD, 0), n)) != 0)
			return rv;
	}
	for (i = 0; i < sizeof(spaces) / sizeof(spaces[0]) && rv == 0; i++)
		rv = deny_if(ctx, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ,
		    spaces[i], spaces[i]), n);
	return rv;
}

/* One right of a set allows the call: listen-unix needs bind, and so on. */
static int
deny_socket(scmp_filter_ctx ctx, const struct policy *p, int *n)
{
	static const struct {
		const char	*call;
		unsigned int	 needs;
	} calls[] = {
		{ "socket",	MAY_LISTEN_UNIX | MAY_CONNECT_UNIX |
				MAY_CONNECT_TCP },
		{ "connect",	MAY_CONNECT_UNIX | MAY_CONNECT_TCP },
		{ "bind",	MAY_LISTEN_UNIX | MAY_CONNECT_TCP },
		{ "listen",	MAY_LISTEN_UNIX },
		{ "accept",	MAY_ACCEPT | MAY_LISTEN_UNIX },
		{ "accept4",	MAY_ACCEPT | MAY_LISTEN_UNIX }
	};
	scmp_datum_t	 af;
	size_t		 i;
	int		 rv;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!(p->rights & calls[i].needs) &&
		    (rv = deny(ctx, calls[i].call, n)) != 0)
			return rv;
	if ((rv = deny_if(ctx, "socketpair", SCMP_A0(SCMP_CMP_NE, AF_UNIX),
	    n)) != 0)
		return rv;
	if (!(p->rights & calls[0].needs))
		return 0;
	for (af = 0; af < AF_NETLINK; af++) {
		if (af == AF_UNIX &&
		    (p->rights & (MAY_LISTEN_UNIX | MAY_CONNECT_UNIX)))
			continue;
		if ((af == AF_INET || af == AF_INET6) &&
		    (p->rights & MAY_CONNECT_TCP))
			continue;
		if ((rv = deny_if(ctx, "socket", SCMP_A0(SCMP_CMP_EQ, af),
		    n)) != 0)
			return rv;
	}
	/* getaddrinfo asks netlink (and binds) for the order of addresses. */
	return deny_if(ctx, "socket", SCMP_A0(p->rights & MAY_CONNECT_TCP ?
	    SCMP_CMP_GT : SCMP_CMP_GE, AF_NETLINK), n);
}

/*
 * Stands beside chroot and Landlock, and in their place where neither works.
 * A row without a file right opens nothing at all, and is told what its
 * empty root would say: libraries take a missing file calmly (OpenSSL and its
 * configuration), and a forbidden one for a failure.
 */
static int
deny_files(scmp_filter_ctx ctx, const struct policy *p, int *n)
{
	int	 rv;

	if (!(p->rights & (MAY_READ | MAY_WRITE)) &&
	    (rv = deny_names(ctx, files_open, ENOENT, n)) != 0)
		return rv;
	if (!(p->rights & MAY_WRITE))
		return deny_names(ctx, files_change, EPERM, n);
	return 0;
}

/*
 * No memory becomes executable once the door is closed.  Rows on the host's
 * root are left out: their resolver loads its modules when first asked.
 */
static int
deny_memory(scmp_filter_ctx ctx, const struct policy *p, int *n)
{
	static const char *const	 calls[] = { "mmap", "mmap2",
	    "mprotect", "pkey_mprotect" };
	size_t				 i;
	int				 rv;

	if ((p->rights & MAY_EXEC) || p->root == POLICY_ROOT_HOST)
		return 0;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if ((rv = deny_if(ctx, calls[i], SCMP_A2(SCMP_CMP_MASKED_EQ,
		    PROT_EXEC, PROT_EXEC), n)) != 0)
			return rv;
	return 0;
}

static int
deny_misc(scmp_filter_ctx ctx, const struct policy *p, int *n)
{
	int	 rv;

	(void)p;
	/*
	 * Typing into a terminal we may have inherited; the console's menu.
	 * The kernel looks at 32 bits of the number, a filter at 64.
	 */
	if ((rv = deny_if(ctx, "ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, LOW32,
	    TIOCSTI), n)) != 0 ||
	    (rv = deny_if(ctx, "ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, LOW32,
	    TIOCLINUX_CMD), n)) != 0)
		return rv;
	/* Others of the uid shall not come in by ptrace or /proc again. */
	if ((rv = deny_if(ctx, "prctl", SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32,
	    PR_SET_DUMPABLE), n)) != 0 ||
	    (rv = deny_if(ctx, "prctl", SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32,
	    PR_SET_PTRACER), n)) != 0)
		return rv;
	/* Its own limits only, and glibc says "self" with 0. */
	return deny_if(ctx, "prlimit64", SCMP_A0(SCMP_CMP_NE, 0), n);
}

static int
filter_build(scmp_filter_ctx ctx, const struct policy *p, pid_t self, int *n)
{
	static int	 (*const classes[])(scmp_filter_ctx,
	    const struct policy *, int *) = { deny_process, deny_socket,
	    deny_files, deny_memory, deny_misc };
	size_t		 i;
	int		 rv;

	rv = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS);
	/* A binary tree instead of a list of some 150 comparisons. */
	if (rv == 0)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rv == 0)
		rv = deny_names(ctx, never, EPERM, n);
	if (rv == 0 && !(p->rights & MAY_KILL))
		rv = deny_kill(ctx, self, n);
	for (i = 0; i < sizeof(classes) / sizeof(classes[0]) && rv == 0; i++)
		rv = classes[i](ctx, p, n);
	return rv;
}

int
sandbox_seccomp(const struct policy *p)
{
	scmp_filter_ctx	 ctx;
	int		 rv, n = 0;

	if ((ctx = seccomp_init(SCMP_ACT_ALLOW)) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	rv = filter_build(ctx, p, getpid(), &n);
	if (rv == 0)
		rv = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rv != 0) {
		errno = -rv;
		return -1;
	}
	return n;
}

/* libseccomp writes a program to a descriptor only. */
static int
filter_read(int fd, struct sandbox_filter *f)
{
	struct stat	 st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (st.st_size <= 0 || (size_t)st.st_size >
	    BPF_MAXINSNS * sizeof(struct sock_filter)) {
		errno = E2BIG;
		return -1;
	}
	if ((f->insns = malloc((size_t)st.st_size)) == NULL)
		return -1;
	if (pread(fd, f->insns, (size_t)st.st_size, 0) != st.st_size) {
		free(f->insns);
		f->insns = NULL;
		return -1;
	}
	f->ninsns = (unsigned short)((size_t)st.st_size /
	    sizeof(struct sock_filter));
	return 0;
}

int
sandbox_seccomp_make(const struct policy *p, pid_t self,
    struct sandbox_filter *f)
{
	scmp_filter_ctx	 ctx = NULL;
	int		 fd, rv = -ENOMEM;

	memset(f, 0, sizeof(*f));
	if ((fd = memfd_create("filter", MFD_CLOEXEC)) == -1)
		return -1;
	if ((ctx = seccomp_init(SCMP_ACT_ALLOW)) != NULL)
		rv = filter_build(ctx, p, self, &f->nrules);
	if (rv == 0)
		rv = seccomp_export_bpf(ctx, fd);
	if (rv == 0 && filter_read(fd, f) == -1)
		rv = -errno;
	seccomp_release(ctx);
	(void)close(fd);
	if (rv != 0) {
		errno = -rv;
		return -1;
	}
	return 0;
}

int
sandbox_seccomp_enter(const struct sandbox_filter *f)
{
	struct sock_fprog	 prog = { f->ninsns, f->insns };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}
