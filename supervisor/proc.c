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
 * Start, watch, restart, stop.  Runs in: supervisor, as root when it may.
 * A child's messages are few and checked; what it says about others is not
 * believed beyond the trust order of edges.c.
 */

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/log.h"
#include "base/priv.h"
#include "proto/ctl_msg.h"
#include "supervisor/boxes.h"
#include "supervisor/conf.h"
#include "supervisor/edges.h"
#include "supervisor/executors.h"
#include "supervisor/listen.h"
#include "supervisor/logger.h"
#include "supervisor/proc.h"
#include "supervisor/reload.h"
#include "supervisor/slices.h"
#include "supervisor/sync.h"

#define BACKOFF_MAX	60	/* seconds; 1 at first, then doubled */
#define QUIET_SECONDS	60	/* up so long: the back-off starts anew */
#define STOP_SECONDS	5	/* from one step of the ladder to the next */

static struct event_base	*base;
static const struct conf	*conf;
static struct proc		 procs[ROLE_MAX];
static int			 programs[ROLE_MAX];
static bool			 stopping;
static bool			 all_up;	/* have been, once */
static bool			 failed;
static void			(*stop_done)(void);

static void	proc_start(struct proc *);
static void	proc_down(struct proc *);
static void	proc_stop(struct proc *);
static void	on_timer(evutil_socket_t, short, void *);
static void	stop_next(void);
static bool	start_fails(const struct proc *, int);
static void	on_ready(struct chan *, const struct msg *);
static void	on_log(struct chan *, const struct msg *);
static void	on_audit(struct chan *, const struct msg *);
static void	on_peer_fault(struct chan *, const struct msg *);
static void	on_first_token(struct chan *, const struct msg *);
static void	proc_closed(struct chan *, const char *, bool);

/* Everything a child may say; which child is the table's from column. */
static const struct rule proc_rules[] = {
	{ CTL_READY, STATES_ALL, on_ready },
	{ CTL_LOG, STATES_ALL, on_log },
	{ CTL_AUDIT, STATES_ALL, on_audit },
	{ CTL_PEER_FAULT, STATES_ALL, on_peer_fault },
	{ CTL_FIRST_TOKEN, STATES_ALL, on_first_token },
	{ CTL_EXECUTOR_WANTED, STATES_ALL, on_executor_wanted },
	{ CTL_ORDER, STATES_ALL, on_order },
	{ CTL_SYNC_GET, STATES_ALL, on_sync_get },
	{ CTL_WORKDIR_WANTED, STATES_ALL, on_workdir_wanted },
};

#define PROC_RULES(letter) \
	{ proc_rules, sizeof(proc_rules) / sizeof(proc_rules[0]), letter, \
	    proc_closed }

static const struct rules rules_of[ROLE_MAX] = {
	[ROLE_FRONT] = PROC_RULES(FROM_F),
	[ROLE_CONTROL] = PROC_RULES(FROM_F),
	[ROLE_LEDGER] = PROC_RULES(FROM_L),
	[ROLE_NONE] = PROC_RULES(FROM_S),
	[ROLE_BOX] = PROC_RULES(FROM_S),
	[ROLE_DOCKER] = PROC_RULES(FROM_D),
	[ROLE_REMOTE] = PROC_RULES(FROM_R),
	[ROLE_SKILL] = PROC_RULES(FROM_K),
	[ROLE_REAPER] = PROC_RULES(FROM_Z),
	[ROLE_LLM] = PROC_RULES(FROM_M),
};

/* The steps of an orderly stop; a step waits for the one before. */
static const enum role stop_order[][8] = {
	{ ROLE_FRONT, ROLE_CONTROL, ROLE_MAX },
	{ ROLE_NONE, ROLE_BOX, ROLE_REMOTE, ROLE_REAPER, ROLE_LLM, ROLE_SKILL,
	    ROLE_MAX },
	{ ROLE_DOCKER, ROLE_MAX },
	{ ROLE_LEDGER, ROLE_MAX },
};

/*
 * Nothing of the caller's environment but what the sanitizers read (their
 * options hold no secret, and other builds ignore them).
 */
static char	*environ_kept[4];
char		*const *const proc_environ = environ_kept;

static void
environ_init(void)
{
	static const char *const names[] = {
		"ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=",
	};
	extern char	**environ;
	size_t		  i, n = 0;
	char		**e;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (e = environ; *e != NULL; e++)
			if (strncmp(*e, names[i], strlen(names[i])) == 0)
				environ_kept[n++] = *e;
}

int
libexec_open(const char *name)
{
	char	 self[PATH_MAX], path[PATH_MAX + 64], *slash;
	ssize_t	 n;
	size_t	 i;
	int	 fd;
	static const char *const places[] = { "", "../libexec/xbot/" };

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		slash[1] = '\0';
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s%s", self, places[i], name);
		if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1)
			return fd;
	}
	snprintf(path, sizeof(path), "%s/%s", XBOT_LIBEXECDIR, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		log_error("%s", path);
	return fd;
}

/* A skill runner alone stays so (a reload cannot change it), and its image
 * has no other programs. */
static bool
proc_possible(enum role r, const struct conf *c)
{
	return rules_of[r].n != 0 && (!c->skill_only || slices_wants(c, r));
}

bool
proc_init(struct event_base *event_base, const struct conf *c)
{
	const struct policy	*policy;
	enum role		 r;

	base = event_base;
	environ_init();
	for (r = ROLE_SUPERVISOR; r < ROLE_MAX; r++) {
		procs[r].role = r;
		programs[r] = -1;
		if (!proc_possible(r, c))
			continue;
		policy = policy_get(r);
		if ((programs[r] = libexec_open(policy->binary)) == -1)
			return false;
		procs[r].timer = evtimer_new(base, on_timer, &procs[r]);
		if (procs[r].timer == NULL)
			return false;
	}
	return true;
}

bool
proc_users(const struct conf *c, char *text, size_t size)
{
	const struct policy	*policy;
	enum role		 r;
	uid_t			 uid;
	gid_t			 gid;
	int			 fallback;

	if (!c->is_root || !c->require)
		return true;
	for (r = ROLE_SUPERVISOR; r < ROLE_MAX; r++) {
		policy = policy_get(r);
		if (slices_wants(c, r) && priv_user(policy, PRIV_REQUIRE, &uid,
		    &gid, &fallback) == -1) {
			snprintf(text, size, "sandbox require: user %s: %s",
			    policy->user, strerror(errno));
			return false;
		}
	}
	return true;
}

struct proc *
proc_get(enum role r)
{
	return &procs[r];
}

struct chan *
proc_chan(enum role r)
{
	return procs[r].chan;
}

static void
timer_set(struct proc *p, unsigned int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	evtimer_add(p->timer, &tv);
}

/* Front and control know who is up: for /readyz and honest 503s. */
static void
worker_tell(const struct proc *p, struct chan *to)
{
	struct ctl_worker w = {
		.role = (uint8_t)p->role,
		.wanted = p->wanted,
		.up = p->state == PROC_UP,
		.pid = (uint32_t)p->pid,
		.restarts = p->restarts,
		.since = (uint64_t)p->since,
	};

	chan_send(to, CTL_WORKER, 0, &w);
}

static void
worker_tell_all(const struct proc *p)
{
	worker_tell(p, procs[ROLE_FRONT].chan);
	worker_tell(p, procs[ROLE_CONTROL].chan);
}

/* In the child between fork and exec: async-signal-safe calls only. */
static void
proc_exec(enum role r, int fd)
{
	const struct policy	*policy = policy_get(r);
	char			*argv[3];
	sigset_t		 none;

	argv[0] = (char *)(uintptr_t)policy->binary;
	argv[1] = (char *)(uintptr_t)policy->name;
	argv[2] = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd == CHILD_PARENT_FD)
		fcntl(fd, F_SETFD, 0);
	else if (dup2(fd, CHILD_PARENT_FD) == -1)
		_exit(126);
	/* All others are close-on-exec; the program is among them. */
	fexecve(programs[r], argv, environ_kept);
	_exit(127);
}

static bool
proc_fork(struct proc *p)
{
	int sv[2];

	if (chan_pair(sv) == -1)
		return false;
	if ((p->pid = fork()) == 0)
		proc_exec(p->role, sv[1]);
	close(sv[1]);
	if (p->pid == -1) {
		p->pid = 0;
		close(sv[0]);
		return false;
	}
	p->chan = chan_new(base, sv[0], policy_get(p->role)->name,
	    &rules_of[p->role], p);
	/* Out of memory: its end of the channel closes, it will exit, and
	 * its death starts the next attempt. */
	return true;
}

static void
proc_start(struct proc *p)
{
	struct ctl_start	s = {
		.role = (uint8_t)p->role,
		.level = (uint8_t)logger_level(),
		.require = conf->require,
		.build = slice_str(XBOT_VERSION),
	};
	enum role		r;

	p->since = time(NULL);
	if (!proc_fork(p)) {
		log_warn("start of %s", policy_get(p->role)->name);
		proc_down(p);
		return;
	}
	p->generation++;
	p->state = PROC_STARTING;
	chan_send(p->chan, CTL_START, 0, &s);
	slices_send(conf, p->role, p->chan);
	chan_send(p->chan, CTL_CONF_COMMIT, 0, NULL);
	listen_hand_out(p->role, p->chan);
	if (p->role == ROLE_FRONT || p->role == ROLE_CONTROL)
		for (r = ROLE_SUPERVISOR; r < ROLE_MAX; r++)
			if (procs[r].wanted)
				worker_tell(&procs[r], p->chan);
	edges_connect(p->role);
	chan_send(p->chan, CTL_GO, 0, NULL);
	log_debug("%s started, pid %d", policy_get(p->role)->name, p->pid);
}

/* It is gone: told, and restarted later if it is still wanted. */
static void
proc_down(struct proc *p)
{
	if (p->state == PROC_UP && time(NULL) - p->since >= QUIET_SECONDS)
		p->backoff = 0;
	p->state = PROC_DOWN;
	p->since = time(NULL);
	worker_tell_all(p);
	if (stopping) {
		stop_next();
		return;
	}
	if (!p->wanted)
		return;
	p->backoff = p->backoff == 0 ? 1 :
	    p->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX : p->backoff * 2;
	log_warnx("%s is restarted in %u s", policy_get(p->role)->name,
	    p->backoff);
	timer_set(p, p->backoff);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct proc *p = arg;

	if (p->state == PROC_DOWN && p->wanted && !stopping) {
		p->restarts++;
		proc_start(p);
	} else if (p->state == PROC_STOPPING) {
		log_warnx("%s does not stop: killed",
		    policy_get(p->role)->name);
		kill(p->pid, SIGKILL);
	}
}

/* What it says itself, before all were there: later it is a restart. */
static bool
start_fails(const struct proc *p, int status)
{
	return conf->require && !all_up && !stopping &&
	    p->state == PROC_STARTING && WIFEXITED(status);
}

bool
proc_failed(void)
{
	return failed;
}

bool
proc_exited(pid_t pid, int status)
{
	struct proc *p;

	for (p = procs; p < procs + ROLE_MAX; p++)
		if (p->pid == pid && pid != 0)
			break;
	if (p == procs + ROLE_MAX)
		return false;
	if (WIFSIGNALED(status))
		log_warnx("%s ended by signal %d", policy_get(p->role)->name,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0 || p->state != PROC_STOPPING)
		log_warnx("%s exited with status %d",
		    policy_get(p->role)->name, WEXITSTATUS(status));
	p->pid = 0;
	evtimer_del(p->timer);
	chan_free(p->chan);
	p->chan = NULL;
	if (start_fails(p, status)) {
		log_errorx("sandbox require: %s cannot be started",
		    policy_get(p->role)->name);
		failed = true;
		supervisor_stop();
	}
	proc_down(p);
	return true;
}

/* Without its channel it is of no use; its death brings the restart. */
static void
proc_closed(struct chan *c, const char *why, bool protocol)
{
	struct proc *p = chan_arg(c);

	p->chan = NULL;
	chan_free(c);
	if (protocol)
		log_warnx("%s: %s", policy_get(p->role)->name, why);
	if (p->pid != 0 && protocol)
		kill(p->pid, SIGKILL);
}

void
proc_kick(enum role r, const char *why)
{
	log_warnx("%s is ended: %s", policy_get(r)->name, why);
	if (procs[r].pid != 0)
		kill(procs[r].pid, SIGKILL);
}

static void
proc_stop(struct proc *p)
{
	p->state = PROC_STOPPING;
	chan_send(p->chan, CTL_STOP, 0, NULL);
	timer_set(p, STOP_SECONDS);
}

void
proc_configure(const struct conf *new)
{
	struct proc	*p;
	bool		 was;

	conf = new;
	for (p = procs; p < procs + ROLE_MAX; p++) {
		was = p->wanted;
		p->wanted = slices_wants(conf, p->role);
		if (p->wanted && !was && p->pid == 0)
			proc_start(p);
		else if (!p->wanted && was && p->pid != 0)
			proc_stop(p);
		else if (!p->wanted && was)
			evtimer_del(p->timer);
		if (p->wanted != was)
			worker_tell_all(p);
	}
}

void
proc_reconfigure(const struct conf *new)
{
	struct proc *p;

	proc_configure(new);
	for (p = procs; p < procs + ROLE_MAX; p++)
		if (p->wanted && p->chan != NULL) {
			slices_send(conf, p->role, p->chan);
			chan_send(p->chan, CTL_CONF_COMMIT, 0, NULL);
		}
}

void
proc_log_level(int level)
{
	struct ctl_log_level	 l = { .level = (uint8_t)level };
	struct proc		*p;

	for (p = procs; p < procs + ROLE_MAX; p++)
		chan_send(p->chan, CTL_LOG_LEVEL, 0, &l);
}

void
proc_stop_all(void (*done)(void))
{
	struct proc *p;

	if (stopping)
		return;
	stopping = true;
	stop_done = done;
	for (p = procs; p < procs + ROLE_MAX; p++)
		if (p->state == PROC_DOWN && p->timer != NULL)
			evtimer_del(p->timer);
	stop_next();
}

/* The first step that still has processes: stop them, wait for them. */
static void
stop_next(void)
{
	size_t			 step;
	const enum role		*r;
	bool			 waiting = false;

	for (step = 0; step < sizeof(stop_order) / sizeof(stop_order[0]) &&
	    !waiting; step++)
		for (r = stop_order[step]; *r != ROLE_MAX; r++) {
			if (procs[*r].pid == 0)
				continue;
			waiting = true;
			if (procs[*r].state != PROC_STOPPING)
				proc_stop(&procs[*r]);
		}
	if (!waiting)
		stop_done();
}

static void
on_ready(struct chan *c, const struct msg *m)
{
	const struct ctl_ready	*r = m->body;
	struct proc		*p = chan_arg(c), *other;

	if (p->state != PROC_STARTING)
		return;
	p->state = PROC_UP;
	for (other = procs; other < procs + ROLE_MAX; other++)
		if (other->wanted && other->state != PROC_UP)
			break;
	all_up |= other == procs + ROLE_MAX;
	p->since = time(NULL);
	log_info("%s is up, pid %d: %.*s", policy_get(p->role)->name, p->pid,
	    (int)r->achieved.len, (const char *)r->achieved.p);
	worker_tell_all(p);
}

static void
on_log(struct chan *c, const struct msg *m)
{
	const struct ctl_log	*l = m->body;
	char			 text[LOG_LINE_MAX];

	log_vis(text, sizeof(text), l->text.p, l->text.len);
	logger_line(chan_name(c), l->level <= LOG_LEVEL_TRACE ? l->level :
	    LOG_LEVEL_ERROR, text);
}

static void
on_audit(struct chan *c, const struct msg *m)
{
	const struct ctl_audit *a = m->body;

	logger_audit(a->line.p, a->line.len);
}

static void
on_peer_fault(struct chan *c, const struct msg *m)
{
	const struct ctl_peer_fault	*f = m->body;
	struct proc			*p = chan_arg(c);
	char				 why[300];
	enum role			 r;

	if (f->role >= ROLE_MAX || rules_of[f->role].n == 0) {
		chan_refuse(c, "it accuses nobody");
		return;
	}
	r = edges_less_trusted(p->role, (enum role)f->role);
	log_vis(why, sizeof(why), f->why.p, f->why.len);
	proc_kick(r, why);
}

/* Shown on a terminal once; else only where it lies. */
static void
on_first_token(struct chan *c, const struct msg *m)
{
	const struct ctl_first_token *t = m->body;

	log_info("a service token for the HTTP API is in %.*s",
	    (int)t->file.len, (const char *)t->file.p);
	if (logger_foreground() && isatty(STDERR_FILENO))
		fprintf(stderr, "service token: %.*s\n", (int)t->token.len,
		    (const char *)t->token.p);
}
