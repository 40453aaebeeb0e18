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
 * What parse.y, env.c, conf.c, confval.c and printconf.c share.  Runs in:
 * supervisor.  Nobody else includes this.
 */

#ifndef SUPERVISOR_CONFIMPL_H
#define SUPERVISOR_CONFIMPL_H

#include "conf.h"

/* One load; errors are counted, so that every fault is told at once. */
struct conf_ctx {
	struct conf		*conf;
	const struct conf_opts	*opts;
	unsigned int		 errors;
	/* what env.c found out and conf.c needs for the defaults */
	bool			 env_mode;	/* a SANDBOX_*MODE is set */
	bool			 env_mode_odd;	/* SANDBOX_MODE remote, unknown */
	bool			 env_server;	/* any server variable is set */
	uint16_t		 ws_port;	/* 0: not set */
	struct conf_from	 ws_from;
};

enum conf_type {
	CONF_T_NONE,		/* by hand */
	CONF_T_NUM,		/* uint32_t */
	CONF_T_TIME,		/* uint32_t, seconds */
	CONF_T_RATE,		/* uint32_t, a second */
	CONF_T_CPUS,		/* uint32_t, thousandths */
	CONF_T_SIZE,		/* uint64_t, bytes */
	CONF_T_RLNUM,		/* uint64_t or CONF_OFF */
	CONF_T_RLTIME,
	CONF_T_RLSIZE,
	CONF_T_BOOL,		/* bool by words[2] */
	CONF_T_WORD,		/* enum by words[] */
	CONF_T_PATH,		/* char *, absolute */
	CONF_T_TEXT,		/* char *, printable */
	CONF_T_NAME,		/* char *, [A-Za-z0-9_.-] */
	CONF_T_IMAGE,		/* char *, an image reference */
	CONF_T_WSURL,		/* char *, ws or wss */
	CONF_T_URL,		/* char *, http or https */
	CONF_T_MAX
};

/* One keyword: how it is written, kept, limited; its default as text. */
struct conf_row {
	const char		*block;		/* NULL: top level */
	const char		*name;
	enum conf_type		 type;
	size_t			 off;
	uint64_t		 min;
	uint64_t		 max;
	const char *const	*words;
	const char		*def;		/* root's; NULL: none */
	const char		*def_user;	/* %S/ is the state directory */
};

/* confrows.c */
extern const struct conf_row conf_rows[CONF_K_MAX];

/* conf.c; a fault is reported and counted, then -1 or NULL */
void	*conf_alloc(size_t);
char	*conf_strdup(const char *);
void	 conf_report(struct conf_ctx *, enum conf_severity, const char *, int,
	    const char *, ...) __attribute__((format(printf, 5, 6)));
void	 conf_fault(struct conf_ctx *, enum conf_severity,
	    const struct conf_from *, const char *, ...)
	    __attribute__((format(printf, 4, 5)));
int	 conf_from_set(struct conf_from *, enum conf_origin, const char *, int);
int	 conf_claim(struct conf_ctx *, enum conf_key, const struct conf_from *);
int	 conf_set(struct conf_ctx *, enum conf_key, const char *,
	    const struct conf_from *);
void	 conf_short_token(struct conf_ctx *, const struct conf_from *);

/* confpart.c */
char	*conf_slurp(struct conf_ctx *, const char *, const char *, bool,
	    size_t, size_t *, const struct conf_from *);
void	 conf_secret_clear(struct conf_secret *);
int	 conf_secret_set(struct conf_ctx *, struct conf_secret *,
	    enum conf_key, const char *, const struct conf_from *);
int	 conf_secret_file(struct conf_ctx *, struct conf_secret *,
	    enum conf_key, const char *, const struct conf_from *);
void	 conf_secret_read(struct conf_ctx *, struct conf_secret *,
	    enum conf_key);
struct conf_listen *conf_listen_new(struct conf_ctx *, const char *,
	    const char *, const struct conf_from *);
void	 conf_listen_free(struct conf_listen *);
void	 conf_listens_finish(struct conf_ctx *);
int	 conf_cap_drop(struct conf_ctx *, const char *,
	    const struct conf_from *);
void	 conf_caps_clear(struct conf *);
int	 conf_uids_set(struct conf_ctx *, const char *,
	    const struct conf_from *);
int	 conf_none_user(struct conf_ctx *, const char *,
	    const struct conf_from *);

/* confval.c: text to value and back; -1 and a text on a fault */
int	 confval_parse(const struct conf_row *, const char *, void *, char *,
	    size_t);
void	 confval_print(const struct conf_row *, const void *, FILE *);
void	 confval_quote(const char *, FILE *);
int	 confval_number(const char *, uint64_t, uint64_t, uint64_t *);
bool	 confval_is_token(const char *);
bool	 confval_is_name(const char *);

/* parse.y */
int	 parse_file(struct conf_ctx *, const char *);

/* env.c */
void	 env_apply(struct conf_ctx *);
const char *env_get(char *const *, const char *);

#endif /* SUPERVISOR_CONFIMPL_H */
