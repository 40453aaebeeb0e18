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
 * Reads the body of exec and of tasks into a job_start.  Runs in: front,
 * control.  Input is hostile.
 */

#include <string.h>

#include "base/base64.h"
#include "proto/frame.h"
#include "supervisor/front/wanted.h"

#define TIMEOUT_MAX	3600
#define TIMEOUT_DEFAULT	60

static bool	 wanted_command(struct req *, struct wanted *);
static bool	 wanted_strings(struct req *, const char *, struct slice *,
		    uint32_t, struct slices *);
static bool	 wanted_env(struct req *, struct wanted *);
static bool	 wanted_timeout(struct req *, struct wanted *);
static bool	 wanted_fits(struct req *, const struct wanted *);
static bool	 text_get(struct req *, const char *, struct slice *);

/* A string member without NUL; absent leaves *s alone. */
static bool
text_get(struct req *r, const char *name, struct slice *s)
{
	if (json_get_str(r->body, name, s) == JSON_WRONG ||
	    (s->len > 0 && memchr(s->p, '\0', s->len) != NULL)) {
		req_error(r, XERR_EINVAL, "%s: not a string without NUL",
		    name);
		return false;
	}
	return true;
}

static bool
wanted_strings(struct req *r, const char *name, struct slice *v,
    uint32_t max, struct slices *out)
{
	const struct json_value *list = NULL, *e;
	uint32_t		 n = 0;

	if (json_get_array(r->body, name, &list) == JSON_WRONG) {
		req_error(r, XERR_EINVAL, "%s: not a list", name);
		return false;
	}
	if (json_count(list) > max) {
		req_error(r, XERR_E2BIG, "%s: more than %u", name, max);
		return false;
	}
	for (e = json_first(list); e != NULL; e = json_next(e)) {
		if (!json_str(e, &v[n]) || (v[n].len > 0 &&
		    memchr(v[n].p, '\0', v[n].len) != NULL)) {
			req_error(r, XERR_EINVAL,
			    "%s: not a list of strings without NUL", name);
			return false;
		}
		n++;
	}
	*out = (struct slices){ v, n };
	return true;
}

static bool
wanted_env(struct req *r, struct wanted *w)
{
	const char	*eq;
	uint32_t	 i;

	if (!wanted_strings(r, "env", w->env, ENV_MAX, &w->start.env))
		return false;
	for (i = 0; i < w->start.env.n; i++) {
		eq = w->env[i].len == 0 ? NULL :
		    memchr(w->env[i].p, '=', w->env[i].len);
		if (eq == NULL || eq == w->env[i].p) {
			req_error(r, XERR_EINVAL, "env: not NAME=value");
			return false;
		}
	}
	return true;
}

/* shell, args and command: who of them makes the process. */
static bool
wanted_command(struct req *r, struct wanted *w)
{
	struct slice	 command = { "", 0 };
	bool		 shell;

	shell = json_type(json_find(r->body, "args")) == JSON_NULL;
	if (json_get_bool(r->body, "shell", &shell) == JSON_WRONG) {
		req_error(r, XERR_EINVAL, "shell: neither true nor false");
		return false;
	}
	if (!text_get(r, "command", &command) ||
	    !wanted_strings(r, "args", w->argv, ARGS_MAX, &w->start.argv))
		return false;
	if (shell) {
		w->start.argv.n = 0;
		w->start.command = command;
	} else if (w->start.argv.n == 0) {
		w->argv[0] = command;
		w->start.argv = (struct slices){ w->argv, 1 };
	}
	if ((shell ? command.len : w->argv[0].len) > 0)
		return true;
	req_error(r, XERR_EINVAL, "no command");
	return false;
}

/* The message must fit into one frame, with msgpack's own bytes. */
static bool
wanted_fits(struct req *r, const struct wanted *w)
{
	const struct exec_job_start	*s = &w->start;
	size_t				 sum, i;
	bool				 big = s->command.len > TEXT_MAX;

	sum = 512 + s->command.len + s->dir.len + s->run_as_user.len;
	for (i = 0; i < s->argv.n; i++) {
		sum += s->argv.v[i].len + 5;
		big |= s->argv.v[i].len > TEXT_MAX;
	}
	for (i = 0; i < s->env.n; i++) {
		sum += s->env.v[i].len + 5;
		big |= s->env.v[i].len > TEXT_MAX;
	}
	if (big || sum > FRAME_CHUNK) {
		req_error(r, XERR_E2BIG, "command, args or env too long");
		return false;
	}
	if (s->dir.len > 4096 || s->run_as_user.len > 64) {
		req_error(r, XERR_EINVAL, "dir or run_as_user: too long");
		return false;
	}
	return true;
}

static bool
wanted_timeout(struct req *r, struct wanted *w)
{
	int64_t seconds = TIMEOUT_DEFAULT;

	if (json_get_int(r->body, "timeout", 1, TIMEOUT_MAX, &seconds) ==
	    JSON_WRONG) {
		req_error(r, XERR_EINVAL, "timeout: not 1 to %d seconds",
		    TIMEOUT_MAX);
		return false;
	}
	w->start.timeout_ms = (uint32_t)seconds * 1000;
	return true;
}

bool
wanted_session(struct req *r, char *dst, size_t size)
{
	switch (req_member(r, "session", dst, size)) {
	case JSON_WRONG:
		return false;
	case JSON_ABSENT:
		return req_session(r, dst, size);
	case JSON_GOT:
		break;
	}
	if (dst[0] != '\0' && !id_session_ok(slice_str(dst))) {
		req_error(r, XERR_EINVAL, "session: malformed");
		return false;
	}
	return true;
}

bool
wanted_parse(struct req *r, struct wanted *w, bool timed)
{
	struct slice	encoding = { "", 0 };

	memset(&w->start, 0, sizeof(w->start));
	w->input = (struct slice){ "", 0 };
	if (!wanted_command(r, w) || !wanted_env(r, w) ||
	    !text_get(r, "dir", &w->start.dir) ||
	    !text_get(r, "run_as_user", &w->start.run_as_user) ||
	    !text_get(r, "stdin_encoding", &encoding))
		return false;
	if (json_get_str(r->body, "stdin", &w->input) == JSON_WRONG) {
		req_error(r, XERR_EINVAL, "stdin: not a string");
		return false;
	}
	w->input_base64 = slice_is(encoding, "base64");
	if (!w->input_base64 && encoding.len > 0 &&
	    !slice_is(encoding, "text")) {
		req_error(r, XERR_EINVAL, "stdin_encoding: unknown");
		return false;
	}
	if (timed && !wanted_timeout(r, w))
		return false;
	return wanted_session(r, w->session, sizeof(w->session)) &&
	    wanted_fits(r, w);
}

bool
wanted_input(struct req *r, const struct wanted *w, struct buf *input)
{
	void	*dst;
	ssize_t	 n;

	if (w->input.len == 0)
		return true;
	dst = buf_reserve(input, BASE64_DECODED_MAX(w->input.len) +
	    w->input.len);	/* enough for either */
	if (dst == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return false;
	}
	if (!w->input_base64) {
		memcpy(dst, w->input.p, w->input.len);
		input->len += w->input.len;
		return true;
	}
	if ((n = base64_decode(dst, w->input.p, w->input.len)) == -1) {
		req_error(r, XERR_EINVAL, "stdin: malformed base64");
		return false;
	}
	input->len += (size_t)n;
	return true;
}
