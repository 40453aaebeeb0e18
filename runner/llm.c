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
 * Settings, and calls of the provider.  See llm.h.  Runs in: xbot-runner.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/ids.h"
#include "base/llm_http.h"
#include "base/log.h"
#include "proto/exec_msg.h"
#include "runner/llm.h"
#include "runner/options.h"
#include "runner/secret.h"

static const struct provider {
	const char		*name;
	enum llm_dialect	 dialect;
	const char		*base_url;
	const char		*model;		/* "": none of its own */
	const char		*agent;
} providers[] = {
	{ "openai", LLM_OPENAI, LLM_OPENAI_URL, "", "opencode/1.14.17" },
	{ "anthropic", LLM_ANTHROPIC, LLM_ANTHROPIC_URL,
	    "claude-sonnet-4-20250514", "claude-code/1.0.26" },
};

#define NPROVIDERS	(sizeof(providers) / sizeof(providers[0]))

static struct {
	const struct provider	*provider;	/* NULL: no language model */
	char			*key, *model, *base_url;
	struct http_client	*clients[NPROVIDERS];	/* each says who it is */
	unsigned int		 ncalls;
} llm;

static const struct provider *
provider_find(struct slice name)
{
	size_t	 i;

	for (i = 0; i < NPROVIDERS; i++)
		if (slice_is(name, providers[i].name))
			return &providers[i];
	return NULL;
}

static char *
copy(struct slice s)
{
	char	*text = strndup(s.len > 0 ? s.p : "", s.len);

	if (text == NULL)
		fatalx("out of memory");
	return text;
}

static void
settings_clear(void)
{
	secret_wipe(llm.key);
	free(llm.key);
	free(llm.model);
	free(llm.base_url);
	llm.key = llm.model = llm.base_url = NULL;
	llm.provider = NULL;
}

bool
llm_init(struct event_base *base, const struct options *o)
{
	const struct provider	*p = provider_find(slice_str(o->llm_provider));
	const struct slice	 key = slice_str(o->llm_api_key);
	size_t			 i;

	for (i = 0; i < NPROVIDERS; i++)
		if ((llm.clients[i] = http_client_new(base,
		    providers[i].agent)) == NULL)
			fatalx("libcurl cannot be used");
	if (o->llm_provider[0] == '\0' || key.len == 0) {
		log_info("no LLM configured%s", o->llm_provider[0] != '\0' ?
		    ": a provider without a key" : "");
		return true;
	}
	if (p == NULL) {
		log_errorx("unknown LLM provider: --llm-provider is openai or "
		    "anthropic");
		return false;
	}
	/* They go into lines of a head, or of a log. */
	if (!id_line_ok(key) || !id_line_ok(slice_str(o->llm_model)) ||
	    !id_line_ok(slice_str(o->llm_base_url))) {
		log_errorx("LLM flags: a control character");
		return false;
	}
	llm.provider = p;
	llm.key = copy(key);
	llm.model = copy(slice_str(o->llm_model[0] != '\0' ? o->llm_model :
	    p->model));
	llm.base_url = copy(slice_str(o->llm_base_url[0] != '\0' ?
	    o->llm_base_url : p->base_url));
	/* A base URL may have a password in it. */
	log_info("LLM: provider %s, model %s", p->name,
	    llm.model[0] != '\0' ? llm.model : "as the provider lists");
	return true;
}

void
llm_clear(void)
{
	size_t	 i;

	settings_clear();
	for (i = 0; i < NPROVIDERS; i++) {
		http_client_free(llm.clients[i]);
		llm.clients[i] = NULL;
	}
}

bool
llm_on(void)
{
	return llm.provider != NULL;
}

const char *
llm_provider(void)
{
	return llm.provider != NULL ? llm.provider->name : "";
}

enum llm_dialect
llm_dialect(void)
{
	return llm.provider->dialect;
}

const char *
llm_base_url(void)
{
	return llm.base_url;
}

const char *
llm_model(void)
{
	return llm.model != NULL ? llm.model : "";
}

const char *
llm_registered(void)
{
	const char	*first;

	if (llm.provider == NULL)
		return "";
	if (llm.model[0] != '\0' || (first = llm_list_at(0)) == NULL)
		return llm.model;
	return first;
}

/* --- settings of the server's --- */

/* The key of this machine goes where its owner sent it. */
static const char *
change_forbidden(const struct exec_llm_settings *s, const struct provider *p)
{
	if (s->key.len > 0)
		return NULL;
	if (llm.provider != p)
		return "a change of the provider needs a key";
	if (s->base_url.len > 0 && !slice_is(s->base_url, llm.base_url))
		return "a change of the base URL needs a key";
	return NULL;
}

static void
change_apply(const struct exec_llm_settings *s, const struct provider *p)
{
	const bool	 other = p != llm.provider;
	char		*key, *model, *base_url;

	key = s->key.len > 0 || other ? copy(s->key) : copy(slice_str(llm.key));
	model = s->model.len > 0 ? copy(s->model) :
	    copy(slice_str(other ? p->model : llm.model));
	base_url = s->base_url.len > 0 ? copy(s->base_url) :
	    copy(slice_str(other ? p->base_url : llm.base_url));
	settings_clear();
	llm.provider = p;
	llm.key = key;
	llm.model = model;
	llm.base_url = base_url;
	log_info("LLM: the server set provider %s, model %s%s", p->name,
	    model, s->key.len > 0 ? ", with a key of its own" : "");
}

enum xerr
llm_change(const struct exec_llm_settings *s, const char **why)
{
	const struct provider	*p = provider_find(s->provider);

	if (s->provider.len == 0) {
		if (llm_on())
			log_info("LLM: the server switched it off");
		settings_clear();
		llm_list_forget();
		return XERR_NONE;
	}
	*why = "the provider is openai or anthropic";
	if (p == NULL)
		return XERR_EINVAL;
	*why = "a control character";
	if (!id_line_ok(s->key) || !id_line_ok(s->model) ||
	    !id_line_ok(s->base_url))
		return XERR_EINVAL;
	if ((*why = change_forbidden(s, p)) != NULL)
		return XERR_EPERM;
	change_apply(s, p);
	llm_list_forget();
	return XERR_NONE;
}

/* --- calls --- */

/* curl knows but the small letters, because of CGI. */
static const char *
call_proxy(const char *url)
{
	if (strncasecmp(url, "http://", 7) != 0 ||
	    getenv("http_proxy") != NULL)
		return NULL;
	return getenv("HTTP_PROXY");
}

struct http_call *
llm_send(enum llm_what what, const struct slices *headers, struct buf *body,
    unsigned int first_s, unsigned int idle_s, const struct http_ops *ops,
    void *arg, const char **why)
{
	const struct llm_provider	 to = {
		.dialect = llm.provider->dialect, .base_url = llm.base_url,
		.key = llm.key, .proxy = call_proxy(llm.base_url),
		.first_ms = first_s * LLM_SECOND_MS,
		.idle_ms = idle_s * LLM_SECOND_MS
	};
	const struct slices		 none = { NULL, 0 };
	struct http_call		*call;

	*why = "too many calls of the language model";
	if (llm.ncalls >= LLM_CALLS_MAX)
		return NULL;
	call = llm_http_call(llm.clients[llm.provider - providers], &to, what,
	    headers != NULL ? headers : &none, body, ops, arg, why);
	if (call != NULL)
		llm.ncalls++;
	return call;
}

void
llm_free(struct http_call *call)
{
	if (call == NULL)
		return;
	llm.ncalls--;
	http_call_free(call);
}
