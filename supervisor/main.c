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
 * xbot-supervisor: the parent.  Reads the configuration, binds sockets, starts
 * the processes and keeps them running; parses no stranger's byte.
 */

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/policy.h"
#include "base/priv.h"
#include "supervisor/boxes.h"
#include "supervisor/certs.h"
#include "supervisor/conf.h"
#include "supervisor/executors.h"
#include "supervisor/listen.h"
#include "supervisor/logger.h"
#include "supervisor/paths.h"
#include "supervisor/proc.h"
#include "supervisor/reload.h"

#define MACROS_MAX	64

struct options {
	const char	*file;
	const char	*envfile;
	const char	*macros[MACROS_MAX];
	size_t		 nmacros;
	bool		 check;		/* -n */
	bool		 verbose;	/* -v */
	bool		 foreground;	/* -d */
};

static struct event_base *base;

static void
usage(void)
{
	fprintf(stderr, "usage: xbot-supervisor [-dnvV] [-D macro=value] "
	    "[-E env-file] [-f file]\n");
	exit(2);
}

static void
options_parse(struct options *o, int argc, char *argv[])
{
	int ch;

	while ((ch = getopt(argc, argv, "dD:E:f:nvV")) != -1)
		switch (ch) {
		case 'd':
			o->foreground = true;
			break;
		case 'D':
			if (strchr(optarg, '=') == NULL ||
			    o->nmacros == MACROS_MAX)
				usage();
			o->macros[o->nmacros++] = optarg;
			break;
		case 'E':
			o->envfile = optarg;
			break;
		case 'f':
			o->file = optarg;
			break;
		case 'n':
			o->check = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'V':
			printf("xbot-supervisor %s\n", XBOT_VERSION);
			exit(0);
		default:
			usage();
		}
	if (optind != argc)
		usage();
}

/* Before there is a log: like a compiler. */
static void
report_early(void *arg, enum conf_severity severity, const char *text)
{
	fprintf(stderr, "%s%s\n", severity == CONF_WARNING ? "warning: " : "",
	    text);
}

/* Descriptors of a process must be what we passed, not what we inherited. */
static void
descriptors_clean(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) != -1 && fd <= STDERR_FILENO)
		continue;
	close(fd);
	closefrom(STDERR_FILENO + 1);
}

/* As root the state is ledger's; its parent directories are root's. */
static bool
state_make(const struct conf *conf)
{
	uid_t	 uid;
	gid_t	 gid;
	int	 fallback, fd;

	if (!dirs_make(conf->state, 0700))
		return false;
	if (conf->is_root) {
		if (priv_user(policy_get(ROLE_LEDGER), conf->require ?
		    PRIV_REQUIRE : PRIV_PREFER, &uid, &gid, &fallback) == -1)
			return false;
		if ((fd = open(conf->state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC)) == -1)
			return false;
		if (fchown(fd, uid, gid) == -1) {
			close(fd);
			return false;
		}
		close(fd);
	}
	return true;
}

/*
 * Two supervisors on one state would hand out each slot twice.  A file of its
 * own: ledger locks the directory, against a second ledger.
 */
static bool
state_lock(const struct conf *conf)
{
	char	path[PATH_MAX];
	int	fd;

	snprintf(path, sizeof(path), "%s/supervisor.lock", conf->state);
	/* Kept open, and the lock with it, until we exit. */
	if ((fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
	    0600)) == -1) {
		log_error("%s", path);
		return false;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		log_errorx("state directory %s: another supervisor runs here",
		    conf->state);
		return false;
	}
	return true;
}

/* A skill runner alone has no state. */
static bool
state_open(const struct conf *conf)
{
	if (!state_make(conf)) {
		log_error("state directory %s", conf->state);
		return false;
	}
	return state_lock(conf);
}

/* Tokens from the environment: read now, and on a reload from our copy, but
 * not for others to find in /proc/PID/environ or in a child. */
static char **
environ_take(char **from)
{
	static const char *const secret[] = {
		"SANDBOX_AUTH_TOKEN=", "ABBOT_SKILL_RUNNER_TOKEN=",
	};
	char	**copy;
	size_t	  n = 0, i, k;

	while (from[n] != NULL)
		n++;
	if ((copy = calloc(n + 1, sizeof(char *))) == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		if ((copy[i] = strdup(from[i])) == NULL)
			return NULL;
		for (k = 0; k < sizeof(secret) / sizeof(secret[0]); k++)
			if (strncmp(from[i], secret[k], strlen(secret[k]))
			    == 0)
				explicit_bzero(from[i] + strlen(secret[k]),
				    strlen(from[i]) - strlen(secret[k]));
	}
	return copy;
}

/* A daemon's working directory is /: a later reload needs whole paths. */
static const char *
path_whole(const char *path)
{
	char *whole;

	if (path == NULL || (whole = realpath(path, NULL)) == NULL)
		return path;
	return whole;
}

static void
on_chld(evutil_socket_t sig, short what, void *arg)
{
	pid_t	pid;
	int	status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!proc_exited(pid, status))
			executors_exited(pid, status);
}

static void
all_stopped(void)
{
	executors_kill();
	event_base_loopexit(base, NULL);
}

void
supervisor_stop(void)
{
	log_info("stopping");
	proc_stop_all(all_stopped);
}

static void
on_term(evutil_socket_t sig, short what, void *arg)
{
	supervisor_stop();
}

static void
on_hup(evutil_socket_t sig, short what, void *arg)
{
	reload();
}

static void
on_usr1(evutil_socket_t sig, short what, void *arg)
{
	logger_reopen();
}

static bool
signals_init(void)
{
	static const struct {
		int			signal;
		event_callback_fn	handler;
	} rows[] = {
		{ SIGCHLD, on_chld }, { SIGTERM, on_term },
		{ SIGINT, on_term }, { SIGHUP, on_hup }, { SIGUSR1, on_usr1 },
	};
	struct event	*ev;
	size_t		 i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ev = evsignal_new(base, rows[i].signal, rows[i].handler,
		    NULL);
		if (ev == NULL || event_add(ev, NULL) == -1)
			return false;
	}
	return true;
}

/* All that may be missing or in use: a daemon says so before it is one. */
static bool
prepare(const struct conf *conf)
{
	char	fault[PATH_MAX + 256];
	int	audit = -1;

	if (!conf->is_root && conf->require) {
		log_errorx("sandbox require: not started as root");
		return false;
	}
	if (!conf->skill_only && !state_open(conf))
		return false;
	if (!proc_users(conf, fault, sizeof(fault)) ||
	    !certs_load(conf, fault, sizeof(fault))) {
		log_errorx("%s", fault);
		return false;
	}
	if (!listen_open(conf))
		return false;
	if (!conf->skill_only && conf->audit != NULL &&
	    (audit = logger_audit_open(conf->audit)) == -1) {
		log_error("audit log %s", conf->audit);
		return false;
	}
	if (audit != -1)
		logger_audit_use(conf->audit, audit);
	return executors_init(conf) && boxes_init(conf);
}

static bool
start(const struct conf *conf)
{
	if (!conf->is_root)
		log_warnx("not root: every process and every command runs as "
		    "uid %u", getuid());
	if ((base = event_base_new()) == NULL || !proc_init(base, conf) ||
	    !signals_init())
		return false;
	certs_commit();
	listen_commit();
	proc_configure(conf);
	return true;
}

/*
 * -n.  Certificates may come with a renewal, and keys be unreadable for who
 * checks: a start would fail, the configuration is none the worse.
 */
static void
check(const struct conf *conf, bool verbose)
{
	char fault[PATH_MAX + 256];

	if (!certs_load(conf, fault, sizeof(fault)))
		fprintf(stderr, "warning: %s\n", fault);
	certs_discard();
	if (verbose) {
		conf_print(conf, stdout);
		policy_print(stdout);
	} else
		fprintf(stderr, "configuration OK\n");
}

int
main(int argc, char *argv[])
{
	extern char	**environ;
	static struct options	 o;	/* static: until the process ends */
	static struct conf_opts	 co;
	struct conf		*conf;
	enum log_level		 level;

	options_parse(&o, argc, argv);
	descriptors_clean();
	if (!o.check) {
		o.file = path_whole(o.file);
		o.envfile = path_whole(o.envfile);
	}
	co.macros = o.macros;
	co.nmacros = o.nmacros;
	co.envfile = o.envfile;
	if ((co.environ = environ_take(environ)) == NULL)
		err(1, NULL);
	co.is_root = geteuid() == 0;
	co.report = report_early;
	if ((conf = conf_load(o.file, &co)) == NULL)
		return 1;
	if (o.check) {
		check(conf, o.verbose);
		conf_free(conf);
		return 0;
	}
	level = o.verbose ? LOG_LEVEL_DEBUG : reload_log_level(conf);
	logger_init(true, level);
	reload_init(o.file, &co);
	reload_set_conf(conf);
	if (!prepare(conf)) {
		listen_close();
		return 1;
	}
	if (!o.foreground && daemon(0, 0) == -1)
		err(1, "daemon");
	logger_init(o.foreground, level);
	if (!start(conf)) {
		listen_close();
		return 1;
	}
	event_base_dispatch(base);
	listen_close();
	log_info("stopped");
	return proc_failed() ? 1 : 0;
}
