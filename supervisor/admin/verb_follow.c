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
 * task follow: the output of a task to its end, nothing twice and nothing
 * left out, whatever restarts meanwhile.  Runs in: xbot-admin.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/admin/admin.h"

struct follow {
	const struct args	*args;
	uint64_t		 next[2];	/* offsets */
	struct buf		 bytes;		/* decoded output */
	struct buf		 error;		/* the line that ended a try */
	struct buf		 where;		/* the sandbox, at first */
	struct retry		 retry;
	bool			 known;		/* the task was there */
	bool			 ended;
	int			 status;
};

static bool	 on_line(void *, const char *, size_t);
static bool	 on_output(struct follow *, int, const char *, size_t,
		    const struct json_value *, struct slice);
static void	 where_ask(const struct follow *, struct buf *);
static bool	 gone(const struct follow *, const char *);
static bool	 follow_once(struct follow *, struct call *);
static int	 follow_failed(const struct follow *, const struct call *);

static const char *const names[2] = { "stdout", "stderr" };

static bool
on_line(void *arg, const char *line, size_t len)
{
	const struct json_value	*root;
	struct follow		*f = arg;
	struct slice		 s;
	struct json		*j;
	const char		*why;
	bool			 ok = true;
	int			 i;

	if ((j = json_parse(line, len, 64, &why)) == NULL) {
		complain("the answer cannot be read: %s", why);
		return false;
	}
	root = json_root(j);
	if (json_find(root, "error") != NULL) {
		buf_drain(&f->error, f->error.len);
		ok = buf_add(&f->error, line, len) == 0;
		json_free(j);
		return ok;
	}
	retry_good(&f->retry);
	for (i = 0; ok && i < 2; i++)
		if (json_str(json_find(root, names[i]), &s))
			ok = on_output(f, i, line, len, root, s);
	if (json_find(root, "exit_code") != NULL) {
		f->ended = true;
		if (admin.json)
			ok = output_write(STDOUT_FILENO, line, len + 1);
		f->status = exit_status(root);
	}
	json_free(j);
	return ok;
}

/* From where we stand; what we have is not shown again. */
static bool
on_output(struct follow *f, int i, const char *line, size_t len,
    const struct json_value *root, struct slice s)
{
	int64_t		 from, next;
	uint64_t	 skip = 0;
	int		 fd = i == 0 ? STDOUT_FILENO : STDERR_FILENO;

	if (json_get_int(root, "offset", 0, INT64_MAX, &from) != JSON_GOT ||
	    json_get_int(root, "next", from, INT64_MAX, &next) != JSON_GOT) {
		complain("the answer cannot be read: no offsets");
		return false;
	}
	if ((uint64_t)from > f->next[i])
		complain("%" PRIu64 " bytes of standard %s are gone",
		    (uint64_t)from - f->next[i], i == 0 ? "output" : "error");
	else
		skip = f->next[i] - (uint64_t)from;
	if ((uint64_t)next <= f->next[i])
		return true;
	f->next[i] = (uint64_t)next;
	if (admin.json)
		return output_write(STDOUT_FILENO, line, len + 1);
	if (!output_decode(&f->bytes, s))
		return false;
	if (f->bytes.len != (uint64_t)(next - from)) {
		complain("the answer cannot be read: offsets that are wrong");
		return false;
	}
	return output_write(fd, buf_data(&f->bytes) + skip,
	    f->bytes.len - (size_t)skip);
}

/* Which sandbox, as text; empty when that is not known now. */
static void
where_ask(const struct follow *f, struct buf *where)
{
	struct buf	 path = { 0 };
	struct call	 c = { .method = "GET", .seconds = 30, .quiet = true };
	struct slice	 backend, runner;
	struct json	*j = NULL;
	const char	*why;

	buf_drain(where, where->len);
	if (path_make(&path, "/v1/users/%/route", f->args->user) &&
	    path_session(&path, f->args)) {
		c.path = (char *)buf_data(&path);
		if (call_run(&c))
			j = json_parse((char *)buf_data(&c.answer),
			    c.answer.len, 64, &why);
	}
	if (json_str(json_find(json_root(j), "backend"), &backend) &&
	    json_str(json_find(json_root(j), "runner"), &runner) &&
	    (buf_add(where, backend.p, backend.len) == -1 ||
	    buf_add(where, "/", 1) == -1 ||
	    buf_add(where, runner.p, runner.len) == -1))
		buf_drain(where, where->len);
	json_free(j);
	call_clear(&c);
	buf_clear(&path);
}

/*
 * No such task: because its sandbox lost it, or because its runner has not
 * come back yet and somebody else was asked?
 */
static bool
gone(const struct follow *f, const char *code)
{
	struct buf	 where = { 0 };
	bool		 same;

	if (strcmp(code, "ENOENT") != 0)
		return !retry_worth(code);
	where_ask(f, &where);
	same = !f->known || f->where.len == 0 || (where.len == f->where.len &&
	    memcmp(buf_data(&where), buf_data(&f->where), where.len) == 0);
	buf_clear(&where);
	return same;
}

/* false: never again. */
static bool
follow_once(struct follow *f, struct call *c)
{
	struct lines	 l = { .line = on_line, .arg = f };
	struct buf	 path = { 0 };
	char		 offset[2][24], code[64];
	int		 i;

	memset(c, 0, sizeof(*c));
	buf_drain(&f->error, f->error.len);
	for (i = 0; i < 2; i++)
		(void)snprintf(offset[i], sizeof(offset[i]), "%" PRIu64,
		    f->next[i]);
	if (!path_make(&path, admin.json ?
	    "/v1/users/%/tasks/%/stream?stdout=%&stderr=%" :
	    "/v1/users/%/tasks/%/stream?stdout=%&stderr=%&encoding=base64",
	    f->args->user, f->args->argv[0], offset[0], offset[1]) ||
	    !path_session(&path, f->args)) {
		buf_clear(&path);
		return false;
	}
	*c = (struct call){ .method = "GET", .sink = lines_add, .arg = &l,
	    .path = (char *)buf_data(&path), .quiet = true };
	(void)call_run(c);
	buf_clear(&l.part);
	buf_clear(&path);
	if (c->status / 100 == 2)
		f->known = true;
	if (f->ended || c->stopped)
		return false;
	if (f->error.len > 0)
		api_code(buf_data(&f->error), f->error.len, code,
		    sizeof(code));
	else
		api_code(buf_data(&c->answer), c->answer.len, code,
		    sizeof(code));
	return f->known && !gone(f, code);
}

/* Why, if that was not said. */
static int
follow_failed(const struct follow *f, const struct call *c)
{
	if (c->stopped)
		;
	else if (f->error.len > 0)
		api_complain(buf_data(&f->error), f->error.len, c->status);
	else if (c->answer.len > 0 || c->status / 100 > 2)
		api_complain(buf_data(&c->answer), c->answer.len, c->status);
	else
		complain("%s", c->why[0] != '\0' ? c->why :
		    "the answer broke off");
	return STATUS_FAILED;
}

int
verb_task_follow(const struct args *a)
{
	struct follow	 f = { .args = a, .status = STATUS_FAILED };
	struct call	 c;
	bool		 again;

	where_ask(&f, &f.where);
	do {
		again = follow_once(&f, &c);
		if (again && f.retry.since_ms == 0) {
			(void)follow_failed(&f, &c);
			complain("trying again");
		}
		again = again && retry_wait(&f.retry);
		if (!again && !f.ended)
			f.status = follow_failed(&f, &c);
		call_clear(&c);
	} while (again);
	buf_clear(&f.bytes);
	buf_clear(&f.error);
	buf_clear(&f.where);
	return f.status;
}
