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
 * Runner protocol v1, shared by its two sides.  Runs in: remote, xbot-runner.
 * The text that is read is hostile.
 */

#include <sys/stat.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/compat/compat.h"
#include "base/v1.h"

/* Types and what answers them. */
static const struct {
	const char	*name;
	enum v1_type	 reply;
} types[V1_TYPE_MAX] = {
	[V1_UNKNOWN] =		{ "", V1_UNKNOWN },
	[V1_REGISTER] =		{ "register", V1_REGISTER_OK },
	[V1_REGISTER_OK] =	{ "register_ok", V1_UNKNOWN },
	[V1_ERROR] =		{ "error", V1_UNKNOWN },
	[V1_OK] =		{ "ok", V1_UNKNOWN },
	[V1_EXEC] =		{ "exec", V1_EXEC_RESULT },
	[V1_EXEC_RESULT] =	{ "exec_result", V1_UNKNOWN },
	[V1_READ_FILE] =	{ "read_file", V1_FILE_CONTENT },
	[V1_FILE_CONTENT] =	{ "file_content", V1_UNKNOWN },
	[V1_WRITE_FILE] =	{ "write_file", V1_OK },
	[V1_MKDIR_ALL] =	{ "mkdir_all", V1_OK },
	[V1_REMOVE] =		{ "remove", V1_OK },
	[V1_REMOVE_ALL] =	{ "remove_all", V1_OK },
	[V1_STAT] =		{ "stat", V1_FILE_INFO },
	[V1_FILE_INFO] =	{ "file_info", V1_UNKNOWN },
	[V1_READ_DIR] =		{ "read_dir", V1_DIR_ENTRIES },
	[V1_DIR_ENTRIES] =	{ "dir_entries", V1_UNKNOWN },
	[V1_DOWNLOAD_FILE] =	{ "download_file", V1_OK },
	[V1_BG_EXEC] =		{ "bg_exec", V1_BG_STARTED },
	[V1_BG_STARTED] =	{ "bg_started", V1_UNKNOWN },
	[V1_BG_KILL] =		{ "bg_kill", V1_OK },
	[V1_BG_STATUS] =	{ "bg_status", V1_BG_OUTPUT },
	[V1_BG_OUTPUT] =	{ "bg_output", V1_UNKNOWN },
	[V1_STDIO_START] =	{ "stdio_start", V1_OK },
	[V1_STDIO_WRITE] =	{ "stdio_write", V1_UNKNOWN },
	[V1_STDIO_CLOSE] =	{ "stdio_close", V1_OK },
	[V1_STDIO_DATA] =	{ "stdio_data", V1_UNKNOWN },
	[V1_STDIO_EXIT] =	{ "stdio_exit", V1_UNKNOWN },
	[V1_PTY_CREATE] =	{ "pty_create", V1_OK },
	[V1_PTY_STDIN] =	{ "pty_stdin", V1_UNKNOWN },
	[V1_PTY_RESIZE] =	{ "pty_resize", V1_UNKNOWN },
	[V1_PTY_CLOSE] =	{ "pty_close", V1_OK },
	[V1_PTY_DATA] =		{ "pty_data", V1_UNKNOWN },
	[V1_PTY_EXIT] =		{ "pty_exit", V1_UNKNOWN },
	[V1_LLM_GENERATE] =	{ "llm_generate", V1_LLM_RESPONSE },
	[V1_LLM_RESPONSE] =	{ "llm_response", V1_UNKNOWN },
	[V1_LLM_MODELS] =	{ "llm_models", V1_LLM_MODELS_RESPONSE },
	[V1_LLM_MODELS_RESPONSE] = { "llm_models_response", V1_UNKNOWN },
};

/* The codes that an existing peer gives a meaning; the rest it only shows. */
static const enum xerr v1_codes[] = {
	XERR_EINVAL, XERR_EPERM, XERR_ENOENT, XERR_EEXIST, XERR_EIO,
	XERR_ENOTSUP, XERR_EISDIR, XERR_ENOTDIR,
};

/* Go's os.FileMode beside the permission bits, and st_mode. */
#define GO_DIR		(1u << 31)
#define GO_SYMLINK	(1u << 27)
#define GO_DEVICE	(1u << 26)
#define GO_FIFO		(1u << 25)
#define GO_SOCKET	(1u << 24)
#define GO_SETUID	(1u << 23)
#define GO_SETGID	(1u << 22)
#define GO_CHAR		(1u << 21)
#define GO_STICKY	(1u << 20)
#define GO_IRREGULAR	(1u << 19)

/* In order: from Go the first row whose bits are all set is the type. */
static const struct {
	uint32_t	go, unix_type;
} mode_types[] = {
	{ GO_DIR, S_IFDIR },
	{ GO_SYMLINK, S_IFLNK },
	{ GO_DEVICE | GO_CHAR, S_IFCHR },
	{ GO_DEVICE, S_IFBLK },
	{ GO_FIFO, S_IFIFO },
	{ GO_SOCKET, S_IFSOCK },
};

static const struct {
	uint32_t	go, unix_bit;
} mode_bits[] = {
	{ GO_SETUID, S_ISUID },
	{ GO_SETGID, S_ISGID },
	{ GO_STICKY, S_ISVTX },
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

const char *
v1_type_name(enum v1_type type)
{
	return (unsigned int)type < V1_TYPE_MAX ? types[type].name : "";
}

enum v1_type
v1_type_by_name(struct slice name)
{
	unsigned int i;

	for (i = 1; i < V1_TYPE_MAX; i++)
		if (slice_is(name, types[i].name))
			return (enum v1_type)i;
	return V1_UNKNOWN;
}

enum v1_type
v1_type_reply(enum v1_type type)
{
	return (unsigned int)type < V1_TYPE_MAX ? types[type].reply :
	    V1_UNKNOWN;
}

const char *
v1_error_name(enum xerr code)
{
	size_t i;

	for (i = 0; i < NITEMS(v1_codes); i++)
		if (v1_codes[i] == code)
			return xerr_name(code);
	return xerr_name(XERR_EIO);
}

enum xerr
v1_error_code(struct slice name)
{
	char		text[16];
	enum xerr	code = XERR_NONE;

	if (slice_copy(text, sizeof(text), name))
		code = xerr_by_name(text);
	return code == XERR_NONE ? XERR_EIO : code;
}

uint32_t
v1_mode_to_go(uint32_t mode)
{
	uint32_t	go = mode & 0777, type = mode & S_IFMT;
	size_t		i;

	for (i = 0; i < NITEMS(mode_bits); i++)
		if (mode & mode_bits[i].unix_bit)
			go |= mode_bits[i].go;
	if (type == S_IFREG || type == 0)
		return go;
	for (i = 0; i < NITEMS(mode_types); i++)
		if (type == mode_types[i].unix_type)
			return go | mode_types[i].go;
	return go | GO_IRREGULAR;
}

uint32_t
v1_mode_from_go(uint32_t go)
{
	uint32_t	mode = go & 07777;
	size_t		i;

	for (i = 0; i < NITEMS(mode_bits); i++)
		if (go & mode_bits[i].go)
			mode |= mode_bits[i].unix_bit;
	for (i = 0; i < NITEMS(mode_types); i++)
		if ((go & mode_types[i].go) == mode_types[i].go)
			return mode | mode_types[i].unix_type;
	return mode | S_IFREG;
}

void
v1_time_format(char dst[V1_TIME_MAX], int64_t seconds)
{
	char		text[96];
	struct tm	tm;
	time_t		t = seconds;

	/* Go refuses years that are not four digits. */
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1899 ||
	    tm.tm_year > 8099) {
		t = 0;
		gmtime_r(&t, &tm);
	}
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
	strlcpy(dst, text, V1_TIME_MAX);
}

/* n digits and the character behind them (0: none); -1 when not so. */
static int
digits(const char **p, const char *end, int n, char behind)
{
	int value = 0;

	if (end - *p < n + (behind != '\0'))
		return -1;
	for (; n > 0; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	if (behind != '\0' && *(*p)++ != behind)
		return -1;
	return value;
}

/* Days from 1970-01-01, Gregorian for all years. */
static int64_t
days_from_civil(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* "Z" or "+08:00", to the end; seconds in *off. */
static bool
zone_parse(const char *p, const char *end, int64_t *off)
{
	int	sign, h, m;

	*off = 0;
	if (end - p == 1 && (*p == 'Z' || *p == 'z'))
		return true;
	if (end - p != 6 || (*p != '+' && *p != '-'))
		return false;
	sign = *p++ == '-' ? -1 : 1;
	if ((h = digits(&p, end, 2, ':')) < 0 || h > 23 ||
	    (m = digits(&p, end, 2, '\0')) < 0 || m > 59)
		return false;
	*off = sign * (h * 3600 + m * 60);
	return true;
}

bool
v1_time_parse(struct slice s, int64_t *ns)
{
	const char	*p = s.p, *end = p + s.len;
	int		 year, mon, day, h, m, sec;
	int64_t		 off, frac = 0, unit = 1000000000;

	if ((year = digits(&p, end, 4, '-')) < 1 ||
	    (mon = digits(&p, end, 2, '-')) < 1 || mon > 12 ||
	    (day = digits(&p, end, 2, '\0')) < 1 || day > 31 ||
	    end - p < 1 || (*p != 'T' && *p != 't' && *p != ' '))
		return false;
	p++;
	if ((h = digits(&p, end, 2, ':')) < 0 || h > 23 ||
	    (m = digits(&p, end, 2, ':')) < 0 || m > 59 ||
	    (sec = digits(&p, end, 2, '\0')) < 0 || sec > 60)
		return false;
	if (p < end && *p == '.') {
		for (p++; p < end && *p >= '0' && *p <= '9'; p++)
			if (unit > 1)
				frac += (*p - '0') * (unit /= 10);
		if (unit == 1000000000)
			return false;
	}
	if (!zone_parse(p, end, &off))
		return false;
	sec += h * 3600 + m * 60;
	off = days_from_civil(year, mon, day) * 86400 + sec - off;
	/* What an int64_t of nanoseconds holds: 1678 to 2261. */
	if (off < -9214560000 || off > 9214646400)
		return false;
	*ns = off * 1000000000 + frac;
	return true;
}
