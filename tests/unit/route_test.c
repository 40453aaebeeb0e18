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
 * Routing as a table: contract/http-api.md's rules 1 to 6, the seeds' matrix
 * of modes, web users.  The rule is a pure function; nothing runs here.
 */

#include <stdio.h>
#include <string.h>

#include "supervisor/front/routes.h"

/* What is configured. */
#define HOST	0x01
#define DOCKER	0x02
#define REMOTE	0x04
#define WEBOK	0x08		/* web user server runner yes */

/* Runners: letters in order of creation, capital when connected. */
struct row {
	const char	*what;
	unsigned int	 conf;
	const char	*user, *active, *bound, *runners;
	const char	*want;		/* "remote a", "docker", an error ... */
};

static const struct row rows[] = {
	/* the seeds' matrix: SANDBOX_MODE, SANDBOX_REMOTE_MODE */
	{ "mode docker", DOCKER, "u", NULL, NULL, "", "docker" },
	{ "mode none, remote", REMOTE, "u", NULL, NULL, "", "EOFFLINE" },
	{ "mode none, remote, one", REMOTE, "u", NULL, NULL, "A", "remote a" },
	{ "docker, remote", DOCKER | REMOTE, "u", NULL, NULL, "", "docker" },
	{ "docker, remote, one", DOCKER | REMOTE, "u", NULL, NULL, "A",
	    "remote a" },
	{ "mode none", HOST, "u", NULL, NULL, "", "none" },
	{ "nothing", 0, "u", NULL, NULL, "", "EOFFLINE" },
	{ "all, nobody there", HOST | DOCKER | REMOTE, "u", NULL, NULL, "",
	    "docker" },
	{ "host and remote", HOST | REMOTE, "u", NULL, NULL, "", "none" },
	{ "host and remote, one", HOST | REMOTE, "u", NULL, NULL, "A",
	    "remote a" },
	/* 1: a binding never falls through */
	{ "bound, online", HOST | DOCKER | REMOTE, "u", "b", "a", "AB",
	    "remote a" },
	{ "bound, offline", HOST | DOCKER | REMOTE, "u", "b", "a", "aB",
	    "EOFFLINE" },
	{ "bound, deleted", HOST | DOCKER | REMOTE, "u", "b", "x", "AB",
	    "EOFFLINE" },
	{ "bound to docker", HOST | DOCKER | REMOTE, "u", "a", "__docker__",
	    "A", "docker" },
	{ "bound to docker, none", HOST | REMOTE, "u", "a", "__docker__",
	    "A", "EOFFLINE" },
	{ "bound, remote off", HOST | DOCKER, "u", NULL, "a", "A",
	    "EOFFLINE" },
	/* 2: docker is active */
	{ "active docker", HOST | DOCKER | REMOTE, "u", "__docker__", NULL,
	    "A", "docker" },
	{ "active docker, disabled", HOST | REMOTE, "u", "__docker__", NULL,
	    "A", "remote a" },
	{ "active docker, disabled, nobody", HOST | REMOTE, "u",
	    "__docker__", NULL, "a", "none" },
	/* 3: the active runner */
	{ "active", DOCKER | REMOTE, "u", "b", NULL, "AB", "remote b" },
	{ "active offline: another", DOCKER | REMOTE, "u", "b", NULL, "Ab",
	    "remote a" },
	{ "active gone: another", DOCKER | REMOTE, "u", "x", NULL, "A",
	    "remote a" },
	{ "none set: oldest created", DOCKER | REMOTE, "u", NULL, NULL,
	    "AB", "remote a" },
	{ "empty: oldest created", DOCKER | REMOTE, "u", "", NULL, "AB",
	    "remote a" },
	/* 4: any connected, the oldest */
	{ "oldest connected", DOCKER | REMOTE, "u", "c", NULL, "ABc",
	    "remote a" },
	{ "none set, oldest offline", DOCKER | REMOTE, "u", NULL, NULL,
	    "aBC", "remote b" },
	{ "remote off", DOCKER, "u", "a", NULL, "A", "docker" },
	{ "remote off, host", HOST, "u", "a", NULL, "A", "none" },
	/* 5 and 6 */
	{ "all offline: docker", HOST | DOCKER | REMOTE, "u", "a", NULL,
	    "ab", "docker" },
	{ "all offline: host", HOST | REMOTE, "u", "a", NULL, "a", "none" },
	{ "all offline: nothing", REMOTE, "u", "a", NULL, "a", "EOFFLINE" },
	/* web users */
	{ "web, docker", DOCKER, "web-1", NULL, NULL, "", "EPERM" },
	{ "web, host", HOST, "web-1", NULL, NULL, "", "EPERM" },
	{ "web, nothing", REMOTE, "web-1", NULL, NULL, "", "EOFFLINE" },
	{ "web, own runner", DOCKER | REMOTE, "web-1", NULL, NULL, "A",
	    "remote a" },
	{ "web, own runner gone", DOCKER | REMOTE, "web-1", "a", NULL, "a",
	    "EPERM" },
	{ "web, active docker", DOCKER | REMOTE, "web-1", "__docker__", NULL,
	    "A", "EPERM" },
	{ "web, bound to docker", DOCKER | REMOTE, "web-1", NULL,
	    "__docker__", "A", "EPERM" },
	{ "web, allowed, docker", DOCKER | WEBOK, "web-1", NULL, NULL, "",
	    "docker" },
	{ "web, allowed, host", HOST | WEBOK, "web-1", NULL, NULL, "",
	    "none" },
	{ "web, allowed, active docker", DOCKER | REMOTE | WEBOK, "web-1",
	    "__docker__", NULL, "A", "docker" },
	{ "web without dash", DOCKER, "webster", NULL, NULL, "", "docker" },
	{ "web alone", DOCKER, "web", NULL, NULL, "", "docker" }
};

static size_t	 runners_make(const char *, struct route_runner *,
		    char (*)[2]);
static void	 say(const struct route_decision *, char *, size_t);

static size_t
runners_make(const char *s, struct route_runner *r, char (*names)[2])
{
	size_t i, n = strlen(s);

	for (i = 0; i < n; i++) {
		memset(&r[i], 0, sizeof(r[i]));
		names[i][0] = (char)(s[i] | 0x20);
		names[i][1] = '\0';
		r[i].name = names[i];
		r[i].online = s[i] < 'a';
		r[i].created = i;
		if (i > 0)
			r[i - 1].next = &r[i];
	}
	return n;
}

static void
say(const struct route_decision *d, char *dst, size_t size)
{
	if (d->code != XERR_NONE)
		(void)snprintf(dst, size, "%s", xerr_name(d->code));
	else if (d->backend == BACKEND_REMOTE)
		(void)snprintf(dst, size, "remote %s", d->runner);
	else
		(void)snprintf(dst, size, "%s", backend_name(d->backend));
}

int
main(void)
{
	const struct row	*row;
	struct route_runner	 runners[8];
	struct route_decision	 d;
	struct route_view	 v;
	char			 names[8][2], got[64];
	size_t			 i;
	int			 failures = 0;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		row = &rows[i];
		memset(&v, 0, sizeof(v));
		v.host = row->conf & HOST;
		v.docker = row->conf & DOCKER;
		v.remote = row->conf & REMOTE;
		v.web_server_runner = row->conf & WEBOK;
		v.user = row->user;
		v.active = row->active;
		v.bound = row->bound;
		if (runners_make(row->runners, runners, names) > 0)
			v.runners = runners;
		d = route_decide(&v);
		say(&d, got, sizeof(got));
		if (strcmp(got, row->want) != 0 || d.reason[0] == '\0') {
			printf("%s: %s, not %s (%s)\n", row->what, got,
			    row->want, d.reason);
			failures++;
		}
		if ((strcmp(got, "docker") == 0) !=
		    (strcmp(d.runner, "__docker__") == 0)) {
			printf("%s: runner %s\n", row->what, d.runner);
			failures++;
		}
	}
	return failures != 0;
}
