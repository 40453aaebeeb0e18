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
 * What is to run, as the API wants to hear it: exec, shell, task start.
 * Runs in: xbot-admin.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "supervisor/admin/admin.h"

#define STDIN_MAX	(768u * 1024)	/* 1 MiB of JSON holds it in base64 */
#define PATH_BYTES_MAX	15000	/* 16 KiB of request line and headers */

static bool	 text_ok(const char *);
static bool	 word_add(struct buf *, const char *name, const char *);

bool
command_input(struct buf *b)
{
	ssize_t	 n;
	void	*dst;

	if (isatty(STDIN_FILENO)) {
		complain("-i: standard input is a terminal; here it is a "
		    "file or a pipe");
		return false;
	}
	for (;;) {
		if ((dst = buf_reserve(b, 65536)) == NULL) {
			complain("no memory");
			return false;
		}
		if ((n = read(STDIN_FILENO, dst, 65536)) == 0)
			return true;
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			complain("standard input: %s", strerror(errno));
			return false;
		}
		b->len += (size_t)n;
		if (b->len > STDIN_MAX) {
			complain("standard input: longer than %u bytes; copy "
			    "a file with cp instead", STDIN_MAX);
			return false;
		}
	}
}

/* JSON has no other bytes, and we do not guess what was meant. */
static bool
text_ok(const char *s)
{
	if (s == NULL || utf8_valid(s, strlen(s)))
		return true;
	complain("a word is not UTF-8");
	return false;
}

bool
command_body(const struct args *a, struct jsonw *w, const struct buf *input)
{
	size_t	 i;
	int	 k;

	if (!text_ok(a->opt['d']) || !text_ok(a->opt['S']))
		return false;
	jsonw_object(w, NULL);
	if (a->argc == 1) {
		if (!text_ok(a->argv[0]))
			return false;
		jsonw_text(w, "command", a->argv[0]);
		jsonw_bool(w, "shell", true);
	} else {
		jsonw_array(w, "args");
		for (k = 0; k < a->argc; k++) {
			if (!text_ok(a->argv[k]))
				return false;
			jsonw_text(w, NULL, a->argv[k]);
		}
		jsonw_end(w);
	}
	if (a->nenv > 0) {
		jsonw_array(w, "env");
		for (i = 0; i < a->nenv; i++) {
			if (!text_ok(a->env[i]))
				return false;
			jsonw_text(w, NULL, a->env[i]);
		}
		jsonw_end(w);
	}
	if (a->opt['d'] != NULL)
		jsonw_text(w, "dir", a->opt['d']);
	if (a->opt['S'] != NULL)
		jsonw_text(w, "session", a->opt['S']);
	if (a->opt['t'] != NULL)
		jsonw_int(w, "timeout", strtol(a->opt['t'], NULL, 10));
	if (input->len > 0) {
		jsonw_base64(w, "stdin", buf_data(input), input->len);
		jsonw_text(w, "stdin_encoding", "base64");
	}
	jsonw_end(w);
	if (!jsonw_ok(w))
		complain("no memory");
	return jsonw_ok(w);
}

/* "&name=word", or "?" in front of the first. */
static bool
word_add(struct buf *b, const char *name, const char *word)
{
	if (!text_ok(word) || !path_more(b, memchr(buf_data(b), '?', b->len)
	    == NULL ? "?%=%" : "&%=%", name, word))
		return false;
	if (b->len <= PATH_BYTES_MAX)
		return true;
	complain("the command is too long for -i and -T");
	return false;
}

bool
command_path(const struct args *a, struct buf *b)
{
	const char	*name = "command";
	size_t		 i;
	int		 k;

	if (a->argc == 1) {
		if (!word_add(b, name, "sh") || !word_add(b, "arg", "-c"))
			return false;
		name = "arg";
	}
	for (k = 0; k < a->argc; k++) {
		if (!word_add(b, name, a->argv[k]))
			return false;
		name = "arg";
	}
	for (i = 0; i < a->nenv; i++)
		if (!word_add(b, "env", a->env[i]))
			return false;
	return (a->opt['d'] == NULL || word_add(b, "dir", a->opt['d'])) &&
	    (a->opt['S'] == NULL || word_add(b, "session", a->opt['S']));
}
