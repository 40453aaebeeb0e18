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
 * Containers of ours that end, go, are paused without us: the Engine's events.
 * Runs in: docker.  A stream that ends is opened again; what was missed
 * meanwhile a sweep finds.
 */

#include <string.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/log.h"
#include "workers/docker/docker.h"

#define RETRY_MAX	10	/* s */

static void	watch_open(evutil_socket_t, short, void *);
static void	on_there(void *, const struct engine_result *);
static void	on_end(void *, const struct engine_result *);
static void	on_line(void *, const struct engine_progress *);
static void	on_die(struct sandbox *);
static void	on_destroy(struct sandbox *);
static void	on_oom(struct sandbox *);
static void	on_kill(struct sandbox *);
static void	on_pause(struct sandbox *);
static void	on_unpause(struct sandbox *);

static const struct {
	const char	*status;
	bool		 always;	/* also while somebody works on it */
	void		(*on)(struct sandbox *);
} events[] = {
	{ "die",	false,	on_die },
	{ "destroy",	false,	on_destroy },
	{ "kill",	true,	on_kill },
	{ "oom",	true,	on_oom },
	{ "pause",	false,	on_pause },
	{ "unpause",	false,	on_unpause },
};

static struct event	*timer;
static unsigned int	 retry = 1;
static bool		 told;		/* that the Engine is not there */

static void
on_die(struct sandbox *s)
{
	if (s->state == SANDBOX_RUNNING) {
		log_info("sandbox of %s: container %s has ended", s->user,
		    s->name);
		sandbox_set_state(s, SANDBOX_STOPPED);
		sandbox_remember(s);
	}
	sandbox_hold(s, false);
}

static void
on_destroy(struct sandbox *s)
{
	log_info("sandbox of %s: container %s was removed", s->user, s->name);
	s->container[0] = '\0';
	sandbox_set_state(s, SANDBOX_ABSENT);
	sandbox_remember(s);
	sandbox_hold(s, false);
}

static void
on_oom(struct sandbox *s)
{
	log_warnx("sandbox of %s: out of memory", s->user);
	s->oom = true;
}

/* Somebody asked the Engine for it. */
static void
on_kill(struct sandbox *s)
{
	s->killed = true;
}

static void
on_pause(struct sandbox *s)
{
	log_info("sandbox of %s: container %s was paused", s->user, s->name);
	sandbox_hold(s, true);
}

static void
on_unpause(struct sandbox *s)
{
	sandbox_hold(s, false);
}

static void
on_line(void *arg, const struct engine_progress *p)
{
	struct sandbox	*s = sandbox_by_container(p->id);
	size_t		 i;

	for (i = 0; s != NULL && i < sizeof(events) / sizeof(events[0]); i++)
		if (strcmp(p->status, events[i].status) == 0 &&
		    (events[i].always || s->claimed == NULL))
			events[i].on(s);
}

static void
on_end(void *arg, const struct engine_result *res)
{
	struct timeval tv = { .tv_sec = (time_t)retry };

	if (!told)
		log_warnx("the Docker Engine has gone: %s", res->text);
	told = true;
	retry = retry * 2 < RETRY_MAX ? retry * 2 : RETRY_MAX;
	evtimer_add(timer, &tv);
}

/* First listen, then look: what comes between is not missed. */
static void
on_there(void *arg, const struct engine_result *res)
{
	struct engine_args args = { .a = SANDBOX_LABEL,
	    .progress = on_line };

	if (res->code != XERR_NONE) {
		on_end(arg, res);
		return;
	}
	if (told)
		log_info("the Docker Engine is there");
	told = false;
	retry = 1;
	if (engine_call(docker_engine, ENGINE_EVENTS, &args, on_end, NULL)
	    == 0)
		fatalx("out of memory");
	sandboxes_sweep();
}

static void
watch_open(evutil_socket_t fd, short what, void *arg)
{
	if (engine_call(docker_engine, ENGINE_PING, NULL, on_there, NULL) ==
	    0)
		fatalx("out of memory");
}

void
watch_start(void)
{
	if ((timer = evtimer_new(child_base(), watch_open, NULL)) == NULL)
		fatalx("out of memory");
	watch_open(-1, 0, NULL);
}
