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
 * The ledger's database: one LMDB environment in the working directory,
 * named databases, records of state.def.  Runs in: ledger, alone; opened after
 * exec and after the privileges.  Transactions live inside one handler and
 * never cross a turn of the loop.
 *
 * Errors stick to the transaction: after the first one the other calls do
 * nothing, and store_end says what it was.
 */

#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/msg.h"

enum store_db {
	DB_META, DB_TOKENS, DB_RUNNERS, DB_RUNNER_TOKENS, DB_ACTIVE, DB_BINDS,
	DB_SLOTS, DB_SLOT_USERS, DB_SANDBOXES, DB_JOURNAL, DB_MAX
};

/* A user, a NUL and a session is the longest; LMDB's own bound is 511. */
#define STORE_KEY_MAX	400

struct store_key {
	uint8_t	b[STORE_KEY_MAX];
	size_t	len;
};

struct store_tx {
	void	*txn;
	bool	 write;
	int	 rc;		/* of LMDB or errno; 0 so far */
};

/* Walks the keys that begin with a prefix; survives changes in between. */
struct store_iter {
	struct store_key at;	/* the key last returned */
	size_t		 prefix;
	bool		 started;
};

/* Opens or makes it in ".".  false: why is for the administrator. */
bool		 store_open(char *why, size_t);
void		 store_close(void);
bool		 store_is_open(void);

/* false when it could not begin; store_end is then still to be called. */
bool		 store_begin(struct store_tx *, bool write);
/*
 * Commits a write, durable when this returns XERR_NONE; or gives up, on an
 * earlier error.  *text is a literal for the client.
 */
enum xerr	 store_end(struct store_tx *, const char **text);
void		 store_abort(struct store_tx *);

/*
 * body: struct state_TYPE; its slices borrow from the database until the
 * next change or the end.
 */
bool		 store_get(struct store_tx *, enum store_db,
		    const struct store_key *, uint16_t type, void *body);
/* body may borrow from the database: it is packed before LMDB writes. */
void		 store_put(struct store_tx *, enum store_db,
		    const struct store_key *, uint16_t type, const void *body);
/* What is not there is deleted. */
void		 store_del(struct store_tx *, enum store_db,
		    const struct store_key *);
size_t		 store_count(struct store_tx *, enum store_db);

void		 store_iter_init(struct store_iter *, const struct store_key *);
bool		 store_next(struct store_tx *, enum store_db,
		    struct store_iter *, uint16_t type, void *body);
/* The highest key; false when there is none. */
bool		 store_last(struct store_tx *, enum store_db,
		    struct store_key *);

void		 key_bytes(struct store_key *, const void *, size_t);
void		 key_user(struct store_key *, struct slice user);
/* user NUL rest: with an empty rest the prefix of all of the user's. */
void		 key_pair(struct store_key *, struct slice user,
		    struct slice rest);
/* The two halves of a pair; lent. */
struct slice	 key_first(const struct store_key *);
struct slice	 key_rest(const struct store_key *);

#endif
