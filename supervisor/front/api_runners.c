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
 * Management of a user's runners.  Runs in: front, control.  Input is hostile.
 * Questions go to the ledger, which checks everything again; lists come from
 * the pushed copy, new LLM settings to the runner itself.  Owns, for the life
 * of a request: a new token's text and an LLM key, both wiped at its end and
 * never stored.
 */

#include <stdlib.h>
#include <string.h>

#include "base/token.h"
#include "supervisor/front/connect.h"
#include "supervisor/front/front.h"
#include "supervisor/front/routes.h"
#include "supervisor/front/session.h"

#define DEFAULT_IMAGE	"ubuntu:22.04"	/* as xbot-runner's own default */
#define PUSH_MS		10000		/* for a runner to take settings */

static void	 on_list(struct req *);
static void	 on_create(struct req *);
static void	 on_delete(struct req *);
static void	 on_patch(struct req *);
static void	 on_rotate(struct req *);
static void	 on_active_get(struct req *);
static void	 on_active_put(struct req *);
static void	 on_bind_put(struct req *);

#define RUNNERS		"/v1/users/{user}/runners"

/* "active" stands before "{name}". */
const struct api_route runner_routes[] = {
	{ HV_GET, RUNNERS, RIGHT_USER, ON_API, BODY_NONE, on_list },
	{ HV_POST, RUNNERS, RIGHT_USER, ON_API, BODY_JSON, on_create },
	{ HV_GET, RUNNERS "/active", RIGHT_USER, ON_API, BODY_NONE,
	    on_active_get },
	{ HV_PUT, RUNNERS "/active", RIGHT_USER, ON_API, BODY_JSON,
	    on_active_put },
	{ HV_DELETE, RUNNERS "/{name}", RIGHT_USER, ON_API, BODY_NONE,
	    on_delete },
	{ HV_PATCH, RUNNERS "/{name}", RIGHT_USER, ON_API, BODY_JSON,
	    on_patch },
	{ HV_POST, RUNNERS "/{name}/token", RIGHT_USER, ON_API,
	    BODY_OPTIONAL_JSON, on_rotate },
	{ HV_PUT, "/v1/users/{user}/sessions/{session}/runner", RIGHT_USER,
	    ON_API, BODY_JSON, on_bind_put },
	{ .pattern = NULL }
};

/* Sizes as in ctl.def, and a NUL. */
struct work {
	char	 name[ID_RUNNER_MAX + 1];
	char	 new_name[ID_RUNNER_MAX + 1];
	char	 mode[17];
	char	 docker_image[257];
	char	 workspace[4097];
	char	 llm_provider[65];
	char	 llm_api_key[1025];
	char	 llm_model[257];
	char	 llm_base_url[1025];
	char	 token[TOKEN_LEN + 1];
	uint8_t	 hash[TOKEN_HASH];
	bool	 created;		/* 201, and the name in the answer */
	bool	 llm_changed;
	struct session	*session;	/* with the runner; or NULL */
};

static void
work_close(struct req *r, void *data)
{
	struct work *k = data;

	session_drop(k->session);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

static struct work *
work_new(struct req *r)
{
	struct work *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return NULL;
	}
	r->data = w;
	r->close = work_close;
	return w;
}

/* --- lists --- */

static bool
is_web(const char *user)
{
	return strncmp(user, "web-", 4) == 0;
}

static void
list_docker(struct jsonw *w, const char *active)
{
	jsonw_object(w, NULL);
	jsonw_text(w, "name", RUNNER_DOCKER);
	jsonw_text(w, "mode", "docker");
	jsonw_text(w, "docker_image", front.conf.docker_image);
	jsonw_text(w, "workspace", "");
	jsonw_text(w, "shell", "");
	jsonw_bool(w, "online", worker_up(ROLE_DOCKER));
	jsonw_bool(w, "active", active != NULL &&
	    strcmp(active, RUNNER_DOCKER) == 0);
	jsonw_text(w, "created_at", "");
	jsonw_text(w, "llm_provider", "");
	jsonw_text(w, "llm_model", "");
	jsonw_end(w);
}

static void
list_runner(struct jsonw *w, const struct route_runner *n, const char *active)
{
	char created[WHEN_LEN];

	when_text(n->created, created);
	jsonw_object(w, NULL);
	jsonw_text(w, "name", n->name);
	jsonw_text(w, "mode", n->mode);
	jsonw_text(w, "docker_image", n->docker_image);
	jsonw_text(w, "workspace", n->workspace);
	jsonw_text(w, "shell", n->shell);
	jsonw_bool(w, "online", n->online);
	jsonw_bool(w, "active", active != NULL &&
	    strcmp(active, n->name) == 0);
	jsonw_text(w, "created_at", created);
	jsonw_text(w, "llm_provider", n->llm_provider);
	jsonw_text(w, "llm_model", n->llm_model);
	jsonw_end(w);
}

static bool
copy_ready(struct req *r)
{
	if (!routes_ready())
		req_error(r, XERR_EOFFLINE, "the ledger is not there");
	return routes_ready();
}

static void
on_list(struct req *r)
{
	const struct route_user		*u = routes_user(r->user);
	const struct route_runner	*n;
	const char			*active;
	struct buf			 b = { 0 };
	struct jsonw			 w;

	if (!copy_ready(r))
		return;
	active = u == NULL ? NULL : routes_active(u);
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_array(&w, "runners");
	if (front.conf.docker)
		list_docker(&w, active);
	for (n = u == NULL ? NULL : u->runners; n != NULL; n = n->next)
		list_runner(&w, n, active);
	jsonw_end(&w);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

static void
on_active_get(struct req *r)
{
	const struct route_user	*u = routes_user(r->user);
	const char		*active;
	struct buf		 b = { 0 };
	struct jsonw		 w;

	if (!copy_ready(r))
		return;
	active = u == NULL ? NULL : routes_active(u);
	if (active == NULL || *active == '\0') {
		req_error(r, XERR_ENOENT, "no active runner");
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "name", active);
	jsonw_end(&w);
	req_json(r, 200, &b);
}

/* --- create and rotate: both end with a token and a command --- */

static void
answer_token(struct req *r, const struct msg *m)
{
	const struct ctl_ledger_done	*d = m->body;
	struct work			*k = r->data;
	struct connect			 c = { front.conf.public_url, r->user,
		k->token, k->mode, k->docker_image, k->workspace,
		k->llm_provider, k->llm_api_key, k->llm_model,
		k->llm_base_url };
	struct buf			 cmd = { 0 }, b = { 0 };
	struct jsonw			 w;

	if (d->code != XERR_NONE) {
		ledger_answer(r, m);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	if (k->created)
		jsonw_text(&w, "name", k->name);
	jsonw_text(&w, "token", k->token);
	if (connect_command(&c, &cmd))
		jsonw_str(&w, "command", (struct slice){ buf_data(&cmd),
		    cmd.len });
	jsonw_end(&w);
	if (cmd.len > 0)
		explicit_bzero(buf_data(&cmd), cmd.len);
	buf_clear(&cmd);
	req_json(r, k->created ? 201 : 200, &b);
}

/* It goes into a command line: one line of text. */
static bool
key_ok(struct req *r, const char *key)
{
	if (!id_line_ok(slice_str(key))) {
		req_error(r, XERR_EINVAL, "llm_api_key: a control character");
		return false;
	}
	return true;
}

/* The text of the key in the parsed body, which is the connection's memory. */
static void
key_wipe(struct req *r)
{
	struct slice s;

	if (json_get_str(r->body, "llm_api_key", &s) == JSON_GOT && s.len > 0)
		explicit_bzero((void *)(uintptr_t)s.p, s.len);
}

static bool
token_new(struct req *r, struct work *k)
{
	if (token_make(k->token) && token_hash(k->hash, slice_str(k->token)))
		return true;
	req_error(r, XERR_EIO, "no random bytes");
	return false;
}

static const struct {
	const char	*name;
	size_t		 off, size;
} members[] = {
#define MEMBER(m)	{ #m, offsetof(struct work, m), \
			    sizeof(((struct work *)NULL)->m) }
	MEMBER(name), MEMBER(mode), MEMBER(docker_image), MEMBER(workspace),
	MEMBER(llm_provider), MEMBER(llm_api_key), MEMBER(llm_model),
	MEMBER(llm_base_url)
};

static bool
name_ok(struct req *r, const char *name)
{
	if (id_runner_ok(slice_str(name)))
		return true;
	req_error(r, XERR_EINVAL, "name: 1 to %d of A-Z a-z 0-9 _ . -, and no "
	    "reserved word", ID_RUNNER_MAX);
	return false;
}

static void
on_create(struct req *r)
{
	struct ctl_runner_create	 q;
	struct work			*k;
	size_t				 i;
	bool				 ok = true;

	if ((k = work_new(r)) == NULL)
		return;
	for (i = 0; ok && i < sizeof(members) / sizeof(members[0]); i++)
		ok = req_member(r, members[i].name, (char *)k + members[i].off,
		    members[i].size) != JSON_WRONG;
	key_wipe(r);
	if (!ok || !name_ok(r, k->name) || !key_ok(r, k->llm_api_key))
		return;
	if (k->mode[0] == '\0')
		memcpy(k->mode, "native", sizeof("native"));
	if (k->docker_image[0] == '\0' && strcmp(k->mode, "docker") == 0)
		memcpy(k->docker_image, DEFAULT_IMAGE, sizeof(DEFAULT_IMAGE));
	if (!token_new(r, k))
		return;
	k->created = true;
	audit(r, "runner.create", k->name);
	q = (struct ctl_runner_create){
		{ k->hash, sizeof(k->hash) }, slice_str(r->user),
		slice_str(k->name), slice_str(k->mode),
		slice_str(k->docker_image), slice_str(k->workspace),
		slice_str(k->llm_provider), slice_str(k->llm_model),
		slice_str(k->llm_base_url)
	};
	ledger_ask(r, CTL_RUNNER_CREATE, &q, answer_token);
}

/* dst is as large as ctl.def's field, from which src came. */
static void
text_copy(char *dst, size_t size, const char *src)
{
	(void)slice_copy(dst, size, slice_str(src));
}

static void
on_rotate(struct req *r)
{
	const struct route_runner	*n;
	struct ctl_runner_token		 q;
	struct work			*k;

	if (!name_ok(r, r->seg[0]) || !copy_ready(r) ||
	    (k = work_new(r)) == NULL)
		return;
	if ((n = routes_runner(r->user, r->seg[0])) == NULL) {
		req_error(r, XERR_ENOENT, "runner \"%s\" not found", r->seg[0]);
		return;
	}
	/* Its answer may come when the copy has changed. */
	text_copy(k->mode, sizeof(k->mode), n->mode);
	text_copy(k->docker_image, sizeof(k->docker_image), n->docker_image);
	text_copy(k->workspace, sizeof(k->workspace), n->workspace);
	text_copy(k->llm_provider, sizeof(k->llm_provider), n->llm_provider);
	text_copy(k->llm_model, sizeof(k->llm_model), n->llm_model);
	text_copy(k->llm_base_url, sizeof(k->llm_base_url), n->llm_base_url);
	if (!token_new(r, k))
		return;
	audit(r, "runner.token", r->seg[0]);
	q = (struct ctl_runner_token){ { k->hash, sizeof(k->hash) },
	    slice_str(r->user), slice_str(r->seg[0]) };
	ledger_ask(r, CTL_RUNNER_TOKEN, &q, answer_token);
}

/* --- delete, rename, LLM settings --- */

static void
on_delete(struct req *r)
{
	struct ctl_runner_delete q = { slice_str(r->user),
				    slice_str(r->seg[0]) };

	if (!name_ok(r, r->seg[0]))
		return;
	audit(r, "runner.delete", r->seg[0]);
	ledger_ask(r, CTL_RUNNER_DELETE, &q, ledger_answer);
}

static void
rename_ask(struct req *r)
{
	struct work		*k = r->data;
	struct ctl_runner_rename q = { slice_str(r->user),
				    slice_str(r->seg[0]),
				    slice_str(k->new_name) };

	ledger_ask(r, CTL_RUNNER_RENAME, &q, ledger_answer);
}

static void
on_llm_done(struct req *r, const struct msg *m)
{
	const struct ctl_ledger_done	*d = m->body;
	const struct work		*k = r->data;

	if (d->code != XERR_NONE || k->new_name[0] == '\0')
		ledger_answer(r, m);
	else
		rename_ask(r);
}

/* A member that is not given keeps what the copy says; -1: wrong, 0, 1. */
static int
llm_member(struct req *r, const char *name, char *dst, size_t size,
    const char *old)
{
	text_copy(dst, size, old);
	return (int)req_member(r, name, dst, size);
}

/* The key of a PATCH: for the runner, if that can take it; false: answered. */
static bool
key_take(struct req *r, const struct route_runner *n, struct work *k)
{
	enum json_got	 got = req_member(r, "llm_api_key", k->llm_api_key,
			    sizeof(k->llm_api_key));

	key_wipe(r);
	if (got == JSON_WRONG || !key_ok(r, k->llm_api_key))
		return false;
	if (k->llm_api_key[0] == '\0')
		return true;
	if (n->online && n->v2)
		return true;
	if (n->online)
		req_error(r, XERR_ENOTSUP, "this runner cannot take a new LLM "
		    "key; start it with one");
	else
		req_error(r, XERR_EOFFLINE, "runner \"%s\" is offline, and "
		    "keys are not stored here", n->name);
	return false;
}

/* The runner has taken them, or need not: now they are stored. */
static void
llm_store(struct req *r)
{
	struct work		*k = r->data;
	struct ctl_runner_llm	 q = { slice_str(r->user),
				    slice_str(r->seg[0]),
				    slice_str(k->llm_provider),
				    slice_str(k->llm_model),
				    slice_str(k->llm_base_url) };

	if (k->llm_changed)
		ledger_ask(r, CTL_RUNNER_LLM, &q, on_llm_done);
	else if (k->new_name[0] != '\0')
		rename_ask(r);
	else
		req_empty(r, 204);
}

static void
on_push_msg(struct session *s, struct req *r, const struct msg *m)
{
	const struct exec_job_refused	*b = m->body;
	struct work			*k = r->data;

	if (m->type == EXEC_JOB_DONE || m->type == EXEC_JOB_REFUSED) {
		session_drop(k->session);
		k->session = NULL;
	}
	if (m->type == EXEC_JOB_DONE)
		llm_store(r);
	else if (m->type == EXEC_JOB_REFUSED)
		req_error(r, b->code != XERR_NONE ? b->code : XERR_EIO,
		    "%.*s", (int)b->text.len, (const char *)b->text.p);
}

static void
on_push_lost(struct session *s, struct req *r, enum xerr code,
    const char *text)
{
	struct work *k = r->data;

	k->session = NULL;
	req_error(r, code, "%s", text);
}

/* To the runner that is there; it keeps them in memory only. */
static void
llm_push(struct req *r, const char *runner)
{
	static const struct session_ops	 ops = { on_push_msg, on_push_lost };
	const struct route_decision	 d = { XERR_NONE, BACKEND_REMOTE,
					    runner, "" };
	struct work			*k = r->data;
	struct exec_llm_settings	 m = {
		.provider = slice_str(k->llm_provider),
		.key = slice_str(k->llm_api_key),
		.model = slice_str(k->llm_model),
		.base_url = slice_str(k->llm_base_url)
	};

	if ((k->session = session_open(r, &d, &ops)) == NULL)
		return;
	m.job = session_job(k->session);
	session_deadline(k->session, PUSH_MS);
	if (!session_send(k->session, EXEC_LLM_SETTINGS, &m)) {
		session_drop(k->session);
		k->session = NULL;
		req_error(r, XERR_EOFFLINE, "the remote backend is not there");
	}
	explicit_bzero(k->llm_api_key, sizeof(k->llm_api_key));
}

static void
on_patch(struct req *r)
{
	const struct route_runner	*n;
	struct work			*k;
	int				 a, b, c;
	bool				 key, other;

	if (!name_ok(r, r->seg[0]) || !copy_ready(r) ||
	    (k = work_new(r)) == NULL)
		return;
	if ((n = routes_runner(r->user, r->seg[0])) == NULL) {
		req_error(r, XERR_ENOENT, "runner \"%s\" not found", r->seg[0]);
		return;
	}
	if (!key_take(r, n, k) || req_member(r, "name", k->new_name,
	    sizeof(k->new_name)) == JSON_WRONG ||
	    (json_find(r->body, "name") != NULL && !name_ok(r, k->new_name)) ||
	    (a = llm_member(r, "llm_provider", k->llm_provider,
	    sizeof(k->llm_provider), n->llm_provider)) == -1)
		return;
	/* Model and address of one provider are no good for another. */
	other = n->llm_provider[0] != '\0' &&
	    strcmp(k->llm_provider, n->llm_provider) != 0;
	if ((b = llm_member(r, "llm_model", k->llm_model,
	    sizeof(k->llm_model), other ? "" : n->llm_model)) == -1 ||
	    (c = llm_member(r, "llm_base_url", k->llm_base_url,
	    sizeof(k->llm_base_url), other ? "" : n->llm_base_url)) == -1)
		return;
	audit(r, "runner.change", r->seg[0]);
	key = k->llm_api_key[0] != '\0';
	k->llm_changed = a + b + c > 0;
	if (key && k->llm_provider[0] == '\0')
		req_error(r, XERR_EINVAL, "llm_provider: a key is of one");
	else if (key || (k->llm_changed && n->online && n->v2 &&
	    n->llm[0] != '\0'))
		llm_push(r, n->name);
	else
		llm_store(r);
}

/* --- choices --- */

/* The name in the body; routing checks a web user's right once more. */
static bool
choice_name(struct req *r, char *name, size_t size)
{
	switch (req_member(r, "name", name, size)) {
	case JSON_WRONG:
		return false;
	case JSON_ABSENT:
		req_error(r, XERR_EINVAL, "name: missing");
		return false;
	case JSON_GOT:
		break;
	}
	if (strcmp(name, RUNNER_DOCKER) == 0 && is_web(r->user) &&
	    !front.conf.web_server_runner) {
		req_error(r, XERR_EPERM, "web users have no sandbox on this "
		    "server");
		return false;
	}
	return true;
}

static void
on_active_put(struct req *r)
{
	struct ctl_active_set	 q;
	char			 name[ID_USER_MAX + 1];

	if (!choice_name(r, name, sizeof(name)))
		return;
	audit(r, "runner.active", name);
	q = (struct ctl_active_set){ slice_str(r->user), slice_str(name) };
	ledger_ask(r, CTL_ACTIVE_SET, &q, ledger_answer);
}

static void
on_bind_put(struct req *r)
{
	struct ctl_bind_set	 q;
	char			 name[ID_USER_MAX + 1];

	if (!id_session_ok(slice_str(r->seg[0]))) {
		req_error(r, XERR_EINVAL, "session: malformed or too long");
		return;
	}
	if (!choice_name(r, name, sizeof(name)))
		return;
	audit(r, "runner.bind", name);
	q = (struct ctl_bind_set){ slice_str(r->user), slice_str(r->seg[0]),
	    slice_str(name) };
	ledger_ask(r, CTL_BIND_SET, &q, ledger_answer);
}
