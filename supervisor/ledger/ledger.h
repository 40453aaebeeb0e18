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
 * What the ledger's files share.  Runs in: ledger.  Front and control are
 * trusted to be ours, not to be intact: every field is checked again here.
 */

#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/chan.h"
#include "base/ids.h"
#include "base/policy.h"
#include "base/token.h"
#include "proto/ctl_msg.h"
#include "supervisor/ledger/state_msg.h"
#include "supervisor/ledger/store.h"

/* conf_ledger, with hashes in the place of the secrets. */
struct ledger_conf {
	char	 dir[4096 + 1];
	bool	 have_api;		/* the configured service token */
	bool	 have_runner;		/* the global runner token */
	uint8_t	 api[TOKEN_HASH];
	uint8_t	 runner[TOKEN_HASH];
	bool	 docker;
	uint32_t slots;
};

/* --- main.c --- */

extern struct ledger_conf ledger_conf;

bool	 slice_same(struct slice, struct slice);
/* 32 bytes, and not the hash of nothing. */
bool	 hash_ok(struct slice);

/* --- push.c: the copies of the routing table, and who waits for them --- */

void	 push_up(enum role, struct chan *);
void	 push_closed(struct chan *, const char *, bool);
/* The store is open: the copies that came early get theirs. */
void	 push_start(void);
/* To every copy. */
void	 push_send(uint16_t type, const void *body);
/* Each sends what is stored now, also that there is nothing. */
void	 push_runner(struct slice user, struct slice name);
void	 push_active(struct slice user);
void	 push_bind(struct slice user, struct slice session);
/* ledger_done, once every copy has acknowledged all that was sent. */
void	 push_done(struct chan *asker, uint64_t serial);
/* ledger_done at once. */
void	 push_refuse(struct chan *asker, uint64_t serial, enum xerr,
	    const char *, ...) __attribute__((format(printf, 4, 5)));
void	 on_route_ack(struct chan *, const struct msg *);

/* A change on behalf of a question: begin, work on tx, commit or refuse. */
struct change {
	struct store_tx	 tx;
	struct chan	*asker;
	uint64_t	 serial;
};

/* false: refused already. */
bool	 change_begin(struct change *, struct chan *, const struct msg *);
bool	 change_commit(struct change *);
/* The text is prefixed by nothing and goes to the client. */
void	 change_refuse(struct change *, enum xerr, const char *, ...)
	    __attribute__((format(printf, 3, 4)));

/* --- tokens.c --- */

/* The first start's service token. */
bool	 tokens_first(void);
void	 on_token_query(struct chan *, const struct msg *);
void	 on_token_create(struct chan *, const struct msg *);
void	 on_token_list(struct chan *, const struct msg *);
void	 on_token_revoke(struct chan *, const struct msg *);

/* --- runners.c: records, the active one, bindings --- */

bool	 provider_ok(struct slice);
/* Key of the record, and the record; false: none, or tx failed. */
bool	 runner_get(struct store_tx *, struct store_key *, struct slice user,
	    struct slice name, struct state_runner *);
/* A creation time that no other runner of the user has. */
uint64_t runner_created(struct store_tx *, struct slice user);
void	 on_runner_create(struct chan *, const struct msg *);
void	 on_runner_delete(struct chan *, const struct msg *);
void	 on_runner_rename(struct chan *, const struct msg *);
void	 on_runner_token(struct chan *, const struct msg *);
void	 on_runner_llm(struct chan *, const struct msg *);

/* --- choice.c: which runner a user, or a session, has chosen --- */

/*
 * A runner went: its choosers get the next one (active), or none (bound
 * sessions).  After the commit choice_push tells; the buf has the sessions.
 */
void	 choice_gone(struct store_tx *, struct slice user, struct slice name,
	    struct buf *sessions);
void	 choice_renamed(struct store_tx *, struct slice user,
	    struct slice name, struct slice new_name, struct buf *sessions);
void	 choice_push(struct slice user, const struct buf *sessions);
/* The first runner of a user becomes the active one. */
void	 choice_first(struct store_tx *, struct slice user, struct slice name);
void	 on_active_set(struct chan *, const struct msg *);
void	 on_bind_set(struct chan *, const struct msg *);

/* --- online.c: who is connected; in memory only --- */

struct online {
	char		 user[ID_USER_MAX + 1];
	char		 name[ID_RUNNER_MAX + 1];
	char		*workspace;	/* as the runner says */
	char		*shell;
	bool		 v2;
	char		 llm[64 + 1];	/* provider; empty: it has none */
};

/* NULL when not connected; lent. */
const struct online *online_find(struct slice user, struct slice name);
void	 online_renamed(struct slice user, struct slice name,
	    struct slice new_name);
/* Forget it and have remote close its connection. */
void	 online_kick(struct slice user, struct slice name, const char *why);
/* The global token changed: those who may have come with it go. */
void	 online_global_changed(void);
void	 online_remote_up(struct chan *);
void	 online_remote_closed(struct chan *, const char *, bool);
void	 on_runner_auth(struct chan *, const struct msg *);
void	 on_runner_status(struct chan *, const struct msg *);

/* --- slots.c --- */

void	 on_slot_get(struct chan *, const struct msg *);

/* --- sandboxes.c, journal.c: docker's records, and its journal --- */

/*
 * It gets all of them, and then is told that these were all; nothing when it
 * is NULL or the store is not open yet.
 */
void	 sandboxes_docker_up(struct chan *);
/* Ends tx, and docker learns how. */
void	 sandbox_stored(struct chan *, uint64_t serial, struct store_tx *);
/* false: not all of it. */
bool	 journal_send(struct chan *, struct store_tx *);
void	 on_sandbox_record(struct chan *, const struct msg *);
void	 on_sandbox_forget(struct chan *, const struct msg *);
void	 on_journal_entry(struct chan *, const struct msg *);
void	 on_journal_end(struct chan *, const struct msg *);
void	 on_sandbox_scan(struct chan *, const struct msg *);

/* events.c */
void	 on_event_want(struct chan *, const struct msg *);
void	 on_event_exec(struct chan *, const struct msg *);
void	 events_up(enum role, struct chan *);

#endif
