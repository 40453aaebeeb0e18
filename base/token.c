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
 * Tokens.  Runs in: front, control, ledger, remote.  Whoever calls this links
 * libcrypto, and has called token_hash once before entering an empty root:
 * OpenSSL reads its files then.
 */

#include <sys/random.h>

#include <string.h>

#include <openssl/sha.h>

#include "base/token.h"

bool
token_make(char text[TOKEN_LEN + 1])
{
	static const char	 digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char		 raw[33];	/* one zero byte to pad */
	size_t			 i, bit;
	unsigned int		 two;

	/* One that begins with a dash is an option to many a program. */
	do {
		if (getrandom(raw, 32, 0) != 32)
			return false;
	} while (digits[raw[0] >> 2] == '-');
	raw[32] = 0;
	for (i = 0; i < TOKEN_LEN; i++) {
		bit = i * 6;
		two = (unsigned int)raw[bit / 8] << 8;
		if (bit / 8 + 1 < sizeof(raw))
			two |= raw[bit / 8 + 1];
		text[i] = digits[two >> (10 - bit % 8) & 0x3f];
	}
	text[TOKEN_LEN] = '\0';
	explicit_bzero(raw, sizeof(raw));
	return true;
}

bool
token_hash(uint8_t hash[TOKEN_HASH], struct slice text)
{
	if (text.len == 0)
		return false;
	return SHA256(text.p, text.len, hash) != NULL;
}
