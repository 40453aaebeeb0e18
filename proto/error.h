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
 * The error codes of contract/http-api.md, as all our processes speak them.
 * The numbers travel in exec.def (job_refused.code): append only.
 */

#ifndef PROTO_ERROR_H
#define PROTO_ERROR_H

enum xerr {
	XERR_NONE = 0,
	XERR_EINVAL = 1,
	XERR_EAUTH = 2,
	XERR_EPERM = 3,
	XERR_ENOENT = 4,
	XERR_ENOTDIR = 5,
	XERR_EEXIST = 6,
	XERR_EISDIR = 7,
	XERR_E2BIG = 8,
	XERR_EBUSY = 9,
	XERR_ENOTSUP = 10,
	XERR_EIO = 11,
	XERR_EOFFLINE = 12,
	XERR_ETIMEDOUT = 13,
	XERR_MAX
};

/* "ENOENT"; an unknown number is "EIO".  Never NULL. */
const char	*xerr_name(enum xerr);
/* The HTTP status; an unknown number is 502. */
int		 xerr_status(enum xerr);
/* From a name, XERR_NONE if it is none of ours. */
enum xerr	 xerr_by_name(const char *);
/* From errno(3); what has no code of its own is XERR_EIO. */
enum xerr	 xerr_from_errno(int);

#endif
