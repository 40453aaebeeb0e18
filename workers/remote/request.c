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
 * From exec.def to the requests of protocol v1, rules of section 10: absolute
 * paths, explicit modes, the reported shell's kind, timeouts in range.
 * Runs in: remote.  What is written here comes from front and is bounded.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "workers/remote/remote.h"

static void	body_path(const struct op *, struct jsonw *);
static void	body_mkdir(const struct op *, struct jsonw *);
static void	body_task(const struct op *, struct jsonw *);
static void	body_stream(const struct op *, struct jsonw *);
static void	body_download(const struct op *, struct jsonw *);

static const struct {
	enum v1_type	 type;
	void		(*body)(const struct op *, struct jsonw *);
} simple[] = {
	{ V1_STAT, body_path },
	{ V1_READ_DIR, body_path },
	{ V1_READ_FILE, body_path },
	{ V1_REMOVE, body_path },
	{ V1_REMOVE_ALL, body_path },
	{ V1_MKDIR_ALL, body_mkdir },
	{ V1_BG_STATUS, body_task },
	{ V1_BG_KILL, body_task },
	{ V1_STDIO_CLOSE, body_stream },
	{ V1_PTY_CLOSE, body_stream },
	{ V1_DOWNLOAD_FILE, body_download },
};

/* What turns a line of text into an argument vector, by the shell's name. */
static const struct {
	const char	*word;		/* in the name; NULL: all others */
	const char	*program;	/* NULL: the reported one */
	const char	*flag;
} shells[] = {
	{ "powershell", NULL, "-Command" },
	{ "pwsh", NULL, "-Command" },
	{ "cmd.exe", NULL, "/c" },
	{ NULL, "sh", "-c" },
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* Opaque to the runner and never used twice on a connection. */
void
request_id(char id[24])
{
	static uint64_t counter;

	snprintf(id, 24, "req_%016llx",
	    (unsigned long long)number_mix(++counter));
}

void
request_open(const struct op *op, struct jsonw *w, struct buf *b,
    enum v1_type type, const char *id)
{
	jsonw_init(w, b);
	jsonw_object(w, NULL);
	if (id != NULL)
		jsonw_text(w, "id", id);
	jsonw_text(w, "type", v1_type_name(type));
	jsonw_text(w, "user_id", op->link->user);
	jsonw_object(w, "body");
}

bool
request_end(struct jsonw *w)
{
	jsonw_end(w);
	jsonw_end(w);
	return jsonw_ok(w);
}

static void
body_path(const struct op *op, struct jsonw *w)
{
	jsonw_text(w, "path", op->path);
}

/* The directory itself, or that of the file which is going to be written. */
static void
body_mkdir(const struct op *op, struct jsonw *w)
{
	const char	*slash;
	size_t		 len = strlen(op->path);

	if (op->step == OP_PARENT) {
		slash = strrchr(op->path, '/');
		if (slash == NULL)
			slash = strrchr(op->path, '\\');
		if (slash != NULL)
			len = slash == op->path ? 1 :
			    (size_t)(slash - op->path);
	}
	jsonw_str(w, "path", (struct slice){ op->path, len });
	jsonw_uint(w, "perm", op->step == OP_PARENT ? 0755 : op->mode);
}

static void
body_task(const struct op *op, struct jsonw *w)
{
	const struct task *t = task_find(op->link, &op->task);

	jsonw_text(w, "task_id", t != NULL ? t->name : "");
}

static void
body_stream(const struct op *op, struct jsonw *w)
{
	jsonw_text(w, "stream_id", op->stream->id);
}

static void
body_download(const struct op *op, struct jsonw *w)
{
	jsonw_text(w, "url", op->url);
	jsonw_text(w, "output_path", op->path);
}

bool
request_simple(struct op *op, enum v1_type type, struct buf *b, char id[24])
{
	struct jsonw	w;
	size_t		i;

	request_id(id);
	request_open(op, &w, b, type, id);
	for (i = 0; i < NITEMS(simple); i++)
		if (simple[i].type == type)
			simple[i].body(op, &w);
	return request_end(&w);
}

/* A workspace of Windows, C:\..., wants its own joint. */
static bool
is_windows(const char *p)
{
	return ((p[0] | 0x20) >= 'a' && (p[0] | 0x20) <= 'z' && p[1] == ':') ||
	    p[0] == '\\';
}

char *
request_path(const struct link *l, struct slice path)
{
	const char	*ws = l->workspace, *sep = is_windows(ws) ? "\\" : "/";
	const char	*p = path.p;
	char		*dst;
	size_t		 len = strlen(ws);

	if (path.len > 0 && (*p == '/' || len == 0 || (is_windows(ws) &&
	    path.len > 1 && (*p == '\\' || p[1] == ':'))))
		return strndup(p, path.len);
	if (path.len == 0)
		return strdup(ws);
	if (ws[len - 1] == '/' || ws[len - 1] == '\\')
		sep = "";
	if (asprintf(&dst, "%s%s%.*s", ws, sep, (int)path.len, p) == -1)
		return NULL;
	return dst;
}

/* As the runner will: without ".", ".." and empty components, in place. */
static void
path_clean(char *path)
{
	char	*in = path, *out = path, *part;
	size_t	 len;

	while (*in != '\0') {
		while (*in == '/')
			in++;
		part = in;
		len = strcspn(in, "/");
		in += len;
		if (len == 0 || (len == 1 && *part == '.'))
			continue;
		if (len == 2 && part[0] == '.' && part[1] == '.') {
			while (out > path && *--out != '/')
				;
			continue;
		}
		*out++ = '/';
		memmove(out, part, len);
		out += len;
	}
	*out = '\0';
}

/*
 * Would removing this take the workspace with it?  An existing runner does
 * not ask (D18).  By name only: what links hide, nobody here can see.
 */
bool
request_is_root(const struct op *op)
{
	char	*path = strdup(op->path), *ws = strdup(op->link->workspace);
	size_t	 len;
	bool	 root = true;		/* also without memory */

	if (path != NULL && ws != NULL) {
		path_clean(path);
		path_clean(ws);
		len = strlen(path);
		root = strncmp(ws, path, len) == 0 &&
		    (ws[len] == '/' || ws[len] == '\0');
	}
	free(path);
	free(ws);
	return root;
}

/* No strcasestr everywhere, and the names are short. */
static bool
has_word(const char *text, const char *word)
{
	for (; *text != '\0'; text++)
		if (strncasecmp(text, word, strlen(word)) == 0)
			return true;
	return false;
}

static void
add_args(const struct op *op, struct jsonw *w,
    const struct exec_job_start *start)
{
	const char	*shell = op->link->shell;
	uint32_t	 i;
	size_t		 s = 0;

	for (i = 0; i < start->argv.n; i++)
		jsonw_str(w, NULL, start->argv.v[i]);
	if (start->argv.n == 0) {
		while (shells[s].word != NULL &&
		    !has_word(shell, shells[s].word))
			s++;
		jsonw_text(w, NULL, shells[s].program != NULL ?
		    shells[s].program : shell);
		jsonw_text(w, NULL, shells[s].flag);
		jsonw_str(w, NULL, start->command);
	}
}

static void
exec_args(const struct op *op, struct jsonw *w,
    const struct exec_job_start *start)
{
	jsonw_array(w, "args");
	add_args(op, w, start);
	jsonw_end(w);
}

static void
add_env(struct jsonw *w, const struct exec_job_start *start)
{
	uint32_t i;

	for (i = 0; i < start->env.n; i++)
		jsonw_str(w, NULL, start->env.v[i]);
}

/* All of it but stdin, which has not come yet. */
bool
request_exec(struct op *op, const struct exec_job_start *start)
{
	struct jsonw	*w = &op->w;
	struct slice	 command = start->command;
	char		*dir;

	if ((dir = request_path(op->link, start->dir)) == NULL)
		return false;
	if (command.len == 0 && start->argv.n > 0)
		command = start->argv.v[0];
	request_id(op->text_id);
	request_open(op, w, &op->text, V1_EXEC, op->text_id);
	jsonw_str(w, "command", command);
	exec_args(op, w, start);
	jsonw_bool(w, "shell", false);
	if (*dir != '\0')
		jsonw_text(w, "dir", dir);
	free(dir);
	if (start->env.n > 0) {
		jsonw_array(w, "env");
		add_env(w, start);
		jsonw_end(w);
	}
	jsonw_uint(w, "timeout", op->timeout);
	if (start->run_as_user.len > 0)
		jsonw_str(w, "run_as_user", start->run_as_user);
	return !w->bad;
}

/*
 * A runner's own `env` replaces the whole environment of a task (D22), or is
 * ignored (D23): env(1) adds to it everywhere but on Windows.
 */
bool
request_task(struct op *op, const struct task *t,
    const struct exec_job_start *start)
{
	struct jsonw	*w = &op->w;
	bool		 windows = is_windows(op->link->workspace);
	char		*dir;

	if ((dir = request_path(op->link, start->dir)) == NULL)
		return false;
	request_id(op->text_id);
	request_open(op, w, &op->text, V1_BG_EXEC, op->text_id);
	jsonw_text(w, "task_id", t->name);
	jsonw_text(w, "command", t->command);
	jsonw_array(w, "args");
	if (start->env.n > 0 && !windows) {
		jsonw_text(w, NULL, "env");
		add_env(w, start);
	}
	add_args(op, w, start);
	jsonw_end(w);
	jsonw_bool(w, "shell", false);
	if (*dir != '\0')
		jsonw_text(w, "dir", dir);
	free(dir);
	if (start->env.n > 0 && windows) {
		jsonw_array(w, "env");
		add_env(w, start);
		jsonw_end(w);
	}
	return !w->bad;
}

static void
stream_env(const struct op *op, struct jsonw *w,
    const struct exec_job_start *start)
{
	bool		 term = false;
	uint32_t	 i;

	for (i = 0; i < start->env.n; i++)
		term |= start->env.v[i].len >= 5 &&
		    memcmp(start->env.v[i].p, "TERM=", 5) == 0;
	jsonw_array(w, "env");
	if (op->stream->pty && !term)
		jsonw_text(w, NULL, "TERM=xterm-256color");
	add_env(w, start);
	jsonw_end(w);
}

/* Unlike exec: the command is argv[0], args the rest. */
bool
request_stream(struct op *op, const struct exec_job_start *start)
{
	const struct stream	*st = op->stream;
	struct jsonw		*w = &op->w;
	char			*dir;
	uint32_t		 i;

	if ((dir = request_path(op->link, start->dir)) == NULL)
		return false;
	request_id(op->text_id);
	request_open(op, w, &op->text, st->pty ? V1_PTY_CREATE :
	    V1_STDIO_START, op->text_id);
	jsonw_text(w, "stream_id", st->id);
	if (start->argv.n == 0 && start->command.len > 0)
		jsonw_text(w, "command", "sh");
	else
		jsonw_str(w, "command", start->argv.n > 0 ?
		    start->argv.v[0] : start->command);
	jsonw_array(w, "args");
	for (i = 1; i < start->argv.n; i++)
		jsonw_str(w, NULL, start->argv.v[i]);
	if (start->argv.n == 0 && start->command.len > 0) {
		jsonw_text(w, NULL, "-c");
		jsonw_str(w, NULL, start->command);
	}
	jsonw_end(w);
	stream_env(op, w, start);
	jsonw_text(w, "dir", dir);
	free(dir);
	if (st->pty) {
		jsonw_uint(w, "cols", start->cols);
		jsonw_uint(w, "rows", start->rows);
	}
	return request_end(w);
}

bool
request_exec_end(struct op *op)
{
	if (op->input.len > 0)
		jsonw_str(&op->w, "stdin", (struct slice){
		    buf_data(&op->input), op->input.len });
	buf_clear(&op->input);
	return request_end(&op->w);
}

/*
 * The content is encoded into the request as it comes, so that a file is held
 * once; the writer has no open strings, hence the quotes by hand.
 */
bool
request_put(struct op *op)
{
	static const char data[] = ",\"data\":\"";

	request_id(op->text_id);
	request_open(op, &op->w, &op->text, V1_WRITE_FILE, op->text_id);
	jsonw_text(&op->w, "path", op->path);
	jsonw_uint(&op->w, "perm", op->mode);
	return !op->w.bad &&
	    buf_add(&op->text, data, sizeof(data) - 1) == 0;
}

bool
request_put_add(struct op *op, struct slice bytes)
{
	char *dst = buf_reserve(&op->text, BASE64_LEN(bytes.len + 2));

	if (dst == NULL)
		return false;
	op->text.len += base64_enc_add(&op->enc, dst, bytes.p, bytes.len);
	return true;
}

bool
request_put_end(struct op *op)
{
	char *dst = buf_reserve(&op->text, 8);

	if (dst == NULL)
		return false;
	op->text.len += base64_enc_end(&op->enc, dst);
	return buf_add(&op->text, "\"}}", 3) == 0;
}
