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
 * An executor's connection was lost: why?  Runs in: docker.  The Engine
 * knows, a moment later than box; the answer begins with the reason's type:
 * oom, killed, stopped, ended, lost, engine.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "workers/docker/docker.h"

#define LOOK_MS		100	/* until the Engine has seen the end */
#define LOOK_MAX	20	/* so often: then it has not ended */

struct why {
	char		 user[ID_USER_MAX + 1];
	char		 name[SANDBOX_NAME_MAX];
	uint64_t	 serial;
	bool		 broke;
	unsigned int	 looks;
	struct event	*timer;
};

static void	look(struct why *);
static void	on_look(void *, const struct engine_result *);
static void	on_timer(evutil_socket_t, short, void *);

static void
answer(struct why *y, enum xerr code, const char *text)
{
	struct ctl_sandbox_ended e = { slice_str(y->user), (uint8_t)code,
	    slice_str(utf8_valid(text, strlen(text)) ? text : "engine") };

	log_info("sandbox of %s: %s", y->user, text);
	chan_send(child_peer(ROLE_BOX), CTL_SANDBOX_ENDED, y->serial, &e);
	if (y->timer != NULL)
		event_free(y->timer);
	free(y);
}

static void
look(struct why *y)
{
	struct engine_args args = { .a = y->name };

	if (engine_call(docker_engine, ENGINE_CONTAINER_INSPECT, &args,
	    on_look, y) == 0)
		answer(y, XERR_EIO, "lost: out of memory");
}

/* It has ended: by whom? */
static void
ended(struct why *y, const struct json_value *state)
{
	struct sandbox	*s = sandbox_find(y->user);
	char		 text[128];
	bool		 oom = false;
	int64_t		 code = 0;

	json_get_bool(state, "OOMKilled", &oom);
	json_get_int(state, "ExitCode", INT32_MIN, INT32_MAX, &code);
	if (y->broke)
		answer(y, XERR_EIO, "killed: its executor broke the "
		    "protocol");
	else if ((oom || (code == 137 && s != NULL && s->oom)) &&
	    (s == NULL || !s->killed))	/* some job's, before */
		answer(y, XERR_EIO, "oom: the sandbox used up its memory");
	else if (code == 137)
		answer(y, XERR_EIO, "killed: the container was killed");
	else if (code == 0)
		answer(y, XERR_EIO, "stopped: the container was stopped");
	else {
		snprintf(text, sizeof(text), "ended: the executor ended with "
		    "status %d", (int)code);
		answer(y, XERR_EIO, text);
	}
}

static void
on_look(void *arg, const struct engine_result *res)
{
	struct why		*y = arg;
	const struct json_value	*state = json_find(res->body, "State");
	struct timeval		 tv = { 0, LOOK_MS * 1000 };
	char			 text[ENGINE_TEXT_MAX + 16];
	bool			 running = false;

	json_get_bool(state, "Running", &running);
	if (res->code == XERR_ENOENT)
		answer(y, XERR_EIO, "killed: the container was removed");
	else if (res->code != XERR_NONE) {
		snprintf(text, sizeof(text), "engine: %.480s", res->text);
		answer(y, XERR_EIO, text);
	} else if (!running)
		ended(y, state);
	else if (++y->looks == LOOK_MAX)
		answer(y, XERR_EIO, "lost: the executor closed its "
		    "connection");
	else
		evtimer_add(y->timer, &tv);
}

static void
on_killed(void *arg, const struct engine_result *res)
{
	look(arg);
}

/* What speaks there is no executor of ours any more. */
static void
kill_container(struct why *y)
{
	struct engine_args args = { .a = y->name, .b = "KILL" };

	log_warnx("sandbox of %s: its executor broke the protocol: container "
	    "%s is killed", y->user, y->name);
	if (engine_call(docker_engine, ENGINE_CONTAINER_KILL, &args,
	    on_killed, y) == 0)
		answer(y, XERR_EIO, "lost: out of memory");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	look(arg);
}

void
on_sandbox_why(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_why	*w = m->body;
	struct ctl_sandbox_ended	 e = { .user = w->user,
					    .code = XERR_EIO };
	struct sandbox			*s;
	struct why			*y;

	if (!id_user_ok(w->user)) {
		chan_refuse(c, "not a user id");
		return;
	}
	/* Not before we may speak to the Engine. */
	if (!journal_ready() || (y = calloc(1, sizeof(*y))) == NULL) {
		e.text = slice_str("lost: the sandbox was lost");
		chan_send(c, CTL_SANDBOX_ENDED, m->serial, &e);
		return;
	}
	y->serial = m->serial;
	slice_copy(y->user, sizeof(y->user), w->user);
	sandbox_name(y->user, y->name);
	if ((y->timer = evtimer_new(child_base(), on_timer, y)) == NULL) {
		answer(y, XERR_EIO, "lost: out of memory");
		return;
	}
	s = sandbox_find(y->user);
	if (w->broke) {
		y->broke = true;
		kill_container(y);
		return;
	}
	/* We did it ourselves: a stop, an idle timeout, a reset. */
	if (s != NULL && s->claimed != NULL && strcmp(s->claimed, "start")
	    != 0)
		answer(y, XERR_EIO, "stopped: the sandbox was stopped");
	else
		look(y);
}
