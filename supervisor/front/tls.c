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
 * TLS of front's listeners.  Runs in: front.  Peers are hostile.
 * What a connection may choose from is in ctx_new(); which certificate it gets
 * is in on_servername().
 */

#include <sys/queue.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/bevio.h"
#include "base/compat/compat.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "supervisor/front/tls.h"
#include "supervisor/front/tls_ticket.h"

#define CHAIN_MAX	10	/* intermediate certificates of a pair */
#define SESSION_S	7200	/* a ticket is worth as long */
#define LISTENERS_MAX	64	/* names over our life: they are never freed */

/* Forward secrecy and AEAD or nothing; TLS 1.3 has no others. */
#define CIPHERS		"ECDHE+AESGCM:ECDHE+CHACHA20:!PSK:!SRP"
#define GROUPS		"X25519:P-256:P-384"

struct pair {
	TAILQ_ENTRY(pair)	 entry;
	SSL_CTX			*ctx;
};

TAILQ_HEAD(pairs, pair);

struct tls_listener {
	TAILQ_ENTRY(tls_listener) entry;
	char			 name[129];
	struct pairs		 pairs;		/* the first is the default */
	struct pairs		 next;		/* of the next commit */
	bool			 faulty;	/* next is not complete */
};

static TAILQ_HEAD(, tls_listener) listeners =
				    TAILQ_HEAD_INITIALIZER(listeners);
static unsigned int		 nlisteners;

static SSL_CTX	*ctx_new(struct tls_listener *);
static const char *ctx_load(SSL_CTX *, const struct ctl_tls_pair *);
static const char *chain_load(SSL_CTX *, struct slice);
static const char *key_load(SSL_CTX *, struct slice);
static const char *reason(const char *);
static void	 pair_told(const struct ctl_tls_pair *, SSL_CTX *);
static void	 pairs_clear(struct pairs *);
static int	 no_passphrase(char *, int, int, void *);
static int	 on_servername(SSL *, int *, void *);
static int	 on_alpn(SSL *, const unsigned char **, unsigned char *,
		    const unsigned char *, unsigned int, void *);
static void	 close_notify(struct bufferevent *);

/* OpenSSL's word for the last error; the queue is empty afterwards. */
static const char *
reason(const char *otherwise)
{
	unsigned long	 e = ERR_peek_last_error();
	const char	*text = e == 0 ? NULL : ERR_reason_error_string(e);

	ERR_clear_error();
	return text != NULL ? text : otherwise;
}

/* --- pairs --- */

/* A key with one would need somebody at the keyboard. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	*(bool *)arg = true;
	return -1;
}

static const char *
chain_load(SSL_CTX *ctx, struct slice pem)
{
	BIO		*bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	X509		*x = NULL;
	const char	*why = NULL;
	int		 n;

	if (bio == NULL)
		return "out of memory";
	if ((x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) == NULL)
		why = "no PEM certificate";
	else if (SSL_CTX_use_certificate(ctx, x) != 1)
		why = reason("unusable certificate");
	X509_free(x);
	for (n = 0; why == NULL && (x = PEM_read_bio_X509(bio, NULL, NULL,
	    NULL)) != NULL; n++)
		if (n == CHAIN_MAX || SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			why = n == CHAIN_MAX ? "too long a chain" :
			    reason("unusable chain");
		}
	ERR_clear_error();	/* the chain's end is one */
	BIO_free(bio);
	return why;
}

static const char *
key_load(SSL_CTX *ctx, struct slice pem)
{
	BIO		*bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	EVP_PKEY	*key;
	const char	*why = NULL;
	bool		 asked = false;

	if (bio == NULL)
		return "out of memory";
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	if (key == NULL)
		why = asked ? "the key has a passphrase" :
		    "the key file has no PEM key";
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		why = "the key does not match the certificate";
	ERR_clear_error();
	EVP_PKEY_free(key);
	BIO_free(bio);
	return why;
}

static const char *
ctx_load(SSL_CTX *ctx, const struct ctl_tls_pair *p)
{
	const char *why;

	if (ctx == NULL)
		return reason("out of memory");
	if ((why = chain_load(ctx, p->chain)) != NULL)
		return why;
	return key_load(ctx, p->key);
}

/* Whose it is and how long; out of date it is used all the same. */
static void
pair_told(const struct ctl_tls_pair *p, SSL_CTX *ctx)
{
	X509		*x = SSL_CTX_get0_certificate(ctx);
	const ASN1_TIME	*from = X509_get0_notBefore(x);
	const ASN1_TIME	*to = X509_get0_notAfter(x);
	char		 day[16] = "?", name[256] = "", vis[512];
	struct tm	 tm;
	int		 len = (int)p->listener.len, flen = (int)p->file.len;

	if (ASN1_TIME_to_tm(to, &tm) == 1)
		(void)strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	X509_NAME_oneline(X509_get_subject_name(x), name, sizeof(name));
	log_vis(vis, sizeof(vis), name, strlen(name));
	log_info("listen on %.*s: certificate of %s until %s", len,
	    (const char *)p->listener.p, vis, day);
	if (X509_cmp_current_time(to) < 0)
		log_warnx("listen on %.*s: certificate %.*s expired on %s",
		    len, (const char *)p->listener.p, flen,
		    (const char *)p->file.p, day);
	else if (X509_cmp_current_time(from) > 0)
		log_warnx("listen on %.*s: certificate %.*s is not valid yet",
		    len, (const char *)p->listener.p, flen,
		    (const char *)p->file.p);
}

static void
pairs_clear(struct pairs *list)
{
	struct pair *p;

	while ((p = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, p, entry);
		SSL_CTX_free(p->ctx);	/* connections have references */
		free(p);
	}
}

void
tls_on_pair(struct chan *c, const struct msg *m)
{
	const struct ctl_tls_pair	*p = m->body;
	struct tls_listener		*l;
	struct pair			*pair = NULL;
	const char			*why = "out of memory";
	char				 name[129];
	SSL_CTX				*ctx = NULL;

	if (!slice_copy(name, sizeof(name), p->listener) ||
	    (l = tls_listener(name)) == NULL) {
		log_errorx("listen on %s: %s", name, why);
		return;
	}
	ctx = ctx_new(l);
	if ((pair = calloc(1, sizeof(*pair))) == NULL ||
	    (why = ctx_load(ctx, p)) != NULL) {
		log_errorx("listen on %s: certificate %.*s: %s", name,
		    (int)p->file.len, (const char *)p->file.p, why);
		l->faulty = true;
		SSL_CTX_free(ctx);
		free(pair);
		return;
	}
	pair->ctx = ctx;
	TAILQ_INSERT_TAIL(&l->next, pair, entry);
	pair_told(p, ctx);
}

void
tls_commit(void)
{
	struct tls_listener *l;

	TAILQ_FOREACH(l, &listeners, entry) {
		if (l->faulty)
			pairs_clear(&l->next);
		else {
			pairs_clear(&l->pairs);
			TAILQ_CONCAT(&l->pairs, &l->next, entry);
		}
		if (l->faulty)
			log_errorx("listen on %s: %s", l->name,
			    TAILQ_EMPTY(&l->pairs) ?
			    "no usable certificate, so it serves nobody" :
			    "the certificates from before are kept");
		l->faulty = false;
	}
}

struct tls_listener *
tls_listener(const char *name)
{
	struct tls_listener *l;

	TAILQ_FOREACH(l, &listeners, entry)
		if (strcmp(l->name, name) == 0)
			return l;
	if (nlisteners == LISTENERS_MAX || (l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	nlisteners++;
	(void)strlcpy(l->name, name, sizeof(l->name));
	TAILQ_INIT(&l->pairs);
	TAILQ_INIT(&l->next);
	TAILQ_INSERT_TAIL(&listeners, l, entry);
	return l;
}

/* --- what connections get --- */

static SSL_CTX *
ctx_new(struct tls_listener *l)
{
	static const unsigned char	 id[] = "xbot";
	SSL_CTX				*ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	/* Idle connections hold no 32 KiB of record buffers. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, SESSION_S);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_servername);
	SSL_CTX_set_tlsext_servername_arg(ctx, l);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	/* Tickets hold for the names of all pairs, and over a reload. */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1 &&
	    SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 &&
	    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) == 1 &&
	    tls_ticket_attach(ctx))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* A certificate of just that name, else one with a wildcard, else the first. */
static int
on_servername(SSL *ssl, int *alert, void *arg)
{
	static const unsigned int flags[] = {
		X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
	};
	struct tls_listener	*l = arg;
	const char		*name;
	struct pair		*p;
	size_t			 i;

	name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		TAILQ_FOREACH(p, &l->pairs, entry)
			if (X509_check_host(SSL_CTX_get0_certificate(p->ctx),
			    name, 0, flags[i], NULL) == 1) {
				SSL_set_SSL_CTX(ssl, p->ctx);
				return SSL_TLSEXT_ERR_OK;
			}
	return SSL_TLSEXT_ERR_NOACK;
}

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	static const unsigned char	ours[] = "\x08http/1.1";
	unsigned char			*chosen;

	if (SSL_select_next_proto(&chosen, outlen, ours, sizeof(ours) - 1, in,
	    inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

struct bufferevent *
tls_accept(void *listener, struct event_base *base, int fd)
{
	struct tls_listener	*l = listener;
	struct pair		*p = TAILQ_FIRST(&l->pairs);
	struct bufferevent	*bev;
	SSL			*ssl;

	if (p == NULL || (ssl = SSL_new(p->ctx)) == NULL)
		return NULL;
	/* Takes ssl, also on failure. */
	bev = bufferevent_openssl_socket_new(base, fd, ssl,
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	/* Requests say how long they are: an end without close_notify cuts
	 * nothing off unnoticed. */
	if (bev != NULL)
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

const char *
tls_why(struct bufferevent *bev)
{
	unsigned long	 e;
	const char	*text = NULL;

	/* libevent mixes SSL_get_error()'s numbers in, which have no text. */
	while ((e = bufferevent_get_openssl_error(bev)) != 0)
		if (text == NULL)
			text = ERR_reason_error_string(e);
	return text != NULL ? text : "connection reset";
}

/* Set as bevio_tls_bye: the peer may tell our end from an attacker's. */
static void
close_notify(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	if (ssl == NULL || !SSL_is_init_finished(ssl))
		return;
	(void)SSL_shutdown(ssl);
	ERR_clear_error();
}

bool
tls_warm_up(void)
{
	bevio_tls_bye = close_notify;
	return tls_ticket_init() && tls_rehearse();
}
