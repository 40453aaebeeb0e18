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
 * Where token and key come from, and how they disappear from view.
 * Runs in: xbot-runner.  Trusts: the user's files and environment.
 */

#include <sys/prctl.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "runner/secret.h"

static char	*secret_from_file(const char *);
static char	*secret_from_env(const char *);

void
secret_wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
}

void
secret_mask(char *text)
{
	memset(text, '*', strlen(text));
}

static char *
secret_from_file(const char *path)
{
	char		 text[SECRET_MAX + 1], *copy = NULL;
	struct stat	 st;
	ssize_t		 n;
	int		 fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1) {
		log_error("%s", path);
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 077) != 0)
		log_warnx("%s is open to others: chmod 600 it", path);
	if ((n = read(fd, text, sizeof(text))) == -1)
		log_error("%s", path);
	else if (n == (ssize_t)sizeof(text))
		log_errorx("%s: more than %d bytes", path, SECRET_MAX);
	else {
		text[n] = '\0';
		text[strcspn(text, "\r\n")] = '\0';
		if (text[0] == '\0')
			log_errorx("%s: empty", path);
		else if ((copy = strdup(text)) == NULL)
			log_error("%s", path);
	}
	explicit_bzero(text, sizeof(text));
	close(fd);
	return copy;
}

/* unsetenv() only forgets the text; /proc/PID/environ would still show it. */
static char *
secret_from_env(const char *variable)
{
	char	*value, *copy;

	if ((value = getenv(variable)) == NULL)
		return NULL;
	if ((copy = strdup(value)) == NULL)
		fatal("strdup");
	secret_wipe(value);
	unsetenv(variable);
	return copy;
}

bool
secret_find(char **value, const char *file, const char *variable)
{
	char	*from_env = secret_from_env(variable), *found = NULL;

	if ((*value)[0] == '\0' && file[0] != '\0') {
		if ((found = secret_from_file(file)) == NULL) {
			secret_wipe(from_env);
			free(from_env);
			return false;
		}
	} else if ((*value)[0] == '\0' && from_env != NULL) {
		found = from_env;
		from_env = NULL;
	}
	if (found != NULL) {
		free(*value);
		*value = found;
	}
	secret_wipe(from_env);
	free(from_env);
	return true;
}

void
secret_shield(void)
{
#ifndef __SANITIZE_ADDRESS__
	/* The leak checker needs ptrace, which this would forbid. */
	if (prctl(PR_SET_DUMPABLE, 0) == -1)
		log_warn("prctl(PR_SET_DUMPABLE)");
#endif
}
