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
 * xbot-runner: lets a server run commands and touch files on this machine.
 * Runs in: xbot-runner, as the user who started it.  Trusts: that user.
 * Owns: nothing; puts link, launcher and the v1 translation together.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/heap.h"
#include "base/log.h"
#include "base/tls_client.h"
#include "runner/fetch.h"
#include "runner/launch.h"
#include "runner/link.h"
#include "runner/llm.h"
#include "runner/options.h"
#include "runner/resolve.h"
#include "runner/secret.h"
#include "runner/url.h"
#include "runner/v1_llm.h"
#include "runner/v1_req.h"
#include "runner/v1_stream.h"
#include "runner/v1_task.h"
#include "runner/v2.h"
#include "runner/workdir.h"

#define TOKEN_MAX	4096
#define GOODBYE_MS	500	/* for the server's close frame */

static struct {
	struct event_base	*base;
	bool			 stopping;
	bool			 link_done, launch_done;
	struct link_conf	*link_conf;
	bool			 linked;	/* the link was started */
	struct launch_conf	 launch;
	int			 status;
} run;

static bool	options_check(struct options *);
static bool	server_check(struct options *, struct url *);
static bool	way_find(const struct options *, const struct url *,
		    struct link_conf *);
static bool	start(const struct options *, const struct url *,
		    struct link_conf *);
static void	run_stop(void);
static void	on_link_done(bool);
static void	on_launch_done(void);
static void	on_ready(bool);
static void	on_listed(void);
static void	on_signal(evutil_socket_t, short, void *);
static void	on_child(evutil_socket_t, short, void *);
static void	signals_watch(struct event_base *);

/* Everything that can be wrong before anything is started. */
static bool
options_check(struct options *o)
{
	if (!secret_find(&o->token, o->token_file, "XBOT_RUNNER_TOKEN") ||
	    !secret_find(&o->llm_api_key, o->llm_api_key_file,
	    "XBOT_LLM_API_KEY"))
		return false;
	if (o->server[0] == '\0') {
		log_errorx("--server is required: ws://HOST:PORT/ws/USER");
		return false;
	}
	if (o->token[0] == '\0') {
		log_errorx("--token is required (or --token-file, or "
		    "XBOT_RUNNER_TOKEN)");
		return false;
	}
	if (strlen(o->token) > TOKEN_MAX) {
		log_errorx("--token: more than %d bytes", TOKEN_MAX);
		return false;
	}
	if (strcmp(o->mode, "native") != 0 && strcmp(o->mode, "docker") != 0)
		log_warnx("--mode: only docker is special; this is native");
	return true;
}

static bool
server_check(struct options *o, struct url *u)
{
	const char	*why;

	if (!url_parse(u, o->server, &why)) {
		log_errorx("--server: %s", why);
		return false;
	}
	if (o->user_id[0] != '\0')
		return true;
	free(o->user_id);
	if ((o->user_id = url_user(u)) == NULL) {
		log_errorx("no user: --server ends with /ws/USER, or give "
		    "--user-id");
		return false;
	}
	return true;
}

static void
run_stop(void)
{
	run.stopping = true;
	if (run.linked)
		link_stop();
	else
		run.link_done = true;
	launch_stop(on_launch_done);
}

static void
on_link_done(bool good)
{
	run.link_done = true;
	if (!run.stopping) {
		run.status = good ? 0 : 1;
		run.stopping = true;
		launch_stop(on_launch_done);
	}
	if (run.launch_done)
		event_base_loopbreak(run.base);
}

/* The jobs have ended; a server that is slow to say goodbye is not awaited. */
static void
on_launch_done(void)
{
	const struct timeval	 goodbye = { .tv_usec = GOODBYE_MS * 1000 };

	run.launch_done = true;
	if (run.link_done)
		event_base_loopbreak(run.base);
	else
		event_base_loopexit(run.base, &goodbye);
}

/* The first executor is there: only now is there something to offer. */
static void
on_ready(bool good)
{
	struct link_conf	*conf = run.link_conf;

	if (!good) {
		run.status = 1;
		event_base_loopbreak(run.base);
		return;
	}
	conf->reg.workspace = launch_workspace();
	conf->reg.shell = launch_shell();
	llm_list_start(run.base, on_listed);
}

/* What the server is told of the language model is known, too. */
static void
on_listed(void)
{
	if (run.stopping)
		return;
	run.linked = true;
	link_start(run.base, run.link_conf, on_link_done);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	if (run.stopping) {
		launch_kill();
		_exit(0);
	}
	log_info("signal %d: stopping", (int)sig);
	run_stop();
}

static void
on_child(evutil_socket_t sig, short what, void *arg)
{
	launch_reap();
	resolve_reap();
}

static void
signals_watch(struct event_base *base)
{
	static const int	 ends[] = { SIGTERM, SIGINT, SIGHUP };
	struct event		*ev;
	struct sigaction	 old;
	size_t			 i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		/* nohup(1) means it. */
		if (ends[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		ev = evsignal_new(base, ends[i], on_signal, NULL);
		if (ev == NULL || event_add(ev, NULL) == -1)
			fatalx("out of memory");
	}
	ev = evsignal_new(base, SIGCHLD, on_child, NULL);
	if (ev == NULL || event_add(ev, NULL) == -1)
		fatalx("out of memory");
}

/* What stands between us and the server: a proxy, TLS. */
static bool
way_find(const struct options *o, const struct url *u,
    struct link_conf *conf)
{
	const char	*fault;
	char		 why[128];

	if (!proxy_find(&conf->proxy, u, &fault)) {
		log_errorx("%s: %s", u->tls ? "HTTPS_PROXY" : "HTTP_PROXY",
		    fault);
		return false;
	}
	if (!u->tls) {
		if (o->ca_file[0] != '\0')
			log_warnx("--ca-file: nothing to verify with ws://");
		return true;
	}
	conf->tls = tls_client_new(o->ca_file, why, sizeof(why));
	if (conf->tls == NULL)
		log_errorx("%s%s: %s", o->ca_file[0] != '\0' ?
		    "--ca-file " : "wss://", o->ca_file, why);
	return conf->tls != NULL;
}

static bool
start(const struct options *o, const struct url *u, struct link_conf *conf)
{
	char	*workspace;
	bool	 docker;

	if (!way_find(o, u, conf) ||
	    (workspace = workdir_prepare(o->workspace)) == NULL)
		return false;
	docker = strcmp(o->mode, "docker") == 0;
	if (geteuid() == 0 && !docker)
		log_warnx("started as root: the server's commands will run as "
		    "root");
	if ((run.base = event_base_new()) == NULL)
		fatalx("event_base_new");
	signals_watch(run.base);
	log_info("mode %s%s, server %s, user %s, workspace %s%s",
	    docker ? "docker, image " : "native",
	    docker ? o->docker_image : "", u->authority, o->user_id,
	    workspace, o->full_control ? ", full control" : "");
	if (!llm_init(run.base, o))
		return false;
	fetch_init(run.base);
	v1_llm_init(run.base);
	v1_stream_init(run.base);
	v1_task_init(run.base);
	v2_init(run.base);
	conf->url = u;
	conf->once = o->once;
	conf->reg.user_id = o->user_id;
	conf->reg.token = o->token;
	conf->reg.name = o->name;
	run.link_conf = conf;
	run.launch = (struct launch_conf){ .workspace = workspace,
	    .full_control = o->full_control, .user = o->user_id,
	    .name = o->name, .image = o->docker_image };
	/* A container is the boundary: no path in it is out of bounds. */
	v1_exec_init(docker ? launcher_docker.workspace : workspace,
	    docker || o->full_control);
	if (!launch_start(run.base, docker ? &launcher_docker :
	    &launcher_native, &run.launch, on_ready))
		return false;
	return true;
}

int
main(int argc, char *argv[])
{
	struct options		 o;
	struct url		 u = { 0 };
	struct link_conf	 conf = { 0 };

	heap_tune();
	log_init("xbot-runner", LOG_LEVEL_INFO);
	switch (options_parse(&o, argc, argv)) {
	case OPTIONS_HELP:
		options_clear(&o);
		return 0;
	case OPTIONS_BAD:
		options_clear(&o);
		return 2;
	case OPTIONS_OK:
		break;
	}
	if (o.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	secret_shield();
	if (!options_check(&o) || !server_check(&o, &u) ||
	    !start(&o, &u, &conf)) {
		options_clear(&o);
		return 1;
	}
	event_base_dispatch(run.base);
	llm_clear();
	options_clear(&o);
	url_clear(&u);
	tls_client_free(conf.tls);
	proxy_clear(&conf.proxy);
	return run.status;
}
