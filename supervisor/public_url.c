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
 * Where runners connect when the configuration does not say it.
 * Runs in: supervisor.  Asks nobody: a name of this host is a good guess, the
 * administrator's `public url' is better.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/conf.h"
#include "supervisor/slices.h"

static bool
is_wildcard(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* The machines of users cannot connect there. */
static bool
is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	    strncmp(host, "127.", 4) == 0;
}

/* Where runners may connect, from elsewhere if at all; NULL: nowhere. */
static const struct conf_listen *
runners_listen(const struct conf *conf)
{
	const struct conf_listen	*l, *local = NULL;

	TAILQ_FOREACH(l, &conf->listens, entry) {
		if (!(l->flags & CONF_LISTEN_WS))
			continue;
		if (!is_loopback(l->host))
			return l;
		if (local == NULL)
			local = l;
	}
	return local;
}

const char *
public_url(const struct conf *conf, char *buf, size_t len)
{
	const struct conf_listen	*l;
	char				 host[256];
	bool				 v6;

	if (conf->public_url != NULL)
		return conf->public_url;
	if ((l = runners_listen(conf)) == NULL)
		return "";
	/* Nobody can connect to 0.0.0.0. */
	if (!is_wildcard(l->host))
		snprintf(host, sizeof(host), "%s", l->host);
	else if (gethostname(host, sizeof(host)) == -1)
		snprintf(host, sizeof(host), "localhost");
	host[sizeof(host) - 1] = '\0';
	v6 = strchr(host, ':') != NULL;
	snprintf(buf, len, "%s://%s%s%s:%u",
	    l->flags & CONF_LISTEN_TLS ? "wss" : "ws", v6 ? "[" : "", host,
	    v6 ? "]" : "", l->port);
	return buf;
}
