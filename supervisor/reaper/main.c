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
 * xbot-reaper: looks for sandboxes that nobody uses.  Runs as: reaper.  May
 * do nothing but ask: ledger for what there is, docker for what to do.
 */

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"

static uint32_t	idle_s;

static void
on_conf_reaper(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_reaper *r = m->body;

	idle_s = r->idle;
	log_debug("idle timeout %u s", idle_s);
}

static void
on_row(struct chan *c, const struct msg *m)
{
}

static void
on_scanned(struct chan *c, const struct msg *m)
{
}

static void
on_swept(struct chan *c, const struct msg *m)
{
}

static void
on_done(struct chan *c, const struct msg *m)
{
}

static const struct rule from_parent[] = {
	{ CTL_CONF_REAPER, STATES_ALL, on_conf_reaper },
};

static const struct rule ledger_table[] = {
	{ CTL_SANDBOX_ROW, STATES_ALL, on_row },
	{ CTL_SANDBOX_SCANNED, STATES_ALL, on_scanned },
};

static const struct rule docker_table[] = {
	{ CTL_SANDBOX_SWEPT, STATES_ALL, on_swept },
	{ CTL_SANDBOX_DONE, STATES_ALL, on_done },
};

static const struct rules ledger_rules = {
	ledger_table, sizeof(ledger_table) / sizeof(ledger_table[0]), FROM_L,
	NULL
};

static const struct rules docker_rules = {
	docker_table, sizeof(docker_table) / sizeof(docker_table[0]), FROM_D,
	NULL
};

static const struct rules *
peer_rules(enum role role, void **arg)
{
	return role == ROLE_LEDGER ? &ledger_rules :
	    role == ROLE_DOCKER ? &docker_rules : NULL;
}

static const struct child_ops ops = {
	.roles = 1u << ROLE_REAPER,
	.from_parent = from_parent,
	.nfrom_parent = sizeof(from_parent) / sizeof(from_parent[0]),
	.peer_rules = peer_rules,
};

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &ops);
}
