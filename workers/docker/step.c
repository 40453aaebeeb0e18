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
 * The steps of a commit, a stop and a reset: a question to the Engine each.
 * Runs in: docker.  Trusts: commit.c to order them.
 */

#include <stdio.h>
#include <string.h>

#include "base/container.h"
#include "base/log.h"
#include "workers/docker/commit_int.h"

#define STOP_S		"5"	/* between TERM and KILL */
#define PAUSES_MAX	3	/* more of them than the first */

static void
ask(struct commit *c, enum engine_op op, const char *a, const char *b,
    engine_done *done)
{
	const struct engine_args	 args = { .a = a, .b = b };

	if (engine_call(docker_engine, op, &args, done, c) == 0)
		commit_fail(c, XERR_EBUSY, "out of memory");
}

/* Done, or gone, or in that state already: all the same to us. */
static void
on_settled(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE || res->code == XERR_ENOENT ||
	    res->code == XERR_EBUSY)
		commit_go(c);
	else
		commit_fail(c, res->code, res->text);
}

static void
on_needed(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE)
		commit_go(c);
	else
		commit_fail(c, res->code, res->text);
}

/* ---- what is there */

/* All that is asked of it later. */
static void
look_at(struct commit *c, const struct json_value *body)
{
	const struct json_value	*state = json_find(body, "State");

	json_cstr(json_find(body, "Id"), c->j.container,
	    sizeof(c->j.container));
	json_cstr(json_find(body, "Image"), c->from, sizeof(c->from));
	json_get_bool(state, "Running", &c->running);
	json_get_bool(state, "Paused", &c->paused);
	c->started = engine_time(json_find(state, "StartedAt"));
	buf_drain(&c->mounts, c->mounts.len);
	if (!changes_mounts(&c->mounts, json_find(body, "Mounts")))
		log_warn("sandbox of %s: its mounts", c->s->user);
}

static void
on_inspect(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_ENOENT) {
		c->j.container[0] = '\0';
		if (c->j.what == JOURNAL_COMMIT)
			commit_fail(c, XERR_ENOENT,
			    "there is no sandbox to commit");
		else if (c->j.what == JOURNAL_STOP)
			commit_nothing(c);
		else
			commit_go(c);
		return;
	}
	if (res->code != XERR_NONE) {
		commit_fail(c, res->code, res->text);
		return;
	}
	if (!container_label_is(res->body, SANDBOX_LABEL, c->s->user)) {
		commit_fail(c, XERR_EPERM, "the container of this name is "
		    "not one of ours");
		return;
	}
	look_at(c, res->body);
	commit_go(c);
}

void
step_inspect(struct commit *c)
{
	ask(c, ENGINE_CONTAINER_INSPECT, c->s->name, NULL, on_inspect);
}

static void
on_changes(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_E2BIG)
		c->dirty = true;
	else if (res->code != XERR_NONE) {
		commit_fail(c, res->code, res->text);
		return;
	} else
		c->dirty = changes_any(res->body, (struct slice){
		    buf_data(&c->mounts), c->mounts.len });
	commit_go(c);
}

void
step_changes(struct commit *c)
{
	ask(c, ENGINE_CONTAINER_CHANGES, c->j.container, NULL, on_changes);
}

/*
 * Nothing changed since it was made; but would the next one be made of the
 * same image?  Somebody may have taken its name away.
 */
static void
on_same(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;
	char		 id[IMAGE_ID_MAX] = "";

	if (res->code == XERR_ENOENT && c->base == c->tag) {
		c->base = docker_conf.image;
		ask(c, ENGINE_IMAGE_INSPECT, c->base, NULL, on_same);
		return;
	}
	if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		commit_fail(c, res->code, res->text);
		return;
	}
	json_cstr(json_find(res->body, "Id"), id, sizeof(id));
	if (strcmp(id, c->from) == 0) {
		commit_clean(c);
	} else
		commit_go(c);
}

void
step_same(struct commit *c)
{
	c->base = c->tag;
	if (c->dirty)
		commit_go(c);
	else
		ask(c, ENGINE_IMAGE_INSPECT, c->base, NULL, on_same);
}

/* ---- the new image's metadata: that of the one before it */

static void
on_meta(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;
	unsigned int	 lost = 0;
	char		 id[COMMIT_ID_LEN + 1];

	if (res->code == XERR_ENOENT && c->base == c->from) {
		/* Removed by force while the container was stopped. */
		log_warnx("sandbox of %s: its image is gone, the metadata are "
		    "those of %s", c->s->user, docker_conf.image);
		c->base = docker_conf.image;
		ask(c, ENGINE_IMAGE_INSPECT, c->base, NULL, on_meta);
		return;
	}
	if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		commit_fail(c, res->code, res->text);
		return;
	}
	commit_id_text(&c->j.id, id);
	if (!meta_changes(&c->changes, json_find(res->body, "Config"),
	    &lost) || !meta_label(&c->changes, IMAGE_NAME, c->s->name) ||
	    !meta_label(&c->changes, IMAGE_USER, c->s->user) ||
	    !meta_label(&c->changes, IMAGE_COMMIT, id)) {
		commit_fail(c, XERR_EBUSY, "out of memory");
		return;
	}
	if (lost > 0)
		log_warnx("sandbox of %s: %u values of its image's metadata "
		    "cannot be kept", c->s->user, lost);
	commit_go(c);
}

void
step_meta(struct commit *c)
{
	c->base = c->from;
	ask(c, ENGINE_IMAGE_INSPECT, c->base, NULL, on_meta);
}

/* ---- the container */

/* runc gives up on a container that forks just then. */
static void
on_paused(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_EIO && c->pauses++ < PAUSES_MAX)
		ask(c, ENGINE_CONTAINER_PAUSE, c->j.container, NULL,
		    on_paused);
	else
		on_needed(c, res);
}

void
step_pause(struct commit *c)
{
	if (!c->running || c->paused) {
		c->paused = false;	/* not by us: it stays so */
		commit_go(c);
		return;
	}
	c->paused = true;
	sandbox_hold(c->s, true);
	ask(c, ENGINE_CONTAINER_PAUSE, c->j.container, NULL, on_paused);
}

static void
on_unpause(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE || res->code == XERR_ENOENT ||
	    res->code == XERR_EBUSY) {
		c->paused = false;
		sandbox_hold(c->s, false);
	}
	on_settled(c, res);
}

void
step_unpause(struct commit *c)
{
	if (c->paused && c->j.container[0] != '\0')
		ask(c, ENGINE_CONTAINER_UNPAUSE, c->j.container, NULL,
		    on_unpause);
	else
		commit_go(c);
}

static void
on_stopped(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE)
		c->running = false;
	on_needed(c, res);
}

static void
on_stop_unpaused(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	c->paused = false;
	ask(c, ENGINE_CONTAINER_STOP, c->j.container, STOP_S, on_stopped);
}

/* What box was asked before it held is known here by now. */
void
step_stop(struct commit *c)
{
	if (c->idle && (c->s->busy || c->s->activity != c->activity))
		commit_fail(c, XERR_EBUSY, "it is in use");
	else if (c->paused)
		ask(c, ENGINE_CONTAINER_UNPAUSE, c->j.container, NULL,
		    on_stop_unpaused);
	else if (c->running)
		ask(c, ENGINE_CONTAINER_STOP, c->j.container, STOP_S,
		    on_stopped);
	else
		commit_go(c);
}

static void
on_removed(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		commit_fail(c, res->code, res->text);
		return;
	}
	c->j.container[0] = '\0';
	c->running = false;
	commit_go(c);
}

void
step_remove(struct commit *c)
{
	if (c->j.container[0] == '\0')
		commit_go(c);
	else
		ask(c, ENGINE_CONTAINER_REMOVE, c->j.container, "1",
		    on_removed);
}

void
step_clean(struct commit *c)
{
	if (c->j.what == JOURNAL_STOP)
		step_remove(c);
	else
		commit_go(c);
}

/* ---- the image */

static void
on_piped(void *arg, const struct engine_result *res, const char *image,
    uint64_t bytes)
{
	struct commit	*c = arg;

	if (res->code != XERR_NONE) {
		commit_fail(c, res->code, res->text);
		return;
	}
	snprintf(c->j.image, sizeof(c->j.image), "%s", image);
	c->bytes = bytes;
	c->changed = true;
	commit_go(c);
}

void
step_pipe(struct commit *c)
{
	if (engine_pipe(docker_engine, c->j.container, (struct slice){
	    buf_data(&c->changes), c->changes.len }, on_piped, c) == NULL)
		commit_fail(c, XERR_EBUSY, "out of memory");
}

void
step_tag(struct commit *c)
{
	if (c->j.image[0] == '\0')
		commit_go(c);
	else
		ask(c, ENGINE_IMAGE_TAG, c->j.image, c->s->name, on_needed);
}

/* An image of that name that is not ours stays, and nothing is begun. */
static void
on_reset(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE && !container_label_is(res->body,
	    IMAGE_NAME, c->s->name)) {
		if (c->recovering)
			c->tag[0] = '\0';
		else {
			commit_fail(c, XERR_EPERM, "the image of this name "
			    "is not one of ours: docker rmi removes it");
			return;
		}
	} else if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		commit_fail(c, res->code, res->text);
		return;
	}
	commit_go(c);
}

void
step_reset(struct commit *c)
{
	ask(c, ENGINE_IMAGE_INSPECT, c->tag, NULL, on_reset);
}

void
step_untag(struct commit *c)
{
	if (c->tag[0] == '\0')
		commit_go(c);
	else
		ask(c, ENGINE_IMAGE_REMOVE, c->tag, NULL, on_settled);
}

/* No name was given to it. */
void
step_drop(struct commit *c)
{
	if (c->j.image[0] == '\0' || c->j.step >= JOURNAL_TAGGED)
		commit_go(c);
	else
		ask(c, ENGINE_IMAGE_REMOVE, c->j.image, NULL, on_settled);
}

static void
on_pruned(void *arg)
{
	commit_go(arg);
}

void
step_prune(struct commit *c)
{
	images_prune(c->s->name, on_pruned, c);
}

/* ---- after a failure, or a kill: what is left? */

static void
on_found(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		commit_fail(c, res->code, res->text);
		return;
	}
	c->j.image[0] = '\0';
	json_cstr(json_find(json_type(res->body) == JSON_ARRAY ?
	    json_first(res->body) : res->body, "Id"), c->j.image,
	    sizeof(c->j.image));
	commit_go(c);
}

/* The image that this commit made, whether or not that was written down. */
void
step_find(struct commit *c)
{
	char	 label[sizeof(IMAGE_COMMIT) + 1 + COMMIT_ID_LEN] =
		    IMAGE_COMMIT "=";

	commit_id_text(&c->j.id, label + strlen(label));
	ask(c, ENGINE_IMAGE_LIST, label, NULL, on_found);
}

static void
on_look(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_ENOENT) {
		c->j.container[0] = '\0';
		c->running = c->paused = false;
	} else if (res->code != XERR_NONE) {
		commit_fail(c, res->code, res->text);
		return;
	} else
		look_at(c, res->body);
	commit_go(c);
}

void
step_look(struct commit *c)
{
	if (c->j.container[0] == '\0')
		commit_go(c);
	else
		ask(c, ENGINE_CONTAINER_INSPECT, c->j.container, NULL,
		    on_look);
}
