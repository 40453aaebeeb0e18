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
 * Names: stat, listing, mkdir, remove.  Runs in: front, control.
 * Names that are not UTF-8 are shown with U+FFFD.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/jobs.h"
#include "supervisor/front/files.h"

#define LIST_WINDOW	2048u		/* entries of credit ahead */
#define MKDIR_MODE	0755

static void	 on_stat_msg(struct session *, struct req *,
		    const struct msg *);
static void	 on_done_msg(struct session *, struct req *,
		    const struct msg *);
static void	 on_list_msg(struct session *, struct req *,
		    const struct msg *);
static void	 list_credit(struct fileop *);
static void	 list_entries(struct fileop *, struct req *,
		    const struct exec_file_entries *);
static void	 list_begin(struct fileop *, struct req *);
static void	 on_list_writable(struct http_req *, void *);
static uint32_t	 mode_wire(uint32_t);

static const struct session_ops stat_ops = { on_stat_msg, fileop_lost };
static const struct session_ops done_ops = { on_done_msg, fileop_lost };
static const struct session_ops list_ops = { on_list_msg, fileop_lost };
static const struct http_handler list_http = {
	.on_writable = on_list_writable
};

/*
 * A mode as runners have always told it: permissions in the low nine bits,
 * the kind in the high ones, as Go has them.
 */
static uint32_t
mode_wire(uint32_t mode)
{
	static const struct { uint32_t of, bit; } kinds[] = {
		{ 0040000, 1u << 31 },			/* directory */
		{ 0120000, 1u << 27 },			/* link */
		{ 0060000, 1u << 26 },			/* block device */
		{ 0010000, 1u << 25 },			/* fifo */
		{ 0140000, 1u << 24 },			/* socket */
		{ 0020000, 1u << 26 | 1u << 21 }	/* character device */
	};
	uint32_t	wire = mode & 0777;
	size_t		i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((mode & 0170000) == kinds[i].of)
			wire |= kinds[i].bit;
	wire |= mode & 04000 ? 1u << 23 : 0;
	wire |= mode & 02000 ? 1u << 22 : 0;
	wire |= mode & 01000 ? 1u << 20 : 0;
	return wire;
}

void
dirs_on_stat(struct req *r)
{
	struct exec_file_stat	 stat;
	struct fileop		*f;

	if ((f = fileop_begin(r, &stat_ops, NULL)) == NULL)
		return;
	stat.job = f->job;
	stat.path = slice_str(f->path);
	(void)fileop_send(f, r, EXEC_FILE_STAT, &stat);
}

static void
on_stat_msg(struct session *s, struct req *r, const struct msg *m)
{
	const struct exec_file_info	*i = m->body;
	struct fileop			*f = r->data;
	struct buf			 b = { 0 };
	struct jsonw			 w;
	struct tm			 tm;
	time_t				 t;
	char				 when[32] = "";

	if (m->type != EXEC_FILE_INFO) {
		fileop_refused(f, r, m);
		return;
	}
	fileop_end(f);
	t = (time_t)(i->mtime_ns / 1000000000 -
	    (i->mtime_ns % 1000000000 < 0));
	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_str(&w, "name", i->name);
	jsonw_uint(&w, "size", i->size);
	jsonw_uint(&w, "mode", mode_wire(i->mode));
	jsonw_text(&w, "mod_time", when);
	jsonw_bool(&w, "is_dir", (i->mode & 0170000) == 0040000);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

/* 204 once it is done. */
static void
on_done_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct fileop *f = r->data;

	if (m->type != EXEC_JOB_DONE) {
		fileop_refused(f, r, m);
		return;
	}
	fileop_end(f);
	req_empty(r, 204);
}

void
dirs_on_mkdir(struct req *r)
{
	struct exec_file_mkdir	 mkdir = { .mode = MKDIR_MODE,
				    .parents = true };
	struct fileop		*f;

	if (!fileop_mode(r, &mkdir.mode) ||
	    (f = fileop_begin(r, &done_ops, NULL)) == NULL)
		return;
	mkdir.job = f->job;
	mkdir.path = slice_str(f->path);
	(void)fileop_send(f, r, EXEC_FILE_MKDIR, &mkdir);
}

void
dirs_on_remove(struct req *r)
{
	struct exec_file_remove	 rm = { .recursive = false };
	struct fileop		*f;

	if (!req_flag(r, "recursive", &rm.recursive) ||
	    (f = fileop_begin(r, &done_ops, NULL)) == NULL)
		return;
	rm.job = f->job;
	rm.path = slice_str(f->path);
	(void)fileop_send(f, r, EXEC_FILE_REMOVE, &rm);
}

/* --- listing --- */

void
dirs_on_list(struct req *r)
{
	struct exec_file_list	 list;
	struct fileop		*f;

	if ((f = fileop_begin(r, &list_ops, ".")) == NULL)
		return;
	req_stream(r, &list_http);
	list.job = f->job;
	list.path = slice_str(f->path);
	if (fileop_send(f, r, EXEC_FILE_LIST, &list))
		list_credit(f);
}

static void
list_credit(struct fileop *f)
{
	struct exec_job_credit c = { .job = f->job, .stream = STREAM_FILE };

	if (f->session == NULL || f->upto - f->got > LIST_WINDOW / 2)
		return;
	c.upto = f->upto = f->got + LIST_WINDOW;
	(void)session_send(f->session, EXEC_JOB_CREDIT, &c);
}

static void
list_begin(struct fileop *f, struct req *r)
{
	static const char head[] = "{\"entries\":[";

	if (f->begun)
		return;
	f->begun = true;
	if (req_start(r, 200, "application/json", -1) != -1)
		(void)req_data(r, head, sizeof(head) - 1);
}

static void
list_entries(struct fileop *f, struct req *r,
    const struct exec_file_entries *e)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;
	uint32_t	 i;
	int		 full;

	if (e->offset != f->got || e->names.n > f->upto - f->got ||
	    e->modes.n != e->names.n || e->sizes.n != e->names.n) {
		fileop_end(f);
		req_error(r, XERR_EIO, "the sandbox broke the protocol");
		return;
	}
	list_begin(f, r);
	f->got += e->names.n;
	for (i = 0; i < e->names.n; i++) {
		if (f->comma)
			(void)buf_add(&b, ",", 1);
		f->comma = true;
		jsonw_init(&w, &b);
		jsonw_object(&w, NULL);
		jsonw_str(&w, "name", e->names.v[i]);
		jsonw_bool(&w, "is_dir",
		    (e->modes.v[i] & 0170000) == 0040000);
		jsonw_uint(&w, "size", e->sizes.v[i]);
		jsonw_end(&w);
	}
	full = req_data(r, buf_data(&b), b.len);
	buf_clear(&b);
	fileop_alive(f);
	if (full == 0)
		list_credit(f);
}

static void
on_list_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct fileop *f = r->data;

	if (m->type == EXEC_FILE_ENTRIES)
		list_entries(f, r, m->body);
	else if (m->type == EXEC_JOB_DONE) {
		fileop_end(f);
		list_begin(f, r);
		(void)req_data(r, "]}", 2);
		req_end(r);
	} else if (m->type != EXEC_JOB_EOF)
		fileop_refused(f, r, m);
}

static void
on_list_writable(struct http_req *h, void *arg)
{
	struct req *r = arg;

	list_credit(r->data);
}
