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
 * See container.h.
 */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/container.h"

static bool	plain(const char *);
static void	mount_add(struct jsonw *, const char *, const char *, bool);
static void	array_add(struct jsonw *, const char *, const char *const *);
static void	limits_add(struct jsonw *, const struct container_spec *);
static bool	is(const struct json_value *, const char *, const char *);

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
void
container_encode(char *dst, size_t len, const char *s)
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

void
container_hostname(char dst[64], const char *name)
{
	size_t	 n;

	snprintf(dst, 64, "%.63s", name);
	for (n = strlen(dst); n > 0 && !isalnum((unsigned char)dst[n - 1]);
	    n--)
		dst[n - 1] = '\0';
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

static void
limits_add(struct jsonw *w, const struct container_spec *s)
{
	static const char *const	 nnp[] = { "no-new-privileges",
					    NULL };

	if (s->memory != 0) {
		jsonw_int(w, "Memory", (int64_t)s->memory);
		jsonw_int(w, "MemorySwap", (int64_t)s->memory);
	}
	/* NanoCpus are refused where there are fewer processors. */
	if (s->millicpus != 0) {
		jsonw_int(w, "CpuPeriod", 100000);
		jsonw_int(w, "CpuQuota", (int64_t)s->millicpus * 100);
	}
	if (s->pids != 0)
		jsonw_int(w, "PidsLimit", s->pids);
	if (s->network != NULL)
		jsonw_text(w, "NetworkMode", s->network);
	if (s->no_new_privileges)
		array_add(w, "SecurityOpt", nnp);
	if (s->capdrop != NULL)
		array_add(w, "CapDrop", s->capdrop);
}

/*
 * The first process is ours and root's: it reaps, and kills what jobs have
 * become.  Jobs and files are the image's USER's.
 */
bool
container_spec_body(const struct container_spec *s, struct buf *out)
{
	static const char *const	 entry[] = { "/.xbot/executor", NULL };
	static const char *const	 health[] = { "NONE", NULL };
	const struct container_label	*l;
	const char			*args[12] = { "-c", "/.xbot/sock", "-w",
					    "/workspace", "-e", "-F", "-i",
					    "0" };
	struct jsonw			 w;
	size_t				 n = 8;

	if (s->stays)
		args[n++] = "-r";
	if (s->image_user[0] != '\0') {
		args[n++] = "-U";
		args[n++] = s->image_user;
	}
	jsonw_init(&w, out);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "Image", s->image);
	jsonw_text(&w, "Hostname", s->hostname);
	jsonw_text(&w, "User", "0:0");
	jsonw_text(&w, "WorkingDir", "/workspace");
	array_add(&w, "Entrypoint", entry);
	array_add(&w, "Cmd", args);
	jsonw_text(&w, "StopSignal", "SIGTERM");
	jsonw_object(&w, "Healthcheck");
	array_add(&w, "Test", health);
	jsonw_end(&w);
	jsonw_object(&w, "Labels");
	for (l = s->labels; l->key != NULL; l++)
		jsonw_text(&w, l->key, l->value);
	jsonw_end(&w);
	jsonw_object(&w, "HostConfig");
	jsonw_array(&w, "Mounts");
	mount_add(&w, s->workspace, "/workspace", false);
	if (s->box != NULL)
		mount_add(&w, s->box, "/.xbot", true);
	jsonw_end(&w);
	limits_add(&w, s);
	jsonw_end(&w);
	jsonw_end(&w);
	return jsonw_ok(&w);
}

static bool
is(const struct json_value *object, const char *key, const char *value)
{
	struct slice	 s;

	return json_get_str(object, key, &s) == JSON_GOT &&
	    slice_is(s, value);
}

bool
container_label_is(const struct json_value *body, const char *key,
    const char *value)
{
	return is(json_find(json_find(body, "Config"), "Labels"), key, value);
}

bool
container_mount_is(const struct json_value *body, const char *target,
    const char *source)
{
	const struct json_value	*list = NULL, *m;

	json_get_array(body, "Mounts", &list);
	for (m = json_first(list); m != NULL; m = json_next(m))
		if (is(m, "Destination", target))
			return source == NULL || is(m, "Source", source);
	return false;
}

bool
container_runs(const struct json_value *body, int *code)
{
	const struct json_value	*state = json_find(body, "State");
	bool			 running = false;
	int64_t			 n = 0;

	json_get_bool(state, "Running", &running);
	json_get_int(state, "ExitCode", INT32_MIN, INT32_MAX, &n);
	*code = (int)n;
	return running;
}
