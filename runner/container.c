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

#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/container.h"
#include "base/ids.h"
#include "base/log.h"
#include "runner/container.h"

#define PREFIX		"xbot-runner-"
#define NAME_LONG	128	/* of a name: also a directory's, of 255 */

static void	digest(char *, size_t, const char *, const char *);
static bool	same(struct slice, const char *);

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

	if (!id_user_ok(slice_str(c->user))) {
		log_errorx("--mode docker: no user id: %.128s", c->user);
		return false;
	}
	if (c->runner[0] != '\0' && !id_runner_ok(slice_str(c->runner))) {
		log_errorx("--name: letters, digits, \".\", \"_\" and \"-\", "
		    "at most %d", ID_RUNNER_MAX);
		return false;
	}
	container_encode(user, sizeof(user), c->user);
	if (c->runner[0] != '\0')
		container_encode(runner, sizeof(runner), c->runner);
	else
		digest(runner, 9, "", c->workspace);
	snprintf(name, sizeof(name), PREFIX "%s-%s", user, runner);
	if (strlen(name) > NAME_LONG) {
		digest(sum, sizeof(sum), c->user, runner);
		snprintf(name, sizeof(name), PREFIX "x--%s", sum);
	}
	snprintf(c->name, sizeof(c->name), "%.*s", NAME_LONG, name);
	container_hostname(c->hostname, name);
	/* What existing runners took for a name without change. */
	if (strlen(c->user) <= NAME_LONG && c->user[strspn(c->user,
	    "abcdefghijklmnopqrstuvwxyz0123456789_.-")] == '\0')
		snprintf(c->old, sizeof(c->old), PREFIX "%s", c->user);
	return true;
}

bool
container_body(const struct container *c, const char *image_user,
    struct buf *out)
{
	static const char *const	 drop[] = { "NET_RAW", "AUDIT_WRITE",
					    NULL };
	const struct container_label	 labels[] = {
		{ CONTAINER_LABEL, c->name },
		{ CONTAINER_LABEL ".user", c->user },
		{ CONTAINER_LABEL ".name", c->runner },
		{ CONTAINER_LABEL ".image", c->image },
		{ NULL, NULL }
	};
	const struct container_spec	 spec = {
		.image = c->image, .hostname = c->hostname,
		.image_user = image_user, .workspace = c->workspace,
		.box = c->box, .labels = labels, .capdrop = drop,
	};

	return container_spec_body(&spec, out);
}

static bool
same(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
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
	if (!container_label_is(body, CONTAINER_LABEL, c->name) ||
	    !container_label_is(body, CONTAINER_LABEL ".user", c->user) ||
	    !container_label_is(body, CONTAINER_LABEL ".name", c->runner)) {
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
	if (!container_mount_is(body, "/workspace", c->workspace)) {
		snprintf(why, len, "its /workspace is another directory");
		return CONTAINER_DIFFERS;
	}
	if (!container_mount_is(body, "/.xbot", c->box)) {
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
