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
 * The parts of the configuration that are more than one value: listeners,
 * secrets, capabilities, uid ranges; and reading small files whole.  Runs
 * in: supervisor.  A secret's bytes are wiped before they are freed.
 */

#include <sys/stat.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "confimpl.h"

/* enough for any token, little enough for a mistaken path */
#define SECRET_MAX	4096

static bool	is_wildcard(const struct conf_listen *);
static bool	is_same_port(const struct conf_listen *,
		    const struct conf_listen *);
static void	listen_check(struct conf_ctx *, struct conf_listen *,
		    struct conf_listen *);

static const char *const capabilities[] = {
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
	"KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
	"IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
	"MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE", NULL
};

/*
 * A whole file, NUL-terminated; NULL when it was refused and reported.  Only
 * what the command line names may be a pipe: an include must not block.
 */
char *
conf_slurp(struct conf_ctx *ctx, const char *path, const char *label,
    bool regular, size_t max, size_t *len, const struct conf_from *from)
{
	struct stat	 st;
	char		*buf = NULL, *ret = NULL;
	size_t		 n = 0;
	ssize_t		 got;
	int		 fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0));
	if (fd == -1 || fstat(fd, &st) == -1)
		conf_fault(ctx, CONF_ERROR, from, "%s%s", label,
		    strerror(errno));
	else if (regular ? !S_ISREG(st.st_mode) : S_ISDIR(st.st_mode))
		conf_fault(ctx, CONF_ERROR, from, "%snot a regular file",
		    label);
	else if ((buf = conf_alloc(max + 2)) == NULL)
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
	else
		ret = buf;
	while (ret != NULL && n <= max) {
		got = read(fd, buf + n, max + 1 - n);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			conf_fault(ctx, CONF_ERROR, from, "%s%s", label,
			    strerror(errno));
			ret = NULL;
		}
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (ret != NULL && n > max) {
		conf_fault(ctx, CONF_ERROR, from, "%slarger than %zu bytes",
		    label, max);
		ret = NULL;
	}
	if (ret == NULL)
		free(buf);
	else
		buf[*len = n] = '\0';
	if (fd != -1)
		close(fd);
	return (ret);
}

void
conf_secret_clear(struct conf_secret *s)
{
	if (s->value != NULL)
		explicit_bzero(s->value, s->len);
	free(s->value);
	free(s->file);
	memset(s, 0, sizeof(*s));
}

/* A value in clear, from the file or the environment; replaces a file. */
int
conf_secret_set(struct conf_ctx *ctx, struct conf_secret *s,
    enum conf_key key, const char *value, const struct conf_from *from)
{
	size_t	n = strlen(value);

	if (conf_claim(ctx, key, from) == -1)
		return (-1);
	if (n > SECRET_MAX || !confval_is_token(value)) {
		conf_fault(ctx, CONF_ERROR, from, "%s: empty, too long or "
		    "not printable without blanks", conf_rows[key].name);
		return (-1);
	}
	conf_secret_clear(s);
	if ((s->value = conf_strdup(value)) == NULL) {
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
		return (-1);
	}
	s->len = n;
	return (0);
}

int
conf_secret_file(struct conf_ctx *ctx, struct conf_secret *s,
    enum conf_key key, const char *path, const struct conf_from *from)
{
	struct conf_row	row = { NULL, conf_rows[key].name, CONF_T_PATH, 0, 0,
			    0, NULL, NULL, NULL };
	char		err[512];

	if (conf_claim(ctx, key, from) == -1)
		return (-1);
	if (confval_parse(&row, path, &s->file, err, sizeof(err)) == -1) {
		conf_fault(ctx, CONF_ERROR, from, "%s file: %s", row.name,
		    err);
		return (-1);
	}
	return (0);
}

void
conf_secret_read(struct conf_ctx *ctx, struct conf_secret *s,
    enum conf_key key)
{
	struct conf_from	*from = &ctx->conf->from[key];
	const struct conf_row	*row = &conf_rows[key];
	struct stat		 st;
	char			 label[600];

	if (s->file == NULL)
		return;
	snprintf(label, sizeof(label), "%s%s%s file \"%.500s\": ",
	    row->block != NULL ? row->block : "",
	    row->block != NULL ? " " : "", row->name, s->file);
	if (stat(s->file, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & S_IRWXO) != 0) {
		conf_fault(ctx, CONF_ERROR, from,
		    "%smode %04o, others must have no access", label,
		    (unsigned int)st.st_mode & 07777);
		return;
	}
	s->value = conf_slurp(ctx, s->file, label, true, SECRET_MAX, &s->len,
	    from);
	if (s->value == NULL)
		return;
	while (s->len > 0 && (s->value[s->len - 1] == '\n' ||
	    s->value[s->len - 1] == '\r'))
		s->value[--s->len] = '\0';
	if (s->len == 0)
		conf_fault(ctx, CONF_ERROR, from, "%sempty", label);
	else if (strlen(s->value) != s->len || !confval_is_token(s->value))
		conf_fault(ctx, CONF_ERROR, from,
		    "%snot one printable word", label);
}

/* Numeric addresses only: a look-up would block, and may change. */
struct conf_listen *
conf_listen_new(struct conf_ctx *ctx, const char *host, const char *port,
    const struct conf_from *from)
{
	struct addrinfo		 hints, *res = NULL;
	struct conf_listen	*l = NULL;
	struct in_addr		 in;
	char			 name[NI_MAXHOST];
	uint64_t		 n;

	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	else if (strcmp(host, "*") == 0)
		host = "0.0.0.0";
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
	if (confval_number(port, 1, 65535, &n) == -1) {
		conf_fault(ctx, CONF_ERROR, from,
		    "bad port \"%s\" (1 to 65535)", port);
		return (NULL);
	}
	/* getaddrinfo would take "1" for 0.0.0.1 */
	if ((strchr(host, ':') == NULL && inet_pton(AF_INET, host, &in) != 1)
	    || getaddrinfo(host, port, &hints, &res) != 0) {
		conf_fault(ctx, CONF_ERROR, from,
		    "bad address \"%s\" (numeric only)", host);
		return (NULL);
	}
	if ((l = conf_alloc(sizeof(*l))) != NULL)
		TAILQ_INIT(&l->pairs);
	if (l == NULL || getnameinfo(res->ai_addr, res->ai_addrlen, name,
	    sizeof(name), NULL, 0, NI_NUMERICHOST) != 0 ||
	    (l->host = conf_strdup(name)) == NULL ||
	    conf_from_set(&l->from, from->origin, from->name,
	    from->line) == -1) {
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
		conf_listen_free(l);
		l = NULL;
	} else {
		memcpy(&l->ss, res->ai_addr, res->ai_addrlen);
		l->sslen = res->ai_addrlen;
		l->port = (uint16_t)n;
		l->flags = CONF_LISTEN_API | CONF_LISTEN_WS;
	}
	freeaddrinfo(res);
	return (l);
}

void
conf_listen_free(struct conf_listen *l)
{
	struct conf_pair	*pair;

	if (l == NULL)
		return;
	while ((pair = TAILQ_FIRST(&l->pairs)) != NULL) {
		TAILQ_REMOVE(&l->pairs, pair, entry);
		free(pair->cert);
		free(pair->key);
		free(pair);
	}
	free(l->host);
	free(l->from.name);
	free(l);
}

static bool
is_wildcard(const struct conf_listen *l)
{
	const struct sockaddr_in6	*in6;

	in6 = (const struct sockaddr_in6 *)&l->ss;
	if (l->ss.ss_family == AF_INET6)
		return (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr));
	return (((const struct sockaddr_in *)&l->ss)->sin_addr.s_addr ==
	    htonl(INADDR_ANY));
}

static bool
is_same_port(const struct conf_listen *a, const struct conf_listen *b)
{
	return (a->port == b->port && a->ss.ss_family == b->ss.ss_family);
}

static void
listen_check(struct conf_ctx *ctx, struct conf_listen *a,
    struct conf_listen *b)
{
	if (!is_same_port(a, b))
		return;
	if (strcmp(a->host, b->host) == 0)
		conf_fault(ctx, CONF_ERROR, &b->from,
		    "listen on %s port %u is given twice", b->host, b->port);
	else if (is_wildcard(a) != is_wildcard(b)) {
		a->flags |= CONF_LISTEN_SHARED;
		b->flags |= CONF_LISTEN_SHARED;
	}
}

/*
 * The listeners nobody wrote down: the API on loopback, and one for the
 * runners when the environment (or remote mode) asks for it.
 */
static void
listen_defaults(struct conf_ctx *ctx)
{
	static const struct conf_from	 dflt;
	struct conf			*conf = ctx->conf;
	struct conf_listen		*l;
	char				 port[8];
	bool				 remote;

	remote = conf->have_remote && (!conf->embedded || ctx->env_mode);
	if ((l = conf_listen_new(ctx, "127.0.0.1", "8080", &dflt)) != NULL)
		TAILQ_INSERT_TAIL(&conf->listens, l, entry);
	if (ctx->ws_port == 0 && !remote)
		return;
	snprintf(port, sizeof(port), "%u",
	    ctx->ws_port != 0 ? ctx->ws_port : 8080U);
	l = conf_listen_new(ctx, "0.0.0.0", port, ctx->ws_port != 0 ?
	    &ctx->ws_from : &conf->from[conf->remote ? CONF_K_REMOTE :
	    CONF_K_MODE]);
	if (l == NULL)
		return;
	l->flags = CONF_LISTEN_WS;
	TAILQ_INSERT_TAIL(&conf->listens, l, entry);
}

void
conf_listens_finish(struct conf_ctx *ctx)
{
	struct conf		*conf = ctx->conf;
	struct conf_listen	*a, *b;

	if (conf->skill_only) {
		if (!TAILQ_EMPTY(&conf->listens))
			conf_fault(ctx, CONF_ERROR,
			    &TAILQ_FIRST(&conf->listens)->from,
			    "listen makes no sense with skill only");
	} else if (TAILQ_EMPTY(&conf->listens))
		listen_defaults(ctx);
	else if (ctx->ws_port != 0)
		conf_fault(ctx, CONF_WARNING, &ctx->ws_from,
		    "ignored, the configuration has listen");
	TAILQ_FOREACH(a, &conf->listens, entry) {
		for (b = TAILQ_NEXT(a, entry); b != NULL;
		    b = TAILQ_NEXT(b, entry))
			listen_check(ctx, a, b);
		if (conf->skill.enabled && conf->skill.listen != NULL)
			listen_check(ctx, a, conf->skill.listen);
	}
}

void
conf_caps_clear(struct conf *conf)
{
	struct conf_name	*n;

	while ((n = TAILQ_FIRST(&conf->docker.capdrop)) != NULL) {
		TAILQ_REMOVE(&conf->docker.capdrop, n, entry);
		free(n->name);
		free(n);
	}
}

int
conf_cap_drop(struct conf_ctx *ctx, const char *name,
    const struct conf_from *from)
{
	struct conf_name	*n;
	int			 i;

	if (strncmp(name, "CAP_", 4) == 0)
		name += 4;
	for (i = 0; capabilities[i] != NULL; i++)
		if (strcmp(capabilities[i], name) == 0)
			break;
	if (capabilities[i] == NULL) {
		conf_fault(ctx, CONF_ERROR, from,
		    "unknown capability \"%s\"", name);
		return (-1);
	}
	TAILQ_FOREACH(n, &ctx->conf->docker.capdrop, entry)
		if (strcmp(n->name, name) == 0)
			return (0);
	if ((n = conf_alloc(sizeof(*n))) == NULL ||
	    (n->name = conf_strdup(name)) == NULL) {
		free(n);
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
		return (-1);
	}
	TAILQ_INSERT_TAIL(&ctx->conf->docker.capdrop, n, entry);
	return (0);
}

/* "62000-62999": nobody's uids, below nobody else's rules. */
int
conf_uids_set(struct conf_ctx *ctx, const char *text,
    const struct conf_from *from)
{
	struct conf_none	*none = &ctx->conf->none;
	char			 buf[32], *dash;
	uint64_t		 lo, hi;

	if (conf_claim(ctx, CONF_K_NONE_UIDS, from) == -1)
		return (-1);
	if (strlen(text) >= sizeof(buf))
		goto bad;
	strcpy(buf, text);
	if ((dash = strchr(buf, '-')) == NULL)
		goto bad;
	*dash++ = '\0';
	if (confval_number(buf, 0, UINT32_MAX, &lo) == -1 ||
	    confval_number(dash, 0, UINT32_MAX, &hi) == -1 || lo > hi)
		goto bad;
	/* system users are below 1000; 65534 is nobody; 2^31 is the wild */
	if (lo < 1000 || hi > INT32_MAX || hi - lo >= 1000000 ||
	    (lo <= 65535 && hi >= 65534)) {
		conf_fault(ctx, CONF_ERROR, from, "none uid range: %s is out "
		    "of range (1000 to 2147483647, at most 1000000 of them, "
		    "without 65534 and 65535)", text);
		return (-1);
	}
	none->uid_min = (uid_t)lo;
	none->uid_max = (uid_t)hi;
	return (0);
bad:
	conf_fault(ctx, CONF_ERROR, from, "none uid range: bad range \"%s\"",
	    text);
	return (-1);
}

int
conf_none_user(struct conf_ctx *ctx, const char *name,
    const struct conf_from *from)
{
	struct conf_none	*none = &ctx->conf->none;

	if (conf_claim(ctx, CONF_K_NONE_UIDS, from) == -1)
		return (-1);
	if (!confval_is_name(name) || strcmp(name, "root") == 0 ||
	    strspn(name, "0123456789") == strlen(name)) {
		conf_fault(ctx, CONF_ERROR, from, "none user: bad user \"%s\"",
		    name);
		return (-1);
	}
	if ((none->user = conf_strdup(name)) == NULL) {
		conf_fault(ctx, CONF_ERROR, from, "out of memory");
		return (-1);
	}
	return (0);
}
