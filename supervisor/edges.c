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

#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "supervisor/edges.h"
#include "supervisor/proc.h"

static const struct {
	enum role	a, b;
} edges[] = {
	{ ROLE_FRONT,	ROLE_LEDGER },
	{ ROLE_FRONT,	ROLE_NONE },
	{ ROLE_FRONT,	ROLE_REMOTE },
	{ ROLE_FRONT,	ROLE_LLM },
	{ ROLE_FRONT,	ROLE_SKILL },
	{ ROLE_CONTROL,	ROLE_LEDGER },
	{ ROLE_CONTROL,	ROLE_NONE },
	{ ROLE_CONTROL,	ROLE_REMOTE },
	{ ROLE_CONTROL,	ROLE_LLM },
	{ ROLE_NONE,	ROLE_LEDGER },
	{ ROLE_REMOTE,	ROLE_LEDGER },
	{ ROLE_FRONT,	ROLE_BOX },
	{ ROLE_FRONT,	ROLE_DOCKER },
	{ ROLE_CONTROL,	ROLE_BOX },
	{ ROLE_CONTROL,	ROLE_DOCKER },
	{ ROLE_BOX,	ROLE_DOCKER },
	{ ROLE_DOCKER,	ROLE_LEDGER },
	{ ROLE_REAPER,	ROLE_LEDGER },
	{ ROLE_REAPER,	ROLE_DOCKER },
};

/*
 * By how much of strangers' input a process parses: front takes bytes from
 * anybody, remote from runners, box and none from their executors, skill from
 * its runs, control from administrators only, docker from the Engine, llm from
 * one provider, ledger and reaper from none of them.
 */
static const enum role by_trust[] = {
	ROLE_LEDGER, ROLE_REAPER, ROLE_DOCKER, ROLE_CONTROL, ROLE_LLM,
	ROLE_NONE, ROLE_BOX, ROLE_REMOTE, ROLE_SKILL, ROLE_FRONT,
};

static void
end_send(enum role to, enum role peer, int fd)
{
	struct ctl_peer p = {
		.role = (uint8_t)peer,
		.generation = proc_get(peer)->generation,
	};

	chan_send_fd(proc_chan(to), CTL_PEER, 0, &p, fd);
}

void
edges_connect(enum role role)
{
	enum role	other;
	size_t		i;
	int		sv[2];

	for (i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		if (edges[i].a != role && edges[i].b != role)
			continue;
		other = edges[i].a == role ? edges[i].b : edges[i].a;
		if (proc_chan(other) == NULL)
			continue;
		if (chan_pair(sv) == -1) {
			log_warn("socketpair");
			continue;
		}
		end_send(role, other, sv[0]);
		end_send(other, role, sv[1]);
	}
}

enum role
edges_less_trusted(enum role a, enum role b)
{
	size_t		i;
	enum role	less = b;

	for (i = 0; i < sizeof(by_trust) / sizeof(by_trust[0]); i++)
		if (by_trust[i] == a || by_trust[i] == b)
			less = by_trust[i];
	return less;
}
