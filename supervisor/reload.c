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

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "base/orders.h"
#include "proto/ctl_msg.h"
#include "supervisor/boxes.h"
#include "supervisor/certs.h"
#include "supervisor/executors.h"
#include "supervisor/listen.h"
#include "supervisor/logger.h"
#include "supervisor/proc.h"
#include "supervisor/reload.h"

static const char	*path;
static struct conf_opts	 opts;
static struct conf	*conf;
static char		 fault[1024];	/* the first of the last reload */

enum log_level
reload_log_level(const struct conf *c)
{
	static const enum log_level levels[] = {
		[CONF_LOG_ERROR] = LOG_LEVEL_ERROR,
		[CONF_LOG_WARNING] = LOG_LEVEL_WARN,
		[CONF_LOG_INFO] = LOG_LEVEL_INFO,
		[CONF_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	};

	return levels[c->loglevel];
}

static void
report(void *arg, enum conf_severity severity, const char *text)
{
	if (severity == CONF_WARNING) {
		log_warnx("%s", text);
		return;
	}
	log_errorx("%s", text);
	if (fault[0] == '\0')
		snprintf(fault, sizeof(fault), "%s", text);
}

void
reload_init(const char *the_path, const struct conf_opts *the_opts)
{
	path = the_path;
	opts = *the_opts;
	opts.report = report;
}

struct conf *
reload_conf(void)
{
	return conf;
}

void
reload_set_conf(struct conf *new)
{
	conf_free(conf);
	conf = new;
}

/* Everything that can fail comes before anything is changed. */
bool
reload(void)
{
	struct conf	*new, *old = conf;
	int		 audit = -1;

	fault[0] = '\0';
	if ((new = conf_load(path, &opts)) == NULL)
		goto fail;
	if (conf_check_reload(conf, new, fault, sizeof(fault)) == -1)
		goto fail;
	if (!proc_users(new, fault, sizeof(fault)) ||
	    !certs_load(new, fault, sizeof(fault)))
		goto fail;
	if (!new->skill_only && new->audit != NULL &&
	    (audit = logger_audit_open(new->audit)) == -1) {
		snprintf(fault, sizeof(fault), "audit log %s: %s", new->audit,
		    strerror(errno));
		goto fail;
	}
	if (!executors_init(new) || !boxes_init(new)) {
		snprintf(fault, sizeof(fault), "workspace: see the log");
		executors_init(conf);
		boxes_init(conf);
		goto fail;
	}
	if (!listen_open(new)) {
		snprintf(fault, sizeof(fault), "a listener: see the log");
		executors_init(conf);
		boxes_init(conf);
		goto fail;
	}
	if (!new->skill_only)
		logger_audit_use(new->audit, audit);
	conf = new;
	logger_set_level(reload_log_level(conf));
	proc_log_level(logger_level());
	certs_commit();
	listen_commit();
	proc_reconfigure(conf);
	conf_free(old);
	log_info("configuration reloaded");
	return true;
fail:
	log_errorx("configuration not reloaded: %s", fault);
	certs_discard();
	conf_free(new);
	if (audit != -1)
		close(audit);
	return false;
}

static bool
order_reload(void)
{
	return reload();
}

static bool
order_verbose(void)
{
	logger_set_level(logger_level() >= LOG_LEVEL_DEBUG ?
	    LOG_LEVEL_TRACE : LOG_LEVEL_DEBUG);
	proc_log_level(logger_level());
	return true;
}

static bool
order_brief(void)
{
	logger_set_level(reload_log_level(conf));
	proc_log_level(logger_level());
	return true;
}

static bool
order_stop(void)
{
	supervisor_stop();
	return true;
}

static bool (*const orders[])(void) = {
	[ORDER_RELOAD] = order_reload,
	[ORDER_VERBOSE] = order_verbose,
	[ORDER_BRIEF] = order_brief,
	[ORDER_STOP] = order_stop,
};

void
on_order(struct chan *c, const struct msg *m)
{
	const struct ctl_order	*o = m->body;
	struct ctl_order_done	 done = { .ok = false };

	/* The table's FROM knows no difference between front and control. */
	if (c != proc_chan(ROLE_CONTROL)) {
		chan_refuse(c, "front gives no orders");
		return;
	}
	if (o->what >= sizeof(orders) / sizeof(orders[0]) ||
	    orders[o->what] == NULL)
		done.text = slice_str("no such order");
	else if (!(done.ok = orders[o->what]()))
		done.text = slice_str(fault);
	chan_send(c, CTL_ORDER_DONE, m->serial, &done);
}
