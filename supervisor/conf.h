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
 * The configuration: xbot.conf, .env file and environment in one struct.
 * Runs in: supervisor (parent) only.  Trusts the administrator's files as to
 * intent, not as to form.  struct conf owns every string and list below it.
 */

#ifndef SUPERVISOR_CONF_H
#define SUPERVISOR_CONF_H

#include <sys/types.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_PATH	"/etc/xbot.conf"
#define CONF_ROOT_STATE	"/var/db/xbot"
#define CONF_ROOT_SOCK	"/var/run/xbot.sock"

/* an rlimit that is not set (`off') */
#define CONF_OFF	UINT64_MAX

enum conf_severity { CONF_WARNING, CONF_ERROR };

/* What conf_load is given; everything is lent, nothing is kept. */
struct conf_opts {
	const char *const	*macros;	/* -D "name=value" each */
	size_t			 nmacros;
	const char		*envfile;	/* -E; NULL: .env beside file */
	char *const		*environ;	/* NULL: no variables */
	const char		*default_path;	/* NULL: CONF_PATH (tests) */
	bool			 is_root;
	/* text is "file:line: what", without newline; lent */
	void			(*report)(void *, enum conf_severity,
				    const char *);
	void			*report_arg;
};

/* Where a value came from. */
enum conf_origin {
	CONF_FROM_DEFAULT,
	CONF_FROM_FILE,			/* name: file, line */
	CONF_FROM_DOTENV,		/* name: variable */
	CONF_FROM_ENV			/* name: variable */
};

struct conf_from {
	enum conf_origin	 origin;
	char			*name;
	int			 line;
};

/* One for each keyword that can be given once. */
enum conf_key {
	CONF_K_PUBLIC_URL, CONF_K_CONTROL, CONF_K_STATE, CONF_K_LOG_LEVEL,
	CONF_K_AUDIT_LOG, CONF_K_NEED, CONF_K_MODE, CONF_K_REMOTE,
	CONF_K_HOST, CONF_K_AUTH_TOKEN, CONF_K_API_TOKEN, CONF_K_WEB_USER,
	CONF_K_USER_EXEC, CONF_K_USER_TASK, CONF_K_USER_PTY,
	CONF_K_USER_LLM, CONF_K_USER_RATE,
	CONF_K_LIMIT_JSON, CONF_K_LIMIT_HEADER, CONF_K_LIMIT_OUTPUT,
	CONF_K_LIMIT_FILE, CONF_K_LIMIT_LLM,
	CONF_K_NONE, CONF_K_NONE_UIDS, CONF_K_NONE_WORKSPACE,
	CONF_K_NONE_CPU, CONF_K_NONE_NPROC, CONF_K_NONE_NOFILE,
	CONF_K_NONE_FSIZE, CONF_K_NONE_AS,
	CONF_K_DOCKER, CONF_K_DOCKER_SOCKET, CONF_K_DOCKER_IMAGE,
	CONF_K_DOCKER_WORKDIR, CONF_K_DOCKER_IDLE, CONF_K_DOCKER_MEMORY,
	CONF_K_DOCKER_CPUS, CONF_K_DOCKER_PIDS, CONF_K_DOCKER_NETWORK,
	CONF_K_DOCKER_CAPS, CONF_K_DOCKER_NNP, CONF_K_DOCKER_PERSIST,
	CONF_K_DOCKER_PULL,
	CONF_K_REMOTE_BLOCK, CONF_K_REMOTE_SKILLS, CONF_K_REMOTE_AGENTS,
	CONF_K_REMOTE_MESSAGE, CONF_K_REMOTE_BUDGET,
	CONF_K_LLM, CONF_K_LLM_PROVIDER, CONF_K_LLM_URL, CONF_K_LLM_MODEL,
	CONF_K_LLM_TIMEOUT, CONF_K_LLM_IDLE, CONF_K_LLM_CA, CONF_K_LLM_KEY,
	CONF_K_SKILL_ONLY,
	CONF_K_SKILL, CONF_K_SKILL_LISTEN, CONF_K_SKILL_TOKEN,
	CONF_K_SKILL_POLICY, CONF_K_SKILL_API_URL, CONF_K_SKILL_TIMEOUT,
	CONF_K_SKILL_MEMORY, CONF_K_SKILL_PROCESSES,
	CONF_K_MAX
};

/*
 * A token or key.  value is NULL when none is configured; file is NULL when
 * it came from the environment or stands in the configuration itself.
 * Never printed.
 */
struct conf_secret {
	char		*file;
	char		*value;		/* len bytes and a NUL */
	size_t		 len;
};

/* What a listener serves. */
#define CONF_LISTEN_API		0x01	/* /v1/, /readyz, /metrics w. token */
#define CONF_LISTEN_WS		0x02	/* /ws/ (runners); /healthz always */
#define CONF_LISTEN_METRICS	0x04	/* /metrics without a token */
#define CONF_LISTEN_TLS		0x08	/* has pairs */
/*
 * A wildcard and a specific address share a port (SANDBOX_WS_PORT's 0.0.0.0
 * and the API's 127.0.0.1): bind both with SO_REUSEPORT; the kernel then
 * hands each connection to the more specific socket.
 */
#define CONF_LISTEN_SHARED	0x10

#define CONF_PAIRS_MAX		16	/* of a listener */

/* A certificate chain and its private key: names of PEM files. */
struct conf_pair {
	TAILQ_ENTRY(conf_pair)	 entry;
	char			*cert;
	char			*key;
};
TAILQ_HEAD(conf_pairs, conf_pair);

struct conf_listen {
	TAILQ_ENTRY(conf_listen) entry;
	char			*host;		/* numeric */
	uint16_t		 port;
	struct sockaddr_storage	 ss;
	socklen_t		 sslen;
	unsigned int		 flags;
	struct conf_pairs	 pairs;		/* the first is the default */
	struct conf_from	 from;
};
TAILQ_HEAD(conf_listens, conf_listen);

struct conf_name {
	TAILQ_ENTRY(conf_name)	 entry;
	char			*name;
};
TAILQ_HEAD(conf_names, conf_name);

enum conf_loglevel { CONF_LOG_ERROR, CONF_LOG_WARNING, CONF_LOG_INFO,
    CONF_LOG_DEBUG };
enum conf_mode { CONF_MODE_NONE, CONF_MODE_DOCKER, CONF_MODE_REMOTE };
enum conf_persist { CONF_PERSIST_EXPORT, CONF_PERSIST_IMPORT };
enum conf_pull { CONF_PULL_NEVER, CONF_PULL_MISSING };
enum conf_provider { CONF_LLM_OPENAI, CONF_LLM_ANTHROPIC };
enum conf_policy { CONF_POLICY_NONE, CONF_POLICY_PERMISSIVE,
    CONF_POLICY_RESTRICTIVE };

struct conf_none {
	char		*user;		/* NULL: uid range */
	uid_t		 uid_min;	/* inclusive; 0 with user */
	uid_t		 uid_max;	/* inclusive */
	char		*workspace;	/* ends in "/%u" */
	char		*base;		/* workspace without "/%u" */
	/* CONF_OFF: not set */
	uint64_t	 cpu;		/* seconds */
	uint64_t	 nproc;
	uint64_t	 nofile;
	uint64_t	 fsize;		/* bytes */
	uint64_t	 as;		/* bytes */
};

struct conf_docker {
	char			*socket;
	char			*image;
	char			*workdir;
	uint32_t		 idle;		/* seconds */
	uint64_t		 memory;	/* bytes */
	uint32_t		 millicpus;	/* 1000 is one cpu */
	uint32_t		 pids;
	char			*network;
	struct conf_names	 capdrop;
	bool			 nnp;		/* no new privileges */
	enum conf_persist	 persist;
	enum conf_pull		 pull;
};

struct conf_remote {
	char		*skills;
	char		*agents;
	uint64_t	 message;	/* bytes of one message */
	uint64_t	 budget;	/* bytes, all runners together */
};

struct conf_llm {
	bool			 enabled;	/* there is an llm block */
	enum conf_provider	 provider;
	char			*base_url;
	char			*model;
	uint32_t		 timeout;	/* seconds to the first byte */
	uint32_t		 idle;		/* and between any two */
	char			*ca;		/* NULL: the system's bundle */
	struct conf_secret	 key;
};

struct conf_skill {
	bool			 enabled;	/* there is a token */
	bool			 developer;	/* ABBOT_ENV=dev */
	bool			 testing;	/* ABBOT_ENV=test */
	struct conf_listen	*listen;
	struct conf_secret	 token;
	enum conf_policy	 policy;
	char			*api_url;
	uint32_t		 timeout;	/* seconds */
	uint64_t		 memory;	/* bytes */
	uint32_t		 processes;
};

struct conf {
	char			*path;		/* NULL: embedded default */
	char			*dotenv;	/* NULL: none was read */
	bool			 embedded;	/* no file at all */
	bool			 is_root;
	bool			 skill_only;	/* nothing but the skill runner:
						 * listens is empty */

	struct conf_listens	 listens;
	char			*public_url;	/* ws:// or wss://, no final / */
	char			*control_path;
	char			*control_group;	/* NULL: root (caller) only */
	char			*state;
	enum conf_loglevel	 loglevel;
	char			*audit;		/* NULL: no audit log */
	bool			 require;	/* sandbox require */

	enum conf_mode		 mode;
	bool			 remote;	/* `sandbox remote' */
	bool			 host;		/* effective `sandbox host' */
	/* derived from the three above: which backends there are */
	bool			 have_docker;
	bool			 have_remote;
	bool			 have_host;

	struct conf_secret	 auth_token;	/* global runner token */
	struct conf_secret	 api_token;	/* service token */
	bool			 web_user;	/* web user server runner */

	/* per user */
	uint32_t		 user_exec;
	uint32_t		 user_task;
	uint32_t		 user_pty;
	uint32_t		 user_llm;
	uint32_t		 user_rate;	/* requests a second */

	/* http-api.md, bytes */
	uint64_t		 limit_json;
	uint64_t		 limit_header;
	uint64_t		 limit_output;	/* a stream of one command */
	uint64_t		 limit_file;
	uint64_t		 limit_llm;	/* body of a model's call */

	struct conf_none	 none;
	struct conf_docker	 docker;
	struct conf_remote	 rem;		/* remote { } */
	struct conf_llm		 llm;
	struct conf_skill	 skill;

	struct conf_from	 from[CONF_K_MAX];
};

/*
 * Reads path (NULL: CONF_PATH, or the embedded default when that does not
 * exist), the .env file and the environment.  Returns NULL after every error
 * was reported.  Users and groups are names here: nobody looked them up.
 */
struct conf	*conf_load(const char *, const struct conf_opts *);
void		 conf_free(struct conf *);

/*
 * Canonical form; parses to the same configuration.  Secrets show as a file
 * name or a comment.  The last line is "# end of configuration".
 */
void		 conf_print(const struct conf *, FILE *);

/* 0, or -1 and a text in the buffer when a reload cannot do it. */
int		 conf_check_reload(const struct conf *, const struct conf *,
		    char *, size_t);

#endif /* SUPERVISOR_CONF_H */
