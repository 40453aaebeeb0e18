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
 * events: what happens, as it happens, a line each.  Runs in: xbot-admin.
 * The daemon's part is text/event-stream.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "supervisor/admin/admin.h"

#define DATA_MAX	65536

struct events {
	struct buf	 data;		/* of the event so far */
	char		 kind[65];
	struct retry	 retry;
};

static bool	 on_line(void *, const char *, size_t);
static bool	 field_is(const char *, size_t, const char *, struct slice *);
static bool	 event_show(struct events *);
static void	 event_print(const struct events *,
		    const struct json_value *);
static void	 member_print(const struct json_value *);

/* "name: value" or "name:value" */
static bool
field_is(const char *line, size_t len, const char *name, struct slice *value)
{
	size_t	 n = strlen(name);

	if (len <= n || memcmp(line, name, n) != 0 || line[n] != ':')
		return false;
	value->p = line + n + 1;
	value->len = len - n - 1;
	if (value->len > 0 && line[n + 1] == ' ') {
		value->p = line + n + 2;
		value->len--;
	}
	return true;
}

static bool
on_line(void *arg, const char *line, size_t len)
{
	struct events	*e = arg;
	struct slice	 s;
	bool		 ok = true;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0)
		return event_show(e);
	if (field_is(line, len, "event", &s)) {
		if (!slice_copy(e->kind, sizeof(e->kind), s))
			e->kind[0] = '\0';
	} else if (field_is(line, len, "data", &s)) {
		if (s.len > DATA_MAX - e->data.len) {
			complain("an event is too long");
			return false;
		}
		ok = buf_add(&e->data, s.p, s.len) == 0;
	}
	if (!ok)
		complain("no memory");
	return ok;
}

static bool
event_show(struct events *e)
{
	struct json	*j;
	const char	*why;

	retry_good(&e->retry);
	if (e->data.len == 0) {
		e->kind[0] = '\0';
		return true;
	}
	j = json_parse((char *)buf_data(&e->data), e->data.len, 1024, &why);
	if (j == NULL) {
		complain("an event cannot be read: %s", why);
		return false;
	}
	event_print(e, json_root(j));
	json_free(j);
	buf_drain(&e->data, e->data.len);
	e->kind[0] = '\0';
	/* main() says it when it fails. */
	return fflush(stdout) != EOF;
}

static void
event_print(const struct events *e, const struct json_value *root)
{
	const struct json_value	*v;
	struct buf		 b = { 0 };
	struct jsonw		 w;
	time_t			 now = time(NULL);
	struct tm		 tm;
	char			 text[512];

	if (admin.json) {
		jsonw_init(&w, &b);
		jsonw_object(&w, NULL);
		jsonw_text(&w, "event", e->kind);
		jsonw_raw(&w, "data", buf_data(&e->data), e->data.len);
		jsonw_end(&w);
		(void)fwrite(buf_data(&b), 1, b.len, stdout);
		(void)putchar('\n');
		buf_clear(&b);
		return;
	}
	if (localtime_r(&now, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		printf("%s ", text);
	printf("%s", log_vis(text, sizeof(text), e->kind, strlen(e->kind)));
	for (v = json_first(root); v != NULL; v = json_next(v))
		member_print(v);
	(void)putchar('\n');
}

static void
member_print(const struct json_value *v)
{
	struct slice	 key = json_key(v), s;
	int64_t		 n;
	bool		 flag;
	char		 text[1025];

	printf(" %s=", log_vis(text, sizeof(text), key.p, key.len));
	if (json_str(v, &s))
		printf("%s", log_vis(text, sizeof(text), s.p, s.len));
	else if (json_int(v, &n))
		printf("%" PRId64, n);
	else if (json_bool(v, &flag))
		printf("%s", flag ? "yes" : "no");
	else
		(void)putchar('-');
}

int
verb_events(const struct args *a)
{
	struct events	 e = { .kind = "" };
	struct lines	 l = { .line = on_line, .arg = &e };
	struct call	 c = { .method = "GET" };
	struct buf	 path = { 0 };
	bool		 known = false, again = true;

	if (!path_make(&path, a->user != NULL ? "/v1/users/%/events" :
	    "/v1/events", a->user))
		return STATUS_FAILED;
	while (again) {
		c = (struct call){ .method = "GET", .sink = lines_add,
		    .arg = &l, .path = (char *)buf_data(&path),
		    .accept = "text/event-stream",
		    .quiet = e.retry.since_ms != 0 };
		if (call_run(&c) && !c.quiet)
			complain("the events ended");
		known |= c.status / 100 == 2;
		again = known && !c.stopped;
		if (again && !c.quiet)
			complain("trying again; what happens meanwhile is "
			    "not seen");
		call_clear(&c);
		buf_clear(&l.part);
		buf_clear(&e.data);
		again = again && retry_wait(&e.retry);
	}
	if (c.quiet && !c.stopped)
		complain("%s", c.why);
	buf_clear(&path);
	return STATUS_FAILED;
}
