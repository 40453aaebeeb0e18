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
 * The table of verbs, and their options.  Runs in: xbot-admin.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/ids.h"
#include "supervisor/admin/admin.h"

#define ANY	4096			/* words of a command */

#define USER	"-u user"

static const struct verb verbs[] = {
	{ "status", NULL, "", "", 0, 0, false, verb_status },
	{ "users", NULL, "", "", 0, 0, false, verb_users },
	{ "route", NULL, "u:S:", USER " [-S session]", 0, 0, true,
	    verb_route },
	{ "exec", NULL, "u:iTd:e:S:t:", USER " [-iT] [-d directory] "
	    "[-e name=value] [-S session]\n\t    [-t seconds] [--] "
	    "command [argument ...]", 1, ANY, true, verb_exec },
	{ "shell", NULL, "u:d:e:S:", USER " [-d directory] [-e name=value] "
	    "[-S session]", 0, 0, true, verb_shell },
	{ "cp", NULL, "u:pS:", USER " [-p] [-S session] source "
	    "destination", 2, 2, true, verb_cp },
	{ "task", "start", "u:id:e:S:", USER " [-i] [-d directory] "
	    "[-e name=value]\n\t    [-S session] [--] command "
	    "[argument ...]", 1, ANY, true, verb_task_start },
	{ "task", "list", "u:S:", USER " [-S session]", 0, 0, true,
	    verb_task_list },
	{ "task", "show", "u:S:", USER " [-S session] task", 1, 1, true,
	    verb_task_show },
	{ "task", "follow", "u:S:", USER " [-S session] task", 1, 1, true,
	    verb_task_follow },
	{ "task", "kill", "u:S:", USER " [-S session] task", 1, 1, true,
	    verb_task_kill },
	{ "events", NULL, "u:", "[" USER "]", 0, 0, false, verb_events },
	{ "runner", "list", "u:", USER, 0, 0, true, verb_runner_list },
	{ "runner", "create", "u:m:i:w:B:K:M:P:", USER " [-m mode] "
	    "[-i image] [-w workspace]\n\t    [--llm-provider name] "
	    "[--llm-model name] [--llm-base-url url]\n\t    "
	    "[--llm-api-key-file file] name", 1, 1, true,
	    verb_runner_create },
	{ "runner", "delete", "u:", USER " name", 1, 1, true,
	    verb_runner_delete },
	{ "runner", "rename", "u:", USER " name new-name", 2, 2, true,
	    verb_runner_rename },
	{ "runner", "rotate", "u:", USER " name", 1, 1, true,
	    verb_runner_rotate },
	{ "runner", "llm", "u:B:K:M:P:", USER " [--llm-provider name] "
	    "[--llm-model name]\n\t    [--llm-base-url url] "
	    "[--llm-api-key-file file] name", 1, 1, true, verb_runner_llm },
	{ "runner", "use", "u:S:", USER " [-S session] name", 1, 1, true,
	    verb_runner_use },
	{ "sandbox", "list", "", "", 0, 0, false, verb_sandbox_list },
	{ "sandbox", "show", "u:", USER, 0, 0, true, verb_sandbox_show },
	{ "sandbox", "commit", "u:", USER, 0, 0, true, verb_sandbox_commit },
	{ "sandbox", "stop", "u:", USER, 0, 0, true, verb_sandbox_stop },
	{ "sandbox", "reset", "u:", USER, 0, 0, true, verb_sandbox_reset },
	{ "token", "create", "u:sn:", "-s | " USER " [-n name]", 0, 0,
	    false, verb_token_create },
	{ "token", "list", "", "", 0, 0, false, verb_token_list },
	{ "token", "revoke", "", "id", 1, 1, false, verb_token_revoke },
	{ "reload", NULL, "", "", 0, 0, false, verb_reload },
	{ "log", NULL, "", "verbose | brief", 1, 1, false, verb_log },
	{ "stop", NULL, "", "", 0, 0, false, verb_stop },
};

/* Each is the letter of a verb that has it. */
static const struct option long_options[] = {
	{ "llm-base-url", required_argument, NULL, 'B' },
	{ "llm-api-key-file", required_argument, NULL, 'K' },
	{ "llm-model", required_argument, NULL, 'M' },
	{ "llm-provider", required_argument, NULL, 'P' },
	{ NULL, 0, NULL, 0 }
};

static const struct verb *verb_find(int, char **);
static bool		 args_parse(struct args *, const struct verb *, int,
			    char **);
static void		 option_wrong(const char *, bool);
static bool		 whole(const char *, const char *);
static int		 wrong(const char *, const char *);

static const struct verb *current;	/* of this run */

static void
usage_line(const struct verb *v)
{
	fprintf(stderr, "\t%s%s%s%s%s\n", v->name, v->sub != NULL ? " " : "",
	    v->sub != NULL ? v->sub : "", *v->usage != '\0' ? " " : "",
	    v->usage);
}

void
verb_usage(const char *name)
{
	size_t	 i;

	for (i = 0; i < NITEMS(verbs); i++)
		if (name == NULL || strcmp(name, verbs[i].name) == 0)
			usage_line(&verbs[i]);
}

int
verb_wrong(const char *why)
{
	complain("%s: %s", current->name, why);
	fprintf(stderr, "usage: xbot-admin [-j] [-s socket]\n");
	usage_line(current);
	return STATUS_USAGE;
}

static int
wrong(const char *what, const char *why)
{
	char	 text[256];

	(void)snprintf(text, sizeof(text), "%s: %s", what, why);
	return verb_wrong(text);
}

static const struct verb *
verb_find(int argc, char **argv)
{
	const struct verb	*v;
	bool			 known = false;
	size_t			 i;

	for (i = 0; i < NITEMS(verbs); i++) {
		v = &verbs[i];
		if (strcmp(v->name, argv[0]) != 0)
			continue;
		known = true;
		if (v->sub == NULL ||
		    (argc > 1 && strcmp(v->sub, argv[1]) == 0))
			return v;
	}
	if (known)
		complain("%s: what of it?", argv[0]);
	else
		complain("%s: no such verb", argv[0]);
	fprintf(stderr, "usage: xbot-admin [-j] [-s socket]\n");
	verb_usage(known ? argv[0] : NULL);
	return NULL;
}

/* Not what stands behind a =, which may be a secret. */
static void
option_wrong(const char *word, bool value)
{
	char	 name[64];

	if (optopt != 0 && strncmp(word, "--", 2) != 0)
		(void)snprintf(name, sizeof(name), "-%c", optopt);
	else
		(void)snprintf(name, sizeof(name), "%.*s",
		    (int)strcspn(word, "="), word);
	(void)wrong(name, value ? "this option needs a value" :
	    "no such option");
}

/*
 * No abbreviations: --llm-api-key is not a file's name, it is a mistake, and
 * its value a secret.
 */
static bool
whole(const char *word, const char *name)
{
	return strcspn(word + 2, "=") == strlen(name);
}

/* argv[0] is the last word of the verb. */
static bool
args_parse(struct args *a, const struct verb *v, int argc, char **argv)
{
	const char	*word;
	char		 options[32];
	int		 ch, at;

	/* '+': a command's own options are not ours. */
	(void)snprintf(options, sizeof(options), "+:%s", v->options);
	optind = 0;
	opterr = 0;
	while (at = -1, (ch = getopt_long(argc, argv, options, long_options,
	    &at)) != -1) {
		word = argv[optind - 1];
		if (at != -1 && optarg == word)
			word = argv[optind - 2];
		if (at != -1 && !whole(word, long_options[at].name))
			ch = '?';
		if (ch == '?' || ch == ':' || strchr(v->options, ch) == NULL) {
			option_wrong(word, ch == ':');
			return false;
		}
		if (ch != 'e')
			a->opt[ch] = optarg != NULL ? optarg : "";
		else if (a->nenv < ENV_MAX)
			a->env[a->nenv++] = optarg;
		else {
			(void)wrong("-e", "too many");
			return false;
		}
	}
	a->user = a->opt['u'];
	a->argc = argc - optind;
	a->argv = argv + optind;
	return true;
}

int
verb_run(int argc, char **argv)
{
	static struct args	 a;
	const struct verb	*v;
	int			 words;

	if ((v = verb_find(argc, argv)) == NULL)
		return STATUS_USAGE;
	current = v;
	words = v->sub != NULL ? 2 : 1;
	if (!args_parse(&a, v, argc - (words - 1), argv + (words - 1)))
		return STATUS_USAGE;
	if (v->user && a.user == NULL)
		return verb_wrong("for which user?  -u is missing");
	if (a.user != NULL && !id_user_ok(slice_str(a.user)))
		return wrong("-u", "not a user id");
	if (a.argc < v->min)
		return verb_wrong("a word is missing");
	if (a.argc > v->max)
		return wrong(a.argv[v->max], "one word too many");
	return v->run(&a);
}
