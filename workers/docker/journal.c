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
 * What ledger keeps for us: records of sandboxes, the journal of commits.
 * Runs in: docker.  Owns: what has been told and not been confirmed.  Ledger
 * may go at any time; when it is back it is told again, which is harmless.
 */

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/docker/commit.h"

/* The build for tests waits where the test wants it killed. */
#ifdef XBOT_TEST_HALT
#define HALT(what, step, stored)	journal_halt(what, step, stored)
#else
#define HALT(what, step, stored)	((void)0)
#endif

#define FLUSH_S	5	/* activity: a minute's error would not matter */

struct told {
	LIST_ENTRY(told)	 entry;
	uint64_t		 serial;
	struct journal		 j;	/* as it was told */
	journal_cb		*cb;
	void			*arg;
};

static LIST_HEAD(, told)	 told = LIST_HEAD_INITIALIZER(told);
static uint64_t			 serial;
static bool			 ready;		/* ledger's records came */
static struct event		*flush;
/* Entries that came; they begin when all records are there. */
static struct journal		*entries;
static size_t			 nentries;

static void	 told_send(const struct told *);
static void	 record_send(struct sandbox *, void *);
static void	 on_flush(evutil_socket_t, short, void *);

bool
journal_ready(void)
{
	return ready;
}

void
commit_id_text(const struct id16 *id, char text[COMMIT_ID_LEN + 1])
{
	static const char	 hex[] = "0123456789abcdef";
	size_t			 i;

	for (i = 0; i < sizeof(id->b); i++) {
		text[2 * i] = hex[id->b[i] >> 4];
		text[2 * i + 1] = hex[id->b[i] & 15];
	}
	text[COMMIT_ID_LEN] = '\0';
}

/* ---- the journal */

static void
told_send(const struct told *t)
{
	const struct journal		*j = &t->j;
	const struct ctl_journal_end	 end = { j->id };
	const struct ctl_journal_entry	 e = { j->id, slice_str(j->user),
					    j->what, j->step,
					    slice_str(j->container),
					    slice_str(j->image), j->began };

	(void)chan_send(child_peer(ROLE_LEDGER), j->step == JOURNAL_DONE ?
	    CTL_JOURNAL_END : CTL_JOURNAL_ENTRY, t->serial,
	    j->step == JOURNAL_DONE ? (const void *)&end : &e);
}

void
journal_put(struct journal *j, enum journal_step step, journal_cb *cb,
    void *arg)
{
	struct told	*t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("journal");	/* who comes after us finishes it */
	HALT(j->what, step, false);
	j->step = (uint8_t)step;
	t->serial = ++serial;
	t->j = *j;
	t->cb = cb;
	t->arg = arg;
	LIST_INSERT_HEAD(&told, t, entry);
	if (ready)
		told_send(t);
}

bool
journal_is_told(const struct id16 *id)
{
	struct told	*t;

	LIST_FOREACH(t, &told, entry)
		if (memcmp(&t->j.id, id, sizeof(*id)) == 0)
			return true;
	return false;
}

void
on_sandbox_stored(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_stored	*s = m->body;
	struct told			*t;
	char				 text[257];

	slice_copy(text, sizeof(text), s->text);
	LIST_FOREACH(t, &told, entry)
		if (t->serial == m->serial)
			break;
	if (t == NULL) {
		if (s->code != XERR_NONE)
			log_warnx("a record was not stored: %s", text);
		return;
	}
	LIST_REMOVE(t, entry);
	HALT(t->j.what, t->j.step, true);
	t->cb(t->arg, (enum xerr)s->code, text);
	free(t);
}

/* ---- records */

static void
record_send(struct sandbox *s, void *arg)
{
	const struct ctl_sandbox_record	 r = { slice_str(s->user),
					    slice_str(s->container),
					    slice_str(s->image),
					    (uint8_t)s->state,
					    (uint64_t)s->used, s->activity,
					    s->busy };
	const struct ctl_sandbox_forget	 f = { r.user };
	const bool			 gone = s->container[0] == '\0';

	if (!s->unsaved && (gone || s->activity == s->saved))
		return;
	if (!chan_send(child_peer(ROLE_LEDGER), gone ? CTL_SANDBOX_FORGET :
	    CTL_SANDBOX_RECORD, ++serial, gone ? (const void *)&f : &r))
		return;
	s->unsaved = false;
	s->saved = s->activity;
}

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval	 tv = { FLUSH_S, 0 };

	evtimer_add(flush, &tv);
	if (ready)
		sandbox_each(record_send, NULL);
}

/* For container and state at once; activity comes with the next flush. */
void
sandbox_remember(struct sandbox *s)
{
	s->unsaved = true;
	if (ready)
		record_send(s, NULL);
}

/* ---- ledger came, or came again: then what we know is newer */

void
on_sandbox_record(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_record	*r = m->body;
	struct sandbox			*s;
	char				 user[ID_USER_MAX + 1];

	/* Of a ledger that came again: what we know is newer. */
	if (ready || !id_user_ok(r->user) ||
	    !slice_copy(user, sizeof(user), r->user) ||
	    (s = sandbox_get(user)) == NULL)
		return;
	slice_copy(s->container, sizeof(s->container), r->container);
	slice_copy(s->image, sizeof(s->image), r->image);
	/* Until the Engine says more.  Box may have spoken already. */
	s->state = SANDBOX_STOPPED;
	if (s->used < (time_t)r->used)
		s->used = (time_t)r->used;
	s->activity += r->activity;
	s->saved = r->activity;
	s->unsaved = r->busy != s->busy;
}

void
on_journal_entry(struct chan *c, const struct msg *m)
{
	const struct ctl_journal_entry	*e = m->body;
	struct journal			*more, *j;

	if (commit_is_live(&e->id) || !id_user_ok(e->user))
		return;
	more = realloc(entries, (nentries + 1) * sizeof(*more));
	if (more == NULL)
		fatal("journal");
	entries = more;
	j = &entries[nentries++];
	*j = (struct journal){ .id = e->id, .what = e->what,
	    .step = e->step, .began = e->began };
	slice_copy(j->user, sizeof(j->user), e->user);
	slice_copy(j->container, sizeof(j->container), e->container);
	slice_copy(j->image, sizeof(j->image), e->image);
}

static void
remember(struct sandbox *s, void *arg)
{
	s->unsaved = true;
	record_send(s, NULL);
}

void
on_sandboxes_synced(struct chan *c, const struct msg *m)
{
	const bool	 first = !ready;
	struct told	*t;
	size_t		 i;

	ready = true;
	if (flush == NULL && (flush = evtimer_new(child_base(), on_flush,
	    NULL)) == NULL)
		fatal("flush");
	on_flush(-1, 0, NULL);
	LIST_FOREACH(t, &told, entry)
		told_send(t);
	if (!first)
		sandbox_each(remember, NULL);
	for (i = 0; i < nentries; i++)
		if (!commit_is_live(&entries[i].id))
			commit_resume(&entries[i]);
	free(entries);
	entries = NULL;
	nentries = 0;
	sandboxes_sweep();
	sandboxes_known();
}
