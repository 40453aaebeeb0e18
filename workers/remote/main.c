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
 * The remote worker's start, its edges and its budget.  Runs in: remote.
 * Trusts parent and ledger; front and control to be ours, not to be intact;
 * nothing that a runner said.  Has no file, no socket but its channels.
 */

#include <sys/random.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/token.h"
#include "base/utf8.h"
#include "proto/ctl_msg.h"
#include "workers/remote/remote.h"
#include "workers/remote/sync.h"

static void		 on_conf_remote(struct chan *, const struct msg *);
static void		 on_retry(evutil_socket_t, short, void *);
static void		 edge_closed(struct chan *, const char *, bool);
static const struct rules *remote_peer_rules(enum role, void **);
static void		 remote_peer_up(enum role, struct chan *);
static bool		 remote_prepare(enum role, struct priv_opts *);
static void		 remote_reloaded(void);

uint64_t		 conf_message_limit = 700ull * 1024 * 1024;
static uint64_t		 budget = 2048ull * 1024 * 1024, budget_used;
static struct event	*retry;
static uint64_t		 next_limit, next_budget;	/* until commit */
static enum role	 roles[ROLE_MAX];	/* what chan_arg points to */

static const struct rule from_parent[] = {
	{ CTL_CONF_REMOTE, STATES_ALL, on_conf_remote },
	{ CTL_SYNC_FILE, STATES_ALL, on_sync_file },
	{ CTL_SYNC_END, STATES_ALL, on_sync_end },
};

/* What both front and control may say. */
#define SESSION_RULES							\
	{ CTL_SESSION_OPEN, STATES_ALL, on_session_open },		\
	{ CTL_SESSION_CLOSE, STATES_ALL, on_session_close },		\
	{ EXEC_JOB_START, STATES_ALL, on_session_message },		\
	{ EXEC_JOB_DATA, STATES_ALL, on_session_message },		\
	{ EXEC_JOB_CREDIT, STATES_ALL, on_session_message },		\
	{ EXEC_JOB_EOF, STATES_ALL, on_session_message },		\
	{ EXEC_JOB_SIGNAL, STATES_ALL, on_session_message },		\
	{ EXEC_JOB_RESIZE, STATES_ALL, on_session_message },		\
	{ EXEC_JOB_CANCEL, STATES_ALL, on_session_message },		\
	{ EXEC_FILE_STAT, STATES_ALL, on_session_message },		\
	{ EXEC_FILE_LIST, STATES_ALL, on_session_message },		\
	{ EXEC_FILE_MKDIR, STATES_ALL, on_session_message },		\
	{ EXEC_FILE_REMOVE, STATES_ALL, on_session_message },		\
	{ EXEC_FILE_GET, STATES_ALL, on_session_message },		\
	{ EXEC_FILE_PUT, STATES_ALL, on_session_message },		\
	{ EXEC_FILE_HASH, STATES_ALL, on_session_message },		\
	{ EXEC_TASK_LIST, STATES_ALL, on_session_message },		\
	{ EXEC_TASK_READ, STATES_ALL, on_session_message },		\
	{ EXEC_TASK_KILL, STATES_ALL, on_session_message },		\
	{ EXEC_FETCH, STATES_ALL, on_session_message },			\
	{ EXEC_LLM_CALL, STATES_ALL, on_session_message },		\
	{ EXEC_LLM_SETTINGS, STATES_ALL, on_session_message }

static const struct rule from_front[] = {
	SESSION_RULES,
	{ CTL_WS_OPEN, STATES_ALL, on_ws_open },
	{ CTL_WS_DATA, STATES_ALL, on_ws_data },
	{ CTL_WS_GONE, STATES_ALL, on_ws_gone },
	{ CTL_WS_CREDIT, STATES_ALL, on_ws_credit },
	{ CTL_BULK_WS_DATA, STATES_ALL, on_bulk_ws_data },
	{ CTL_BULK_DATA, STATES_ALL, on_bulk_data },
};

static const struct rule from_control[] = {
	SESSION_RULES,
};

static const struct rule from_ledger[] = {
	{ CTL_RUNNER_AUTHED, STATES_ALL, on_runner_authed },
	{ CTL_RUNNER_KICK, STATES_ALL, on_runner_kick },
	{ CTL_RUNNER_RENAMED, STATES_ALL, on_runner_renamed },
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

static const struct rules peer_rules[ROLE_MAX] = {
	[ROLE_FRONT] = { from_front, NITEMS(from_front), FROM_F | FROM_H,
	    edge_closed },
	[ROLE_CONTROL] = { from_control, NITEMS(from_control),
	    FROM_F | FROM_H, edge_closed },
	/* Ourselves, copying skills: see sync.h. */
	[ROLE_REMOTE] = { from_control, NITEMS(from_control),
	    FROM_F | FROM_H, edge_closed },
	[ROLE_LEDGER] = { from_ledger, NITEMS(from_ledger), FROM_L,
	    edge_closed },
};

static const struct child_ops remote_ops = {
	.roles = 1u << ROLE_REMOTE,
	.from_parent = from_parent,
	.nfrom_parent = NITEMS(from_parent),
	.peer_rules = remote_peer_rules,
	.peer_up = remote_peer_up,
	.prepare = remote_prepare,
	.reloaded = remote_reloaded,
};

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &remote_ops);
}

static const struct rules *
remote_peer_rules(enum role role, void **arg)
{
	if (peer_rules[role].v == NULL)
		return NULL;
	roles[role] = role;
	*arg = &roles[role];
	return &peer_rules[role];
}

const struct rules *
sync_rules(void **arg)
{
	return remote_peer_rules(ROLE_REMOTE, arg);
}

struct chan *
peer_chan(enum role role)
{
	return role == ROLE_REMOTE ? sync_chan() : child_peer(role);
}

static void
remote_peer_up(enum role role, struct chan *c)
{
	if (role == ROLE_LEDGER)
		register_up(c);
}

static void
edge_closed(struct chan *c, const char *why, bool protocol)
{
	enum role role = *(enum role *)chan_arg(c);

	if (role == ROLE_FRONT)
		links_clear();
	if (role == ROLE_FRONT || role == ROLE_CONTROL)
		sessions_clear(role);
}

static bool
remote_prepare(enum role role, struct priv_opts *opts)
{
	uint8_t hash[TOKEN_HASH];

	/* libcrypto reads its configuration at the first digest: now, while
	 * there is a file system. */
	if (!token_hash(hash, slice_str("warm"))) {
		log_errorx("no SHA-256");
		return false;
	}
	if ((retry = evtimer_new(child_base(), on_retry, NULL)) == NULL ||
	    !sync_init())
		return false;
	return true;
}

static void
on_conf_remote(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_remote *conf = m->body;

	next_limit = conf->message_limit;
	next_budget = conf->assembly_budget;
}

static void
remote_reloaded(void)
{
	/* Below this a runner could not even register. */
	if (next_limit >= V1_REGISTER_MAX)
		conf_message_limit = next_limit;
	if (next_budget >= V1_REGISTER_MAX)
		budget = next_budget;
	log_debug("message limit %llu, budget %llu",
	    (unsigned long long)conf_message_limit,
	    (unsigned long long)budget);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	links_flush();
	sessions_flush();
}

bool
peer_is_full(enum role role)
{
	const struct timeval tv = { .tv_usec = 2000 };

	if (!chan_is_full(peer_chan(role)))
		return false;
	if (!evtimer_pending(retry, NULL))
		evtimer_add(retry, &tv);
	return true;
}

bool
budget_take(size_t n)
{
	if (budget_used > budget || n > budget - budget_used)
		return false;
	budget_used += n;
	return true;
}

void
budget_force(size_t n)
{
	budget_used += n;
}

void
budget_give(size_t n)
{
	if (n > budget_used)
		fatalx("budget: %zu given back of %llu", n,
		    (unsigned long long)budget_used);
	budget_used -= n;
}

static uint64_t
secret(void)
{
	static uint64_t value;

	/* Weak when there is no randomness, never wrong. */
	while (value == 0)
		if (getrandom(&value, sizeof(value), 0) != sizeof(value))
			value = 0x9e3779b97f4a7c15;
	return value;
}

/* The finish of splitmix64. */
uint64_t
number_mix(uint64_t x)
{
	x += secret();
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint64_t
names_key(struct slice user, struct slice name)
{
	const uint8_t	*p = user.p, *q = name.p;
	uint64_t	 h = user.len;
	size_t		 i;

	for (i = 0; i < user.len; i++)
		h = number_mix(h ^ p[i]);
	for (i = 0; i < name.len; i++)
		h = number_mix(h ^ (uint64_t)q[i] << 8);
	return h;
}

void
text_clean(char *dst, size_t max, struct slice s)
{
	const uint8_t	*p = s.p;
	size_t		 left = s.len, bad, n = 0;
	int		 len;

	while (left > 0 && n < max) {
		if ((len = utf8_char(p, left, &bad)) > 0 && *p != '\0') {
			if ((size_t)len > max - n)
				break;
			memcpy(dst + n, p, (size_t)len);
			n += (size_t)len;
		} else {
			dst[n++] = '?';
			len = len == 0 ? (int)bad : len < 0 ? (int)left : 1;
		}
		p += len;
		left -= (size_t)len;
	}
	dst[n] = '\0';
}
