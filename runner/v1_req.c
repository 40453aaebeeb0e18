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
 * The members of requests, and beginning operations for them.
 * Runs in: xbot-runner.  Input is hostile: the server may be anybody's.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runner/launch.h"
#include "runner/reply.h"
#include "runner/v1_in.h"
#include "runner/v1_out.h"
#include "runner/v1_req.h"

void
req_refuse(struct request *r, enum xerr code, const char *fmt, ...)
{
	char	 text[512];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply_error(r->msg.id, r->type, code, slice_str(text));
}

bool
req_members(struct request *r, struct v1_member *m, size_t n)
{
	if (v1_members(&r->msg.body, m, n))
		return true;
	req_refuse(r, XERR_EINVAL, "invalid %s request: it has no body",
	    v1_type_name(r->msg.type));
	return false;
}

bool
req_text(struct request *r, struct v1_member *m, struct slice *out)
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
	req_refuse(r, XERR_EINVAL, "invalid %s request: %s is no proper text",
	    v1_type_name(r->msg.type), m->key);
	return false;
}

bool
req_int(struct request *r, struct v1_member *m, int64_t *out)
{
	*out = 0;
	if (m->value.kind == V1_ABSENT || m->value.kind == V1_NULL ||
	    v1_int(&m->value, out))
		return true;
	req_refuse(r, XERR_EINVAL, "invalid %s request: %s is no integer",
	    v1_type_name(r->msg.type), m->key);
	return false;
}

bool
req_list(struct request *r, struct v1_member *m, size_t max,
    struct slice **out, uint32_t *n)
{
	struct v1_member	 e = { .key = m->key };

	*out = NULL;
	*n = 0;
	if (m->value.kind == V1_ABSENT || m->value.kind == V1_NULL)
		return true;
	if (m->value.kind != V1_ARRAY) {
		req_refuse(r, XERR_EINVAL, "invalid %s request: %s is no list",
		    v1_type_name(r->msg.type), m->key);
		return false;
	}
	if ((*out = calloc(max, sizeof(**out))) == NULL)
		fatalx("out of memory");
	while (v1_element(&m->value, &e.value)) {
		if (*n == max) {
			req_refuse(r, XERR_EIO, "exec error: %s: more than %zu",
			    m->key, max);
			return false;
		}
		if (e.value.kind == V1_NULL)
			e.value.kind = V1_ARRAY;	/* no text */
		if (!req_text(r, &e, &(*out)[(*n)++]))
			return false;
	}
	return true;
}

/* What is no KEY=VALUE is nothing that could be set: left out. */
bool
req_env(struct request *r, struct v1_member *m, struct slice **out,
    uint32_t *n)
{
	struct slice	 s;
	uint32_t	 i, kept = 0;

	if (!req_list(r, m, REQ_ENV_MAX, out, n))
		return false;
	for (i = 0; i < *n; i++) {
		s = (*out)[i];
		if (s.len > 1 && memchr((const char *)s.p + 1, '=',
		    s.len - 1) != NULL && *(const char *)s.p != '=')
			(*out)[kept++] = s;
	}
	*n = kept;
	return true;
}

struct op *
req_begin(struct request *r)
{
	struct op	*op;

	if (!launch_up()) {
		req_refuse(r, XERR_EIO, "the executor is being restarted");
		return NULL;
	}
	if ((op = op_new(r->msg.type, r->msg.id)) == NULL)
		req_refuse(r, XERR_EBUSY, "%d requests are in progress", OP_MAX);
	return op;
}

bool
req_start(struct op *op, uint16_t type, const void *body)
{
	if (!launch_send(type, body)) {
		v1_out_fail(op, op->type == V1_EXEC ? XERR_EIO : XERR_EINVAL,
		    op->type == V1_EXEC ? "exec error: the arguments are too "
		    "long or not UTF-8" : "path too long");
		return false;
	}
	v1_out_open(op);
	return true;
}

void
req_feed(struct op *op, struct request *r, struct slice in,
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
