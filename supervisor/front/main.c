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
 * xbot-front: the process that strangers talk to, and, under the role
 * control, the one that administrators talk to.  Runs in: front, control.
 * Trusts the parent; holds no file or database, and no key but the listeners'.
 */

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "supervisor/front/front.h"
#include "supervisor/front/routes.h"
#include "supervisor/front/session.h"
#include "supervisor/front/skill.h"
#include "supervisor/front/tls.h"

/*
 * Idle runners are most of them, at about 2 KiB each; a head that is being read
 * costs header_max, so the worst is a quarter of the row's memory.  One address
 * may be a proxy in front of everybody: half of all.
 */
#define CONNS_MAX	32768
#define CONNS_OF_PEER	16384

#define LISTENERS_MAX	16
#define TRIM_S		60	/* memory goes back to the system */
#define STOP_MS		3000	/* for requests that still run */
#define STOP_TICK_MS	50

static const struct rules *peer_rules(enum role, void **);
static void	 peer_up(enum role, struct chan *);
static bool	 prepare(enum role, struct priv_opts *);
static bool	 entered(void);
static void	 reloaded(void);
static void	 stop(void);
static void	 on_conf(struct chan *, const struct msg *);
static void	 on_listener(struct chan *, const struct msg *);
static void	 on_worker(struct chan *, const struct msg *);
static void	 on_stop_tick(int, short, void *);
static void	 on_trim(int, short, void *);
static void	 listener_open(int, uint32_t, const char *);
static void	 every(struct event **, unsigned int, event_callback_fn);

static const struct rule from_parent[] = {
	{ CTL_CONF_FRONT, STATES_ALL, on_conf },
	{ CTL_CONF_FRONT_SKILL, STATES_ALL, skill_on_conf },
	{ CTL_LISTENER, STATES_ALL, on_listener },
	{ CTL_TLS_PAIR, STATES_ALL, tls_on_pair },
	{ CTL_WORKER, STATES_ALL, on_worker },
	{ CTL_ORDER_DONE, STATES_ALL, admin_on_order_done }
};

static const struct child_ops ops = {
	.roles = 1u << ROLE_FRONT | 1u << ROLE_CONTROL,
	.from_parent = from_parent,
	.nfrom_parent = sizeof(from_parent) / sizeof(from_parent[0]),
	.peer_rules = peer_rules, .peer_up = peer_up,
	.prepare = prepare, .entered = entered,
	.reloaded = reloaded, .stop = stop
};

static struct front_conf	 next_conf;
static bool			 have_next;
static uint64_t			 stop_by_ms;

/* They come before the door is closed and serve behind it. */
static struct {
	int		 fd;
	uint32_t	 flags;
	char		 name[129];
} waiting[LISTENERS_MAX];
static unsigned int		 nwaiting;

static const struct rules *
peer_rules(enum role role, void **arg)
{
	static const struct rules *const edges[ROLE_MAX] = {
		[ROLE_LEDGER] = &ledger_rules,
		[ROLE_NONE] = &session_rules,
		[ROLE_BOX] = &session_rules,
		[ROLE_DOCKER] = &sandbox_rules,
		[ROLE_REMOTE] = &remote_rules,
		[ROLE_LLM] = &llm_rules,
		[ROLE_SKILL] = &skill_rules
	};

	return edges[role];
}

static void
peer_up(enum role role, struct chan *c)
{
	front.workers[role].linked = true;
	if (role == ROLE_LEDGER)
		ledger_up(c);
}

bool
worker_up(enum role role)
{
	const struct front_worker *w = &front.workers[role];

	return w->wanted && w->up && (!w->linked || child_peer(role) != NULL);
}

static void
on_conf(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_front	*p = m->body;
	struct front_conf		*n = &next_conf;

	n->json_max = p->json_max;
	n->header_max = p->header_max;
	n->output_max = p->output_max;
	n->file_max = p->file_max;
	n->user_exec = p->user_exec;
	n->user_task = p->user_task;
	n->user_pty = p->user_pty;
	n->user_rate = p->user_rate;
	n->host = p->host;
	n->docker = p->docker;
	n->remote = p->remote;
	n->web_server_runner = p->web_server_runner;
	n->audit = p->audit;
	n->user_llm = p->user_llm;
	n->llm_max = p->llm_max;
	n->llm = p->llm;
	n->llm_dialect = p->llm_dialect == LLM_ANTHROPIC ? LLM_ANTHROPIC :
	    LLM_OPENAI;
	(void)slice_copy(n->llm_model, sizeof(n->llm_model), p->llm_model);
	(void)slice_copy(n->public_url, sizeof(n->public_url), p->public_url);
	(void)slice_copy(n->docker_image, sizeof(n->docker_image),
	    p->docker_image);
	(void)slice_copy(n->admin_group, sizeof(n->admin_group),
	    p->admin_group);
	have_next = true;
}

static void
reloaded(void)
{
	if (have_next) {
		front.conf = next_conf;
		admin_group_set();
		if (front.http != NULL)
			http_head_limit(front.http, front.conf.header_max);
		skill_commit();
		tls_commit();
	}
	have_next = false;
}

static void
on_listener(struct chan *c, const struct msg *m)
{
	const struct ctl_listener	*p = m->body;
	int				 fd = chan_take_fd(c);
	char				 name[129];

	if (fd == -1)
		return;
	(void)slice_copy(name, sizeof(name), p->name);
	if (front.http != NULL) {
		listener_open(fd, p->flags, name);
		return;
	}
	if (nwaiting == LISTENERS_MAX) {
		log_errorx("more than %d listeners", LISTENERS_MAX);
		(void)close(fd);
		return;
	}
	waiting[nwaiting].fd = fd;
	waiting[nwaiting].flags = p->flags;
	memcpy(waiting[nwaiting++].name, name, sizeof(name));
}

static void
listener_open(int fd, uint32_t flags, const char *name)
{
	void *tls = NULL;

	/* Only control has administrators, and it has nobody else. */
	if (front.control)
		flags = LISTENER_UNIX;
	else
		flags &= ~(uint32_t)LISTENER_UNIX;
	if (flags & LISTENER_TLS && (tls = tls_listener(name)) == NULL) {
		log_errorx("listen on %s: too many TLS listeners", name);
		(void)close(fd);
		return;
	}
	if (http_listen_as(front.http, fd, (void *)(uintptr_t)flags, name,
	    tls) == -1)
		fatal("listen");
}

static void
on_worker(struct chan *c, const struct msg *m)
{
	const struct ctl_worker	*p = m->body;
	struct front_worker	*w;

	if (p->role >= ROLE_MAX)
		return;
	w = &front.workers[p->role];
	w->wanted = p->wanted;
	w->up = p->up;
	w->pid = p->pid;
	w->restarts = p->restarts;
	w->since = p->since;
}

static bool
prepare(enum role role, struct priv_opts *opts)
{
	reloaded();
	front.base = child_base();
	front.control = role == ROLE_CONTROL;
	front.started = (uint64_t)time(NULL);
	tzset();
	if (!front.control && !tls_warm_up())
		return false;
	return auth_warm_up();
}

static bool
entered(void)
{
	static struct event	*trim;
	struct http_conf	 conf = { .max_head = front.conf.header_max };
	unsigned int		 i;

	/* Administrators come through one unix socket: no limit a peer. */
	if (front.control)
		conf.max_conns = conf.max_per_peer = 512;
	else {
		conf.max_conns = CONNS_MAX;
		conf.max_per_peer = CONNS_OF_PEER;
	}
	front.http = http_server_new(front.base, &api_ops, NULL, &conf);
	if (front.http == NULL) {
		log_error("http");
		return false;
	}
	for (i = 0; i < nwaiting; i++)
		listener_open(waiting[i].fd, waiting[i].flags,
		    waiting[i].name);
	every(&trim, TRIM_S * 1000, on_trim);
	return true;
}

static void
every(struct event **ev, unsigned int ms, event_callback_fn fn)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	*ev = event_new(front.base, -1, EV_PERSIST, fn, NULL);
	if (*ev == NULL || event_add(*ev, &tv) == -1)
		fatal("timer");
}

static void
on_trim(int fd, short what, void *arg)
{
	heap_trim();
}

/* Nobody new; what runs may end; then the rest is cut off. */
static void
stop(void)
{
	static struct event *tick;

	if (tick != NULL || front.http == NULL) {
		child_exit();
		return;
	}
	stop_by_ms = clock_ms() + STOP_MS;
	http_drain(front.http);
	runner_ws_stop();
	streams_stop();
	events_stop();
	every(&tick, STOP_TICK_MS, on_stop_tick);
}

static void
on_stop_tick(int fd, short what, void *arg)
{
	struct http_stats st;

	http_stats_get(front.http, &st);
	if (st.conns > st.upgraded && clock_ms() < stop_by_ms)
		return;
	http_server_free(front.http);
	front.http = NULL;
	child_exit();
}

int
main(int argc, char *argv[])
{
	/* Requests and answers lie in libevent's buffers, tokens and keys
	 * among them. */
	event_set_mem_functions(malloc, realloc, heap_wipe);
	return child_main(argc, argv, &ops);
}
