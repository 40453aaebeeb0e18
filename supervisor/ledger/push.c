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
 * Front's and control's copies of the routing table, and the questions that
 * wait until every copy knows.  Runs in: ledger.
 *
 * A new copy gets everything (serial 0, not acknowledged), then route_synced.
 * A change is sent to each copy at once, under a rising serial that the copy
 * returns in route_ack when it has applied it; also to a copy that is still
 * being filled: every message says what is so now, in any order.  The question
 * that made the change is answered when no copy is behind it.
 */

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/ledger/ledger.h"

/*
 * How long a question waits for a copy that lives and does not answer.  Then
 * its change is stored, but who asked must not believe that it is in force:
 * EIO says so, and asking again is harmless.  The copy will apply it when its
 * loop turns; a copy that died is no matter, its successor begins anew.
 */
#define ACK_MS		5000

#define SYNC_BATCH	256	/* records a turn */
#define SYNC_PAUSE_MS	5	/* when the channel is full */

enum sync {
	SYNC_OFF,		/* no channel, or no database yet */
	SYNC_RUNNERS, SYNC_ACTIVE, SYNC_BINDS,
	SYNC_DONE
};

struct copy {
	struct chan		*chan;
	uint64_t		 sent;		/* serial of the last change */
	uint64_t		 acked;
	enum sync		 sync;
	struct store_iter	 at;
	struct event		*ev_sync;
};

/* Bounded by what front asks in ACK_MS; it is a copy itself. */
struct wait {
	TAILQ_ENTRY(wait)	 entry;
	struct chan		*asker;
	uint64_t		 serial;	/* of the question */
	uint64_t		 need;		/* every copy has this */
	uint64_t		 deadline;	/* monotonic ms */
};

static void	on_sync(evutil_socket_t, short, void *);
static void	on_deadline(evutil_socket_t, short, void *);
static void	copy_start(struct copy *);
static void	waits_check(void);

static struct copy	 copies[2];		/* front, control */
static uint64_t		 push_serial;
static TAILQ_HEAD(, wait) waits = TAILQ_HEAD_INITIALIZER(waits);
static struct event	*ev_deadline;

#define COPIES_FOREACH(c) \
	for ((c) = copies; (c) < copies + sizeof(copies) / sizeof(*copies); \
	    (c)++)

static void
timer_set(struct event **ev, event_callback_fn fn, void *arg, uint64_t ms)
{
	struct timeval tv = { (time_t)(ms / 1000),
	    (suseconds_t)(ms % 1000 * 1000) };

	if (*ev == NULL && (*ev = evtimer_new(child_base(), fn, arg)) == NULL)
		fatalx("out of memory");
	evtimer_add(*ev, &tv);
}

/* --- copies --- */

void
push_up(enum role role, struct chan *c)
{
	struct copy *copy = &copies[role == ROLE_CONTROL];

	/* child.c has closed the old channel before it brings a new one. */
	copy->chan = c;
	copy->sent = copy->acked = 0;
	copy->sync = SYNC_OFF;
	if (store_is_open())
		copy_start(copy);
}

void
push_closed(struct chan *c, const char *why, bool protocol)
{
	struct copy	*copy;
	struct wait	*w, *next;

	COPIES_FOREACH(copy) {
		if (copy->chan != c)
			continue;
		copy->chan = NULL;
		copy->sync = SYNC_OFF;
		if (copy->ev_sync != NULL)
			evtimer_del(copy->ev_sync);
	}
	for (w = TAILQ_FIRST(&waits); w != NULL; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (w->asker != c)
			continue;
		TAILQ_REMOVE(&waits, w, entry);
		free(w);
	}
	waits_check();
}

void
push_start(void)
{
	struct copy *copy;

	COPIES_FOREACH(copy)
		if (copy->chan != NULL && copy->sync == SYNC_OFF)
			copy_start(copy);
}

static void
copy_start(struct copy *copy)
{
	copy->sync = SYNC_RUNNERS;
	store_iter_init(&copy->at, NULL);
	on_sync(-1, 0, copy);
}

static void
runner_fill(struct ctl_route_runner *m, struct slice user, struct slice name,
    const struct state_runner *r)
{
	const struct online *on = online_find(user, name);

	*m = (struct ctl_route_runner){ .user = user, .name = name,
	    .mode = r->mode, .docker_image = r->docker_image,
	    .workspace = r->workspace, .llm_provider = r->llm_provider,
	    .llm_model = r->llm_model, .llm_base_url = r->llm_base_url,
	    .created = r->created };
	if (on == NULL)
		return;
	m->online = true;
	m->v2 = on->v2;
	m->llm = slice_str(on->llm);
	m->shell = slice_str(on->shell);
	if (r->workspace.len == 0)
		m->workspace = slice_str(on->workspace);
}

/* One record to one copy; false when this database has no more. */
static bool
sync_runner(struct store_tx *tx, struct copy *copy)
{
	struct state_runner	 r;
	struct ctl_route_runner	 m;

	if (!store_next(tx, DB_RUNNERS, &copy->at, STATE_RUNNER, &r))
		return false;
	runner_fill(&m, key_first(&copy->at.at), key_rest(&copy->at.at), &r);
	chan_send(copy->chan, CTL_ROUTE_RUNNER, 0, &m);
	return true;
}

static bool
sync_active(struct store_tx *tx, struct copy *copy)
{
	struct state_choice	 r;
	struct ctl_route_active	 m;

	if (!store_next(tx, DB_ACTIVE, &copy->at, STATE_CHOICE, &r))
		return false;
	m = (struct ctl_route_active){ key_first(&copy->at.at), r.name };
	chan_send(copy->chan, CTL_ROUTE_ACTIVE, 0, &m);
	return true;
}

static bool
sync_bind(struct store_tx *tx, struct copy *copy)
{
	struct state_choice	 r;
	struct ctl_route_bind	 m;

	if (!store_next(tx, DB_BINDS, &copy->at, STATE_CHOICE, &r))
		return false;
	m = (struct ctl_route_bind){ key_first(&copy->at.at),
	    key_rest(&copy->at.at), r.name };
	chan_send(copy->chan, CTL_ROUTE_BIND, 0, &m);
	return true;
}

/* Some records a turn, so that a large table blocks nobody. */
static void
on_sync(evutil_socket_t fd, short what, void *arg)
{
	static bool (*const step[])(struct store_tx *, struct copy *) = {
		[SYNC_RUNNERS] = sync_runner, [SYNC_ACTIVE] = sync_active,
		[SYNC_BINDS] = sync_bind
	};
	struct copy	*copy = arg;
	struct store_tx	 tx;
	const char	*text;
	int		 n;

	if (!store_is_open())		/* on the way out */
		return;
	store_begin(&tx, false);
	for (n = 0; n < SYNC_BATCH && copy->sync < SYNC_DONE &&
	    !chan_is_full(copy->chan); n++) {
		if (step[copy->sync](&tx, copy))
			continue;
		if (tx.rc != 0)
			break;
		copy->sync++;
		store_iter_init(&copy->at, NULL);
	}
	if (store_end(&tx, &text) != XERR_NONE)
		fatalx("routing table: %s", text);
	if (copy->sync == SYNC_DONE)
		chan_send(copy->chan, CTL_ROUTE_SYNCED, 0, NULL);
	else
		timer_set(&copy->ev_sync, on_sync, copy,
		    chan_is_full(copy->chan) ? SYNC_PAUSE_MS : 0);
}

/* --- changes --- */

void
push_send(uint16_t type, const void *body)
{
	struct copy *copy;

	push_serial++;
	COPIES_FOREACH(copy)
		if (chan_send(copy->chan, type, push_serial, body))
			copy->sent = push_serial;
}

void
push_runner(struct slice user, struct slice name)
{
	struct state_runner	 r;
	struct store_key	 key;
	struct store_tx		 tx;
	struct ctl_route_runner	 m;
	struct ctl_route_gone	 gone = { user, name };

	store_begin(&tx, false);
	if (runner_get(&tx, &key, user, name, &r)) {
		runner_fill(&m, user, name, &r);
		push_send(CTL_ROUTE_RUNNER, &m);
	} else if (tx.rc == 0)
		push_send(CTL_ROUTE_GONE, &gone);
	store_abort(&tx);
}

void
push_active(struct slice user)
{
	struct state_choice	 r = { .name = slice_str("") };
	struct store_key	 key;
	struct store_tx		 tx;
	struct ctl_route_active	 m;

	key_user(&key, user);
	store_begin(&tx, false);
	store_get(&tx, DB_ACTIVE, &key, STATE_CHOICE, &r);
	m = (struct ctl_route_active){ user, r.name };
	if (tx.rc == 0)
		push_send(CTL_ROUTE_ACTIVE, &m);
	store_abort(&tx);
}

void
push_bind(struct slice user, struct slice session)
{
	struct state_choice	 r = { .name = slice_str("") };
	struct store_key	 key;
	struct store_tx		 tx;
	struct ctl_route_bind	 m;

	key_pair(&key, user, session);
	store_begin(&tx, false);
	store_get(&tx, DB_BINDS, &key, STATE_CHOICE, &r);
	m = (struct ctl_route_bind){ user, session, r.name };
	if (tx.rc == 0)
		push_send(CTL_ROUTE_BIND, &m);
	store_abort(&tx);
}

/* --- answers --- */

static bool
all_have(uint64_t need)
{
	struct copy *copy;

	/* What a copy was not sent, it need not have. */
	COPIES_FOREACH(copy)
		if (copy->chan != NULL && copy->acked < need &&
		    copy->acked < copy->sent)
			return false;
	return true;
}

void
push_done(struct chan *asker, uint64_t serial)
{
	struct ctl_ledger_done	 done = { XERR_NONE, slice_str("") };
	struct wait		*w;

	if (all_have(push_serial) || (w = calloc(1, sizeof(*w))) == NULL) {
		chan_send(asker, CTL_LEDGER_DONE, serial, &done);
		return;
	}
	w->asker = asker;
	w->serial = serial;
	w->need = push_serial;
	w->deadline = clock_ms() + ACK_MS;
	if (TAILQ_EMPTY(&waits))
		timer_set(&ev_deadline, on_deadline, NULL, ACK_MS);
	TAILQ_INSERT_TAIL(&waits, w, entry);
}

static void
wait_end(struct wait *w, enum xerr code, const char *text)
{
	struct ctl_ledger_done done = { (uint8_t)code, slice_str(text) };

	TAILQ_REMOVE(&waits, w, entry);
	chan_send(w->asker, CTL_LEDGER_DONE, w->serial, &done);
	free(w);
}

/* Their needs rise from first to last. */
static void
waits_check(void)
{
	struct wait *w;

	while ((w = TAILQ_FIRST(&waits)) != NULL && all_have(w->need))
		wait_end(w, XERR_NONE, "");
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct wait	*w;
	uint64_t	 now = clock_ms();

	while ((w = TAILQ_FIRST(&waits)) != NULL && w->deadline <= now) {
		log_warnx("question %llu: a copy of the routing table does "
		    "not answer", (unsigned long long)w->serial);
		wait_end(w, XERR_EIO, "stored, but not yet confirmed by every "
		    "process; ask again");
	}
	if (w != NULL)
		timer_set(&ev_deadline, on_deadline, NULL, w->deadline - now);
}

void
on_route_ack(struct chan *c, const struct msg *m)
{
	struct copy *copy = &copies[copies[1].chan == c];

	if (m->serial > copy->sent) {
		chan_refuse(c, "acknowledged what it was not sent");
		return;
	}
	if (m->serial > copy->acked)
		copy->acked = m->serial;
	waits_check();
}

static void
refuse(struct chan *asker, uint64_t serial, enum xerr code, const char *fmt,
    va_list ap)
{
	struct ctl_ledger_done	 done = { .code = (uint8_t)code };
	char			 text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	done.text = slice_str(text);
	chan_send(asker, CTL_LEDGER_DONE, serial, &done);
}

void
push_refuse(struct chan *asker, uint64_t serial, enum xerr code,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	refuse(asker, serial, code, fmt, ap);
	va_end(ap);
}

bool
change_begin(struct change *ch, struct chan *asker, const struct msg *m)
{
	ch->asker = asker;
	ch->serial = m->serial;
	return store_begin(&ch->tx, true) || change_commit(ch);
}

bool
change_commit(struct change *ch)
{
	const char	*text;
	enum xerr	 code;

	if ((code = store_end(&ch->tx, &text)) != XERR_NONE)
		push_refuse(ch->asker, ch->serial, code, "%s", text);
	return code == XERR_NONE;
}

void
change_refuse(struct change *ch, enum xerr code, const char *fmt, ...)
{
	va_list ap;

	/* A look-up that failed is not "not there". */
	if (ch->tx.rc != 0) {
		change_commit(ch);
		return;
	}
	store_abort(&ch->tx);
	va_start(ap, fmt);
	refuse(ch->asker, ch->serial, code, fmt, ap);
	va_end(ap);
}
