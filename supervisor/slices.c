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

#include <grp.h>
#include <stdio.h>

#include "base/chan.h"
#include "base/skills.h"
#include "proto/ctl_msg.h"
#include "proto/jobs.h"
#include "supervisor/boxes.h"
#include "supervisor/certs.h"
#include "supervisor/conf.h"
#include "supervisor/executors.h"
#include "supervisor/slices.h"

static struct slice
text(const char *s)
{
	return s == NULL ? (struct slice){ "", 0 } : slice_str(s);
}

static uint8_t
dialect(const struct conf *conf)
{
	return conf->llm.provider == CONF_LLM_ANTHROPIC ? LLM_ANTHROPIC :
	    LLM_OPENAI;
}

/* Control cannot look it up.  Nobody's when there is none of that name. */
static struct slice
group_number(const char *name, char dst[16])
{
	struct group *gr = name == NULL ? NULL : getgrnam(name);

	if (gr == NULL)
		return text(NULL);
	(void)snprintf(dst, 16, "%u", (unsigned int)gr->gr_gid);
	return slice_str(dst);
}

static void
slice_front(const struct conf *conf, struct chan *c)
{
	char url[512], group[16];
	struct ctl_conf_front f = {
		.json_max = conf->limit_json,
		.header_max = conf->limit_header,
		.output_max = conf->limit_output,
		.file_max = conf->limit_file,
		.user_exec = conf->user_exec,
		.user_task = conf->user_task,
		.user_pty = conf->user_pty,
		.user_rate = conf->user_rate,
		.host = conf->have_host,
		.docker = conf->have_docker,
		.remote = conf->have_remote,
		.web_server_runner = conf->web_user,
		.public_url = text(public_url(conf, url, sizeof(url))),
		.docker_image = text(conf->docker.image),
		.admin_group = group_number(conf->control_group, group),
		.audit = conf->audit != NULL,
		.user_llm = conf->user_llm,
		.llm_max = conf->limit_llm,
		.llm = conf->llm.enabled,
		.llm_dialect = dialect(conf),
		.llm_model = text(conf->llm.model),
	};

	chan_send(c, CTL_CONF_FRONT, 0, &f);
}

static void
slice_front_skill(const struct conf *conf, struct chan *c)
{
	struct ctl_conf_front_skill s = {
		.token = text(conf->skill.enabled ? conf->skill.token.value :
		    NULL)
	};

	chan_send(c, CTL_CONF_FRONT_SKILL, 0, &s);
}

/* Front alone has strangers: control is a unix socket. */
static void
slice_front_public(const struct conf *conf, struct chan *c)
{
	slice_front(conf, c);
	slice_front_skill(conf, c);
	certs_send(c);
}

static void
slice_ledger(const struct conf *conf, struct chan *c)
{
	struct ctl_conf_ledger l = {
		.dir = text(conf->state),
		.api_token = text(conf->api_token.value),
		.runner_token = text(conf->auth_token.value),
		.docker = conf->have_docker,
		.slots = executors_slots(conf),
	};

	chan_send(c, CTL_CONF_LEDGER, 0, &l);
}

static void
slice_session(const struct conf *conf, struct chan *c)
{
	struct ctl_conf_session s = { .slots = executors_slots(conf) > 0 };

	chan_send(c, CTL_CONF_SESSION, 0, &s);
}

static void
slice_box(const struct conf *conf, struct chan *c)
{
	struct ctl_conf_session s = { .slots = false };

	chan_send(c, CTL_CONF_SESSION, 0, &s);
}

static void
slice_reaper(const struct conf *conf, struct chan *c)
{
	struct ctl_conf_reaper r = { .idle = conf->docker.idle };

	chan_send(c, CTL_CONF_REAPER, 0, &r);
}

static void
slice_remote(const struct conf *conf, struct chan *c)
{
	struct ctl_conf_remote r = {
		.message_limit = conf->rem.message,
		.assembly_budget = conf->rem.budget,
		.skills = text(conf->rem.skills),
		.agents = text(conf->rem.agents),
	};

	chan_send(c, CTL_CONF_REMOTE, 0, &r);
}

static void
slice_llm(const struct conf *conf, struct chan *c)
{
	struct ctl_conf_llm l = {
		.dialect = dialect(conf),
		.base_url = text(conf->llm.base_url),
		.key = text(conf->llm.key.value),
		.ca_file = text(conf->llm.ca),
		.first_ms = conf->llm.timeout * 1000,
		.idle_ms = conf->llm.idle * 1000,
	};

	chan_send(c, CTL_CONF_LLM, 0, &l);
}

static void
slice_skill(const struct conf *conf, struct chan *c)
{
	static const enum skill_policy policies[] = {
		[CONF_POLICY_NONE] = SKILL_NONE,
		[CONF_POLICY_PERMISSIVE] = SKILL_PERMISSIVE,
		[CONF_POLICY_RESTRICTIVE] = SKILL_RESTRICTIVE,
	};
	struct ctl_conf_skill s = {
		.policy = (uint8_t)policies[conf->skill.policy],
		.testing = conf->skill.testing,
		.timeout = conf->skill.timeout,
		.memory = conf->skill.memory,
		.processes = conf->skill.processes,
		.api_url = text(conf->skill.api_url),
	};

	chan_send(c, CTL_CONF_SKILL, 0, &s);
}

static bool
want_front(const struct conf *conf)
{
	return true;
}

static bool
want_skill(const struct conf *conf)
{
	return conf->skill.enabled;
}

static bool
want_api(const struct conf *conf)
{
	return !conf->skill_only;
}

static bool
want_host(const struct conf *conf)
{
	return want_api(conf) && conf->have_host;
}

static bool
want_remote(const struct conf *conf)
{
	return want_api(conf) && conf->have_remote;
}

static bool
want_docker(const struct conf *conf)
{
	return want_api(conf) && conf->have_docker;
}

static bool
want_llm(const struct conf *conf)
{
	return want_api(conf) && conf->llm.enabled;
}

static const struct {
	bool	(*wanted)(const struct conf *);
	void	(*send)(const struct conf *, struct chan *);
} rows[ROLE_MAX] = {
	[ROLE_FRONT] = { want_front, slice_front_public },
	[ROLE_CONTROL] = { want_api, slice_front },
	[ROLE_LEDGER] = { want_api, slice_ledger },
	[ROLE_NONE] = { want_host, slice_session },
	[ROLE_BOX] = { want_docker, slice_box },
	[ROLE_DOCKER] = { want_docker, boxes_slice },
	[ROLE_REMOTE] = { want_remote, slice_remote },
	[ROLE_SKILL] = { want_skill, slice_skill },
	[ROLE_REAPER] = { want_docker, slice_reaper },
	[ROLE_LLM] = { want_llm, slice_llm },
};

bool
slices_wants(const struct conf *conf, enum role role)
{
	return rows[role].wanted != NULL && rows[role].wanted(conf);
}

void
slices_send(const struct conf *conf, enum role role, struct chan *c)
{
	rows[role].send(conf, c);
}
