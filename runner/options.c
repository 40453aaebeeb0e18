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
 * One table of flags, from which parsing, defaults and usage come.
 * Runs in: xbot-runner.  Trusts: the user who typed them.
 */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runner/options.h"
#include "runner/secret.h"

enum flag_type {
	FLAG_STRING,
	FLAG_SECRET,		/* as string, scrubbed from argv */
	FLAG_BOOL
};

struct flag {
	const char	*name;
	enum flag_type	 type;
	size_t		 off;		/* in struct options */
	const char	*value;		/* default */
	const char	*help;
};

#define AT(member)	offsetof(struct options, member)

static const struct flag flags[] = {
	{ "server", FLAG_STRING, AT(server), "",
	    "server address with user, ws://HOST:PORT/ws/USER (required)" },
	{ "token", FLAG_SECRET, AT(token), "",
	    "runner token (required; or --token-file, XBOT_RUNNER_TOKEN)" },
	{ "token-file", FLAG_STRING, AT(token_file), "",
	    "file that holds the token" },
	{ "user-id", FLAG_STRING, AT(user_id), "",
	    "user (default: last segment of --server)" },
	{ "name", FLAG_STRING, AT(name), "",
	    "name of this runner (protocol 2 only)" },
	{ "workspace", FLAG_STRING, AT(workspace), "/workspace",
	    "root of the files that the server may touch" },
	{ "mode", FLAG_STRING, AT(mode), "native", "native or docker" },
	{ "docker-image", FLAG_STRING, AT(docker_image), "ubuntu:22.04",
	    "image of docker mode" },
	{ "full-control", FLAG_BOOL, AT(full_control), "false",
	    "let file requests leave the workspace" },
	{ "v", FLAG_BOOL, AT(verbose), "false", "log every request" },
	{ "once", FLAG_BOOL, AT(once), "false",
	    "end with the first connection, do not reconnect" },
	{ "ca-file", FLAG_STRING, AT(ca_file), "",
	    "certificate authorities to trust with wss://" },
	{ "llm-provider", FLAG_STRING, AT(llm_provider), "",
	    "openai or anthropic" },
	{ "llm-base-url", FLAG_STRING, AT(llm_base_url), "",
	    "address of the LLM API" },
	{ "llm-api-key", FLAG_SECRET, AT(llm_api_key), "",
	    "LLM API key (or --llm-api-key-file, XBOT_LLM_API_KEY)" },
	{ "llm-api-key-file", FLAG_STRING, AT(llm_api_key_file), "",
	    "file that holds the LLM API key" },
	{ "llm-model", FLAG_STRING, AT(llm_model), "", "default model" },
};

#define NFLAGS	(sizeof(flags) / sizeof(flags[0]))

static const struct flag	*flag_find(const char *, size_t);
static bool			 flag_bool(const struct flag *, const char *,
				    bool *);
static bool			 flag_set(struct options *,
				    const struct flag *, char *);
static enum options_result	 options_walk(struct options *, int, char *[]);
static void			 options_scrub(int, char *[]);
static void			 usage(FILE *);

static const struct flag *
flag_find(const char *name, size_t len)
{
	size_t	 i;

	for (i = 0; i < NFLAGS; i++)
		if (strlen(flags[i].name) == len &&
		    memcmp(flags[i].name, name, len) == 0)
			return &flags[i];
	return NULL;
}

/* The words that Go's strconv.ParseBool takes. */
static bool
flag_bool(const struct flag *f, const char *text, bool *out)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE",
	    "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE",
	    "False" };
	size_t	 i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*out = strcmp(text, yes[i]) == 0;
			return true;
		}
	}
	fprintf(stderr, "xbot-runner: invalid boolean value \"%s\" for -%s\n",
	    text, f->name);
	return false;
}

static bool
flag_set(struct options *o, const struct flag *f, char *text)
{
	char	**member;

	if (f->type == FLAG_BOOL)
		return flag_bool(f, text, (bool *)(void *)((char *)o + f->off));
	member = (char **)(void *)((char *)o + f->off);
	if (f->type == FLAG_SECRET)
		secret_wipe(*member);
	free(*member);
	if ((*member = strdup(text)) == NULL)
		fatal("strdup");
	return true;
}

static enum options_result
options_walk(struct options *o, int argc, char *argv[])
{
	const struct flag	*f;
	char			*name, *value;
	size_t			 len;
	int			 i;

	for (i = 1; i < argc; i++) {
		name = argv[i];
		if (name[0] != '-' || name[1] == '\0' ||
		    strcmp(name, "--") == 0) {
			/* A stray word is a typing error; its value may
			 * be a secret, so it is not repeated. */
			fprintf(stderr, "xbot-runner: argument %d is no flag\n",
			    i);
			return OPTIONS_BAD;
		}
		name += name[1] == '-' ? 2 : 1;
		value = strchr(name, '=');
		len = value != NULL ? (size_t)(value++ - name) : strlen(name);
		if ((len == 1 && name[0] == 'h') ||
		    (len == 4 && memcmp(name, "help", 4) == 0))
			return OPTIONS_HELP;
		if ((f = flag_find(name, len)) == NULL) {
			fprintf(stderr, "xbot-runner: flag provided but not "
			    "defined: -%.*s\n", (int)len, name);
			return OPTIONS_BAD;
		}
		if (value == NULL && f->type == FLAG_BOOL)
			*(bool *)(void *)((char *)o + f->off) = true;
		else if (value == NULL && (value = argv[++i]) == NULL) {
			fprintf(stderr, "xbot-runner: flag needs an argument: "
			    "-%s\n", f->name);
			return OPTIONS_BAD;
		} else if (!flag_set(o, f, value))
			return OPTIONS_BAD;
	}
	return OPTIONS_OK;
}

/*
 * argv is what ps shows to everybody.  A pass of its own, so that the order
 * of the flags and an error among them make no difference.
 */
static void
options_scrub(int argc, char *argv[])
{
	const struct flag	*f;
	char			*name, *value;
	int			 i;

	for (i = 1; i < argc; i++) {
		name = argv[i];
		if (name[0] != '-')
			continue;
		name += name[1] == '-' ? 2 : 1;
		value = strchr(name, '=');
		f = flag_find(name, value != NULL ? (size_t)(value - name) :
		    strlen(name));
		if (f == NULL || f->type == FLAG_BOOL)
			continue;
		value = value != NULL ? value + 1 : argv[++i];
		if (value != NULL && f->type == FLAG_SECRET)
			secret_mask(value);
	}
}

enum options_result
options_parse(struct options *o, int argc, char *argv[])
{
	enum options_result	 res;
	char			 value[64];
	size_t			 i;

	memset(o, 0, sizeof(*o));
	for (i = 0; i < NFLAGS; i++) {
		snprintf(value, sizeof(value), "%s", flags[i].value);
		flag_set(o, &flags[i], value);
	}
	res = options_walk(o, argc, argv);
	options_scrub(argc, argv);
	if (res != OPTIONS_OK)
		usage(stderr);
	return res;
}

void
options_clear(struct options *o)
{
	char	**member;
	size_t	  i;

	for (i = 0; i < NFLAGS; i++) {
		if (flags[i].type == FLAG_BOOL)
			continue;
		member = (char **)(void *)((char *)o + flags[i].off);
		if (flags[i].type == FLAG_SECRET)
			secret_wipe(*member);
		free(*member);
		*member = NULL;
	}
}

static void
usage(FILE *out)
{
	size_t	 i;

	fprintf(out, "usage: xbot-runner --server URL --token TOKEN "
	    "[flags]\n");
	for (i = 0; i < NFLAGS; i++) {
		fprintf(out, "  --%-18s %s", flags[i].name, flags[i].help);
		if (flags[i].value[0] != '\0' && flags[i].type != FLAG_BOOL)
			fprintf(out, " (default %s)", flags[i].value);
		fputc('\n', out);
	}
}
