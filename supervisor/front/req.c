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
 * Requests' parameters and answers.  Runs in: front, control.
 * Each failed request is one log line with its serial; untrusted text in it
 * is escaped.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "supervisor/front/error.h"
#include "supervisor/front/front.h"

#define AUDIT_MAX	8192		/* ctl.def: audit.line */

static enum json_got	 wrong(struct req *, const char *);

struct http_req *
req_http(const struct req *r)
{
	return http_req_find(front.http, r->serial);
}

void
api_log_failure(struct req *r, int status, const char *why)
{
	struct http_req	*h = req_http(r);
	enum log_level	 level;
	char		 path[256], text[512];

	level = status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
	if (!log_wants(level))
		return;
	log_vis(text, sizeof(text), why, strlen(why));
	if (h == NULL) {
		log_info("request %llu: %d %s",
		    (unsigned long long)r->serial, status, text);
		return;
	}
	log_vis(path, sizeof(path), http_req_path(h),
	    strlen(http_req_path(h)));
	if (level == LOG_LEVEL_WARN)
		log_warnx("request %llu (%s, %s): %s %s: %d %s",
		    (unsigned long long)r->serial, http_req_id(h),
		    http_req_peer(h), http_req_method(h), path, status, text);
	else
		log_info("request %llu (%s, %s): %s %s: %d %s",
		    (unsigned long long)r->serial, http_req_id(h),
		    http_req_peer(h), http_req_method(h), path, status, text);
}

void
req_error(struct req *r, enum xerr code, const char *fmt, ...)
{
	struct http_req	*h = req_http(r);
	struct buf	 b = { 0 };
	char		 text[512], after[16];
	int		 status = xerr_status(code);
	va_list		 ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (h == NULL || r->answered)
		return;
	if (http_reply_started(h)) {
		req_abort(r, text);
		return;
	}
	r->answered = true;
	front.answers[status]++;
	api_log_failure(r, status, text);
	if (!llm_error_body(r, code, text, &b)) {
		http_reply_error(h, code, "%s", text);
		return;
	}
	if (error_retry_after(code) != 0) {
		(void)snprintf(after, sizeof(after), "%d",
		    error_retry_after(code));
		http_reply_header(h, "Retry-After", after);
	}
	http_reply(h, status, "application/json", buf_data(&b), b.len);
	buf_clear(&b);
}

void
req_json(struct req *r, int status, struct buf *b)
{
	struct http_req *h = req_http(r);

	if (h != NULL && !r->answered) {
		r->answered = true;
		front.answers[status]++;
		http_reply(h, status, "application/json", buf_data(b), b->len);
	}
	buf_clear(b);
}

void
req_empty(struct req *r, int status)
{
	struct http_req *h = req_http(r);

	if (h == NULL || r->answered)
		return;
	r->answered = true;
	front.answers[status]++;
	http_reply(h, status, NULL, NULL, 0);
}

int
req_start(struct req *r, int status, const char *ctype, int64_t length)
{
	struct http_req *h = req_http(r);

	if (h == NULL || r->answered)
		return -1;
	front.answers[status]++;
	return http_reply_start(h, status, ctype, length);
}

int
req_data(struct req *r, const void *data, size_t len)
{
	struct http_req *h = req_http(r);

	if (h == NULL || r->answered)
		return -1;
	return len == 0 ? 0 : http_reply_data(h, data, len);
}

void
req_end(struct req *r)
{
	struct http_req *h = req_http(r);

	if (h == NULL || r->answered)
		return;
	r->answered = true;
	http_reply_end(h);
}

void
req_abort(struct req *r, const char *why)
{
	struct http_req *h = req_http(r);

	if (h == NULL || r->answered)
		return;
	api_log_failure(r, 502, why);
	r->answered = true;
	http_reply_abort(h);
}

void
error_member(struct jsonw *w, enum xerr code, const char *text)
{
	jsonw_object(w, "error");
	jsonw_text(w, "code", xerr_name(code));
	jsonw_text(w, "message", text);
	jsonw_end(w);
}

void
req_error_line(struct req *r, enum xerr code, const char *text)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	error_member(&w, code, text);
	jsonw_end(&w);
	(void)buf_add(&b, "\n", 1);
	(void)req_data(r, buf_data(&b), b.len);
	buf_clear(&b);
	api_log_failure(r, xerr_status(code), text);
	req_end(r);
}

static enum json_got
wrong(struct req *r, const char *name)
{
	req_error(r, XERR_EINVAL, "%s: malformed or too long", name);
	return JSON_WRONG;
}

enum json_got
req_param(struct req *r, const char *name, char *dst, size_t size)
{
	struct http_req	*h = req_http(r);
	ssize_t		 n;

	if (h == NULL)
		return JSON_WRONG;
	n = http_req_param(h, name, 0, dst, size);
	if (n == -1)
		return JSON_ABSENT;
	if (n < 0 || strlen(dst) != (size_t)n)
		return wrong(r, name);
	return JSON_GOT;
}

bool
req_flag(struct req *r, const char *name, bool *flag)
{
	char		 v[8];
	enum json_got	 got;

	if ((got = req_param(r, name, v, sizeof(v))) != JSON_GOT)
		return got == JSON_ABSENT;
	*flag = strcmp(v, "1") == 0 || strcmp(v, "true") == 0;
	if (*flag || strcmp(v, "0") == 0 || strcmp(v, "false") == 0)
		return true;
	req_error(r, XERR_EINVAL, "%s: neither 0 nor 1", name);
	return false;
}

bool
req_number(struct req *r, const char *name, const struct req_range *range,
    uint64_t *n)
{
	char		 text[24], *end;
	enum json_got	 got;
	uint64_t	 v;

	if ((got = req_param(r, name, text, sizeof(text))) != JSON_GOT)
		return got == JSON_ABSENT;
	v = strtoull(text, &end, range->base);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' ||
	    v < range->least || v > range->most) {
		req_error(r, XERR_EINVAL, "%s: %s", name, range->otherwise);
		return false;
	}
	*n = v;
	return true;
}

bool
req_base64(struct req *r, bool *base64)
{
	char	 v[16] = "";

	if (req_param(r, "encoding", v, sizeof(v)) == JSON_WRONG)
		return false;
	*base64 = strcmp(v, "base64") == 0;
	if (*base64 || v[0] == '\0' || strcmp(v, "text") == 0 ||
	    strcmp(v, "utf-8") == 0)
		return true;
	req_error(r, XERR_EINVAL, "encoding: unknown");
	return false;
}

bool
req_session(struct req *r, char *dst, size_t size)
{
	struct http_req	*h = req_http(r);
	const char	*value;

	dst[0] = '\0';
	if (h == NULL)
		return false;
	if ((value = http_req_header(h, "X-Xbot-Session")) != NULL) {
		if (!slice_copy(dst, size, slice_str(value)))
			return wrong(r, "X-Xbot-Session") == JSON_GOT;
	} else if (req_param(r, "session", dst, size) == JSON_WRONG)
		return false;
	if (dst[0] != '\0' && !id_session_ok(slice_str(dst)))
		return wrong(r, "session") == JSON_GOT;
	return true;
}

enum json_got
req_member(struct req *r, const char *name, char *dst, size_t size)
{
	const struct json_value *v = json_find(r->body, name);

	if (json_type(v) == JSON_NULL)
		return JSON_ABSENT;
	if (json_cstr(v, dst, size))
		return JSON_GOT;
	return wrong(r, name);
}

void
when_text(uint64_t ms, char dst[WHEN_LEN])
{
	struct tm	 tm;
	time_t		 t = (time_t)(ms / 1000);

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(dst, WHEN_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		dst[0] = '\0';
}

bool
audit_begin(struct jsonw *w, struct buf *b, struct req *r, const char *what)
{
	struct http_req	*h = req_http(r);
	char		 when[WHEN_LEN];

	if (!front.conf.audit)
		return false;
	when_text((uint64_t)time(NULL) * 1000, when);
	jsonw_init(w, b);
	jsonw_object(w, NULL);
	jsonw_text(w, "time", when);
	jsonw_uint(w, "request", r->serial);
	if (h != NULL) {
		jsonw_text(w, "request_id", http_req_id(h));
		jsonw_text(w, "peer", http_req_peer(h));
	}
	jsonw_text(w, "by", front.control ? "admin" :
	    r->service ? "service" : "user");
	if (r->user[0] != '\0')
		jsonw_text(w, "user", r->user);
	jsonw_text(w, "what", what);
	return true;
}

void
audit_end(struct jsonw *w, struct buf *b)
{
	struct ctl_audit a;

	jsonw_end(w);
	a.line = (struct slice){ buf_data(b), b->len };
	if (!jsonw_ok(w) || b->len > AUDIT_MAX ||
	    !chan_send(child_parent(), CTL_AUDIT, 0, &a))
		log_warnx("audit: a line was lost");
	buf_clear(b);
}

void
audit(struct req *r, const char *what, const char *name)
{
	struct jsonw	 w;
	struct buf	 b = { 0 };

	if (!audit_begin(&w, &b, r, what))
		return;
	if (name != NULL)
		jsonw_text(&w, "name", name);
	audit_end(&w, &b);
}
