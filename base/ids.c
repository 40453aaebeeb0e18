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
 * Names.  Runs in: front, control, ledger, remote, parent, runner.  Input is
 * hostile.
 */

#include <string.h>

#include "base/ids.h"

static bool
is_alnum(unsigned char c)
{
	/* Not isalnum(3): the locale has no say in what a user id is. */
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9');
}

static bool
all_of(struct slice s, const char *others)
{
	const unsigned char	*p = s.p;
	size_t			 i;

	for (i = 0; i < s.len; i++)
		if (!is_alnum(p[i]) &&
		    (p[i] == '\0' || strchr(others, p[i]) == NULL))
			return false;
	return true;
}

bool
id_user_ok(struct slice s)
{
	return s.len >= 1 && s.len <= ID_USER_MAX &&
	    is_alnum(*(const unsigned char *)s.p) && all_of(s, "_.@:-");
}

bool
id_runner_ok(struct slice s)
{
	/* "." and ".." would not survive in a URL's path. */
	return s.len >= 1 && s.len <= ID_RUNNER_MAX && all_of(s, "_.-") &&
	    !slice_is(s, RUNNER_DOCKER) && !slice_is(s, "active") &&
	    !slice_is(s, ".") && !slice_is(s, "..");
}

bool
id_session_ok(struct slice s)
{
	return s.len >= 1 && s.len <= ID_SESSION_MAX &&
	    utf8_valid(s.p, s.len) && id_line_ok(s);
}

bool
id_line_ok(struct slice s)
{
	const unsigned char	*p = s.p;
	size_t			 i;

	for (i = 0; i < s.len; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
	return true;
}
