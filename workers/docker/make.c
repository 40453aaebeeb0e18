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
 * A container that is to be: its workspace, its image, and the Engine asked
 * for it.  Runs in: docker.  Whether the Engine sees our directory is found
 * out here, by what it says when it is asked.
 */

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/box.h"
#include "base/child.h"
#include "base/container.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/docker/commit.h"
#include "workers/docker/start_int.h"

static void	go_far(struct start *, const char *);
static void	pull(struct start *);
static void	create(struct start *);
static void	on_image(void *, const struct engine_result *);
static void	on_pulled(void *, const struct engine_result *);
static void	on_created(void *, const struct engine_result *);
static void	on_gone(void *, const struct engine_result *);

void
make_begin(struct start *st)
{
	struct ctl_workdir_wanted w = { slice_str(st->s->user) };

	st->s->container[0] = '\0';
	sandbox_set_state(st->s, SANDBOX_CREATING);
	st->workdir = true;
	chan_send(child_parent(), CTL_WORKDIR_WANTED, st->s->wanted, &w);
}

/* Its directory is there. */
void
on_workdir(struct chan *c, const struct msg *m)
{
	const struct ctl_workdir *w = m->body;
	struct sandbox		 *s;
	struct start		 *st;
	char			  user[ID_USER_MAX + 1];

	if (!slice_copy(user, sizeof(user), w->user) ||
	    (s = sandbox_find(user)) == NULL || (st = s->start) == NULL ||
	    !st->workdir)
		return;
	st->workdir = false;
	if (w->code != XERR_NONE) {
		start_fail(st, w->code, "%.*s", (int)w->text.len,
		    (const char *)w->text.p);
		return;
	}
	slice_copy(st->workspace, sizeof(st->workspace), w->path);
	snprintf(st->own, sizeof(st->own), "%s:latest", st->s->name);
	st->image = st->own;
	start_ask(st, ENGINE_IMAGE_INSPECT, st->image, NULL, on_image);
}

/* The user's own first, then the one that is configured. */
static void
on_image(void *arg, const struct engine_result *res)
{
	struct start		*st = arg;
	const struct json_value	*v;
	char			 os[32] = "";

	if (res->code == XERR_ENOENT && st->image == st->own) {
		st->image = docker_conf.image;
		start_ask(st, ENGINE_IMAGE_INSPECT, st->image, NULL, on_image);
		return;
	}
	if (res->code == XERR_ENOENT && !st->pulled) {
		pull(st);
		return;
	}
	if (res->code != XERR_NONE) {
		start_fail_call(st, res);
		return;
	}
	v = json_find(json_find(res->body, "Config"), "User");
	if (json_type(v) == JSON_STRING && !json_cstr(v, st->image_user,
	    sizeof(st->image_user))) {
		start_fail(st, XERR_EIO, "image %s: its USER is too long",
		    st->image);
		return;
	}
	json_cstr(json_find(res->body, "Os"), os, sizeof(os));
	if (os[0] != '\0' && strcmp(os, "linux") != 0) {
		start_fail(st, XERR_EIO, "image %s is not for Linux",
		    st->image);
		return;
	}
	json_cstr(json_find(res->body, "Id"), st->s->image,
	    sizeof(st->s->image));
	create(st);
}

static void
pull(struct start *st)
{
	char			 name[ENGINE_REF_MAX], tag[ENGINE_REF_MAX];

	if (docker_conf.pull == DOCKER_PULL_NEVER) {
		start_fail(st, XERR_EIO, "image %s is not here, and is not "
		    "to be pulled", st->image);
		return;
	}
	if (!engine_ref_split(st->image, name, tag)) {
		start_fail(st, XERR_EIO, "no image can be called %s",
		    st->image);
		return;
	}
	log_info("sandbox of %s: image %s is not here: pulling it",
	    st->s->user, st->image);
	start_ask(st, ENGINE_IMAGE_PULL, name, tag, on_pulled);
}

static void
on_pulled(void *arg, const struct engine_result *res)
{
	struct start *st = arg;

	if (res->code != XERR_NONE) {
		start_fail(st, res->code, "cannot pull %s: %s", st->image,
		    res->text);
		return;
	}
	log_info("image %s was pulled", st->image);
	st->pulled = true;
	start_ask(st, ENGINE_IMAGE_INSPECT, st->image, NULL, on_image);
}

static void
create(struct start *st)
{
	struct sandbox			*s = st->s;
	const struct container_label	 labels[] = {
		{ SANDBOX_LABEL, s->user }, { NULL, NULL }
	};
	const char	*drop[64 + 1] = { NULL };
	char		 box[4097 + ID_USER_MAX + 1], hostname[64];
	struct container_spec spec = {
		.image = st->image, .hostname = hostname,
		.image_user = st->image_user, .workspace = st->workspace,
		.box = st->far ? NULL : box, .labels = labels, .capdrop = drop,
		.stays = true, .memory = docker_conf.memory,
		.millicpus = docker_conf.millicpus,
		.pids = docker_conf.pids, .network = docker_conf.network,
		.no_new_privileges = docker_conf.nnp,
	};
	struct engine_args	 args = { .a = s->name };
	struct buf		 body = { 0 };
	uint32_t		 i;

	if (!st->far && !start_box_open(st)) {
		start_fail_box(st);
		return;
	}
	snprintf(box, sizeof(box), "%s/%s", docker_conf.box, s->user);
	container_hostname(hostname, s->name);
	for (i = 0; i < docker_conf.ncapdrop; i++)
		drop[i] = docker_conf.capdrop[i];
	if (!container_spec_body(&spec, &body)) {
		buf_clear(&body);
		start_fail(st, XERR_EBUSY, "out of memory");
		return;
	}
	args.body = (struct slice){ buf_data(&body), body.len };
	st->call = engine_call(docker_engine, ENGINE_CONTAINER_CREATE, &args,
	    on_created, st);
	buf_clear(&body);
	if (st->call == 0)
		start_fail(st, XERR_EBUSY, "out of memory");
}

static void
on_created(void *arg, const struct engine_result *res)
{
	struct start	*st = arg;
	struct sandbox	*s = st->s;
	char		 path[4097 + ID_USER_MAX + 1];

	snprintf(path, sizeof(path), "%s/%s", docker_conf.box, s->user);
	if (res->code == XERR_EINVAL && !st->far &&
	    strstr(res->text, path) != NULL) {
		go_far(st, "our directory");
		create(st);
		return;
	}
	if (res->code != XERR_NONE) {
		start_fail(st, res->code, "cannot create the container: %s",
		    res->text);
		return;
	}
	if (!json_cstr(json_find(res->body, "Id"), s->container,
	    sizeof(s->container))) {
		s->container[0] = '\0';
		start_fail(st, XERR_EIO, "cannot create the container: the "
		    "answer has no id");
		return;
	}
	log_info("sandbox of %s: container %s was made from %s", s->user,
	    s->name, st->image);
	sandbox_remember(s);
	sweep_spare(s);
	st->made = true;
	start_run(st);
}

/* ---- instead of another one */

void
make_anew(struct start *st)
{
	start_ask(st, ENGINE_CONTAINER_REMOVE, st->s->container, "1", on_gone);
}

static void
on_gone(void *arg, const struct engine_result *res)
{
	struct start *st = arg;

	if (res->code != XERR_NONE && res->code != XERR_ENOENT)
		start_fail_call(st, res);
	else
		make_begin(st);
}

/* Decided anew for each container that is made; it stays with that one. */
static void
go_far(struct start *st, const char *what)
{
	log_info("sandbox of %s: the Docker Engine does not see %s: the "
	    "executor is reached through it", st->s->user, what);
	st->far = true;
	st->made = false;
	box_close(st->box);
}

void
make_far(struct start *st, const char *what)
{
	go_far(st, what);
	event_del(st->timer);
	/* It may have been asked why nobody calls. */
	engine_cancel(docker_engine, st->call);
	make_anew(st);
}
