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

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

static const char	*log_name = "xbot";
static enum log_level	 log_max = LOG_LEVEL_INFO;
static void		(*log_sink)(void *, enum log_level, const char *);
static void		*log_sink_arg;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warning",
	[LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_TRACE] = "trace",
};

void
log_init(const char *name, enum log_level level)
{
	log_name = name;
	log_max = level;
}

void
log_set_level(enum log_level level)
{
	log_max = level;
}

bool
log_wants(enum log_level level)
{
	return level <= log_max;
}

void
log_set_sink(void (*sink)(void *, enum log_level, const char *), void *arg)
{
	log_sink = sink;
	log_sink_arg = arg;
}

void
log_line(enum log_level level, const char *text)
{
	struct timespec	ts;
	struct tm	tm;
	char		stamp[32];

	if (log_sink != NULL) {
		log_sink(log_sink_arg, level, text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03ldZ %s %s: %s\n", stamp,
	    ts.tv_nsec / 1000000, level_names[level], log_name, text);
}

static void
log_format(enum log_level level, int err, const char *fmt, va_list ap)
{
	char	line[LOG_LINE_MAX];
	size_t	n;

	if (!log_wants(level))
		return;
	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		return;
	n = strlen(line);
	if (err != 0)
		snprintf(line + n, sizeof(line) - n, ": %s", strerror(err));
	log_line(level, line);
}

#define LOG_FUNCTION(name, level, err)					\
void									\
name(const char *fmt, ...)						\
{									\
	int	saved = errno;						\
	va_list	ap;							\
									\
	va_start(ap, fmt);						\
	log_format(level, (err) ? saved : 0, fmt, ap);			\
	va_end(ap);							\
	errno = saved;							\
}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, 1)
LOG_FUNCTION(log_errorx, LOG_LEVEL_ERROR, 0)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, 1)
LOG_FUNCTION(log_warnx, LOG_LEVEL_WARN, 0)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, 0)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, 0)
LOG_FUNCTION(log_trace, LOG_LEVEL_TRACE, 0)

void
fatal(const char *fmt, ...)
{
	int	saved = errno;
	va_list	ap;

	va_start(ap, fmt);
	log_format(LOG_LEVEL_ERROR, saved, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_format(LOG_LEVEL_ERROR, 0, fmt, ap);
	va_end(ap);
	exit(1);
}

static size_t
vis_byte(char out[5], uint8_t c)
{
	static const char names[] = "abtnvfr";

	if (c >= 0x20 && c < 0x7f && c != '\\') {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	if (c == '\\' || (c >= '\a' && c <= '\r')) {
		out[1] = c == '\\' ? '\\' : names[c - '\a'];
		return 2;
	}
	snprintf(out + 1, 4, "x%02x", c);
	return 4;
}

char *
log_vis(char *dst, size_t dstlen, const void *src, size_t n)
{
	const uint8_t	*p = src;
	char		 out[5];
	size_t		 i, o = 0, k;

	if (dstlen == 0)
		return dst;
	for (i = 0; i < n; i++) {
		k = vis_byte(out, p[i]);
		/* 4: room for "..." and the NUL */
		if (o + k + 4 > dstlen) {
			for (k = 0; k < 3 && o + 1 < dstlen; k++)
				dst[o++] = '.';
			break;
		}
		memcpy(dst + o, out, k);
		o += k;
	}
	dst[o] = '\0';
	return dst;
}
