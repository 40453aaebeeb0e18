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
 * Background tasks of runners that speak version 1: bg_exec, bg_kill, and
 * bg_status, which tells all output since the start, every time.  Runs in:
 * remote.  What the runner says is hostile.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "workers/remote/remote.h"

#define TASKS_MAX	256	/* of one runner, ended ones included */
#define COMMAND_MAX	4096	/* as task_info carries */
#define FRESH_US	1000000	/* as old may a state be that is listed */
#define REPLACED	"\xef\xbf\xbd"

static const struct {
	const char	*word;
	bool		 running;
	uint8_t		 how;
} states[] = {
	{ "running", true, 0 },
	{ "completed", false, JOB_EXITED },
	{ "failed", false, JOB_SIGNALLED },
	{ "killed", false, JOB_KILLED },
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

struct task *
task_find(const struct link *l, const struct id16 *id)
{
	struct task *t;

	TAILQ_FOREACH(t, &l->tasks, entry)
		if (memcmp(&t->id, id, sizeof(*id)) == 0)
			return t;
	return NULL;
}

static void
task_free(struct link *l, struct task *t)
{
	TAILQ_REMOVE(&l->tasks, t, entry);
	l->ntasks--;
	free(t->command);
	free(t);
}

void
task_forget(struct link *l, const struct id16 *id)
{
	struct task *t = task_find(l, id);

	if (t != NULL)
		task_free(l, t);
}

void
tasks_clear(struct link *l)
{
	struct task *t;

	while ((t = TAILQ_FIRST(&l->tasks)) != NULL)
		task_free(l, t);
}

/* The oldest that has ended makes room. */
static bool
task_room(struct link *l)
{
	struct task *t;

	if (l->ntasks < TASKS_MAX)
		return true;
	TAILQ_FOREACH(t, &l->tasks, entry)
		if (!t->running) {
			task_free(l, t);
			return true;
		}
	return false;
}

struct task *
task_new(struct op *op, const struct exec_job_start *start)
{
	struct link	*l = op->link;
	struct slice	 command = start->command;
	struct task	*t;
	char		 id[24];
	size_t		 n;
	uint32_t	 i;

	if (task_find(l, &op->job) != NULL || !task_room(l) ||
	    (t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	if ((t->command = malloc(COMMAND_MAX + 1)) == NULL) {
		free(t);
		return NULL;
	}
	text_clean(t->command, COMMAND_MAX, command);
	/* As an executor words it. */
	for (i = 0; i < start->argv.n; i++) {
		n = i == 0 ? 0 : strlen(t->command);
		if (i > 0 && n < COMMAND_MAX)
			t->command[n++] = ' ';
		text_clean(t->command + n, COMMAND_MAX - n,
		    start->argv.v[i]);
	}
	request_id(id);
	snprintf(t->name, sizeof(t->name), "remote-%s", id);
	t->id = op->task = op->job;
	t->running = true;
	t->started_ms = wall_ms();
	TAILQ_INSERT_TAIL(&l->tasks, t, entry);
	l->ntasks++;
	return t;
}

static void
task_ended(struct task *t, uint8_t how, int32_t code)
{
	if (!t->running)
		return;
	t->running = false;
	t->ended_ms = wall_ms();
	/* What was killed stays so (D26). */
	t->how = t->killed ? JOB_KILLED : how;
	t->code = t->how == JOB_EXITED ? code : 0;
}

static void
task_tell(struct op *op, const struct task *t)
{
	struct exec_task_info info = {
		.job = op->job, .task = t->id,
		.command = slice_str(t->command), .running = t->running,
		.how = t->how, .code = t->code, .started_ms = t->started_ms,
		.ended_ms = t->ended_ms, .stdout_end = t->sizes[0],
		.stderr_end = t->sizes[1],
	};

	op_send(op, EXEC_TASK_INFO, &info);
}

/* Ask for one after the other that may have ended; then tell all. */
void
task_list_next(struct op *op)
{
	struct task *t;

	TAILQ_FOREACH(t, &op->link->tasks, entry)
		if (t->running && t->asked_us + FRESH_US < op->begun_us) {
			t->asked_us = clock_us();
			op->task = t->id;
			op_ask(op, V1_BG_STATUS);
			return;
		}
	TAILQ_FOREACH(t, &op->link->tasks, entry)
		task_tell(op, t);
	op_done(op);
}

void
task_take_started(struct op *op, struct v1_value *body)
{
	struct exec_job_started started = { op->job, 0 };

	op_send(op, EXEC_JOB_STARTED, &started);
	op_free(op);
}

/*
 * A character that is not yet whole was replaced, and will be whole in the
 * next snapshot: it is not shown while more may come.
 */
static size_t
whole_text(struct slice s)
{
	size_t	len = s.len;
	int	i;

	for (i = 0; i < 3 && len >= 3 && memcmp((const char *)s.p + len - 3,
	    REPLACED, 3) == 0; i++)
		len -= 3;
	return len;
}

/* From what was shown up to now (D24). */
static void
task_show(struct op *op, struct task *t, int i, struct slice text)
{
	struct output	*o = &op->outputs[i];
	size_t		 len = t->running ? whole_text(text) : text.len;

	if (len > t->sizes[i])
		t->sizes[i] = len;
	o->data = (struct slice){ NULL, 0 };
	if (len > o->sent)
		o->data = (struct slice){ (const char *)text.p + o->sent,
		    len - o->sent };
}

/* In a list each is told at its end, whatever came of asking: on to the next. */
static bool
task_skipped(struct op *op)
{
	if (op->type != EXEC_TASK_LIST)
		return false;
	task_list_next(op);
	return true;
}

static bool
task_state(struct task *t, struct slice word, int64_t code)
{
	size_t i = 0;

	while (i < NITEMS(states) && !slice_is(word, states[i].word))
		i++;
	if (i == NITEMS(states) || code < INT32_MIN || code > INT32_MAX)
		return false;
	if (states[i].running)
		return true;
	/* One that failed has no code of success: it has none, then. */
	if (states[i].how == JOB_SIGNALLED && code > 0)
		task_ended(t, JOB_EXITED, (int32_t)code);
	else if (states[i].how == JOB_EXITED && code < 0)
		task_ended(t, JOB_SIGNALLED, 0);
	else
		task_ended(t, states[i].how, (int32_t)code);
	return true;
}

void
task_take_output(struct op *op, struct v1_value *body)
{
	struct v1_member	 m[] = {
		{ .key = "status" }, { .key = "exit_code" },
		{ .key = "stdout" }, { .key = "stderr" },
	};
	struct task		*t = task_find(op->link, &op->task);
	int64_t			 code = 0;

	if (t == NULL) {		/* it made room */
		if (!task_skipped(op))
			op_refuse(op, XERR_ENOENT, "no such task");
		return;
	}
	if (!v1_members(body, m, NITEMS(m)) || (m[1].value.kind > V1_NULL &&
	    !v1_int(&m[1].value, &code)) ||
	    !task_state(t, v1_string(&m[0].value), code)) {
		if (!task_skipped(op))
			reply_malformed(op);
		return;
	}
	t->asked_us = clock_us();
	task_show(op, t, 0, v1_string(&m[2].value));
	task_show(op, t, 1, v1_string(&m[3].value));
	if (task_skipped(op))
		return;
	/* Once: it begins the answer. */
	if (op->begun_us == 0)
		task_tell(op, t);
	op->begun_us = t->asked_us;
	op->step = OP_OUTPUT;
	output_pump(op);
}

/* All of the last snapshot is front's. */
void
task_read_sent(struct op *op)
{
	struct task		*t = task_find(op->link, &op->task);
	struct exec_job_eof	 eof = { .job = op->job };
	int			 i;

	if (t == NULL) {
		op_refuse(op, XERR_EIO, "lost");
		return;
	}
	if (t->running && op->follow) {
		op_pause(op);
		return;
	}
	for (i = 0; i < 2 && !t->running; i++) {
		eof.stream = op->outputs[i].stream;
		eof.offset = op->outputs[i].sent;
		op_send(op, EXEC_JOB_EOF, &eof);
	}
	if (!op->follow) {
		op_done(op);
		return;
	}
	op->how = t->how;
	op->code = t->code;
	op->duration_us = (t->ended_ms - t->started_ms) * 1000;
	op_exit(op);
}

void
task_take_killed(struct op *op, struct v1_value *body)
{
	struct task *t = task_find(op->link, &op->task);

	if (t != NULL) {
		t->killed = true;
		task_ended(t, JOB_KILLED, 0);
	}
	op_done(op);
}

bool
task_take_error(struct op *op, enum v1_type asked, enum xerr code,
    const char *text)
{
	struct task *t = task_find(op->link, &op->task);

	if (asked == V1_BG_EXEC)
		op->unseen = true;	/* it is none */
	if (asked == V1_BG_KILL && strstr(text, "is not running") != NULL) {
		op_done(op);
		return true;
	}
	if (asked != V1_BG_STATUS && asked != V1_BG_KILL)
		return false;
	/* It forgot it, which no runner should. */
	if (code == XERR_ENOENT && t != NULL)
		task_ended(t, JOB_LOST, 0);
	if (task_skipped(op))
		return true;
	if (code != XERR_ENOENT || t == NULL)
		return false;
	op_refuse(op, XERR_EIO, "lost: the runner knows the task no more");
	return true;
}
