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

/* No fences on this system: uid and chroot must do. */

#include <errno.h>

#include "sandbox.h"

int
sandbox_nocaps(void)
{
	return 0;
}

int
sandbox_flags(void)
{
	return 0;
}

int
sandbox_landlock(const struct policy *p, const struct priv_opts *o,
    size_t *skipped)
{
	(void)p;
	(void)o;
	*skipped = 0;
	errno = ENOSYS;
	return -1;
}

int
sandbox_seccomp(const struct policy *p)
{
	(void)p;
	errno = ENOSYS;
	return -1;
}

int
sandbox_landlock_make(const struct policy *p, const struct priv_opts *o,
    size_t *skipped)
{
	return sandbox_landlock(p, o, skipped);
}

int
sandbox_landlock_enter(int fd)
{
	(void)fd;
	errno = ENOSYS;
	return -1;
}

int
sandbox_seccomp_make(const struct policy *p, pid_t self,
    struct sandbox_filter *f)
{
	(void)p;
	(void)self;
	(void)f;
	errno = ENOSYS;
	return -1;
}

int
sandbox_seccomp_enter(const struct sandbox_filter *f)
{
	(void)f;
	errno = ENOSYS;
	return -1;
}
