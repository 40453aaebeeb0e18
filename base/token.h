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
 * How a token is made and hashed.  Runs in: front, control, ledger, remote.
 */

#ifndef BASE_TOKEN_H
#define BASE_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/msg.h"

enum token_kind {
	TOKEN_UNKNOWN = 0,
	TOKEN_SERVICE = 1,	/* acts for every user */
	TOKEN_USER = 2,		/* acts for one */
	TOKEN_FAILED = 3	/* the ledger cannot tell now; never stored */
};

#define TOKEN_LEN	43	/* 32 random bytes, base64url, no padding */
#define TOKEN_HASH	32

/* A new token with NUL; false when there is no randomness. */
bool	 token_make(char [TOKEN_LEN + 1]);
/* SHA-256 of its text; false for an empty one. */
bool	 token_hash(uint8_t [TOKEN_HASH], struct slice);

#endif
