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
 * Requests of protocol v1, taken apart and started.  Runs in: xbot-runner.
 * Input is hostile: the server may be anybody's.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/v1.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"
#include "proto/jobs.h"
#include "runner/budget.h"
#include "runner/native.h"
#include "runner/op.h"
#include "runner/reply.h"
#include "runner/v1_in.h"
#include "runner/v1_out.h"
#include "runner/workdir.h"

#define DECODE_CHUNK	(128 * 1024)	/* base64 characters at a time */
#define ARGS_MAX	4096		/* as job_start's argv */
#define ENV_MAX		1024		/* as job_start's env */
#define DIR_PERM	0755		/* D17: perm 0 means these */
#define FILE_PERM	0644

/* A request in hand. */
struct request {
	struct v1_message	 msg;
	struct buf		*text;
	struct slice		 type;		/* for the log */
};

enum row_kind {
	ROW_START,		/* start() turns it into an operation */
	ROW_LATER,		/* known, not built into this version */
	ROW_SILENT		/* the same, and never answered */
};

struct row {
	enum row_kind	  kind;
	void		(*start)(struct request *);
};

static void	start_exec(struct request *);
static void	start_read_file(struct request *);
static void	start_write_file(struct request *);
static void	start_mkdir_all(struct request *);
static void	start_remove(struct request *);
static void	start_remove_all(struct request *);
static void	start_stat(struct request *);
static void	start_read_dir(struct request *);

static const struct row	rows[V1_TYPE_MAX] = {
	[V1_EXEC] =		{ ROW_START, start_exec },
	[V1_READ_FILE] =	{ ROW_START, start_read_file },
	[V1_WRITE_FILE] =	{ ROW_START, start_write_file },
	[V1_MKDIR_ALL] =	{ ROW_START, start_mkdir_all },
	[V1_REMOVE] =		{ ROW_START, start_remove },
	[V1_REMOVE_ALL] =	{ ROW_START, start_remove_all },
	[V1_STAT] =		{ ROW_START, start_stat },
	[V1_READ_DIR] =		{ ROW_START, start_read_dir },
	[V1_DOWNLOAD_FILE] =	{ ROW_LATER, NULL },
	[V1_BG_EXEC] =		{ ROW_LATER, NULL },
	[V1_BG_KILL] =		{ ROW_LATER, NULL },
	[V1_BG_STATUS] =	{ ROW_LATER, NULL },
	[V1_STDIO_START] =	{ ROW_LATER, NULL },
	[V1_STDIO_WRITE] =	{ ROW_SILENT, NULL },
	[V1_STDIO_CLOSE] =	{ ROW_LATER, NULL },
	[V1_PTY_CREATE] =	{ ROW_LATER, NULL },
	[V1_PTY_STDIN] =	{ ROW_SILENT, NULL },
	[V1_PTY_RESIZE] =	{ ROW_SILENT, NULL },
	[V1_PTY_CLOSE] =	{ ROW_LATER, NULL },
	[V1_LLM_GENERATE] =	{ ROW_LATER, NULL },
	[V1_LLM_MODELS] =	{ ROW_LATER, NULL },
};

static const char	*in_workspace;
static bool		 in_full_control;

static bool	body_members(struct request *, struct v1_member *, size_t);
static bool	member_text(struct request *, struct v1_member *,
		    struct slice *);
static bool	member_int(struct request *, struct v1_member *, int64_t *);
static bool	member_list(struct request *, struct v1_member *, size_t,
		    struct slice **, uint32_t *);
static void	refuse(struct request *, enum xerr, const char *, ...)
		    __attribute__((format(printf, 3, 4)));
static struct op *op_begin(struct request *);
static bool	op_start(struct op *, uint16_t, const void *);
static void	op_feed_from(struct op *, struct request *, struct slice,
		    uint8_t, bool);
static void	start_path(struct request *, uint16_t);
static bool	feed_decode(struct op *);

void
v1_in_init(const char *workspace, bool full_control)
{
	in_workspace = workspace;
	in_full_control = full_control;
}

static void
refuse(struct request *r, enum xerr code, const char *fmt, ...)
{
	char	 text[512];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply_error(r->msg.id, r->type, code, slice_str(text));
}

const char *
v1_in_message(struct buf *text)
{
	struct request	 r = { .text = text };
	const char	*why;
	char		 vis[80], vid[80];

	if (v1_parse((char *)buf_data(text), text->len, &r.msg, &why) == -1)
		return why;
	if (r.msg.id.len > OP_ID_MAX)
		return "its id is too long";
	r.type = r.msg.type_text;
	log_debug("request %s %s",
	    log_vis(vis, sizeof(vis), r.type.p, r.type.len),
	    log_vis(vid, sizeof(vid), r.msg.id.p, r.msg.id.len));
	if (rows[r.msg.type].kind == ROW_SILENT)
		return NULL;
	if (rows[r.msg.type].kind == ROW_LATER)
		refuse(&r, XERR_ENOTSUP, "%s is not supported by this runner "
		    "version", v1_type_name(r.msg.type));
	else if (rows[r.msg.type].start != NULL)
		rows[r.msg.type].start(&r);
	else
		refuse(&r, XERR_EINVAL, "unknown request type: %.*s",
		    r.type.len < 128 ? (int)r.type.len : 128,
		    r.type.len > 0 ? (const char *)r.type.p : "");
	return NULL;
}

/*
 * The beginning of a message too large to be kept.  Servers put id and type
 * first, so what stands before the body is a message of its own.
 */
void
v1_in_refuse(struct buf *text, const char *why)
{
	struct request	 r = { .text = text };
	const char	*parse_why;
	uint8_t		*cut;

	cut = memmem(buf_data(text), text->len, ",\"body\"", 7);
	if (cut != NULL) {
		*cut = '}';
		text->len = (size_t)(cut - buf_data(text)) + 1;
	}
	if (cut == NULL || v1_parse((char *)buf_data(text), text->len, &r.msg,
	    &parse_why) == -1 || r.msg.id.len > OP_ID_MAX) {
		log_warnx("message skipped: %s", why);
		return;
	}
	r.type = r.msg.type_text;
	refuse(&r, XERR_E2BIG, "%s", why);
}

static bool
body_members(struct request *r, struct v1_member *m, size_t n)
{
	if (v1_members(&r->msg.body, m, n))
		return true;
	refuse(r, XERR_EINVAL, "invalid %s request: it has no body",
	    v1_type_name(r->msg.type));
	return false;
}

/* UTF-8 that can become a C string; "" when it is not there. */
static bool
member_text(struct request *r, struct v1_member *m, struct slice *out)
{
	*out = (struct slice){ "", 0 };
	if (m->value.kind == V1_ABSENT || m->value.kind == V1_NULL)
		return true;
	if (m->value.kind == V1_STRING) {
		*out = v1_string(&m->value);
		if (out->len == 0)
			out->p = "";
		if (memchr(out->p, '\0', out->len) == NULL &&
		    utf8_valid(out->p, out->len))
			return true;
	}
	refuse(r, XERR_EINVAL, "invalid %s request: %s is no proper text",
	    v1_type_name(r->msg.type), m->key);
	return false;
}

static bool
member_int(struct request *r, struct v1_member *m, int64_t *out)
{
	*out = 0;
	if (m->value.kind == V1_ABSENT || m->value.kind == V1_NULL ||
	    v1_int(&m->value, out))
		return true;
	refuse(r, XERR_EINVAL, "invalid %s request: %s is no integer",
	    v1_type_name(r->msg.type), m->key);
	return false;
}

/* The caller frees *out, also on failure. */
static bool
member_list(struct request *r, struct v1_member *m, size_t max,
    struct slice **out, uint32_t *n)
{
	struct v1_member	 e = { .key = m->key };

	*out = NULL;
	*n = 0;
	if (m->value.kind == V1_ABSENT || m->value.kind == V1_NULL)
		return true;
	if (m->value.kind != V1_ARRAY) {
		refuse(r, XERR_EINVAL, "invalid %s request: %s is no list",
		    v1_type_name(r->msg.type), m->key);
		return false;
	}
	if ((*out = calloc(max, sizeof(**out))) == NULL)
		fatalx("out of memory");
	while (v1_element(&m->value, &e.value)) {
		if (*n == max) {
			refuse(r, XERR_EIO, "exec error: %s: more than %zu",
			    m->key, max);
			return false;
		}
		if (e.value.kind == V1_NULL)
			e.value.kind = V1_ARRAY;	/* no text */
		if (!member_text(r, &e, &(*out)[(*n)++]))
			return false;
	}
	return true;
}

static struct op *
op_begin(struct request *r)
{
	struct op	*op;

	if (!native_up()) {
		refuse(r, XERR_EIO, "the executor is being restarted");
		return NULL;
	}
	if ((op = op_new(r->msg.type, r->msg.id)) == NULL)
		refuse(r, XERR_EBUSY, "%d requests are in progress", OP_MAX);
	return op;
}

static bool
op_start(struct op *op, uint16_t type, const void *body)
{
	if (!native_send(type, body)) {
		v1_out_fail(op, op->type == V1_EXEC ? XERR_EIO : XERR_EINVAL,
		    op->type == V1_EXEC ? "exec error: the arguments are too "
		    "long or not UTF-8" : "path too long");
		return false;
	}
	v1_out_open(op);
	return true;
}

/* The message's memory is the operation's from here on. */
static void
op_feed_from(struct op *op, struct request *r, struct slice in,
    uint8_t stream, bool b64)
{
	op->in_stream = stream;
	op->in = (char *)(uintptr_t)in.p;
	op->in_raw = b64 ? 0 : in.len;
	op->in_b64 = b64 ? in.len : 0;
	if (in.len > 0) {
		op->text = *r->text;
		memset(r->text, 0, sizeof(*r->text));
	}
	v1_in_feed(op);
}

/* The next piece of base64 to bytes, where it stands. */
static bool
feed_decode(struct op *op)
{
	size_t	 n = op->in_b64 < DECODE_CHUNK ? op->in_b64 : DECODE_CHUNK;
	ssize_t	 len;

	len = base64_dec_add(&op->dec, op->in + op->in_raw,
	    op->in + op->in_b64_at, n);
	if (len == -1)
		return false;
	op->in_raw += (size_t)len;
	op->in_b64_at += n;
	op->in_b64 -= n;
	return op->in_b64 > 0 || base64_dec_end(&op->dec);
}

void
v1_in_feed(struct op *op)
{
	struct exec_job_data	 data = { .job = op->job };
	struct exec_job_eof	 eof = { .job = op->job };
	size_t			 n;

	data.stream = eof.stream = op->in_stream;
	while (!op->in_eof) {
		if (op->in_sent == op->in_raw && op->in_b64 > 0 &&
		    !feed_decode(op)) {
			v1_out_fail(op, XERR_EINVAL,
			    "invalid base64: data is malformed");
			return;
		}
		if (op->in_sent == op->in_raw && op->in_b64 == 0) {
			eof.offset = op->in_sent;
			op->in_eof = true;
			native_send(EXEC_JOB_EOF, &eof);
			return;
		}
		n = op->in_raw - (size_t)op->in_sent;
		if (n > op->in_credit - op->in_sent)
			n = (size_t)(op->in_credit - op->in_sent);
		if (n > FRAME_CHUNK)
			n = FRAME_CHUNK;
		if (n == 0 && op->in_sent < op->in_raw)
			return;
		data.offset = op->in_sent;
		data.bytes = (struct slice){ op->in + op->in_sent, n };
		if (n > 0 && !native_send(EXEC_JOB_DATA, &data))
			return;
		op->in_sent += n;
	}
}

/* -- exec -- */

enum { X_COMMAND, X_ARGS, X_SHELL, X_DIR, X_ENV, X_STDIN, X_TIMEOUT, X_USER,
    X_MAX };

struct exec_args {
	struct slice	 command, dir, user;
	struct slice	*args, *env;
	uint32_t	 nargs, nenv;
	int64_t		 timeout;
	bool		 shell;
};

static bool	exec_read(struct request *, struct v1_member *,
		    struct exec_args *);

static bool
exec_read(struct request *r, struct v1_member *m, struct exec_args *x)
{
	if (!body_members(r, m, X_MAX) ||
	    !member_text(r, &m[X_COMMAND], &x->command) ||
	    !member_list(r, &m[X_ARGS], ARGS_MAX, &x->args, &x->nargs) ||
	    !member_text(r, &m[X_DIR], &x->dir) ||
	    !member_list(r, &m[X_ENV], ENV_MAX, &x->env, &x->nenv) ||
	    !member_int(r, &m[X_TIMEOUT], &x->timeout) ||
	    !member_text(r, &m[X_USER], &x->user))
		return false;
	if (m[X_SHELL].value.kind != V1_ABSENT &&
	    m[X_SHELL].value.kind != V1_NULL &&
	    !v1_bool(&m[X_SHELL].value, &x->shell)) {
		refuse(r, XERR_EINVAL, "invalid exec request: shell is "
		    "neither true nor false");
		return false;
	}
	if (m[X_STDIN].value.kind != V1_ABSENT &&
	    m[X_STDIN].value.kind != V1_NULL &&
	    m[X_STDIN].value.kind != V1_STRING) {
		refuse(r, XERR_EINVAL, "invalid exec request: stdin is no "
		    "text");
		return false;
	}
	if (!x->shell && x->nargs == 0) {
		refuse(r, XERR_EIO,
		    "exec error: non-shell exec requires args to be set");
		return false;
	}
	if (x->timeout <= 0)
		x->timeout = V1_TIMEOUT_DEFAULT;
	if (x->timeout > V1_TIMEOUT_MAX)
		x->timeout = V1_TIMEOUT_MAX;
	return true;
}

static void
start_exec(struct request *r)
{
	struct v1_member	 m[X_MAX] = {
		[X_COMMAND] = { "command" }, [X_ARGS] = { "args" },
		[X_SHELL] = { "shell" }, [X_DIR] = { "dir" },
		[X_ENV] = { "env" }, [X_STDIN] = { "stdin" },
		[X_TIMEOUT] = { "timeout" }, [X_USER] = { "run_as_user" },
	};
	struct exec_args	 x = { 0 };
	struct exec_job_start	 start = { .kind = JOB_EXEC };
	struct slice		 shell[] = { slice_str("/bin/sh"),
				    slice_str("-c"), { NULL, 0 } };
	struct op		*op;

	if (!exec_read(r, m, &x) || (op = op_begin(r)) == NULL)
		goto out;
	shell[2] = x.command;
	start.job = op->job;
	start.argv = x.shell ? (struct slices){ shell, 3 } :
	    (struct slices){ x.args, x.nargs };
	start.run_as_user = x.user;
	start.env = (struct slices){ x.env, x.nenv };
	start.timeout_ms = (uint32_t)x.timeout * 1000;
	/* Protocol v1: a directory outside means the workspace. */
	if (in_full_control || workdir_inside(in_workspace, x.dir))
		start.dir = x.dir;
	if (op_start(op, EXEC_JOB_START, &start))
		op_feed_from(op, r, v1_string(&m[X_STDIN].value),
		    STREAM_STDIN, false);
out:
	free(x.args);
	free(x.env);
}

/* -- files -- */

/* Those that say nothing but a path: their structs begin alike. */
static void
start_path(struct request *r, uint16_t type)
{
	struct v1_member	 m[] = { { .key = "path" } };
	union exec_any		 any;
	struct slice		 path;
	struct op		*op;

	memset(&any, 0, sizeof(any));
	if (!body_members(r, m, 1) || !member_text(r, &m[0], &path) ||
	    (op = op_begin(r)) == NULL)
		return;
	any.file_stat.job = op->job;
	any.file_stat.path = path;
	if (type == EXEC_FILE_REMOVE) {
		any.file_remove.recursive = op->type == V1_REMOVE_ALL;
		any.file_remove.missing_ok = op->type == V1_REMOVE_ALL;
	}
	op_start(op, type, &any);
}

_Static_assert(offsetof(struct exec_file_stat, path) ==
    offsetof(struct exec_file_list, path) &&
    offsetof(struct exec_file_stat, path) ==
    offsetof(struct exec_file_get, path) &&
    offsetof(struct exec_file_stat, path) ==
    offsetof(struct exec_file_remove, path), "start_path");

static void
start_read_file(struct request *r)
{
	start_path(r, EXEC_FILE_GET);
}

static void
start_remove(struct request *r)
{
	start_path(r, EXEC_FILE_REMOVE);
}

static void
start_remove_all(struct request *r)
{
	start_path(r, EXEC_FILE_REMOVE);
}

static void
start_stat(struct request *r)
{
	start_path(r, EXEC_FILE_STAT);
}

static void
start_read_dir(struct request *r)
{
	start_path(r, EXEC_FILE_LIST);
}

/* The permissions of a Go file mode; 0 means the default (D17). */
static uint32_t
perm_of(int64_t perm, uint32_t otherwise)
{
	return perm == 0 ? otherwise :
	    v1_mode_from_go((uint32_t)perm) & 07777;
}

static void
start_write_file(struct request *r)
{
	struct v1_member	 m[] = { { .key = "path" },
		{ .key = "data" }, { .key = "perm" } };
	struct exec_file_put	 put = { .parents = false };
	struct slice		 data;
	struct op		*op;
	int64_t			 perm;

	if (!body_members(r, m, 3) || !member_text(r, &m[0], &put.path) ||
	    !member_int(r, &m[2], &perm))
		return;
	/* Not a text to be checked: whatever it is, base64 it must be. */
	if (m[1].value.kind != V1_STRING && m[1].value.kind != V1_ABSENT &&
	    m[1].value.kind != V1_NULL) {
		refuse(r, XERR_EINVAL, "invalid write_file request: data is "
		    "no text");
		return;
	}
	data = v1_string(&m[1].value);
	if (perm < 0 || perm > UINT32_MAX) {
		refuse(r, XERR_EINVAL, "invalid write_file request: perm");
		return;
	}
	if ((op = op_begin(r)) == NULL)
		return;
	put.job = op->job;
	put.mode = perm_of(perm, FILE_PERM);
	put.limit = BUDGET_MESSAGE;
	if (op_start(op, EXEC_FILE_PUT, &put))
		op_feed_from(op, r, data, STREAM_FILE, true);
}

static void
start_mkdir_all(struct request *r)
{
	struct v1_member	 m[] = { { .key = "path" },
		{ .key = "perm" } };
	struct exec_file_mkdir	 dir = { .parents = true };
	struct op		*op;
	int64_t			 perm;

	if (!body_members(r, m, 2) || !member_text(r, &m[0], &dir.path) ||
	    !member_int(r, &m[1], &perm))
		return;
	if (perm < 0 || perm > UINT32_MAX) {
		refuse(r, XERR_EINVAL, "invalid mkdir_all request: perm");
		return;
	}
	if ((op = op_begin(r)) == NULL)
		return;
	dir.job = op->job;
	dir.mode = perm_of(perm, DIR_PERM);
	op_start(op, EXEC_FILE_MKDIR, &dir);
}
