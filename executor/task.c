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
 * Tasks: jobs that belong to nobody's connection.  Runs in: executor.
 * Trusts: nothing a task writes.  Owns: struct task (hung on its job), the
 * last bytes of its output, and the operations that read or end it.
 */

#include <sys/uio.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "executor/executor.h"

#define RUNNING_MAX	256	/* two megabytes each, two pipes */
#define ENDED_MAX	64	/* the oldest is forgotten first */
#define COMMAND_MAX	4096	/* as task_info has room for */
#define CHUNK		(64 * 1024)	/* what a ring always has */
/* All rings; beyond it those that are small stay so. */
#define KEPT_MAX	(128 * 1024 * 1024)
/*
 * Behind a follower's position: may be on its way to him still.  Host sides
 * have half a mebibyte under way at most; the rest is for what a client's
 * kernel has taken and the client has not.
 */
#define HISTORY		(768 * 1024)
#define LOST_MAX	8	/* followers that may come back, a task */

/* The byte at offset o is at mem[o % cap], for begin <= o < end. */
struct keep {
	struct task		*task;
	struct out_stream	*out;	/* its pipe's; NULL before it runs */
	uint8_t			*mem;
	size_t			 cap;	/* 0 or a power of two */
	uint64_t		 begin, end;
};

/* A follower that went away before the end: from here on nothing goes. */
struct lost {
	uint64_t	 from[2];
	uint64_t	 until;
};

struct task {
	struct op		*op;	/* its job */
	struct task		*next, *prev;
	char			*command;
	bool			 running;
	uint64_t		 started_ms, ended_ms;
	uint64_t		 ended;	/* order of the ends */
	struct exec_job_exit	 end;
	struct keep		 keep[2];
	struct lost		 lost[LOST_MAX];
	size_t			 nlost;
	struct reader		*readers;
	struct killer		*killers;
};

struct reader {
	struct op	 op;		/* first */
	struct task	*task;
	struct reader	*next, *prev;
	bool		 follow;
	bool		 came_back;	/* took the place of a lost one */
	uint64_t	 nth;		/* order of coming */
	struct {
		uint64_t	 start;		/* asked for */
		uint64_t	 pos, until, credit;
		bool		 eof;		/* said */
	}		 s[2];
};

struct killer {
	struct op	 op;		/* first */
	struct task	*task;
	struct killer	*next, *prev;
};

static void	reader_credit(struct op *, uint8_t, uint64_t);
static void	reader_cancel(struct op *);
static bool	reader_pump(struct op *);
static void	reader_clear(struct op *);
static void	killer_cancel(struct op *);
static void	killer_clear(struct op *);

static const struct op_class reader_class = {
	.name = "task_read", .on_credit = reader_credit,
	.on_cancel = reader_cancel, .pump = reader_pump,
	.clear = reader_clear
};

static const struct op_class killer_class = {
	.name = "task_kill", .on_cancel = killer_cancel,
	.clear = killer_clear
};

static struct task	*tasks;
static size_t		 running, ended;
static uint64_t		 ends;		/* ever */
static size_t		 kept;		/* bytes of memory in all rings */

#define LIST_ADD(head, x) do {						\
	(x)->prev = NULL;						\
	if (((x)->next = (head)) != NULL)				\
		(head)->prev = (x);					\
	(head) = (x);							\
} while (0)

#define LIST_DEL(head, x) do {						\
	*((x)->prev != NULL ? &(x)->prev->next : &(head)) = (x)->next;	\
	if ((x)->next != NULL)						\
		(x)->next->prev = (x)->prev;				\
} while (0)

static uint64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what is kept of a stream */

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * The first byte that reader r may need (again): what was sent may be lost on
 * its way.  Bounded, or a window wider than the ring would stop both sides
 * for good.
 */
static uint64_t
reader_needs(const struct reader *r, int i)
{
	return r->s[i].pos > HISTORY ? r->s[i].pos - HISTORY : 0;
}

/* Bytes from here on must stay. */
static uint64_t
keep_pinned(const struct keep *k)
{
	const struct task	*t = k->task;
	const struct reader	*r;
	uint64_t		 from = k->end, x;
	int			 i = (int)(k - t->keep);
	size_t			 n;

	for (r = t->readers; r != NULL; r = r->next)
		if (r->follow && (x = reader_needs(r, i)) < from)
			from = x;
	for (n = 0; n < t->nlost; n++)
		if (t->lost[n].from[i] < from)
			from = t->lost[n].from[i];
	return later(from, k->begin);
}

static size_t
keep_limit(const struct keep *k)
{
	if (kept < KEPT_MAX)
		return RING_MAX;
	return k->cap > CHUNK ? k->cap : CHUNK;
}

size_t
keep_room(struct keep *k)
{
	uint64_t pinned = k->end - keep_pinned(k);
	size_t	 limit = keep_limit(k);

	return pinned < limit ? limit - (size_t)pinned : 0;
}

/* What lies from offset on, as far as it is in one piece. */
static size_t
keep_piece(const struct keep *k, uint64_t offset, uint8_t **p)
{
	size_t at = (size_t)(offset & (k->cap - 1));

	*p = k->mem + at;
	return k->cap - at;
}

static void
keep_grow(struct keep *k, size_t cap)
{
	struct keep	 wide = *k;
	uint8_t		*from, *to;
	uint64_t	 o;
	size_t		 n, m;

	if ((wide.mem = malloc(cap)) == NULL)
		die("out of memory");
	wide.cap = cap;
	for (o = k->begin; o < k->end; o += n) {
		n = keep_piece(k, o, &from);
		m = keep_piece(&wide, o, &to);
		if (n > m)
			n = m;
		if (n > k->end - o)
			n = (size_t)(k->end - o);
		memcpy(to, from, n);
	}
	kept += cap - k->cap;
	free(k->mem);
	*k = wide;
}

static void
keep_clear(struct keep *k)
{
	kept -= k->cap;
	free(k->mem);
	k->mem = NULL;
	k->cap = 0;
}

/*
 * Reads over the oldest bytes, but only as many as there really come.  The
 * last read before a pipe is closed may ask for more than there is room: then
 * the ring becomes larger rather than lose what somebody waits for.
 */
ssize_t
keep_read(struct keep *k, int fd, size_t max)
{
	struct iovec	 iov[2];
	uint8_t		*p;
	uint64_t	 must = k->end - keep_pinned(k) + max;
	size_t		 limit, cap, n;
	ssize_t		 got;

	limit = must > RING_MAX ? 2 * RING_MAX : keep_limit(k);
	cap = k->cap > 0 ? k->cap : 4096;
	while (cap < limit && cap < k->end - k->begin + max)
		cap *= 2;
	if (cap > k->cap)
		keep_grow(k, cap);
	if (max > k->cap)
		max = k->cap;
	n = keep_piece(k, k->end, &p);
	iov[0] = (struct iovec){ p, n < max ? n : max };
	iov[1] = (struct iovec){ k->mem, max - iov[0].iov_len };
	if ((got = readv(fd, iov, iov[1].iov_len > 0 ? 2 : 1)) <= 0)
		return got;
	k->end += (size_t)got;
	if (k->end - k->begin > k->cap)
		k->begin = k->end - k->cap;
	for (struct reader *r = k->task->readers; r != NULL; r = r->next)
		op_ready(&r->op);
	return got;
}

/* A reader went on or away: its task may write again. */
static void
task_resume(struct task *t)
{
	int i;

	for (i = 0; t->running && i < 2; i++)
		if (t->keep[i].out != NULL)
			out_resume(t->keep[i].out);
}

/* ---- tasks */

/* Cut to what a message holds, never inside a character. */
static char *
command_text(const struct exec_job_start *m)
{
	char	*text = malloc(COMMAND_MAX + 1);
	size_t	 n = 0, i, part;

	if (text == NULL)
		die("out of memory");
	for (i = 0; i < (m->argv.n > 0 ? m->argv.n : 1); i++) {
		struct slice s = m->argv.n > 0 ? m->argv.v[i] : m->command;

		if (i > 0 && n < COMMAND_MAX)
			text[n++] = ' ';
		part = s.len < COMMAND_MAX - n ? s.len : COMMAND_MAX - n;
		if (part < s.len)
			while (part > 0 && (((const uint8_t *)s.p)[part] &
			    0xc0) == 0x80)
				part--;
		if (part > 0)
			memcpy(text + n, s.p, part);
		n += part;
		if (part < s.len)
			break;
	}
	text[n] = '\0';
	return text;
}

struct task *
task_new(struct op *op, const struct exec_job_start *m)
{
	struct task *t;

	if (running >= RUNNING_MAX)
		return NULL;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		die("out of memory");
	t->op = op;
	t->command = command_text(m);
	t->running = true;
	t->keep[0].task = t->keep[1].task = t;
	LIST_ADD(tasks, t);
	running++;
	return t;
}

void
task_started(struct task *t, struct out_stream out[2])
{
	int i;

	t->started_ms = wall_ms();
	for (i = 0; i < 2; i++) {
		t->keep[i].out = &out[i];
		out[i].keep = &t->keep[i];
	}
}

static struct task *
task_oldest(void)
{
	struct task *t, *old = NULL;

	for (t = tasks; t != NULL; t = t->next)
		if (!t->running && (old == NULL || t->ended < old->ended))
			old = t;
	return old;
}

void
task_ended(struct task *t, const struct exec_job_exit *end)
{
	struct task	*old;
	struct reader	*r;

	t->running = false;
	t->end = *end;
	t->ended_ms = wall_ms();
	t->ended = ++ends;
	t->nlost = 0;
	running--;
	if (++ended > ENDED_MAX && (old = task_oldest()) != NULL) {
		old->ended = UINT64_MAX;	/* not chosen again */
		job_expire(old->op);
	}
	for (r = t->readers; r != NULL; r = r->next)
		op_ready(&r->op);
	while (t->killers != NULL)
		op_done(&t->killers->op);
}

void
task_free(struct task *t)
{
	if (t == NULL)
		return;
	while (t->readers != NULL)
		op_refuse(&t->readers->op, XERR_ENOENT,
		    "the task was forgotten");
	while (t->killers != NULL)
		op_refuse(&t->killers->op, XERR_ENOENT,
		    "the task did not start");
	LIST_DEL(tasks, t);
	*(t->running ? &running : &ended) -= 1;
	keep_clear(&t->keep[0]);
	keep_clear(&t->keep[1]);
	free(t->command);
	free(t);
}

size_t
task_history(void)
{
	return ended;
}

static struct task *
task_find(const struct id16 *job, const struct id16 *id)
{
	struct task *t;

	/* One that came in the same batch is not running yet. */
	job_start_pending();
	if (op_find(job) != NULL) {
		refuse(job, XERR_EEXIST, "this job id is in use");
		return NULL;
	}
	for (t = tasks; t != NULL; t = t->next)
		if (memcmp(&t->op->id, id, sizeof(*id)) == 0)
			return t;
	refuse(job, XERR_ENOENT, "no such task");
	return NULL;
}

static void
task_info(const struct id16 *job, const struct task *t)
{
	struct exec_task_info m = { .job = *job, .task = t->op->id };

	m.command = slice_str(t->command);
	m.running = t->running;
	m.how = t->end.how;
	m.code = t->end.code;
	m.started_ms = t->started_ms;
	m.ended_ms = t->ended_ms;
	m.stdout_begin = t->keep[0].begin;
	m.stdout_end = t->keep[0].end;
	m.stderr_begin = t->keep[1].begin;
	m.stderr_end = t->keep[1].end;
	link_send(EXEC_TASK_INFO, &m);
}

void
on_task_list(const struct exec_task_list *m)
{
	struct exec_job_done	 done = { .job = m->job };
	const struct task	*t;

	job_start_pending();
	if (op_find(&m->job) != NULL) {
		refuse(&m->job, XERR_EEXIST, "this job id is in use");
		return;
	}
	for (t = tasks; t != NULL; t = t->next)
		task_info(&m->job, t);
	link_send(EXEC_JOB_DONE, &done);
}

/* ---- reading */

/*
 * One who comes takes the place of one who was lost: of him who was nearest
 * before this offset, else of him who had read least.
 */
static bool
lost_take(struct task *t, uint64_t from)
{
	size_t i, best = 0;

	if (t->nlost == 0)
		return false;
	for (i = 1; i < t->nlost; i++)
		if (t->lost[best].from[0] > from ?
		    t->lost[i].from[0] < t->lost[best].from[0] :
		    t->lost[i].from[0] <= from &&
		    t->lost[i].from[0] > t->lost[best].from[0])
			best = i;
	t->lost[best] = t->lost[--t->nlost];
	return true;
}

/*
 * Has he come back before we heard that he was lost?  Then somebody newer
 * began about where he was.
 */
static bool
reader_is_back(const struct reader *r)
{
	struct reader	*f;
	int		 i, near;

	for (f = r->task->readers; f != NULL; f = f->next) {
		if (!f->follow || f->came_back || f->nth <= r->nth)
			continue;
		for (i = near = 0; i < 2; i++)
			near += f->s[i].start <= r->s[i].pos &&
			    f->s[i].start + HISTORY >= reader_needs(r, i);
		if (near == 2) {
			f->came_back = true;
			return true;
		}
	}
	return false;
}

static void
lost_add(struct task *t, const struct reader *r)
{
	struct lost *l;

	if (!t->running || opt.grace == 0)
		return;
	/* In order of time but for exchanges: the first is old enough. */
	l = &t->lost[t->nlost < LOST_MAX ? t->nlost++ : 0];
	l->from[0] = reader_needs(r, 0);
	l->from[1] = reader_needs(r, 1);
	l->until = now_us() + opt.grace * UINT64_C(1000000);
}

void
task_timers(uint64_t now)
{
	struct task	*t;
	size_t		 i, before;

	for (t = tasks; t != NULL; t = t->next) {
		before = t->nlost;
		for (i = t->nlost; i > 0; i--)
			if (t->lost[i - 1].until <= now)
				t->lost[i - 1] = t->lost[--t->nlost];
		if (t->nlost < before)
			task_resume(t);
	}
}

uint64_t
task_next_timer(void)
{
	const struct task	*t;
	uint64_t		 at = UINT64_MAX;
	size_t			 i;

	for (t = tasks; t != NULL; t = t->next)
		for (i = 0; i < t->nlost; i++)
			if (t->lost[i].until < at)
				at = t->lost[i].until;
	return at;
}

void
on_task_read(const struct exec_task_read *m)
{
	static uint64_t	 coming;
	struct reader	*r;
	struct task	*t;
	uint64_t	 from[2] = { m->stdout_offset, m->stderr_offset };
	int		 i;

	if ((t = task_find(&m->job, &m->task)) == NULL)
		return;
	if (from[0] > t->keep[0].end || from[1] > t->keep[1].end) {
		refuse(&m->job, XERR_EINVAL, "beyond the end of the output");
		return;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		die("out of memory");
	if (!op_enter(&r->op, &m->job, &reader_class)) {
		free(r);
		return;
	}
	r->task = t;
	r->follow = m->follow;
	r->nth = ++coming;
	for (i = 0; i < 2; i++) {
		r->s[i].start = from[i];
		r->s[i].pos = later(from[i], t->keep[i].begin);
		r->s[i].until = t->keep[i].end;
	}
	LIST_ADD(t->readers, r);
	task_info(&m->job, t);
	if (r->follow)
		r->came_back = lost_take(t, from[0]);
	op_ready(&r->op);
}

static void
reader_credit(struct op *op, uint8_t stream, uint64_t upto)
{
	struct reader	*r = (struct reader *)op;
	int		 i = stream - STREAM_STDOUT;

	if ((i != 0 && i != 1) || upto <= r->s[i].credit)
		return;
	r->s[i].credit = upto;
	task_resume(r->task);
	op_ready(op);
}

static void
reader_cancel(struct op *op)
{
	struct reader *r = (struct reader *)op;

	if (r->follow && !reader_is_back(r))
		lost_add(r->task, r);
	op_refuse(op, XERR_EIO, "cancelled");
}

static void
reader_clear(struct op *op)
{
	struct reader	*r = (struct reader *)op;
	struct task	*t = r->task;

	LIST_DEL(t->readers, r);
	task_resume(t);
}

/* Send one slice of a stream; true: that is what there is to do. */
static bool
reader_send(struct reader *r, int i)
{
	struct keep	*k = &r->task->keep[i];
	uint64_t	 until = r->follow ? k->end : r->s[i].until;
	uint64_t	 pos = later(r->s[i].pos, k->begin);
	uint8_t		*from;
	size_t		 n, piece;
	void		*p;

	r->s[i].pos = pos;
	if (pos >= until || r->s[i].credit <= pos)
		return false;
	n = keep_piece(k, pos, &from);
	piece = until - pos < n ? (size_t)(until - pos) : n;
	if (piece > r->s[i].credit - pos)
		piece = (size_t)(r->s[i].credit - pos);
	if ((p = link_data(&r->op, (uint8_t)(STREAM_STDOUT + i), pos,
	    &piece)) == NULL)
		return true;
	memcpy(p, from, piece);
	link_commit(&r->op, piece);
	r->s[i].pos += piece;
	task_resume(r->task);
	return true;
}

/* All that this reader gets of a stream is sent. */
static bool
reader_at_end(struct reader *r, int i)
{
	struct exec_job_eof	 m = { .job = r->op.id };
	struct task		*t = r->task;
	uint64_t		 end;

	end = r->follow ? t->keep[i].end : r->s[i].until;
	if ((r->follow && t->running) || r->s[i].pos < end)
		return false;
	if (!r->s[i].eof) {
		m.stream = (uint8_t)(STREAM_STDOUT + i);
		m.offset = r->s[i].pos;
		link_send_last(&r->op, EXEC_JOB_EOF, &m);
		r->s[i].eof = true;
	}
	return true;
}

static bool
reader_pump(struct op *op)
{
	struct reader		*r = (struct reader *)op;
	struct exec_job_exit	 end;
	bool			 more, ends_now;

	more = reader_send(r, 0);
	more = reader_send(r, 1) || more;
	ends_now = reader_at_end(r, 0);
	ends_now = reader_at_end(r, 1) && ends_now;
	if (!ends_now)
		return more;
	if (r->follow) {
		end = r->task->end;
		op_exit(op, &end);
	} else
		op_done(op);
	return false;
}

/* ---- killing */

void
on_task_kill(const struct exec_task_kill *m)
{
	struct exec_job_done	 done = { .job = m->job };
	struct killer		*k;
	struct task		*t;

	if ((t = task_find(&m->job, &m->task)) == NULL)
		return;
	if (!t->running) {
		link_send(EXEC_JOB_DONE, &done);
		return;
	}
	if ((k = calloc(1, sizeof(*k))) == NULL)
		die("out of memory");
	if (!op_enter(&k->op, &m->job, &killer_class)) {
		free(k);
		return;
	}
	k->task = t;
	LIST_ADD(t->killers, k);
	job_end(t->op);
}

/* Nobody wants to know any more; the task dies all the same. */
static void
killer_cancel(struct op *op)
{
	op_refuse(op, XERR_EIO, "cancelled");
}

static void
killer_clear(struct op *op)
{
	struct killer *k = (struct killer *)op;

	LIST_DEL(k->task->killers, k);
}
