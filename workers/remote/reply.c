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
 * What a runner answered, and what it means in exec.def.  Runs in: remote.
 * Hostile: every field is checked for type and range; times, sizes and names
 * are hints and only shown.
 */

#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/compat/compat.h"
#include "base/log.h"
#include "workers/remote/llm.h"
#include "workers/remote/remote.h"

#define NAME_MAX_V1	256	/* of file_info and file_entries */

static void	take_exec(struct op *, struct v1_value *);
static void	take_stat(struct op *, struct v1_value *);
static void	take_entries(struct op *, struct v1_value *);
static void	take_content(struct op *, struct v1_value *);
static void	take_ok(struct op *, struct v1_value *);
static void	take_download(struct op *, struct v1_value *);

static const struct {
	enum v1_type	 asked;
	void		(*take)(struct op *, struct v1_value *);
} takes[] = {
	{ V1_EXEC, take_exec },
	{ V1_STAT, take_stat },
	{ V1_READ_DIR, take_entries },
	{ V1_READ_FILE, take_content },
	{ V1_WRITE_FILE, take_ok },
	{ V1_MKDIR_ALL, take_ok },
	{ V1_REMOVE, take_ok },
	{ V1_REMOVE_ALL, take_ok },
	{ V1_DOWNLOAD_FILE, take_download },
	{ V1_BG_EXEC, task_take_started },
	{ V1_BG_STATUS, task_take_output },
	{ V1_BG_KILL, task_take_killed },
	{ V1_STDIO_START, stream_take_started },
	{ V1_STDIO_CLOSE, stream_take_closed },
	{ V1_PTY_CREATE, stream_take_started },
	{ V1_PTY_CLOSE, stream_take_closed },
	{ V1_LLM_GENERATE, llm_take_response },
	{ V1_LLM_MODELS, llm_take_models },
};

/*
 * An EIO of a runner says more in its text, which ends in what Go or a libc
 * (with a capital) calls the errno.
 */
static const struct {
	const char	*end;
	enum xerr	 code;
} texts[] = {
	{ "executable file not found in $PATH", XERR_ENOENT },
	{ "executable file not found in %PATH%", XERR_ENOENT },
	{ "no such file or directory", XERR_ENOENT },
	{ "permission denied", XERR_EPERM },
	{ "operation not permitted", XERR_EPERM },
	{ "not a directory", XERR_ENOTDIR },
	{ "is a directory", XERR_EISDIR },
	{ "task id not found", XERR_ENOENT },
	{ "requires args to be set", XERR_EINVAL },
	{ "argument list too long", XERR_E2BIG },
	{ "file name too long", XERR_EINVAL },
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

void
reply_malformed(struct op *op)
{
	log_info("connection %llu: an answer without its fields",
	    (unsigned long long)op->link->serial);
	op_refuse(op, XERR_EIO, "the runner's answer is malformed");
}

static enum xerr
error_code(enum xerr code, const char *text)
{
	size_t i, n, len = strlen(text);

	if (code != XERR_EIO)
		return code;
	for (i = 0; i < NITEMS(texts); i++) {
		n = strlen(texts[i].end);
		if (len >= n &&
		    strcasecmp(text + len - n, texts[i].end) == 0)
			return texts[i].code;
	}
	return code;
}

enum xerr
reply_error(struct v1_value *body, char text[REPLY_TEXT_MAX + 1])
{
	struct v1_member	m[] = { { .key = "message" },
				    { .key = "code" } };
	enum xerr		code;

	v1_members(body, m, NITEMS(m));
	text_clean(text, REPLY_TEXT_MAX, v1_string(&m[0].value));
	code = error_code(v1_error_code(v1_string(&m[1].value)), text);
	if (text[0] == '\0')
		strlcpy(text, "the runner gave no reason",
		    REPLY_TEXT_MAX + 1);
	return code;
}

static void
take_error(struct op *op, enum v1_type asked, struct v1_value *body)
{
	char		 text[REPLY_TEXT_MAX + 1];
	enum xerr	 code = reply_error(body, text);

	if (task_take_error(op, asked, code, text))
		return;
	/* It has ended by itself meanwhile. */
	if (code == XERR_ENOENT &&
	    (asked == V1_STDIO_CLOSE || asked == V1_PTY_CLOSE)) {
		stream_take_closed(op, body);
		return;
	}
	/* There is nothing to be closed. */
	if (op->stream != NULL && !op->stream->started)
		op->stream->ended = true;
	/* Older runners know no terminals. */
	if (asked == V1_PTY_CREATE && code == XERR_EINVAL)
		op_refuse(op, XERR_ENOTSUP, "this runner has no terminals");
	else if (code == XERR_ENOENT && op->type == EXEC_FILE_REMOVE &&
	    op->missing_ok)
		op_done(op);
	else
		op_refuse(op, code, text);
}

void
reply_take(struct op *op, enum v1_type asked, struct v1_message *msg)
{
	size_t i;

	if (msg->type == V1_ERROR) {
		if (op->llm != NULL)
			llm_take_error(op, &msg->body);
		else
			take_error(op, asked, &msg->body);
		return;
	}
	/* As the reference does: any other type is success.  Whether it is
	 * the right answer shows in its fields. */
	for (i = 0; i < NITEMS(takes); i++)
		if (takes[i].asked == asked) {
			takes[i].take(op, &msg->body);
			return;
		}
	reply_malformed(op);
}

static bool
is_text(const struct v1_value *v)
{
	return v->kind <= V1_NULL || v->kind == V1_STRING;
}

/* v1 knows no signal: -1 is one, unless it was the deadline (rule 10.3). */
static void
take_exec(struct op *op, struct v1_value *body)
{
	struct v1_member	m[] = {
		{ .key = "stdout" }, { .key = "stderr" },
		{ .key = "exit_code" }, { .key = "timed_out" },
	};
	int64_t			code;
	bool			timed_out = false;

	if (!v1_members(body, m, NITEMS(m)) || !is_text(&m[0].value) ||
	    !is_text(&m[1].value) || !v1_int(&m[2].value, &code) ||
	    code < INT32_MIN || code > INT32_MAX ||
	    (m[3].value.kind > V1_NULL &&
	    !v1_bool(&m[3].value, &timed_out))) {
		reply_malformed(op);
		return;
	}
	op->duration_us = clock_us() - op->at_us;
	op->how = JOB_EXITED;
	op->code = (int32_t)code;
	if (timed_out || (code == -1 &&
	    op->duration_us >= (uint64_t)op->timeout * 1000000)) {
		op->how = JOB_TIMED_OUT;
		op->code = 0;
	} else if (code < 0) {
		op->how = JOB_SIGNALLED;
		op->code = 0;
	}
	op->outputs[0].stream = STREAM_STDOUT;
	op->outputs[0].data = v1_string(&m[0].value);
	op->outputs[1].stream = STREAM_STDERR;
	op->outputs[1].data = v1_string(&m[1].value);
	op->step = OP_OUTPUT;
	output_pump(op);
}

static void
get_content(struct op *op)
{
	uint64_t size = op->info.size;

	if (S_ISDIR(op->info.mode)) {
		op_refuse(op, XERR_EISDIR, "is a directory");
		return;
	}
	/* An existing runner would wait for a pipe's other end, or read
	 * /dev/zero until its memory is full. */
	if (!S_ISREG(op->info.mode)) {
		op_refuse(op, XERR_EINVAL, "is not a regular file");
		return;
	}
	/* v1 files travel whole: room for it now or not at all. */
	if (size > conf_message_limit || size / 3 * 4 + MESSAGE_EXTRA >
	    conf_message_limit) {
		op_refuse(op, XERR_E2BIG,
		    "the file is over the message limit for runners");
		return;
	}
	if (!link_reserve(op->link, op, size / 3 * 4 + MESSAGE_EXTRA)) {
		op_refuse(op, XERR_EBUSY,
		    "too much is on its way from runners at the moment");
		return;
	}
	op->step = OP_WORK;
	op_ask(op, V1_READ_FILE);
}

static void
take_stat(struct op *op, struct v1_value *body)
{
	struct v1_member	m[] = {
		{ .key = "name" }, { .key = "size" }, { .key = "mode" },
		{ .key = "mod_time" }, { .key = "is_dir" },
	};
	int64_t			size, mode, mtime = 0;
	bool			is_dir;

	if (!v1_members(body, m, NITEMS(m)) ||
	    m[0].value.kind != V1_STRING ||
	    !v1_int(&m[1].value, &size) || size < 0 ||
	    !v1_int(&m[2].value, &mode) || mode < 0 || mode > UINT32_MAX ||
	    !v1_bool(&m[4].value, &is_dir)) {
		reply_malformed(op);
		return;
	}
	v1_time_parse(v1_string(&m[3].value), &mtime);
	text_clean(op->name, NAME_MAX_V1, v1_string(&m[0].value));
	op->info = (struct exec_file_info){ op->job, slice_str(op->name),
	    (uint64_t)size, v1_mode_from_go((uint32_t)mode), mtime };
	/* Docker mode has no type bits (D19). */
	if (is_dir)
		op->info.mode = (op->info.mode & ~(uint32_t)S_IFMT) | S_IFDIR;
	if (op->type == EXEC_FILE_GET)
		get_content(op);
	else if (op->type == EXEC_FILE_REMOVE) {
		op->step = OP_WORK;
		op_ask(op, V1_REMOVE_ALL);
	} else {
		op_send(op, EXEC_FILE_INFO, &op->info);
		op_done(op);
	}
}

static int
entry_order(const void *a, const void *b)
{
	const struct entry	*x = a, *y = b;
	size_t			 n = x->name.len < y->name.len ? x->name.len :
				    y->name.len;
	int			 c = memcmp(x->name.p, y->name.p, n);

	return c != 0 ? c : (x->name.len > y->name.len) -
	    (x->name.len < y->name.len);
}

/* A name that could not be one in a directory is left out. */
static bool
entry_take(struct entry *e, struct v1_value *v)
{
	struct v1_member	m[] = {
		{ .key = "name" }, { .key = "is_dir" }, { .key = "size" },
	};
	int64_t			size = 0;

	e->is_dir = false;
	if (!v1_members(v, m, NITEMS(m)))
		return false;
	v1_bool(&m[1].value, &e->is_dir);
	v1_int(&m[2].value, &size);
	e->size = size > 0 ? (uint64_t)size : 0;
	e->name = v1_string(&m[0].value);
	return e->name.len > 0 && e->name.len <= NAME_MAX_V1 &&
	    !slice_is(e->name, ".") && !slice_is(e->name, "..") &&
	    memchr(e->name.p, '/', e->name.len) == NULL &&
	    memchr(e->name.p, '\0', e->name.len) == NULL;
}

static bool
entries_grow(struct op *op, size_t *room)
{
	struct entry	*v;
	size_t		 n = *room == 0 ? 64 : *room;

	if (op->nentries < *room)
		return true;
	if (!budget_take(n * sizeof(*v)))
		return false;
	op->held += n * sizeof(*v);
	if ((v = realloc(op->entries, (*room + n) * sizeof(*v))) == NULL)
		return false;
	op->entries = v;
	*room += n;
	return true;
}

static void
take_entries(struct op *op, struct v1_value *body)
{
	struct v1_member	m[] = { { .key = "entries" } };
	struct v1_value		element;
	size_t			room = 0;

	if (!v1_members(body, m, NITEMS(m)) ||
	    (m[0].value.kind != V1_ARRAY && m[0].value.kind != V1_NULL)) {
		reply_malformed(op);
		return;
	}
	while (v1_element(&m[0].value, &element)) {
		if (!entries_grow(op, &room)) {
			op_refuse(op, XERR_EBUSY, "out of memory");
			return;
		}
		if (entry_take(&op->entries[op->nentries], &element))
			op->nentries++;
	}
	/* Docker mode lists in the order of its locale. */
	if (op->nentries > 0)
		qsort(op->entries, op->nentries, sizeof(*op->entries),
		    entry_order);
	op->outputs[0].stream = STREAM_FILE;
	op->step = OP_OUTPUT;
	output_pump(op);
}

/* The Go decoder takes line breaks inside; nobody is known to send them. */
size_t
reply_strip_breaks(char *p, size_t len)
{
	char *dst, *end = p + len;

	if (memchr(p, '\n', len) == NULL && memchr(p, '\r', len) == NULL)
		return len;
	for (dst = p; p < end; p++)
		if (*p != '\n' && *p != '\r')
			*dst++ = *p;
	return len - (size_t)(end - dst);
}

static void
take_content(struct op *op, struct v1_value *body)
{
	struct v1_member	 m[] = { { .key = "data" } };
	struct output		*o = &op->outputs[0];
	struct slice		 text;
	uint64_t		 size, from;

	if (!v1_members(body, m, NITEMS(m)) || !is_text(&m[0].value)) {
		reply_malformed(op);
		return;
	}
	text = v1_string(&m[0].value);
	o->text = m[0].value.p;
	o->text_len = text.len == 0 ? 0 :
	    reply_strip_breaks(o->text, text.len);
	if (o->text_len % 4 != 0) {
		reply_malformed(op);
		return;
	}
	size = o->text_len / 4 * 3;
	if (size > 0 && o->text[o->text_len - 1] == '=')
		size -= o->text[o->text_len - 2] == '=' ? 2 : 1;
	/* What has come is what there is, whatever stat said before. */
	op->info.size = size;
	op_send(op, EXEC_FILE_INFO, &op->info);
	from = op->offset < size ? op->offset : size;
	o->left = size - from;
	if (op->length != 0 && op->length < o->left)
		o->left = op->length;
	o->text += from / 3 * 4;
	o->text_len -= from / 3 * 4;
	o->skip = (unsigned int)(from % 3);
	o->stream = STREAM_FILE;
	op->step = OP_OUTPUT;
	output_pump(op);
}

static void
take_ok(struct op *op, struct v1_value *body)
{
	if (op->step != OP_PARENT) {
		op_done(op);
		return;
	}
	op->step = OP_WORK;
	op_ask(op, V1_WRITE_FILE);
}

static void
take_download(struct op *op, struct v1_value *body)
{
	struct v1_member	m[] = { { .key = "size" } };
	struct exec_file_info	info = { .job = op->job,
				    .mode = S_IFREG | 0644 };
	const char		*slash = strrchr(op->path, '/');
	int64_t			size;

	if (!v1_members(body, m, NITEMS(m)) ||
	    !v1_int(&m[0].value, &size) || size < 0) {
		reply_malformed(op);
		return;
	}
	/* Existing runners take 100 MiB and no other limit. */
	if (op->limit != 0 && (uint64_t)size > op->limit) {
		op_refuse(op, XERR_E2BIG, "the download is over its limit");
		return;
	}
	text_clean(op->name, NAME_MAX_V1, slice_str(slash != NULL ?
	    slash + 1 : op->path));
	info.name = slice_str(op->name);
	info.size = (uint64_t)size;
	info.mtime_ns = (int64_t)time(NULL) * 1000000000;
	op_send(op, EXEC_FILE_INFO, &info);
	op_done(op);
}
