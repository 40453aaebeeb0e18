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
 * One row an error.  Runs in: every process.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proto/error.h"

static const struct {
	const char	*name;
	int		 status;
} xerrs[XERR_MAX] = {
	[XERR_NONE] =		{ "OK", 200 },
	[XERR_EINVAL] =		{ "EINVAL", 400 },
	[XERR_EAUTH] =		{ "EAUTH", 401 },
	[XERR_EPERM] =		{ "EPERM", 403 },
	[XERR_ENOENT] =		{ "ENOENT", 404 },
	[XERR_ENOTDIR] =	{ "ENOTDIR", 400 },
	[XERR_EEXIST] =		{ "EEXIST", 409 },
	[XERR_EISDIR] =		{ "EISDIR", 409 },
	[XERR_E2BIG] =		{ "E2BIG", 413 },
	[XERR_EBUSY] =		{ "EBUSY", 429 },
	[XERR_ENOTSUP] =	{ "ENOTSUP", 501 },
	[XERR_EIO] =		{ "EIO", 502 },
	[XERR_EOFFLINE] =	{ "EOFFLINE", 503 },
	[XERR_ETIMEDOUT] =	{ "ETIMEDOUT", 504 },
};

static const struct {
	int		 sys;
	enum xerr	 code;
} from_errno[] = {
	{ EINVAL, XERR_EINVAL },	{ ENAMETOOLONG, XERR_EINVAL },
	{ EACCES, XERR_EPERM },		{ EPERM, XERR_EPERM },
	{ EXDEV, XERR_EPERM },		{ ELOOP, XERR_EPERM },
	{ EROFS, XERR_EPERM },		{ ENOENT, XERR_ENOENT },
	{ ENOTDIR, XERR_ENOTDIR },	{ EEXIST, XERR_EEXIST },
	{ ENOTEMPTY, XERR_EEXIST },	{ EISDIR, XERR_EISDIR },
	{ E2BIG, XERR_E2BIG },		{ EFBIG, XERR_E2BIG },
	{ ENOTSUP, XERR_ENOTSUP },	{ ENOSYS, XERR_ENOTSUP },
	{ ETIMEDOUT, XERR_ETIMEDOUT },	{ ENOEXEC, XERR_EINVAL },
};

static int
xerr_known(enum xerr code)
{
	return (unsigned int)code < XERR_MAX;
}

const char *
xerr_name(enum xerr code)
{
	return xerrs[xerr_known(code) ? code : XERR_EIO].name;
}

int
xerr_status(enum xerr code)
{
	return xerrs[xerr_known(code) ? code : XERR_EIO].status;
}

enum xerr
xerr_by_name(const char *name)
{
	size_t i;

	for (i = 1; i < XERR_MAX; i++)
		if (strcmp(xerrs[i].name, name) == 0)
			return (enum xerr)i;
	return XERR_NONE;
}

enum xerr
xerr_from_errno(int sys)
{
	size_t i;

	for (i = 0; i < sizeof(from_errno) / sizeof(from_errno[0]); i++)
		if (from_errno[i].sys == sys)
			return from_errno[i].code;
	return XERR_EIO;
}
