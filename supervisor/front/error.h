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
 * What a refused client is told: the error object of contract/http-api.md.
 * Runs in: front, control.  Code and status live in proto/error.h; this
 * adds the body and the Retry-After rule.
 */

#ifndef FRONT_ERROR_H
#define FRONT_ERROR_H

#include <stddef.h>

#include "proto/error.h"

/* Seconds for Retry-After, 0 when the header does not belong there. */
int	 error_retry_after(enum xerr);

/*
 * Writes {"error":{"code":"..","message":".."}} and returns its length.  The
 * message may hold anything: it is escaped, bytes that are not UTF-8 become
 * U+FFFD, and it is cut to what fits; the result is always whole JSON.
 * dst must have room for ERROR_BODY_MIN bytes at least.
 */
#define ERROR_BODY_MIN	96
#define ERROR_BODY_MAX	1024
size_t	 error_body(char *dst, size_t size, enum xerr, const char *msg);

#endif
