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
 * shell: a terminal there.  Runs in: xbot-admin.  When we end, for instance
 * by Ctrl-C, the connection does, and the daemon ends the command.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/admin/admin.h"
#include "supervisor/admin/stream.h"

#define TIMEOUT_MAX	3600

/* The answer as it comes. */
struct run {
	struct buf	 bytes;		/* decoded output */
	bool		 ended;		/* its last line came */
	int		 status;
};

static bool	 on_line(void *, const char *, size_t);
static bool	 on_output(struct run *, int, struct slice);
static int	 plain(const struct args *);
static int	 interactive(const struct args *, bool);
static bool	 timeout_ok(const char *);

static bool
on_line(void *arg, const char *line, size_t len)
{
	const struct json_value	*root;
	struct run		*x = arg;
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
		ok = output_write(STDOUT_FILENO, line, len + 1);
	if (!ok)
		;
	else if (json_find(root, "error") != NULL) {
		x->ended = true;
		x->status = STATUS_FAILED;
		api_complain(line, len, 0);
	} else if (json_str(json_find(root, "stdout"), &s))
		ok = on_output(x, STDOUT_FILENO, s);
	else if (json_str(json_find(root, "stderr"), &s))
		ok = on_output(x, STDERR_FILENO, s);
	else if (json_find(root, "exit_code") != NULL) {
		x->ended = true;
		x->status = exit_status(root);
	}
	json_free(j);
	return ok;
}

static bool
on_output(struct run *x, int fd, struct slice s)
{
	if (admin.json)
		return true;
	return output_decode(&x->bytes, s) &&
	    output_write(fd, buf_data(&x->bytes), x->bytes.len);
}

int
exit_status(const struct json_value *end)
{
	int64_t	 code;
	bool	 timed_out = false;

	if (json_bool(json_find(end, "timed_out"), &timed_out) && timed_out) {
		complain("the command timed out and was ended");
		return STATUS_TIMEOUT;
	}
	if (json_find(end, "limit") != NULL)
		complain("the sandbox ran out of memory");
	if (json_int(json_find(end, "exit_code"), &code) && code >= 0 &&
	    code <= 255)
		return (int)code;
	complain("the command ended, but it is not known how");
	return STATUS_UNKNOWN;
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

static int
plain(const struct args *a)
{
	struct run	 x = { .status = STATUS_FAILED };
	struct lines	 l = { .line = on_line, .arg = &x };
	struct buf	 input = { 0 }, body = { 0 }, path = { 0 };
	struct call	 c = { .method = "POST", .sink = lines_add, .arg = &l,
			    .accept = "application/x-ndjson", .body = &body };
	struct jsonw	 w;

	jsonw_init(&w, &body);
	if ((a->opt['i'] != NULL && !command_input(&input)) ||
	    !command_body(a, &w, &input) ||
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
	buf_clear(&l.part);
	buf_clear(&x.bytes);
	buf_clear(&input);
	buf_clear(&body);
	buf_clear(&path);
	return x.status;
}

/* "/v1/users/U/pty?cols=C&rows=R&command=..." or stdio */
static int
interactive(const struct args *a, bool terminal)
{
	struct stream_conf	 conf = { .terminal = terminal };
	struct buf		 path = { 0 };
	unsigned int		 cols, rows;
	char			 size[2][16];
	int			 status = STATUS_FAILED;
	bool			 ok;

	if (terminal) {
		term_size(&cols, &rows);
		(void)snprintf(size[0], sizeof(size[0]), "%u", cols);
		(void)snprintf(size[1], sizeof(size[1]), "%u", rows);
		ok = path_make(&path, "/v1/users/%/pty?cols=%&rows=%",
		    a->user, size[0], size[1]);
	} else
		ok = path_make(&path, "/v1/users/%/stdio?encoding=base64",
		    a->user);
	if (ok && command_path(a, &path)) {
		conf.path = (char *)buf_data(&path);
		if (a->opt['t'] != NULL)
			conf.seconds = strtol(a->opt['t'], NULL, 10);
		status = stream_run(&conf);
	}
	buf_clear(&path);
	return status;
}

int
verb_exec(const struct args *a)
{
	bool	 terminal = a->opt['T'] != NULL;

	if (!timeout_ok(a->opt['t']))
		return verb_wrong("-t: not 1 to 3600 seconds");
	if (terminal && admin.json)
		return verb_wrong("-T: a terminal speaks no JSON");
	if (terminal && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		complain("-T: standard input and output are not a terminal");
		return STATUS_FAILED;
	}
	if (terminal || (a->opt['i'] != NULL && !admin.json))
		return interactive(a, terminal);
	return plain(a);
}

int
verb_shell(const struct args *a)
{
	if (admin.json)
		return verb_wrong("a terminal speaks no JSON");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		complain("shell: standard input and output are not a "
		    "terminal; exec needs none");
		return STATUS_FAILED;
	}
	return interactive(a, true);
}
