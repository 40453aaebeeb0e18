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
 * Routing.  The rule is one pure function; the copy that ledger pushes is
 * what it looks at.  Runs in: front, control.
 */

#ifndef FRONT_ROUTES_H
#define FRONT_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"
#include "proto/error.h"

struct chan;
struct msg;

#define ROUTE_DOCKER	RUNNER_DOCKER

/* A runner as the copy knows it. */
struct route_runner {
	struct route_runner	*next;
	char			*name;
	char			*mode, *docker_image, *workspace, *shell;
	char			*llm_provider, *llm_model, *llm_base_url;
	char			*llm;		/* the connected one's provider;
						 * "": it has no LLM */
	uint64_t		 created;
	bool			 online;
	bool			 v2;		/* connected with xbot.exec.v2 */
	uint64_t		 epoch;
};

struct route_bind {
	struct route_bind	*next;
	char			*session, *name;
	uint64_t		 epoch;
};

/* All that is known of one user. */
struct route_user {
	struct route_user	*next;		/* in its bucket */
	char			*name;
	char			*active;	/* NULL: none set */
	uint64_t		 active_epoch;
	struct route_runner	*runners;	/* by created, oldest first */
	struct route_bind	*binds;
};

/* BACKEND_LLM is none of the rule's: calls of models go there by themselves. */
enum backend { BACKEND_HOST, BACKEND_DOCKER, BACKEND_REMOTE, BACKEND_LLM };

/* What the rule looks at; everything is lent. */
struct route_view {
	bool			 host, docker, remote;	/* configured */
	bool			 web_server_runner;
	const char		*user;
	const char		*active;	/* NULL or "": none */
	const char		*bound;		/* of the session; NULL: none */
	const struct route_runner *runners;	/* by created */
};

struct route_decision {
	enum xerr		 code;		/* XERR_NONE: go there */
	enum backend		 backend;
	const char		*runner;	/* "" for the host; lent */
	const char		*reason;	/* a literal */
};

struct route_decision	 route_decide(const struct route_view *);
/* "none", "docker", "remote", "llm" */
const char		*backend_name(enum backend);

/* --- the copy --- */

/* NULL: nothing is known of that user. */
const struct route_user	*routes_user(const char *);
const struct route_runner *routes_runner(const char *user, const char *name);
/* Who counts as active: set, or the oldest runner, or NULL. */
const char		*routes_active(const struct route_user *);
/* All users, for admin; *pos starts at 0 and NULL ends. */
const struct route_user	*routes_each(size_t *bucket,
			    const struct route_user *);
/* Has it been complete once? */
bool			 routes_ready(void);
/* The decision for a user and session ("" for none); XERR_EOFFLINE while the
 * copy is not complete. */
struct route_decision	 routes_decide(const char *user, const char *session);

/* A new edge to ledger: what it does not push again is forgotten at
 * route_synced. */
void	 routes_begin(void);
void	 routes_on_runner(struct chan *, const struct msg *);
void	 routes_on_gone(struct chan *, const struct msg *);
void	 routes_on_active(struct chan *, const struct msg *);
void	 routes_on_bind(struct chan *, const struct msg *);
void	 routes_on_synced(struct chan *, const struct msg *);

#endif
