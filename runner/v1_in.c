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

#include <string.h>

#include "base/log.h"
#include "proto/frame.h"
#include "proto/jobs.h"
#include "runner/budget.h"
#include "runner/fetch.h"
#include "runner/launch.h"
#include "runner/reply.h"
#include "runner/v1_in.h"
#include "runner/v1_llm.h"
#include "runner/v1_out.h"
#include "runner/v1_req.h"
#include "runner/v1_stream.h"
#include "runner/v1_task.h"

#define DECODE_CHUNK	(128 * 1024)	/* base64 characters at a time */
#define DIR_PERM	0755		/* D17: perm 0 means these */
#define FILE_PERM	0644

static void	start_read_file(struct request *);
static void	start_write_file(struct request *);
static void	start_mkdir_all(struct request *);
static void	start_remove(struct request *);
static void	start_remove_all(struct request *);
static void	start_stat(struct request *);
static void	start_read_dir(struct request *);
static void	start_download(struct request *);
static void	start_path(struct request *, uint16_t);
static void	on_downloaded(void *, const struct fetched *);
static uint32_t	perm_of(int64_t, uint32_t);

static void	(*const rows[V1_TYPE_MAX])(struct request *) = {
	[V1_EXEC] =		start_exec,
	[V1_READ_FILE] =	start_read_file,
	[V1_WRITE_FILE] =	start_write_file,
	[V1_MKDIR_ALL] =	start_mkdir_all,
	[V1_REMOVE] =		start_remove,
	[V1_REMOVE_ALL] =	start_remove_all,
	[V1_STAT] =		start_stat,
	[V1_READ_DIR] =		start_read_dir,
	[V1_DOWNLOAD_FILE] =	start_download,
	[V1_BG_EXEC] =		start_bg_exec,
	[V1_BG_KILL] =		start_bg_kill,
	[V1_BG_STATUS] =	start_bg_status,
	[V1_STDIO_START] =	start_stdio,
	[V1_STDIO_WRITE] =	stream_input,
	[V1_STDIO_CLOSE] =	stream_close,
	[V1_PTY_CREATE] =	start_pty,
	[V1_PTY_STDIN] =	stream_input,
	[V1_PTY_RESIZE] =	stream_resize,
	[V1_PTY_CLOSE] =	stream_close,
	[V1_LLM_GENERATE] =	start_llm_generate,
	[V1_LLM_MODELS] =	start_llm_models,
};

static bool	feed_decode(struct op *);

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
	if (r.msg.id.len == 0 && r.msg.type_text.len == 0)
		return "it has neither id nor type";
	r.type = r.msg.type_text;
	log_debug("request %s %s",
	    log_vis(vis, sizeof(vis), r.type.p, r.type.len),
	    log_vis(vid, sizeof(vid), r.msg.id.p, r.msg.id.len));
	if (rows[r.msg.type] != NULL)
		rows[r.msg.type](&r);
	else
		req_refuse(&r, XERR_EINVAL, "unknown request type: %.*s",
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
	req_refuse(&r, XERR_E2BIG, "%s", why);
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
			launch_send(EXEC_JOB_EOF, &eof);
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
		if (n > 0 && !launch_send(EXEC_JOB_DATA, &data))
			return;
		op->in_sent += n;
	}
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
	if (!req_members(r, m, 1) || !req_text(r, &m[0], &path) ||
	    (op = req_begin(r)) == NULL)
		return;
	any.file_stat.job = op->job;
	any.file_stat.path = path;
	if (type == EXEC_FILE_REMOVE) {
		any.file_remove.recursive = op->type == V1_REMOVE_ALL;
		any.file_remove.missing_ok = op->type == V1_REMOVE_ALL;
	}
	req_start(op, type, &any);
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

	if (!req_members(r, m, 3) || !req_text(r, &m[0], &put.path) ||
	    !req_int(r, &m[2], &perm))
		return;
	/* Not a text to be checked: whatever it is, base64 it must be. */
	if (m[1].value.kind != V1_STRING && m[1].value.kind != V1_ABSENT &&
	    m[1].value.kind != V1_NULL) {
		req_refuse(r, XERR_EINVAL, "invalid write_file request: data is "
		    "no text");
		return;
	}
	data = v1_string(&m[1].value);
	if (perm < 0 || perm > UINT32_MAX) {
		req_refuse(r, XERR_EINVAL, "invalid write_file request: perm");
		return;
	}
	if ((op = req_begin(r)) == NULL)
		return;
	put.job = op->job;
	put.mode = perm_of(perm, FILE_PERM) | MODE_AS_OPEN;
	put.limit = BUDGET_MESSAGE;
	if (req_start(op, EXEC_FILE_PUT, &put))
		req_feed(op, r, data, STREAM_FILE, true);
}

static void
start_mkdir_all(struct request *r)
{
	struct v1_member	 m[] = { { .key = "path" },
		{ .key = "perm" } };
	struct exec_file_mkdir	 dir = { .parents = true };
	struct op		*op;
	int64_t			 perm;

	if (!req_members(r, m, 2) || !req_text(r, &m[0], &dir.path) ||
	    !req_int(r, &m[1], &perm))
		return;
	if (perm < 0 || perm > UINT32_MAX) {
		req_refuse(r, XERR_EINVAL, "invalid mkdir_all request: perm");
		return;
	}
	if ((op = req_begin(r)) == NULL)
		return;
	dir.job = op->job;
	dir.mode = perm_of(perm, DIR_PERM) | MODE_AS_OPEN;
	req_start(op, EXEC_FILE_MKDIR, &dir);
}

/* -- downloads -- */

static void
on_downloaded(void *arg, const struct fetched *f)
{
	struct op	*op = arg;
	struct reply	*r;

	if (f->code != XERR_NONE)
		reply_error(op_id(op), slice_str(v1_type_name(op->type)),
		    f->code, slice_str(f->why));
	else {
		r = reply_new(op_id(op), V1_OK);
		reply_json(r, ",\"body\":{\"size\":%llu}}",
		    (unsigned long long)f->size);
		reply_queue(r);
	}
	op_free(op);
}

static void
start_download(struct request *r)
{
	struct v1_member	 m[] = { { .key = "url" },
		{ .key = "output_path" } };
	struct fetched		 why;
	struct slice		 url, path;
	struct op		*op;

	if (!req_members(r, m, 2) || !req_text(r, &m[0], &url) ||
	    !req_text(r, &m[1], &path))
		return;
	if (url.len == 0 || path.len == 0) {
		req_refuse(r, XERR_EINVAL, "invalid download_file request: "
		    "url and output_path are required");
		return;
	}
	if ((op = req_begin(r)) == NULL)
		return;
	op->fetch = fetch_start(url, path, FETCH_LIMIT, on_downloaded, op,
	    &why);
	if (op->fetch == NULL) {
		req_refuse(r, why.code, "%s", why.why);
		op_free(op);
	}
}
