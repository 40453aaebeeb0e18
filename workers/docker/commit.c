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
 * Commit, stop and reset of a sandbox, step by step.  Runs in: docker.
 * Owns: struct commit, from the claim on a sandbox to its release.
 *
 * What is done is a list of steps; each asks the Engine or the journal and
 * the answer goes on to the next.  A failure before the new image has the
 * name undoes, one after it finishes; both are lists as well, and so is what
 * is left to do for a docker that was killed.  Those do not fail: while the
 * Engine is away they begin again.
 */

#include <sys/queue.h>
#include <sys/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/container.h"
#include "base/log.h"
#include "workers/docker/commit.h"

#define STOP_S		"5"	/* between TERM and KILL */
#define AGAIN_MAX_S	60u

struct commit;
typedef void	 step_fn(struct commit *);

struct commit {
	LIST_ENTRY(commit)	 entry;
	struct journal		 j;
	struct sandbox		*s;
	char			 tag[SANDBOX_NAME_MAX + 8];
	char			 from[IMAGE_ID_MAX];	/* container's image */
	const char		*base;		/* an image that was asked for */
	step_fn *const		*next;
	bool			 clean;		/* nothing to keep */
	bool			 recovering;	/* finishing or undoing */
	bool			 undo;		/* was refused, not killed */
	bool			 idle;
	uint64_t		 activity;	/* when it was claimed */
	bool			 running, paused, dirty;
	uint64_t		 started;	/* the container; ms */
	struct buf		 mounts;	/* see changes_any */
	struct buf		 changes;	/* of the new image */
	struct event		*timer;
	unsigned int		 again;		/* s */
	commit_done		*done;		/* NULL: answered */
	void			*arg;
	bool			 changed;
};

static const char *const	 who[] = {
	[JOURNAL_COMMIT] = "commit", [JOURNAL_STOP] = "stop",
	[JOURNAL_RESET] = "reset"
};

static LIST_HEAD(, commit)	 commits = LIST_HEAD_INITIALIZER(commits);

static void	 go(struct commit *);
static void	 again(struct commit *);
static void	 fail(struct commit *, enum xerr, const char *);
static step_fn	 do_changes, do_clean, do_decide, do_drop, do_end, do_find,
		 do_inspect, do_look, do_meta, do_pause, do_pipe, do_prune,
		 do_remove, do_reset, do_same, do_stop, do_tag, do_unpause,
		 do_untag, put_done, put_imported, put_intent, put_removed,
		 put_tagged;

static step_fn *const	 commit_steps[] = {
	do_inspect, do_changes, do_same, do_meta, put_intent, do_pause,
	do_pipe, do_unpause, put_imported, do_tag, put_tagged, do_prune,
	put_done, do_end
};
static step_fn *const	 stop_steps[] = {
	do_inspect, do_stop, do_changes, do_same, do_meta, put_intent,
	do_pipe, put_imported, do_tag, put_tagged, do_remove, put_removed,
	do_prune, put_done, do_end
};
static step_fn *const	 reset_steps[] = {
	do_inspect, do_reset, put_intent, do_remove, put_removed, do_untag,
	do_prune, put_done, do_end
};
/* Nothing has changed. */
static step_fn *const	 clean_steps[] = { do_clean, do_end };
/* Nothing is in the journal. */
static step_fn *const	 end_steps[] = { do_end };
/* The container has it all; an image without a name goes. */
static step_fn *const	 undo_steps[] = {
	do_unpause, do_drop, put_done, do_end
};
static step_fn *const	 finish_commit[] = {
	do_unpause, do_tag, put_tagged, do_prune, put_done, do_end
};
static step_fn *const	 finish_stop[] = {
	do_tag, put_tagged, do_remove, put_removed, do_prune, put_done, do_end
};
static step_fn *const	 finish_reset[] = {
	do_remove, put_removed, do_reset, do_untag, do_prune, put_done, do_end
};
/* Which of these four? */
static step_fn *const	 recover_steps[] = { do_find, do_look, do_decide };

/* ---- going on */

static void
go(struct commit *c)
{
	(*c->next++)(c);
}

static void
go_to(struct commit *c, step_fn *const *steps)
{
	c->next = steps;
	go(c);
}

static void
answer(struct commit *c, enum xerr code, const char *text)
{
	const struct commit_result	 r = { code, text,
					    code != XERR_NONE ? "" :
					    c->clean ? c->base : c->tag,
					    c->changed };
	commit_done			*done = c->done;

	c->done = NULL;
	if (done != NULL)
		done(c->arg, &r);
}

/* The client learns it now; what was begun is put right afterwards. */
static void
fail(struct commit *c, enum xerr code, const char *text)
{
	if (c->recovering) {
		log_warnx("sandbox of %s: %s; again later", c->s->user, text);
		again(c);
		return;
	}
	log_info("sandbox of %s: %s: %s", c->s->user, who[c->j.what], text);
	answer(c, code, text);
	c->recovering = true;
	c->undo = c->j.step < JOURNAL_TAGGED;
	go_to(c, c->j.step == 0 ? end_steps : recover_steps);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	go_to(arg, recover_steps);
}

static void
again(struct commit *c)
{
	struct timeval	 tv = { 0 };

	c->again = c->again == 0 ? 1 : c->again * 2;
	if (c->again > AGAIN_MAX_S)
		c->again = AGAIN_MAX_S;
	tv.tv_sec = c->again;
	if (c->timer == NULL)
		c->timer = evtimer_new(child_base(), on_again, c);
	if (c->timer == NULL || evtimer_add(c->timer, &tv) == -1)
		fatal("commit");	/* who comes after us goes on */
}

static void
ask(struct commit *c, enum engine_op op, const char *a, const char *b,
    engine_done *done)
{
	const struct engine_args	 args = { .a = a, .b = b };

	if (engine_call(docker_engine, op, &args, done, c) == 0)
		fail(c, XERR_EBUSY, "out of memory");
}

/* Done, or gone, or in that state already: all the same to us. */
static void
on_settled(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE || res->code == XERR_ENOENT ||
	    res->code == XERR_EBUSY)
		go(c);
	else
		fail(c, res->code, res->text);
}

static void
on_needed(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE)
		go(c);
	else
		fail(c, res->code, res->text);
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
			fail(c, XERR_ENOENT, "there is no sandbox to commit");
		else if (c->j.what == JOURNAL_STOP)
			go_to(c, end_steps);
		else
			go(c);
		return;
	}
	if (res->code != XERR_NONE) {
		fail(c, res->code, res->text);
		return;
	}
	if (!container_label_is(res->body, SANDBOX_LABEL,
	    c->s->user)) {
		fail(c, XERR_EPERM, "the container of this name is not one "
		    "of ours");
		return;
	}
	look_at(c, res->body);
	go(c);
}

static void
do_inspect(struct commit *c)
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
		fail(c, res->code, res->text);
		return;
	} else
		c->dirty = changes_any(res->body, (struct slice){
		    buf_data(&c->mounts), c->mounts.len });
	go(c);
}

static void
do_changes(struct commit *c)
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
		fail(c, res->code, res->text);
		return;
	}
	json_cstr(json_find(res->body, "Id"), id, sizeof(id));
	if (strcmp(id, c->from) == 0) {
		c->clean = true;
		go_to(c, clean_steps);
	} else
		go(c);
}

static void
do_same(struct commit *c)
{
	c->base = c->tag;
	if (c->dirty)
		go(c);
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
		fail(c, res->code, res->text);
		return;
	}
	commit_id_text(&c->j.id, id);
	if (!meta_changes(&c->changes, json_find(res->body, "Config"),
	    &lost) || !meta_label(&c->changes, IMAGE_NAME, c->s->name) ||
	    !meta_label(&c->changes, IMAGE_USER, c->s->user) ||
	    !meta_label(&c->changes, IMAGE_COMMIT, id)) {
		fail(c, XERR_EBUSY, "out of memory");
		return;
	}
	if (lost > 0)
		log_warnx("sandbox of %s: %u values of its image's metadata "
		    "cannot be kept", c->s->user, lost);
	go(c);
}

static void
do_meta(struct commit *c)
{
	c->base = c->from;
	ask(c, ENGINE_IMAGE_INSPECT, c->base, NULL, on_meta);
}

/* ---- the container */

static void
do_pause(struct commit *c)
{
	if (!c->running || c->paused) {
		c->paused = false;	/* not by us: it stays so */
		go(c);
		return;
	}
	c->paused = true;
	sandbox_hold(c->s, true);
	ask(c, ENGINE_CONTAINER_PAUSE, c->j.container, NULL, on_needed);
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

static void
do_unpause(struct commit *c)
{
	if (c->paused && c->j.container[0] != '\0')
		ask(c, ENGINE_CONTAINER_UNPAUSE, c->j.container, NULL,
		    on_unpause);
	else
		go(c);
}

static void	 on_stopped(void *, const struct engine_result *);

static void
on_stop_unpaused(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	c->paused = false;
	ask(c, ENGINE_CONTAINER_STOP, c->j.container, STOP_S, on_stopped);
}

static void
on_stopped(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code == XERR_NONE)
		c->running = false;
	on_needed(c, res);
}

/* What box was asked before it held is known here by now. */
static void
do_stop(struct commit *c)
{
	if (c->idle && (c->s->busy || c->s->activity != c->activity))
		fail(c, XERR_EBUSY, "it is in use");
	else if (c->paused)
		ask(c, ENGINE_CONTAINER_UNPAUSE, c->j.container, NULL,
		    on_stop_unpaused);
	else if (c->running)
		ask(c, ENGINE_CONTAINER_STOP, c->j.container, STOP_S,
		    on_stopped);
	else
		go(c);
}

static void
on_removed(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		fail(c, res->code, res->text);
		return;
	}
	c->j.container[0] = '\0';
	c->running = false;
	go(c);
}

static void
do_remove(struct commit *c)
{
	if (c->j.container[0] == '\0')
		go(c);
	else
		ask(c, ENGINE_CONTAINER_REMOVE, c->j.container, "1",
		    on_removed);
}

static void
do_clean(struct commit *c)
{
	if (c->j.what == JOURNAL_STOP)
		do_remove(c);
	else
		go(c);
}

/* ---- the image */

static void
on_piped(void *arg, const struct engine_result *res, const char *image)
{
	struct commit	*c = arg;

	if (res->code != XERR_NONE) {
		fail(c, res->code, res->text);
		return;
	}
	snprintf(c->j.image, sizeof(c->j.image), "%s", image);
	c->changed = true;
	go(c);
}

static void
do_pipe(struct commit *c)
{
	if (engine_pipe(docker_engine, c->j.container, (struct slice){
	    buf_data(&c->changes), c->changes.len }, on_piped, c) == NULL)
		fail(c, XERR_EBUSY, "out of memory");
}

static void
do_tag(struct commit *c)
{
	if (c->j.image[0] == '\0')
		go(c);
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
			fail(c, XERR_EPERM, "the image of this name is not "
			    "one of ours: docker rmi removes it");
			return;
		}
	} else if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		fail(c, res->code, res->text);
		return;
	}
	go(c);
}

static void
do_reset(struct commit *c)
{
	ask(c, ENGINE_IMAGE_INSPECT, c->tag, NULL, on_reset);
}

static void
do_untag(struct commit *c)
{
	if (c->tag[0] == '\0')
		go(c);
	else
		ask(c, ENGINE_IMAGE_REMOVE, c->tag, NULL, on_settled);
}

/* No name was given to it. */
static void
do_drop(struct commit *c)
{
	if (c->j.image[0] == '\0' || c->j.step >= JOURNAL_TAGGED)
		go(c);
	else
		ask(c, ENGINE_IMAGE_REMOVE, c->j.image, NULL, on_settled);
}

static void
on_pruned(void *arg)
{
	go(arg);
}

static void
do_prune(struct commit *c)
{
	images_prune(c->s->name, on_pruned, c);
}

/* ---- the journal */

static void
on_put(void *arg, enum xerr code, const char *text)
{
	struct commit	*c = arg;

	if (code == XERR_NONE) {
		go(c);
		return;
	}
	if (c->j.step == JOURNAL_INTENT)
		c->j.step = 0;		/* nothing was begun */
	/* Only the end must be told: the others would save work. */
	if (c->recovering && c->j.step != JOURNAL_DONE)
		go(c);
	else
		fail(c, code, text);
}

static void
put_intent(struct commit *c)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	c->j.began = (uint64_t)ts.tv_sec * 1000 +
	    (uint64_t)ts.tv_nsec / 1000000;
	journal_put(&c->j, JOURNAL_INTENT, on_put, c);
}

static void
put_imported(struct commit *c)
{
	journal_put(&c->j, JOURNAL_IMPORTED, on_put, c);
}

static void
put_tagged(struct commit *c)
{
	journal_put(&c->j, JOURNAL_TAGGED, on_put, c);
}

static void
put_removed(struct commit *c)
{
	journal_put(&c->j, JOURNAL_REMOVED, on_put, c);
}

static void
put_done(struct commit *c)
{
	journal_put(&c->j, JOURNAL_DONE, on_put, c);
}

static void
do_end(struct commit *c)
{
	struct sandbox	*s = c->s;

	LIST_REMOVE(c, entry);
	if (c->j.container[0] == '\0')
		sandbox_box_remove(s->user);
	sandbox_hold(s, false);
	snprintf(s->container, sizeof(s->container), "%s", c->j.container);
	sandbox_set_state(s, s->container[0] == '\0' ? SANDBOX_ABSENT :
	    c->running ? SANDBOX_RUNNING : SANDBOX_STOPPED);
	sandbox_remember(s);
	answer(c, XERR_NONE, "");
	sandbox_release(s);
	if (c->timer != NULL)
		event_free(c->timer);
	buf_clear(&c->mounts);
	buf_clear(&c->changes);
	free(c);
}

/* ---- after a failure, or a kill */

static void
on_found(void *arg, const struct engine_result *res)
{
	struct commit	*c = arg;

	if (res->code != XERR_NONE && res->code != XERR_ENOENT) {
		fail(c, res->code, res->text);
		return;
	}
	c->j.image[0] = '\0';
	json_cstr(json_find(json_type(res->body) == JSON_ARRAY ?
	    json_first(res->body) : res->body, "Id"), c->j.image,
	    sizeof(c->j.image));
	go(c);
}

/* The image that this commit made, whether or not that was written down. */
static void
do_find(struct commit *c)
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
		fail(c, res->code, res->text);
		return;
	} else
		look_at(c, res->body);
	go(c);
}

static void
do_look(struct commit *c)
{
	if (c->j.container[0] == '\0')
		go(c);
	else
		ask(c, ENGINE_CONTAINER_INSPECT, c->j.container, NULL,
		    on_look);
}

/*
 * Is the container gone, then the image is all there is and gets the name.
 * Was it started again since, by an administrator, then it is newer than the
 * image.  Is it there and no image came of it, then it stays.
 */
static void
do_decide(struct commit *c)
{
	const bool	 gone = c->j.container[0] == '\0';
	const bool	 newer = c->running || c->started > c->j.began;

	if (c->j.what == JOURNAL_RESET)
		go_to(c, finish_reset);
	else if (c->j.image[0] == '\0' || (c->undo && !gone))
		go_to(c, undo_steps);
	else if (c->j.what == JOURNAL_COMMIT)
		go_to(c, finish_commit);
	else
		go_to(c, newer && !gone ? undo_steps : finish_stop);
}

/* ---- from outside */

static struct commit *
commit_new(struct sandbox *s, uint8_t what)
{
	struct commit	*c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	if (!sandbox_claim(s, who[what])) {
		free(c);
		return NULL;
	}
	snprintf(c->tag, sizeof(c->tag), "%s:latest", s->name);
	c->s = s;
	c->running = s->state == SANDBOX_RUNNING;
	c->j.what = what;
	snprintf(c->j.container, sizeof(c->j.container), "%s", s->container);
	snprintf(c->j.user, sizeof(c->j.user), "%s", s->user);
	LIST_INSERT_HEAD(&commits, c, entry);
	return c;
}

bool
commit_start(struct sandbox *s, enum journal_what what, bool idle,
    commit_done *done, void *arg)
{
	struct commit	*c;

	if ((c = commit_new(s, (uint8_t)what)) == NULL)
		return false;
	if (getrandom(&c->j.id, sizeof(c->j.id), 0) != sizeof(c->j.id))
		fatal("getrandom");
	c->done = done;
	c->arg = arg;
	c->idle = idle;
	c->activity = s->activity;
	sandbox_set_state(s, SANDBOX_COMMITTING);
	if (what != JOURNAL_COMMIT)
		sandbox_hold(s, true);
	go_to(c, what == JOURNAL_COMMIT ? commit_steps :
	    what == JOURNAL_STOP ? stop_steps : reset_steps);
	return true;
}

void
commit_resume(const struct journal *j)
{
	struct sandbox	*s = sandbox_get(j->user);
	struct commit	*c;

	if (j->what < JOURNAL_COMMIT || j->what > JOURNAL_RESET ||
	    s == NULL || (c = commit_new(s, j->what)) == NULL) {
		/* One entry a user: it is the claim that comes first. */
		log_errorx("sandbox of %s: a commit of step %u cannot be "
		    "finished", j->user, j->step);
		return;
	}
	log_info("sandbox of %s: finishing what was begun, step %u", j->user,
	    j->step);
	c->j = *j;
	c->recovering = true;
	sandbox_set_state(s, SANDBOX_COMMITTING);
	sandbox_hold(s, true);
	go_to(c, recover_steps);
}

bool
commit_is_live(const struct id16 *id)
{
	struct commit	*c;

	LIST_FOREACH(c, &commits, entry)
		if (memcmp(&c->j.id, id, sizeof(*id)) == 0)
			return true;
	return journal_is_told(id);
}

bool
commit_is_live_text(const char *text)
{
	struct commit	*c;
	char		 id[COMMIT_ID_LEN + 1];

	LIST_FOREACH(c, &commits, entry) {
		commit_id_text(&c->j.id, id);
		if (strcmp(id, text) == 0)
			return true;
	}
	return false;
}
