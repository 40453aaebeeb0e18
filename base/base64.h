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
 * Base64 of RFC 4648, strict: padding is required, unused bits are zero,
 * nothing but the alphabet, CR and LF.  Runs in: front, control, remote,
 * runner.  Input is hostile.
 */

#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters for n bytes, without NUL. */
#define BASE64_LEN(n)		(((size_t)(n) + 2) / 3 * 4)
/* Bytes that n characters decode to at most. */
#define BASE64_DECODED_MAX(n)	((size_t)(n) / 4 * 3 + 3)

/* Writes BASE64_LEN(n) characters, no NUL; returns that number. */
size_t	 base64_encode(char *dst, const void *src, size_t n);
/*
 * Decodes all of it; dst has room for BASE64_DECODED_MAX(n) and may be src.
 * Returns the number of bytes, -1 when malformed.
 */
ssize_t	 base64_decode(void *dst, const char *src, size_t n);

/*
 * In pieces.  All-zero is the start.  An encoder's carry makes the pieces add
 * up to one text; finish with enc_end or dec_end.
 */
struct base64_enc {
	uint8_t	 carry[3];
	uint8_t	 n;
};

/* dst has room for BASE64_LEN(n + 2); returns characters written. */
size_t	 base64_enc_add(struct base64_enc *, char *dst, const void *src,
	    size_t n);
/* dst has room for 4. */
size_t	 base64_enc_end(struct base64_enc *, char *dst);

struct base64_dec {
	uint32_t bits;
	uint8_t	 n;		/* characters of the group so far */
	uint8_t	 pad;
	bool	 done;		/* padding seen: nothing may follow */
};

/* dst has room for BASE64_DECODED_MAX(n), may be src; bytes, or -1. */
ssize_t	 base64_dec_add(struct base64_dec *, void *dst, const char *src,
	    size_t n);
/* Was it whole? */
bool	 base64_dec_end(const struct base64_dec *);

#endif
