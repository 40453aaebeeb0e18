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
 * The life of a child: fd 3, start, configuration, peers, go, ready, serve,
 * stop.  Runs in: every process but the parent.  Trusts the parent.
 */

#include <sys/prctl.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/heap.h"
#include "base/log.h"
#include "proto/ctl_msg.h"

/* States of the channel to the parent. */
enum {
	CHILD_NEW = 1 << 0,	/* waits for start */
	CHILD_SETUP = 1 << 1,	/* takes configuration, then go */
	CHILD_SERVING = 1 << 2
};

#define RULES_MAX	32

struct peer {
	struct chan	*chan;
	const struct rules *rules;	/* the process's own */
	struct rules	 wrapped;	/* the same, but our closed() */
	uint32_t	 generation;
};

static const struct child_ops	*ops;
static struct event_base	*base;
static struct chan		*parent;
static enum role		 role = ROLE_MAX;
static bool			 require;
static bool			 serving;	/* privileges are entered */
static struct peer		 peers[ROLE_MAX];
static unsigned int		 lines_dropped;

static void	on_start(struct chan *, const struct msg *);
static void	on_peer(struct chan *, const struct msg *);
static void	on_go(struct chan *, const struct msg *);
static void	on_stop(struct chan *, const struct msg *);
static void	on_log_level(struct chan *, const struct msg *);
static void	on_conf_commit(struct chan *, const struct msg *);
static void	parent_closed(struct chan *, const char *, bool);
static void	peer_closed(struct chan *, const char *, bool);
static void	line_send(void *, enum log_level, const char *);

static const struct rule own_rules[] = {
	{ CTL_START, CHILD_NEW, on_start },
	{ CTL_PEER, CHILD_SETUP | CHILD_SERVING, on_peer },
	{ CTL_GO, CHILD_SETUP, on_go },
	{ CTL_STOP, STATES_ALL, on_stop },
	{ CTL_LOG_LEVEL, CHILD_SETUP | CHILD_SERVING, on_log_level },
	{ CTL_CONF_COMMIT, CHILD_SETUP | CHILD_SERVING, on_conf_commit },
};

int
child_main(int argc, char *argv[], const struct child_ops *the_ops)
{
	static struct rule	rules_v[RULES_MAX];
	static struct rules	rules = { rules_v, 0, FROM_P, parent_closed };
	size_t			n = sizeof(own_rules) / sizeof(own_rules[0]);

	ops = the_ops;
	if (argc != 2 || (role = policy_by_name(argv[1])) == ROLE_MAX ||
	    (ops->roles & 1u << role) == 0) {
		fprintf(stderr, "%s is started by xbot-supervisor\n", argv[0]);
		return 1;
	}
	log_init(argv[1], LOG_LEVEL_INFO);
	/* Executed by descriptor, older kernels call us by its number. */
	prctl(PR_SET_NAME, policy_get(role)->binary);
	heap_tune();
	signal(SIGPIPE, SIG_IGN);
	/* A terminal or a service manager signals the whole group: the parent
	 * answers, and tells us in what order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (n + ops->nfrom_parent > RULES_MAX)
		fatalx("too many rules");
	memcpy(rules_v, own_rules, sizeof(own_rules));
	memcpy(rules_v + n, ops->from_parent,
	    ops->nfrom_parent * sizeof(rules_v[0]));
	rules.n = n + ops->nfrom_parent;
	if ((base = event_base_new()) == NULL ||
	    (parent = chan_new(base, CHILD_PARENT_FD, "parent", &rules,
	    NULL)) == NULL)
		fatal("start");
	log_set_sink(line_send, NULL);
	event_base_dispatch(base);
	chan_flush(parent, 100);
	return 0;
}

struct event_base *
child_base(void)
{
	return base;
}

enum role
child_role(void)
{
	return role;
}

struct chan *
child_parent(void)
{
	return parent;
}

struct chan *
child_peer(enum role r)
{
	return r < ROLE_MAX ? peers[r].chan : NULL;
}

void
child_exit(void)
{
	event_base_loopexit(base, NULL);
}

/* Lines are dropped and counted rather than blocking or growing. */
static void
line_send(void *arg, enum log_level level, const char *text)
{
	struct ctl_log	line = { .level = (uint8_t)level };
	char		lost[64];

	if (chan_is_full(parent)) {
		lines_dropped++;
		return;
	}
	if (lines_dropped > 0) {
		snprintf(lost, sizeof(lost), "%u log lines dropped",
		    lines_dropped);
		lines_dropped = 0;
		line_send(NULL, LOG_LEVEL_WARN, lost);
	}
	line.text = slice_str(text);
	if (!utf8_valid(text, line.text.len))
		line.text = slice_str("(a log line that is not UTF-8)");
	chan_send(parent, CTL_LOG, 0, &line);
	/* A line before an exit() must not be lost with the process. */
	if (level == LOG_LEVEL_ERROR)
		chan_flush(parent, 100);
}

static void
parent_closed(struct chan *c, const char *why, bool protocol)
{
	/* Without the parent nothing of ours may go on. */
	log_set_sink(NULL, NULL);
	_exit(protocol ? 1 : 0);
}

static void
on_start(struct chan *c, const struct msg *m)
{
	const struct ctl_start *s = m->body;

	if (s->role != role || !slice_is(s->build, XBOT_VERSION))
		fatalx("started by another build or for another role");
	log_set_level(s->level);
	require = s->require;
	chan_set_state(c, CHILD_SETUP);
}

static void
on_log_level(struct chan *c, const struct msg *m)
{
	const struct ctl_log_level *l = m->body;

	log_set_level(l->level);
}

static void
on_conf_commit(struct chan *c, const struct msg *m)
{
	if (ops->reloaded != NULL)
		ops->reloaded();
}

/* A new pair replaces an old one: what was pending there has failed. */
static void
on_peer(struct chan *c, const struct msg *m)
{
	const struct ctl_peer	*p = m->body;
	struct peer		*peer;
	void			*arg = NULL;
	int			 fd = chan_take_fd(c);

	if (p->role >= ROLE_MAX) {
		close(fd);
		return;
	}
	peer = &peers[p->role];
	if (peer->chan != NULL)
		peer_closed(peer->chan, "replaced", false);
	if ((peer->rules = ops->peer_rules(p->role, &arg)) == NULL) {
		log_warnx("no edge to %s here", policy_get(p->role)->name);
		close(fd);
		return;
	}
	peer->wrapped = *peer->rules;
	peer->wrapped.closed = peer_closed;
	peer->generation = p->generation;
	peer->chan = chan_new(base, fd, policy_get(p->role)->name,
	    &peer->wrapped, arg);
	if (peer->chan == NULL)
		fatal("edge to %s", policy_get(p->role)->name);
	/* What it says is for a process that is set up and locked in. */
	if (!serving)
		chan_pause(peer->chan);
	if (ops->peer_up != NULL)
		ops->peer_up(p->role, peer->chan);
}

static void
peer_closed(struct chan *c, const char *why, bool protocol)
{
	struct ctl_peer_fault	 fault = { .why = slice_str(why) };
	struct peer		*peer = peers;

	while (peer->chan != c)
		peer++;
	peer->chan = NULL;
	log_debug("edge to %s: %s", chan_name(c), why);
	if (protocol) {
		fault.role = (uint8_t)(peer - peers);
		chan_send(parent, CTL_PEER_FAULT, 0, &fault);
	}
	if (peer->rules->closed != NULL)
		peer->rules->closed(c, why, protocol);
	chan_free(c);
}

static void
on_go(struct chan *c, const struct msg *m)
{
	struct priv_opts	opts = { .mode = require ? PRIV_REQUIRE :
				    PRIV_PREFER };
	struct priv_result	result;
	struct ctl_ready	ready;
	size_t			i;

	if (ops->prepare != NULL && !ops->prepare(role, &opts))
		exit(1);
	if (priv_enter(policy_get(role), &opts, &result) == -1)
		fatalx("privileges: %s", result.text);
	if (ops->entered != NULL && !ops->entered())
		exit(1);
	chan_set_state(c, CHILD_SERVING);
	serving = true;
	for (i = 0; i < ROLE_MAX; i++)
		if (peers[i].chan != NULL)
			chan_resume(peers[i].chan);
	ready.achieved = slice_str(result.text);
	chan_send(c, CTL_READY, 0, &ready);
}

static void
on_stop(struct chan *c, const struct msg *m)
{
	if (ops->stop != NULL)
		ops->stop();
	else
		child_exit();
}
