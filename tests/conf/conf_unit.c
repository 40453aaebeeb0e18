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
 * What a printed configuration does not show: secrets, derived flags, what a
 * reload refuses, and that no failing allocation crashes, leaks or passes.
 * Linked with --wrap for calloc and strdup.
 */

#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/conf.h"

void		*__real_calloc(size_t, size_t);
void		*__wrap_calloc(size_t, size_t);
char		*__real_strdup(const char *);
char		*__wrap_strdup(const char *);

static char	 dir[] = "/tmp/conf-unit-XXXXXX";
static int	 passed, failed;
static int	 errors, warnings;
static long	 fail_at, calls;

void *
__wrap_calloc(size_t n, size_t len)
{
	return (++calls == fail_at ? NULL : __real_calloc(n, len));
}

char *
__wrap_strdup(const char *s)
{
	return (++calls == fail_at ? NULL : __real_strdup(s));
}

static void
check(bool ok, const char *name)
{
	printf("%s conf/unit/%s\n", ok ? "ok" : "not ok", name);
	if (ok)
		passed++;
	else
		failed++;
}

static void
on_report(void *arg, enum conf_severity sev, const char *text)
{
	(void)arg;
	(void)text;
	if (sev == CONF_ERROR)
		errors++;
	else
		warnings++;
}

static const char *
file_make(const char *name, const char *text)
{
	static char	 path[4][64];
	static int	 turn;
	FILE		*fp;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	if ((fp = fopen(path[turn], "w")) == NULL || fputs(text, fp) == EOF ||
	    fclose(fp) == EOF || chmod(path[turn], 0600) == -1) {
		perror(path[turn]);
		exit(1);
	}
	return (path[turn]);
}

static struct conf *
load(const char *text, char *const *env)
{
	struct conf_opts	 opts = { .environ = env, .is_root = true,
				    .report = on_report };
	char			 none[64];

	errors = warnings = 0;
	snprintf(none, sizeof(none), "%s/none.conf", dir);
	opts.default_path = none;
	return (conf_load(text == NULL ? NULL : file_make("a.conf", text),
	    &opts));
}

static void
test_backends(void)
{
	static const struct {
		const char	*name, *mode, *remote_mode;
		bool		 docker, remote, host;
		int		 warns;
	} rows[] = {
		{ "stock",		NULL,	NULL,	0, 1, 1, 0 },
		{ "none",		"none",	NULL,	0, 0, 1, 0 },
		{ "docker",		"docker", NULL,	1, 0, 0, 0 },
		{ "remote",		"remote", NULL,	0, 1, 0, 0 },
		{ "none remote",	"none",	"remote", 0, 1, 0, 0 },
		{ "unset remote",	NULL,	"remote", 0, 1, 0, 0 },
		{ "docker remote",	"docker", "remote", 1, 1, 0, 0 },
		{ "remote remote",	"remote", "remote", 1, 1, 0, 1 },
		{ "unknown remote",	"x",	"remote", 1, 1, 0, 2 },
		{ "unknown",		"x",	NULL,	0, 0, 1, 1 },
		{ "docker other",	"docker", "on",	1, 1, 0, 1 },
	};
	struct conf	*c;
	char		 mode[64], remote[64], name[64];
	char		*env[3];
	size_t		 i, n;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = 0;
		snprintf(mode, sizeof(mode), "SANDBOX_MODE=%s",
		    rows[i].mode != NULL ? rows[i].mode : "");
		snprintf(remote, sizeof(remote), "SANDBOX_REMOTE_MODE=%s",
		    rows[i].remote_mode != NULL ? rows[i].remote_mode : "");
		if (rows[i].mode != NULL)
			env[n++] = mode;
		env[n++] = remote;	/* empty counts as unset */
		env[n] = NULL;
		c = load(NULL, env);
		snprintf(name, sizeof(name), "backends, %s", rows[i].name);
		check(c != NULL && c->have_docker == rows[i].docker &&
		    c->have_remote == rows[i].remote &&
		    c->have_host == rows[i].host &&
		    warnings == rows[i].warns && errors == 0, name);
		conf_free(c);
	}
}

static void
test_listeners(void)
{
	char			*env[] = { "SANDBOX_WS_PORT=8080", NULL };
	struct conf_listen	*a, *b;
	struct conf		*c;

	c = load(NULL, env);
	a = c != NULL ? TAILQ_FIRST(&c->listens) : NULL;
	b = a != NULL ? TAILQ_NEXT(a, entry) : NULL;
	check(b != NULL && (a->flags & CONF_LISTEN_SHARED) &&
	    (b->flags & CONF_LISTEN_SHARED), "one port, two addresses: shared");
	check(b != NULL && (a->flags & CONF_LISTEN_API) &&
	    !(b->flags & CONF_LISTEN_API) && (b->flags & CONF_LISTEN_WS),
	    "the wildcard serves runners only");
	conf_free(c);
	c = load("listen on :: port 80\nlisten on 127.0.0.1 port 80\n", NULL);
	a = c != NULL ? TAILQ_FIRST(&c->listens) : NULL;
	check(a != NULL && !(a->flags & CONF_LISTEN_SHARED) &&
	    a->ss.ss_family == AF_INET6, "other family: not shared");
	conf_free(c);
}

static void
test_secrets(void)
{
	char		*env[] = { "SANDBOX_AUTH_TOKEN=from-env",
			    NULL };
	char		*skill[] = { "ABBOT_SKILL_RUNNER_TOKEN="
			    "0123456789012345678901234567890123456789"
			    "012345678901234567890123", NULL };
	char		 text[512];
	const char	*path;
	struct conf	*c;

	path = file_make("token", "the-token\r\n\n");
	snprintf(text, sizeof(text), "auth token file \"%s\"\n"
	    "api token file \"%s\"\n", path, path);
	c = load(text, NULL);
	check(c != NULL && strcmp(c->auth_token.value, "the-token") == 0 &&
	    c->auth_token.len == 9 && strcmp(c->auth_token.file, path) == 0,
	    "token file");
	conf_free(c);
	c = load(text, env);
	check(c != NULL && strcmp(c->auth_token.value, "from-env") == 0 &&
	    c->auth_token.file == NULL &&
	    strcmp(c->api_token.value, "the-token") == 0,
	    "environment over token file");
	conf_free(c);
	c = load(NULL, skill);
	check(c != NULL && c->skill_only && c->skill.enabled &&
	    TAILQ_EMPTY(&c->listens) && !c->have_host && !c->have_remote &&
	    c->skill.listen != NULL && c->skill.listen->port == 80,
	    "skill runner alone");
	conf_free(c);
	c = load("state directory \"/r\"\n", skill);
	check(c != NULL && !c->skill_only && c->skill.enabled &&
	    !TAILQ_EMPTY(&c->listens), "skill runner beside the rest");
	conf_free(c);
}

static void
test_reload(void)
{
	static const struct {
		const char	*name, *old, *new;
		int		 want;
	} rows[] = {
		{ "same", "", "", 0 },
		{ "limit", "", "user limit exec 1\n", 0 },
		{ "mode", "", "sandbox mode docker\n", 0 },
		{ "state", "", "state directory \"/other\"\n", -1 },
		{ "state in words", "", "state directory \"/var/db/xbot/\"\n",
		    0 },
		{ "uids", "", "none { uid range 62000-62998 }\n", -1 },
		{ "user", "", "none { user a }\n", -1 },
		{ "other user", "none { user b }\n", "none { user a }\n", -1 },
	};
	struct conf	*old, *new;
	char		 err[256], name[64];
	size_t		 i;
	int		 got;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		old = load(rows[i].old, NULL);
		new = load(rows[i].new, NULL);
		err[0] = '\0';
		got = old != NULL && new != NULL ? conf_check_reload(old, new,
		    err, sizeof(err)) : -2;
		snprintf(name, sizeof(name), "reload, %s", rows[i].name);
		check(got == rows[i].want && (got == 0) == (err[0] == '\0'),
		    name);
		conf_free(old);
		conf_free(new);
	}
}

/* A load is right, or it is refused with a text. */
static void
test_memory(void)
{
	static const char	text[] =
	    "a = \"/x\"\nlisten on 127.0.0.1 port 80 tls certificate \"/c\" "
	    "key \"/k\"\ncontrol socket $a group g\nuser limit exec 3\n"
	    "none { user u }\ndocker {\ncapabilities drop MKNOD\n}\n"
	    "auth token \"secret\"\nllm { }\n"
	    "skill { listen on ::1 port 81 }\n";
	char			*env[] = { "SANDBOX_MODE=docker",
				    "ABBOT_SKILL_RUNNER_TOKEN=short",
				    "ABBOT_ENV=dev", "PORT=99",
				    "SANDBOX_WS_PORT=1", NULL };
	struct conf		*c;
	bool			 ok = true;
	long			 n, total;

	calls = fail_at = 0;
	file_make(".env", "SANDBOX_DOCKER_IMAGE=a\n");
	c = load(text, env);
	check(c != NULL && errors == 0, "everything at once");
	conf_free(c);
	total = calls;
	for (n = 1; n <= total; n++) {
		calls = 0;
		fail_at = n;
		c = load(text, env);
		fail_at = 0;
		if ((c == NULL) != (errors > 0) || c != NULL) {
			printf("# allocation %ld: %s, %d errors\n", n,
			    c == NULL ? "refused" : "loaded", errors);
			ok = false;
		}
		conf_free(c);
	}
	check(ok && total > 50, "every allocation fails once");
}

int
main(void)
{
	char	cmd[64];

	if (mkdtemp(dir) == NULL) {
		perror(dir);
		return (1);
	}
	test_backends();
	test_listeners();
	test_secrets();
	test_reload();
	test_memory();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		fprintf(stderr, "%s is left\n", dir);
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return (failed != 0);
}
