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
 * Tokens of clients: look-up, making, listing, revoking.  Runs in: ledger.
 * Sees hashes; front keeps the texts.  The one token whose text is made here
 * is the first start's.
 */

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/ledger/ledger.h"

/* A list of them is one burst of messages: 4 MB at this bound. */
#define TOKENS_MAX	10000

#define TOKEN_FILE	"service.token"
#define TOKEN_TEMP	"service.token.new"
#define CONF_TOKEN_NAME	"configuration"

#define ID_BYTES	8	/* of the hash; the id shows them in hex */

static bool	first_make(void);

static bool
is_conf_token(struct slice hash)
{
	return ledger_conf.have_api && hash.len == TOKEN_HASH &&
	    CRYPTO_memcmp(hash.p, ledger_conf.api, TOKEN_HASH) == 0;
}

void
on_token_query(struct chan *c, const struct msg *m)
{
	const struct ctl_token_query	*q = m->body;
	struct ctl_token_answer		 a = { .hash = q->hash };
	struct state_token		 t = { 0 };
	struct store_key		 key;
	struct store_tx			 tx;
	const char			*text;

	store_begin(&tx, false);
	if (!hash_ok(q->hash))
		a.kind = TOKEN_UNKNOWN;
	else if (is_conf_token(q->hash)) {
		a.kind = TOKEN_SERVICE;
		a.name = slice_str(CONF_TOKEN_NAME);
	} else {
		key_bytes(&key, q->hash.p, q->hash.len);
		store_get(&tx, DB_TOKENS, &key, STATE_TOKEN, &t);
		a.kind = t.kind;
		a.user = t.user;
		a.name = t.name;
	}
	/* Not knowing is not the same as there being none. */
	if (tx.rc != 0)
		a.kind = TOKEN_FAILED;
	chan_send(c, CTL_TOKEN_ANSWER, m->serial, &a);
	if (store_end(&tx, &text) != XERR_NONE)
		log_warnx("a token could not be looked up: %s", text);
}

/* The record of an id, with its key. */
static bool
token_by_id(struct store_tx *tx, const uint8_t id[ID_BYTES],
    struct store_key *key, struct state_token *t)
{
	struct store_iter	 it;
	struct store_key	 prefix;

	key_bytes(&prefix, id, ID_BYTES);
	store_iter_init(&it, &prefix);
	if (!store_next(tx, DB_TOKENS, &it, STATE_TOKEN, t))
		return false;
	*key = it.at;
	return true;
}

static bool
token_same(const struct state_token *t, const struct ctl_token_create *q)
{
	return t->kind == q->kind && t->user.len == q->user.len &&
	    memcmp(t->user.p, q->user.p, q->user.len) == 0;
}

static bool
token_fits(const struct ctl_token_create *q)
{
	if (!hash_ok(q->hash))
		return false;
	if (q->kind == TOKEN_USER)
		return id_user_ok(q->user);
	return q->kind == TOKEN_SERVICE && q->user.len == 0;
}

/* Names are labels: several tokens may have the same. */
void
on_token_create(struct chan *c, const struct msg *m)
{
	const struct ctl_token_create	*q = m->body;
	struct state_token		 old, t = { q->kind, q->user, q->name,
					    wall_ms() };
	struct store_key		 key;
	struct change			 ch;

	if (!token_fits(q)) {
		push_refuse(c, m->serial, XERR_EINVAL, "no such kind of token, "
		    "or no such user id");
		return;
	}
	if (!change_begin(&ch, c, m))
		return;
	if (token_by_id(&ch.tx, q->hash.p, &key, &old)) {
		/* The same again is a repeated question. */
		if (memcmp(key.b, q->hash.p, TOKEN_HASH) != 0 ||
		    !token_same(&old, q)) {
			change_refuse(&ch, XERR_EEXIST, "this token exists");
			return;
		}
	} else if (store_count(&ch.tx, DB_TOKENS) >= TOKENS_MAX) {
		change_refuse(&ch, XERR_EBUSY, "there are %d tokens; revoke "
		    "some", TOKENS_MAX);
		return;
	} else {
		key_bytes(&key, q->hash.p, q->hash.len);
		store_put(&ch.tx, DB_TOKENS, &key, STATE_TOKEN, &t);
	}
	if (change_commit(&ch))
		push_done(c, m->serial);
}

static void
row_send(struct chan *c, uint64_t serial, const uint8_t *hash,
    const struct state_token *t)
{
	struct ctl_token_row	 row = { .kind = t->kind, .user = t->user,
				    .name = t->name, .created = t->created };
	char			 id[2 * ID_BYTES + 1];
	int			 i;

	for (i = 0; i < ID_BYTES; i++)
		snprintf(id + 2 * i, 3, "%02x", hash[i]);
	row.id = slice_str(id);
	chan_send(c, CTL_TOKEN_ROW, serial, &row);
}

void
on_token_list(struct chan *c, const struct msg *m)
{
	struct state_token	 t = { .kind = TOKEN_SERVICE,
				    .name = slice_str(CONF_TOKEN_NAME) };
	struct store_iter	 it;
	struct store_tx		 tx;
	const char		*text;
	enum xerr		 code;

	store_begin(&tx, false);
	store_iter_init(&it, NULL);
	if (ledger_conf.have_api)
		row_send(c, m->serial, ledger_conf.api, &t);
	while (store_next(&tx, DB_TOKENS, &it, STATE_TOKEN, &t))
		row_send(c, m->serial, it.at.b, &t);
	code = store_end(&tx, &text);
	push_refuse(c, m->serial, code, "%s", text);
}

static bool
id_parse(uint8_t id[ID_BYTES], struct slice text)
{
	static const char	 hex[] = "0123456789abcdef";
	const char		*p = text.p, *hi, *lo;
	size_t			 i;

	if (text.len != 2 * ID_BYTES)
		return false;
	for (i = 0; i < ID_BYTES; i++) {
		hi = memchr(hex, p[2 * i], 16);
		lo = memchr(hex, p[2 * i + 1], 16);
		if (hi == NULL || lo == NULL)
			return false;
		id[i] = (uint8_t)((hi - hex) << 4 | (lo - hex));
	}
	return true;
}

/* Answered when it is off the disk and out of every copy's cache. */
void
on_token_revoke(struct chan *c, const struct msg *m)
{
	const struct ctl_token_revoke	*q = m->body;
	struct ctl_token_flush		 flush;
	struct state_token		 t;
	struct store_key		 key;
	struct change			 ch;
	uint8_t				 id[ID_BYTES];

	if (!id_parse(id, q->id)) {
		push_refuse(c, m->serial, XERR_EINVAL, "a token's id is 16 "
		    "lower-case hex digits");
		return;
	}
	if (!change_begin(&ch, c, m))
		return;
	if (!token_by_id(&ch.tx, id, &key, &t)) {
		if (ledger_conf.have_api &&
		    memcmp(id, ledger_conf.api, ID_BYTES) == 0)
			change_refuse(&ch, XERR_EPERM, "this token stands in "
			    "the configuration");
		else
			change_refuse(&ch, XERR_ENOENT, "no such token");
		return;
	}
	store_del(&ch.tx, DB_TOKENS, &key);
	if (!change_commit(&ch))
		return;
	flush.hash = (struct slice){ key.b, key.len };
	push_send(CTL_TOKEN_FLUSH, &flush);
	push_done(c, m->serial);
}

bool
tokens_first(void)
{
	struct state_token	 t;
	struct store_iter	 it;
	struct store_tx		 tx;
	const char		*text;
	bool			 found = ledger_conf.have_api;

	store_begin(&tx, false);
	store_iter_init(&it, NULL);
	while (!found && store_next(&tx, DB_TOKENS, &it, STATE_TOKEN, &t))
		found = t.kind == TOKEN_SERVICE;
	if (store_end(&tx, &text) != XERR_NONE)
		return false;
	return found || first_make();
}

/* Whole or not at all, and on disk under its name before it counts. */
static bool
file_write(const char *text)
{
	int	fd, dir;
	bool	ok = false;

	unlink(TOKEN_TEMP);
	fd = open(TOKEN_TEMP, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd == -1)
		return false;
	if (dprintf(fd, "%s\n", text) == TOKEN_LEN + 1 && fsync(fd) == 0)
		ok = rename(TOKEN_TEMP, TOKEN_FILE) == 0;
	close(fd);
	if (!ok)
		return false;
	if ((dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return false;
	ok = fsync(dir) == 0;
	close(dir);
	return ok;
}

/*
 * The file first: a crash in between leaves a file whose token is unknown,
 * and the next start writes another one.  The other way round there would be
 * a token that nobody has.
 */
static bool
first_make(void)
{
	struct state_token	 t = { TOKEN_SERVICE, slice_str(""),
				    slice_str("first start"), wall_ms() };
	struct ctl_first_token	 first;
	struct store_key	 key = { .len = TOKEN_HASH };
	struct store_tx		 tx;
	char			 text[TOKEN_LEN + 1];
	char			 path[sizeof(ledger_conf.dir) +
				    sizeof(TOKEN_FILE) + 1];
	const char		*why;
	bool			 ok = false;

	if (!token_make(text) || !token_hash(key.b, slice_str(text)))
		log_errorx("no random bytes for a token");
	else if (!file_write(text))
		log_error("%s in the state directory", TOKEN_FILE);
	else {
		store_begin(&tx, true);
		store_put(&tx, DB_TOKENS, &key, STATE_TOKEN, &t);
		ok = store_end(&tx, &why) == XERR_NONE;
	}
	if (ok) {
		snprintf(path, sizeof(path), "%s/%s", ledger_conf.dir,
		    TOKEN_FILE);
		first.file = slice_str(path);
		first.token = slice_str(text);
		if (!chan_send(child_parent(), CTL_FIRST_TOKEN, 0, &first))
			log_info("a service token is in %s", path);
	}
	explicit_bzero(text, sizeof(text));
	return ok;
}
