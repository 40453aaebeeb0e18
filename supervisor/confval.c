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
 * Values of the configuration: text to value and back, by type.  Runs in:
 * supervisor.  Owns nothing; strings it makes belong to struct conf.
 */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "confimpl.h"

struct unit {
	char		 letter;
	uint64_t	 factor;
};

struct type {
	int	(*parse)(const struct conf_row *, const char *, void *,
		    char *, size_t);
	void	(*print)(const struct conf_row *, const void *, FILE *);
};

static int	parse_u32(const struct conf_row *, const char *, void *,
		    char *, size_t);
static int	parse_u64(const struct conf_row *, const char *, void *,
		    char *, size_t);
static int	parse_word(const struct conf_row *, const char *, void *,
		    char *, size_t);
static int	parse_bool(const struct conf_row *, const char *, void *,
		    char *, size_t);
static int	parse_string(const struct conf_row *, const char *, void *,
		    char *, size_t);
static int	parse_url(const struct conf_row *, const char *, void *,
		    char *, size_t);
static void	print_u32(const struct conf_row *, const void *, FILE *);
static void	print_u64(const struct conf_row *, const void *, FILE *);
static void	print_word(const struct conf_row *, const void *, FILE *);
static void	print_bool(const struct conf_row *, const void *, FILE *);
static void	print_string(const struct conf_row *, const void *, FILE *);
static int	number_scan(enum conf_type, const char *, uint64_t *);
static void	number_format(enum conf_type, uint64_t, char *, size_t);
static const struct unit *units_of(enum conf_type);
static bool	string_ok(enum conf_type, const char *);

static const struct unit sizes[] = {
	{ 'T', 1ULL << 40 }, { 'G', 1ULL << 30 }, { 'M', 1ULL << 20 },
	{ 'K', 1ULL << 10 }, { 'B', 1 }, { 0, 0 }
};
static const struct unit times[] = {
	{ 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 }, { 0, 0 }
};

static const struct type types[CONF_T_MAX] = {
	[CONF_T_NUM] =		{ parse_u32, print_u32 },
	[CONF_T_TIME] =		{ parse_u32, print_u32 },
	[CONF_T_RATE] =		{ parse_u32, print_u32 },
	[CONF_T_CPUS] =		{ parse_u32, print_u32 },
	[CONF_T_SIZE] =		{ parse_u64, print_u64 },
	[CONF_T_RLNUM] =	{ parse_u64, print_u64 },
	[CONF_T_RLTIME] =	{ parse_u64, print_u64 },
	[CONF_T_RLSIZE] =	{ parse_u64, print_u64 },
	[CONF_T_BOOL] =		{ parse_bool, print_bool },
	[CONF_T_WORD] =		{ parse_word, print_word },
	[CONF_T_PATH] =		{ parse_string, print_string },
	[CONF_T_TEXT] =		{ parse_string, print_string },
	[CONF_T_NAME] =		{ parse_string, print_string },
	[CONF_T_IMAGE] =	{ parse_string, print_string },
	[CONF_T_WSURL] =	{ parse_url, print_string },
	[CONF_T_URL] =		{ parse_url, print_string },
};

static const char *const type_names[CONF_T_MAX] = {
	[CONF_T_NUM] = "number",	[CONF_T_TIME] = "duration",
	[CONF_T_RATE] = "rate",		[CONF_T_CPUS] = "number of cpus",
	[CONF_T_SIZE] = "size",		[CONF_T_RLNUM] = "number",
	[CONF_T_RLTIME] = "duration",	[CONF_T_RLSIZE] = "size",
	[CONF_T_PATH] = "path",		[CONF_T_TEXT] = "text",
	[CONF_T_NAME] = "name",		[CONF_T_IMAGE] = "image name",
	[CONF_T_WSURL] = "url",		[CONF_T_URL] = "url",
};

int
confval_parse(const struct conf_row *row, const char *text, void *dst,
    char *err, size_t errlen)
{
	return (types[row->type].parse(row, text, dst, err, errlen));
}

void
confval_print(const struct conf_row *row, const void *src, FILE *fp)
{
	types[row->type].print(row, src, fp);
}

/* A quoted string as the lexer reads it. */
void
confval_quote(const char *s, FILE *fp)
{
	putc('"', fp);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', fp);
		putc(*s, fp);
	}
	putc('"', fp);
}

/* Plain decimal digits; no sign, no blanks, which strtoull would take. */
int
confval_number(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t	 n = 0;
	unsigned int	 d;

	if (*s == '\0')
		return (-1);
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return (-1);
		d = (unsigned int)(*s - '0');
		if (n > (UINT64_MAX - d) / 10)
			return (-1);
		n = n * 10 + d;
	}
	if (n < min || n > max)
		return (-1);
	*out = n;
	return (0);
}

/* What may stand in a header and a JSON string as it is. */
bool
confval_is_token(const char *s)
{
	if (*s == '\0')
		return (false);
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s >= 0x7f || *s == '"' || *s == '\\')
			return (false);
	return (true);
}

bool
confval_is_name(const char *s)
{
	return (string_ok(CONF_T_NAME, s));
}

static const struct unit *
units_of(enum conf_type type)
{
	if (type == CONF_T_SIZE || type == CONF_T_RLSIZE)
		return (sizes);
	if (type == CONF_T_TIME || type == CONF_T_RLTIME)
		return (times);
	return (NULL);
}

/* "1.5": thousandths, at most three of them. */
static int
cpus_scan(const char *text, uint64_t *out)
{
	const char	*dot = strchr(text, '.');
	char		 buf[24];
	uint64_t	 whole, part = 0;
	size_t		 n = dot == NULL ? strlen(text) : (size_t)(dot - text);
	size_t		 i;

	if (n >= sizeof(buf))
		return (-1);
	memcpy(buf, text, n);
	buf[n] = '\0';
	if (confval_number(buf, 0, UINT32_MAX, &whole) == -1)
		return (-1);
	if (dot != NULL) {
		n = strlen(dot + 1);
		if (n > 3 || confval_number(dot + 1, 0, 999, &part) == -1)
			return (-1);
		for (i = n; i < 3; i++)
			part *= 10;
	}
	*out = whole * 1000 + part;
	return (0);
}

static int
number_scan(enum conf_type type, const char *text, uint64_t *out)
{
	const struct unit	*u = units_of(type);
	char			 buf[32];
	size_t			 n = strlen(text);
	uint64_t		 v, factor = 1;

	if (type == CONF_T_CPUS)
		return (cpus_scan(text, out));
	if (n == 0 || n >= sizeof(buf))
		return (-1);
	memcpy(buf, text, n + 1);
	if (type == CONF_T_RATE) {
		if (n < 3 || strcmp(buf + n - 2, "/s") != 0)
			return (-1);
		buf[n - 2] = '\0';
	}
	for (; u != NULL && u->letter != 0; u++) {
		if (buf[n - 1] == u->letter) {
			factor = u->factor;
			buf[n - 1] = '\0';
			break;
		}
	}
	if (confval_number(buf, 0, UINT64_MAX, &v) == -1)
		return (-1);
	if (v > (UINT64_MAX - 1) / factor)	/* UINT64_MAX is `off' */
		v = UINT64_MAX - 1;
	else
		v *= factor;
	*out = v;
	return (0);
}

/* The largest unit that leaves no remainder. */
static void
number_format(enum conf_type type, uint64_t v, char *buf, size_t len)
{
	const struct unit	*u = units_of(type);

	if (type == CONF_T_CPUS && v % 1000 != 0) {
		snprintf(buf, len, "%llu.%03llu",
		    (unsigned long long)v / 1000, (unsigned long long)v % 1000);
		while (buf[strlen(buf) - 1] == '0')
			buf[strlen(buf) - 1] = '\0';
		return;
	}
	if (type == CONF_T_CPUS)
		v /= 1000;
	for (; u != NULL && u->letter != 0; u++) {
		if (v != 0 && v % u->factor == 0 && u->letter != 'B') {
			snprintf(buf, len, "%llu%c",
			    (unsigned long long)(v / u->factor), u->letter);
			return;
		}
	}
	snprintf(buf, len, "%llu%s", (unsigned long long)v,
	    type == CONF_T_RATE ? "/s" : "");
}

static int
number_parse(const struct conf_row *row, const char *text, uint64_t *v,
    char *err, size_t errlen)
{
	char	min[32], max[32];

	if (number_scan(row->type, text, v) == -1) {
		snprintf(err, errlen, "bad %s \"%s\"", type_names[row->type],
		    text);
		return (-1);
	}
	if (*v < row->min || *v > row->max) {
		number_format(row->type, row->min, min, sizeof(min));
		number_format(row->type, row->max, max, sizeof(max));
		snprintf(err, errlen, "%s is out of range (%s to %s)", text,
		    min, max);
		return (-1);
	}
	return (0);
}

static int
parse_u32(const struct conf_row *row, const char *text, void *dst, char *err,
    size_t errlen)
{
	uint64_t	 v;
	uint32_t	*p = dst;

	if (number_parse(row, text, &v, err, errlen) == -1)
		return (-1);
	*p = (uint32_t)v;		/* every row's max fits */
	return (0);
}

static int
parse_u64(const struct conf_row *row, const char *text, void *dst, char *err,
    size_t errlen)
{
	uint64_t	*p = dst;

	if (row->type != CONF_T_SIZE && strcmp(text, "off") == 0) {
		*p = CONF_OFF;
		return (0);
	}
	return (number_parse(row, text, p, err, errlen));
}

static int
word_find(const struct conf_row *row, const char *text, char *err,
    size_t errlen)
{
	int	i, n;
	size_t	used;

	for (i = 0; row->words[i] != NULL; i++)
		if (strcmp(row->words[i], text) == 0)
			return (i);
	n = i;
	snprintf(err, errlen, "unknown word \"%s\" (use ", text);
	for (i = 0; i < n; i++) {
		used = strlen(err);
		snprintf(err + used, errlen - used, "%s%s", row->words[i],
		    i == n - 1 ? ")" : i == n - 2 ? " or " : ", ");
	}
	return (-1);
}

static int
parse_word(const struct conf_row *row, const char *text, void *dst, char *err,
    size_t errlen)
{
	unsigned int	*p = dst;
	int		 i;

	if ((i = word_find(row, text, err, errlen)) == -1)
		return (-1);
	*p = (unsigned int)i;
	return (0);
}

static int
parse_bool(const struct conf_row *row, const char *text, void *dst, char *err,
    size_t errlen)
{
	bool	*p = dst;
	int	 i;

	if ((i = word_find(row, text, err, errlen)) == -1)
		return (-1);
	*p = i == 1;
	return (0);
}

static bool
string_ok(enum conf_type type, const char *s)
{
	const char	*extra = "";
	const char	*p;

	if (*s == '\0')
		return (false);
	if (type == CONF_T_PATH) {
		if (*s != '/' || strlen(s) >= PATH_MAX)
			return (false);
	} else if (strlen(s) > 255)
		return (false);
	if (type == CONF_T_NAME)
		extra = "_.-";
	else if (type == CONF_T_IMAGE)
		extra = "_.-/:@";
	/* a URL ends up in a command line somebody pastes: no shell letters */
	else if (type == CONF_T_WSURL || type == CONF_T_URL)
		extra = "_.-/:~%[]";
	for (p = s; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return (false);
		if (*extra != '\0' && !(isascii((unsigned char)*p) &&
		    isalnum((unsigned char)*p)) && strchr(extra, *p) == NULL)
			return (false);
	}
	/* never an option of somebody's command line */
	return (*extra == '\0' || *s != '-');
}

static int
string_set(char **dst, const char *text, char *err, size_t errlen)
{
	char	*s;

	if ((s = conf_strdup(text)) == NULL) {
		snprintf(err, errlen, "out of memory");
		return (-1);
	}
	free(*dst);
	*dst = s;
	return (0);
}

static int
parse_string(const struct conf_row *row, const char *text, void *dst,
    char *err, size_t errlen)
{
	char	**p = dst;
	size_t	  n;

	if (row->type == CONF_T_PATH && *text != '/') {
		snprintf(err, errlen, "not an absolute path: \"%s\"", text);
		return (-1);
	}
	if (!string_ok(row->type, text)) {
		snprintf(err, errlen, "bad %s \"%s\"", type_names[row->type],
		    text);
		return (-1);
	}
	if (string_set(p, text, err, errlen) == -1)
		return (-1);
	/* "/a/" and "/a" are one directory; say it one way */
	if (row->type == CONF_T_PATH)
		for (n = strlen(*p); n > 1 && (*p)[n - 1] == '/'; n--)
			(*p)[n - 1] = '\0';
	return (0);
}

/* http and https are read as ws and wss where a runner will connect. */
static int
parse_url(const struct conf_row *row, const char *text, void *dst, char *err,
    size_t errlen)
{
	static const char *const schemes[] = { "http", "https", "ws", "wss" };
	char		**p = dst;
	const char	 *rest = strstr(text, "://");
	char		  buf[300];
	size_t		  i, n;

	if (rest == NULL || !string_ok(row->type, text))
		goto bad;
	for (i = 0; i < 4; i++)
		if (strlen(schemes[i]) == (size_t)(rest - text) &&
		    strncasecmp(schemes[i], text, strlen(schemes[i])) == 0)
			break;
	if (i == 4 || (i > 1 && row->type == CONF_T_URL))
		goto bad;
	if (rest[3] == '/' || rest[3] == ':' || rest[3] == '\0')
		goto bad;
	if (row->type == CONF_T_WSURL)
		i |= 2;
	n = (size_t)snprintf(buf, sizeof(buf), "%s%s", schemes[i], rest);
	while (n > 0 && buf[n - 1] == '/')
		buf[--n] = '\0';
	return (string_set(p, buf, err, errlen));
bad:
	snprintf(err, errlen, "bad url \"%s\"", text);
	return (-1);
}

static void
print_u32(const struct conf_row *row, const void *src, FILE *fp)
{
	char	buf[32];

	number_format(row->type, *(const uint32_t *)src, buf, sizeof(buf));
	fputs(buf, fp);
}

static void
print_u64(const struct conf_row *row, const void *src, FILE *fp)
{
	uint64_t	v = *(const uint64_t *)src;
	char		buf[32];

	if (v == CONF_OFF && row->type != CONF_T_SIZE)
		snprintf(buf, sizeof(buf), "off");
	else
		number_format(row->type, v, buf, sizeof(buf));
	fputs(buf, fp);
}

static void
print_word(const struct conf_row *row, const void *src, FILE *fp)
{
	fputs(row->words[*(const unsigned int *)src], fp);
}

static void
print_bool(const struct conf_row *row, const void *src, FILE *fp)
{
	fputs(row->words[*(const bool *)src ? 1 : 0], fp);
}

static void
print_string(const struct conf_row *row, const void *src, FILE *fp)
{
	(void)row;
	confval_quote(*(char *const *)src, fp);
}
