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
 * An image's configuration as lines of a Dockerfile.  Runs in: docker.
 * Trusts: nobody who made the image.  A line is one line for the Engine's
 * parser, whatever stands in a value: words are quoted, and what cannot be
 * (a newline) is left out and counted, so no value becomes an instruction.
 *
 * The Engine unquotes and expands ENV, LABEL, WORKDIR, USER and the elements
 * of VOLUME, so $, " and \ are escaped there; CMD and ENTRYPOINT are JSON and
 * taken as they are.
 */

#include <string.h>

#include "workers/docker/meta.h"

struct lines {
	struct buf	*out;
	unsigned int	 lost;
	bool		 failed;	/* out of memory */
};

struct keyword {
	const char	*word;
	const char	*member;
	void		(*add)(struct lines *, const char *word,
			    const struct json_value *);
};

static void	 text_add(struct lines *, const char *, size_t);
static void	 quoted_add(struct lines *, struct slice);
static void	 line_end(struct lines *);
static bool	 one_line(struct slice);
static void	 pair_add(struct lines *, const char *, struct slice,
		    struct slice);
static void	 add_word(struct lines *, const char *,
		    const struct json_value *);
static void	 add_list(struct lines *, const char *,
		    const struct json_value *);
static void	 add_env(struct lines *, const char *,
		    const struct json_value *);
static void	 add_labels(struct lines *, const char *,
		    const struct json_value *);
static void	 add_ports(struct lines *, const char *,
		    const struct json_value *);
static void	 add_volumes(struct lines *, const char *,
		    const struct json_value *);

/* ENTRYPOINT forgets the CMD before it. */
static const struct keyword keywords[] = {
	{ "ENTRYPOINT",	"Entrypoint",	add_list },
	{ "CMD",	"Cmd",		add_list },
	{ "ENV",	"Env",		add_env },
	{ "WORKDIR",	"WorkingDir",	add_word },
	{ "USER",	"User",		add_word },
	{ "LABEL",	"Labels",	add_labels },
	{ "EXPOSE",	"ExposedPorts",	add_ports },
	{ "VOLUME",	"Volumes",	add_volumes },
};

static void
text_add(struct lines *l, const char *text, size_t len)
{
	if (!l->failed && buf_add(l->out, text, len) == -1)
		l->failed = true;
}

static void
quoted_add(struct lines *l, struct slice s)
{
	const char	*p = s.p;
	size_t		 i;

	text_add(l, "\"", 1);
	for (i = 0; i < s.len; i++) {
		if (p[i] == '"' || p[i] == '\\' || p[i] == '$')
			text_add(l, "\\", 1);
		text_add(l, p + i, 1);
	}
	text_add(l, "\"", 1);
}

static void
line_end(struct lines *l)
{
	text_add(l, "", 1);
}

/* Else the parser would begin another instruction, or cut the value. */
static bool
one_line(struct slice s)
{
	return s.len == 0 || (memchr(s.p, '\n', s.len) == NULL &&
	    memchr(s.p, '\r', s.len) == NULL &&
	    memchr(s.p, '\0', s.len) == NULL);
}

static void
pair_add(struct lines *l, const char *word, struct slice key,
    struct slice value)
{
	if (key.len == 0 || !one_line(key) || !one_line(value) ||
	    memchr(key.p, '=', key.len) != NULL) {
		l->lost++;
		return;
	}
	text_add(l, word, strlen(word));
	text_add(l, " ", 1);
	quoted_add(l, key);
	text_add(l, "=", 1);
	quoted_add(l, value);
	line_end(l);
}

static void
add_word(struct lines *l, const char *word, const struct json_value *v)
{
	struct slice	 s;

	if (!json_str(v, &s) || s.len == 0)
		return;
	if (!one_line(s)) {
		l->lost++;
		return;
	}
	text_add(l, word, strlen(word));
	text_add(l, " ", 1);
	quoted_add(l, s);
	line_end(l);
}

/* JSON's own escapes carry any value. */
static void
add_list(struct lines *l, const char *word, const struct json_value *v)
{
	struct slice	 s;
	struct jsonw	 w;

	if (json_count(v) == 0)
		return;
	text_add(l, word, strlen(word));
	text_add(l, " ", 1);
	jsonw_init(&w, l->out);
	jsonw_array(&w, NULL);
	for (v = json_first(v); v != NULL; v = json_next(v))
		if (json_str(v, &s))
			jsonw_str(&w, NULL, s);
	jsonw_end(&w);
	if (!jsonw_ok(&w))
		l->failed = true;
	line_end(l);
}

static void
add_env(struct lines *l, const char *word, const struct json_value *v)
{
	struct slice	 s;
	const char	*eq;
	size_t		 n;

	for (v = json_first(v); v != NULL; v = json_next(v)) {
		if (!json_str(v, &s) || s.len == 0 ||
		    (eq = memchr(s.p, '=', s.len)) == NULL) {
			l->lost++;
			continue;
		}
		n = (size_t)(eq - (const char *)s.p);
		pair_add(l, word, (struct slice){ s.p, n },
		    (struct slice){ eq + 1, s.len - n - 1 });
	}
}

static void
add_labels(struct lines *l, const char *word, const struct json_value *v)
{
	const size_t	 ours = strlen(META_LABEL);
	struct slice	 key, value;

	for (v = json_first(v); v != NULL; v = json_next(v)) {
		key = json_key(v);
		if (key.len >= ours && memcmp(key.p, META_LABEL, ours) == 0)
			continue;
		if (json_str(v, &value))
			pair_add(l, word, key, value);
	}
}

/* "80/tcp", "1000-1010/udp" */
static void
add_ports(struct lines *l, const char *word, const struct json_value *v)
{
	static const char	 plain[] = "0123456789-/abcdefghijklmnopqrstu"
				    "vwxyz";
	struct slice		 port;
	size_t			 i;

	for (v = json_first(v); v != NULL; v = json_next(v)) {
		port = json_key(v);
		for (i = 0; i < port.len; i++)
			if (strchr(plain, ((const char *)port.p)[i]) == NULL ||
			    ((const char *)port.p)[i] == '\0')
				break;
		if (port.len == 0 || i < port.len) {
			l->lost++;
			continue;
		}
		text_add(l, word, strlen(word));
		text_add(l, " ", 1);
		text_add(l, port.p, port.len);
		line_end(l);
	}
}

/* JSON, and what is in it is unquoted and expanded once more. */
static void
add_volumes(struct lines *l, const char *word, const struct json_value *v)
{
	struct buf	 quoted = { 0 };
	struct lines	 inner = { .out = &quoted };
	struct jsonw	 w;

	for (v = json_first(v); v != NULL; v = json_next(v)) {
		quoted_add(&inner, json_key(v));
		text_add(l, word, strlen(word));
		text_add(l, " ", 1);
		jsonw_init(&w, l->out);
		jsonw_array(&w, NULL);
		jsonw_str(&w, NULL, (struct slice){ buf_data(&quoted),
		    quoted.len });
		jsonw_end(&w);
		line_end(l);
		if (inner.failed || !jsonw_ok(&w))
			l->failed = true;
		buf_drain(&quoted, quoted.len);
	}
	buf_clear(&quoted);
}

bool
meta_changes(struct buf *out, const struct json_value *config,
    unsigned int *lost)
{
	struct lines	 l = { .out = out };
	size_t		 i;

	for (i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		keywords[i].add(&l, keywords[i].word,
		    json_find(config, keywords[i].member));
	*lost = l.lost;
	return !l.failed;
}

bool
meta_label(struct buf *out, const char *key, const char *value)
{
	struct lines	 l = { .out = out };

	pair_add(&l, "LABEL", slice_str(key), slice_str(value));
	return !l.failed && l.lost == 0;
}
