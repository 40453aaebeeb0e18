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
 * POST download: the sandbox fetches a file itself, never this server's
 * network.  A runner has a client of its own; elsewhere curl or wget runs
 * there as a job, and what it writes goes into a file_put, which makes it
 * atomic, bounded and subject to the rules of paths.  Runs in: front,
 * control.  Input is hostile on both sides.
 * Owns: struct download, one a request.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/jobs.h"
#include "supervisor/front/files.h"
#include "supervisor/front/session.h"
#include "supervisor/front/wanted.h"

#define URL_BYTES	8192		/* exec.def: fetch.url */
#define FETCH_S		3600
#define GRACE_MS	10000
#define COMPLAINT	1024		/* of the tool's stderr */
#define STDERR_ROOM	(64u * 1024)	/* more is not read: it hangs */
#define PUT_MODE	0644

struct download {
	struct session	*put;		/* or of the fetch; NULL: over */
	struct session	*job;		/* the tool; NULL: not running */
	struct id16	 put_id, job_id;
	struct route_decision where;
	char		 runner[ID_USER_MAX + 1];
	char		 url[URL_BYTES + 1];
	char		 path[PATH_BYTES + 1];
	unsigned int	 tool;		/* of tools[] */
	bool		 tried, ended;
	uint64_t	 room;		/* of the file */
	uint64_t	 got;
	char		 complaint[COMPLAINT + 1];
	size_t		 ncomplaint;
	uint64_t	 size;
};

static void	 on_download(struct req *);
static bool	 url_ok(const char *);
static bool	 members(struct req *, struct download *, char *, size_t);
static void	 download_audit(struct download *, struct req *);
static void	 download_close(struct req *, void *);
static void	 download_fail(struct download *, struct req *, enum xerr,
		    const char *);
static void	 download_done(struct req *, uint64_t);
static void	 refused(struct download *, struct req *,
		    const struct exec_job_refused *);
static void	 fetch_begin(struct download *, struct req *);
static void	 fetch_msg(struct session *, struct req *,
		    const struct msg *);
static void	 put_begin(struct download *, struct req *);
static void	 put_msg(struct session *, struct req *, const struct msg *);
static void	 put_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 tool_start(struct download *, struct req *);
static void	 tool_credit(struct download *);
static void	 tool_msg(struct session *, struct req *,
		    const struct msg *);
static void	 tool_data(struct download *, struct req *,
		    const struct exec_job_data *);
static void	 tool_exit(struct download *, struct req *,
		    const struct exec_job_exit *);
static void	 tool_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 tool_complains(struct download *, struct slice);

const struct api_route download_routes[] = {
	{ HV_POST, "/v1/users/{user}/download", RIGHT_USER, ON_API,
	    BODY_JSON, on_download },
	{ .pattern = NULL }
};

static const struct session_ops fetch_ops = { fetch_msg, put_lost };
static const struct session_ops put_ops = { put_msg, put_lost };
static const struct session_ops tool_ops = { tool_msg, tool_lost };

/*
 * Tried in this order until one is there and knows its options; the URL
 * comes behind them.  No shell, no configuration file of the user's.
 */
#define TOOL_ARGS	24
static const char *const tools[][TOOL_ARGS] = {
	{ "curl", "-q", "-g", "-sS", "-f", "-L", "--max-redirs", "10",
	    "--proto", "=http,https", "--proto-redir", "=http,https",
	    "--connect-timeout", "30", "--speed-limit", "1",
	    "--speed-time", "60", "-o", "-", NULL },
	{ "wget", "-nv", "--max-redirect=10", "--tries=1", "--timeout=60",
	    "-O", "-", NULL },
	{ "wget", "-T", "60", "-O", "-", NULL }		/* busybox */
};
#define NTOOLS	(sizeof(tools) / sizeof(tools[0]))

/* What curl's exit codes mean; the others are EIO. */
static const struct {
	int		code;
	enum xerr	error;
} curl_codes[] = {
	{ 1, XERR_EINVAL },	/* protocol */
	{ 3, XERR_EINVAL },	/* malformed URL */
	{ 28, XERR_ETIMEDOUT },
	{ 63, XERR_E2BIG }
};

static bool
url_ok(const char *url)
{
	if (strncasecmp(url, "http://", 7) != 0 &&
	    strncasecmp(url, "https://", 8) != 0)
		return false;
	for (; *url != '\0'; url++)
		if ((unsigned char)*url <= ' ' || *url == 0x7f)
			return false;
	return true;
}

static bool
members(struct req *r, struct download *d, char *session, size_t size)
{
	if (req_member(r, "url", d->url, sizeof(d->url)) == JSON_WRONG ||
	    req_member(r, "output_path", d->path, sizeof(d->path)) ==
	    JSON_WRONG || !wanted_session(r, session, size))
		return false;
	if (d->path[0] == '\0') {
		req_error(r, XERR_EINVAL, "output_path: missing");
		return false;
	}
	if (!url_ok(d->url)) {
		req_error(r, XERR_EINVAL, "url: neither http nor https");
		return false;
	}
	return true;
}

static void
on_download(struct req *r)
{
	struct download	*d;
	char		 session[SESSION_MAX + 1];

	if ((d = calloc(1, sizeof(*d))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	r->data = d;
	r->close = download_close;
	if (!members(r, d, session, sizeof(session)))
		return;
	d->where = routes_decide(r->user, session);
	if (d->where.code != XERR_NONE) {
		req_error(r, d->where.code, "%s", d->where.reason);
		return;
	}
	/* The decision lends a name of the copy, which may change. */
	(void)slice_copy(d->runner, sizeof(d->runner),
	    slice_str(d->where.runner));
	d->where.runner = d->runner;
	if (!limit_exec(r))
		return;
	download_audit(d, r);
	if (d->where.backend == BACKEND_REMOTE)
		fetch_begin(d, r);
	else
		put_begin(d, r);
}

/* Without what may be a secret: user and password, the query. */
static void
download_audit(struct download *d, struct req *r)
{
	struct jsonw	 w;
	struct buf	 b = { 0 };
	const char	*host = strchr(d->url, ':') + 3, *s;
	size_t		 n = strcspn(host, "/?#");

	if (!audit_begin(&w, &b, r, "download"))
		return;
	if ((s = memrchr(host, '@', n)) != NULL) {
		n -= (size_t)(s + 1 - host);
		host = s + 1;
	}
	n += strcspn(host + n, "?#");
	jsonw_str(&w, "url", (struct slice){ host, n });
	jsonw_text(&w, "path", d->path);
	jsonw_text(&w, "backend", backend_name(d->where.backend));
	jsonw_text(&w, "runner", d->runner);
	audit_end(&w, &b);
}

static void
download_close(struct req *r, void *data)
{
	struct download *d = data;

	session_drop(d->job);
	session_drop(d->put);
	free(d);
}

/* Not from a loss: there only the session that was lost may go. */
static void
download_fail(struct download *d, struct req *r, enum xerr code,
    const char *text)
{
	session_drop(d->job);
	session_drop(d->put);
	d->job = d->put = NULL;
	req_error(r, code, "%s", text);
}

static void
download_done(struct req *r, uint64_t size)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_uint(&w, "size", size);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

static void
refused(struct download *d, struct req *r, const struct exec_job_refused *m)
{
	char text[1025];

	if (!slice_copy(text, sizeof(text), m->text))
		text[0] = '\0';
	download_fail(d, r, m->code == XERR_NONE ? XERR_EIO : m->code, text);
}

/* --- a runner does it --- */

static void
fetch_begin(struct download *d, struct req *r)
{
	struct exec_fetch fetch = {
		.url = slice_str(d->url), .path = slice_str(d->path),
		.limit = front.conf.file_max
	};

	if ((d->put = session_open(r, &d->where, &fetch_ops)) == NULL)
		return;
	fetch.job = session_job(d->put);
	session_deadline(d->put, FETCH_S * 1000 + GRACE_MS);
	(void)session_send(d->put, EXEC_FETCH, &fetch);
}

static void
fetch_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct download			*d = r->data;
	const struct exec_file_info	*info = m->body;

	if (m->type == EXEC_FILE_INFO) {
		d->size = info->size;
		d->ended = true;
	} else if (m->type == EXEC_JOB_DONE && d->ended) {
		session_drop(d->put);
		d->put = NULL;
		download_done(r, d->size);
	} else if (m->type == EXEC_JOB_REFUSED)
		refused(d, r, m->body);
	else if (m->type == EXEC_JOB_DONE)
		download_fail(d, r, XERR_EIO, "the runner broke the protocol");
}

/* --- a job does it --- */

/* The file first: a path that cannot be needs no network. */
static void
put_begin(struct download *d, struct req *r)
{
	struct exec_file_put put = {
		.path = slice_str(d->path), .mode = PUT_MODE,
		.parents = true, .limit = front.conf.file_max
	};

	if ((d->put = session_open(r, &d->where, &put_ops)) == NULL)
		return;
	d->put_id = put.job = session_job(d->put);
	session_deadline(d->put, FETCH_S * 1000 + 2 * GRACE_MS);
	(void)session_send(d->put, EXEC_FILE_PUT, &put);
}

static void
put_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct download			*d = r->data;
	const struct exec_job_credit	*c = m->body;

	if (m->type == EXEC_JOB_CREDIT && c->stream == STREAM_FILE) {
		if (c->upto > d->room)
			d->room = c->upto;
		if (!d->tried)
			tool_start(d, r);
		else
			tool_credit(d);
	} else if (m->type == EXEC_JOB_DONE && d->ended) {
		session_drop(d->put);
		d->put = NULL;
		download_done(r, d->got);
	} else if (m->type == EXEC_JOB_REFUSED)
		refused(d, r, m->body);
	else if (m->type == EXEC_JOB_DONE)
		download_fail(d, r, XERR_EIO,
		    "the sandbox broke the protocol");
}

static void
put_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	struct download *d = r->data;

	d->put = NULL;
	req_error(r, code, "%s", text);
}

static void
tool_start(struct download *d, struct req *r)
{
	struct exec_job_start	 start = { .kind = JOB_EXEC,
				    .timeout_ms = FETCH_S * 1000 };
	struct exec_job_credit	 c = { .stream = STREAM_STDERR,
				    .upto = STDERR_ROOM };
	struct exec_job_eof	 e = { .stream = STREAM_STDIN };
	struct slice		 argv[TOOL_ARGS];
	uint32_t		 n;

	d->tried = true;
	if (d->job == NULL &&
	    (d->job = session_open(r, &d->where, &tool_ops)) == NULL)
		return;
	for (n = 0; tools[d->tool][n] != NULL; n++)
		argv[n] = slice_str(tools[d->tool][n]);
	argv[n++] = slice_str(d->url);
	start.argv = (struct slices){ argv, n };
	d->ncomplaint = 0;
	d->complaint[0] = '\0';
	d->job_id = start.job = c.job = e.job = session_job(d->job);
	session_deadline(d->job, FETCH_S * 1000 + GRACE_MS);
	(void)session_send(d->job, EXEC_JOB_START, &start);
	(void)session_send(d->job, EXEC_JOB_EOF, &e);
	(void)session_send(d->job, EXEC_JOB_CREDIT, &c);
	tool_credit(d);
}

/* An offset of its output is one of the file. */
static void
tool_credit(struct download *d)
{
	struct exec_job_credit c = {
		.job = d->job_id, .stream = STREAM_STDOUT, .upto = d->room
	};

	if (d->job != NULL && !d->ended)
		(void)session_send(d->job, EXEC_JOB_CREDIT, &c);
}

/* The first line, in ASCII: it is for an error's text. */
static void
tool_complains(struct download *d, struct slice s)
{
	const uint8_t	*p = s.p;
	size_t		 i;

	for (i = 0; i < s.len && d->ncomplaint < COMPLAINT; i++)
		d->complaint[d->ncomplaint++] = p[i] == '\n' ? '\n' :
		    p[i] < ' ' || p[i] > '~' ? '?' : (char)p[i];
	d->complaint[d->ncomplaint] = '\0';
}

static void
tool_data(struct download *d, struct req *r, const struct exec_job_data *m)
{
	struct exec_job_data out = *m;

	if (m->stream == STREAM_STDERR) {
		tool_complains(d, m->bytes);
		return;
	}
	if (m->stream != STREAM_STDOUT || m->offset != d->got ||
	    m->bytes.len > d->room - d->got) {
		download_fail(d, r, XERR_EIO,
		    "the sandbox broke the protocol");
		return;
	}
	d->got += m->bytes.len;
	if (d->got > front.conf.file_max) {
		download_fail(d, r, XERR_E2BIG, "the file is over the limit");
		return;
	}
	out.job = d->put_id;
	out.stream = STREAM_FILE;
	(void)session_send(d->put, EXEC_JOB_DATA, &out);
}

static void
tool_exit(struct download *d, struct req *r, const struct exec_job_exit *m)
{
	struct exec_job_eof	 e = { .job = d->put_id,
				    .stream = STREAM_FILE, .offset = d->got };
	enum xerr		 code = XERR_EIO;
	size_t			 i;

	if (m->how == JOB_EXITED && m->code == 0) {
		session_drop(d->job);
		d->job = NULL;
		d->ended = true;
		(void)session_send(d->put, EXEC_JOB_EOF, &e);
		return;
	}
	/* Another wget than the one we know. */
	if (m->how == JOB_EXITED && d->got == 0 && d->tool + 1 < NTOOLS &&
	    strcmp(tools[d->tool][0], tools[d->tool + 1][0]) == 0 &&
	    (strstr(d->complaint, "unrecognized option") != NULL ||
	    strstr(d->complaint, "invalid option") != NULL)) {
		d->tool++;
		tool_start(d, r);
		return;
	}
	for (i = 0; m->how == JOB_EXITED && d->tool == 0 &&
	    i < sizeof(curl_codes) / sizeof(curl_codes[0]); i++)
		if (curl_codes[i].code == m->code)
			code = curl_codes[i].error;
	if (m->how == JOB_TIMED_OUT)
		code = XERR_ETIMEDOUT;
	d->complaint[strcspn(d->complaint, "\n")] = '\0';
	download_fail(d, r, code, d->complaint[0] != '\0' ? d->complaint :
	    "the download failed");
}

static void
tool_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct download			*d = r->data;
	const struct exec_job_refused	*no = m->body;

	if (d->put == NULL)
		return;		/* lost, and the answer is on its way */
	if (m->type == EXEC_JOB_DATA)
		tool_data(d, r, m->body);
	else if (m->type == EXEC_JOB_EXIT)
		tool_exit(d, r, m->body);
	else if (m->type == EXEC_JOB_REFUSED && no->code == XERR_ENOENT) {
		/* Another wget is none either. */
		if (++d->tool < NTOOLS - 1)
			tool_start(d, r);
		else
			download_fail(d, r, XERR_ENOTSUP,
			    "this sandbox has neither curl nor wget");
	} else if (m->type == EXEC_JOB_REFUSED)
		refused(d, r, m->body);
}

static void
tool_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	struct download *d = r->data;

	d->job = NULL;
	req_error(r, code, "%s", text);
}
