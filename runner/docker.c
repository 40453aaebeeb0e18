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
 * Docker mode: the executor is the first process of a container of the local
 * Docker Engine.  Runs in: xbot-runner.  Owns: the conversation with the
 * Engine, a step at a time.  The container stays when we go: it is stopped,
 * and found again; what is in it is the user's and is never removed.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "base/container.h"
#include "base/engine.h"
#include "base/log.h"
#include "runner/boxdir.h"
#include "runner/container.h"
#include "runner/launch.h"

#define CALL_MS		15000	/* for the executor, once it was started */
#define TAKEN_MS	2000	/* for one that somebody else has started */
#define RETRY_MAX	60	/* s */
#define HEALTHY		60	/* s: the next failure is the first again */
#define STOP_MS		10000	/* the Engine's answer, when we end */
#define PULL_SAY	5	/* s between two lines of a download */

static bool	docker_start(struct event_base *, const struct launch_conf *);
static void	docker_greeted(void);
static void	docker_lost(void);
static void	docker_stop(void);
static void	docker_nothing(void);

static const char *engine_path(void);
static void	ask(enum engine_op, const char *, const char *,
		    engine_done *);
static void	fail(const char *, ...) __attribute__((format(printf, 1, 2)));
static void	fail_call(const char *, const struct engine_result *);
static void	begin(void);
static void	start_container(void);
static void	pull(void);
static void	on_ping(void *, const struct engine_result *);
static void	on_list(void *, const struct engine_result *);
static void	on_found(void *, const struct engine_result *);
static void	on_aside(void *, const struct engine_result *);
static void	on_old(void *, const struct engine_result *);
static void	on_image(void *, const struct engine_result *);
static void	on_pulled(void *, const struct engine_result *);
static void	on_pull_line(void *, const struct engine_progress *);
static void	on_created(void *, const struct engine_result *);
static void	on_halted(void *, const struct engine_result *);
static void	on_started(void *, const struct engine_result *);
static void	on_running(void *, const struct engine_result *);
static void	on_silent(void *, const struct engine_result *);
static void	on_muted(void *, const struct engine_result *);
static void	on_left(void *, const struct engine_result *);
static void	on_stopped(void *, const struct engine_result *);
static void	on_peer(int);
static void	on_again(evutil_socket_t, short, void *);
static void	on_no_call(evutil_socket_t, short, void *);
static void	on_end(evutil_socket_t, short, void *);

const struct launcher	launcher_docker = {
	.mode = "docker",
	.workspace = "/workspace",
	.start = docker_start,
	.greeted = docker_greeted,
	.lost = docker_lost,
	.stop = docker_stop,
	.kill = docker_nothing,
	.reap = docker_nothing,
};

static struct {
	struct event_base	*base;
	struct engine		*engine;
	uint64_t		 call;		/* the step's, 0: none */
	struct container	 c;
	char			 id[80];	/* "": no container yet */
	bool			 served;	/* an executor was there, ever */
	bool			 taken;		/* it ran before we asked */
	bool			 pulled;
	bool			 told_old;
	bool			 told_end;	/* why the last one ended */
	bool			 stopping;
	unsigned int		 retry;		/* s */
	time_t			 since;		/* the executor's start */
	time_t			 said;		/* the last line of a pull */
	struct event		*again;
	struct event		*no_call;
	struct event		*end;
} dk;

/* NULL: the log said why. */
static const char *
engine_path(void)
{
	const char	*host = getenv("DOCKER_HOST");

	if (host == NULL || host[0] == '\0')
		return ENGINE_SOCKET;
	if (strncmp(host, "unix:///", 8) == 0)
		return host + 7;
	log_errorx("DOCKER_HOST: only unix:///PATH will do: the executor in "
	    "the container has to reach a socket of this machine");
	return NULL;
}

static void
ask(enum engine_op op, const char *a, const char *b, engine_done *done)
{
	struct engine_args	 args = { .a = a, .b = b };

	if ((dk.call = engine_call(dk.engine, op, &args, done, NULL)) == 0)
		fatalx("out of memory");
}

/* Before the first executor there is nothing to offer; later we try again. */
static void
fail(const char *fmt, ...)
{
	struct timeval	 tv = { 0 };
	char		 text[1024];
	va_list		 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	boxdir_close();
	evtimer_del(dk.no_call);
	if (!dk.served) {
		log_errorx("%s", text);
		launch_failed();
		return;
	}
	log_warnx("%s; again in %u s", text, dk.retry);
	tv.tv_sec = (time_t)dk.retry;
	evtimer_add(dk.again, &tv);
	dk.retry = dk.retry * 2 < RETRY_MAX ? dk.retry * 2 : RETRY_MAX;
}

static void
fail_call(const char *what, const struct engine_result *res)
{
	char	 vis[2 * ENGINE_TEXT_MAX];

	log_vis(vis, sizeof(vis), res->text, strlen(res->text));
	if (res->code == XERR_EOFFLINE || what[0] == '\0')
		fail("--mode docker: %s", vis);
	else
		fail("%s: %s", what, vis);
}

/* ---- is there a container? */

static void
begin(void)
{
	dk.id[0] = '\0';
	dk.taken = dk.pulled = false;
	ask(ENGINE_PING, NULL, NULL, on_ping);
}

static void
on_ping(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE)
		fail_call("", res);
	else {
		char	 label[sizeof(CONTAINER_LABEL) + CONTAINER_NAME_MAX];

		snprintf(label, sizeof(label), CONTAINER_LABEL "=%s",
		    dk.c.name);
		ask(ENGINE_CONTAINER_LIST, label, NULL, on_list);
	}
}

static void
on_list(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE) {
		fail_call("", res);
		return;
	}
	container_find(&dk.c, res->body, dk.id);
	if (dk.id[0] != '\0')
		ask(ENGINE_CONTAINER_INSPECT, dk.id, NULL, on_found);
	else if (dk.c.old[0] != '\0' && !dk.told_old)
		ask(ENGINE_CONTAINER_INSPECT, dk.c.old, NULL, on_old);
	else
		ask(ENGINE_IMAGE_INSPECT, dk.c.image, NULL, on_image);
}

/*
 * What an existing runner made: it has no way in for our executor, and
 * perhaps the only copy of somebody's work.
 */
static void
on_old(void *arg, const struct engine_result *res)
{
	dk.told_old = true;
	if (res->code == XERR_NONE)
		log_info("there is a container %s, as older runners make "
		    "them; it cannot be used by this one and is left alone.  "
		    "To go on with what is in it: docker commit %s IMAGE, "
		    "and --docker-image IMAGE", dk.c.old, dk.c.old);
	ask(ENGINE_IMAGE_INSPECT, dk.c.image, NULL, on_image);
}

static void
on_found(void *arg, const struct engine_result *res)
{
	const struct json_value	*state = json_find(res->body, "State");
	const struct timeval	 wait = { .tv_sec = TAKEN_MS / 1000 };
	char			 why[256], aside[CONTAINER_NAME_MAX + 32];
	int64_t			 pid = 0;
	int			 code;

	if (res->code != XERR_NONE) {
		fail_call(dk.c.name, res);
		return;
	}
	switch (container_fit(&dk.c, res->body, why, sizeof(why))) {
	case CONTAINER_FOREIGN:
		fail("container %s: %s: give this runner another --name",
		    dk.c.name, why);
		return;
	case CONTAINER_DIFFERS:
		snprintf(aside, sizeof(aside), "%s.old-%lld", dk.c.name,
		    (long long)time(NULL));
		log_warnx("container %s: %s; it is kept as %s, and a new one "
		    "made", dk.c.name, why, aside);
		ask(ENGINE_CONTAINER_RENAME, dk.id, aside, on_aside);
		return;
	case CONTAINER_FITS:
		break;
	}
	json_get_int(state, "Pid", 0, INT32_MAX, &pid);
	if (!container_runs(res->body, &code) || pid == 0) {
		if (dk.served && !dk.told_end)
			log_warnx("container %s had ended, status %d",
			    dk.c.name, code);
		dk.told_end = true;
		start_container();
		return;
	}
	/* Its executor may be calling, or be another one's that is ending. */
	dk.taken = true;
	if (!boxdir_listen()) {
		fail("no socket for the executor");
		return;
	}
	evtimer_add(dk.no_call, &wait);
	boxdir_expect((pid_t)pid);
}

/* One that runs would go on in /workspace beside the new one. */
static void
on_aside(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE) {
		fail_call(dk.c.name, res);
		return;
	}
	ask(ENGINE_CONTAINER_STOP, dk.id, "3", on_halted);
}

static void
on_halted(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE)
		fail_call(dk.c.name, res);
	else if (dk.taken)
		start_container();
	else
		ask(ENGINE_IMAGE_INSPECT, dk.c.image, NULL, on_image);
}

/* ---- a new one */

static void
on_image(void *arg, const struct engine_result *res)
{
	struct engine_args	 args = { .a = dk.c.name };
	struct buf		 body = { 0 };
	char			 user[256] = "", os[32] = "";
	const struct json_value	*v;

	if (res->code == XERR_ENOENT && !dk.pulled) {
		pull();
		return;
	}
	if (res->code != XERR_NONE) {
		fail_call("--docker-image", res);
		return;
	}
	v = json_find(json_find(res->body, "Config"), "User");
	if (json_type(v) == JSON_STRING && !json_cstr(v, user, sizeof(user))) {
		fail("--docker-image %s: its USER is too long", dk.c.image);
		return;
	}
	json_cstr(json_find(res->body, "Os"), os, sizeof(os));
	if (os[0] != '\0' && strcmp(os, "linux") != 0) {
		fail("--docker-image %s: not for Linux", dk.c.image);
		return;
	}
	if (!container_body(&dk.c, user, &body))
		fatalx("out of memory");
	args.body = (struct slice){ buf_data(&body), body.len };
	dk.call = engine_call(dk.engine, ENGINE_CONTAINER_CREATE, &args,
	    on_created, NULL);
	buf_clear(&body);
	if (dk.call == 0)
		fatalx("out of memory");
}

static void
pull(void)
{
	struct engine_args	 args = { .progress = on_pull_line };
	char			 name[ENGINE_REF_MAX], tag[ENGINE_REF_MAX];

	if (!engine_ref_split(dk.c.image, name, tag)) {
		fail("--docker-image: no image can be called that");
		return;
	}
	log_info("image %s is not here: pulling it", dk.c.image);
	args.a = name;
	args.b = tag;
	dk.call = engine_call(dk.engine, ENGINE_IMAGE_PULL, &args, on_pulled,
	    NULL);
	if (dk.call == 0)
		fatalx("out of memory");
}

/* A line a layer and step would be hundreds: what changed, now and then. */
static void
on_pull_line(void *arg, const struct engine_progress *p)
{
	time_t	 now = time(NULL);
	char	 id[160], status[256];

	if (p->status[0] == '\0' || now < dk.said + PULL_SAY)
		return;
	dk.said = now;
	log_vis(id, sizeof(id), p->id, strlen(p->id));
	log_vis(status, sizeof(status), p->status, strlen(p->status));
	if (p->total > 0)
		log_info("pull: %s %s, %llu of %llu MB", id, status,
		    (unsigned long long)(p->current / 1000000),
		    (unsigned long long)(p->total / 1000000));
	else
		log_info("pull: %s %s", id, status);
}

static void
on_pulled(void *arg, const struct engine_result *res)
{
	char	 vis[2 * ENGINE_TEXT_MAX];

	if (res->code != XERR_NONE) {
		log_vis(vis, sizeof(vis), res->text, strlen(res->text));
		fail("cannot pull --docker-image %s: %s: choose another, or "
		    "get it with docker pull", dk.c.image, vis);
		return;
	}
	log_info("image %s was pulled", dk.c.image);
	dk.pulled = true;
	ask(ENGINE_IMAGE_INSPECT, dk.c.image, NULL, on_image);
}

static void
on_created(void *arg, const struct engine_result *res)
{
	if (res->code == XERR_EEXIST) {
		fail("container %s exists and was not made by this runner: "
		    "remove it, or give this runner another --name",
		    dk.c.name);
		return;
	}
	if (res->code != XERR_NONE) {
		fail_call("cannot create the container", res);
		return;
	}
	if (!json_cstr(json_find(res->body, "Id"), dk.id, sizeof(dk.id))) {
		dk.id[0] = '\0';
		fail("cannot create the container: the answer has no id");
		return;
	}
	log_info("container %s was made from %s", dk.c.name, dk.c.image);
	start_container();
}

/* ---- start it and wait for its executor */

static void
start_container(void)
{
	dk.taken = false;
	if (!boxdir_listen())
		fail("no socket for the executor");
	else
		ask(ENGINE_CONTAINER_START, dk.id, NULL, on_started);
}

static void
on_started(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE)
		fail_call("cannot start the container", res);
	else
		ask(ENGINE_CONTAINER_INSPECT, dk.id, NULL, on_running);
}

static void
on_running(void *arg, const struct engine_result *res)
{
	const struct timeval	 wait = { .tv_sec = CALL_MS / 1000 };
	int64_t			 pid = 0;

	if (res->code != XERR_NONE) {
		fail_call(dk.c.name, res);
		return;
	}
	json_get_int(json_find(res->body, "State"), "Pid", 0, INT32_MAX,
	    &pid);
	if (pid == 0) {
		on_silent(NULL, res);
		return;
	}
	evtimer_add(dk.no_call, &wait);
	boxdir_expect((pid_t)pid);
}

static void
on_no_call(evutil_socket_t fd, short what, void *arg)
{
	if (launch_up())	/* and did not say hello: docker_lost follows */
		ask(ENGINE_CONTAINER_STOP, dk.id, "3", on_muted);
	else if (dk.taken)
		ask(ENGINE_CONTAINER_STOP, dk.id, "3", on_halted);
	else
		ask(ENGINE_CONTAINER_INSPECT, dk.id, NULL, on_silent);
}

static void
on_muted(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE)
		fail_call(dk.c.name, res);
}

/* Nobody called, or somebody whom we cannot take for the executor. */
static void
on_silent(void *arg, const struct engine_result *res)
{
	int		 code;
	const bool	 runs = container_runs(res->body, &code);

	if (res->code != XERR_NONE)
		fail_call(dk.c.name, res);
	else if (!runs)
		fail("the executor in container %s ended at once, status %d: "
		    "docker logs %s says why", dk.c.name, code, dk.c.name);
	else if (boxdir_stranger() != -1)
		fail("container %s: the Docker Engine does not see this "
		    "machine's processes (it is in a virtual machine or "
		    "another namespace): this is not supported", dk.c.name);
	else
		fail("the executor in container %s did not call: docker logs "
		    "%s may say why", dk.c.name, dk.c.name);
}

static void
on_peer(int fd)
{
	if (!launch_open(fd))
		fatalx("the executor's channel");
}

/* One that only called may end at once, for what its image has or lacks. */
static void
docker_greeted(void)
{
	evtimer_del(dk.no_call);
	log_info("container %s: the executor is there", dk.c.name);
	dk.served = true;
	dk.told_end = false;
	dk.since = time(NULL);
}

/* ---- while it serves, and the end */

static void
on_left(void *arg, const struct engine_result *res)
{
	ask(ENGINE_CONTAINER_INSPECT, dk.id, NULL, on_silent);
}

/* Killed, removed, stopped, or the executor's own end. */
static void
docker_lost(void)
{
	struct timeval	 tv = { 0 };

	evtimer_del(dk.no_call);
	if (!dk.served && !dk.taken) {
		/* Its end is awaited: what is there to say is its status. */
		ask(ENGINE_CONTAINER_STOP, dk.id, "3", on_left);
		return;
	}
	if (time(NULL) - dk.since >= HEALTHY)
		dk.retry = 1;
	tv.tv_sec = (time_t)dk.retry;
	evtimer_add(dk.again, &tv);
	dk.retry = dk.retry * 2 < RETRY_MAX ? dk.retry * 2 : RETRY_MAX;
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	begin();
}

static void
docker_stop(void)
{
	const struct timeval	 soon = { .tv_usec = 1000 };
	struct engine_args	 args = { .a = dk.id, .b = "3",
				    .timeout_ms = STOP_MS };

	dk.stopping = true;
	engine_cancel(dk.engine, dk.call);
	evtimer_del(dk.again);
	evtimer_del(dk.no_call);
	boxdir_close();
	/* Its end closes the channel, so the executor knows already. */
	if (dk.id[0] == '\0' || engine_call(dk.engine, ENGINE_CONTAINER_STOP,
	    &args, on_stopped, NULL) == 0)
		evtimer_add(dk.end, &soon);
}

static void
on_stopped(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE && res->code != XERR_ENOENT)
		log_warnx("container %s: %s", dk.c.name, res->text);
	on_end(-1, 0, NULL);
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	engine_free(dk.engine);
	dk.engine = NULL;
	launch_stopped();
}

/* The executor ends by itself when its channel is closed with us. */
static void
docker_nothing(void)
{
}

static bool
docker_start(struct event_base *base, const struct launch_conf *conf)
{
	const char	*path;

	dk.base = base;
	dk.retry = 1;
	dk.c.user = conf->user;
	dk.c.runner = conf->name;
	dk.c.image = conf->image;
	dk.c.workspace = conf->workspace;
	if (conf->image[0] == '\0') {
		log_errorx("--docker-image is empty");
		return false;
	}
	if ((path = engine_path()) == NULL || !container_name(&dk.c) ||
	    (dk.c.box = boxdir_open(base, dk.c.name, conf->workspace,
	    on_peer)) == NULL)
		return false;
	dk.engine = engine_new(base, path);
	dk.again = evtimer_new(base, on_again, NULL);
	dk.no_call = evtimer_new(base, on_no_call, NULL);
	dk.end = evtimer_new(base, on_end, NULL);
	if (dk.engine == NULL || dk.again == NULL || dk.no_call == NULL ||
	    dk.end == NULL)
		fatalx("out of memory");
	begin();
	return true;
}
