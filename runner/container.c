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
 * Containers of docker mode: names, bodies, recognition.  Runs in:
 * xbot-runner.  Trusts: the user's flags; the Engine's answers are checked.
 */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/ids.h"
#include "base/log.h"
#include "runner/container.h"

#define PREFIX		"xbot-runner-"
#define NAME_LONG	128	/* of a name: also a directory's, of 255 */

static bool	plain(const char *);
static void	encode(char *, size_t, const char *);
static void	digest(char *, size_t, const char *, const char *);
static bool	same(struct slice, const char *);
static bool	label_is(const struct json_value *, const char *,
		    const char *);
static bool	mount_is(const struct json_value *, const char *,
		    const char *);

/* [a-z0-9]+([._-][a-z0-9]+)*: what an image may be called as well. */
static bool
plain(const char *s)
{
	bool	 was = false;

	for (; *s != '\0'; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9'))
			was = true;
		else if (was && strchr("._-", *s) != NULL)
			was = false;
		else
			return false;
	}
	return was;
}

/* Others become x-- and base32: no two of them the same. */
static void
encode(char *dst, size_t len, const char *s)
{
	static const char	 abc[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned int		 bits = 0, n = 0;
	size_t			 at;

	if (plain(s)) {
		snprintf(dst, len, "%s", s);
		return;
	}
	at = (size_t)snprintf(dst, len, "x--");
	for (; (*s != '\0' || n > 0) && at + 1 < len; n -= 5) {
		if (n < 5 && *s != '\0') {
			bits = bits << 8 | (unsigned char)*s++;
			n += 8;
		} else if (n < 5) {
			bits <<= 5 - n;
			n = 5;
		}
		dst[at++] = abc[bits >> (n - 5) & 31];
	}
	dst[at] = '\0';
}

/* len - 1 hexadecimal digits of both. */
static void
digest(char *dst, size_t len, const char *a, const char *b)
{
	unsigned char	 sum[SHA256_DIGEST_LENGTH];
	char		 text[8192];
	int		 n;
	size_t		 i;

	n = snprintf(text, sizeof(text), "%s/%s", a, b);
	SHA256((unsigned char *)text, n < (int)sizeof(text) ? (size_t)n :
	    sizeof(text) - 1, sum);
	for (i = 0; i + 2 < len && i / 2 < sizeof(sum); i += 2)
		snprintf(dst + i, 3, "%02x", sum[i / 2]);
}

bool
container_name(struct container *c)
{
	char	 user[256], runner[160], sum[33], name[512];
	size_t	 n;

	if (!id_user_ok(slice_str(c->user))) {
		log_errorx("--mode docker: no user id: %.128s", c->user);
		return false;
	}
	if (c->runner[0] != '\0' && !id_runner_ok(slice_str(c->runner))) {
		log_errorx("--name: letters, digits, \".\", \"_\" and \"-\", "
		    "at most %d", ID_RUNNER_MAX);
		return false;
	}
	encode(user, sizeof(user), c->user);
	if (c->runner[0] != '\0')
		encode(runner, sizeof(runner), c->runner);
	else
		digest(runner, 9, "", c->workspace);
	snprintf(name, sizeof(name), PREFIX "%s-%s", user, runner);
	if (strlen(name) > NAME_LONG) {
		digest(sum, sizeof(sum), c->user, runner);
		snprintf(name, sizeof(name), PREFIX "x--%s", sum);
	}
	snprintf(c->name, sizeof(c->name), "%.*s", NAME_LONG, name);
	snprintf(c->hostname, sizeof(c->hostname), "%.63s", name);
	for (n = strlen(c->hostname); !isalnum((unsigned char)
	    c->hostname[n - 1]); n--)
		c->hostname[n - 1] = '\0';
	/* What existing runners took for a name without change. */
	if (strlen(c->user) <= NAME_LONG && c->user[strspn(c->user,
	    "abcdefghijklmnopqrstuvwxyz0123456789_.-")] == '\0')
		snprintf(c->old, sizeof(c->old), PREFIX "%s", c->user);
	return true;
}

static void
mount_add(struct jsonw *w, const char *source, const char *target,
    bool readonly)
{
	jsonw_object(w, NULL);
	jsonw_text(w, "Type", "bind");
	jsonw_text(w, "Source", source);
	jsonw_text(w, "Target", target);
	jsonw_bool(w, "ReadOnly", readonly);
	jsonw_end(w);
}

static void
array_add(struct jsonw *w, const char *key, const char *const *v)
{
	jsonw_array(w, key);
	while (*v != NULL)
		jsonw_text(w, NULL, *v++);
	jsonw_end(w);
}

/*
 * The first process is ours and root's: it reaps, and kills what jobs have
 * become.  Jobs and files are the image's USER's.
 */
bool
container_body(const struct container *c, const char *image_user,
    struct buf *out)
{
	static const char *const	 entry[] = { "/.xbot/executor", NULL };
	static const char *const	 health[] = { "NONE", NULL };
	static const char *const	 drop[] = { "NET_RAW", "AUDIT_WRITE",
					    NULL };
	const char	*args[] = { "-c", "/.xbot/sock", "-w", "/workspace",
			    "-e", "-F", "-i", "0",
			    image_user[0] != '\0' ? "-U" : NULL, image_user,
			    NULL };
	struct jsonw	 w;

	jsonw_init(&w, out);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "Image", c->image);
	jsonw_text(&w, "Hostname", c->hostname);
	jsonw_text(&w, "User", "0:0");
	jsonw_text(&w, "WorkingDir", "/workspace");
	array_add(&w, "Entrypoint", entry);
	array_add(&w, "Cmd", args);
	jsonw_text(&w, "StopSignal", "SIGTERM");
	jsonw_object(&w, "Healthcheck");
	array_add(&w, "Test", health);
	jsonw_end(&w);
	jsonw_object(&w, "Labels");
	jsonw_text(&w, CONTAINER_LABEL, c->name);
	jsonw_text(&w, CONTAINER_LABEL ".user", c->user);
	jsonw_text(&w, CONTAINER_LABEL ".name", c->runner);
	jsonw_text(&w, CONTAINER_LABEL ".image", c->image);
	jsonw_end(&w);
	jsonw_object(&w, "HostConfig");
	jsonw_array(&w, "Mounts");
	mount_add(&w, c->workspace, "/workspace", false);
	mount_add(&w, c->box, "/.xbot", true);
	jsonw_end(&w);
	array_add(&w, "CapDrop", drop);
	jsonw_end(&w);
	jsonw_end(&w);
	return jsonw_ok(&w);
}

static bool
same(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static bool
label_is(const struct json_value *labels, const char *key, const char *value)
{
	struct slice	 s;

	return json_get_str(labels, key, &s) == JSON_GOT &&
	    same(s, value);
}

static bool
mount_is(const struct json_value *body, const char *target,
    const char *source)
{
	const struct json_value	*list = NULL, *m;

	json_get_array(body, "Mounts", &list);
	for (m = json_first(list); m != NULL; m = json_next(m))
		if (label_is(m, "Destination", target))
			return label_is(m, "Source", source);
	return false;
}

enum container_fit
container_fit(const struct container *c, const struct json_value *body,
    char *why, size_t len)
{
	const struct json_value	*labels = json_find(json_find(body,
				    "Config"), "Labels");
	struct slice		 image;
	char			 vis[128];

	why[0] = '\0';
	if (!label_is(labels, CONTAINER_LABEL, c->name) ||
	    !label_is(labels, CONTAINER_LABEL ".user", c->user) ||
	    !label_is(labels, CONTAINER_LABEL ".name", c->runner)) {
		snprintf(why, len, "it was not made by this runner");
		return CONTAINER_FOREIGN;
	}
	image = slice_str("");
	json_get_str(labels, CONTAINER_LABEL ".image", &image);
	if (!same(image, c->image)) {
		snprintf(why, len, "it was made from image %s",
		    log_vis(vis, sizeof(vis), image.p, image.len));
		return CONTAINER_DIFFERS;
	}
	if (!mount_is(body, "/workspace", c->workspace)) {
		snprintf(why, len, "its /workspace is another directory");
		return CONTAINER_DIFFERS;
	}
	if (!mount_is(body, "/.xbot", c->box)) {
		snprintf(why, len, "its /.xbot is another directory");
		return CONTAINER_DIFFERS;
	}
	return CONTAINER_FITS;
}

void
container_find(const struct container *c, const struct json_value *list,
    char id[80])
{
	const struct json_value	*one, *name;
	char			 path[CONTAINER_NAME_MAX + 1];
	struct slice		 s;

	id[0] = '\0';
	snprintf(path, sizeof(path), "/%s", c->name);
	for (one = json_first(list); one != NULL; one = json_next(one))
		for (name = json_first(json_find(one, "Names")); name != NULL;
		    name = json_next(name))
			if (json_str(name, &s) &&
			    same(s, path) &&
			    !json_cstr(json_find(one, "Id"), id, 80))
				id[0] = '\0';
}
