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
 * Questions of the HTTP API and their JSON answers.  Runs in: xbot-admin.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/admin/admin.h"

#define VALUES_MAX	(1024u * 1024)	/* of an answer's JSON */
#define ASK_SECONDS	3600L	/* a commit of many GiB */

static bool	 encode(struct buf *, const char *);
static bool	 path_vmake(struct buf *, const char *, va_list);
static bool	 reply_parse(struct reply *);

/* Everything but the unreserved characters of RFC 3986. */
static bool
encode(struct buf *b, const char *s)
{
	static const char	 hex[] = "0123456789ABCDEF";
	static const char	 plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-._~";
	char			 c[3];

	for (; *s != '\0'; s++) {
		c[0] = *s;
		if (strchr(plain, *s) != NULL) {
			if (buf_add(b, c, 1) == -1)
				return false;
			continue;
		}
		c[0] = '%';
		c[1] = hex[(unsigned char)*s >> 4];
		c[2] = hex[*s & 0x0f];
		if (buf_add(b, c, 3) == -1)
			return false;
	}
	return true;
}

static bool
path_vmake(struct buf *b, const char *fmt, va_list ap)
{
	bool	 ok = true;

	for (; ok && *fmt != '\0'; fmt++) {
		if (*fmt == '%')
			ok = encode(b, va_arg(ap, const char *));
		else
			ok = buf_add(b, fmt, 1) == 0;
	}
	ok = ok && buf_add(b, "", 1) == 0;
	if (!ok)
		complain("no memory");
	return ok;
}

bool
path_make(struct buf *b, const char *fmt, ...)
{
	va_list	 ap;
	bool	 ok;

	va_start(ap, fmt);
	ok = path_vmake(b, fmt, ap);
	va_end(ap);
	return ok;
}

bool
path_more(struct buf *b, const char *fmt, ...)
{
	va_list	 ap;
	bool	 ok;

	if (b->len > 0)
		b->len--;		/* the NUL */
	va_start(ap, fmt);
	ok = path_vmake(b, fmt, ap);
	va_end(ap);
	return ok;
}

bool
path_session(struct buf *b, const struct args *a)
{
	if (a->opt['S'] == NULL)
		return true;
	return path_more(b, memchr(buf_data(b), '?', b->len) == NULL ?
	    "?session=%" : "&session=%", a->opt['S']);
}

static bool
reply_parse(struct reply *r)
{
	struct buf	*text = &r->call.answer;
	const char	*why;

	if (text->len == 0)
		return true;
	r->json = json_parse((char *)buf_data(text), text->len, VALUES_MAX,
	    &why);
	if (r->json == NULL) {
		complain("the answer cannot be read: %s", why);
		return false;
	}
	r->root = json_root(r->json);
	if (!admin.json)
		return true;
	(void)fwrite(buf_data(text), 1, text->len, stdout);
	(void)putchar('\n');
	return true;
}

bool
api_ask(struct reply *r, const char *method, const struct jsonw *body,
    const char *fmt, ...)
{
	struct buf	 path = { 0 };
	va_list		 ap;
	bool		 ok;

	memset(r, 0, sizeof(*r));
	if (body != NULL && !jsonw_ok(body)) {
		complain("no memory");
		return false;
	}
	va_start(ap, fmt);
	ok = path_vmake(&path, fmt, ap);
	va_end(ap);
	if (ok) {
		r->call.method = method;
		r->call.path = (char *)buf_data(&path);
		r->call.body = body != NULL ? body->b : NULL;
		r->call.seconds = ASK_SECONDS;
		ok = call_run(&r->call) && reply_parse(r);
	}
	buf_clear(&path);
	if (!ok)
		reply_clear(r);
	return ok;
}

void
reply_clear(struct reply *r)
{
	json_free(r->json);
	r->json = NULL;
	r->root = NULL;
	call_clear(&r->call);
}

void
api_complain(const void *text, size_t len, long status)
{
	const struct json_value	*e;
	struct slice		 code = { "", 0 }, message = { "", 0 };
	struct json		*j = NULL;
	const char		*why;
	char			 c[64], m[2048];

	if (len > 0)
		j = json_parse(text, len, 64, &why);
	e = json_find(json_root(j), "error");
	if (j == NULL || !json_str(json_find(e, "code"), &code) ||
	    !json_str(json_find(e, "message"), &message))
		complain("the daemon answered with status %ld", status);
	else if (admin.json) {
		(void)fwrite(text, 1, len, stderr);
		fputc('\n', stderr);
	} else
		complain("%s: %s", log_vis(c, sizeof(c), code.p, code.len),
		    log_vis(m, sizeof(m), message.p, message.len));
	json_free(j);
}

void
api_code(const void *text, size_t len, char *dst, size_t size)
{
	struct json	*j = NULL;
	const char	*why;

	*dst = '\0';
	if (len > 0)
		j = json_parse(text, len, 64, &why);
	if (!json_cstr(json_find(json_find(json_root(j), "error"), "code"),
	    dst, size))
		*dst = '\0';
	json_free(j);
}
