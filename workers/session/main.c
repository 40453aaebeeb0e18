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
 * xbot-session: runs users' jobs in executors.  Runs as: none (executors on the
 * host, which the parent starts) and box (executors in containers, which
 * docker finds).  May do nothing but speak on the descriptors it is given.
 */

#include "base/child.h"
#include "proto/ctl_msg.h"
#include "workers/session/session.h"

static struct client	front, control;
static bool		slots;

static void
on_conf_session(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_session *s = m->body;

	slots = s->slots;
}

bool
session_has_slots(void)
{
	return slots;
}

static const struct rule from_parent[] = {
	{ CTL_CONF_SESSION, STATES_ALL, on_conf_session },
	{ CTL_EXECUTOR, STATES_ALL, on_executor },
	{ CTL_EXECUTOR_REFUSED, STATES_ALL, on_executor_refused },
};

static const struct rule from_docker[] = {
	{ CTL_EXECUTOR, STATES_ALL, on_executor },
	{ CTL_EXECUTOR_REFUSED, STATES_ALL, on_executor_refused },
	{ CTL_SANDBOX_ENDED, STATES_ALL, on_sandbox_ended },
	{ CTL_SANDBOX_HELD, STATES_ALL, on_sandbox_held },
};

static const struct rule from_ledger[] = {
	{ CTL_SLOT, STATES_ALL, on_slot },
};

static const struct rules ledger_rules = {
	from_ledger, sizeof(from_ledger) / sizeof(from_ledger[0]), FROM_L, NULL
};

static const struct rules docker_rules = {
	from_docker, sizeof(from_docker) / sizeof(from_docker[0]), FROM_D,
	box_docker_closed
};

struct chan *
session_launcher(void)
{
	return child_role() == ROLE_BOX ? child_peer(ROLE_DOCKER) :
	    child_parent();
}

static const struct rules *
peer_rules(enum role role, void **arg)
{
	if (role == ROLE_LEDGER)
		return &ledger_rules;
	if (role == ROLE_DOCKER)
		return &docker_rules;
	if (role != ROLE_FRONT && role != ROLE_CONTROL)
		return NULL;
	*arg = role == ROLE_FRONT ? &front : &control;
	return &session_rules;
}

static void
peer_up(enum role role, struct chan *c)
{
	if (role == ROLE_DOCKER)
		box_docker_up();
	if (role == ROLE_LEDGER || role == ROLE_DOCKER)
		executor_ask_again();
	else
		((struct client *)chan_arg(c))->chan = c;
}

static const struct child_ops ops = {
	.roles = 1u << ROLE_NONE | 1u << ROLE_BOX,
	.from_parent = from_parent,
	.nfrom_parent = sizeof(from_parent) / sizeof(from_parent[0]),
	.peer_rules = peer_rules,
	.peer_up = peer_up,
};

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &ops);
}
