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
 * From whatever there is to a container that runs and an executor that has
 * called: found, or made (make.c), and started.  Runs in: docker.  One struct
 * start for each user who waits; it holds the claim, and ends with an answer
 * to box.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/box.h"
#include "base/child.h"
#include "base/container.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/docker/commit.h"
#include "workers/docker/start_int.h"

#define CALL_S		30	/* for the executor, once it was started */
#define TAKEN_S		10	/* for one that waits for us already */
#define AGAIN_MS	200	/* a container that is being removed */
#define AGAIN_MAX	50

static void	put_far(struct start *);
static void	call_far(struct start *);
static void	wait_call(struct start *, const struct json_value *,
		    unsigned int);
static void	on_found(void *, const struct engine_result *);
static void	on_halted(void *, const struct engine_result *);
static void	on_started(void *, const struct engine_result *);
static void	on_running(void *, const struct engine_result *);
static void	on_silent(void *, const struct engine_result *);
static void	on_peer(void *, int);
static void	on_put(void *, const struct engine_result *);
static void	on_stranger(void *);
static void	on_relay_down(void *);
static void	on_no_call(evutil_socket_t, short, void *);
static void	on_again(evutil_socket_t, short, void *);

void
start_ask(struct start *st, enum engine_op op, const char *a, const char *b,
    engine_done *done)
{
	struct engine_args args = { .a = a, .b = b };

	if ((st->call = engine_call(docker_engine, op, &args, done, st)) == 0)
		start_fail(st, XERR_EBUSY, "out of memory");
}

static void
start_free(struct start *st)
{
	engine_cancel(docker_engine, st->call);
	st->s->start = NULL;
	box_free(st->box);
	relay_free(st->relay);
	if (st->timer != NULL)
		event_free(st->timer);
	free(st);
}

/* The contract's errors of a backend; the Engine's 404 is not the client's. */
void
start_fail(struct start *st, enum xerr code, const char *fmt, ...)
{
	struct sandbox			*s = st->s;
	struct ctl_executor_refused	 no = { .user = slice_str(s->user) };
	char				 text[513];
	va_list				 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warnx("sandbox of %s: %s", s->user, text);
	no.code = code == XERR_EOFFLINE || code == XERR_EBUSY ||
	    code == XERR_ETIMEDOUT ? (uint8_t)code : XERR_EIO;
	no.text = slice_str(utf8_valid(text, strlen(text)) ? text :
	    "the Docker Engine's answer is no text");
	chan_send(child_peer(ROLE_BOX), CTL_EXECUTOR_REFUSED, s->wanted, &no);
	s->wanted = 0;
	if (s->state == SANDBOX_CREATING)
		sandbox_set_state(s, s->container[0] == '\0' ?
		    SANDBOX_ABSENT : SANDBOX_STOPPED);
	start_free(st);
	sandbox_release(s);
}

/*
 * An Engine that was killed may have left what keeps a container that it had
 * before from ever starting again (moby's issue 50040).  What is in it is
 * saved; the next question makes another of that.
 */
static void
start_stuck(struct start *st, const struct engine_result *res)
{
	struct sandbox	*s = st->s;
	const bool	 stuck = res->code == XERR_EIO &&
			    strstr(res->text, "file exists") != NULL;

	start_fail(st, res->code, "cannot start the container: %s",
	    res->text);
	if (stuck && commit_start(s, JOURNAL_STOP, false, NULL, NULL))
		log_info("sandbox of %s: it is saved, and will be made anew",
		    s->user);
}

void
start_fail_call(struct start *st, const struct engine_result *res)
{
	start_fail(st, res->code, "engine: %s", res->text);
}

void
start_fail_box(struct start *st)
{
	start_fail(st, XERR_EIO, "%s/%s: %s", docker_conf.box, st->s->user,
	    strerror(errno));
}

static void
timer_set(struct start *st, event_callback_fn f, unsigned int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_assign(st->timer, child_base(), -1, 0, f, st);
	evtimer_add(st->timer, &tv);
}

void
sandbox_start(struct sandbox *s)
{
	struct ctl_executor_refused	 no = { slice_str(s->user),
	    XERR_EBUSY, slice_str("out of memory") };
	struct start			*st;

	if ((st = calloc(1, sizeof(*st))) == NULL ||
	    (st->timer = evtimer_new(child_base(), on_again, st)) == NULL) {
		free(st);
		chan_send(child_peer(ROLE_BOX), CTL_EXECUTOR_REFUSED,
		    s->wanted, &no);
		s->wanted = 0;
		return;
	}
	st->s = s;
	s->start = st;
	sandbox_claim(s, "start");
	start_ask(st, ENGINE_CONTAINER_INSPECT, s->name, NULL, on_found);
}

/* ---- is there a container? */

/* false: refused. */
static bool
found_fits(struct start *st, const struct json_value *body)
{
	struct sandbox	*s = st->s;
	char		 path[4097 + ID_USER_MAX + 1];

	if (!container_label_is(body, SANDBOX_LABEL, s->user)) {
		start_fail(st, XERR_EIO, "there is a container %s that is "
		    "not this user's sandbox: rename or remove it", s->name);
		return false;
	}
	snprintf(path, sizeof(path), "%s/%s", docker_conf.box, s->user);
	if (container_mount_is(body, "/.xbot", path))
		return true;
	st->far = !container_mount_is(body, "/.xbot", NULL);
	if (st->far)
		return true;
	start_fail(st, XERR_EIO, "container %s was made for another state "
	    "directory: stop the sandbox to save it, a new one is made then",
	    s->name);
	return false;
}

static void
on_found(void *arg, const struct engine_result *res)
{
	struct start		*st = arg;
	struct sandbox		*s = st->s;
	const struct json_value	*state = json_find(res->body, "State");
	char			 status[32] = "";

	if (res->code == XERR_ENOENT) {
		make_begin(st);
		return;
	}
	if (res->code != XERR_NONE) {
		start_fail_call(st, res);
		return;
	}
	if (!found_fits(st, res->body))
		return;
	json_cstr(json_find(res->body, "Id"), s->container,
	    sizeof(s->container));
	json_cstr(json_find(res->body, "Image"), s->image, sizeof(s->image));
	json_cstr(json_find(state, "Status"), status, sizeof(status));
	if (strcmp(status, "paused") == 0)
		start_fail(st, XERR_EBUSY, "container %s is paused", s->name);
	else if (strcmp(status, "removing") == 0) {
		if (st->again++ < AGAIN_MAX)
			timer_set(st, on_again, AGAIN_MS);
		else
			start_fail(st, XERR_EBUSY,
			    "container %s is being removed", s->name);
	} else if (strcmp(status, "running") == 0) {
		st->taken = true;
		wait_call(st, state, TAKEN_S);
	} else {
		st->unborn = strcmp(status, "created") == 0;
		start_run(st);
	}
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct start *st = arg;

	start_ask(st, ENGINE_CONTAINER_INSPECT, st->s->name, NULL, on_found);
}

/* ---- through an Engine that is elsewhere */

/* Each time: the user may have put another program in its place. */
static void
put_far(struct start *st)
{
	if ((st->call = relay_put(st->s->container, on_put, st)) == 0)
		start_fail(st, XERR_EBUSY, "out of memory");
}

static void
call_far(struct start *st)
{
	timer_set(st, on_no_call, CALL_S * 1000);
	if ((st->relay = relay_new(st->s, on_peer, on_relay_down, st)) == NULL)
		start_fail(st, XERR_EBUSY, "out of memory");
}

/* ---- start it and wait for its executor */

/* false and errno.  The Engine wants the directory to be there at create. */
bool
start_box_open(struct start *st)
{
	int dir;

	if (st->box != NULL)
		return true;
	if ((dir = sandbox_box_dir(st->s->user)) == -1 || (st->box =
	    box_new(child_base(), dir, on_peer, st)) == NULL)
		return false;
	box_on_stranger(st->box, on_stranger);
	return true;
}

void
start_run(struct start *st)
{
	st->taken = false;
	st->s->oom = st->s->killed = false;
	if (st->far) {
		put_far(st);
		return;
	}
	if (!start_box_open(st) || !box_put(st->box, buf_data(&docker_program),
	    docker_program.len) || !box_listen(st->box)) {
		start_fail_box(st);
		return;
	}
	start_ask(st, ENGINE_CONTAINER_START, st->s->container, NULL, on_started);
}

static void
on_put(void *arg, const struct engine_result *res)
{
	struct start *st = arg;

	if (res->code != XERR_NONE)
		start_fail(st, res->code, "cannot put the executor into the "
		    "container: %s", res->text);
	else if (st->taken)
		call_far(st);
	else
		start_ask(st, ENGINE_CONTAINER_START, st->s->container, NULL,
		    on_started);
}

static void
on_started(void *arg, const struct engine_result *res)
{
	struct start *st = arg;

	if (res->code != XERR_NONE && st->made && !st->far &&
	    strstr(res->text, "/.xbot/executor") != NULL)
		make_far(st, "what is in our directory");
	else if (res->code == XERR_EIO && st->unborn) {
		/* An Engine that was killed may have left it half begun, and
		 * for good.  It has never run: nothing is in it. */
		log_info("sandbox of %s: container %s never ran and does not "
		    "start: made anew: %s", st->s->user, st->s->name,
		    res->text);
		st->unborn = false;
		make_anew(st);
	} else if (res->code != XERR_NONE)
		start_stuck(st, res);
	else
		start_ask(st, ENGINE_CONTAINER_INSPECT, st->s->container, NULL,
		    on_running);
}

static void
on_running(void *arg, const struct engine_result *res)
{
	struct start *st = arg;

	if (res->code != XERR_NONE)
		start_fail_call(st, res);
	else
		wait_call(st, json_find(res->body, "State"), CALL_S);
}

static void
wait_call(struct start *st, const struct json_value *state,
    unsigned int seconds)
{
	int64_t pid = 0;

	json_get_int(state, "Pid", 0, INT32_MAX, &pid);
	if (st->far) {
		(st->taken ? put_far : call_far)(st);
		return;
	}
	if (st->taken && (!start_box_open(st) || !box_listen(st->box))) {
		start_fail_box(st);
		return;
	}
	if (pid == 0) {
		start_ask(st, ENGINE_CONTAINER_INSPECT, st->s->container, NULL,
		    on_silent);
		return;
	}
	timer_set(st, on_no_call, seconds * 1000);
	box_expect(st->box, (pid_t)pid);
}

/*
 * In a container that was just made nothing runs but its first process until
 * that has called.  So who calls is it, whatever his number is here.
 */
static void
on_stranger(void *arg)
{
	struct start *st = arg;

	if (st->made && !st->taken)
		make_far(st, "our processes");
}

static void
on_relay_down(void *arg)
{
	struct start *st = arg;

	st->relay = NULL;
	event_del(st->timer);
	on_no_call(-1, 0, st);
}

static void
on_no_call(evutil_socket_t fd, short what, void *arg)
{
	struct start *st = arg;

	relay_free(st->relay);
	st->relay = NULL;
	if (st->taken) {
		log_warnx("sandbox of %s: the executor in %s does not call: "
		    "the container is started again", st->s->user,
		    st->s->name);
		box_close(st->box);
		start_ask(st, ENGINE_CONTAINER_STOP, st->s->container, "3",
		    on_halted);
	} else
		start_ask(st, ENGINE_CONTAINER_INSPECT, st->s->container, NULL,
		    on_silent);
}

static void
on_halted(void *arg, const struct engine_result *res)
{
	struct start *st = arg;

	if (res->code != XERR_NONE)
		start_fail_call(st, res);
	else
		start_run(st);
}

/* Nobody called, or somebody whom we cannot take for the executor. */
static void
on_silent(void *arg, const struct engine_result *res)
{
	struct start	*st = arg;
	int		 code;
	const bool	 runs = container_runs(res->body, &code);

	if (res->code != XERR_NONE)
		start_fail_call(st, res);
	else if (!runs)
		start_fail(st, XERR_EIO, "container %s ended at once, status "
		    "%d: docker logs says why", st->s->name, code);
	else if (st->box != NULL && !st->far && box_stranger(st->box) != -1)
		start_fail(st, XERR_EIO, "container %s: the Docker Engine "
		    "does not see this machine's processes: stop the sandbox "
		    "to save it, a new one is made then", st->s->name);
	else
		start_fail(st, XERR_EIO, "the executor in container %s did "
		    "not call: docker logs may say why", st->s->name);
}

static void
on_peer(void *arg, int fd)
{
	struct start		*st = arg;
	struct sandbox		*s = st->s;
	struct ctl_executor	 ok = { .user = slice_str(s->user) };

	st->relay = NULL;
	log_info("sandbox of %s: the executor in %s is there", s->user,
	    s->name);
	chan_send_fd(child_peer(ROLE_BOX), CTL_EXECUTOR, s->wanted, &ok, fd);
	s->wanted = 0;
	sandbox_set_state(s, SANDBOX_RUNNING);
	sandbox_remember(s);
	start_free(st);
	sandbox_release(s);
}
