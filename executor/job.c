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
 * Processes: start, output, deadline, end.  Runs in: executor.
 * Trusts: nothing a job does.  Owns: struct job; its leader's pid until it
 * is reaped here.  A job ends when its leader ended and its pipes were
 * drained for at most DRAIN_US; what it left behind by itself lives on.
 */

#include <sys/wait.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "executor/executor.h"

#define DRAIN_US	200000	/* wait for inheritors of the pipes */
#define GRACE_US	200000	/* between TERM and KILL */
#define POLL_US		3000	/* look again whether a tree is gone */
#define GIVE_UP_US	5000000	/* members that cannot be killed */
#define AS_USER_US	300000	/* between two calls of sudo */
#define CLOSE_US	5000000	/* after its input, or terminal, was closed */
#define TERM_US		3000000	/* then, pipes only, between TERM and KILL */
#define KEEP_US		UINT64_C(3600000000)	/* a task that ended */

enum phase { PENDING, RUNNING, CLOSING, TERMINATING, KILLING, GONE, ENDED };

struct job {
	struct op		 op;	/* first */
	struct job		*next, *prev;
	struct job		*same_hash;	/* by pid */
	uint64_t		 print;	/* fingerprint of its job_start */
	enum phase		 phase;
	pid_t			 pid;	/* also its session, its group */
	bool			 reaped, cancelled, closing;
	uint8_t			 kind;	/* enum job_kind */
	uint16_t		 cols, rows;
	struct spawn		 spawn;
	char			*as_user;	/* through sudo; NULL: as us */
	uint64_t		 asked;	/* when he was to kill them */
	uint32_t		 timeout_ms;
	uint64_t		 started, timer, give_up, kills;
	struct tree		 tree;	/* members seen while killing */
	struct in_stream	 in;
	struct out_stream	 out[2];
	struct exec_job_exit	 end;
	struct task		*task;	/* owned; NULL: none */
};

static void	job_data(struct op *, uint8_t, uint64_t, struct slice);
static void	job_eof(struct op *, uint8_t, uint64_t);
static void	job_credit(struct op *, uint8_t, uint64_t);
static void	job_cancel(struct op *);
static void	job_signal(struct op *, int);
static void	job_resize(struct op *, uint16_t, uint16_t);
static bool	job_pump(struct op *);
static void	job_clear(struct op *);
static void	job_kill(struct job *, enum job_how);

static const struct op_class job_class = {
	.name = "job", .on_data = job_data, .on_eof = job_eof,
	.on_credit = job_credit, .on_cancel = job_cancel,
	.on_signal = job_signal, .on_resize = job_resize, .pump = job_pump,
	.clear = job_clear
};

static struct job	*jobs;		/* all */
static struct job	*by_pid[256];
static size_t		 pending;	/* jobs in phase PENDING */

static struct job **
pid_bucket(pid_t pid)
{
	return &by_pid[(unsigned int)pid % NELEM(by_pid)];
}

static struct job *
job_by_pid(pid_t pid)
{
	struct job *j;

	for (j = *pid_bucket(pid); j != NULL; j = j->same_hash)
		if (j->pid == pid && !j->reaped)
			return j;
	return NULL;
}

static bool
is_leader(pid_t pid)
{
	return job_by_pid(pid) != NULL;
}

static void
pid_drop(struct job *j)
{
	struct job **p;

	if (j->pid <= 0)
		return;
	for (p = pid_bucket(j->pid); *p != j; p = &(*p)->same_hash)
		;
	*p = j->same_hash;
	j->pid = -1;
}

/* A job that had this pid before is reaped and has no member left. */
static void
pid_take(struct job *j, pid_t pid)
{
	struct job **p = pid_bucket(pid), *old, *next;

	for (old = *p; old != NULL; old = next) {
		next = old->same_hash;
		if (old->pid == pid)
			pid_drop(old);
	}
	j->pid = pid;
	j->same_hash = *p;
	*p = j;
}

/* The same job_start again: say again that it runs. */
static bool
job_repeated(const struct id16 *id, uint64_t print)
{
	struct op		*op = op_find(id);
	struct job		*j = (struct job *)op;
	struct exec_job_started	 m = { .job = *id };

	if (op == NULL || op->class != &job_class || j->print != print)
		return false;
	m.pid = j->pid > 0 ? (uint32_t)j->pid : 0;
	if (j->phase != PENDING)
		link_send(EXEC_JOB_STARTED, &m);
	return true;
}

static void
job_link(struct job *j)
{
	j->next = jobs;
	if (jobs != NULL)
		jobs->prev = j;
	jobs = j;
}

static const char *
job_refusal(const struct exec_job_start *m, enum xerr *code)
{
	if (m->kind > JOB_PTY)
		return "no such kind of job";
	if (m->run_as_user.len > 0 && !opt.inherit)
		return "run_as_user is for runners only";
	if (m->run_as_user.len > 0 && opt.channel != NULL) {
		*code = XERR_EINVAL;
		return "run_as_user: a container's image says who runs";
	}
	return NULL;
}

void
on_job_start(const struct exec_job_start *m, uint64_t print)
{
	char		 pwd[2 * PATH_MAX], what[256];
	enum xerr	 code = XERR_ENOTSUP;
	const char	*why;
	struct job	*j;
	int		 error;

	if (job_repeated(&m->job, print))
		return;
	if ((why = job_refusal(m, &code)) != NULL) {
		refuse(&m->job, code, why);
		return;
	}
	if ((j = calloc(1, sizeof(*j))) == NULL)
		die("out of memory");
	if (!op_enter(&j->op, &m->job, &job_class)) {
		free(j);
		return;
	}
	j->spawn.dirfd = j->in.w.fd = j->out[0].w.fd = j->out[1].w.fd = -1;
	j->print = print;
	j->kind = m->kind;
	j->cols = m->cols;
	j->rows = m->rows;
	j->spawn.tty = m->kind == JOB_PTY;
	j->phase = PENDING;
	job_link(j);
	pending++;
	if (m->kind != JOB_TASK)
		j->timeout_ms = m->timeout_ms;
	else if ((j->task = task_new(&j->op, m)) == NULL) {
		op_refuse(&j->op, XERR_EBUSY, "too many tasks run");
		return;
	}
	error = spawn_dir(&j->spawn, m->dir, pwd, sizeof(pwd));
	/* Somebody who opens a terminal wants to see one. */
	if (error != 0 && j->kind == JOB_PTY)
		error = spawn_dir(&j->spawn, slice_str(""), pwd, sizeof(pwd));
	if (error != 0) {
		snprintf(what, sizeof(what), "%.*s", (int)m->dir.len,
		    (const char *)m->dir.p);
		op_fail(&j->op, error, what);
		return;
	}
	if (m->run_as_user.len > 0 && (j->as_user =
	    strndup(m->run_as_user.p, m->run_as_user.len)) == NULL)
		die("out of memory");
	if ((j->spawn.argv = spawn_args(m, pwd, &j->spawn.envp)) == NULL)
		op_fail(&j->op, errno, "job");
}

static int
job_streams(struct job *j, int ours[3])
{
	if (j->kind == JOB_PTY)
		return pty_open(j->spawn.fds, ours, j->cols, j->rows);
	return spawn_pipes(&j->spawn, j->in.eof, ours);
}

static void
job_begin(struct job *j)
{
	struct exec_job_started	 m = { .job = j->op.id };
	char			 path[PATH_MAX], what[512];
	int			 ours[3] = { -1, -1, -1 }, error;
	pid_t			 pid = -1;

	pending--;
	j->phase = RUNNING;
	snprintf(what, sizeof(what), "%s", j->spawn.argv[0]);
	j->spawn.path = path;
	if ((error = spawn_find(&j->spawn, path, sizeof(path))) == 0) {
		if (job_streams(j, ours) == -1)
			error = errno;
		else {
			j->started = now_us();
			j->kills = limit_kills();
			if ((pid = spawn_run(&j->spawn)) == -1)
				error = errno;
		}
		spawn_close(j->spawn.fds, 3);
	}
	if (pid == -1) {
		spawn_close(ours, 3);
		limit_fail(&j->op, error, what);
		return;
	}
	free(j->spawn.argv);
	j->spawn.argv = NULL;
	if (j->spawn.dirfd != -1)
		close(j->spawn.dirfd);
	j->spawn.dirfd = -1;
	pid_take(j, pid);
	if (j->timeout_ms > 0)
		j->timer = j->started + j->timeout_ms * UINT64_C(1000);
	m.pid = (uint32_t)pid;
	link_send(EXEC_JOB_STARTED, &m);
	out_open(&j->out[0], &j->op, STREAM_STDOUT, ours[1]);
	j->out[0].tty = j->in.tty = j->kind == JOB_PTY;
	j->out[0].live = j->out[0].tty;
	if (ours[2] != -1)
		out_open(&j->out[1], &j->op, STREAM_STDERR, ours[2]);
	if (j->task != NULL)
		task_started(j->task, j->out);
	if (ours[0] != -1)
		in_open(&j->in, &j->op, ours[0]);
}

void
job_start_pending(void)
{
	struct job *j, *next;

	for (j = jobs; j != NULL && pending > 0; j = next) {
		next = j->next;
		if (j->phase == PENDING)
			job_begin(j);
	}
}

static void
job_clear(struct op *op)
{
	struct job *j = (struct job *)op;

	if (j->phase == PENDING)
		pending--;
	if (j->prev != NULL)
		j->prev->next = j->next;
	else
		jobs = j->next;
	if (j->next != NULL)
		j->next->prev = j->prev;
	pid_drop(j);
	in_clear(&j->in);
	out_clear(&j->out[0]);
	out_clear(&j->out[1]);
	tree_clear(&j->tree);
	if (j->spawn.dirfd != -1)
		close(j->spawn.dirfd);
	free(j->spawn.argv);
	free(j->as_user);
	task_free(j->task);
}

static void
job_data(struct op *op, uint8_t stream, uint64_t offset, struct slice bytes)
{
	struct job *j = (struct job *)op;

	if (stream == STREAM_STDIN)
		in_data(&j->in, offset, bytes);
}

static void
job_eof(struct op *op, uint8_t stream, uint64_t offset)
{
	struct job *j = (struct job *)op;

	if (stream == STREAM_STDIN)
		in_eof(&j->in, offset);
}

static void
job_credit(struct op *op, uint8_t stream, uint64_t upto)
{
	struct job		*j = (struct job *)op;
	struct out_stream	*s;

	if (stream != STREAM_STDOUT && stream != STREAM_STDERR)
		return;
	s = &j->out[stream - STREAM_STDOUT];
	if (upto > s->credit)
		s->credit = upto;
	if (s->ring.len > 0)
		op_ready(op);
}

static bool
job_pump(struct op *op)
{
	struct job	*j = (struct job *)op;
	bool		 more;

	more = out_pump(&j->out[0]);
	more = out_pump(&j->out[1]) || more;
	if (!more && j->reaped) {
		job_advance(op);	/* may free it */
		return false;
	}
	return more;
}

static void
job_signal(struct op *op, int sig)
{
	struct job *j = (struct job *)op;

	if (j->pid <= 1 || j->reaped || sig <= 0 || sig >= NSIG)
		return;
	if (j->kind != JOB_PTY || pty_signal(j->out[0].w.fd, sig) == -1)
		kill(-j->pid, sig);
}

static void
job_resize(struct op *op, uint16_t cols, uint16_t rows)
{
	struct job *j = (struct job *)op;

	j->cols = cols;
	j->rows = rows;
	if (j->kind == JOB_PTY && j->out[0].w.fd != -1)
		pty_resize(j->out[0].w.fd, cols, rows);
}

/*
 * The end of a conversation: programs that read their input to the end, or
 * notice that their terminal hung up, leave by themselves.
 */
static void
job_close(struct job *j)
{
	if (j->kind == JOB_PTY) {
		in_clear(&j->in);
		loop_close(&j->out[0].w);
	} else
		in_finish(&j->in);
	j->closing = true;
	j->phase = CLOSING;
	j->timer = now_us() + CLOSE_US;
}

static void
job_cancel(struct op *op)
{
	struct job *j = (struct job *)op;

	/* A task ends by task_kill, not with whoever started it. */
	if (j->task != NULL)
		return;
	j->cancelled = true;
	if (j->phase == PENDING) {
		j->end.how = JOB_KILLED;
		j->end.code = SIGKILL;
		op_exit(op, &j->end);
		return;
	}
	if (j->closing)
		return;
	if (j->kind != JOB_EXEC && j->phase == RUNNING && !j->reaped)
		job_close(j);
	else
		job_end(op);
	job_advance(op);
}

void
job_end(struct op *op)
{
	struct job *j = (struct job *)op;

	if (!j->reaped && j->phase != KILLING)
		job_kill(j, j->phase == RUNNING ? JOB_KILLED :
		    (enum job_how)j->end.how);
}

void
job_expire(struct op *op)
{
	((struct job *)op)->timer = 1;
}

static struct tree_of
job_tree(const struct job *j)
{
	return (struct tree_of){ .leader = j->pid, .id = &j->op.id,
	    .known = &j->tree, .is_leader = is_leader };
}

static void
job_kill(struct job *j, enum job_how how)
{
	j->end.how = (uint8_t)how;
	j->phase = KILLING;
	j->timer = now_us();
	j->give_up = j->timer + GIVE_UP_US;
}

/* Ask first, whole group and whoever left it. */
static void
job_terminate(struct job *j, enum job_how how, uint64_t now, uint64_t grace)
{
	struct tree_of of = job_tree(j);

	j->end.how = (uint8_t)how;
	j->phase = TERMINATING;
	j->give_up = now + grace;
	j->timer = now + POLL_US;
	tree_collect(&j->tree, &of);
	if (j->pid > 1 && !j->reaped)
		kill(-j->pid, SIGTERM);
	tree_signal(&j->tree, SIGTERM, j->pid);
}

static void
job_kill_as(struct job *j, uint64_t now)
{
	if (j->as_user == NULL || now - j->asked < AS_USER_US)
		return;
	j->asked = now;
	tree_kill_as(&j->tree, j->as_user);
}

/* We are about to end, and cannot take these along ourselves. */
void
job_leave(void)
{
	const struct timespec	 nap = { 0, 2000000 };
	struct job		*j;
	struct tree_of		 of;
	pid_t			 pid;
	int			 i;

	for (j = jobs; j != NULL; j = j->next) {
		if (j->as_user == NULL || j->reaped)
			continue;
		of = job_tree(j);
		tree_collect(&j->tree, &of);
		pid = tree_kill_as(&j->tree, j->as_user);
		/* Or it would be killed with the others before it did it. */
		for (i = 0; i < 250 && pid > 0 &&
		    waitpid(pid, NULL, WNOHANG) == 0; i++)
			nanosleep(&nap, NULL);
	}
}

static void
job_tick(struct job *j, uint64_t now)
{
	struct tree_of of = job_tree(j);

	switch (j->phase) {
	case PENDING:
		return;
	case ENDED:
		op_drop(&j->op);
		return;
	case RUNNING:
		if (!j->reaped) {
			job_terminate(j, JOB_TIMED_OUT, now, GRACE_US);
			return;
		}
		j->timer = 0;	/* drained long enough */
		out_finish(&j->out[0]);
		out_finish(&j->out[1]);
		break;
	case CLOSING:
		if (j->kind == JOB_PTY)
			job_kill(j, JOB_KILLED);
		else
			job_terminate(j, JOB_KILLED, now, TERM_US);
		return;
	case TERMINATING:
		tree_collect(&j->tree, &of);
		j->timer = now + POLL_US;
		if (j->tree.n > 0 || !j->reaped) {
			if (now >= j->give_up)
				job_kill(j, (enum job_how)j->end.how);
			return;
		}
		j->phase = GONE;
		break;
	case KILLING:
		j->timer = now + POLL_US;
		tree_kill(&j->tree, &of);
		/* Where /proc is not mounted, at least its group. */
		if (j->pid > 1 && !j->reaped)
			kill(-j->pid, SIGKILL);
		if ((j->tree.n > 0 || !j->reaped) && now < j->give_up) {
			job_kill_as(j, now);
			return;
		}
		if (j->tree.n > 0)
			warn_log("job %02x%02x%02x%02x: %zu processes cannot "
			    "be killed", j->op.id.b[0], j->op.id.b[1],
			    j->op.id.b[2], j->op.id.b[3], j->tree.n);
		j->phase = GONE;
		break;
	case GONE:
		j->timer = 0;
		out_finish(&j->out[0]);
		out_finish(&j->out[1]);
		break;
	}
	if (j->phase == GONE && j->timer != 0)
		j->timer = now + DRAIN_US;
	job_advance(&j->op);
}

/* The process is history, its output stays for a while. */
static void
job_retire(struct job *j)
{
	j->phase = ENDED;
	j->timer = now_us() + KEEP_US;
	in_clear(&j->in);
	tree_clear(&j->tree);
	task_ended(j->task, &j->end);
}

/* Read what is left and end the job when nothing holds it any more. */
void
job_advance(struct op *op)
{
	struct job	*j = (struct job *)op;
	int		 i;

	if (j->phase == TERMINATING || j->phase == KILLING ||
	    j->phase == ENDED || j->phase == CLOSING ||
	    (j->phase == RUNNING && !j->reaped))
		return;
	for (i = 0; i < 2; i++) {
		out_read(&j->out[i]);
		if (j->cancelled && j->out[i].credit <= j->out[i].sent) {
			loop_close(&j->out[i].w);
			out_drop(&j->out[i]);
		}
	}
	for (i = 0; i < 2; i++)
		if (j->out[i].w.fd != -1 || j->out[i].ring.len > 0)
			return;
	if (j->task != NULL)
		job_retire(j);
	else
		op_exit(op, &j->end);
}

static uint64_t
tv_us(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
}

static void
job_ended(struct job *j, int status, const struct rusage *ru)
{
	uint64_t now = now_us();

	j->reaped = true;
	j->end.duration_us = now - j->started;
	j->end.utime_us = tv_us(ru->ru_utime);
	j->end.stime_us = tv_us(ru->ru_stime);
	j->end.maxrss_kb = (uint64_t)ru->ru_maxrss;
	j->end.code = WIFSIGNALED(status) ? WTERMSIG(status) :
	    WEXITSTATUS(status);
	/* A close sequence has no result of its own: the true one. */
	if (j->phase == RUNNING || j->closing) {
		j->end.how = WIFSIGNALED(status) ? JOB_SIGNALLED : JOB_EXITED;
		limit_judge(&j->end, j->kills);
	}
	if (j->phase == RUNNING || j->phase == CLOSING) {
		j->phase = RUNNING;
		j->timer = now + DRAIN_US;
	}
	in_clear(&j->in);
	j->out[0].live = false;
	job_advance(&j->op);
}

/* Our leaders, and as subreaper (or PID 1) whatever was orphaned. */
void
job_reap(void)
{
	struct rusage	 ru;
	struct job	*j;
	uint64_t	 now;
	pid_t		 pid;
	int		 status;

	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0)
		if ((j = job_by_pid(pid)) != NULL)
			job_ended(j, status, &ru);
	/* A tree that is being ended may just have lost its last member. */
	now = now_us();
	for (j = jobs; j != NULL; j = j->next)
		if ((j->phase == TERMINATING || j->phase == KILLING) &&
		    j->timer > now + POLL_US - 1000)
			continue;
		else if (j->phase == TERMINATING || j->phase == KILLING)
			j->timer = now;
}

void
job_timers(uint64_t now)
{
	struct job *j, *next;

	for (j = jobs; j != NULL; j = next) {
		next = j->next;
		if (j->timer != 0 && j->timer <= now)
			job_tick(j, now);
	}
	task_timers(now);
}

uint64_t
job_next_timer(void)
{
	struct job	*j;
	uint64_t	 at = task_next_timer();

	for (j = jobs; j != NULL; j = j->next)
		if (j->timer != 0 && j->timer < at)
			at = j->timer;
	return at;
}
