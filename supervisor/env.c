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
 * The environment over the configuration file: process environment first,
 * then the .env file.  Runs in: supervisor.  Trusts the administrator's
 * intent, not the form.  Owns the .env file's text for the time of one load.
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confimpl.h"

#define DOTENV_MAX	((size_t)1 << 20)

enum env_group { SERVER, SKILL };

/* One variable of .env; name and value lie in the file's text. */
struct dotenv {
	TAILQ_ENTRY(dotenv)	 entry;
	char			*name;
	char			*value;
	int			 line;
};
TAILQ_HEAD(dotenvs, dotenv);

struct env_var {
	const char	*name;
	enum env_group	 group;
	void		(*apply)(struct conf_ctx *, const char *,
			    const struct conf_from *);
};

static void	on_mode(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_remote_mode(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_image(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_workdir(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_idle(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_ws_port(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_auth_token(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_public_url(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_web_user(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_skill_env(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_skill_token(struct conf_ctx *, const char *,
		    const struct conf_from *);
static void	on_skill_api(struct conf_ctx *, const char *,
		    const struct conf_from *);

static const struct env_var vars[] = {
	{ "SANDBOX_MODE",		SERVER,	on_mode },
	/* after SANDBOX_MODE, whose meaning it changes */
	{ "SANDBOX_REMOTE_MODE",	SERVER,	on_remote_mode },
	{ "SANDBOX_DOCKER_IMAGE",	SERVER,	on_image },
	{ "HOST_WORK_DIR",		SERVER,	on_workdir },
	{ "SANDBOX_IDLE_TIMEOUT_MINUTES", SERVER, on_idle },
	{ "SANDBOX_WS_PORT",		SERVER,	on_ws_port },
	{ "SANDBOX_AUTH_TOKEN",		SERVER,	on_auth_token },
	{ "SANDBOX_PUBLIC_URL",		SERVER,	on_public_url },
	{ "WEB_USER_SERVER_RUNNER",	SERVER,	on_web_user },
	{ "ABBOT_ENV",			SKILL,	on_skill_env },
	{ "ABBOT_SKILL_RUNNER_TOKEN",	SKILL,	on_skill_token },
	{ "AbbotApiBaseUrl",		SKILL,	on_skill_api },
};

static const char *env_find(struct conf_ctx *, struct dotenvs *,
		    const char *, struct conf_from *);
static void	 env_skill_policy(struct conf_ctx *, struct dotenvs *);
static void	 env_skill_listen(struct conf_ctx *, struct dotenvs *);
static char	*dotenv_load(struct conf_ctx *, struct dotenvs *, size_t *);
static void	 dotenv_line(struct conf_ctx *, struct dotenvs *, char *, int);
static int	 dotenv_value(char *);
static void	 dotenv_secrecy(struct conf_ctx *, struct dotenvs *);
static bool	 is_name(const char *, size_t);

const char *
env_get(char *const *envp, const char *name)
{
	size_t	n = strlen(name);

	for (; envp != NULL && *envp != NULL; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return (*envp + n + 1);
	return (NULL);
}

void
env_apply(struct conf_ctx *ctx)
{
	struct dotenvs		 envs = TAILQ_HEAD_INITIALIZER(envs);
	struct dotenv		*e;
	struct conf_from	 from;
	const char		*value;
	char			*text;
	size_t			 i, len = 0;

	text = dotenv_load(ctx, &envs, &len);
	for (i = 0; i < sizeof(vars) / sizeof(vars[0]); i++) {
		value = env_find(ctx, &envs, vars[i].name, &from);
		/* the seeds' programs take empty for unset, but for a token */
		if (value == NULL || (*value == '\0' &&
		    vars[i].apply != on_skill_token))
			continue;
		if (vars[i].group == SERVER)
			ctx->env_server = true;
		vars[i].apply(ctx, value, &from);
	}
	env_skill_policy(ctx, &envs);
	env_skill_listen(ctx, &envs);
	dotenv_secrecy(ctx, &envs);

	while ((e = TAILQ_FIRST(&envs)) != NULL) {
		TAILQ_REMOVE(&envs, e, entry);
		free(e);
	}
	if (text != NULL)
		explicit_bzero(text, len);	/* tokens may have been in it */
	free(text);
}

/* from lends the name; conf_claim copies it. */
static const char *
env_find(struct conf_ctx *ctx, struct dotenvs *envs, const char *name,
    struct conf_from *from)
{
	struct dotenv	*e;
	const char	*value;

	memset(from, 0, sizeof(*from));
	if ((value = env_get(ctx->opts->environ, name)) != NULL) {
		from->origin = CONF_FROM_ENV;
		from->name = (char *)(uintptr_t)name;
		return (value);
	}
	/* the last one wins, as in a shell */
	TAILQ_FOREACH_REVERSE(e, envs, dotenvs, entry) {
		if (strcmp(e->name, name) == 0) {
			from->origin = CONF_FROM_DOTENV;
			from->name = e->name;
			from->line = e->line;
			return (e->value);
		}
	}
	return (NULL);
}

/* An unknown word is `none', as the servers before us read it. */
static void
on_mode(struct conf_ctx *ctx, const char *value, const struct conf_from *from)
{
	ctx->env_mode = true;
	if (strcmp(value, "none") != 0 && strcmp(value, "docker") != 0 &&
	    strcmp(value, "remote") != 0) {
		conf_fault(ctx, CONF_WARNING, from,
		    "unknown word \"%s\" (use none, docker or remote), "
		    "read as none", value);
		ctx->env_mode_odd = true;
		value = "none";
	} else if (strcmp(value, "remote") == 0)
		ctx->env_mode_odd = true;
	conf_set(ctx, CONF_K_MODE, value, from);
}

/*
 * Any word sets it.  Together with a SANDBOX_MODE of `remote' or of an
 * unknown word there is a docker backend too: runner protocol, 5.1.
 */
static void
on_remote_mode(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	ctx->env_mode = true;
	if (strcmp(value, "remote") != 0)
		conf_fault(ctx, CONF_WARNING, from,
		    "unknown word \"%s\", read as remote", value);
	conf_set(ctx, CONF_K_REMOTE, "yes", from);
	if (ctx->env_mode_odd) {
		conf_fault(ctx, CONF_WARNING, from, "with this SANDBOX_MODE "
		    "it means docker and remote");
		ctx->conf->mode = CONF_MODE_DOCKER;
	}
}

static void
on_image(struct conf_ctx *ctx, const char *value, const struct conf_from *from)
{
	conf_set(ctx, CONF_K_DOCKER_IMAGE, value, from);
}

static void
on_workdir(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	conf_set(ctx, CONF_K_DOCKER_WORKDIR, value, from);
}

static void
on_idle(struct conf_ctx *ctx, const char *value, const struct conf_from *from)
{
	uint64_t	n;
	char		buf[32];

	/* a year, as the keyword */
	if (confval_number(value, 1, 525600, &n) == -1) {
		conf_fault(ctx, CONF_ERROR, from,
		    "bad number of minutes \"%s\" (1 to 525600)", value);
		return;
	}
	snprintf(buf, sizeof(buf), "%llum", (unsigned long long)n);
	conf_set(ctx, CONF_K_DOCKER_IDLE, buf, from);
}

static void
on_ws_port(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	uint64_t	n;

	if (confval_number(value, 1, 65535, &n) == -1)
		conf_fault(ctx, CONF_ERROR, from,
		    "bad port \"%s\" (1 to 65535)", value);
	else if (conf_from_set(&ctx->ws_from, from->origin, from->name,
	    from->line) == -1)
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
	else
		ctx->ws_port = (uint16_t)n;
}

static void
on_auth_token(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	conf_secret_set(ctx, &ctx->conf->auth_token, CONF_K_AUTH_TOKEN, value,
	    from);
}

static void
on_public_url(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	conf_set(ctx, CONF_K_PUBLIC_URL, value, from);
}

/* Go's ParseBool, with everything else false. */
static void
on_web_user(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	static const char *const	yes[] = { "1", "t", "T", "TRUE", "true",
	    "True" };
	size_t				i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (strcmp(value, yes[i]) == 0)
			break;
	conf_set(ctx, CONF_K_WEB_USER,
	    i < sizeof(yes) / sizeof(yes[0]) ? "yes" : "no", from);
}

static void
on_skill_env(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	(void)from;
	ctx->conf->skill.developer = strcmp(value, "dev") == 0;
	ctx->conf->skill.testing = strcmp(value, "test") == 0;
}

static void
on_skill_token(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	if (*value == '\0')
		conf_short_token(ctx, from);
	else
		conf_secret_set(ctx, &ctx->conf->skill.token,
		    CONF_K_SKILL_TOKEN, value, from);
}

static void
on_skill_api(struct conf_ctx *ctx, const char *value,
    const struct conf_from *from)
{
	conf_set(ctx, CONF_K_SKILL_API_URL, value, from);
}

/*
 * ABBOT_SANDBOX_POLICY, even empty, else ABBOT_SANDBOXED; every word that
 * is not known means the strictest.
 */
static void
env_skill_policy(struct conf_ctx *ctx, struct dotenvs *envs)
{
	struct conf_from	 from;
	const char		*value, *word = "restrictive";

	value = env_find(ctx, envs, "ABBOT_SANDBOX_POLICY", &from);
	if (value != NULL) {
		if (strcmp(value, "none") == 0 ||
		    strcmp(value, "permissive") == 0)
			word = value;
		else if (strcmp(value, "restrictive") != 0)
			conf_fault(ctx, CONF_WARNING, &from,
			    "unknown word \"%s\", read as restrictive", value);
	} else {
		value = env_find(ctx, envs, "ABBOT_SANDBOXED", &from);
		if (value == NULL)
			return;
		if (strcmp(value, "false") == 0)
			word = "permissive";
	}
	conf_set(ctx, CONF_K_SKILL_POLICY, word, &from);
}

/* Everybody's environment has a HOST or a PORT: only where it is asked for. */
static void
env_skill_listen(struct conf_ctx *ctx, struct dotenvs *envs)
{
	struct conf		*conf = ctx->conf;
	struct conf_from	 pfrom, hfrom, *from;
	struct conf_listen	*l;
	const char		*port, *host;
	char			 oldport[8] = "80";

	if (conf->from[CONF_K_SKILL_TOKEN].origin == CONF_FROM_DEFAULT)
		return;
	port = env_find(ctx, envs, "PORT", &pfrom);
	host = env_find(ctx, envs, "HOST", &hfrom);
	if (port != NULL && *port == '\0')
		port = NULL;
	if (host != NULL && *host == '\0')
		host = NULL;
	if (port == NULL && host == NULL)
		return;
	from = port != NULL ? &pfrom : &hfrom;
	l = conf->skill.listen;
	if (l != NULL)
		snprintf(oldport, sizeof(oldport), "%u", l->port);
	l = conf_listen_new(ctx, host != NULL ? host :
	    l != NULL ? l->host : "0.0.0.0", port != NULL ? port : oldport,
	    from);
	if (l == NULL)
		return;
	conf_listen_free(conf->skill.listen);
	conf->skill.listen = l;
	conf_claim(ctx, CONF_K_SKILL_LISTEN, from);
}

/* The text of the .env file, cut into envs; NULL when there is none. */
static char *
dotenv_load(struct conf_ctx *ctx, struct dotenvs *envs, size_t *len)
{
	struct conf		*conf = ctx->conf;
	struct conf_from	 from = { .origin = CONF_FROM_FILE };
	const char		*base, *slash, *path = ctx->opts->envfile;
	char			 buf[4096], *text, *line, *next;
	int			 n = 0;

	if (path == NULL) {
		base = conf->path != NULL ? conf->path :
		    ctx->opts->default_path != NULL ?
		    ctx->opts->default_path : CONF_PATH;
		slash = strrchr(base, '/');
		if (snprintf(buf, sizeof(buf), "%.*s.env", slash == NULL ? 0 :
		    (int)(slash + 1 - base), base) >= (int)sizeof(buf) ||
		    access(buf, F_OK) == -1)
			return (NULL);
		path = buf;
	}
	from.name = (char *)(uintptr_t)path;
	if ((conf->dotenv = conf_strdup(path)) == NULL)
		conf_fault(ctx, CONF_ERROR, &from, "out of memory");
	if (conf->dotenv == NULL ||
	    (text = conf_slurp(ctx, path, "", true, DOTENV_MAX, len,
	    &from)) == NULL)
		return (NULL);
	if (strlen(text) != *len) {
		conf_fault(ctx, CONF_ERROR, &from, "NUL byte in the file");
		free(text);
		return (NULL);
	}
	for (line = text; line != NULL; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		dotenv_line(ctx, envs, line, ++n);
	}
	return (text);
}

static bool
is_name(const char *s, size_t n)
{
	size_t	i;

	if (n == 0 || isdigit((unsigned char)*s))
		return (false);
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return (false);
	return (true);
}

/* NAME=value, export NAME=value, # comment, nothing. */
static void
dotenv_line(struct conf_ctx *ctx, struct dotenvs *envs, char *s, int line)
{
	struct dotenv	*e;
	char		*eq, *end;

	s += strspn(s, " \t");
	for (end = s + strlen(s); end > s && strchr(" \t\r", end[-1]) != NULL;)
		*--end = '\0';
	if (*s == '\0' || *s == '#')
		return;
	if (strncmp(s, "export ", 7) == 0)
		s += 7 + strspn(s + 7, " \t");
	if ((eq = strchr(s, '=')) == NULL || !is_name(s, (size_t)(eq - s))) {
		conf_report(ctx, CONF_ERROR, ctx->conf->dotenv, line,
		    "not NAME=value");
		return;
	}
	*eq++ = '\0';
	if (dotenv_value(eq) == -1) {
		conf_report(ctx, CONF_ERROR, ctx->conf->dotenv, line,
		    "%s: unterminated or misplaced quote", s);
		return;
	}
	if ((e = conf_alloc(sizeof(*e))) == NULL) {
		conf_report(ctx, CONF_ERROR, ctx->conf->dotenv, line,
		    "out of memory");
		return;
	}
	e->name = s;
	e->value = eq;
	e->line = line;
	TAILQ_INSERT_TAIL(envs, e, entry);
}

/* Takes quotes and a trailing comment off in place. */
static int
dotenv_value(char *s)
{
	char	*in = s + strspn(s, " \t"), *out = s, quote = *in;

	if (quote != '"' && quote != '\'') {
		for (; *in != '\0'; *out++ = *in++)
			if (*in == '#' && (out == s || in[-1] == ' ' ||
			    in[-1] == '\t'))
				break;
		while (out > s && (out[-1] == ' ' || out[-1] == '\t'))
			out--;
		*out = '\0';
		return (0);
	}
	for (in++; *in != quote; *out++ = *in++) {
		if (*in == '\0')
			return (-1);
		if (quote == '"' && *in == '\\' &&
		    (in[1] == '"' || in[1] == '\\'))
			in++;
	}
	in++;
	in += strspn(in, " \t");
	if (*in != '\0' && *in != '#')
		return (-1);
	*out = '\0';
	return (0);
}

/* Old .env files are often 0644; say it, but start. */
static void
dotenv_secrecy(struct conf_ctx *ctx, struct dotenvs *envs)
{
	struct stat	 st;
	struct dotenv	*e;

	if (ctx->conf->dotenv == NULL || stat(ctx->conf->dotenv, &st) == -1 ||
	    (st.st_mode & S_IRWXO) == 0)
		return;
	TAILQ_FOREACH(e, envs, entry)
		if (strcmp(e->name, "SANDBOX_AUTH_TOKEN") == 0 ||
		    strcmp(e->name, "ABBOT_SKILL_RUNNER_TOKEN") == 0)
			conf_report(ctx, CONF_WARNING, ctx->conf->dotenv,
			    e->line, "%s: others can read this file "
			    "(mode %04o)", e->name,
			    (unsigned int)st.st_mode & 07777);
}
