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
 * What is asked of a Docker Engine, and what its answers mean.
 * Runs in: runner, docker.  Trusts: its caller.  Owns: the calls.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/engine_int.h"

#define API_MIN		41	/* 1.41: Docker 20.10, 2020 */
#define API_MAX		47	/* the newest whose changes were read */
#define VALUES_MAX	262144	/* what has changed in a container */
#define PIPE_S		3600	/* a root of many GiB on a slow disk */

/*
 * %a and %b are the arguments, percent-encoded.  A pull may take long: its
 * limit is the caller's to choose, this is only what nobody may exceed; 0 is
 * without an end.
 */
static const struct engine_row	rows[ENGINE_OP_MAX] = {
	[ENGINE_PING] = { "GET", "/_ping",
	    ROW_UNVERSIONED | ROW_TEXT, 5, XERR_EIO },
	[ENGINE_VERSION] = { "GET", "/version",
	    ROW_UNVERSIONED, 10, XERR_EIO },
	[ENGINE_INFO] = { "GET", "/info", 0, 15, XERR_EIO },
	[ENGINE_IMAGE_INSPECT] = { "GET", "/images/%a/json",
	    0, 30, XERR_EIO },
	[ENGINE_IMAGE_PULL] = { "POST", "/images/create?fromImage=%a&tag=%b",
	    ROW_STREAM, 600, XERR_EBUSY },
	[ENGINE_CONTAINER_CREATE] = { "POST", "/containers/create?name=%a",
	    0, 60, XERR_EEXIST },
	[ENGINE_CONTAINER_START] = { "POST", "/containers/%a/start",
	    0, 60, XERR_EBUSY },
	[ENGINE_CONTAINER_STOP] = { "POST", "/containers/%a/stop?t=%b",
	    0, 60, XERR_EBUSY },
	[ENGINE_CONTAINER_KILL] = { "POST", "/containers/%a/kill?signal=%b",
	    0, 30, XERR_EBUSY },
	[ENGINE_CONTAINER_INSPECT] = { "GET", "/containers/%a/json",
	    0, 30, XERR_EBUSY },
	[ENGINE_CONTAINER_REMOVE] = { "DELETE", "/containers/%a?force=%b",
	    0, 120, XERR_EBUSY },
	[ENGINE_CONTAINER_RENAME] = { "POST",
	    "/containers/%a/rename?name=%b", 0, 30, XERR_EEXIST },
	[ENGINE_CONTAINER_LIST] = { "GET",
	    "/containers/json?all=1&filters=%%7B%%22label%%22%%3A%%5B%%22"
	    "%a%%22%%5D%%7D", 0, 60, XERR_EIO },
	[ENGINE_CONTAINER_PAUSE] = { "POST", "/containers/%a/pause",
	    0, 60, XERR_EBUSY },
	[ENGINE_CONTAINER_UNPAUSE] = { "POST", "/containers/%a/unpause",
	    0, 60, XERR_EBUSY },
	[ENGINE_CONTAINER_CHANGES] = { "GET", "/containers/%a/changes",
	    0, 300, XERR_EBUSY },
	[ENGINE_IMAGE_LIST] = { "GET", "/images/json?filters="
	    "%%7B%%22label%%22%%3A%%5B%%22%a%%22%%5D%%7D", 0, 60, XERR_EIO },
	[ENGINE_IMAGE_TAG] = { "POST", "/images/%a/tag?repo=%b&tag=latest",
	    0, 60, XERR_EBUSY },
	[ENGINE_IMAGE_REMOVE] = { "DELETE", "/images/%a?noprune=1",
	    0, 300, XERR_EBUSY },
	[ENGINE_CONTAINER_EXPORT] = { "GET", "/containers/%a/export",
	    ROW_TEXT | ROW_SOURCE, PIPE_S, XERR_EBUSY },
	[ENGINE_IMAGE_IMPORT] = { "POST", "/images/create?fromSrc=-",
	    ROW_STREAM | ROW_SINK, PIPE_S, XERR_EIO },
	[ENGINE_CONTAINER_PUT] = { "PUT", "/containers/%a/archive?path=/",
	    ROW_TAR, 60, XERR_EBUSY },
	[ENGINE_EXEC_CREATE] = { "POST", "/containers/%a/exec",
	    0, 30, XERR_EBUSY },
	[ENGINE_EVENTS] = { "GET", "/events?filters="
	    "%%7B%%22type%%22%%3A%%5B%%22container%%22%%5D%%2C"
	    "%%22label%%22%%3A%%5B%%22%a%%22%%5D%%7D",
	    ROW_STREAM, 0, XERR_EIO },
};

static const struct {
	long		 status;
	enum xerr	 code;
} from_status[] = {
	{ 400, XERR_EINVAL },	{ 401, XERR_EPERM },	{ 403, XERR_EPERM },
	{ 404, XERR_ENOENT },	{ 408, XERR_ETIMEDOUT },
	{ 413, XERR_E2BIG },	{ 501, XERR_ENOTSUP },	{ 503, XERR_EOFFLINE },
};

static bool	arg_ok(const char *);
static bool	arg_add(struct buf *, const char *);
static bool	changes_add(struct buf *, struct slice);
static char	*path_make(const struct engine_row *,
		    const struct engine_args *);
static void	call_answer(struct engine_call *,
		    const struct engine_result *);
static void	call_fail(struct engine_call *, enum xerr, const char *);
static void	call_status(struct engine_call *, long);
static const char *connect_why(const struct engine *, char *, size_t);
static void	on_kick(evutil_socket_t, short, void *);
static void	on_version(void *, const struct engine_result *);
static const char *version_choose(struct engine *,
		    const struct engine_result *);
static bool	version_minor(const struct json_value *, const char *,
		    unsigned int *);

void
engine_text(char *dst, const void *src, size_t len)
{
	const unsigned char	*p = src;
	size_t			 i;

	if (len > ENGINE_TEXT_MAX - 1)
		len = ENGINE_TEXT_MAX - 1;
	for (i = 0; i < len; i++)
		dst[i] = p[i] < ' ' || p[i] == 0x7f ? ' ' : (char)p[i];
	while (i > 0 && dst[i - 1] == ' ')
		i--;
	dst[i] = '\0';
}

/* ---- the request */

/* No argument leaves its place in the path. */
static bool
arg_ok(const char *text)
{
	const char	*p;

	for (p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '"' ||
		    *p == '\\')
			return false;
	return p - text < ENGINE_REF_MAX && strstr(text, "..") == NULL &&
	    strstr(text, "//") == NULL && text[0] != '/';
}

static bool
arg_add(struct buf *b, const char *text)
{
	static const char	 plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._~/:@";
	char			 code[4];

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL) {
			if (buf_add(b, text, 1) == -1)
				return false;
			continue;
		}
		snprintf(code, sizeof(code), "%%%02X", (unsigned char)*text);
		if (buf_add(b, code, 3) == -1)
			return false;
	}
	return true;
}

/* A query's member for each line: they are encoded and cannot break out. */
static bool
changes_add(struct buf *b, struct slice lines)
{
	const char	*p = lines.p;
	size_t		 n;

	for (; lines.len > 0; p += n, lines.len -= n) {
		n = strnlen(p, lines.len) + 1;
		if (n > lines.len || buf_add(b, "&changes=", 9) == -1 ||
		    !arg_add(b, p))
			return false;
	}
	return true;
}

/* NULL and errno: EINVAL for an argument that cannot be. */
static char *
path_make(const struct engine_row *row, const struct engine_args *args)
{
	const char	*a = args->a != NULL ? args->a : "";
	const char	*b = args->b != NULL ? args->b : "", *p;
	struct buf	 out = { 0 };
	bool		 ok = true;

	if (!arg_ok(a) || !arg_ok(b) ||
	    (strstr(row->path, "%a") != NULL && a[0] == '\0')) {
		errno = EINVAL;
		return NULL;
	}
	for (p = row->path; *p != '\0' && ok; p++) {
		if (*p != '%' || *++p == '%')
			ok = buf_add(&out, p, 1) == 0;
		else
			ok = arg_add(&out, *p == 'a' ? a : b);
	}
	if (!ok || !changes_add(&out, args->changes) ||
	    buf_add(&out, "", 1) == -1) {
		buf_clear(&out);
		errno = ENOMEM;
		return NULL;
	}
	/* Nothing was drained: the memory starts where the text does. */
	return (char *)out.mem;
}

uint64_t
engine_call(struct engine *e, enum engine_op op,
    const struct engine_args *args, engine_done *done, void *arg)
{
	static const struct engine_args	 none = { 0 };
	const struct timeval		 now = { 0 };
	struct engine_call		*call;

	if (args == NULL)
		args = &none;
	if ((call = calloc(1, sizeof(*call))) == NULL)
		return 0;
	call->engine = e;
	call->serial = ++e->serial;
	call->row = &rows[op];
	call->path = path_make(call->row, args);
	if ((call->path == NULL && errno == ENOMEM) ||
	    (args->body.len > 0 &&
	    buf_add(&call->body, args->body.p, args->body.len) == -1)) {
		engine_call_free(call);
		return 0;
	}
	call->timeout_ms = args->timeout_ms != 0 ? args->timeout_ms :
	    call->row->timeout * 1000;
	call->progress = args->progress;
	call->element = args->element;
	call->pipe = args->pipe;
	call->done = done;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&e->waiting, call, entry);
	evtimer_add(e->kick, &now);
	return call->serial;
}

void
engine_call_free(struct engine_call *call)
{
	engine_stream_free(call->stream);
	engine_list_free(call->list);
	curl_slist_free_all(call->headers);
	buf_clear(&call->body);
	buf_clear(&call->in);
	free(call->path);
	free(call);
}

void
engine_cancel(struct engine *e, uint64_t serial)
{
	struct engine_call	*call;

	TAILQ_FOREACH(call, &e->waiting, entry)
		if (call->serial == serial)
			call->done = NULL;
	TAILQ_FOREACH(call, &e->running, entry)
		if (call->serial == serial)
			call->done = NULL;
	/* Not from within curl's own callbacks: in the loop's next turn. */
	evtimer_add(e->kick, &(const struct timeval){ 0 });
}

/* ---- the answer */

static void
call_answer(struct engine_call *call, const struct engine_result *res)
{
	struct engine	*e = call->engine;

	e->busy++;
	if (call->done != NULL && !e->dead)
		call->done(call->arg, res);
	engine_call_free(call);
	e->busy--;
}

static void
call_fail(struct engine_call *call, enum xerr code, const char *text)
{
	struct engine_result	 res = { .code = code, .text = text };

	call_answer(call, &res);
}

/* Why nobody answers, in words that help. */
static const char *
connect_why(const struct engine *e, char *dst, size_t len)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	const char		*hint;
	int			 fd, error = 0;

	if (strlen(e->path) >= sizeof(sun.sun_path))
		return "the path of the Docker Engine's socket is too long";
	memcpy(sun.sun_path, e->path, strlen(e->path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		error = errno;
	if (fd != -1)
		close(fd);
	hint = error == ENOENT || error == ENOTDIR ?
	    "is Docker installed, and dockerd running?" :
	    error == EACCES || error == EPERM ?
	    "this user may not use it; the group docker may" :
	    error == ECONNREFUSED ? "dockerd is not running" :
	    "no answer could be read from it";
	snprintf(dst, len, "no Docker Engine at %s%s%s: %s", e->path,
	    error != 0 ? ": " : "", error != 0 ? strerror(error) : "", hint);
	return dst;
}

/* HTTP worked; did the Engine do it? */
static void
call_status(struct engine_call *call, long status)
{
	struct engine_result	 res = { .status = (int)status, .text = "" };
	struct json		*json = NULL;
	struct slice		 message;
	const char		*why = "";
	char			 text[ENGINE_TEXT_MAX];
	size_t			 i;

	if (call->in.len > 0 &&
	    (!(call->row->flags & ROW_TEXT) || status >= 400))
		json = json_parse((char *)buf_data(&call->in), call->in.len,
		    VALUES_MAX, &why);
	res.body = json_root(json);
	if (engine_stream_error(call->stream) != NULL) {
		res.code = XERR_EIO;
		res.text = engine_stream_error(call->stream);
	} else if (status >= 400) {
		res.code = status == 409 ? call->row->conflict : XERR_EIO;
		for (i = 0; i < sizeof(from_status) / sizeof(from_status[0]);
		    i++)
			if (from_status[i].status == status)
				res.code = from_status[i].code;
		if (json_get_str(res.body, "message", &message) == JSON_GOT)
			engine_text(text, message.p, message.len);
		else
			snprintf(text, sizeof(text), "the Docker Engine "
			    "answered with status %ld", status);
		res.text = text;
	} else if ((status < 200 || status > 299) && status != 304) {
		res.code = XERR_EIO;
		res.text = "no answer of a Docker Engine";
	} else if ((call->stream != NULL &&
	    !engine_stream_whole(call->stream)) ||
	    (call->list != NULL && !engine_list_whole(call->list))) {
		res.code = XERR_EIO;
		res.text = "the Docker Engine's answer broke off";
	} else if (json == NULL && call->in.len > 0 &&
	    !(call->row->flags & ROW_TEXT)) {
		res.code = XERR_EIO;
		res.text = "the Docker Engine's answer is no JSON";
	}
	call_answer(call, &res);
	json_free(json);
}

void
engine_finish(struct engine_call *call, CURLcode rc, long status)
{
	struct engine	*e = call->engine;
	char		 text[ENGINE_TEXT_MAX];

	/* The Engine may say why and close before it has read it all. */
	if (rc == CURLE_OK || engine_stream_error(call->stream) != NULL) {
		call_status(call, status);
		return;
	}
	/* Whoever answers next may be another version. */
	e->api[0] = '\0';
	if (rc == CURLE_COULDNT_CONNECT)
		call_fail(call, XERR_EOFFLINE,
		    connect_why(e, text, sizeof(text)));
	else if (call->why == XERR_E2BIG)
		call_fail(call, XERR_E2BIG,
		    "the Docker Engine's answer is too long");
	else if (call->why != XERR_NONE)
		call_fail(call, call->why,
		    "the Docker Engine's answer cannot be read");
	else if (rc == CURLE_OPERATION_TIMEDOUT) {
		snprintf(text, sizeof(text), "the Docker Engine did not "
		    "finish within %u seconds", call->timeout_ms / 1000);
		call_fail(call, XERR_ETIMEDOUT, text);
	} else {
		snprintf(text, sizeof(text), "Docker Engine: %s",
		    call->error[0] != '\0' ? call->error :
		    curl_easy_strerror(rc));
		call_fail(call, rc == CURLE_OUT_OF_MEMORY ? XERR_EBUSY :
		    XERR_EIO, text);
	}
}

/* ---- the version */

/* "1.41": major is 1, as it has always been. */
static bool
version_minor(const struct json_value *body, const char *key,
    unsigned int *minor)
{
	struct slice	 s;
	char		 text[16], *end;
	unsigned long	 n;

	if (json_get_str(body, key, &s) != JSON_GOT || s.len < 3 ||
	    s.len >= sizeof(text) || memcmp(s.p, "1.", 2) != 0)
		return false;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	n = strtoul(text + 2, &end, 10);
	*minor = (unsigned int)n;
	return *end == '\0' && n < 10000 && text[2] >= '0' && text[2] <= '9';
}

/* NULL, or why there is none. */
static const char *
version_choose(struct engine *e, const struct engine_result *res)
{
	static char	 text[ENGINE_TEXT_MAX];
	unsigned int	 most, least = 0;

	if (res->code != XERR_NONE)
		return res->text;
	if (!version_minor(res->body, "ApiVersion", &most))
		return "no Docker Engine answers there";
	version_minor(res->body, "MinAPIVersion", &least);
	if (most < API_MIN || least > API_MAX) {
		snprintf(text, sizeof(text), "the Docker Engine speaks API "
		    "1.%u to 1.%u; 1.%u to 1.%u would do", least, most,
		    API_MIN, API_MAX);
		return text;
	}
	snprintf(e->api, sizeof(e->api), "1.%u",
	    most < API_MAX ? most : API_MAX);
	return NULL;
}

static void
on_version(void *arg, const struct engine_result *res)
{
	const struct timeval	 now = { 0 };
	struct engine		*e = arg;
	const uint64_t		 until = e->serial;
	struct engine_call	*call;
	const char		*why;

	e->asking = false;
	if ((why = version_choose(e, res)) == NULL) {
		evtimer_add(e->kick, &now);
		return;
	}
	/* Those that came before the answer; callbacks may add others. */
	do {
		TAILQ_FOREACH(call, &e->waiting, entry)
			if (!(call->row->flags & ROW_UNVERSIONED))
				break;
		if (call == NULL || call->serial > until)
			break;
		TAILQ_REMOVE(&e->waiting, call, entry);
		call_fail(call, res->code != XERR_NONE ? res->code :
		    XERR_ENOTSUP, why);
	} while (!e->dead);
}

/* ---- the loop */

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct engine		*e = arg;
	struct engine_call	*call, *next;
	bool			 ask = false;

	e->busy++;
	for (call = TAILQ_FIRST(&e->running); call != NULL; call = next) {
		next = TAILQ_NEXT(call, entry);
		if (call->done == NULL) {
			engine_http_stop(call);
			engine_call_free(call);
		}
	}
	for (call = TAILQ_FIRST(&e->waiting); call != NULL; call = next) {
		next = TAILQ_NEXT(call, entry);
		if (call->done != NULL && e->api[0] == '\0' &&
		    call->path != NULL &&
		    !(call->row->flags & ROW_UNVERSIONED)) {
			ask = true;
			continue;
		}
		TAILQ_REMOVE(&e->waiting, call, entry);
		if (call->done == NULL)
			engine_call_free(call);
		else if (call->path == NULL)
			call_fail(call, XERR_EINVAL, "no name that the "
			    "Docker Engine could know");
		else if (!engine_http_start(call))
			call_fail(call, XERR_EBUSY, "out of memory");
		if (e->dead)
			break;
	}
	if (ask && !e->asking && !e->dead)
		e->asking = engine_call(e, ENGINE_VERSION, NULL, on_version,
		    e) != 0;
	if (--e->busy == 0 && e->dead)
		engine_free(e);
}

struct engine *
engine_new(struct event_base *base, const char *path)
{
	struct engine	*e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return NULL;
	e->base = base;
	TAILQ_INIT(&e->waiting);
	TAILQ_INIT(&e->running);
	e->path = strdup(path);
	e->kick = evtimer_new(base, on_kick, e);
	if (e->path == NULL || e->kick == NULL || !engine_http_init(e)) {
		engine_free(e);
		errno = ENOMEM;
		return NULL;
	}
	return e;
}

void
engine_free(struct engine *e)
{
	struct engine_call	*call;

	if (e == NULL)
		return;
	e->dead = true;
	if (e->busy > 0)
		return;
	while ((call = TAILQ_FIRST(&e->running)) != NULL) {
		engine_http_stop(call);
		engine_call_free(call);
	}
	while ((call = TAILQ_FIRST(&e->waiting)) != NULL) {
		TAILQ_REMOVE(&e->waiting, call, entry);
		engine_call_free(call);
	}
	engine_http_clear(e);
	if (e->kick != NULL)
		event_free(e->kick);
	free(e->path);
	free(e);
}

const char *
engine_api(const struct engine *e)
{
	return e->api;
}

bool
engine_ref_split(const char *ref, char name[ENGINE_REF_MAX],
    char tag[ENGINE_REF_MAX])
{
	const char	*last, *cut;

	if (!arg_ok(ref) || strcspn(ref, " ?#%&") != strlen(ref))
		return false;
	snprintf(tag, ENGINE_REF_MAX, "latest");
	last = (last = strrchr(ref, '/')) != NULL ? last + 1 : ref;
	/* The digest says it all: a tag beside it is dropped. */
	if ((cut = strchr(last, '@')) != NULL ||
	    (cut = strchr(last, ':')) != NULL)
		snprintf(tag, ENGINE_REF_MAX, "%s", cut + 1);
	else
		cut = ref + strlen(ref);
	snprintf(name, ENGINE_REF_MAX, "%.*s", (int)(cut - ref), ref);
	if (strchr(last, '@') != NULL && (cut = strchr(last, ':')) != NULL &&
	    cut < strchr(last, '@'))
		name[cut - ref] = '\0';
	return name[0] != '\0' && tag[0] != '\0' && last[0] != '\0';
}
