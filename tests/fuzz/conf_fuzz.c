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
 * libFuzzer: a configuration file, or with a first byte of 'E' an .env file.
 * What loads must print, parse again and print the same.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. \
 *       -o conf_fuzz tests/fuzz/conf_fuzz.c parse.c supervisor/conf*.c \
 *       supervisor/env.c supervisor/printconf.c
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/conf.h"

int		 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char	 dir[] = "conf-fuzz-XXXXXX";
static char	 home[] = "HOME=/h";
static char	*env[] = { home, NULL };

static void
on_report(void *arg, enum conf_severity sev, const char *text)
{
	(void)arg;
	(void)sev;
	if (strlen(text) < 3)
		abort();
}

static const char *
file_make(const char *name, const void *data, size_t len)
{
	static char	 path[2][64];
	static bool	 made;
	FILE		*fp;
	int		 turn;

	if (!made && mkdtemp(dir) == NULL)
		abort();
	made = true;
	turn = *name == 'e';
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	if ((fp = fopen(path[turn], "w")) == NULL)
		abort();
	if (len > 0 && fwrite(data, 1, len, fp) != len)
		abort();
	fclose(fp);
	return (path[turn]);
}

/* Without the comments, which name the file. */
static char *
print(const struct conf *conf, size_t *len)
{
	char	*buf = NULL, *in, *out;
	FILE	*fp;
	bool	 bol;

	if ((fp = open_memstream(&buf, len)) == NULL)
		abort();
	conf_print(conf, fp);
	fclose(fp);
	for (in = out = buf; *in != '\0';) {
		bol = in == buf || in[-1] == '\n';
		if (strncmp(in, "\t# ", 3) == 0 || (*in == '#' && bol)) {
			while (*in != '\n')
				in++;
			in += bol;
		} else
			*out++ = *in++;
	}
	*out = '\0';
	*len = (size_t)(out - buf);
	return (buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char	 base[] = "state directory \"/r\"\n";
	struct conf_opts	 opts = { .environ = env,
				    .report = on_report };
	struct conf		*conf, *again;
	const char		*path;
	char			*one, *two;
	size_t			 n, m;

	if (size > 0 && data[0] == 'E') {
		opts.envfile = file_make("env", data + 1, size - 1);
		path = file_make("conf", base, sizeof(base) - 1);
	} else {
		opts.envfile = file_make("env", "", 0);
		path = file_make("conf", data, size);
	}
	if ((conf = conf_load(path, &opts)) == NULL)
		return (0);
	one = print(conf, &n);
	if (size == 0 || data[0] != 'E') {
		path = file_make("conf", one, n);
		if ((again = conf_load(path, &opts)) == NULL &&
		    conf->auth_token.value == NULL && !conf->skill_only)
			abort();
		if (again != NULL) {
			two = print(again, &m);
			if (n != m || memcmp(one, two, n) != 0)
				abort();
			free(two);
			conf_free(again);
		}
	}
	free(one);
	conf_free(conf);
	return (0);
}
