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
 * The policy table.  Runs in: every process.  Read the rows as sentences:
 * front runs as _xbotfront, in an empty root, may accept, and nothing else.
 * A new process is one row here, its edges, its keywords, its man page.
 */

#include <sys/types.h>

#include <stdio.h>
#include <string.h>

#include "compat/compat.h"
#include "policy.h"

static const char	*root_name(enum policy_root);

/*
 * Limits.  nofile: what the process holds at its configured maximum, and
 * some reserve; past it accept() pauses.  data: what it needs at that maximum
 * with full buffers; past it malloc fails and the request is refused, so one
 * leaking process cannot take the machine with it.
 */
static const struct policy policies[ROLE_MAX] = {
	[ROLE_SUPERVISOR] = {
		.role = ROLE_SUPERVISOR,
		.name = "supervisor", .binary = "xbot-supervisor",
		.user = NULL, .root = POLICY_ROOT_HOST, .rights = MAY_ALL,
		.nofile = 8192, .data_mb = POLICY_NOLIMIT,
		.footnote = "fork, exec, kill and other uids are its work; it "
		    "parses its configuration and no stranger's byte"
	},
	[ROLE_FRONT] = {
		.role = ROLE_FRONT,
		.name = "front", .binary = "xbot-front",
		.user = "_xbotfront", .root = POLICY_ROOT_EMPTY,
		.rights = MAY_ACCEPT,
		.nofile = 65536, .data_mb = 2048,
		.footnote = "accepts on the TCP listeners it is handed; "
		    "parses strangers' TLS, HTTP and WebSocket, so it holds no "
		    "file, no database, no key but those of its listeners"
	},
	[ROLE_CONTROL] = {
		.role = ROLE_CONTROL,
		.name = "control", .binary = "xbot-front",
		.user = "_xbotctl", .root = POLICY_ROOT_EMPTY,
		.rights = MAY_ACCEPT,
		.nofile = 1024, .data_mb = 256,
		.footnote = "accepts on the unix socket it is handed; apart "
		    "from front so that a flooded front can be looked into"
	},
	[ROLE_LEDGER] = {
		.role = ROLE_LEDGER,
		.name = "ledger", .binary = "xbot-ledger",
		.user = "_xbotledger", .root = POLICY_ROOT_STATE,
		.rights = MAY_READ | MAY_WRITE,
		.nofile = 256, .data_mb = 512,
		.paths = "its state directory",
		.footnote = "files in its state directory: the database"
	},
	[ROLE_NONE] = {
		.role = ROLE_NONE,
		.name = "none", .binary = "xbot-session",
		.user = "_xbotnone", .root = POLICY_ROOT_EMPTY,
		.rights = 0,
		.nofile = 4096, .data_mb = 1024,
		.footnote = "nothing: the parent starts the executors and "
		    "hands it their sockets"
	},
	[ROLE_BOX] = {
		.role = ROLE_BOX,
		.name = "box", .binary = "xbot-session",
		.user = "_xbotbox", .root = POLICY_ROOT_EMPTY,
		.rights = 0,
		.nofile = 4096, .data_mb = 1024,
		.footnote = "nothing: docker hands it the executors' sockets; "
		    "what comes over them is hostile"
	},
	[ROLE_DOCKER] = {
		.role = ROLE_DOCKER,
		.name = "docker", .binary = "xbot-docker",
		.user = "_xbotdocker", .engine_group = 1,
		.root = POLICY_ROOT_HOST,
		.rights = MAY_ACCEPT | MAY_LISTEN_UNIX | MAY_CONNECT_UNIX |
		    MAY_READ | MAY_WRITE,
		.nofile = 4096, .data_mb = 512,
		.paths = "the Engine's socket, <state>/box",
		.footnote = "connects to the Engine (that is root, so it "
		    "parses no executor's frame); listens for executors in "
		    "box and passes their connections on"
	},
	[ROLE_REMOTE] = {
		.role = ROLE_REMOTE,
		.name = "remote", .binary = "xbot-remote",
		.user = "_xbotremote", .root = POLICY_ROOT_EMPTY,
		.rights = 0,
		.nofile = 256, .data_mb = 2048,
		.footnote = "nothing: parses runners' messages, their "
		    "connections stay in front"
	},
	[ROLE_REAPER] = {
		.role = ROLE_REAPER,
		.name = "reaper", .binary = "xbot-reaper",
		.user = "_xbotreaper", .root = POLICY_ROOT_EMPTY,
		.rights = MAY_TIMERS,
		.nofile = 64, .data_mb = 128,
		.footnote = "looks for idle sandboxes and asks; it does "
		    "nothing itself"
	},
	[ROLE_LLM] = {
		.role = ROLE_LLM,
		.name = "llm", .binary = "xbot-llm",
		.user = "_xbotllm", .root = POLICY_ROOT_HOST,
		.rights = MAY_CONNECT_TCP | MAY_THREAD | MAY_READ,
		.nofile = 1024, .data_mb = 512,
		.paths = "CA bundle, resolver files",
		.footnote = "connects to the provider; a thread for libcurl's "
		    "resolver; holds the provider's key"
	},
	[ROLE_SKILL] = {
		.role = ROLE_SKILL,
		.name = "skill", .binary = "xbot-skill",
		.user = "_xbotskill", .root = POLICY_ROOT_EMPTY,
		.rights = 0,
		.nofile = 1024, .data_mb = 1024,
		.footnote = "nothing: it speaks with front and with the "
		    "interpreter it started before it entered this row, which "
		    "forks each run into a jail of its own (the Python "
		    "library, outbound TCP); holds no secret but the runs'"
	},
	[ROLE_KEYS] = {
		.role = ROLE_KEYS,
		.name = "keys", .binary = NULL,
		.user = "_xbotkeys", .root = POLICY_ROOT_EMPTY,
		.rights = 0,
		.nofile = 64, .data_mb = 64,
		.footnote = "nothing: reads the TLS keys before it enters, "
		    "signs digests for front"
	}
};

static const struct right_name {
	unsigned int	 bit;
	const char	*name;
} right_names[] = {
	{ MAY_ACCEPT,		"accept" },
	{ MAY_LISTEN_UNIX,	"listen-unix" },
	{ MAY_CONNECT_UNIX,	"connect-unix" },
	{ MAY_CONNECT_TCP,	"connect-tcp" },
	{ MAY_FORK,		"fork" },
	{ MAY_EXEC,		"exec" },
	{ MAY_THREAD,		"thread" },
	{ MAY_KILL,		"kill" },
	{ MAY_READ,		"read" },
	{ MAY_WRITE,		"write" },
	{ MAY_TIMERS,		"timers" }
};

const struct policy *
policy_get(enum role role)
{
	if ((unsigned int)role >= ROLE_MAX)
		return NULL;
	return &policies[role];
}

enum role
policy_by_name(const char *name)
{
	int	 i;

	for (i = 0; i < ROLE_MAX; i++)
		if (strcmp(policies[i].name, name) == 0)
			return (enum role)i;
	return ROLE_MAX;
}

void
policy_rights(unsigned int rights, char *buf, size_t size)
{
	size_t	 i;

	if (size == 0)
		return;
	buf[0] = '\0';
	for (i = 0; i < sizeof(right_names) / sizeof(right_names[0]); i++) {
		if (!(rights & right_names[i].bit))
			continue;
		if (buf[0] != '\0')
			(void)strlcat(buf, " ", size);
		(void)strlcat(buf, right_names[i].name, size);
	}
	if (buf[0] == '\0')
		(void)strlcpy(buf, "nothing", size);
}

static const char *
root_name(enum policy_root root)
{
	switch (root) {
	case POLICY_ROOT_HOST:
		return "/";
	case POLICY_ROOT_EMPTY:
		return "/var/empty";
	case POLICY_ROOT_STATE:
		return "state";
	}
	return "?";
}

/* Comment lines, so that the output of -nv stays a configuration file. */
void
policy_print(FILE *fp)
{
	const struct policy	*p;
	char			 rights[128], data[24];
	int			 i;

	fprintf(fp, "# %-10s %-12s %-11s %6s %6s  %s\n", "process", "user",
	    "root", "files", "MiB", "may");
	for (i = 0; i < ROLE_MAX; i++) {
		p = &policies[i];
		policy_rights(p->rights, rights, sizeof(rights));
		if (p->role == ROLE_SUPERVISOR)
			(void)strlcpy(rights, "everything", sizeof(rights));
		if (p->data_mb == POLICY_NOLIMIT)
			(void)strlcpy(data, "-", sizeof(data));
		else
			(void)snprintf(data, sizeof(data), "%lu", p->data_mb);
		fprintf(fp, "# %-10s %-12s %-11s %6lu %6s  %s%s%s\n", p->name,
		    p->user != NULL ? p->user : "-", root_name(p->root),
		    p->nofile, data, rights, p->paths != NULL ? ": " : "",
		    p->paths != NULL ? p->paths : "");
		fprintf(fp, "#   %s%s\n", p->footnote,
		    p->binary == NULL ? " (not in this version)" : "");
	}
}
