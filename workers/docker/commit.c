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

#include <event2/event.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "workers/docker/commit_int.h"

#define AGAIN_MAX_S	60u

static const char *const	 who[] = {
	[JOURNAL_COMMIT] = "commit", [JOURNAL_STOP] = "stop",
	[JOURNAL_RESET] = "reset"
};

static LIST_HEAD(, commit)	 commits = LIST_HEAD_INITIALIZER(commits);

static void	 again(struct commit *);
static step_fn	 put_done, put_imported, put_intent, put_removed, put_tagged,
		 step_decide, step_end;

static step_fn *const	 commit_steps[] = {
	step_inspect, step_changes, step_same, step_meta, put_intent,
	step_pause, step_pipe, step_unpause, put_imported, step_tag,
	put_tagged, step_prune, put_done, step_end
};
static step_fn *const	 stop_steps[] = {
	step_inspect, step_stop, step_changes, step_same, step_meta,
	put_intent, step_pipe, put_imported, step_tag, put_tagged,
	step_remove, put_removed, step_prune, put_done, step_end
};
static step_fn *const	 reset_steps[] = {
	step_inspect, step_reset, put_intent, step_remove, put_removed,
	step_untag, step_prune, put_done, step_end
};
/* Nothing has changed. */
static step_fn *const	 clean_steps[] = { step_clean, step_end };
/* Nothing is in the journal. */
static step_fn *const	 end_steps[] = { step_end };

/* After a failure or a kill: which of the four lists below? */
static step_fn *const	 recover_steps[] = {
	step_find, step_look, step_decide
};
/* The container has it all; an image without a name goes. */
static step_fn *const	 undo_steps[] = {
	step_unpause, step_drop, put_done, step_end
};
static step_fn *const	 finish_commit[] = {
	step_unpause, step_tag, put_tagged, step_prune, put_done, step_end
};
static step_fn *const	 finish_stop[] = {
	step_tag, put_tagged, step_remove, put_removed, step_prune,
	put_done, step_end
};
static step_fn *const	 finish_reset[] = {
	step_remove, put_removed, step_reset, step_untag, step_prune,
	put_done, step_end
};

/* ---- going on */

void
commit_go(struct commit *c)
{
	(*c->next++)(c);
}

void
commit_go_to(struct commit *c, step_fn *const *steps)
{
	c->next = steps;
	commit_go(c);
}

void
commit_clean(struct commit *c)
{
	c->clean = true;
	commit_go_to(c, clean_steps);
}

void
commit_nothing(struct commit *c)
{
	commit_go_to(c, end_steps);
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
void
commit_fail(struct commit *c, enum xerr code, const char *text)
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
	commit_go_to(c, c->j.step == 0 ? end_steps : recover_steps);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	commit_go_to(arg, recover_steps);
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

/* ---- the journal */

static void
on_put(void *arg, enum xerr code, const char *text)
{
	struct commit	*c = arg;

	if (code == XERR_NONE) {
		commit_go(c);
		return;
	}
	if (c->j.step == JOURNAL_INTENT)
		c->j.step = 0;		/* nothing was begun */
	/* Only the end must be told: the others would save work. */
	if (c->recovering && c->j.step != JOURNAL_DONE)
		commit_go(c);
	else
		commit_fail(c, code, text);
}

static void
put_intent(struct commit *c)
{
	c->j.began = wall_ms();
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

/* What became of it, for who reads the log; failures have said theirs. */
static void
end_log(const struct commit *c)
{
	const double	 seconds = (double)(clock_ms() -
			    c->began) / 1000;
	const char	*what = c->idle ? "idle, stop" : who[c->j.what];

	if (c->recovering)
		log_info("sandbox of %s: %s was put right", c->s->user, what);
	else if (c->changed)
		log_info("sandbox of %s: %s: image %s, %.1f MB, %.1f s",
		    c->s->user, what, c->tag, (double)c->bytes / 1e6,
		    seconds);
	else
		log_info("sandbox of %s: %s: %s%.1f s", c->s->user, what,
		    c->clean ? "nothing changed, " : "", seconds);
}

static void
step_end(struct commit *c)
{
	struct sandbox	*s = c->s;

	if (c->done != NULL || c->recovering)
		end_log(c);
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

/*
 * Is the container gone, then the image is all there is and gets the name.
 * Was it started again since, by an administrator, then it is newer than the
 * image.  Is it there and no image came of it, then it stays.
 */
static void
step_decide(struct commit *c)
{
	const bool	 gone = c->j.container[0] == '\0';
	const bool	 newer = c->running || c->started > c->j.began;

	if (c->j.what == JOURNAL_RESET)
		commit_go_to(c, finish_reset);
	else if (c->j.image[0] == '\0' || (c->undo && !gone))
		commit_go_to(c, undo_steps);
	else if (c->j.what == JOURNAL_COMMIT)
		commit_go_to(c, finish_commit);
	else
		commit_go_to(c, newer && !gone ? undo_steps : finish_stop);
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
	c->began = clock_ms();
	sandbox_set_state(s, SANDBOX_COMMITTING);
	if (what != JOURNAL_COMMIT)
		sandbox_hold(s, true);
	commit_go_to(c, what == JOURNAL_COMMIT ? commit_steps :
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
	commit_go_to(c, recover_steps);
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
