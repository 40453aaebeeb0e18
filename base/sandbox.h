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
 * The kernel's fences as priv_enter() sees them: Linux has Landlock and
 * seccomp (sandbox_linux.c), elsewhere there is nothing (sandbox_none.c).
 * Beside base/ only the skill runner's jail uses it: there a fence is built
 * once and entered by each run.  Nothing here exits or logs.
 */

#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stddef.h>

#include "priv.h"

/*
 * A sanitizer needs what the fences take away (/proc, address space, ptrace
 * for the leak check): such a build drops its uid and nothing else.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PRIV_SANITIZED	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PRIV_SANITIZED	1
#endif
#endif
#ifndef PRIV_SANITIZED
#define PRIV_SANITIZED	0
#endif

/* Drops every capability, also those of an ordinary user. */
int	sandbox_nocaps(void);
/* no_new_privs, no core, no ptrace by others of the uid. */
int	sandbox_flags(void);
/*
 * File rights.  The working directory is the root of the row.  Returns the
 * ABI in force or -1 with errno; *skipped counts paths that do not exist.
 */
int	sandbox_landlock(const struct policy *, const struct priv_opts *,
	    size_t *skipped);
/* System calls.  Returns the number of rules in force or -1 with errno. */
int	sandbox_seccomp(const struct policy *);

/*
 * The same in two steps.  The ruleset is a descriptor, entered by whoever
 * holds it; no_new_privs comes before.
 */
int	sandbox_landlock_make(const struct policy *, const struct priv_opts *,
	    size_t *skipped);
int	sandbox_landlock_enter(int);

struct sandbox_filter {
	void		*insns;		/* free(3) */
	unsigned short	 ninsns;
	int		 nrules;
};
/* self: the pid that may be signalled (0: the caller's process group). */
int	sandbox_seccomp_make(const struct policy *, pid_t self,
	    struct sandbox_filter *);
int	sandbox_seccomp_enter(const struct sandbox_filter *);

#endif /* BASE_SANDBOX_H */
