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
 * The ledger's database on LMDB.  Runs in: ledger.  Trusts the disk as far as
 * LMDB does, and checks every record as if it came from outside.
 *
 * Each commit is a full sync: an answer promises that the change is on disk,
 * a revocation above all, and MDB_NOMETASYNC may forget the last one.  A
 * write costs a quarter of a millisecond and happens when somebody
 * manages something, never for a command.
 */

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/log.h"
#include "proto/frame.h"
#include "supervisor/ledger/state_msg.h"
#include "supervisor/ledger/store.h"

#define FORMAT_VERSION	1
#define FORMAT_MAKER	"xbot-ledger"

/*
 * Room in the address space, not on disk: the file grows as needed.  A fixed
 * bound, because growing the map is not worth its pitfalls: 256 MiB are about a
 * quarter of a million runners, and it is the most that a client with a service
 * token can make us write.  Full means EBUSY until something is deleted.
 */
#define MAP_SIZE	(256UL * 1024 * 1024)
#define DISK_LEFT	(1024UL * 1024)	/* more than a commit writes */

static const char *const	 db_names[DB_MAX] = {
	[DB_META] = "meta", [DB_TOKENS] = "tokens", [DB_RUNNERS] = "runners",
	[DB_RUNNER_TOKENS] = "runner_tokens", [DB_ACTIVE] = "active",
	[DB_BINDS] = "binds", [DB_SLOTS] = "slots",
	[DB_SLOT_USERS] = "slot_users", [DB_SANDBOXES] = "sandboxes",
	[DB_JOURNAL] = "journal"
};

static MDB_env			*env;
static MDB_dbi			 dbis[DB_MAX];
static struct msg_reader	*reader;
static struct buf		 packed;
static int			 lock_fd = -1;

static bool	store_lock(char *, size_t);
static bool	store_whole(char *, size_t);
static int	store_check(MDB_txn *, char *, size_t);
static bool	record_read(const MDB_val *, uint16_t, void *);
static void	store_fail(struct store_tx *, int);

bool
store_open(char *why, size_t len)
{
	MDB_txn		*txn = NULL;
	int		 rc, i;

	if (!store_lock(why, len))
		return false;
	*why = '\0';
	if ((reader = msg_reader_new()) == NULL) {
		rc = ENOMEM;
		goto fail;
	}
	if ((rc = mdb_env_create(&env)) != 0 ||
	    (rc = mdb_env_set_mapsize(env, MAP_SIZE)) != 0 ||
	    (rc = mdb_env_set_maxdbs(env, DB_MAX)) != 0 ||
	    (rc = mdb_env_open(env, ".", 0, 0600)) != 0)
		goto fail;
	if (!store_whole(why, len))
		goto fail;
	if ((rc = mdb_txn_begin(env, NULL, 0, &txn)) != 0 ||
	    (rc = store_check(txn, why, len)) != 0)
		goto fail;
	for (i = 0; i < DB_MAX; i++)
		if ((rc = mdb_dbi_open(txn, db_names[i], MDB_CREATE,
		    &dbis[i])) != 0)
			goto fail;
	rc = mdb_txn_commit(txn);
	txn = NULL;
	if (rc == 0)
		return true;
fail:
	if (txn != NULL)
		mdb_txn_abort(txn);
	if (*why == '\0')
		snprintf(why, len, "data.mdb in the state directory: %s; it "
		    "was left as it is", mdb_strerror(rc));
	store_close();
	return false;
}

void
store_close(void)
{
	if (env != NULL)
		mdb_env_close(env);
	env = NULL;
	msg_reader_free(reader);
	reader = NULL;
	buf_clear(&packed);
	if (lock_fd != -1)
		close(lock_fd);
	lock_fd = -1;
}

bool
store_is_open(void)
{
	return env != NULL;
}

/*
 * LMDB would let a second supervisor share the files, but who is connected
 * is only known to one ledger.  The kernel frees the lock with the process.
 */
static bool
store_lock(char *why, size_t len)
{
	lock_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock_fd != -1 && flock(lock_fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (lock_fd != -1 && errno == EWOULDBLOCK)
		snprintf(why, len, "the state directory is in use by another "
		    "supervisor");
	else
		snprintf(why, len, "state directory: %s", strerror(errno));
	if (lock_fd != -1)
		close(lock_fd);
	lock_fd = -1;
	return false;
}

/* LMDB does not look; a page beyond the end would be a SIGBUS. */
static bool
store_whole(char *why, size_t len)
{
	MDB_envinfo	 info;
	MDB_stat	 st;
	struct stat	 sb;

	if (mdb_env_info(env, &info) == 0 && mdb_env_stat(env, &st) == 0 &&
	    stat("data.mdb", &sb) == 0 &&
	    (uint64_t)sb.st_size / st.ms_psize > info.me_last_pgno)
		return true;
	snprintf(why, len, "data.mdb in the state directory is cut short: put "
	    "a copy in its place, or move it away to begin anew; it was left "
	    "as it is");
	return false;
}

/* Is it ours, and of a version we know?  Marks a new one. */
static int
store_check(MDB_txn *txn, char *why, size_t len)
{
	struct state_format	 format = { FORMAT_VERSION,
				    slice_str(FORMAT_MAKER) };
	MDB_val			 key = { 6, (void *)(uintptr_t)"format" }, val;
	MDB_dbi			 root, meta;
	MDB_stat		 st;
	bool			 found;
	int			 rc;

	if ((rc = mdb_dbi_open(txn, NULL, 0, &root)) != 0 ||
	    (rc = mdb_stat(txn, root, &st)) != 0)
		return rc;
	if (st.ms_entries == 0) {
		buf_clear(&packed);
		if (msg_encode(&state_schema, &packed, STATE_FORMAT, 0,
		    &format) == -1)
			return errno;
		val.mv_data = buf_data(&packed) + 4;
		val.mv_size = packed.len - 4;
		if ((rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta)) != 0)
			return rc;
		return mdb_put(txn, meta, &key, &val, 0);
	}
	found = mdb_dbi_open(txn, "meta", 0, &meta) == 0 &&
	    mdb_get(txn, meta, &key, &val) == 0 &&
	    record_read(&val, STATE_FORMAT, &format) &&
	    slice_is(format.maker, FORMAT_MAKER);
	if (found && format.version == FORMAT_VERSION)
		return 0;
	if (found)
		snprintf(why, len, "data.mdb in the state directory has format "
		    "%u, this version reads %u; it was left as it is",
		    format.version, FORMAT_VERSION);
	else
		snprintf(why, len, "data.mdb in the state directory is not a "
		    "database of xbot-ledger; it was left as it is");
	return EINVAL;
}

bool
store_begin(struct store_tx *tx, bool write)
{
	MDB_txn *txn = NULL;

	*tx = (struct store_tx){ .write = write };
	/* Questions may come before the parent said go. */
	tx->rc = env == NULL ? ENOTCONN :
	    mdb_txn_begin(env, NULL, write ? 0 : MDB_RDONLY, &txn);
	tx->txn = txn;
	return tx->rc == 0;
}

static void
store_fail(struct store_tx *tx, int rc)
{
	if (tx->rc == 0)
		tx->rc = rc;
}

void
store_abort(struct store_tx *tx)
{
	if (tx->txn != NULL)
		mdb_txn_abort(tx->txn);
	tx->txn = NULL;
}

/* To LMDB a write that ends early is an error of the disk. */
static bool
disk_full(void)
{
	struct statvfs v;

	return statvfs(".", &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize <
	    DISK_LEFT;
}

enum xerr
store_end(struct store_tx *tx, const char **text)
{
	*text = "";
	if (tx->rc == 0 && tx->write) {
		tx->rc = mdb_txn_commit(tx->txn);
		tx->txn = NULL;		/* also when it failed */
	}
	store_abort(tx);
	if (tx->rc == EIO && disk_full())
		tx->rc = ENOSPC;
	switch (tx->rc) {
	case 0:
		return XERR_NONE;
	case ENOTCONN:
		*text = "the ledger is starting";
		return XERR_EOFFLINE;
	case MDB_MAP_FULL:
		*text = "the ledger's database is full";
		return XERR_EBUSY;
	case ENOSPC:
	case EDQUOT:
		*text = "the ledger's disk is full";
		return XERR_EBUSY;
	case MDB_PANIC:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_BAD_TXN:
		/* Only a new process may look at it again. */
		fatalx("database: %s", mdb_strerror(tx->rc));
	}
	log_errorx("database: %s", mdb_strerror(tx->rc));
	*text = "the ledger's database failed";
	return XERR_EIO;
}

static bool
record_read(const MDB_val *val, uint16_t type, void *body)
{
	struct msg	 m;
	const char	*why;

	if (msg_decode(reader, &state_schema, FROM_L, val->mv_data,
	    val->mv_size, &m, &why) == -1 || m.type != type)
		return false;
	memcpy(body, m.body, m.desc->size);
	return true;
}

static MDB_val
key_val(const struct store_key *k)
{
	return (MDB_val){ k->len, (void *)(uintptr_t)k->b };
}

bool
store_get(struct store_tx *tx, enum store_db db, const struct store_key *k,
    uint16_t type, void *body)
{
	MDB_val	 key = key_val(k), val;
	int	 rc;

	if (tx->rc != 0)
		return false;
	if ((rc = mdb_get(tx->txn, dbis[db], &key, &val)) == MDB_NOTFOUND)
		return false;
	if (rc == 0 && !record_read(&val, type, body))
		rc = EBADMSG;
	if (rc != 0)
		store_fail(tx, rc);
	return rc == 0;
}

void
store_put(struct store_tx *tx, enum store_db db, const struct store_key *k,
    uint16_t type, const void *body)
{
	MDB_val	 key = key_val(k), val;

	if (tx->rc != 0)
		return;
	buf_drain(&packed, packed.len);
	if (msg_encode(&state_schema, &packed, type, 0, body) == -1) {
		store_fail(tx, errno);
		return;
	}
	/* The frame without its length: LMDB knows it. */
	val.mv_data = buf_data(&packed) + 4;
	val.mv_size = packed.len - 4;
	store_fail(tx, mdb_put(tx->txn, dbis[db], &key, &val, 0));
}

void
store_del(struct store_tx *tx, enum store_db db, const struct store_key *k)
{
	MDB_val	 key = key_val(k);
	int	 rc;

	if (tx->rc != 0)
		return;
	if ((rc = mdb_del(tx->txn, dbis[db], &key, NULL)) != MDB_NOTFOUND)
		store_fail(tx, rc);
}

size_t
store_count(struct store_tx *tx, enum store_db db)
{
	MDB_stat st = { 0 };

	if (tx->rc == 0)
		store_fail(tx, mdb_stat(tx->txn, dbis[db], &st));
	return st.ms_entries;
}

void
store_iter_init(struct store_iter *it, const struct store_key *prefix)
{
	it->at.len = 0;
	if (prefix != NULL)
		it->at = *prefix;
	it->prefix = it->at.len;
	it->started = false;
}

/* One step of the cursor; the key is copied into the iterator. */
static int
iter_step(struct store_iter *it, MDB_cursor *cur, MDB_val *val)
{
	MDB_val	 key = key_val(&it->at);
	int	 rc;

	/* LMDB takes no empty key: the first of all then. */
	rc = mdb_cursor_get(cur, &key, val,
	    it->at.len == 0 ? MDB_FIRST : MDB_SET_RANGE);
	if (rc == 0 && it->started && key.mv_size == it->at.len &&
	    memcmp(key.mv_data, it->at.b, it->at.len) == 0)
		rc = mdb_cursor_get(cur, &key, val, MDB_NEXT);
	if (rc != 0)
		return rc;
	if (key.mv_size < it->prefix || key.mv_size > STORE_KEY_MAX ||
	    memcmp(key.mv_data, it->at.b, it->prefix) != 0)
		return MDB_NOTFOUND;
	key_bytes(&it->at, key.mv_data, key.mv_size);
	it->started = true;
	return 0;
}

bool
store_next(struct store_tx *tx, enum store_db db, struct store_iter *it,
    uint16_t type, void *body)
{
	MDB_cursor	*cur;
	MDB_val		 val;
	int		 rc;

	if (tx->rc != 0)
		return false;
	if ((rc = mdb_cursor_open(tx->txn, dbis[db], &cur)) != 0) {
		store_fail(tx, rc);
		return false;
	}
	while ((rc = iter_step(it, cur, &val)) == 0) {
		if (record_read(&val, type, body))
			break;
		/* One bad record must not hide the others. */
		log_warnx("database %s: a record that cannot be read",
		    db_names[db]);
	}
	mdb_cursor_close(cur);
	if (rc != 0 && rc != MDB_NOTFOUND)
		store_fail(tx, rc);
	return rc == 0;
}

bool
store_last(struct store_tx *tx, enum store_db db, struct store_key *k)
{
	MDB_cursor	*cur;
	MDB_val		 key, val;
	int		 rc;

	if (tx->rc != 0)
		return false;
	if ((rc = mdb_cursor_open(tx->txn, dbis[db], &cur)) == 0) {
		rc = mdb_cursor_get(cur, &key, &val, MDB_LAST);
		mdb_cursor_close(cur);
	}
	if (rc == 0)
		key_bytes(k, key.mv_data, key.mv_size);
	else if (rc != MDB_NOTFOUND)
		store_fail(tx, rc);
	return rc == 0;
}

/* Fields of ctl.def have maxima far below; cutting is for a bug of ours. */
void
key_bytes(struct store_key *k, const void *p, size_t n)
{
	k->len = n < STORE_KEY_MAX ? n : STORE_KEY_MAX;
	memcpy(k->b, p, k->len);
}

void
key_user(struct store_key *k, struct slice user)
{
	key_bytes(k, user.p, user.len);
}

void
key_pair(struct store_key *k, struct slice user, struct slice rest)
{
	size_t n;

	key_bytes(k, user.p, user.len < 128 ? user.len : 128);
	k->b[k->len++] = '\0';
	n = rest.len < STORE_KEY_MAX - k->len ? rest.len :
	    STORE_KEY_MAX - k->len;
	if (n > 0)
		memcpy(k->b + k->len, rest.p, n);
	k->len += n;
}

struct slice
key_first(const struct store_key *k)
{
	const uint8_t *nul = memchr(k->b, '\0', k->len);

	return (struct slice){ k->b, nul == NULL ? k->len :
	    (size_t)(nul - k->b) };
}

struct slice
key_rest(const struct store_key *k)
{
	size_t n = key_first(k).len;

	return n >= k->len ? (struct slice){ k->b, 0 } :
	    (struct slice){ k->b + n + 1, k->len - n - 1 };
}
