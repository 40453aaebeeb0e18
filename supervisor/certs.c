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
 * Certificates and keys, read as root and handed to front.
 * Runs in: supervisor.  Trusts the administrator's files, but their size.
 */

#include <sys/queue.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "supervisor/certs.h"
#include "supervisor/conf.h"

#define PEM_MAX		65536	/* ctl.def says the same */

struct pem {
	char	*text;
	size_t	 len;
};

struct cert {
	TAILQ_ENTRY(cert)	 entry;
	char			 listener[128];	/* as listen.c names it */
	char			*file;
	struct pem		 chain, key;
};

TAILQ_HEAD(certs, cert);

/* What front has, and what it will have when a reload goes well. */
static struct certs	now = TAILQ_HEAD_INITIALIZER(now);
static struct certs	next = TAILQ_HEAD_INITIALIZER(next);

static const char	*pem_read(struct pem *, const char *, bool);
static const char	*pem_take(struct pem *, int);
static void		 certs_clear(struct certs *);
static bool		 cert_load(const struct conf_listen *,
			    const struct conf_pair *, char *, size_t);

/* NULL, or why not. */
static const char *
pem_take(struct pem *pem, int fd)
{
	ssize_t	n;

	if ((pem->text = malloc(PEM_MAX + 1)) == NULL)
		return strerror(errno);
	while (pem->len <= PEM_MAX) {
		n = read(fd, pem->text + pem->len, PEM_MAX + 1 - pem->len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return strerror(errno);
		if (n == 0)
			break;
		pem->len += (size_t)n;
	}
	if (pem->len > PEM_MAX)
		return "larger than 64 KiB";
	if (pem->len == 0)
		return "empty";
	/* Front refuses a message of ours that is not text. */
	if (!utf8_valid(pem->text, pem->len) ||
	    memchr(pem->text, '\0', pem->len) != NULL)
		return "not PEM";
	return NULL;
}

static const char *
pem_read(struct pem *pem, const char *path, bool secret)
{
	struct stat	 st;
	const char	*why = NULL;
	int		 fd;

	/* A fifo must not stop us; a symbolic link is what certbot makes. */
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		return strerror(errno);
	if (fstat(fd, &st) == -1)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "not a regular file";
	else if (secret && st.st_mode & (S_IROTH | S_IWOTH))
		why = "everybody can read or change it: chmod o-rw";
	else
		why = pem_take(pem, fd);
	close(fd);
	return why;
}

static void
certs_clear(struct certs *list)
{
	struct cert *c;

	while ((c = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, c, entry);
		if (c->key.text != NULL)
			explicit_bzero(c->key.text, c->key.len);
		free(c->key.text);
		free(c->chain.text);
		free(c->file);
		free(c);
	}
}

static bool
cert_load(const struct conf_listen *l, const struct conf_pair *pair,
    char *text, size_t size)
{
	struct cert	*c = calloc(1, sizeof(*c));
	const char	*why, *what = "certificate", *path = pair->cert;

	if (c == NULL || (c->file = strdup(pair->cert)) == NULL) {
		free(c);
		snprintf(text, size, "out of memory");
		return false;
	}
	TAILQ_INSERT_TAIL(&next, c, entry);
	snprintf(c->listener, sizeof(c->listener), "%s port %u", l->host,
	    l->port);
	if ((why = pem_read(&c->chain, pair->cert, false)) == NULL) {
		what = "key";
		path = pair->key;
		why = pem_read(&c->key, pair->key, true);
	}
	if (why == NULL)
		return true;
	snprintf(text, size, "%s:%d: listen on %s: %s %s: %s", l->from.name,
	    l->from.line, c->listener, what, path, why);
	return false;
}

bool
certs_load(const struct conf *conf, char *text, size_t size)
{
	const struct conf_listen	*l;
	const struct conf_pair		*pair;

	certs_clear(&next);
	TAILQ_FOREACH(l, &conf->listens, entry)
		TAILQ_FOREACH(pair, &l->pairs, entry)
			if (!cert_load(l, pair, text, size)) {
				certs_clear(&next);
				return false;
			}
	return true;
}

void
certs_commit(void)
{
	certs_clear(&now);
	TAILQ_CONCAT(&now, &next, entry);
}

void
certs_discard(void)
{
	certs_clear(&next);
}

void
certs_send(struct chan *c)
{
	struct cert		*cert;
	struct ctl_tls_pair	 msg;

	TAILQ_FOREACH(cert, &now, entry) {
		msg.listener = slice_str(cert->listener);
		msg.file = slice_str(cert->file);
		msg.chain = (struct slice){ cert->chain.text, cert->chain.len };
		msg.key = (struct slice){ cert->key.text, cert->key.len };
		chan_send(c, CTL_TLS_PAIR, 0, &msg);
	}
}
