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
 * xbot-reaper: looks for sandboxes that nobody uses.  Runs as: reaper.  May
 * do nothing but ask: ledger for what there is, docker for what to do.
 *
 * A scan is a question to ledger; what is due in its rows is asked of docker,
 * a few at a time, with the activity that the row had: docker refuses when
 * there was a newer one.  Now and then docker is told to sweep.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/table.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "proto/fnv.h"
#include "supervisor/reaper/idle.h"

#define SCAN_MAX_S	60	/* between two scans */
#define SWEEP_S		600
#define ASKED_MAX	2	/* exports at a time: they are disk and CPU */
#define RETRY_MIN_S	60	/* after a failure, doubled at each */
#define RETRY_MAX_S	3600

/* A sandbox that docker was asked to stop, or that it could not stop. */
struct victim {
	struct table_node	 node;	/* by hash of the user */
	char			 user[ID_USER_MAX + 1];
	uint64_t		 serial;	/* of the question; 0: none */
	uint32_t		 wait;		/* s, after the last failure */
	uint64_t		 until;		/* not before; seconds */
};

static void	 on_conf_reaper(struct chan *, const struct msg *);
static void	 on_row(struct chan *, const struct msg *);
static void	 on_scanned(struct chan *, const struct msg *);
static void	 on_done(struct chan *, const struct msg *);
static void	 on_swept(struct chan *, const struct msg *);
static void	 on_scan(evutil_socket_t, short, void *);
static void	 on_sweep(evutil_socket_t, short, void *);
static void	 docker_closed(struct chan *, const char *, bool);

static uint32_t		 idle_s, next_idle_s;
static uint64_t		 serial;	/* of the newest question */
static uint64_t		 scanning;	/* serial of the scan; 0: none */
static uint32_t		 next_due;	/* of that scan, s */
static unsigned int	 asked;
static struct table	 victims;
static struct event	*scan, *sweep;

static uint64_t
now_s(void)
{
	return (uint64_t)time(NULL);
}

static void
after(struct event *ev, uint32_t seconds)
{
	struct timeval	 tv = { .tv_sec = seconds };

	if (ev != NULL)
		evtimer_add(ev, &tv);
}

static void
on_conf_reaper(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_reaper *r = m->body;

	next_idle_s = r->idle;
}

static void
reloaded(void)
{
	idle_s = next_idle_s;
	after(scan, 0);
}

static bool
prepare(enum role role, struct priv_opts *opts)
{
	idle_s = next_idle_s;
	return true;
}

/* ---- those that were asked for */

static struct victim *
victim_find(const char *user)
{
	const uint64_t		 key = fnv1a(FNV1A_START, user, strlen(user));
	struct table_node	*n = table_find(&victims, key);

	while (n != NULL && strcmp(((struct victim *)n)->user, user) != 0)
		n = table_same(n);
	return (struct victim *)n;
}

static struct victim *
victim_get(const char *user)
{
	struct victim	*v = victim_find(user);

	if (v != NULL)
		return v;
	if ((v = calloc(1, sizeof(*v))) == NULL)
		return NULL;
	memcpy(v->user, user, strlen(user) + 1);
	if (!table_add(&victims, &v->node, fnv1a(FNV1A_START, user,
	    strlen(user)))) {
		free(v);
		return NULL;
	}
	return v;
}

static void
victim_free(struct victim *v)
{
	table_remove(&victims, &v->node);
	free(v);
}

static void
victim_ask(struct chan *docker, const char *user, uint64_t activity)
{
	struct ctl_sandbox_idle	 q = { slice_str(user), activity };
	struct victim		*v;

	if (asked >= ASKED_MAX || (v = victim_get(user)) == NULL ||
	    v->serial != 0 || v->until > now_s())
		return;
	if (!chan_send(docker, CTL_SANDBOX_IDLE, serial + 1, &q))
		return;
	v->serial = ++serial;
	asked++;
	log_debug("%s is idle", user);
}

static void
victim_answered(struct table_node *n, void *arg)
{
	struct victim			*v = (struct victim *)n;
	const struct msg		*m = arg;
	const struct ctl_sandbox_done	*d = m->body;

	if (v->serial != m->serial)
		return;
	asked--;
	v->serial = 0;
	/* EBUSY: it was used meanwhile, or somebody works on it. */
	if (d->code == XERR_NONE || d->code == XERR_EBUSY) {
		victim_free(v);
		return;
	}
	v->wait = v->wait == 0 ? RETRY_MIN_S : v->wait * 2;
	if (v->wait > RETRY_MAX_S)
		v->wait = RETRY_MAX_S;
	v->until = now_s() + v->wait;
	log_warnx("%s could not be stopped, again in %u s: %.*s", v->user,
	    v->wait, (int)d->text.len, (const char *)d->text.p);
}

static void
on_done(struct chan *c, const struct msg *m)
{
	table_each(&victims, victim_answered, (void *)(uintptr_t)m);
	after(scan, 1);
}

/* ---- the scan */

static void
on_scan(evutil_socket_t fd, short what, void *arg)
{
	struct chan	*ledger = child_peer(ROLE_LEDGER);

	after(scan, SCAN_MAX_S);	/* if nobody answers */
	if (idle_s == 0 || ledger == NULL || child_peer(ROLE_DOCKER) == NULL)
		return;
	if (chan_send(ledger, CTL_SANDBOX_SCAN, serial + 1, NULL))
		scanning = ++serial;
	next_due = idle_s < SCAN_MAX_S ? idle_s : SCAN_MAX_S;
}

static void
on_row(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_row	*r = m->body;
	struct idle_view		 v = { r->container.len > 0, r->busy,
					    r->used, now_s(), idle_s };
	char				 user[ID_USER_MAX + 1];
	uint32_t			 due;

	if (m->serial != scanning || !id_user_ok(r->user) ||
	    !slice_copy(user, sizeof(user), r->user))
		return;
	if ((due = idle_due(&v)) == 0)
		victim_ask(child_peer(ROLE_DOCKER), user, r->activity);
	else if (due < next_due)
		next_due = due;
}

static void
on_scanned(struct chan *c, const struct msg *m)
{
	if (m->serial != scanning)
		return;
	scanning = 0;
	after(scan, next_due);
}

/* ---- sweeping */

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct chan	*docker = child_peer(ROLE_DOCKER);

	after(sweep, SWEEP_S);
	if (docker != NULL)
		(void)chan_send(docker, CTL_SANDBOX_SWEEP, ++serial, NULL);
}

static void
on_swept(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_swept *s = m->body;

	if (s->code != XERR_NONE)
		log_info("sweep: %.*s", (int)s->text.len,
		    (const char *)s->text.p);
}

/* ---- edges */

static void
victim_forget(struct table_node *n, void *arg)
{
	((struct victim *)n)->serial = 0;
}

/* What was asked is answered no more; the next one is asked again. */
static void
docker_closed(struct chan *c, const char *why, bool protocol)
{
	table_each(&victims, victim_forget, NULL);
	asked = 0;
}

static const struct rule from_parent[] = {
	{ CTL_CONF_REAPER, STATES_ALL, on_conf_reaper },
};

static const struct rule ledger_table[] = {
	{ CTL_SANDBOX_ROW, STATES_ALL, on_row },
	{ CTL_SANDBOX_SCANNED, STATES_ALL, on_scanned },
};

static const struct rule docker_table[] = {
	{ CTL_SANDBOX_SWEPT, STATES_ALL, on_swept },
	{ CTL_SANDBOX_DONE, STATES_ALL, on_done },
};

static const struct rules ledger_rules = {
	ledger_table, sizeof(ledger_table) / sizeof(ledger_table[0]), FROM_L,
	NULL
};

static const struct rules docker_rules = {
	docker_table, sizeof(docker_table) / sizeof(docker_table[0]), FROM_D,
	docker_closed
};

static const struct rules *
peer_rules(enum role role, void **arg)
{
	return role == ROLE_LEDGER ? &ledger_rules :
	    role == ROLE_DOCKER ? &docker_rules : NULL;
}

static void
peer_up(enum role role, struct chan *c)
{
	after(scan, 1);
	if (role == ROLE_DOCKER)
		after(sweep, 1);
}

static bool
entered(void)
{
	scan = evtimer_new(child_base(), on_scan, NULL);
	sweep = evtimer_new(child_base(), on_sweep, NULL);
	if (scan == NULL || sweep == NULL)
		return false;
	after(scan, 1);
	after(sweep, 1);
	return true;
}

static const struct child_ops ops = {
	.roles = 1u << ROLE_REAPER,
	.from_parent = from_parent,
	.nfrom_parent = sizeof(from_parent) / sizeof(from_parent[0]),
	.peer_rules = peer_rules,
	.peer_up = peer_up,
	.prepare = prepare,
	.entered = entered,
	.reloaded = reloaded,
};

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &ops);
}
