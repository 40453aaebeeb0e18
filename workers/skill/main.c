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
 * xbot-skill: runs skills.  Runs as: skill, which speaks with front and with
 * its zygote and may do nothing else.
 */

#include <stdio.h>
#include <string.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/skill/skill.h"

struct skill_conf	 skill_conf;

static struct skill_conf next_conf;
static struct zygote	 zygote;

static void
on_conf(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_skill *p = m->body;

	/* Compared as a whole later on. */
	memset(&next_conf, 0, sizeof(next_conf));
	next_conf.policy = p->policy <= SKILL_RESTRICTIVE ? p->policy :
	    SKILL_RESTRICTIVE;
	next_conf.testing = p->testing;
	next_conf.timeout = p->timeout;
	next_conf.memory = p->memory;
	next_conf.processes = p->processes;
	(void)slice_copy(next_conf.api_url, sizeof(next_conf.api_url),
	    p->api_url);
}

static void
reloaded(void)
{
	if (memcmp(&skill_conf, &next_conf, sizeof(skill_conf)) == 0)
		return;
	skill_conf = next_conf;
	if (zygote.pid != 0)
		runs_renew();
}

/* Before the row is entered: it may do nothing of this. */
static bool
prepare(enum role role, struct priv_opts *opts)
{
	reloaded();
	return zygote_start(&zygote, opts->mode);
}

static bool
entered(void)
{
	runs_init(&zygote);
	return true;
}

static void
stop(void)
{
	runs_stop();
	child_exit();
}

static const struct rules *
peer_rules(enum role role, void **arg)
{
	return role == ROLE_FRONT ? &front_rules : NULL;
}

static const struct rule from_parent[] = {
	{ CTL_CONF_SKILL, STATES_ALL, on_conf }
};

static const struct child_ops ops = {
	.roles = 1u << ROLE_SKILL,
	.from_parent = from_parent,
	.nfrom_parent = sizeof(from_parent) / sizeof(from_parent[0]),
	.peer_rules = peer_rules,
	.prepare = prepare,
	.entered = entered,
	.reloaded = reloaded,
	.stop = stop
};

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &ops);
}
