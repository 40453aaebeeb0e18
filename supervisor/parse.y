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
 * The grammar of xbot.conf and its lexer.  Runs in: supervisor.  The file is
 * the administrator's; it is bounded all the same.  Owns, for one load: the
 * open files' text, macros and token strings (one arena, freed at the end,
 * so that no path through the parser can leak).
 */

%{
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/confimpl.h"

#define FILE_BYTES	((size_t)1 << 20)	/* nobody writes more */
#define TOTAL_BYTES	((size_t)4 << 20)	/* of all includes */
#define INCLUDE_DEPTH	16
#define STRING_BYTES	4096			/* PATH_MAX */
#define ERROR_MAX	50

/* A text being read: a file, or a macro's value inside one. */
struct source {
	SLIST_ENTRY(source)	 entry;
	const char		*name;
	char			*text;
	size_t			 len;
	size_t			 pos;
	int			 line;
	bool			 macro;
	bool			 midline;	/* owes a newline at its end */
};

struct macro {
	SLIST_ENTRY(macro)	 entry;
	const char		*name;
	const char		*value;
	bool			 fixed;		/* -D: files do not change it */
};

struct chunk {
	SLIST_ENTRY(chunk)	 entry;
	max_align_t		 data[];
};

struct token {
	const char		*s;
	const char		*file;
	int			 line;
};

/* The state of one load; zero between loads. */
static struct parser {
	struct conf_ctx		*ctx;
	SLIST_HEAD(, source)	 sources;
	SLIST_HEAD(, macro)	 macros;
	SLIST_HEAD(, chunk)	 arena;
	struct source		*file;		/* innermost file */
	size_t			 total;
	unsigned int		 depth;
	unsigned int		 base;		/* ctx->errors at the start */
	bool			 told;		/* the lexer reported it */
	bool			 full;		/* too deep or too large */
	struct token		 tok;		/* the last one */
	const char		*block;
	struct token		 block_at;
	struct conf_listen	*listen;
} p;

static void	 yyerror(const char *);
static int	 yylex(void);
static void	 fault(const struct token *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));
static int	 many(void);
static struct conf_from origin(const struct token *);
static int	 set(enum conf_key, const struct token *);
static int	 unknown(const struct token *);
static int	 block_open(enum conf_key, const struct token *);
static void	 block_close(void);
static int	 listen_open(const struct token *, const struct token *);
static void	 listen_close(void);
static int	 listen_pair(const struct token *, const struct token *);
static int	 listen_file(char **, const struct token *, const char *);
static int	 control_group(const struct token *);
static int	 token_inline(const struct token *);
static int	 token_file(struct conf_secret *, enum conf_key,
		    const struct token *);
static int	 skill_listen(const struct token *, const struct token *);
static int	 include(const struct token *);
static int	 macro_set(const char *, const char *, bool);
static void	*arena_alloc(size_t);
static char	*arena_dup(const char *, size_t);

/*
 * What an action calls reports its own fault; the parser goes on, to tell
 * the next one too, until there are enough.
 */
#define TRY(x)	do { if ((x) == -1 && many()) YYABORT; } while (0)
%}

%union {
	struct token	t;
}

%token	<t> STRING
%token	<t> AGENTS API AS ASSEMBLY AUDIT AUTH BASE BUDGET CA CAPABILITIES
%token	<t> CERTIFICATE CONTROL CPU CPUS DIRECTORY DOCKER DROP EXEC EXPORT
%token	<t> FILE_ FSIZE GROUP HEADER HOST IDLE IMAGE IMPORT INCLUDE JSON KEY
%token	<t> LEVEL LIMIT LISTEN LLM LOG MEMORY MESSAGE METRICS MODE MODEL
%token	<t> NETWORK NEW NO NOFILE NONE NPROC ON ONLY OUTPUT PERSIST PIDS
%token	<t> POLICY PORT PREFER PRIVILEGES PROCESSES PROVIDER PTY PUBLIC PULL
%token	<t> RANGE RATE REMOTE REQUIRE RLIMIT RUNNER RUNNERS SANDBOX SERVER
%token	<t> SKILL SKILLS SOCKET STATE TASK TIMEOUT TLS TOKEN UID URL USER WEB
%token	<t> WORKDIR WORKSPACE YES
%token	<t> BAD
%type	<t> word optyes

%%

grammar		: %empty
		| grammar '\n'
		| grammar phrase '\n'
		| grammar include
		| grammar error '\n'	{ yyerrok; if (many()) YYABORT; }
		;

/* The newline belongs to it: what follows comes out of the new file. */
include		: INCLUDE STRING '\n'	{
			TRY(include(&$2));
			if (p.full)
				YYABORT;
		}
		;

phrase		: STRING		{ if (unknown(&$1)) YYERROR; }
		| STRING '=' word	{
			if (!macro_set($1.s, $3.s, false))
				fault(&$1, "bad macro name \"%s\"", $1.s);
		}
		| listen
		| PUBLIC URL word	{ TRY(set(CONF_K_PUBLIC_URL, &$3)); }
		| CONTROL SOCKET word optgroup {
			TRY(set(CONF_K_CONTROL, &$3));
		}
		| STATE DIRECTORY word	{ TRY(set(CONF_K_STATE, &$3)); }
		| LOG LEVEL word	{ TRY(set(CONF_K_LOG_LEVEL, &$3)); }
		| AUDIT LOG word	{ TRY(set(CONF_K_AUDIT_LOG, &$3)); }
		| SANDBOX sandbox
		| AUTH TOKEN STRING	{ TRY(token_inline(&$3)); }
		| AUTH TOKEN FILE_ STRING {
			TRY(token_file(&p.ctx->conf->auth_token,
			    CONF_K_AUTH_TOKEN, &$4));
		}
		| API TOKEN FILE_ STRING {
			TRY(token_file(&p.ctx->conf->api_token,
			    CONF_K_API_TOKEN, &$4));
		}
		| WEB USER SERVER RUNNER word {
			TRY(set(CONF_K_WEB_USER, &$5));
		}
		| USER LIMIT userlimits
		| LIMIT limits
		| SKILL ONLY		{
			struct conf_from from = origin(&$2);

			TRY(conf_claim(p.ctx, CONF_K_SKILL_ONLY, &from));
			p.ctx->conf->skill_only = true;
		}
		| none | docker | remote | llm | skill
		;

/* Words of the grammar that are values elsewhere. */
word		: STRING | NONE | DOCKER | REMOTE | HOST | YES | NO | EXPORT
		| IMPORT | SKILL | API | SERVER | RUNNER | USER
		;

optyes		: %empty		{ $$ = p.tok; $$.s = "yes"; }
		| word
		;

optgroup	: %empty
		| GROUP word		{ TRY(control_group(&$2)); }
		;

listen		: LISTEN ON word PORT word {
			TRY(listen_open(&$3, &$5));
		} listenopts		{ listen_close(); }
		;

listenopts	: %empty
		| listenopts listenopt
		;

listenopt	: METRICS		{
			if (p.listen != NULL)
				p.listen->flags |= CONF_LISTEN_METRICS;
		}
		| RUNNERS		{
			if (p.listen != NULL)
				p.listen->flags &= ~CONF_LISTEN_API;
		}
		| TLS pairs
		;

pairs		: pair
		| pairs pair
		;

pair		: CERTIFICATE STRING KEY STRING {
			TRY(listen_pair(&$2, &$4));
		}
		;

sandbox		: PREFER		{ TRY(set(CONF_K_NEED, &$1)); }
		| REQUIRE		{ TRY(set(CONF_K_NEED, &$1)); }
		| MODE word		{ TRY(set(CONF_K_MODE, &$2)); }
		| REMOTE optyes		{ TRY(set(CONF_K_REMOTE, &$2)); }
		| HOST word		{ TRY(set(CONF_K_HOST, &$2)); }
		;

userlimits	: userlimit
		| userlimits userlimit
		;

userlimit	: EXEC word		{ TRY(set(CONF_K_USER_EXEC, &$2)); }
		| TASK word		{ TRY(set(CONF_K_USER_TASK, &$2)); }
		| PTY word		{ TRY(set(CONF_K_USER_PTY, &$2)); }
		| LLM word		{ TRY(set(CONF_K_USER_LLM, &$2)); }
		| RATE word		{ TRY(set(CONF_K_USER_RATE, &$2)); }
		;

limits		: limit
		| limits limit
		;

limit		: JSON word		{ TRY(set(CONF_K_LIMIT_JSON, &$2)); }
		| HEADER word		{ TRY(set(CONF_K_LIMIT_HEADER, &$2)); }
		| OUTPUT word		{ TRY(set(CONF_K_LIMIT_OUTPUT, &$2)); }
		| FILE_ word		{ TRY(set(CONF_K_LIMIT_FILE, &$2)); }
		| LLM word		{ TRY(set(CONF_K_LIMIT_LLM, &$2)); }
		;

none		: NONE '{'		{ TRY(block_open(CONF_K_NONE, &$1)); }
		  noneopts close	{ block_close(); }
		;

close		: '}'
		| error '}'		{ yyerrok; }
		;

noneopts	: %empty
		| noneopts '\n'
		| noneopts noneopt
		| noneopts error '\n'	{ yyerrok; if (many()) YYABORT; }
		;

noneopt		: STRING		{ if (unknown(&$1)) YYERROR; }
		| UID RANGE word	{
			struct conf_from from = origin(&$3);

			TRY(conf_uids_set(p.ctx, $3.s, &from));
		}
		| USER word		{
			struct conf_from from = origin(&$2);

			TRY(conf_none_user(p.ctx, $2.s, &from));
		}
		| WORKSPACE word	{
			TRY(set(CONF_K_NONE_WORKSPACE, &$2));
		}
		| RLIMIT rlimit
		;

rlimit		: CPU word		{ TRY(set(CONF_K_NONE_CPU, &$2)); }
		| NPROC word		{ TRY(set(CONF_K_NONE_NPROC, &$2)); }
		| NOFILE word		{ TRY(set(CONF_K_NONE_NOFILE, &$2)); }
		| FSIZE word		{ TRY(set(CONF_K_NONE_FSIZE, &$2)); }
		| AS word		{ TRY(set(CONF_K_NONE_AS, &$2)); }
		;

docker		: DOCKER '{'		{ TRY(block_open(CONF_K_DOCKER, &$1)); }
		  dockeropts close	{ block_close(); }
		;

dockeropts	: %empty
		| dockeropts '\n'
		| dockeropts dockeropt
		| dockeropts error '\n'	{ yyerrok; if (many()) YYABORT; }
		;

dockeropt	: STRING		{ if (unknown(&$1)) YYERROR; }
		| SOCKET word		{ TRY(set(CONF_K_DOCKER_SOCKET, &$2)); }
		| IMAGE word		{ TRY(set(CONF_K_DOCKER_IMAGE, &$2)); }
		| HOST WORKDIR word	{
			TRY(set(CONF_K_DOCKER_WORKDIR, &$3));
		}
		| IDLE TIMEOUT word	{ TRY(set(CONF_K_DOCKER_IDLE, &$3)); }
		| MEMORY word		{ TRY(set(CONF_K_DOCKER_MEMORY, &$2)); }
		| CPUS word		{ TRY(set(CONF_K_DOCKER_CPUS, &$2)); }
		| PIDS word		{ TRY(set(CONF_K_DOCKER_PIDS, &$2)); }
		| NETWORK word		{
			TRY(set(CONF_K_DOCKER_NETWORK, &$2));
		}
		| CAPABILITIES DROP	{
			struct conf_from from = origin(&$2);

			TRY(conf_claim(p.ctx, CONF_K_DOCKER_CAPS, &from));
		} drops '\n'
		| NO NEW PRIVILEGES word {
			TRY(set(CONF_K_DOCKER_NNP, &$4));
		}
		| PERSIST word		{
			TRY(set(CONF_K_DOCKER_PERSIST, &$2));
		}
		| PULL word		{ TRY(set(CONF_K_DOCKER_PULL, &$2)); }
		;

drops		: NONE
		| droplist
		;

droplist	: drop
		| droplist drop
		;

drop		: STRING		{
			struct conf_from from = origin(&$1);

			TRY(conf_cap_drop(p.ctx, $1.s, &from));
		}
		;

remote		: REMOTE '{'		{
			TRY(block_open(CONF_K_REMOTE_BLOCK, &$1));
		} remoteopts close	{ block_close(); }
		;

remoteopts	: %empty
		| remoteopts '\n'
		| remoteopts remoteopt
		| remoteopts error '\n'	{ yyerrok; if (many()) YYABORT; }
		;

remoteopt	: STRING		{ if (unknown(&$1)) YYERROR; }
		| SKILLS word		{ TRY(set(CONF_K_REMOTE_SKILLS, &$2)); }
		| AGENTS word		{ TRY(set(CONF_K_REMOTE_AGENTS, &$2)); }
		| MESSAGE LIMIT word	{
			TRY(set(CONF_K_REMOTE_MESSAGE, &$3));
		}
		| ASSEMBLY BUDGET word	{
			TRY(set(CONF_K_REMOTE_BUDGET, &$3));
		}
		;

llm		: LLM '{'		{ TRY(block_open(CONF_K_LLM, &$1)); }
		  llmopts close		{ block_close(); }
		;

llmopts		: %empty
		| llmopts '\n'
		| llmopts llmopt
		| llmopts error '\n'	{ yyerrok; if (many()) YYABORT; }
		;

llmopt		: STRING		{ if (unknown(&$1)) YYERROR; }
		| PROVIDER word		{ TRY(set(CONF_K_LLM_PROVIDER, &$2)); }
		| BASE URL word		{ TRY(set(CONF_K_LLM_URL, &$3)); }
		| MODEL word		{ TRY(set(CONF_K_LLM_MODEL, &$2)); }
		| TIMEOUT word		{ TRY(set(CONF_K_LLM_TIMEOUT, &$2)); }
		| IDLE TIMEOUT word	{ TRY(set(CONF_K_LLM_IDLE, &$3)); }
		| CA FILE_ STRING	{ TRY(set(CONF_K_LLM_CA, &$3)); }
		| API KEY FILE_ STRING	{
			TRY(token_file(&p.ctx->conf->llm.key, CONF_K_LLM_KEY,
			    &$4));
		}
		;

skill		: SKILL '{'		{ TRY(block_open(CONF_K_SKILL, &$1)); }
		  skillopts close	{ block_close(); }
		;

skillopts	: %empty
		| skillopts '\n'
		| skillopts skillopt
		| skillopts error '\n'	{ yyerrok; if (many()) YYABORT; }
		;

skillopt	: STRING		{ if (unknown(&$1)) YYERROR; }
		| LISTEN ON word PORT word {
			TRY(skill_listen(&$3, &$5));
		}
		| TOKEN FILE_ STRING	{
			TRY(token_file(&p.ctx->conf->skill.token,
			    CONF_K_SKILL_TOKEN, &$3));
		}
		| POLICY word		{ TRY(set(CONF_K_SKILL_POLICY, &$2)); }
		| API BASE URL word	{ TRY(set(CONF_K_SKILL_API_URL, &$4)); }
		| TIMEOUT word		{ TRY(set(CONF_K_SKILL_TIMEOUT, &$2)); }
		| MEMORY word		{ TRY(set(CONF_K_SKILL_MEMORY, &$2)); }
		| PROCESSES word	{
			TRY(set(CONF_K_SKILL_PROCESSES, &$2));
		}
		;

%%

/* Sorted: yylex searches it by halves. */
static const struct keyword {
	const char	*name;
	int		 token;
} keywords[] = {
	{ "agents", AGENTS }, { "api", API }, { "as", AS },
	{ "assembly", ASSEMBLY }, { "audit", AUDIT }, { "auth", AUTH },
	{ "base", BASE }, { "budget", BUDGET },
	{ "ca", CA }, { "capabilities", CAPABILITIES },
	{ "certificate", CERTIFICATE },
	{ "control", CONTROL }, { "cpu", CPU }, { "cpus", CPUS },
	{ "directory", DIRECTORY }, { "docker", DOCKER }, { "drop", DROP },
	{ "exec", EXEC }, { "export", EXPORT }, { "file", FILE_ },
	{ "fsize", FSIZE }, { "group", GROUP }, { "header", HEADER },
	{ "host", HOST }, { "idle", IDLE }, { "image", IMAGE },
	{ "import", IMPORT }, { "include", INCLUDE }, { "json", JSON },
	{ "key", KEY }, { "level", LEVEL }, { "limit", LIMIT },
	{ "listen", LISTEN }, { "llm", LLM }, { "log", LOG },
	{ "memory", MEMORY }, { "message", MESSAGE }, { "metrics", METRICS },
	{ "mode", MODE }, { "model", MODEL }, { "network", NETWORK },
	{ "new", NEW }, { "no", NO }, { "nofile", NOFILE }, { "none", NONE },
	{ "nproc", NPROC }, { "on", ON }, { "only", ONLY },
	{ "output", OUTPUT }, { "persist", PERSIST }, { "pids", PIDS },
	{ "policy", POLICY }, { "port", PORT }, { "prefer", PREFER },
	{ "privileges", PRIVILEGES }, { "processes", PROCESSES },
	{ "provider", PROVIDER }, { "pty", PTY }, { "public", PUBLIC },
	{ "pull", PULL }, { "range", RANGE }, { "rate", RATE },
	{ "remote", REMOTE }, { "require", REQUIRE }, { "rlimit", RLIMIT },
	{ "runner", RUNNER }, { "runners", RUNNERS }, { "sandbox", SANDBOX },
	{ "server", SERVER }, { "skill", SKILL }, { "skills", SKILLS },
	{ "socket", SOCKET }, { "state", STATE }, { "task", TASK },
	{ "timeout", TIMEOUT }, { "tls", TLS }, { "token", TOKEN },
	{ "uid", UID }, { "url", URL }, { "user", USER }, { "web", WEB },
	{ "workdir", WORKDIR }, { "workspace", WORKSPACE }, { "yes", YES },
};

static int
keyword_cmp(const void *a, const void *b)
{
	return (strcmp(a, ((const struct keyword *)b)->name));
}

static int
keyword_find(const char *s)
{
	const struct keyword	*k;

	k = bsearch(s, keywords, sizeof(keywords) / sizeof(keywords[0]),
	    sizeof(keywords[0]), keyword_cmp);
	return (k == NULL ? STRING : k->token);
}

static void *
arena_alloc(size_t len)
{
	struct chunk	*c;

	if ((c = conf_alloc(sizeof(*c) + len)) == NULL) {
		fault(&p.tok, "out of memory");
		return (NULL);
	}
	SLIST_INSERT_HEAD(&p.arena, c, entry);
	return (c->data);
}

static char *
arena_dup(const char *s, size_t len)
{
	char	*copy;

	if ((copy = arena_alloc(len + 1)) != NULL)
		memcpy(copy, s, len);
	return (copy);
}

static void
fault(const struct token *t, const char *fmt, ...)
{
	char	text[1024];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_report(p.ctx, CONF_ERROR, t->file, t->line, "%s", text);
}

static int
many(void)
{
	if (p.ctx->errors - p.base < ERROR_MAX)
		return (0);
	fault(&p.tok, "too many errors");
	return (1);
}

/* bison's own words say less than the place does. */
static void
yyerror(const char *msg)
{
	(void)msg;
	if (p.told) {
		p.told = false;
		return;
	}
	if (p.tok.s == NULL && p.block != NULL)
		fault(&p.block_at, "block \"%s\" is not closed", p.block);
	else if (p.tok.s == NULL)
		fault(&p.tok, "syntax error at end of file");
	else if (*p.tok.s == '\n')
		fault(&p.tok, "syntax error at end of line");
	else
		fault(&p.tok, "syntax error near \"%.200s\"", p.tok.s);
}

static struct conf_from
origin(const struct token *t)
{
	struct conf_from	from;

	from.origin = CONF_FROM_FILE;
	from.name = (char *)(uintptr_t)t->file;	/* lent */
	from.line = t->line;
	return (from);
}

static int
set(enum conf_key key, const struct token *t)
{
	struct conf_from	from = origin(t);

	return (conf_set(p.ctx, key, t->s, &from));
}

static int
unknown(const struct token *t)
{
	fault(t, "unknown keyword \"%.200s\"", t->s);
	return (1);
}

static int
block_open(enum conf_key key, const struct token *t)
{
	struct conf_from	from = origin(t);

	p.block = t->s;
	p.block_at = *t;
	return (conf_claim(p.ctx, key, &from));
}

static void
block_close(void)
{
	p.block = NULL;
}

static int
listen_open(const struct token *host, const struct token *port)
{
	struct conf_from	from = origin(port);

	conf_listen_free(p.listen);	/* of a phrase that had an error */
	p.listen = conf_listen_new(p.ctx, host->s, port->s, &from);
	return (p.listen == NULL ? -1 : 0);
}

static void
listen_close(void)
{
	if (p.listen != NULL)
		TAILQ_INSERT_TAIL(&p.ctx->conf->listens, p.listen, entry);
	p.listen = NULL;
}

/* The client's SNI chooses among several. */
static int
listen_pair(const struct token *cert, const struct token *key)
{
	struct conf_pair	*pair, *other;
	int			 n = 0;

	if (p.listen == NULL)
		return (0);		/* the phrase had an error */
	TAILQ_FOREACH(other, &p.listen->pairs, entry) {
		n++;
		if (strcmp(other->cert, cert->s) == 0) {
			fault(cert, "tls certificate: \"%s\" is given twice",
			    cert->s);
			return (-1);
		}
	}
	if (n == CONF_PAIRS_MAX) {
		fault(cert, "tls: more than %d certificates", CONF_PAIRS_MAX);
		return (-1);
	}
	if ((pair = conf_alloc(sizeof(*pair))) == NULL) {
		fault(cert, "out of memory");
		return (-1);
	}
	if (listen_file(&pair->cert, cert, "certificate") == -1 ||
	    listen_file(&pair->key, key, "key") == -1) {
		free(pair->cert);
		free(pair);
		return (-1);
	}
	TAILQ_INSERT_TAIL(&p.listen->pairs, pair, entry);
	p.listen->flags |= CONF_LISTEN_TLS;
	return (0);
}

static int
listen_file(char **dst, const struct token *t, const char *what)
{
	struct conf_row	row = { NULL, what, CONF_T_PATH, 0, 0, 0, NULL, NULL,
			    NULL };
	char		err[512];

	if (confval_parse(&row, t->s, dst, err, sizeof(err)) == -1) {
		fault(t, "tls %s: %s", what, err);
		return (-1);
	}
	return (0);
}

static int
control_group(const struct token *t)
{
	struct conf	*conf = p.ctx->conf;

	if (conf->control_group != NULL)
		return (0);		/* the duplicate path is told */
	if (!confval_is_name(t->s)) {
		fault(t, "control socket: bad group \"%s\"", t->s);
		return (-1);
	}
	if ((conf->control_group = conf_strdup(t->s)) == NULL) {
		fault(t, "out of memory");
		return (-1);
	}
	return (0);
}

static int
token_inline(const struct token *t)
{
	struct conf_from	 from = origin(t);
	struct stat		 st;

	if (stat(t->file, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
		conf_fault(p.ctx, CONF_WARNING, &from, "auth token: others "
		    "can read this file (mode %04o)",
		    (unsigned int)st.st_mode & 07777);
	return (conf_secret_set(p.ctx, &p.ctx->conf->auth_token,
	    CONF_K_AUTH_TOKEN, t->s, &from));
}

static int
token_file(struct conf_secret *s, enum conf_key key, const struct token *t)
{
	struct conf_from	from = origin(t);

	return (conf_secret_file(p.ctx, s, key, t->s, &from));
}

static int
skill_listen(const struct token *host, const struct token *port)
{
	struct conf_from	 from = origin(port);

	if (conf_claim(p.ctx, CONF_K_SKILL_LISTEN, &from) == -1)
		return (-1);
	p.ctx->conf->skill.listen = conf_listen_new(p.ctx, host->s, port->s,
	    &from);
	return (p.ctx->conf->skill.listen == NULL ? -1 : 0);
}

/* Macros. */

static bool
is_macro_char(int c, bool first)
{
	return (c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (!first && c >= '0' && c <= '9'));
}

static struct macro *
macro_find(const char *name)
{
	struct macro	*m;

	SLIST_FOREACH(m, &p.macros, entry)
		if (strcmp(m->name, name) == 0)
			return (m);
	return (NULL);
}

/* False when the name is none. */
static int
macro_set(const char *name, const char *value, bool fixed)
{
	struct macro	*m;
	size_t		 i;

	for (i = 0; name[i] != '\0'; i++)
		if (!is_macro_char((unsigned char)name[i], i == 0))
			return (0);
	if (i == 0)
		return (0);
	if ((m = macro_find(name)) != NULL) {
		if (!m->fixed || fixed)
			m->value = value;
		return (1);
	}
	if ((m = arena_alloc(sizeof(*m))) == NULL)
		return (1);
	m->name = name;
	m->value = value;
	m->fixed = fixed;
	SLIST_INSERT_HEAD(&p.macros, m, entry);
	return (1);
}

/* -D name=value */
static void
macro_option(const char *text)
{
	const char	*c, *eq = strchr(text, '=');
	char		*name;

	/* a newline in the middle of a phrase would upset the line count */
	for (c = text; (unsigned char)*c >= ' ' && *c != 0x7f; c++)
		;
	name = arena_dup(text, eq == NULL ? 0 : (size_t)(eq - text));
	if (name == NULL || eq == NULL || *c != '\0' ||
	    !macro_set(name, eq + 1, true))
		conf_report(p.ctx, CONF_ERROR, "-D", 0,
		    "bad macro \"%s\" (use name=value)", text);
}

/* Sources. */

static bool
source_push(const char *name, char *text, size_t len, bool macro)
{
	struct source	*s;

	if ((s = arena_alloc(sizeof(*s))) == NULL)
		return (false);
	s->name = name;
	s->text = text;
	s->len = len;
	s->line = macro ? p.file->line : 1;
	s->macro = macro;
	SLIST_INSERT_HEAD(&p.sources, s, entry);
	if (!macro) {
		p.file = s;
		p.depth++;
	}
	return (true);
}

static void
source_pop(void)
{
	struct source	*s = SLIST_FIRST(&p.sources);

	SLIST_REMOVE_HEAD(&p.sources, entry);
	if (s->macro)
		return;
	free(s->text);
	p.depth--;
	SLIST_FOREACH(s, &p.sources, entry)
		if (!s->macro)
			break;
	p.file = s;
}

/* label stands before the reason; from is the phrase that names the file */
static int
source_open(const char *path, const char *label, const struct conf_from *from)
{
	const char	*name;
	char		*text;
	size_t		 len;

	text = conf_slurp(p.ctx, path, label, p.depth > 0, FILE_BYTES, &len,
	    from);
	if (text == NULL)
		return (-1);
	p.total += len;
	name = arena_dup(path, strlen(path));
	if (p.total > TOTAL_BYTES) {
		conf_fault(p.ctx, CONF_ERROR, from,
		    "%sall files together are larger than %zu bytes", label,
		    TOTAL_BYTES);
		free(text);
		p.full = true;
		return (-1);
	}
	if (name == NULL || !source_push(name, text, len, false)) {
		free(text);
		return (-1);
	}
	return (0);
}

/* A relative name is looked for beside the file that names it. */
static int
include(const struct token *t)
{
	struct conf_from	 from = origin(t);
	const char		*slash = strrchr(t->file, '/');
	char			 path[2 * STRING_BYTES], label[600];

	if (p.depth >= INCLUDE_DEPTH) {
		fault(t, "include \"%s\": more than %d files deep", t->s,
		    INCLUDE_DEPTH);
		p.full = true;		/* a loop would say it again */
		return (-1);
	}
	if (*t->s == '/' || slash == NULL)
		snprintf(path, sizeof(path), "%s", t->s);
	else
		snprintf(path, sizeof(path), "%.*s/%s",
		    (int)(slash - t->file), t->file, t->s);
	snprintf(label, sizeof(label), "include \"%.500s\": ", t->s);
	return (source_open(path, label, &from));
}

/* The lexer. */

/* The next byte; -1 at the end of a file.  A macro's end is not seen. */
static int
get(void)
{
	struct source	*s;

	while ((s = SLIST_FIRST(&p.sources)) != NULL) {
		if (s->pos < s->len)
			return ((unsigned char)s->text[s->pos++]);
		if (!s->macro)
			break;
		source_pop();
	}
	return (-1);
}

static int
peek(void)
{
	int	c = get();

	if (c != -1)
		SLIST_FIRST(&p.sources)->pos--;
	return (c);
}

/* At a backslash: joins lines when a newline follows. */
static bool
continued(void)
{
	if (peek() != '\n')
		return (false);
	get();
	p.file->line++;
	return (true);
}

static int
lex_fault(int line, const char *what)
{
	struct token	t = { NULL, p.file->name, line };

	fault(&t, "%s", what);
	p.told = true;
	p.file->midline = true;
	return (BAD);
}

static int
lex_token(int token, const char *s)
{
	p.tok.s = yylval.t.s = s;
	p.tok.file = yylval.t.file = p.file->name;
	p.tok.line = yylval.t.line = p.file->line;
	p.file->midline = token != '\n';
	return (token);
}

static int
lex_quoted(void)
{
	const char	*what = NULL;
	char		 buf[STRING_BYTES], *s;
	size_t		 n = 0;
	int		 c, start = p.file->line;

	while ((c = get()) != '"') {
		if (c == '\\' && continued())
			continue;
		if (c == -1 || c == '\n') {
			if (c == '\n')	/* recovery needs it */
				SLIST_FIRST(&p.sources)->pos--;
			return (lex_fault(start, "unterminated string"));
		}
		if (c == '\\' && (peek() == '"' || peek() == '\\'))
			c = get();
		if (c < ' ' || c == 0x7f)
			what = "control character in a string";
		else if (n == sizeof(buf) - 1)
			what = "string is too long";
		else
			buf[n++] = (char)c;
	}
	if (what != NULL)
		return (lex_fault(start, what));
	if ((s = arena_dup(buf, n)) == NULL)
		return (BAD);
	return (lex_token(STRING, s));
}

/* At a dollar: the value is read as if it stood here; no $ in it counts. */
static bool
lex_macro(void)
{
	struct macro	*m;
	char		 name[64], text[128];
	size_t		 n = 0;

	while (is_macro_char(peek(), n == 0) && n < sizeof(name) - 1)
		name[n++] = (char)get();
	name[n] = '\0';
	if ((m = macro_find(name)) == NULL) {
		snprintf(text, sizeof(text), "macro \"%s\" is not defined",
		    name);
		lex_fault(p.file->line, text);
		return (false);
	}
	return (source_push(p.file->name, (char *)(uintptr_t)m->value,
	    strlen(m->value), true));
}

static bool
in_macro(void)
{
	return (SLIST_FIRST(&p.sources)->macro);
}

static int
lex_word(int c)
{
	char	 buf[STRING_BYTES];
	size_t	 n = 0;
	char	*s;

	for (;; c = get()) {
		if (c == '$' && !in_macro()) {
			if (!lex_macro())
				return (BAD);
			continue;
		}
		if (c == '\\' && continued())
			break;
		if (c == -1 || (c != '\0' &&
		    strchr(" \t\r\n{}=,#\"", c) != NULL))
			break;
		if (c < ' ' || c == 0x7f)
			return (lex_fault(p.file->line, "control character"));
		if (n == sizeof(buf) - 1)
			return (lex_fault(p.file->line, "word is too long"));
		buf[n++] = (char)c;
	}
	if (c != -1 && c != '\\')
		SLIST_FIRST(&p.sources)->pos--;
	if ((s = arena_dup(buf, n)) == NULL)
		return (BAD);
	return (lex_token(keyword_find(s), s));
}

/* The end of a file: a newline if the last line has none, then the next. */
static int
lex_end(void)
{
	if (p.file->midline)
		return (lex_token('\n', "\n"));
	if (p.block != NULL && p.block_at.file == p.file->name) {
		p.tok.s = NULL;
		return (0);
	}
	if (p.depth == 1) {
		p.tok.s = NULL;
		p.tok.file = p.file->name;
		p.tok.line = p.file->line;
		return (0);
	}
	source_pop();
	return (-1);
}

static int
yylex(void)
{
	static const char	ones[][2] = { "{", "}", "=", "," };
	size_t			i;
	int			c, token;

	p.told = false;		/* the parser was in recovery, and silent */
	for (;;) {
		c = get();
		if (c == ' ' || c == '\t' || c == '\r' ||
		    (c == '\\' && continued()))
			continue;
		if (c == '#')
			while ((c = get()) != -1 && c != '\n')
				;
		if (c == -1 && (token = lex_end()) == -1)
			continue;
		if (c == -1)
			return (token);
		if (c == '\n') {
			lex_token('\n', "\n");
			p.file->line++;
			return (c);
		}
		if (c == '"')
			return (lex_quoted());
		if (c == '$' && !in_macro()) {
			if (!lex_macro())
				return (BAD);
			continue;
		}
		for (i = 0; i < sizeof(ones) / sizeof(ones[0]); i++)
			if (c == ones[i][0])
				return (lex_token(c, ones[i]));
		return (lex_word(c));
	}
}

/* The whole file and what it includes, into ctx->conf. */
int
parse_file(struct conf_ctx *ctx, const char *path)
{
	struct conf_from	 from = { CONF_FROM_FILE,
				    (char *)(uintptr_t)path, 0 };
	struct chunk		*c;
	size_t			 i;

	memset(&p, 0, sizeof(p));
	p.ctx = ctx;
	p.base = ctx->errors;
	p.tok.file = path;
	for (i = 0; i < ctx->opts->nmacros; i++)
		macro_option(ctx->opts->macros[i]);
	if (source_open(path, "", &from) == 0 && yyparse() != 0 &&
	    ctx->errors == p.base)
		fault(&p.tok, "cannot be parsed");
	while (!SLIST_EMPTY(&p.sources))
		source_pop();
	conf_listen_free(p.listen);
	while ((c = SLIST_FIRST(&p.arena)) != NULL) {
		SLIST_REMOVE_HEAD(&p.arena, entry);
		free(c);
	}
	memset(&p, 0, sizeof(p));
	return (ctx->errors > 0 ? -1 : 0);
}
