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
 * Log lines.  A child's go to the parent through a sink (child.c sets it);
 * before that, and in programs without a parent, to stderr.  Untrusted text
 * goes through log_vis first.  Never a secret.
 */

#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_TRACE		/* every message between processes */
};

#define LOG_LINE_MAX	2048	/* bytes of a line, with its NUL */

/* name is kept, not copied. */
void	log_init(const char *name, enum log_level);
void	log_set_level(enum log_level);
bool	log_wants(enum log_level);
/* text is lent, without newline; NULL goes back to stderr. */
void	log_set_sink(void (*)(void *, enum log_level, const char *), void *);

/* log_error and log_warn append ": " and strerror(errno). */
void	log_error(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_errorx(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_warn(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_warnx(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_debug(const char *, ...) __attribute__((format(printf, 1, 2)));
void	log_trace(const char *, ...) __attribute__((format(printf, 1, 2)));
/* One line, whatever its level; for a line that comes from a child. */
void	log_line(enum log_level, const char *);

/* Our own bug, or no way on: the parent restarts us. */
void	fatal(const char *, ...)
	    __attribute__((format(printf, 1, 2), noreturn));
void	fatalx(const char *, ...)
	    __attribute__((format(printf, 1, 2), noreturn));

/*
 * Untrusted bytes as printable ASCII (\n, \x1b, ...), cut with "..." when they
 * do not fit.  Returns dst.
 */
char	*log_vis(char *dst, size_t dstlen, const void *src, size_t n);

#endif
