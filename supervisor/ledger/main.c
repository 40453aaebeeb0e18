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
 * xbot-ledger: tokens, runners, routing choices, slots, sandboxes.  Runs in:
 * ledger.  Its questions come from all but box and llm; it answers on what
 * is in its database, and pushes the routing table to front and control.
 * Owns: the database, the configured tokens' hashes.
 */

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/ledger/ledger.h"

static void	on_conf(struct chan *, const struct msg *);
static bool	ledger_prepare(enum role, struct priv_opts *);
static bool	ledger_entered(void);
static void	ledger_reloaded(void);
static void	ledger_stop(void);
static const struct rules *ledger_peer_rules(enum role, void **);
static void	ledger_peer_up(enum role, struct chan *);

struct ledger_conf		 ledger_conf;
static struct ledger_conf	 next_conf;	/* until conf_commit */
static uint8_t			 nothing[TOKEN_HASH];	/* SHA-256 of "" */

static const struct rule parent_table[] = {
	{ CTL_CONF_LEDGER, STATES_ALL, on_conf },
};

/* Strangers talk to front: what it may ask is what their requests need. */
#define FROM_BOTH							\
	{ CTL_TOKEN_QUERY, STATES_ALL, on_token_query },		\
	{ CTL_RUNNER_CREATE, STATES_ALL, on_runner_create },		\
	{ CTL_RUNNER_DELETE, STATES_ALL, on_runner_delete },		\
	{ CTL_RUNNER_RENAME, STATES_ALL, on_runner_rename },		\
	{ CTL_RUNNER_TOKEN, STATES_ALL, on_runner_token },		\
	{ CTL_RUNNER_LLM, STATES_ALL, on_runner_llm },			\
	{ CTL_ACTIVE_SET, STATES_ALL, on_active_set },			\
	{ CTL_BIND_SET, STATES_ALL, on_bind_set },			\
	{ CTL_ROUTE_ACK, STATES_ALL, on_route_ack },			\
	{ CTL_EVENT_WANT, STATES_ALL, on_event_want },			\
	{ CTL_EVENT_EXEC, STATES_ALL, on_event_exec }

static const struct rule front_table[] = {
	FROM_BOTH,
};

/* Making service tokens is for administrators. */
static const struct rule control_table[] = {
	FROM_BOTH,
	{ CTL_TOKEN_CREATE, STATES_ALL, on_token_create },
	{ CTL_TOKEN_LIST, STATES_ALL, on_token_list },
	{ CTL_TOKEN_REVOKE, STATES_ALL, on_token_revoke },
};

static const struct rule none_table[] = {
	{ CTL_SLOT_GET, STATES_ALL, on_slot_get },
};

static const struct rule remote_table[] = {
	{ CTL_RUNNER_AUTH, STATES_ALL, on_runner_auth },
	{ CTL_RUNNER_STATUS, STATES_ALL, on_runner_status },
};

static const struct rule docker_table[] = {
	{ CTL_SANDBOX_RECORD, STATES_ALL, on_sandbox_record },
	{ CTL_SANDBOX_FORGET, STATES_ALL, on_sandbox_forget },
	{ CTL_JOURNAL_ENTRY, STATES_ALL, on_journal_entry },
	{ CTL_JOURNAL_END, STATES_ALL, on_journal_end },
};

static const struct rule reaper_table[] = {
	{ CTL_SANDBOX_SCAN, STATES_ALL, on_sandbox_scan },
};

#define TABLE(t)	t, sizeof(t) / sizeof((t)[0])

static const struct edge {
	enum role	 role;
	struct rules	 rules;
	void		(*up)(struct chan *);
} edges[] = {
	{ ROLE_FRONT, { TABLE(front_table), FROM_F, push_closed }, NULL },
	{ ROLE_CONTROL, { TABLE(control_table), FROM_F, push_closed }, NULL },
	{ ROLE_NONE, { TABLE(none_table), FROM_S, NULL }, NULL },
	{ ROLE_DOCKER, { TABLE(docker_table), FROM_D, NULL },
	    sandboxes_docker_up },
	{ ROLE_REAPER, { TABLE(reaper_table), FROM_Z, NULL }, NULL },
	{ ROLE_REMOTE, { TABLE(remote_table), FROM_R, online_remote_closed },
	    online_remote_up },
};

static const struct child_ops ledger_ops = {
	.roles = 1u << ROLE_LEDGER,
	.from_parent = parent_table,
	.nfrom_parent = sizeof(parent_table) / sizeof(parent_table[0]),
	.peer_rules = ledger_peer_rules,
	.peer_up = ledger_peer_up,
	.prepare = ledger_prepare,
	.entered = ledger_entered,
	.reloaded = ledger_reloaded,
	.stop = ledger_stop
};

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &ledger_ops);
}

static const struct edge *
edge_find(enum role role)
{
	size_t i;

	for (i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		if (edges[i].role == role)
			return &edges[i];
	return NULL;
}

static const struct rules *
ledger_peer_rules(enum role role, void **arg)
{
	const struct edge *e = edge_find(role);

	*arg = NULL;
	return e == NULL ? NULL : &e->rules;
}

static void
ledger_peer_up(enum role role, struct chan *c)
{
	const struct edge *e = edge_find(role);

	if (e->up != NULL)
		e->up(c);
	else if (role == ROLE_FRONT || role == ROLE_CONTROL) {
		push_up(role, c);
		events_up(role, c);
	}
}

/* A token of the configuration: only its hash stays in this process. */
static bool
secret_hash(uint8_t hash[TOKEN_HASH], struct slice text)
{
	bool have = token_hash(hash, text);

	/* The frame is the channel's memory and nobody reads it again. */
	if (text.len > 0)
		explicit_bzero((void *)(uintptr_t)text.p, text.len);
	return have;
}

static void
on_conf(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_ledger *conf = m->body;

	memset(&next_conf, 0, sizeof(next_conf));
	slice_copy(next_conf.dir, sizeof(next_conf.dir), conf->dir);
	next_conf.have_api = secret_hash(next_conf.api, conf->api_token);
	next_conf.have_runner = secret_hash(next_conf.runner,
	    conf->runner_token);
	next_conf.docker = conf->docker;
	next_conf.slots = conf->slots;
}

/*
 * The database is opened inside: LMDB then knows it only by its relative
 * name, and its files belong to the user this process becomes.  Here
 * OpenSSL reads what it wants to read, by hashing once.
 */
static bool
ledger_prepare(enum role role, struct priv_opts *opts)
{
	if (next_conf.dir[0] != '/') {
		log_errorx("no state directory was named");
		return false;
	}
	if (SHA256((const unsigned char *)"", 0, nothing) == NULL) {
		log_errorx("libcrypto cannot hash");
		return false;
	}
	ledger_conf = next_conf;
	opts->state = ledger_conf.dir;
	return true;
}

static bool
ledger_entered(void)
{
	char why[512];

	if (!store_open(why, sizeof(why))) {
		log_errorx("%s", why);
		return false;
	}
	if (!tokens_first())
		return false;
	push_start();
	sandboxes_docker_up(child_peer(ROLE_DOCKER));
	return true;
}

static bool
same_hash(bool have_a, const uint8_t *a, bool have_b, const uint8_t *b)
{
	return have_a == have_b &&
	    (!have_a || CRYPTO_memcmp(a, b, TOKEN_HASH) == 0);
}

/* The state directory cannot change: the parent refuses that reload. */
static void
ledger_reloaded(void)
{
	struct ledger_conf	 old = ledger_conf;
	struct ctl_token_flush	 flush;

	ledger_conf = next_conf;
	memcpy(ledger_conf.dir, old.dir, sizeof(old.dir));
	if (!same_hash(old.have_api, old.api, ledger_conf.have_api,
	    ledger_conf.api)) {
		/* The copies may remember either one's answer. */
		flush.hash = (struct slice){ old.api, TOKEN_HASH };
		if (old.have_api)
			push_send(CTL_TOKEN_FLUSH, &flush);
		flush.hash.p = ledger_conf.api;
		if (ledger_conf.have_api)
			push_send(CTL_TOKEN_FLUSH, &flush);
	}
	if (!same_hash(old.have_runner, old.runner, ledger_conf.have_runner,
	    ledger_conf.runner))
		online_global_changed();
}

static void
ledger_stop(void)
{
	store_close();
	child_exit();
}

bool
slice_same(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool
hash_ok(struct slice hash)
{
	return hash.len == TOKEN_HASH &&
	    memcmp(hash.p, nothing, TOKEN_HASH) != 0;
}
