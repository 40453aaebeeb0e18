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
 * What the file routes have in common.  Runs in: front, control.
 */

#include <stdlib.h>
#include <string.h>

#include "supervisor/front/files.h"

#define FILE_IDLE_MS	60000	/* a backend that does nothing for so long */

static void	 fileop_close(struct req *, void *);

struct fileop *
fileop_begin(struct req *r, const struct session_ops *ops,
    const char *path_default)
{
	struct route_decision	 d;
	struct fileop		*f;
	char			 session[SESSION_MAX + 1];

	if (!req_session(r, session, sizeof(session)))
		return NULL;
	if ((f = calloc(1, sizeof(*f))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return NULL;
	}
	r->data = f;
	r->close = fileop_close;
	switch (req_param(r, "path", f->path, sizeof(f->path))) {
	case JSON_WRONG:
		return NULL;
	case JSON_ABSENT:
		f->path[0] = '\0';
		break;
	case JSON_GOT:
		break;
	}
	if (f->path[0] == '\0' && path_default == NULL) {
		req_error(r, XERR_EINVAL, "path: missing");
		return NULL;
	}
	if (f->path[0] == '\0')
		(void)slice_copy(f->path, sizeof(f->path),
		    slice_str(path_default));
	d = routes_decide(r->user, session);
	if (d.code != XERR_NONE) {
		req_error(r, d.code, "%s", d.reason);
		return NULL;
	}
	f->session = session_open(r, &d, ops);
	if (f->session == NULL)
		return NULL;
	f->job = session_job(f->session);
	fileop_alive(f);
	return f;
}

bool
fileop_send(struct fileop *f, struct req *r, uint16_t type, const void *body)
{
	if (session_send(f->session, type, body))
		return true;
	/* The path is bounded, so it is the worker that went; its end will be
	 * reported to the session as well, but then this is answered. */
	fileop_end(f);
	req_error(r, XERR_EOFFLINE, "the backend is not there");
	return false;
}

void
fileop_alive(struct fileop *f)
{
	session_deadline(f->session, FILE_IDLE_MS);
}

void
fileop_end(struct fileop *f)
{
	session_drop(f->session);
	f->session = NULL;
}

void
fileop_refused(struct fileop *f, struct req *r, const struct msg *m)
{
	const struct exec_job_refused	*refused = m->body;
	char				 text[1025];

	fileop_end(f);
	if (m->type != EXEC_JOB_REFUSED) {
		req_error(r, XERR_EIO, "the sandbox broke the protocol");
		return;
	}
	if (!slice_copy(text, sizeof(text), refused->text))
		text[0] = '\0';
	req_error(r, refused->code == XERR_NONE ? XERR_EIO : refused->code,
	    "%s", text);
}

void
fileop_lost(struct session *s, struct req *r, enum xerr code,
    const char *text)
{
	struct fileop *f = r->data;

	f->session = NULL;
	req_error(r, code, "%s", text);
}

bool
fileop_mode(struct req *r, uint32_t *mode)
{
	static const struct req_range	 octal = { 8, 0, 07777, "not octal" };
	uint64_t			 n = *mode;
	bool				 ok;

	ok = req_number(r, "mode", &octal, &n);
	*mode = (uint32_t)n;
	return ok;
}

static void
fileop_close(struct req *r, void *data)
{
	struct fileop *f = data;

	session_drop(f->session);
	buf_clear(&f->out);
	free(f);
}
