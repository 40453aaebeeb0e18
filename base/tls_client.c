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
 * TLS to a server, and texts that say what to do when it cannot be trusted.
 * Runs in: xbot-runner.
 */

#include <sys/socket.h>
#include <arpa/inet.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/bevio.h"
#include "base/compat/compat.h"
#include "base/log.h"
#include "base/tls_client.h"

#define NAMES_MAX	4	/* of a certificate for somebody else */

struct tls_client {
	SSL_CTX	*ctx;
	bool	 own_ca;	/* --ca-file */
	char	 host[256];	/* of the handshake now */
	char	 why[700];	/* it failed */
};

static int	on_verify(int, X509_STORE_CTX *);
static void	why_set(struct tls_client *, X509 *, int, int);
static void	why_names(struct tls_client *, X509 *);
static void	why_issuer(struct tls_client *, X509 *);
static void	why_time(struct tls_client *, X509 *, int, int);
static void	close_notify(struct bufferevent *);

/* --- texts --- */

/* What stands in a stranger's certificate, for a line of the log. */
static void
name_text(X509_NAME *name, char *dst, size_t size)
{
	char	 raw[256] = "";

	if (X509_NAME_get_text_by_NID(name, NID_commonName, raw,
	    sizeof(raw)) <= 0)
		X509_NAME_oneline(name, raw, sizeof(raw));
	log_vis(dst, size, raw, strlen(raw));
}

static bool
san_text(const GENERAL_NAME *san, char *dst, size_t size)
{
	const unsigned char	*p;
	char			 addr[INET6_ADDRSTRLEN];
	int			 len;

	if (san->type == GEN_DNS) {
		log_vis(dst, size,
		    (const char *)ASN1_STRING_get0_data(san->d.dNSName),
		    (size_t)ASN1_STRING_length(san->d.dNSName));
		return true;
	}
	if (san->type != GEN_IPADD)
		return false;
	p = ASN1_STRING_get0_data(san->d.iPAddress);
	len = ASN1_STRING_length(san->d.iPAddress);
	if ((len != 4 && len != 16) || inet_ntop(len == 4 ? AF_INET : AF_INET6,
	    p, addr, sizeof(addr)) == NULL)
		return false;
	(void)strlcpy(dst, addr, size);
	return true;
}

static void
why_names(struct tls_client *t, X509 *x)
{
	GENERAL_NAMES	*sans;
	char		 list[450] = "", one[200];
	int		 i, n = 0;

	sans = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (i = 0; i < sk_GENERAL_NAME_num(sans) && n <= NAMES_MAX; i++) {
		if (!san_text(sk_GENERAL_NAME_value(sans, i), one,
		    sizeof(one)))
			continue;
		if (n > 0)
			(void)strlcat(list, ", ", sizeof(list));
		(void)strlcat(list, n == NAMES_MAX ? "..." : one,
		    sizeof(list));
		n++;
	}
	GENERAL_NAMES_free(sans);
	if (n == 0)
		name_text(X509_get_subject_name(x), list, sizeof(list));
	snprintf(t->why, sizeof(t->why), "the certificate of %s is for %s",
	    t->host, list);
}

static void
why_issuer(struct tls_client *t, X509 *x)
{
	char	 name[256];

	name_text(X509_get_issuer_name(x), name, sizeof(name));
	snprintf(t->why, sizeof(t->why), "the certificate of %s was issued by "
	    "%s, which %s", t->host, name, t->own_ca ?
	    "is not in the --ca-file" : "this machine does not trust: give "
	    "that CA with --ca-file");
}

static void
why_time(struct tls_client *t, X509 *x, int depth, int expired)
{
	const ASN1_TIME	*when = expired ? X509_get0_notAfter(x) :
			    X509_get0_notBefore(x);
	char		 day[16] = "?", name[256] = "";
	struct tm	 tm;

	if (ASN1_TIME_to_tm(when, &tm) == 1)
		(void)strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	if (depth > 0)
		name_text(X509_get_subject_name(x), name, sizeof(name));
	snprintf(t->why, sizeof(t->why), "the certificate of %s%s%s %s on %s%s",
	    t->host, depth > 0 ? "'s issuer " : "", name, expired ?
	    "expired" : "is not valid yet, but", day, expired ? "" :
	    " (is the clock of this machine right?)");
}

static void
why_set(struct tls_client *t, X509 *x, int depth, int code)
{
	switch (code) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		why_names(t, x);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		why_time(t, x, depth, code == X509_V_ERR_CERT_HAS_EXPIRED);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		snprintf(t->why, sizeof(t->why), "%s has a self-signed "
		    "certificate%s", t->host, t->own_ca ?
		    " that is not in the --ca-file" :
		    ": give its CA with --ca-file");
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		why_issuer(t, x);
		break;
	default:
		snprintf(t->why, sizeof(t->why), "the certificate of %s: %s",
		    t->host, X509_verify_cert_error_string(code));
		break;
	}
}

/* The first fault is the one that is told; none is forgiven. */
static int
on_verify(int ok, X509_STORE_CTX *store)
{
	SSL			*ssl = X509_STORE_CTX_get_ex_data(store,
				    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_client	*t = SSL_CTX_get_app_data(
				    SSL_get_SSL_CTX(ssl));
	X509			*x = X509_STORE_CTX_get_current_cert(store);

	if (!ok && t->why[0] == '\0' && x != NULL)
		why_set(t, x, X509_STORE_CTX_get_error_depth(store),
		    X509_STORE_CTX_get_error(store));
	return ok;
}

const char *
tls_client_why(struct bufferevent *bev)
{
	SSL			*ssl = bufferevent_openssl_get_ssl(bev);
	struct tls_client	*t;
	unsigned long		 e;
	const char		*text = NULL;

	if (ssl == NULL)
		return NULL;
	t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	if (t->why[0] != '\0')
		return t->why;
	/* libevent mixes SSL_get_error()'s numbers in, which have no text. */
	while ((e = bufferevent_get_openssl_error(bev)) != 0)
		if (text == NULL && ERR_GET_LIB(e) == ERR_LIB_SSL)
			text = ERR_reason_error_string(e);
	if (text == NULL)
		return NULL;
	snprintf(t->why, sizeof(t->why), "TLS with %s: %s%s", t->host, text,
	    strcmp(text, "wrong version number") == 0 ?
	    " (does that port speak TLS? ws:// is without)" : "");
	return t->why;
}

/* --- connections --- */

struct tls_client *
tls_client_new(const char *ca_file, char *why, size_t size)
{
	struct tls_client	*t = calloc(1, sizeof(*t));
	X509_VERIFY_PARAM	*param;

	if (t == NULL || (t->ctx = SSL_CTX_new(TLS_client_method())) == NULL) {
		snprintf(why, size, "out of memory");
		free(t);
		return NULL;
	}
	t->own_ca = ca_file != NULL && *ca_file != '\0';
	bevio_tls_bye = close_notify;
	SSL_CTX_set_app_data(t->ctx, t);
	/* No other way but by verifying. */
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, on_verify);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	/* A certificate that the user names is trusted, root or not. */
	param = SSL_CTX_get0_param(t->ctx);
	if (t->own_ca)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (ca_file != NULL && t->own_ca && access(ca_file, R_OK) == -1) {
		snprintf(why, size, "%s", strerror(errno));
		tls_client_free(t);
		return NULL;
	}
	if (SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) == 1 &&
	    (t->own_ca ? SSL_CTX_load_verify_file(t->ctx, ca_file) :
	    SSL_CTX_set_default_verify_paths(t->ctx)) == 1) {
		ERR_clear_error();
		return t;
	}
	snprintf(why, size, "%s", t->own_ca ? "no PEM certificates there" :
	    "the system's certificates cannot be read");
	ERR_clear_error();
	tls_client_free(t);
	return NULL;
}

void
tls_client_free(struct tls_client *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

/* Addresses are compared with addresses; SNI is for names only. */
static bool
expect(SSL *ssl, const char *host)
{
	static const unsigned char	alpn[] = "\x08http/1.1";
	unsigned char			addr[sizeof(struct in6_addr)];

	if (SSL_set_alpn_protos(ssl, alpn, sizeof(alpn) - 1) != 0)
		return false;
	if (inet_pton(AF_INET, host, addr) == 1 ||
	    inet_pton(AF_INET6, host, addr) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
		    host) == 1;
	return SSL_set1_host(ssl, host) == 1 &&
	    SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct bufferevent *
tls_client_bev(struct tls_client *t, struct event_base *base, int fd,
    const char *host)
{
	SSL	*ssl = SSL_new(t->ctx);

	size_t	 len = strlen(host);

	/* The root's dot is no part of a certificate's name. */
	if (len > 1 && host[len - 1] == '.')
		len--;
	t->why[0] = '\0';
	snprintf(t->host, sizeof(t->host), "%.*s", (int)len, host);
	if (ssl == NULL || !expect(ssl, t->host)) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	/* Takes ssl, also on failure. */
	return bufferevent_openssl_socket_new(base, fd, ssl,
	    BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
}

static void
close_notify(struct bufferevent *bev)
{
	SSL	*ssl = bufferevent_openssl_get_ssl(bev);

	if (ssl == NULL || !SSL_is_init_finished(ssl))
		return;
	(void)SSL_shutdown(ssl);
	ERR_clear_error();
}
