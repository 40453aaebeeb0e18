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
 * The request's head: found, checked, parsed, asked about.
 * Runs in: front, control.  Input is hostile.
 * Owns: struct http_head.  The only file that knows libhttp-parser, which
 * accepts bare LF, "Host :", folded lines and a missing Host: we do not.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <http_parser.h>

#include "base/compat/compat.h"
#include "supervisor/front/http_int.h"

#define HEADERS_HARD	256	/* whatever the configuration says */
#define HEAD_KEEP	2048	/* an idle connection may hold that much */

/* Headers that may stand there once, and those we look at ourselves. */
enum once {
	ONCE_HOST, ONCE_LENGTH, ONCE_ENCODING, ONCE_EXPECT, ONCE_ID, ONCE_MAX
};

static const struct {
	const char	*name;
	size_t		 len;
	enum once	 at;		/* ONCE_MAX: only count */
} onces[] = {
	{ "host",			 4, ONCE_HOST },
	{ "expect",			 6, ONCE_EXPECT },
	{ "content-length",		14, ONCE_LENGTH },
	{ "transfer-encoding",		17, ONCE_ENCODING },
	{ "x-request-id",		12, ONCE_ID },
	{ "range",			 5, ONCE_MAX },
	{ "content-type",		12, ONCE_MAX },
	{ "authorization",		13, ONCE_MAX },
	{ "sec-websocket-key",		17, ONCE_MAX },
	{ "sec-websocket-version",	21, ONCE_MAX },
};
#define NONCES	(sizeof(onces) / sizeof(onces[0]))

static const struct {
	unsigned int	method;
	enum http_verb	verb;
} verbs[] = {
	{ HTTP_GET, HV_GET },		{ HTTP_POST, HV_POST },
	{ HTTP_PUT, HV_PUT },		{ HTTP_DELETE, HV_DELETE },
	{ HTTP_HEAD, HV_HEAD },		{ HTTP_PATCH, HV_PATCH },
	{ HTTP_OPTIONS, HV_OPTIONS },
};

/* One run of the parser over a whole head. */
struct parse {
	struct http_hdr	*hdr;
	unsigned int	 n, max;
	size_t		 nlen[HEADERS_HARD];
	size_t		 vlen[HEADERS_HARD];
	const char	*url;
	size_t		 urllen;
	const char	*why;
};

/* The first why of a head, with its status. */
struct fault {
	int		 status;
	const char	*why;
};

static ssize_t	head_scan(struct http_req *, const unsigned char *, size_t,
		    struct fault *);
static int	head_alloc(struct http_head *, size_t, unsigned int);
static int	head_parse(struct http_req *, const unsigned char *, size_t,
		    struct fault *);
static int	head_special(struct http_req *, struct fault *);
static int	head_host(const char *, int, struct fault *);
static int	head_length(struct http_head *, const char *, const char *,
		    struct fault *);
static int	head_target(struct http_head *, char *, size_t,
		    struct fault *);
static int	head_fault(struct fault *, int, const char *);
static void	head_trim(struct parse *, unsigned int);
static int	name_ok(const char *, size_t);
static int	on_url(http_parser *, const char *, size_t);
static int	on_field(http_parser *, const char *, size_t);
static int	on_value(http_parser *, const char *, size_t);

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value
};

static int
head_fault(struct fault *f, int status, const char *why)
{
	f->status = status;
	f->why = why;
	return -1;
}

static int
on_url(http_parser *p, const char *at, size_t len)
{
	struct parse *pa = p->data;

	pa->url = at;
	pa->urllen = len;
	return 0;
}

static int
on_field(http_parser *p, const char *at, size_t len)
{
	struct parse *pa = p->data;

	if (pa->n == pa->max) {
		pa->why = "too many headers";
		return 1;
	}
	pa->hdr[pa->n].name = at;
	pa->hdr[pa->n].value = NULL;
	pa->nlen[pa->n] = len;
	pa->vlen[pa->n++] = 0;
	return 0;
}

static int
on_value(http_parser *p, const char *at, size_t len)
{
	struct parse *pa = p->data;

	if (pa->n == 0)
		return 1;
	/* Of an empty value `at' is the next line, not to be ended by NUL. */
	if (len == 0)
		return 0;
	pa->hdr[pa->n - 1].value = at;
	pa->vlen[pa->n - 1] = len;
	return 0;
}

/*
 * Looks for the end of the head from where the last look ended, and refuses
 * what no head may contain: with a bare LF two servers see two requests.
 * Returns the head's length, 0 or -1.
 */
static ssize_t
head_scan(struct http_req *c, const unsigned char *p, size_t n,
    struct fault *f)
{
	size_t i;

	for (i = c->scan; i < n; i++) {
		if (p[i] > 0x20 && p[i] != 0x7f)
			continue;
		if (p[i] == '\r') {
			if (i + 1 == n)
				break;
			if (p[i + 1] != '\n')
				return head_fault(f, 400, "bare CR");
			if (i == c->line)
				return (ssize_t)i + 2;
			c->line = ++i + 1;
			c->head.nhdr++;
		} else if (p[i] == ' ' || p[i] == '\t') {
			if (i == c->line)
				return head_fault(f, 400, "folded header");
		} else if (p[i] == '\n')
			return head_fault(f, 400, "bare LF");
		else
			return head_fault(f, 400, "control character");
	}
	c->scan = i;
	return 0;
}

ssize_t
http_head_read(struct http_req *c, int *status, const char **why)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_length(in), max = c->srv->conf.max_head;
	struct fault f = { 0, NULL };
	const unsigned char *p;
	ssize_t n;

	if (len > max + 2)
		len = max + 2;
	if (len == 0)
		return 0;
	p = evbuffer_pullup(in, (ssize_t)len);
	if (p != NULL && c->scan == 0) {
		c->line = 0;
		c->head.nhdr = 0;
		/* Some clients send a line end after a body. */
		if (c->reused && len >= 2 && memcmp(p, "\r\n", 2) == 0) {
			evbuffer_drain(in, 2);
			len -= 2;
			p = evbuffer_pullup(in, (ssize_t)len);
			if (len == 0)
				return 0;
		}
	}
	if (p == NULL)
		n = head_fault(&f, 503, "no memory");
	else
		n = head_scan(c, p, len, &f);
	if (n > 0 ? (size_t)n > max : n == 0 && len >= max)
		n = head_fault(&f, 431, "head too large");
	else if (n > 0 && c->head.nhdr > c->srv->conf.max_headers + 1)
		n = head_fault(&f, 431, "too many headers");
	else if (n > 0 && head_parse(c, p, (size_t)n, &f) == -1)
		n = -1;
	if (n > 0)
		evbuffer_drain(in, (size_t)n);
	if (n == -1) {
		c->head.nhdr = 0;
		*status = f.status;
		*why = f.why;
	}
	return n;
}

/* One piece: headers, a copy of the head, the decoded path. */
static int
head_alloc(struct http_head *h, size_t len, unsigned int nhdr)
{
	size_t need = nhdr * sizeof(*h->hdr) + 2 * len + 2;
	char *p;

	if (need > h->size) {
		if ((p = malloc(need)) == NULL)
			return -1;
		free(h->buf);
		h->buf = p;
		h->size = need;
	}
	h->hdr = (struct http_hdr *)(void *)h->buf;
	return 0;
}

void
http_head_clear(struct http_head *h)
{
	char *buf = h->buf;
	size_t size = h->size;

	if (size > HEAD_KEEP) {
		free(buf);
		buf = NULL;
		size = 0;
	}
	memset(h, 0, sizeof(*h));
	h->buf = buf;
	h->size = size;
}

static int
name_ok(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && (s[i] == '\0' ||
		    strchr("!#$%&'*+-.^_`|~", s[i]) == NULL))
			return 0;
	return len > 0;
}

/* Ends name and value with NUL; the parser leaves blanks behind a value. */
static void
head_trim(struct parse *pa, unsigned int i)
{
	char *name, *value;
	size_t n = pa->vlen[i];

	memcpy(&name, &pa->hdr[i].name, sizeof(name));
	memcpy(&value, &pa->hdr[i].value, sizeof(value));
	name[pa->nlen[i]] = '\0';
	if (value == NULL) {
		pa->hdr[i].value = name + pa->nlen[i];
		return;
	}
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	value[n] = '\0';
}

static int
head_parse(struct http_req *c, const unsigned char *p, size_t len,
    struct fault *f)
{
	struct http_head *h = &c->head;
	struct parse pa;
	http_parser hp;
	enum http_errno e;
	unsigned int i;
	char *copy;
	size_t used;

	pa.n = 0;
	pa.max = h->nhdr > HEADERS_HARD ? HEADERS_HARD : h->nhdr;
	pa.url = pa.why = NULL;
	pa.urllen = 0;
	if (head_alloc(h, len, pa.max) == -1)
		return head_fault(f, 503, "no memory");
	copy = h->buf + pa.max * sizeof(*h->hdr);
	memcpy(copy, p, len);
	copy[len] = '\0';
	h->decoded = copy + len + 1;
	pa.hdr = h->hdr;
	h->nhdr = 0;

	http_parser_init(&hp, HTTP_REQUEST);
	hp.data = &pa;
	used = http_parser_execute(&hp, &settings, copy, len);
	e = HTTP_PARSER_ERRNO(&hp);
	if (e == HPE_INVALID_VERSION)
		return head_fault(f, 505, "HTTP version");
	if (e != HPE_OK || used != len || pa.url == NULL)
		return head_fault(f, 400, pa.why != NULL ? pa.why :
		    e == HPE_OK ? "no request line" :
		    http_errno_description(e));
	if (hp.http_major != 1)
		return head_fault(f, 505, "HTTP version");
	for (i = 0; i < pa.n; i++) {
		if (!name_ok(h->hdr[i].name, pa.nlen[i]))
			return head_fault(f, 400, "header name");
		head_trim(&pa, i);
	}
	h->nhdr = pa.n;
	h->minor = hp.http_minor > 0;
	h->keepalive = http_should_keep_alive(&hp);
	h->method = http_method_str((enum http_method)hp.method);
	h->verb = HV_OTHER;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (verbs[i].method == hp.method)
			h->verb = verbs[i].verb;
	if (head_special(c, f) == -1)
		return -1;
	return head_target(h, copy + (pa.url - copy), pa.urllen, f);
}

/* Headers that decide where the next request begins, and the id. */
static int
head_special(struct http_req *c, struct fault *f)
{
	struct http_head *h = &c->head;
	const char *at[ONCE_MAX + 1] = { NULL };
	unsigned int i, seen = 0;
	size_t len, k;

	for (i = 0; i < h->nhdr; i++) {
		len = strlen(h->hdr[i].name);
		for (k = 0; k < NONCES; k++)
			if (onces[k].len == len && strcasecmp(onces[k].name,
			    h->hdr[i].name) == 0)
				break;
		if (k == NONCES)
			continue;
		if (seen & 1U << k) {
			if (onces[k].at == ONCE_ID)
				continue;
			return head_fault(f, 400, "duplicate header");
		}
		seen |= 1U << k;
		at[onces[k].at] = h->hdr[i].value;
		/* Early, so that a refusal carries it as well. */
		if (onces[k].at == ONCE_ID && http_id_ok(h->hdr[i].value))
			strlcpy(c->id, h->hdr[i].value, sizeof(c->id));
	}
	if (head_host(at[ONCE_HOST], h->minor, f) == -1 ||
	    head_length(h, at[ONCE_LENGTH], at[ONCE_ENCODING], f) == -1)
		return -1;
	if (at[ONCE_EXPECT] != NULL && h->minor > 0) {
		if (strcasecmp(at[ONCE_EXPECT], "100-continue") != 0)
			return head_fault(f, 417, "unknown expectation");
		h->expect = h->length != 0;
	}
	return 0;
}

static int
head_host(const char *host, int minor, struct fault *f)
{
	if (host == NULL)
		return minor == 0 ? 0 : head_fault(f, 400, "missing Host");
	for (; *host != '\0'; host++)
		if (!isalnum((unsigned char)*host) &&
		    strchr("-._~%!$&'()*+,;=:[]", *host) == NULL)
			return head_fault(f, 400, "bad Host");
	return 0;
}

static int
head_length(struct http_head *h, const char *length, const char *encoding,
    struct fault *f)
{
	size_t n;

	if (encoding != NULL) {
		if (length != NULL)
			return head_fault(f, 400,
			    "Content-Length and Transfer-Encoding");
		if (h->minor == 0)
			return head_fault(f, 400,
			    "Transfer-Encoding in HTTP/1.0");
		if (strcasecmp(encoding, "chunked") != 0)
			return head_fault(f, 501, "unknown transfer coding");
		h->length = -1;
		return 0;
	}
	if (length == NULL)
		return 0;
	n = strspn(length, "0123456789");
	if (n == 0 || n > 18 || length[n] != '\0')
		return head_fault(f, 400, "bad Content-Length");
	h->length = strtoll(length, NULL, 10);
	return 0;
}

static int
head_target(struct http_head *h, char *url, size_t len, struct fault *f)
{
	static const char root[] = "/";
	size_t i, n = 0;
	char *q;

	for (i = 0; i < len; i++)
		if (url[i] <= 0x20 || url[i] >= 0x7f || url[i] == '#')
			return head_fault(f, 400, "character in target");
	url[len] = '\0';
	if (strncasecmp(url, "http://", 7) == 0)
		n = 7;
	else if (strncasecmp(url, "https://", 8) == 0)
		n = 8;
	if (n > 0) {
		i = strcspn(url + n, "/?");
		if (i == 0)
			return head_fault(f, 400, "request target");
		url += n + i;
	} else if (*url != '/' && (h->verb != HV_OPTIONS ||
	    strcmp(url, "*") != 0))
		return head_fault(f, 400, "request target");
	h->query = "";
	if ((q = strchr(url, '?')) != NULL) {
		*q = '\0';
		h->query = q + 1;
	}
	h->path = *url == '\0' ? root : url;
	return 0;
}

int
http_id_ok(const char *id)
{
	size_t i;

	for (i = 0; id[i] != '\0'; i++)
		if (i == HTTP_ID_MAX || id[i] <= 0x20 || id[i] >= 0x7f)
			return 0;
	return i > 0;
}

/* --- questions --- */

enum http_verb
http_req_verb(const struct http_req *c)
{
	return c->head.verb;
}

const char *
http_req_method(const struct http_req *c)
{
	return c->head.method;
}

const char *
http_req_path(const struct http_req *c)
{
	return c->head.path;
}

const char *
http_req_query(const struct http_req *c)
{
	return c->head.query;
}

int64_t
http_req_length(const struct http_req *c)
{
	return c->head.length;
}

const char *
http_req_header(const struct http_req *c, const char *name)
{
	unsigned int i;

	for (i = 0; i < c->head.nhdr; i++)
		if (strcasecmp(c->head.hdr[i].name, name) == 0)
			return c->head.hdr[i].value;
	return NULL;
}

int
http_req_header_has(const struct http_req *c, const char *name,
    const char *token)
{
	size_t n, len = strlen(token);
	unsigned int i;
	const char *p;

	for (i = 0; i < c->head.nhdr; i++) {
		if (strcasecmp(c->head.hdr[i].name, name) != 0)
			continue;
		for (p = c->head.hdr[i].value; *p != '\0'; p += n) {
			p += strspn(p, ", \t");
			n = strcspn(p, ",; \t");
			if (n == len && strncasecmp(p, token, n) == 0)
				return 1;
			if (p[n] == ';')
				n += strcspn(p + n, ",");
		}
	}
	return 0;
}

static int
hex(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch |= 0x20;
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

ssize_t
http_decode(const char *src, size_t len, int plus_is_space, char *dst,
    size_t size)
{
	size_t i, n = 0;
	int hi, lo;
	char ch;

	for (i = 0; i < len; i++) {
		ch = src[i];
		if (ch == '+' && plus_is_space)
			ch = ' ';
		else if (ch == '%') {
			if (len - i < 3 || (hi = hex(src[i + 1])) == -1 ||
			    (lo = hex(src[i + 2])) == -1)
				return -2;
			ch = (char)(hi << 4 | lo);
			i += 2;
		}
		if (ch == '\0' || n + 1 >= size)
			return -2;
		dst[n++] = ch;
	}
	if (n >= size)
		return -2;
	dst[n] = '\0';
	return (ssize_t)n;
}

int
http_req_segs(struct http_req *c, struct http_segs *segs)
{
	const char *p = c->head.path;
	char *out = c->head.decoded;
	size_t len;
	ssize_t n;

	segs->n = 0;
	if (p == NULL || *p != '/')
		return -1;
	if (p[1] == '\0')
		return 0;
	while (*p == '/') {
		len = strcspn(++p, "/");
		if (segs->n == HTTP_SEGS_MAX)
			return -1;
		/* Never longer than what it was decoded from. */
		if ((n = http_decode(p, len, 0, out, len + 1)) < 0)
			return -1;
		segs->s[segs->n++] = out;
		out += n + 1;
		p += len;
	}
	return 0;
}

ssize_t
http_req_param(const struct http_req *c, const char *name, unsigned int idx,
    char *dst, size_t size)
{
	const char *p, *eq;
	char key[64];
	size_t len, k;

	for (p = c->head.query; p != NULL && *p != '\0'; p += len) {
		p += *p == '&';
		len = strcspn(p, "&");
		eq = memchr(p, '=', len);
		k = eq != NULL ? (size_t)(eq - p) : len;
		if (http_decode(p, k, 1, key, sizeof(key)) < 0 ||
		    strcmp(key, name) != 0 || idx-- > 0)
			continue;
		if (eq == NULL)
			return http_decode("", 0, 1, dst, size);
		return http_decode(eq + 1, len - k - 1, 1, dst, size);
	}
	return -1;
}
