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
 * Questions of front, control and reaper about sandboxes.  Runs in: docker.
 * Trusts: nobody with more than a user's name.  An asker may be gone when his
 * answer comes; what he asked for is done nevertheless.
 */

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/docker/commit.h"

struct asker {
	LIST_ENTRY(asker) entry;
	struct chan	*chan;		/* NULL: gone */
	uint64_t	 serial;
	/* of on_sandbox_show */
	char		 user[ID_USER_MAX + 1];
	char		 tag[SANDBOX_NAME_MAX + 8];
	char		 id[CONTAINER_ID_MAX];
	struct buf	 mounts;
	bool		 dirty;
};

static LIST_HEAD(, asker)	 askers = LIST_HEAD_INITIALIZER(askers);

static void	 done_send(struct chan *, uint64_t, enum xerr, const char *,
		    const char *, bool);

/* ---- who asked */

static struct asker *
asker_new(struct chan *c, const struct msg *m)
{
	struct asker	*a;

	if ((a = calloc(1, sizeof(*a))) == NULL) {
		done_send(c, m->serial, XERR_EBUSY, "out of memory", "",
		    false);
		return NULL;
	}
	a->chan = c;
	a->serial = m->serial;
	LIST_INSERT_HEAD(&askers, a, entry);
	return a;
}

void
lifecycle_closed(struct chan *c, const char *why, bool protocol)
{
	struct asker	*a;

	LIST_FOREACH(a, &askers, entry)
		if (a->chan == c)
			a->chan = NULL;
}

static void
asker_free(struct asker *a)
{
	LIST_REMOVE(a, entry);
	buf_clear(&a->mounts);
	free(a);
}

static void
done_send(struct chan *c, uint64_t serial, enum xerr code, const char *text,
    const char *image, bool changed)
{
	const struct ctl_sandbox_done d = { (uint8_t)code, slice_str(text),
	    slice_str(image), changed };

	(void)chan_send(c, CTL_SANDBOX_DONE, serial, &d);
}

/* The sandbox, made when it is not known; NULL: answered. */
static struct sandbox *
sandbox_asked(struct chan *c, const struct msg *m, struct slice id)
{
	struct sandbox	*s = NULL;
	char		 user[ID_USER_MAX + 1];

	if (!id_user_ok(id) || !slice_copy(user, sizeof(user), id))
		chan_refuse(c, "a sandbox of nobody");
	else if (!journal_ready())
		done_send(c, m->serial, XERR_EOFFLINE, "the ledger is not "
		    "there", "", false);
	else if ((s = sandbox_get(user)) == NULL)
		done_send(c, m->serial, XERR_EBUSY, "out of memory", "",
		    false);
	return s;
}

/* ---- commit, stop, reset */

static void
on_committed(void *arg, const struct commit_result *r)
{
	struct asker	*a = arg;

	done_send(a->chan, a->serial, r->code, r->text, r->image,
	    r->changed);
	asker_free(a);
}

static void
begin(struct chan *c, const struct msg *m, struct sandbox *s,
    enum journal_what what, bool idle)
{
	struct asker	*a;

	if (s == NULL || (a = asker_new(c, m)) == NULL)
		return;
	if (commit_start(s, what, idle, on_committed, a))
		return;
	done_send(c, m->serial, XERR_EBUSY, "somebody works on this sandbox",
	    "", false);
	asker_free(a);
}

void
on_sandbox_commit(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_commit *q = m->body;

	begin(c, m, sandbox_asked(c, m, q->user), JOURNAL_COMMIT, false);
}

void
on_sandbox_stop(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_stop *q = m->body;

	begin(c, m, sandbox_asked(c, m, q->user), JOURNAL_STOP, false);
}

void
on_sandbox_reset(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_reset *q = m->body;

	begin(c, m, sandbox_asked(c, m, q->user), JOURNAL_RESET, false);
}

void
on_sandbox_idle(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_idle	*q = m->body;
	struct sandbox			*s = sandbox_asked(c, m, q->user);

	if (s == NULL)
		return;
	if (s->busy || s->activity != q->activity) {
		done_send(c, m->serial, XERR_EBUSY, "it is in use", "",
		    false);
		return;
	}
	begin(c, m, s, JOURNAL_STOP, true);
}

/* ---- sweep */

static void
on_sweep_end(void *arg, enum xerr code, const char *text)
{
	const struct ctl_sandbox_swept	 w = { (uint8_t)code,
					    slice_str(text) };
	struct asker			*a = arg;

	(void)chan_send(a->chan, CTL_SANDBOX_SWEPT, a->serial, &w);
	asker_free(a);
}

void
on_sandbox_sweep(struct chan *c, const struct msg *m)
{
	struct asker	*a;

	if (!journal_ready()) {
		const struct ctl_sandbox_swept w = { XERR_EOFFLINE,
		    slice_str("the ledger is not there") };

		(void)chan_send(c, CTL_SANDBOX_SWEPT, m->serial, &w);
	} else if ((a = asker_new(c, m)) != NULL)
		sweep_start(on_sweep_end, a);
}

/* ---- show, list */

static void
status_send(struct chan *c, uint64_t serial, const struct sandbox *s,
    const char *image, bool dirty)
{
	const time_t			 now = time(NULL);
	const bool			 there = s->container[0] != '\0';
	const struct ctl_sandbox_status	 st = { slice_str(s->user),
	    slice_str(sandbox_state_name(s->state)),
	    slice_str(there ? s->name : ""),
	    slice_str(image), !there || s->busy || now < s->used ? 0 :
	    (uint64_t)(now - s->used), dirty };

	(void)chan_send(c, CTL_SANDBOX_STATUS, serial, &st);
}

static void
list_one(struct sandbox *s, void *arg)
{
	const struct asker	*a = arg;

	if (s->container[0] != '\0' || s->claimed != NULL)
		status_send(a->chan, a->serial, s, s->image, false);
}

void
on_sandbox_list(struct chan *c, const struct msg *m)
{
	struct asker	*a;

	if (!journal_ready()) {
		done_send(c, m->serial, XERR_EOFFLINE, "the ledger is not "
		    "there", "", false);
		return;
	}
	if ((a = asker_new(c, m)) == NULL)
		return;
	sandbox_each(list_one, a);
	done_send(c, m->serial, XERR_NONE, "", "", false);
	asker_free(a);
}

static void
show_fail(struct asker *a, const struct engine_result *res)
{
	done_send(a->chan, a->serial, res->code, res->text, "", false);
	asker_free(a);
}

static void
show_ask(struct asker *a, enum engine_op op, const char *what,
    engine_done *done)
{
	const struct engine_args	 args = { .a = what };
	const struct engine_result	 no = { .code = XERR_EBUSY,
					    .text = "out of memory" };

	if (engine_call(docker_engine, op, &args, done, a) == 0)
		show_fail(a, &no);
}

/* Last: is there an image of his own? */
static void
on_show_image(void *arg, const struct engine_result *res)
{
	struct asker	*a = arg;
	struct sandbox	*s = sandbox_get(a->user);

	if (s == NULL || (res->code != XERR_NONE &&
	    res->code != XERR_ENOENT)) {
		show_fail(a, res);
		return;
	}
	status_send(a->chan, a->serial, s, res->code == XERR_NONE ?
	    a->tag : docker_conf.image, a->dirty);
	done_send(a->chan, a->serial, XERR_NONE, "", "", false);
	asker_free(a);
}

static void
on_show_changes(void *arg, const struct engine_result *res)
{
	struct asker	*a = arg;

	/* Gone or busy meanwhile: then it is what memory says. */
	if (res->code == XERR_NONE)
		a->dirty = changes_any(res->body, (struct slice){
		    buf_data(&a->mounts), a->mounts.len });
	else if (res->code == XERR_E2BIG)
		a->dirty = true;
	show_ask(a, ENGINE_IMAGE_INSPECT, a->tag, on_show_image);
}

static void
on_show_container(void *arg, const struct engine_result *res)
{
	struct asker	*a = arg;

	if (res->code == XERR_ENOENT) {
		show_ask(a, ENGINE_IMAGE_INSPECT, a->tag, on_show_image);
		return;
	}
	if (res->code != XERR_NONE || !changes_mounts(&a->mounts,
	    json_find(res->body, "Mounts"))) {
		show_fail(a, res);
		return;
	}
	show_ask(a, ENGINE_CONTAINER_CHANGES, a->id, on_show_changes);
}

void
on_sandbox_show(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_show	*q = m->body;
	struct sandbox			*s = sandbox_asked(c, m, q->user);
	struct asker			*a;

	if (s == NULL || (a = asker_new(c, m)) == NULL)
		return;
	memcpy(a->user, s->user, sizeof(a->user));
	memcpy(a->id, s->container, sizeof(a->id));
	snprintf(a->tag, sizeof(a->tag), "%s:latest", s->name);
	if (a->id[0] != '\0')
		show_ask(a, ENGINE_CONTAINER_INSPECT, a->id,
		    on_show_container);
	else
		show_ask(a, ENGINE_IMAGE_INSPECT, a->tag, on_show_image);
}
