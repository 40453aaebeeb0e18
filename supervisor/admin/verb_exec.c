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
 * exec: a command in a user's sandbox, its output live, its exit status ours.
 * Runs in: xbot-admin.  When we end, for instance by Ctrl-C, the connection
 * does, and the daemon ends the command.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "proto/msg.h"
#include "supervisor/admin/admin.h"

#define STDIN_MAX	(768u * 1024)	/* 1 MiB of JSON holds it in base64 */
#define LINE_MAX_BYTES	(1024u * 1024)	/* 256 KiB of output, in base64 */
#define TIMEOUT_MAX	3600

/* The answer as it comes. */
struct run {
	struct buf	 line;		/* not yet whole */
	struct buf	 bytes;		/* decoded output */
	bool		 ended;		/* its last line came */
	int		 status;
};

static bool	 on_lines(void *, const void *, size_t);
static bool	 on_line(struct run *, const char *, size_t);
static bool	 on_output(struct run *, int, struct slice);
static void	 on_end(struct run *, const struct json_value *);
static bool	 input_read(struct buf *);
static bool	 body_make(const struct args *, struct jsonw *,
		    const struct buf *);
static bool	 text_ok(const char *);
static bool	 timeout_ok(const char *);

static bool
on_lines(void *arg, const void *data, size_t len)
{
	struct run	*x = arg;
	const char	*start, *end;
	size_t		 n, seen = x->line.len;

	if (buf_add(&x->line, data, len) == -1) {
		complain("no memory");
		return false;
	}
	for (;;) {
		start = (char *)buf_data(&x->line);
		end = x->line.len == seen ? NULL :
		    memchr(start + seen, '\n', x->line.len - seen);
		if (end == NULL)
			break;
		n = (size_t)(end - start);
		if (!on_line(x, start, n))
			return false;
		buf_drain(&x->line, n + 1);
		seen = 0;
	}
	if (x->line.len <= LINE_MAX_BYTES)
		return true;
	complain("a line of the answer is too long");
	return false;
}

static bool
on_line(struct run *x, const char *line, size_t len)
{
	const struct json_value	*root;
	struct slice		 s;
	struct json		*j;
	const char		*why;
	bool			 ok = true;

	if ((j = json_parse(line, len, 64, &why)) == NULL) {
		complain("the answer cannot be read: %s", why);
		return false;
	}
	root = json_root(j);
	if (admin.json && json_find(root, "error") == NULL)
		ok = write_all(STDOUT_FILENO, line, len + 1) == 0;
	if (!ok)
		complain("standard output: %s", strerror(errno));
	else if (json_find(root, "error") != NULL) {
		x->ended = true;
		x->status = STATUS_FAILED;
		api_complain(line, len, 0);
	} else if (json_str(json_find(root, "stdout"), &s))
		ok = on_output(x, STDOUT_FILENO, s);
	else if (json_str(json_find(root, "stderr"), &s))
		ok = on_output(x, STDERR_FILENO, s);
	else if (json_find(root, "exit_code") != NULL)
		on_end(x, root);
	json_free(j);
	return ok;
}

static bool
on_output(struct run *x, int fd, struct slice s)
{
	ssize_t	 n;
	void	*dst;

	if (admin.json)
		return true;
	if ((dst = buf_reserve(&x->bytes, BASE64_DECODED_MAX(s.len))) ==
	    NULL) {
		complain("no memory");
		return false;
	}
	if ((n = base64_decode(dst, s.p, s.len)) == -1) {
		complain("the answer cannot be read: malformed base64");
		return false;
	}
	if (write_all(fd, dst, (size_t)n) == 0)
		return true;
	complain("standard %s: %s", fd == STDOUT_FILENO ? "output" : "error",
	    strerror(errno));
	return false;
}

static void
on_end(struct run *x, const struct json_value *root)
{
	int64_t	 code;
	bool	 timed_out = false;

	x->ended = true;
	x->status = STATUS_UNKNOWN;
	if (json_bool(json_find(root, "timed_out"), &timed_out) && timed_out) {
		complain("the command timed out and was ended");
		x->status = STATUS_TIMEOUT;
	} else if (!json_int(json_find(root, "exit_code"), &code) ||
	    code < 0 || code > 255)
		complain("the command ended, but it is not known how");
	else
		x->status = (int)code;
}

static bool
input_read(struct buf *b)
{
	ssize_t	 n;
	void	*dst;

	if (isatty(STDIN_FILENO)) {
		complain("-i: standard input is a terminal; this version "
		    "passes files and pipes only");
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
	complain("exec: a word is not UTF-8");
	return false;
}

static bool
body_make(const struct args *a, struct jsonw *w, const struct buf *input)
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

static bool
timeout_ok(const char *s)
{
	char	*end;
	long	 n;

	if (s == NULL)
		return true;
	n = strtol(s, &end, 10);
	return *s >= '0' && *s <= '9' && *end == '\0' && n >= 1 &&
	    n <= TIMEOUT_MAX;
}

int
verb_exec(const struct args *a)
{
	struct buf	 input = { 0 }, body = { 0 }, path = { 0 };
	struct run	 x = { .status = STATUS_FAILED };
	struct call	 c = { .method = "POST", .sink = on_lines, .arg = &x,
			    .accept = "application/x-ndjson", .body = &body };
	struct jsonw	 w;

	if (!timeout_ok(a->opt['t']))
		return verb_wrong("-t: not 1 to 3600 seconds");
	jsonw_init(&w, &body);
	if ((a->opt['i'] != NULL && !input_read(&input)) ||
	    !body_make(a, &w, &input) ||
	    !path_make(&path, admin.json ? "/v1/users/%/exec" :
	    "/v1/users/%/exec?encoding=base64", a->user))
		goto out;
	buf_clear(&input);
	c.path = (char *)buf_data(&path);
	if (!call_run(&c) && !x.ended)
		x.status = STATUS_FAILED;
	else if (!x.ended) {
		complain("the answer broke off: it is not known how the "
		    "command ended");
		x.status = STATUS_FAILED;
	}
out:
	call_clear(&c);
	buf_clear(&x.line);
	buf_clear(&x.bytes);
	buf_clear(&input);
	buf_clear(&body);
	buf_clear(&path);
	return x.status;
}
