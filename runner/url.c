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
 * ws://HOST[:PORT]/PATH[?QUERY] taken apart.  Runs in: xbot-runner.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "runner/url.h"

static const char	*scheme_read(struct url *, const char *);
static const char	*authority_read(struct url *, const char *);
static bool		 port_read(struct url *, const char *, size_t);
static char		*target_encode(const char *);
static int		 hex_value(char);

/* Behind the scheme, NULL when it is none of ours.  No "://": ws. */
static const char *
scheme_read(struct url *u, const char *text)
{
	const char	*mark = strstr(text, "://");

	if (mark == NULL)
		return text;
	u->tls = mark - text == 3;
	if ((mark - text == 2 && strncasecmp(text, "ws", 2) == 0) ||
	    (mark - text == 3 && strncasecmp(text, "wss", 3) == 0))
		return mark + 3;
	return NULL;
}

static bool
port_read(struct url *u, const char *text, size_t len)
{
	unsigned long	 port;
	char		 digits[6], *end;

	if (len == 0 || len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (strspn(digits, "0123456789") != len)
		return false;
	port = strtoul(digits, &end, 10);
	if (port == 0 || port > 65535)
		return false;
	u->port = (uint16_t)port;
	return true;
}

/* Behind HOST[:PORT], NULL when it is malformed. */
static const char *
authority_read(struct url *u, const char *text)
{
	size_t		 len = strcspn(text, "/?#"), hostlen;
	const char	*host = text, *port = NULL, *end = text + len;

	if (len == 0 || len >= sizeof(u->authority))
		return NULL;
	if (host[0] == '[') {
		const char	*close = memchr(host, ']', len);

		if (close == NULL)
			return NULL;
		hostlen = (size_t)(close - ++host);
		if (close + 1 < end && close[1] != ':')
			return NULL;
		port = close + 1 < end ? close + 2 : NULL;
	} else {
		const char	*colon = memchr(host, ':', len);

		hostlen = colon != NULL ? (size_t)(colon - host) : len;
		port = colon != NULL ? colon + 1 : NULL;
	}
	if (hostlen == 0 || hostlen >= sizeof(u->host))
		return NULL;
	memcpy(u->host, host, hostlen);
	u->host[hostlen] = '\0';
	/* What may not stand in a Host header may not stand in a name. */
	if (strpbrk(u->host, " \t\r\n\"'<>@\\^`{|}%") != NULL)
		return NULL;
	u->port = u->tls ? 443 : 80;
	if (port != NULL && !port_read(u, port, (size_t)(end - port)))
		return NULL;
	memcpy(u->authority, text, len);
	u->authority[len] = '\0';
	return end;
}

static int
hex_value(char c)
{
	static const char	 digits[] = "0123456789abcdef";
	const char		*at;

	if (c == '\0')
		return -1;
	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = strchr(digits, c);
	return at != NULL ? (int)(at - digits) : -1;
}

/* Path and query as they are, but what HTTP forbids there is escaped. */
static char *
target_encode(const char *text)
{
	size_t		 len = strcspn(text, "#"), i, n = 0;
	unsigned char	 c;
	char		*out;

	if ((out = malloc(len * 3 + 2)) == NULL)
		fatal("malloc");
	if (text[0] != '/')
		out[n++] = '/';
	for (i = 0; i < len; i++) {
		c = (unsigned char)text[i];
		if (c > 0x20 && c < 0x7f &&
		    strchr("\"<>\\^`{|}", c) == NULL &&
		    (c != '%' || (hex_value(text[i + 1]) >= 0 &&
		    hex_value(text[i + 2]) >= 0)))
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, 4, "%%%02X", c);
	}
	out[n] = '\0';
	return out;
}

bool
url_parse(struct url *u, const char *text, const char **why)
{
	memset(u, 0, sizeof(*u));
	*why = "the address must begin with ws:// or wss://";
	if ((text = scheme_read(u, text)) == NULL)
		return false;
	*why = "the address has no proper HOST or HOST:PORT";
	if ((text = authority_read(u, text)) == NULL)
		return false;
	u->target = target_encode(text);
	return true;
}

void
url_clear(struct url *u)
{
	free(u->target);
	u->target = NULL;
}

char *
url_user(const struct url *u)
{
	size_t	 len = strcspn(u->target, "?"), from = len, i, n = 0;
	int	 high, low;
	char	*user;

	while (from > 0 && u->target[from - 1] != '/')
		from--;
	if (from == len || (user = malloc(len - from + 1)) == NULL)
		return NULL;
	for (i = from; i < len; i++) {
		if (u->target[i] == '%' && len - i > 2 &&
		    (high = hex_value(u->target[i + 1])) >= 0 &&
		    (low = hex_value(u->target[i + 2])) >= 0) {
			user[n++] = (char)(high << 4 | low);
			i += 2;
		} else
			user[n++] = u->target[i];
	}
	user[n] = '\0';
	if (strlen(user) != n) {
		free(user);
		return NULL;
	}
	return user;
}
