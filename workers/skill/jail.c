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
 * The jail of a run.  Runs in: the zygote (what can be made once), and each of
 * its children before it reads a byte of its request.
 * This is what holds when the rules of the language fail: a run is hostile.
 */

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compat/compat.h"
#include "base/sandbox.h"
#include "workers/skill/skill.h"

#define FILES_MAX	256u			/* descriptors of a run */
#define FILE_BYTES	(64u * 1024 * 1024)	/* as its directory holds */
#define STACK_BYTES	(8u * 1024 * 1024)

/* Rows that are in no table: nobody starts these processes but the zygote.
 * Unless it is apart, a run may neither fork nor signal: it would be among
 * others of its uid. */
static const struct policy rows[2] = {
	{
		.role = ROLE_SKILL, .name = "run", .root = POLICY_ROOT_HOST,
		.rights = MAY_CONNECT_TCP | MAY_THREAD | MAY_READ | MAY_WRITE
	},
	{
		.role = ROLE_SKILL, .name = "run", .root = POLICY_ROOT_HOST,
		.rights = MAY_CONNECT_TCP | MAY_THREAD | MAY_READ |
		    MAY_WRITE | MAY_FORK | MAY_KILL
	}
};
static struct sandbox_filter	 filters[2];
static rlim_t			 base_data, base_space;

/*
 * What libraries look up, and nothing that is somebody's: names and
 * addresses, certificates, time zones, types of files, shared libraries.
 */
static const char *const files[] = {
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	"/etc/host.conf", "/etc/hostname", "/etc/gai.conf", "/etc/services", "/etc/protocols",
	"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs",
	"/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	"/etc/localtime", "/usr/share/zoneinfo", "/etc/mime.types",
	"/etc/ld.so.cache", "/dev/urandom", "/dev/random", "/dev/zero",
	NULL
};

static void	 verb_failed(const char *) __attribute__((noreturn));

/* --- in the zygote --- */

/* Landlock takes no more than it is given; there may be many libraries. */
static int
ruleset_make(const struct jail *j, uint32_t place, char *const *libs)
{
	struct priv_opts	 o;
	size_t			 i, skipped;

	memset(&o, 0, sizeof(o));
	o.paths[o.npaths++] = (struct priv_path){ j->apart->dirs[place],
	    MAY_READ | MAY_WRITE };
	o.paths[o.npaths++] = (struct priv_path){ "/dev/null",
	    MAY_READ | MAY_WRITE };
	for (i = 0; files[i] != NULL && o.npaths < PRIV_MAXPATHS; i++)
		o.paths[o.npaths++] = (struct priv_path){ files[i], MAY_READ };
	for (i = 0; libs[i] != NULL && o.npaths < PRIV_MAXPATHS; i++)
		o.paths[o.npaths++] = (struct priv_path){ libs[i], MAY_READ };
	return sandbox_landlock_make(&rows[0], &o, &skipped);
}

/* What the interpreter has taken already is not the skill's to pay. */
static void
base_measure(void)
{
	char		 line[128];
	unsigned long	 kb;
	FILE		*f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmData: %lu", &kb) == 1)
			base_data = (rlim_t)kb << 10;
		else if (sscanf(line, "VmSize: %lu", &kb) == 1)
			base_space = (rlim_t)kb << 10;
	if (f != NULL)
		(void)fclose(f);
}

bool
jail_make(struct jail *j, const struct apart *a, char *const *libs,
    char *text, size_t size)
{
	uint32_t i;
	bool	 landlock = true;

	j->apart = a;
	for (i = 0; i < SKILL_PLACES; i++)
		if ((j->rulesets[i] = PRIV_SANITIZED ? -1 :
		    ruleset_make(j, i, libs)) == -1)
			landlock = false;
	base_measure();
	/* Inherited: nothing that we start gains a thing, nobody looks in. */
	if (sandbox_flags() == -1) {
		(void)snprintf(text, size, "no_new_privs: %s",
		    strerror(errno));
		return false;
	}
	/* In a pid space of its own a run is 1; else it signals nobody. */
	if (!PRIV_SANITIZED &&
	    (sandbox_seccomp_make(&rows[0], a->on, &filters[0]) == -1 ||
	    sandbox_seccomp_make(&rows[1], a->on, &filters[1]) == -1)) {
		(void)snprintf(text, size, "seccomp: %s", strerror(errno));
		return false;
	}
	(void)snprintf(text, size, "runs: %s, %s, seccomp %d rules",
	    a->on ? "uid and processes of their own" : "(one uid for all)",
	    landlock ? "landlock" : "(no landlock)", filters[0].nrules);
	return true;
}

/* --- in the child: a list of verbs, each of which must succeed --- */

static void
verb_failed(const char *verb)
{
	char	 text[128];
	int	 n;

	n = snprintf(text, sizeof(text), "jail: %s: %s\n", verb,
	    strerror(errno));
	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) == -1)
		_exit(126);
	_exit(126);
}

static void
jail_session(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) == -1 || setsid() == -1)
		verb_failed("session");
}

static void
jail_output(const struct jail *j, const struct word *w, int sock)
{
	int out = w->policy == SKILL_RESTRICTIVE ? j->null :
	    j->output[w->place];

	if (dup2(out, STDOUT_FILENO) == -1 ||
	    dup2(out, STDERR_FILENO) == -1 || (sock != RUN_FD &&
	    dup2(sock, RUN_FD) == -1))
		verb_failed("output");
}

/* The sandbox's own calls are forbidden afterwards, so they come first. */
static void
jail_ids(const struct jail *j, const struct word *w)
{
	uid_t id = w->place + 1;

	if (j->apart->on && (setgroups(0, NULL) == -1 ||
	    setresgid(id, id, id) == -1 || setresuid(id, id, id) == -1))
		verb_failed("uid");
	if (sandbox_nocaps() == -1)
		verb_failed("capabilities");
	/* With the zygote everything ends. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || sandbox_flags() == -1)
		verb_failed("flags");
}

static void
jail_directory(const struct jail *j, const struct word *w)
{
	(void)umask(077);
	if (chdir(j->apart->dirs[w->place]) == -1)
		verb_failed("directory");
	if (j->rulesets[w->place] != -1 &&
	    sandbox_landlock_enter(j->rulesets[w->place]) == -1)
		verb_failed("landlock");
}

static void
jail_limit(int what, rlim_t max)
{
	struct rlimit rl = { max, max };

	if (setrlimit((__rlimit_resource_t)what, &rl) == -1)
		verb_failed("limits");
}

static void
jail_limits(const struct jail *j, const struct word *w)
{
	jail_limit(RLIMIT_CORE, 0);
	jail_limit(RLIMIT_CPU, w->cpu);
	jail_limit(RLIMIT_NOFILE, FILES_MAX);
	jail_limit(RLIMIT_FSIZE, FILE_BYTES);
	jail_limit(RLIMIT_STACK, STACK_BYTES);
	jail_limit(RLIMIT_MEMLOCK, 0);
	/* Counts a uid, so only where it is the run's own. */
	if (j->apart->on)
		jail_limit(RLIMIT_NPROC, w->processes);
	if (PRIV_SANITIZED)
		return;
	jail_limit(RLIMIT_DATA, base_data + w->memory);
	/* Shared memory is in no other count. */
	jail_limit(RLIMIT_AS, base_space + w->memory);
}

void
jail_enter(const struct jail *j, const struct word *w, int sock)
{
	jail_session();
	jail_output(j, w, sock);
	jail_ids(j, w);
	jail_directory(j, w);
	closefrom(RUN_FD + 1);
	jail_limits(j, w);
	if (!PRIV_SANITIZED && sandbox_seccomp_enter(&filters[j->apart->on &&
	    w->policy == SKILL_NONE]) == -1)
		verb_failed("seccomp");
}
