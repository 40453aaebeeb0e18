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
 * Who is asking?  Bearer tokens by their hash, with a cache in front of the
 * ledger.  Runs in: front (control asks peer.c instead).
 * Input is hostile.  Holds hashes, never a token.
 *
 * Found tokens and unknown ones have queues of their own: a flood of invented
 * tokens cannot push out those in use.  Lookups compare hashes, whose
 * timing tells nothing about a token.
 */

#include <sys/queue.h>
#include <openssl/crypto.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/token.h"
#include "supervisor/front/front.h"
#include "supervisor/front/session.h"

#define KNOWN_MAX	10000
#define UNKNOWN_MAX	1000
#define UNKNOWN_MS	2000	/* how long a refusal is remembered */
#define PENDING_MAX	4096	/* questions; more mean a ledger that hangs */
#define WAITERS_MAX	256	/* requests waiting for one token */
#define BUCKETS		4096
#define TOKEN_MAX	512	/* bytes of a header's token */

struct waiter {
	STAILQ_ENTRY(waiter)	 entry;
	uint64_t		 req;
	void			(*done)(struct req *);
};

enum entry_state { ENTRY_PENDING, ENTRY_KNOWN, ENTRY_UNKNOWN, ENTRY_STATES };

struct entry {
	TAILQ_ENTRY(entry)	 lru;
	struct entry		*next;		/* in its bucket */
	uint8_t			 hash[TOKEN_HASH];
	enum entry_state	 state;
	uint64_t		 until_ms;	/* of an unknown one */
	enum token_kind		 kind;
	char			 user[ID_USER_MAX + 1];
	STAILQ_HEAD(, waiter)	 waiters;
	unsigned int		 nwaiters;
};
TAILQ_HEAD(entries, entry);

static struct entry	*buckets[BUCKETS];
static struct entries	 queues[ENTRY_STATES];
static size_t		 counts[ENTRY_STATES];

static bool		 bearer(struct req *, struct slice *);
static struct entry	*entry_find(const uint8_t *);
static struct entry	*entry_add(const uint8_t *);
static void		 entry_free(struct entry *);
static void		 entry_move(struct entry *, enum entry_state);
static void		 entry_wait(struct entry *, struct req *,
			    void (*)(struct req *));
static void		 refuse(struct req *);
static void		 decide(const struct entry *, struct req *,
			    void (*)(struct req *));

bool
auth_warm_up(void)
{
	uint8_t	 hash[TOKEN_HASH];
	int	 i;

	for (i = 0; i < ENTRY_STATES; i++)
		TAILQ_INIT(&queues[i]);
	/* OpenSSL loads its algorithms now, while there is a file system. */
	return token_hash(hash, slice_str("warm"));
}

static void
refuse(struct req *r)
{
	struct http_req *h = req_http(r);

	if (h != NULL)
		http_reply_header(h, "WWW-Authenticate", "Bearer");
	req_error(r, XERR_EAUTH, "a valid token is needed");
}

/* The token of the Authorization header, or where Anthropic's clients put it;
 * false: none, or no Bearer. */
static bool
bearer(struct req *r, struct slice *token)
{
	struct http_req	*h = req_http(r);
	const char	*value;

	if (h == NULL)
		return false;
	if ((value = http_req_header(h, "Authorization")) != NULL) {
		if (strncasecmp(value, "Bearer ", 7) != 0)
			return false;
		value += 7;
		value += strspn(value, " ");
	} else if (!llm_is_route(r->route) ||
	    (value = http_req_header(h, "X-Api-Key")) == NULL)
		return false;
	*token = slice_str(value);
	return token->len > 0 && token->len <= TOKEN_MAX;
}

static struct entry *
entry_find(const uint8_t *hash)
{
	struct entry	*e;
	uint32_t	 b;

	memcpy(&b, hash, sizeof(b));
	for (e = buckets[b % BUCKETS]; e != NULL; e = e->next)
		if (CRYPTO_memcmp(e->hash, hash, TOKEN_HASH) == 0)
			return e;
	return NULL;
}

static struct entry *
entry_add(const uint8_t *hash)
{
	struct entry	*e;
	uint32_t	 b;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return NULL;
	memcpy(e->hash, hash, TOKEN_HASH);
	memcpy(&b, hash, sizeof(b));
	e->next = buckets[b % BUCKETS];
	buckets[b % BUCKETS] = e;
	STAILQ_INIT(&e->waiters);
	e->state = ENTRY_PENDING;
	TAILQ_INSERT_HEAD(&queues[ENTRY_PENDING], e, lru);
	counts[ENTRY_PENDING]++;
	return e;
}

static void
entry_free(struct entry *e)
{
	struct entry	**at;
	struct waiter	 *w;
	uint32_t	  b;

	memcpy(&b, e->hash, sizeof(b));
	for (at = &buckets[b % BUCKETS]; *at != e; )
		at = &(*at)->next;
	*at = e->next;
	TAILQ_REMOVE(&queues[e->state], e, lru);
	counts[e->state]--;
	while ((w = STAILQ_FIRST(&e->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&e->waiters, entry);
		free(w);
	}
	free(e);
}

/* To the head of that queue; its last one goes when the queue is full. */
static void
entry_move(struct entry *e, enum entry_state state)
{
	static const size_t max[ENTRY_STATES] = {
		[ENTRY_PENDING] = SIZE_MAX,
		[ENTRY_KNOWN] = KNOWN_MAX,
		[ENTRY_UNKNOWN] = UNKNOWN_MAX
	};

	TAILQ_REMOVE(&queues[e->state], e, lru);
	counts[e->state]--;
	e->state = state;
	TAILQ_INSERT_HEAD(&queues[state], e, lru);
	if (++counts[state] > max[state])
		entry_free(TAILQ_LAST(&queues[state], entries));
}

static void
decide(const struct entry *e, struct req *r, void (*done)(struct req *))
{
	if (e->state != ENTRY_KNOWN) {
		refuse(r);
		return;
	}
	r->service = e->kind == TOKEN_SERVICE;
	if (!r->service && (r->route->right == RIGHT_SERVICE ||
	    strcmp(e->user, r->user) != 0)) {
		req_error(r, XERR_EPERM, r->route->right == RIGHT_SERVICE ?
		    "a service token is needed" :
		    "this token belongs to another user");
		return;
	}
	done(r);
}

static void
entry_wait(struct entry *e, struct req *r, void (*done)(struct req *))
{
	struct waiter *w;

	if (e->nwaiters == WAITERS_MAX ||
	    (w = malloc(sizeof(*w))) == NULL) {
		req_error(r, XERR_EBUSY, "too many requests wait for this "
		    "token");
		return;
	}
	w->req = r->serial;
	w->done = done;
	e->nwaiters++;
	STAILQ_INSERT_TAIL(&e->waiters, w, entry);
}

void
auth_check(struct req *r, void (*done)(struct req *))
{
	struct ctl_token_query	 q;
	struct slice		 token;
	struct entry		*e;
	uint8_t			 hash[TOKEN_HASH];

	if (!bearer(r, &token) || !token_hash(hash, token)) {
		refuse(r);
		return;
	}
	if ((e = entry_find(hash)) != NULL && e->state == ENTRY_UNKNOWN &&
	    clock_ms() >= e->until_ms) {
		entry_free(e);
		e = NULL;
	}
	if (e != NULL && e->state == ENTRY_PENDING) {
		entry_wait(e, r, done);
		return;
	}
	if (e != NULL) {
		entry_move(e, e->state);
		decide(e, r, done);
		return;
	}
	if (counts[ENTRY_PENDING] >= PENDING_MAX ||
	    (e = entry_add(hash)) == NULL) {
		req_error(r, XERR_EBUSY, "too many tokens to look up");
		return;
	}
	q.hash = (struct slice){ hash, TOKEN_HASH };
	if (!chan_send(child_peer(ROLE_LEDGER), CTL_TOKEN_QUERY,
	    serial_next(), &q)) {
		entry_free(e);
		req_error(r, XERR_EOFFLINE, "the ledger is not there");
		return;
	}
	entry_wait(e, r, done);
}

/* Whoever waits will get no answer. */
static void
entry_fail(struct entry *e, const char *why)
{
	struct waiter	*w;
	struct req	*r;

	while ((w = STAILQ_FIRST(&e->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&e->waiters, entry);
		if ((r = req_find(w->req)) != NULL && !r->answered)
			req_error(r, XERR_EOFFLINE, "%s", why);
		free(w);
	}
	entry_free(e);
}

void
auth_on_answer(struct chan *c, const struct msg *m)
{
	const struct ctl_token_answer	*a = m->body;
	STAILQ_HEAD(, waiter)		 waiters;
	struct entry			*e, found;
	struct waiter			*w;
	struct req			*r;

	if (a->hash.len != TOKEN_HASH || (e = entry_find(a->hash.p)) == NULL ||
	    e->state != ENTRY_PENDING)
		return;
	if (a->kind == TOKEN_FAILED) {
		entry_fail(e, "tokens cannot be looked up now");
		return;
	}
	STAILQ_INIT(&waiters);
	STAILQ_CONCAT(&waiters, &e->waiters);
	e->nwaiters = 0;
	if ((a->kind == TOKEN_SERVICE || a->kind == TOKEN_USER) &&
	    slice_copy(e->user, sizeof(e->user), a->user)) {
		e->kind = a->kind;
		entry_move(e, ENTRY_KNOWN);
	} else {
		e->until_ms = clock_ms() + UNKNOWN_MS;
		entry_move(e, ENTRY_UNKNOWN);
	}
	/* A handler may do anything, so it gets a copy. */
	found = *e;
	while ((w = STAILQ_FIRST(&waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&waiters, entry);
		if ((r = req_find(w->req)) != NULL && !r->answered)
			decide(&found, r, w->done);
		free(w);
	}
}

/* Revoked; or made, and remembered as unknown. */
void
auth_on_flush(struct chan *c, const struct msg *m)
{
	const struct ctl_token_flush	*f = m->body;
	struct entry			*e;

	if (f->hash.len == TOKEN_HASH &&
	    (e = entry_find(f->hash.p)) != NULL && e->state != ENTRY_PENDING)
		entry_free(e);
	(void)chan_send(c, CTL_ROUTE_ACK, m->serial, NULL);
}

/* This ledger may have revoked what the last one said. */
void
auth_ledger_up(void)
{
	struct entry	*e;
	int		 i;

	for (i = ENTRY_KNOWN; i < ENTRY_STATES; i++)
		while ((e = TAILQ_FIRST(&queues[i])) != NULL)
			entry_free(e);
}

/* What is known goes on to count. */
void
auth_ledger_down(void)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&queues[ENTRY_PENDING])) != NULL)
		entry_fail(e, "the ledger went away");
}
