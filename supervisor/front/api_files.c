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
 * The bytes of files, both ways, with bounded memory: a receiver grants
 * credit, a sender without credit pauses its own source.  Runs in: front,
 * control.  Input is hostile.  A transfer that breaks off shows as a broken
 * connection or an error, never as a short file.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/jobs.h"
#include "supervisor/front/files.h"

#define WINDOW		(1024u * 1024)	/* GET: credit ahead */
#define CHUNK		(192u * 1024)	/* PUT: bytes in a message */
#define PUT_MODE	0644
#define CLIENT_MS	600000	/* its own pace; http watches that it moves */

static void	 on_get(struct req *);
static void	 get_send(struct fileop *, struct req *);
static void	 get_credit(struct fileop *);
static void	 on_get_msg(struct session *, struct req *,
		    const struct msg *);
static void	 get_info(struct fileop *, struct req *,
		    const struct exec_file_info *);
static void	 get_head(struct fileop *, struct req *, bool);
static void	 get_data(struct fileop *, struct req *,
		    const struct exec_job_data *);
static void	 on_get_writable(struct http_req *, void *);
static bool	 range_parse(const char *, uint64_t *, uint64_t *, bool *);
static bool	 range_apply(struct fileop *, struct req *);
static void	 on_put(struct req *);
static void	 put_flush(struct fileop *, struct req *);
static void	 on_put_msg(struct session *, struct req *,
		    const struct msg *);
static void	 on_put_body(struct http_req *, void *, const void *, size_t);
static void	 on_put_end(struct http_req *, void *);

const struct api_route file_routes[] = {
	{ HV_GET, "/v1/users/{user}/files", RIGHT_USER, ON_API, BODY_NONE,
	    on_get },
	{ HV_PUT, "/v1/users/{user}/files", RIGHT_USER, ON_API, BODY_RAW,
	    on_put },
	{ HV_DELETE, "/v1/users/{user}/files", RIGHT_USER, ON_API, BODY_NONE,
	    dirs_on_remove },
	{ HV_GET, "/v1/users/{user}/stat", RIGHT_USER, ON_API, BODY_NONE,
	    dirs_on_stat },
	{ HV_GET, "/v1/users/{user}/dir", RIGHT_USER, ON_API, BODY_NONE,
	    dirs_on_list },
	{ HV_PUT, "/v1/users/{user}/dir", RIGHT_USER, ON_API, BODY_NONE,
	    dirs_on_mkdir },
	{ .pattern = NULL }
};

static const struct session_ops get_ops = { on_get_msg, fileop_lost };
static const struct session_ops put_ops = { on_put_msg, fileop_lost };
static const struct http_handler get_http = {
	.on_writable = on_get_writable
};
static const struct http_handler put_http = {
	.on_body = on_put_body, .on_body_end = on_put_end
};

/* --- GET and HEAD --- */

/*
 * "bytes=A-B", "bytes=A-", "bytes=-N".  What is not one such range is no
 * range at all: RFC 9110 lets us send the whole.
 */
static bool
range_parse(const char *s, uint64_t *first, uint64_t *last, bool *suffix)
{
	char *end;

	if (strncasecmp(s, "bytes=", 6) != 0)
		return false;
	s += 6;
	*suffix = *s == '-';
	*first = 0;
	*last = UINT64_MAX;
	if (!*suffix) {
		if (*s < '0' || *s > '9')
			return false;
		*first = strtoull(s, &end, 10);
		s = end;
	}
	if (*s++ != '-')
		return false;
	if (*s == '\0')
		return !*suffix;
	if (*s < '0' || *s > '9')
		return false;
	*last = strtoull(s, &end, 10);
	return *end == '\0' && (*suffix || *last >= *first);
}

static void
on_get(struct req *r)
{
	struct exec_file_stat	 stat;
	struct http_req		*h = req_http(r);
	struct fileop		*f;

	if (h == NULL || (f = fileop_begin(r, &get_ops, NULL)) == NULL)
		return;
	/* There is no validator of ours, so If-Range never holds. */
	f->ranged = http_req_verb(h) == HV_GET &&
	    http_req_header(h, "Range") != NULL &&
	    http_req_header(h, "If-Range") == NULL;
	req_stream(r, &get_http);
	if (http_req_verb(h) == HV_GET && !f->ranged) {
		get_send(f, r);
		return;
	}
	/* The size comes first. */
	stat.job = f->job;
	stat.path = slice_str(f->path);
	(void)fileop_send(f, r, EXEC_FILE_STAT, &stat);
}

static void
get_send(struct fileop *f, struct req *r)
{
	struct exec_file_get get = {
		.job = f->job, .path = slice_str(f->path),
		.offset = f->first, .length = f->length
	};

	if (fileop_send(f, r, EXEC_FILE_GET, &get))
		get_credit(f);
}

static void
get_credit(struct fileop *f)
{
	struct exec_job_credit c = { .job = f->job, .stream = STREAM_FILE };

	if (f->session == NULL || f->upto - f->got > WINDOW / 2)
		return;
	c.upto = f->upto = f->got + WINDOW;
	(void)session_send(f->session, EXEC_JOB_CREDIT, &c);
}

/* The size is known: what is the range of it?  false: answered with 416. */
static bool
range_apply(struct fileop *f, struct req *r)
{
	struct http_req	*h = req_http(r);
	uint64_t	 first, last;
	bool		 suffix;
	char		 value[64];

	if (h == NULL)
		return false;
	if (!range_parse(http_req_header(h, "Range"), &first, &last,
	    &suffix)) {
		f->ranged = false;
		return true;
	}
	if (suffix) {
		first = last < f->size ? f->size - last : 0;
		last = last == 0 ? 0 : UINT64_MAX;
	}
	if (first >= f->size || last < first) {
		(void)snprintf(value, sizeof(value), "bytes */%llu",
		    (unsigned long long)f->size);
		http_reply_header(h, "Content-Range", value);
		r->answered = true;
		front.answers[416]++;
		api_log_failure(r, 416, "range behind the end");
		http_reply_error_status(h, 416, XERR_EINVAL,
		    "the file has %llu bytes", (unsigned long long)f->size);
		return false;
	}
	if (last >= f->size)
		last = f->size - 1;
	f->first = first;
	f->length = last - first + 1;
	return true;
}

/* Stat: HEAD's answer, or the beginning of a range.  Get: its beginning. */
static void
get_info(struct fileop *f, struct req *r, const struct exec_file_info *i)
{
	struct http_req *h = req_http(r);

	if (h == NULL)
		return;
	if ((i->mode & 0170000) == 0040000) {
		fileop_end(f);
		req_error(r, XERR_EISDIR, "is a directory");
		return;
	}
	if (i->size > front.conf.file_max) {
		fileop_end(f);
		req_error(r, XERR_E2BIG, "the file is over the limit");
		return;
	}
	f->size = i->size;
	if (http_req_verb(h) == HV_HEAD) {
		fileop_end(f);
		get_head(f, r, true);
		return;
	}
	if (f->ranged && f->upto == 0) {
		if (!range_apply(f, r)) {
			fileop_end(f);
			return;
		}
		f->job = session_job(f->session);
		get_send(f, r);
		return;
	}
	/* Files that say 0 may have content all the same: /proc. */
	if (f->size > 0)
		get_head(f, r, true);
}

static void
get_head(struct fileop *f, struct req *r, bool sized)
{
	struct http_req	*h = req_http(r);
	char		 value[96];
	int64_t		 length = sized ? (int64_t)f->size : -1;

	if (h == NULL || f->begun)
		return;
	f->begun = true;
	http_reply_header(h, "Accept-Ranges", "bytes");
	if (f->ranged) {
		length = (int64_t)f->length;
		(void)snprintf(value, sizeof(value), "bytes %llu-%llu/%llu",
		    (unsigned long long)f->first,
		    (unsigned long long)(f->first + f->length - 1),
		    (unsigned long long)f->size);
		http_reply_header(h, "Content-Range", value);
	}
	(void)req_start(r, f->ranged ? 206 : 200, "application/octet-stream",
	    length);
	if (http_req_verb(h) == HV_HEAD)
		req_end(r);
}

static void
get_data(struct fileop *f, struct req *r, const struct exec_job_data *d)
{
	uint64_t	 most = f->ranged ? f->length : f->size;
	size_t		 n = d->bytes.len;

	if (d->stream != STREAM_FILE || d->offset != f->got ||
	    n > f->upto - f->got) {
		fileop_end(f);
		req_error(r, XERR_EIO, "the sandbox broke the protocol");
		return;
	}
	get_head(f, r, f->size > 0);
	f->got += n;
	/* It grew after its size was announced. */
	if (most > 0 && f->got > most)
		n -= f->got - most < n ? (size_t)(f->got - most) : n;
	if (most == 0 && f->got > front.conf.file_max) {
		fileop_end(f);
		req_abort(r, "the file is over the limit");
		return;
	}
	if (most > 0 && f->got >= most) {
		/*
		 * All that Content-Length promised: the client may ask for
		 * the next thing before the sandbox says that it is done.
		 */
		(void)req_data(r, d->bytes.p, n);
		fileop_end(f);
		req_end(r);
	} else if (req_data(r, d->bytes.p, n) == 0) {
		fileop_alive(f);
		get_credit(f);
	} else
		session_deadline(f->session, CLIENT_MS);
}

static void
on_get_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct fileop *f = r->data;

	if (m->type == EXEC_FILE_INFO)
		get_info(f, r, m->body);
	else if (m->type == EXEC_JOB_DATA)
		get_data(f, r, m->body);
	else if (m->type == EXEC_JOB_DONE) {
		/* Stat's end; a range may already be another job. */
		fileop_end(f);
		get_head(f, r, true);
		req_end(r);
	} else if (m->type != EXEC_JOB_EOF)
		fileop_refused(f, r, m);
}

static void
on_get_writable(struct http_req *h, void *arg)
{
	struct req	*r = arg;
	struct fileop	*f = r->data;

	if (f->session != NULL)
		fileop_alive(f);
	get_credit(f);
}

/* --- PUT --- */

static void
on_put(struct req *r)
{
	struct exec_file_put	 put = { .mode = PUT_MODE };
	struct http_req		*h = req_http(r);
	struct fileop		*f;

	if (h == NULL || !fileop_mode(r, &put.mode) ||
	    !req_flag(r, "parents", &put.parents))
		return;
	/* A transfer that is resumed, say by curl -C: its rest would become
	 * the whole file. */
	if (http_req_header(h, "Content-Range") != NULL) {
		req_error(r, XERR_EINVAL, "a file is written as a whole");
		return;
	}
	if (http_req_length(h) > 0 &&
	    (uint64_t)http_req_length(h) > front.conf.file_max) {
		req_error(r, XERR_E2BIG, "the file is over the limit");
		return;
	}
	if ((f = fileop_begin(r, &put_ops, NULL)) == NULL)
		return;
	put.job = f->job;
	put.path = slice_str(f->path);
	put.limit = front.conf.file_max;
	(void)fileop_send(f, r, EXEC_FILE_PUT, &put);
	/* The body is read when the executor has room: a refusal comes before
	 * the bytes. */
}

/* As far as there is room: how far says *done.  false: answered. */
static bool
put_send(struct fileop *f, struct req *r, struct slice bytes, size_t *done)
{
	struct exec_job_data	 d = { .job = f->job, .stream = STREAM_FILE };
	size_t			 n;

	for (*done = 0; *done < bytes.len && f->sent < f->room; *done += n) {
		n = bytes.len - *done < CHUNK ? bytes.len - *done : CHUNK;
		if (n > f->room - f->sent)
			n = (size_t)(f->room - f->sent);
		d.offset = f->sent;
		d.bytes = (struct slice){ (const uint8_t *)bytes.p + *done,
		    n };
		if (!fileop_send(f, r, EXEC_JOB_DATA, &d))
			return false;
		f->sent += n;
	}
	return true;
}

/* A deadline while the backend has something to do; a client that is slow is
 * told so by the HTTP server. */
static void
put_turn(struct fileop *f)
{
	if (f->out.len > 0 || f->body_done)
		fileop_alive(f);
	else
		session_deadline(f->session, 0);
}

static void
put_flush(struct fileop *f, struct req *r)
{
	struct exec_job_eof	 e = { .job = f->job, .stream = STREAM_FILE };
	struct http_req		*h = req_http(r);
	size_t			 n;

	if (!put_send(f, r, (struct slice){ buf_data(&f->out), f->out.len },
	    &n))
		return;
	buf_drain(&f->out, n);
	put_turn(f);
	if (f->out.len > 0) {
		if (h != NULL && !f->body_done)
			http_req_pause(h);
		return;
	}
	if (f->body_done) {
		e.offset = f->sent;
		(void)fileop_send(f, r, EXEC_JOB_EOF, &e);
	} else if (h != NULL)
		http_req_resume(h);
}

static void
on_put_body(struct http_req *h, void *arg, const void *data, size_t len)
{
	struct req	*r = arg;
	struct fileop	*f = r->data;
	size_t		 n = 0;

	if (f->session == NULL || r->answered)
		return;
	if (f->sent + f->out.len + len > front.conf.file_max) {
		fileop_end(f);
		req_error(r, XERR_E2BIG, "the file is over the limit");
		return;
	}
	/* What may go at once needs no copy. */
	if (f->out.len == 0 && !put_send(f, r, (struct slice){ data, len },
	    &n))
		return;
	if (buf_add(&f->out, (const uint8_t *)data + n, len - n) == -1) {
		fileop_end(f);
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	put_flush(f, r);
}

static void
on_put_end(struct http_req *h, void *arg)
{
	struct req	*r = arg;
	struct fileop	*f = r->data;

	if (f->session == NULL || r->answered)
		return;
	f->body_done = true;
	put_flush(f, r);
}

static void
on_put_msg(struct session *s, struct req *r, const struct msg *m)
{
	const struct exec_job_credit	*c = m->body;
	struct fileop			*f = r->data;

	if (m->type == EXEC_JOB_CREDIT) {
		put_turn(f);
		if (c->stream != STREAM_FILE || c->upto <= f->room)
			return;
		f->room = c->upto;
		if (!f->reading) {
			f->reading = true;
			req_stream(r, &put_http);
		} else if (f->out.len > 0)
			put_flush(f, r);
	} else if (m->type == EXEC_JOB_DONE) {
		fileop_end(f);
		if (f->body_done)
			req_empty(r, 204);
		else
			req_error(r, XERR_EIO,
			    "the sandbox broke the protocol");
	} else
		fileop_refused(f, r, m);
}
