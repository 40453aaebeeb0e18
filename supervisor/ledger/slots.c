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
 * Slots: which uid of the range is whose.  Runs in: ledger.  A slot is given
 * once and for ever: nobody wipes yet, so nothing is given back.
 */

#include <string.h>

#include "base/log.h"
#include "supervisor/ledger/ledger.h"

static void
key_slot(struct store_key *key, uint32_t slot)
{
	uint8_t be[4] = { (uint8_t)(slot >> 24), (uint8_t)(slot >> 16),
	    (uint8_t)(slot >> 8), (uint8_t)slot };

	key_bytes(key, be, sizeof(be));
}

/* One above the highest: big-endian keys sort by number. */
static uint32_t
slot_next(struct store_tx *tx)
{
	struct store_key key;

	if (!store_last(tx, DB_SLOT_USERS, &key) || key.len != 4)
		return 0;
	return ((uint32_t)key.b[0] << 24 | (uint32_t)key.b[1] << 16 |
	    (uint32_t)key.b[2] << 8 | key.b[3]) + 1;
}

static enum xerr
slot_assign(struct slice user, uint32_t *slot, const char **text)
{
	struct state_slot	 s = { 0 };
	struct state_slot_user	 u = { user };
	struct store_key	 ukey, skey;
	struct store_tx		 tx;

	key_user(&ukey, user);
	store_begin(&tx, true);
	if (!store_get(&tx, DB_SLOTS, &ukey, STATE_SLOT, &s) && tx.rc == 0) {
		s.slot = slot_next(&tx);
		if (tx.rc == 0 && s.slot >= ledger_conf.slots) {
			store_abort(&tx);
			*text = "every uid of the range has its user";
			return XERR_EBUSY;
		}
		key_slot(&skey, s.slot);
		store_put(&tx, DB_SLOTS, &ukey, STATE_SLOT, &s);
		store_put(&tx, DB_SLOT_USERS, &skey, STATE_SLOT_USER, &u);
	} else if (tx.rc == 0 && s.slot >= ledger_conf.slots) {
		/* The range was made smaller: its uid is somebody else's. */
		store_abort(&tx);
		*text = "this user's uid is outside of the range";
		return XERR_EBUSY;
	}
	*slot = s.slot;
	return store_end(&tx, text);
}

void
on_slot_get(struct chan *c, const struct msg *m)
{
	const struct ctl_slot_get	*q = m->body;
	struct ctl_slot			 a = { .user = q->user };
	const char			*text = "no user id";
	enum xerr			 code = XERR_EINVAL;

	if (id_user_ok(q->user))
		code = slot_assign(q->user, &a.slot, &text);
	a.code = (uint8_t)code;
	a.text = slice_str(text);
	chan_send(c, CTL_SLOT, m->serial, &a);
}
