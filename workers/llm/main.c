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
 * xbot-llm: calls the server's own provider of language models.  Runs in: llm.
 * Trusts the parent; front and control to be ours, not to be intact; nothing
 * that the provider says.  Owns: the provider's key, which leaves only to it.
 */

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "workers/llm/llm.h"

static const struct rules *peer_rules(enum role, void **);
static void	 peer_up(enum role, struct chan *);
static void	 on_conf_llm(struct chan *, const struct msg *);
static void	 reloaded(void);
static bool	 prepare(enum role, struct priv_opts *);

static const struct rule from_parent[] = {
	{ CTL_CONF_LLM, STATES_ALL, on_conf_llm },
};

static const struct child_ops ops = {
	.roles = 1u << ROLE_LLM,
	.from_parent = from_parent,
	.nfrom_parent = sizeof(from_parent) / sizeof(from_parent[0]),
	.peer_rules = peer_rules, .peer_up = peer_up,
	.prepare = prepare, .reloaded = reloaded,
};

/* conf_llm, copied. */
struct settings {
	enum llm_dialect	 dialect;
	unsigned int		 first_ms, idle_ms;
	char			 base_url[1025];
	char			 key[4097];
	char			 ca_file[4097];
};

static struct client		 front, control;
static struct settings		 now, next;
static bool			 have_next;
static struct llm_provider	 provider;

/*
 * What libcurl and libc read once the door is closed: the bundle when it
 * verifies, the others for each name.  A file that is replaced while we run
 * is another file: the administrator restarts us.
 */
static const char *const	files[] = {
	"/etc/ssl", "/etc/pki", "/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates", "/usr/lib/ssl",
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	"/etc/host.conf", "/etc/gai.conf", "/etc/services"
};

static const struct rules *
peer_rules(enum role role, void **arg)
{
	if (role != ROLE_FRONT && role != ROLE_CONTROL)
		return NULL;
	*arg = role == ROLE_FRONT ? &front : &control;
	return &call_rules;
}

static void
peer_up(enum role role, struct chan *c)
{
	((struct client *)chan_arg(c))->chan = c;
}

static void
on_conf_llm(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_llm *p = m->body;

	next.dialect = p->dialect == LLM_ANTHROPIC ? LLM_ANTHROPIC :
	    LLM_OPENAI;
	next.first_ms = p->first_ms;
	next.idle_ms = p->idle_ms;
	(void)slice_copy(next.base_url, sizeof(next.base_url), p->base_url);
	(void)slice_copy(next.key, sizeof(next.key), p->key);
	(void)slice_copy(next.ca_file, sizeof(next.ca_file), p->ca_file);
	have_next = true;
}

static void
reloaded(void)
{
	if (!have_next)
		return;
	have_next = false;
	now = next;
	explicit_bzero(&next, sizeof(next));
	provider = (struct llm_provider){
		.dialect = now.dialect, .base_url = now.base_url,
		.key = now.key,
		.ca_file = now.ca_file[0] != '\0' ? now.ca_file : NULL,
		.proxy = "",
		.first_ms = now.first_ms, .idle_ms = now.idle_ms
	};
}

/* Libraries load what they need while there is a file system. */
static bool
prepare(enum role role, struct priv_opts *opts)
{
	struct http_client	*hc;
	struct addrinfo		*ai = NULL;
	size_t			 i;

	reloaded();
	if ((hc = http_client_new(child_base(), "xbot-llm/" XBOT_VERSION)) ==
	    NULL) {
		log_errorx("libcurl cannot be used");
		return false;
	}
	if (getaddrinfo("localhost", NULL, NULL, &ai) == 0)
		freeaddrinfo(ai);
	call_init(hc, &provider);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (access(files[i], F_OK) == 0)
			opts->paths[opts->npaths++] = (struct priv_path){
			    files[i], MAY_READ };
	if (provider.ca_file != NULL)
		opts->paths[opts->npaths++] = (struct priv_path){
		    provider.ca_file, MAY_READ };
	return true;
}

int
main(int argc, char *argv[])
{
	return child_main(argc, argv, &ops);
}
