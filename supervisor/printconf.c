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
 * The configuration in canonical form, each line with where it came from;
 * it parses to the same configuration.  Runs in: supervisor.  No secret is
 * ever printed: a file's name, or a comment.
 */

#include <string.h>

#include "confimpl.h"

static void	print_from(const struct conf_from *, const char *, FILE *);
static void	print_row(const struct conf *, enum conf_key, FILE *);
static void	print_rows(const struct conf *, enum conf_key, enum conf_key,
		    FILE *);
static void	print_listen(const struct conf_listen *, const char *, FILE *);
static void	print_secret(const struct conf *, const struct conf_secret *,
		    enum conf_key, FILE *);
static void	print_none(const struct conf *, FILE *);
static void	print_docker(const struct conf *, FILE *);
static void	print_llm(const struct conf *, FILE *);
static void	print_skill(const struct conf *, FILE *);

void
conf_print(const struct conf *conf, FILE *fp)
{
	const struct conf_listen	*l;

	fprintf(fp, "# %s\n", conf->path != NULL ? conf->path :
	    "no configuration file");
	if (conf->dotenv != NULL)
		fprintf(fp, "# and %s\n", conf->dotenv);
	if (conf->skill_only) {
		fprintf(fp, "skill only");
		print_from(&conf->from[CONF_K_SKILL_ONLY], NULL, fp);
	}
	TAILQ_FOREACH(l, &conf->listens, entry)
		print_listen(l, "", fp);
	print_rows(conf, CONF_K_PUBLIC_URL, CONF_K_HOST, fp);
	print_secret(conf, &conf->auth_token, CONF_K_AUTH_TOKEN, fp);
	print_secret(conf, &conf->api_token, CONF_K_API_TOKEN, fp);
	print_rows(conf, CONF_K_WEB_USER, CONF_K_LIMIT_LLM, fp);
	print_none(conf, fp);
	print_docker(conf, fp);
	fprintf(fp, "remote {\n");
	print_rows(conf, CONF_K_REMOTE_SKILLS, CONF_K_REMOTE_BUDGET, fp);
	fprintf(fp, "}\n");
	if (conf->llm.enabled)
		print_llm(conf, fp);
	if (conf->skill.enabled)
		print_skill(conf, fp);
	fprintf(fp, "# end of configuration\n");
}

/* what: NULL ends a line, else the line is a comment about it. */
static void
print_from(const struct conf_from *from, const char *what, FILE *fp)
{
	fputs(what == NULL ? "\t# " : "# ", fp);
	if (what != NULL)
		fprintf(fp, "%s set ", what);
	switch (from->origin) {
	case CONF_FROM_DEFAULT:
		fprintf(fp, "default\n");
		break;
	case CONF_FROM_FILE:
		fprintf(fp, "from %s:%d\n", from->name, from->line);
		break;
	case CONF_FROM_DOTENV:
		fprintf(fp, "from .env %s\n", from->name);
		break;
	case CONF_FROM_ENV:
		fprintf(fp, "from environment %s\n", from->name);
		break;
	}
}

static void
print_row(const struct conf *conf, enum conf_key key, FILE *fp)
{
	const struct conf_row	*row = &conf_rows[key];
	const void		*src = (const char *)conf + row->off;

	if (row->type == CONF_T_NONE || (row->type >= CONF_T_PATH &&
	    *(char *const *)src == NULL))
		return;
	fprintf(fp, "%s%s ", row->block != NULL ? "\t" : "", row->name);
	confval_print(row, src, fp);
	if (key == CONF_K_CONTROL && conf->control_group != NULL) {
		fprintf(fp, " group ");
		confval_quote(conf->control_group, fp);
	}
	print_from(&conf->from[key], NULL, fp);
}

/* From first to last, both included. */
static void
print_rows(const struct conf *conf, enum conf_key first, enum conf_key last,
    FILE *fp)
{
	int	key;

	for (key = (int)first; key <= (int)last; key++)
		print_row(conf, (enum conf_key)key, fp);
}

static void
print_listen(const struct conf_listen *l, const char *indent, FILE *fp)
{
	const struct conf_pair	*pair;

	fprintf(fp, "%slisten on %s port %u", indent, l->host, l->port);
	if (l->flags & CONF_LISTEN_TLS)
		fprintf(fp, " tls");
	TAILQ_FOREACH(pair, &l->pairs, entry) {
		fprintf(fp, " certificate ");
		confval_quote(pair->cert, fp);
		fprintf(fp, " key ");
		confval_quote(pair->key, fp);
	}
	if (!(l->flags & CONF_LISTEN_API))
		fprintf(fp, " runners");
	if (l->flags & CONF_LISTEN_METRICS)
		fprintf(fp, " metrics");
	print_from(&l->from, NULL, fp);
}

static void
print_secret(const struct conf *conf, const struct conf_secret *s,
    enum conf_key key, FILE *fp)
{
	const struct conf_row	*row = &conf_rows[key];

	if (row->block != NULL && s->value != NULL)
		fprintf(fp, "\t");
	if (s->file != NULL) {
		fprintf(fp, "%s file ", row->name);
		confval_quote(s->file, fp);
		print_from(&conf->from[key], NULL, fp);
	} else if (s->value != NULL)
		print_from(&conf->from[key], row->name, fp);
}

static void
print_none(const struct conf *conf, FILE *fp)
{
	fprintf(fp, "none {\n");
	if (conf->none.user != NULL) {
		fprintf(fp, "\tuser ");
		confval_quote(conf->none.user, fp);
	} else
		fprintf(fp, "\tuid range %u-%u", (unsigned)conf->none.uid_min,
		    (unsigned)conf->none.uid_max);
	print_from(&conf->from[CONF_K_NONE_UIDS], NULL, fp);
	print_rows(conf, CONF_K_NONE_WORKSPACE, CONF_K_NONE_AS, fp);
	fprintf(fp, "}\n");
}

static void
print_docker(const struct conf *conf, FILE *fp)
{
	const struct conf_name	*n;

	fprintf(fp, "docker {\n");
	print_rows(conf, CONF_K_DOCKER_SOCKET, CONF_K_DOCKER_NETWORK, fp);
	fprintf(fp, "\tcapabilities drop");
	TAILQ_FOREACH(n, &conf->docker.capdrop, entry)
		fprintf(fp, " %s", n->name);
	if (TAILQ_EMPTY(&conf->docker.capdrop))
		fprintf(fp, " none");
	print_from(&conf->from[CONF_K_DOCKER_CAPS], NULL, fp);
	print_rows(conf, CONF_K_DOCKER_NNP, CONF_K_DOCKER_PULL, fp);
	fprintf(fp, "}\n");
}

static void
print_llm(const struct conf *conf, FILE *fp)
{
	fprintf(fp, "llm {\n");
	print_rows(conf, CONF_K_LLM_PROVIDER, CONF_K_LLM_CA, fp);
	print_secret(conf, &conf->llm.key, CONF_K_LLM_KEY, fp);
	fprintf(fp, "}\n");
}

static void
print_skill(const struct conf *conf, FILE *fp)
{
	fprintf(fp, "skill {\n");
	if (conf->skill.developer)
		fprintf(fp, "\t# developer mode from ABBOT_ENV\n");
	print_listen(conf->skill.listen, "\t", fp);
	print_secret(conf, &conf->skill.token, CONF_K_SKILL_TOKEN, fp);
	print_rows(conf, CONF_K_SKILL_POLICY, CONF_K_SKILL_PROCESSES, fp);
	fprintf(fp, "}\n");
}
