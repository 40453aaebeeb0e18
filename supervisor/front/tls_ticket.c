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
 * Session tickets, and a handshake before there is anybody.  Runs in: front.
 */

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/front/tls_ticket.h"

#define TICKET_KEYS	3		/* the newest makes, all are accepted */
#define TICKET_TURN_MS	(4u * 3600 * 1000)	/* sessions end after two hours */

struct ticket_key {
	unsigned char	 name[16];
	unsigned char	 aes[32];
	unsigned char	 mac[32];
	bool		 set;
};

static struct ticket_key keys[TICKET_KEYS];	/* newest first */
static uint64_t		 turned_ms;

static bool
ticket_turn(void)
{
	struct ticket_key k = { .set = true };

	if (RAND_bytes(k.name, sizeof(k.name)) != 1 ||
	    RAND_bytes(k.aes, sizeof(k.aes)) != 1 ||
	    RAND_bytes(k.mac, sizeof(k.mac)) != 1)
		return false;
	OPENSSL_cleanse(&keys[TICKET_KEYS - 1], sizeof(keys[0]));
	memmove(keys + 1, keys, (TICKET_KEYS - 1) * sizeof(keys[0]));
	keys[0] = k;
	OPENSSL_cleanse(&k, sizeof(k));
	turned_ms = clock_ms();
	return true;
}

static bool
ticket_use(struct ticket_key *k, const unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	char		digest[] = "SHA256";
	OSSL_PARAM	params[3];

	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
	    k->mac, sizeof(k->mac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
	    digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	    EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv,
	    encrypt) == 1;
}

/* 1: fine; 2: fine, and send a ticket of the newest key; 0: no ticket. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	int i;

	if (clock_ms() - turned_ms >= TICKET_TURN_MS && !ticket_turn())
		return 0;
	if (encrypt) {
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(
		    EVP_aes_256_cbc())) != 1)
			return -1;
		memcpy(name, keys[0].name, sizeof(keys[0].name));
		return ticket_use(&keys[0], iv, cipher, mac, 1) ? 1 : -1;
	}
	for (i = 0; i < TICKET_KEYS; i++)
		if (keys[i].set && CRYPTO_memcmp(name, keys[i].name,
		    sizeof(keys[i].name)) == 0)
			return !ticket_use(&keys[i], iv, cipher, mac, 0) ? -1 :
			    i == 0 ? 1 : 2;
	return 0;
}

bool
tls_ticket_init(void)
{
	if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) == 1 && ticket_turn())
		return true;
	log_errorx("OpenSSL cannot be initialised");
	return false;
}

bool
tls_ticket_attach(SSL_CTX *ctx)
{
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}

/* --- the rehearsal --- */

static X509 *
self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();

	if (x == NULL)
		return NULL;
	if (ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), 60) != NULL &&
	    X509_set_pubkey(x, key) == 1 && X509_sign(x, key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

/* Both sides in turn over two pipes in memory. */
static bool
handshake(SSL_CTX *sctx, SSL_CTX *cctx)
{
	SSL	*s = SSL_new(sctx), *c = SSL_new(cctx);
	BIO	*sb = NULL, *cb = NULL;
	bool	 done = false;
	int	 i;

	if (s != NULL && c != NULL && BIO_new_bio_pair(&sb, 0, &cb, 0) == 1) {
		SSL_set_bio(s, sb, sb);
		SSL_set_bio(c, cb, cb);
		SSL_set_accept_state(s);
		SSL_set_connect_state(c);
		for (i = 0; i < 10 && !done; i++)
			done = (SSL_do_handshake(c) == 1) &
			    (SSL_do_handshake(s) == 1);
	}
	SSL_free(s);
	SSL_free(c);
	return done;
}

bool
tls_rehearse(void)
{
	SSL_CTX		*sctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX		*cctx = SSL_CTX_new(TLS_client_method());
	EVP_PKEY	*key = EVP_EC_gen("P-256");
	X509		*x = key != NULL ? self_signed(key) : NULL;
	bool		 ok = false;
	int		 version;

	if (sctx != NULL && cctx != NULL && x != NULL &&
	    tls_ticket_attach(sctx) && SSL_CTX_use_certificate(sctx, x) == 1 &&
	    SSL_CTX_use_PrivateKey(sctx, key) == 1) {
		ok = true;
		for (version = TLS1_2_VERSION; version <= TLS1_3_VERSION;
		    version++)
			ok = SSL_CTX_set_max_proto_version(cctx, version) ==
			    1 && handshake(sctx, cctx) && ok;
	}
	if (!ok)
		log_errorx("OpenSSL: no handshake with itself");
	ERR_clear_error();
	X509_free(x);
	EVP_PKEY_free(key);
	SSL_CTX_free(cctx);
	SSL_CTX_free(sctx);
	return ok;
}
