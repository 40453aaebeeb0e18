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
 * Loads the configuration: file, .env, environment, then defaults and what
 * follows from all of them.  Runs in: supervisor.  Owns nothing after
 * conf_load returned; struct conf is the caller's.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/skills.h"
#include "confimpl.h"

static void	 conf_defaults(struct conf_ctx *);
static void	 conf_state_default(struct conf_ctx *);
static void	 conf_default(struct conf_ctx *, enum conf_key);
static void	 conf_sandbox(struct conf_ctx *);
static void	 conf_none_finish(struct conf_ctx *);
static void	 conf_llm_finish(struct conf_ctx *);
static void	 conf_skill_finish(struct conf_ctx *);
static void	 conf_tokens_read(struct conf_ctx *);

void *
conf_alloc(size_t len)
{
	return (calloc(1, len));
}

char *
conf_strdup(const char *s)
{
	return (strdup(s));
}

/* name:line: text; line 0 is left out. */
void
conf_report(struct conf_ctx *ctx, enum conf_severity sev, const char *name,
    int line, const char *fmt, ...)
{
	char	text[2048], full[4096], *p;
	va_list	ap;

	if (sev == CONF_ERROR)
		ctx->errors++;
	if (ctx->opts->report == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (line > 0)
		snprintf(full, sizeof(full), "%.1500s:%d: %s", name, line,
		    text);
	else
		snprintf(full, sizeof(full), "%.1500s: %s", name, text);
	/* it may go to a terminal */
	for (p = full; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	ctx->opts->report(ctx->opts->report_arg, sev, full);
}

/* The same for a value: a variable has no line. */
void
conf_fault(struct conf_ctx *ctx, enum conf_severity sev,
    const struct conf_from *from, const char *fmt, ...)
{
	const char	*name = from->name;
	char		 text[2048];
	va_list		 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (from->origin == CONF_FROM_DEFAULT)
		conf_report(ctx, sev, ctx->conf->path != NULL ?
		    ctx->conf->path : "default configuration", 0, "%s", text);
	else if (from->origin == CONF_FROM_FILE)
		conf_report(ctx, sev, name, from->line, "%s", text);
	else if (from->origin == CONF_FROM_DOTENV)
		conf_report(ctx, sev, ctx->conf->dotenv, from->line,
		    "%s: %s", name, text);
	else
		conf_report(ctx, sev, "environment", 0, "%s: %s", name, text);
}

int
conf_from_set(struct conf_from *from, enum conf_origin origin,
    const char *name, int line)
{
	char	*copy = NULL;

	if (name != NULL && (copy = conf_strdup(name)) == NULL)
		return (-1);
	free(from->name);
	from->origin = origin;
	from->name = copy;
	from->line = line;
	return (0);
}

/* The keyword is given here; twice in files makes no sense. */
int
conf_claim(struct conf_ctx *ctx, enum conf_key key,
    const struct conf_from *from)
{
	const struct conf_row	*row = &conf_rows[key];
	struct conf_from	*old = &ctx->conf->from[key];

	if (old->origin == CONF_FROM_FILE && from->origin == CONF_FROM_FILE) {
		conf_fault(ctx, CONF_ERROR, from,
		    "duplicate \"%s%s%s\", first at %s:%d",
		    row->block != NULL ? row->block : "",
		    row->block != NULL ? " " : "", row->name,
		    old->name, old->line);
		return (-1);
	}
	if (conf_from_set(old, from->origin, from->name, from->line) == -1) {
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
		return (-1);
	}
	return (0);
}

int
conf_set(struct conf_ctx *ctx, enum conf_key key, const char *text,
    const struct conf_from *from)
{
	const struct conf_row	*row = &conf_rows[key];
	char			 err[1024];

	if (from->origin != CONF_FROM_DEFAULT &&
	    conf_claim(ctx, key, from) == -1)
		return (-1);
	if (confval_parse(row, text, (char *)ctx->conf + row->off, err,
	    sizeof(err)) == -1) {
		conf_fault(ctx, CONF_ERROR, from, "%s%s%s: %s",
		    row->block != NULL ? row->block : "",
		    row->block != NULL ? " " : "", row->name, err);
		return (-1);
	}
	return (0);
}

struct conf *
conf_load(const char *path, const struct conf_opts *opts)
{
	struct conf_ctx	 ctx = { .opts = opts };
	struct conf	*conf;
	const char	*dflt;

	dflt = opts->default_path != NULL ? opts->default_path : CONF_PATH;
	if ((conf = conf_alloc(sizeof(*conf))) == NULL) {
		conf_report(&ctx, CONF_ERROR, dflt, 0, "out of memory");
		return (NULL);
	}
	TAILQ_INIT(&conf->listens);
	TAILQ_INIT(&conf->docker.capdrop);
	conf->is_root = opts->is_root;
	ctx.conf = conf;

	if (path == NULL && access(dflt, F_OK) == -1 && errno == ENOENT)
		conf->embedded = true;
	else if ((conf->path = conf_strdup(path != NULL ? path : dflt)) ==
	    NULL)
		conf_report(&ctx, CONF_ERROR, dflt, 0, "out of memory");
	else
		parse_file(&ctx, conf->path);
	env_apply(&ctx);
	conf_tokens_read(&ctx);
	/* what follows from a wrong file would only confuse */
	if (ctx.errors == 0)
		conf_defaults(&ctx);

	free(ctx.ws_from.name);
	if (ctx.errors > 0) {
		conf_free(conf);
		return (NULL);
	}
	return (conf);
}

/* Everything that was not said, and everything that follows. */
static void
conf_defaults(struct conf_ctx *ctx)
{
	struct conf	*conf = ctx->conf;
	int		 key;

	if (conf->from[CONF_K_STATE].origin == CONF_FROM_DEFAULT)
		conf_state_default(ctx);
	if (conf->state != NULL && strcmp(conf->state, "/") == 0)
		conf_fault(ctx, CONF_ERROR, &conf->from[CONF_K_STATE],
		    "state directory: must not be /");
	for (key = 0; key < CONF_K_MAX; key++)
		if (conf->from[key].origin == CONF_FROM_DEFAULT)
			conf_default(ctx, (enum conf_key)key);
	if (conf->is_root && !conf->embedded &&
	    conf->from[CONF_K_CONTROL].origin == CONF_FROM_DEFAULT &&
	    (conf->control_group = conf_strdup("_xbot")) == NULL)
		conf_fault(ctx, CONF_ERROR, &conf->from[CONF_K_CONTROL],
		    "out of memory");
	/* sun_path, with its NUL */
	if (conf->control_path != NULL && strlen(conf->control_path) > 107)
		conf_fault(ctx, CONF_ERROR, &conf->from[CONF_K_CONTROL],
		    "control socket: path is longer than 107 bytes");
	if (conf->rem.budget < conf->rem.message)
		conf_fault(ctx, CONF_ERROR, &conf->from[conf->
		    from[CONF_K_REMOTE_BUDGET].origin != CONF_FROM_DEFAULT ?
		    CONF_K_REMOTE_BUDGET : CONF_K_REMOTE_MESSAGE],
		    "remote assembly budget is smaller than message limit");
	conf_sandbox(ctx);
	conf_none_finish(ctx);
	if (conf->from[CONF_K_DOCKER_CAPS].origin == CONF_FROM_DEFAULT) {
		conf_cap_drop(ctx, "NET_RAW",
		    &conf->from[CONF_K_DOCKER_CAPS]);
		conf_cap_drop(ctx, "AUDIT_WRITE",
		    &conf->from[CONF_K_DOCKER_CAPS]);
	}
	conf_llm_finish(ctx);
	conf_skill_finish(ctx);
	conf_listens_finish(ctx);
}

/* XDG base directories: a relative XDG_STATE_HOME counts as unset. */
static void
conf_state_default(struct conf_ctx *ctx)
{
	struct conf	*conf = ctx->conf;
	const char	*dir;
	char		 buf[4096];

	if (conf->is_root)
		snprintf(buf, sizeof(buf), "%s", CONF_ROOT_STATE);
	else if ((dir = env_get(ctx->opts->environ, "XDG_STATE_HOME")) !=
	    NULL && *dir == '/')
		snprintf(buf, sizeof(buf), "%s/xbot", dir);
	else if ((dir = env_get(ctx->opts->environ, "HOME")) != NULL &&
	    *dir == '/')
		snprintf(buf, sizeof(buf), "%s/.local/state/xbot", dir);
	else {
		conf_fault(ctx, CONF_ERROR, &conf->from[CONF_K_STATE],
		    "no state directory, and neither XDG_STATE_HOME nor "
		    "HOME is set");
		return;
	}
	conf_set(ctx, CONF_K_STATE, buf, &conf->from[CONF_K_STATE]);
}

static void
conf_default(struct conf_ctx *ctx, enum conf_key key)
{
	struct conf		*conf = ctx->conf;
	const struct conf_row	*row = &conf_rows[key];
	const char		*def = row->def;
	char			 buf[4200];

	/* the embedded default keeps to one directory */
	if (row->def_user != NULL && (!conf->is_root || (conf->embedded &&
	    (key == CONF_K_CONTROL || key == CONF_K_AUDIT_LOG))))
		def = row->def_user;
	if (def == NULL)
		return;
	if (strncmp(def, "%S", 2) == 0) {
		if (conf->state == NULL)
			return;		/* reported already */
		snprintf(buf, sizeof(buf), "%s%s", conf->state, def + 2);
		def = buf;
	}
	conf_set(ctx, key, def, &conf->from[key]);
}

/* Which backends there are: the seeds' matrix. */
static void
conf_sandbox(struct conf_ctx *ctx)
{
	struct conf	*conf = ctx->conf;
	bool		 stock = conf->embedded && !ctx->env_mode;

	if (stock)
		conf->remote = true;
	if (conf->from[CONF_K_HOST].origin == CONF_FROM_DEFAULT)
		conf->host = stock ||
		    (conf->mode == CONF_MODE_NONE && !conf->remote);
	if (conf->from[CONF_K_SKILL_ONLY].origin == CONF_FROM_DEFAULT)
		conf->skill_only = conf->embedded && !ctx->env_server &&
		    conf->skill.token.value != NULL;
	if (conf->skill_only) {
		conf->remote = conf->host = false;
		return;
	}
	conf->have_docker = conf->mode == CONF_MODE_DOCKER;
	conf->have_remote = conf->mode == CONF_MODE_REMOTE || conf->remote;
	conf->have_host = conf->host;
}

static void
conf_none_finish(struct conf_ctx *ctx)
{
	struct conf_none	*none = &ctx->conf->none;
	struct conf_from	*from;
	size_t			 n;

	if (none->user == NULL && none->uid_max == 0) {
		none->uid_min = 62000;
		none->uid_max = 62999;
	}
	from = &ctx->conf->from[CONF_K_NONE_WORKSPACE];
	if (none->workspace == NULL)
		return;
	n = strlen(none->workspace);
	if (n < 5 || strcmp(none->workspace + n - 3, "/%u") != 0 ||
	    strchr(none->workspace, '%') != none->workspace + n - 2) {
		conf_fault(ctx, CONF_ERROR, from,
		    "none workspace: must end in /%%u, with no other %%");
		return;
	}
	if ((none->base = conf_strdup(none->workspace)) == NULL) {
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
		return;
	}
	none->base[n - 3] = '\0';
}

static void
conf_llm_finish(struct conf_ctx *ctx)
{
	struct conf	*conf = ctx->conf;
	struct conf_llm	*llm = &conf->llm;
	bool		 openai = llm->provider == CONF_LLM_OPENAI;

	llm->enabled = conf->from[CONF_K_LLM].origin != CONF_FROM_DEFAULT;
	if (!llm->enabled)
		return;
	if (llm->base_url == NULL)
		conf_set(ctx, CONF_K_LLM_URL, openai ?
		    "https://api.openai.com/v1" : "https://api.anthropic.com",
		    &conf->from[CONF_K_LLM_URL]);
	if (llm->model == NULL)
		conf_set(ctx, CONF_K_LLM_MODEL, openai ? "gpt-4o-mini" :
		    "claude-sonnet-4-20250514", &conf->from[CONF_K_LLM_MODEL]);
}

/* What asks for skills though there is no token; NULL when nothing does. */
static const struct conf_from *
skill_wish(const struct conf_ctx *ctx)
{
	static const enum conf_key	 keys[] = { CONF_K_SKILL_ONLY,
		CONF_K_SKILL, CONF_K_SKILL_POLICY, CONF_K_SKILL_API_URL };
	const struct conf		*conf = ctx->conf;
	size_t				 i, n = 2;

	/* alone, the variables can mean nothing else */
	if (conf->embedded && !ctx->env_server)
		n = sizeof(keys) / sizeof(keys[0]);
	for (i = 0; i < n; i++)
		if (conf->from[keys[i]].origin != CONF_FROM_DEFAULT)
			return (&conf->from[keys[i]]);
	return (NULL);
}

static void
conf_skill_finish(struct conf_ctx *ctx)
{
	struct conf		*conf = ctx->conf;
	struct conf_skill	*skill = &conf->skill;
	const struct conf_from	*from;

	from = &conf->from[CONF_K_SKILL_TOKEN];
	skill->enabled = from->origin != CONF_FROM_DEFAULT;
	if (!skill->enabled) {
		if ((from = skill_wish(ctx)) != NULL)
			conf_fault(ctx, CONF_ERROR, from, "skill: no token "
			    "file, and ABBOT_SKILL_RUNNER_TOKEN environment "
			    "variable not set");
		return;
	}
	if (conf->none.user == NULL && conf->have_host &&
	    conf->none.uid_min <= SKILL_UID + SKILL_PLACES &&
	    conf->none.uid_max >= SKILL_UID)
		conf_fault(ctx, CONF_ERROR, &conf->from[CONF_K_NONE_UIDS],
		    "none uid range: %u to %u are the uids of skills",
		    SKILL_UID, SKILL_UID + SKILL_PLACES);
	/* the length is the caller's contract, not ours to soften */
	if (skill->token.value != NULL && skill->token.len < 64 &&
	    !skill->developer)
		conf_short_token(ctx, from);
	if (skill->listen == NULL)
		skill->listen = conf_listen_new(ctx, "0.0.0.0", "80",
		    &conf->from[CONF_K_SKILL_LISTEN]);
}

/* The variable's own message is what its users know. */
void
conf_short_token(struct conf_ctx *ctx, const struct conf_from *from)
{
	static const char	text[] = "is too short (at least 64 characters)";

	if (from->origin == CONF_FROM_ENV)
		conf_report(ctx, CONF_ERROR, "environment", 0, "%s %s",
		    from->name, text);
	else if (from->origin == CONF_FROM_DOTENV)
		conf_report(ctx, CONF_ERROR, ctx->conf->dotenv, from->line,
		    "%s %s", from->name, text);
	else
		conf_fault(ctx, CONF_ERROR, from, "skill token %s", text);
}

/* After the environment, which may have replaced a file nobody needs then. */
static void
conf_tokens_read(struct conf_ctx *ctx)
{
	struct conf	*conf = ctx->conf;

	conf_secret_read(ctx, &conf->auth_token, CONF_K_AUTH_TOKEN);
	conf_secret_read(ctx, &conf->api_token, CONF_K_API_TOKEN);
	conf_secret_read(ctx, &conf->llm.key, CONF_K_LLM_KEY);
	conf_secret_read(ctx, &conf->skill.token, CONF_K_SKILL_TOKEN);
}

void
conf_free(struct conf *conf)
{
	const struct conf_row	*row;
	struct conf_listen	*l;
	int			 key;

	if (conf == NULL)
		return;
	for (key = 0; key < CONF_K_MAX; key++) {
		row = &conf_rows[key];
		if (row->type >= CONF_T_PATH)
			free(*(char **)((char *)conf + row->off));
		free(conf->from[key].name);
	}
	while ((l = TAILQ_FIRST(&conf->listens)) != NULL) {
		TAILQ_REMOVE(&conf->listens, l, entry);
		conf_listen_free(l);
	}
	conf_listen_free(conf->skill.listen);
	conf_caps_clear(conf);
	conf_secret_clear(&conf->auth_token);
	conf_secret_clear(&conf->api_token);
	conf_secret_clear(&conf->llm.key);
	conf_secret_clear(&conf->skill.token);
	free(conf->control_group);
	free(conf->none.user);
	free(conf->none.base);
	free(conf->path);
	free(conf->dotenv);
	free(conf);
}

static bool
same(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a == b);
	return (strcmp(a, b) == 0);
}

/*
 * Slots and directories belong to the uids and the state directory they
 * were made for; changing either under running jobs would mix users.
 */
int
conf_check_reload(const struct conf *old, const struct conf *new, char *err,
    size_t errlen)
{
	if (!same(old->state, new->state))
		snprintf(err, errlen, "state directory cannot change while "
		    "running (\"%s\" to \"%s\")", old->state, new->state);
	else if (old->skill_only != new->skill_only)
		snprintf(err, errlen, "skill only cannot change while running");
	else if (!same(old->none.user, new->none.user))
		snprintf(err, errlen, "none user cannot change while running");
	else if (old->none.uid_min != new->none.uid_min ||
	    old->none.uid_max != new->none.uid_max)
		snprintf(err, errlen,
		    "none uid range cannot change while running");
	else
		return (0);
	return (-1);
}
