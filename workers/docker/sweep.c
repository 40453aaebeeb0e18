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
 * What the Engine has of ours, against what we know.  Runs in: docker.
 * Only what carries our label and the name that belongs to it is ours.  What
 * is ours and unknown is adopted: its state is as good as any.  Of images
 * only those go that lost their name to a newer one of ours and that no
 * container is made of.
 */

#include <sys/queue.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "workers/docker/commit.h"

#define PRUNE_MAX	64	/* at a time; the next sweep takes the others */
#define EXPORT_OLD_S	600

struct prune {
	char		 ids[PRUNE_MAX][IMAGE_ID_MAX];
	size_t		 n;
	void		(*done)(void *);
	void		*arg;
};

struct sweep {
	STAILQ_ENTRY(sweep)	 entry;
	void		(*done)(void *, enum xerr, const char *);
	void		*arg;
};

/* They share one look at the Engine. */
static STAILQ_HEAD(, sweep)	 sweeps = STAILQ_HEAD_INITIALIZER(sweeps);
static uint64_t			 pass;

static void	 prune_next(struct prune *);
static void	 sweeps_done(enum xerr, const char *);

/* ---- images */

static void
on_image_gone(void *arg, const struct engine_result *res)
{
	/* In use, or gone already: no matter. */
	prune_next(arg);
}

static void
prune_next(struct prune *p)
{
	struct engine_args	 args = { 0 };

	if (p->n > 0) {
		args.a = p->ids[--p->n];
		if (engine_call(docker_engine, ENGINE_IMAGE_REMOVE, &args,
		    on_image_gone, p) != 0)
			return;
	}
	p->done(p->arg);
	free(p);
}

/* No name, ours, and not of a commit that is about to give it one. */
static bool
image_is_left(const struct json_value *image)
{
	const struct json_value	*labels = json_find(image, "Labels"), *tag;
	struct slice		 name;
	char			 id[COMMIT_ID_LEN + 1];

	for (tag = json_first(json_find(image, "RepoTags")); tag != NULL;
	    tag = json_next(tag))
		if (json_str(tag, &name) && !slice_is(name, "<none>:<none>"))
			return false;
	return json_find(labels, IMAGE_NAME) != NULL &&
	    json_cstr(json_find(labels, IMAGE_COMMIT), id, sizeof(id)) &&
	    !commit_is_live_text(id);
}

static void
on_image(void *arg, const struct json_value *image)
{
	struct prune	*p = arg;

	if (p->n < PRUNE_MAX && image_is_left(image) &&
	    json_cstr(json_find(image, "Id"), p->ids[p->n],
	    sizeof(p->ids[p->n])))
		p->n++;
}

static void
on_images(void *arg, const struct engine_result *res)
{
	struct prune	*p = arg;

	if (res->code != XERR_NONE)
		p->n = 0;
	prune_next(p);
}

void
images_prune(const char *name, void (*done)(void *), void *arg)
{
	char			 label[sizeof(IMAGE_NAME) + 1 +
				    SANDBOX_NAME_MAX];
	struct engine_args	 args = { .a = label, .element = on_image };
	struct prune		*p;

	snprintf(label, sizeof(label), IMAGE_NAME "%s%s",
	    name != NULL ? "=" : "", name != NULL ? name : "");
	if ((p = calloc(1, sizeof(*p))) != NULL) {
		p->done = done;
		p->arg = arg;
		if (engine_call(docker_engine, ENGINE_IMAGE_LIST, &args,
		    on_images, p) != 0)
			return;
		free(p);
	}
	done(arg);		/* the next sweep does it */
}

/* ---- containers */

/* false: not ours, though it has our label. */
static bool
listed_user(const struct json_value *c, char user[ID_USER_MAX + 1],
    char id[CONTAINER_ID_MAX])
{
	const struct json_value	*n;
	struct slice		 s;
	char			 name[SANDBOX_NAME_MAX];

	if (!json_cstr(json_find(json_find(c, "Labels"), SANDBOX_LABEL),
	    user, ID_USER_MAX + 1) || !id_user_ok(slice_str(user)) ||
	    !json_cstr(json_find(c, "Id"), id, CONTAINER_ID_MAX) ||
	    !sandbox_name(user, name))
		return false;
	for (n = json_first(json_find(c, "Names")); n != NULL;
	    n = json_next(n))
		if (json_str(n, &s) && s.len > 1 && slice_is((struct slice){
		    (const char *)s.p + 1, s.len - 1 }, name))
			return true;
	return false;
}

static void
listed_take(const struct json_value *c, const char *user, const char *id)
{
	struct sandbox	*s = sandbox_get(user);
	struct slice	 state = { 0 };
	bool		 known;

	if (s == NULL)
		return;
	s->seen = pass;
	if (s->claimed != NULL)
		return;		/* who works on it knows better */
	json_get_str(c, "State", &state);
	known = strcmp(s->container, id) == 0;
	if (!known) {
		log_info("sandbox of %s: container %.12s was not known, it is "
		    "adopted", user, id);
		snprintf(s->container, sizeof(s->container), "%s", id);
		json_cstr(json_find(c, "ImageID"), s->image,
		    sizeof(s->image));
		s->used = time(NULL);
	}
	sandbox_set_state(s, slice_is(state, "running") ||
	    slice_is(state, "paused") ? SANDBOX_RUNNING : SANDBOX_STOPPED);
	if (!known)
		sandbox_remember(s);
}

void
sweep_spare(struct sandbox *s)
{
	s->seen = pass;
}

/* Removed behind our back. */
static void
forget_unseen(struct sandbox *s, void *arg)
{
	if (s->seen == pass || s->claimed != NULL || s->container[0] == '\0')
		return;
	log_info("sandbox of %s: its container is gone", s->user);
	s->container[0] = '\0';
	sandbox_set_state(s, SANDBOX_ABSENT);
	sandbox_remember(s);
}

static void
on_swept_images(void *arg)
{
	sweeps_done(XERR_NONE, "");
}

static void
on_container(void *arg, const struct json_value *c)
{
	char	 user[ID_USER_MAX + 1], id[CONTAINER_ID_MAX];

	if (listed_user(c, user, id))
		listed_take(c, user, id);
	else
		log_debug("a container with our label is not ours");
}

/* Only a list that is whole says what is not there. */
static void
on_containers(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE) {
		sweeps_done(res->code, res->text);
		return;
	}
	sandbox_each(forget_unseen, NULL);
	images_prune(NULL, on_swept_images, NULL);
}

static void
sweeps_done(enum xerr code, const char *text)
{
	struct sweep	*w;

	while ((w = STAILQ_FIRST(&sweeps)) != NULL) {
		STAILQ_REMOVE_HEAD(&sweeps, entry);
		w->done(w->arg, code, text);
		free(w);
	}
}

void
sweep_start(void (*done)(void *, enum xerr, const char *), void *arg)
{
	const struct engine_args	 args = { .a = SANDBOX_LABEL,
					    .element = on_container };
	const bool			 first = STAILQ_EMPTY(&sweeps);
	struct sweep			*w;

	if ((w = calloc(1, sizeof(*w))) == NULL) {
		done(arg, XERR_EBUSY, "out of memory");
		return;
	}
	w->done = done;
	w->arg = arg;
	STAILQ_INSERT_TAIL(&sweeps, w, entry);
	pass += first;		/* from here on what is made is spared */
	if (first && engine_call(docker_engine, ENGINE_CONTAINER_LIST, &args,
	    on_containers, NULL) == 0)
		sweeps_done(XERR_EBUSY, "out of memory");
}

static void
on_unasked(void *arg, enum xerr code, const char *text)
{
	if (code != XERR_NONE)
		log_info("sweep: %s", text);
}

/* Before ledger's records are there everything would be unknown. */
void
sandboxes_sweep(void)
{
	if (journal_ready())
		sweep_start(on_unasked, NULL);
}

/* ---- files of the server before us */

/*
 * It exported through /tmp and left these when it was killed.  A name with a
 * directory or a link behind it is not one of them.
 */
void
exports_prune(void)
{
	const time_t	 now = time(NULL);
	struct dirent	*d;
	struct stat	 st;
	DIR		*dir;

	if ((dir = opendir("/tmp")) == NULL)
		return;
	while ((d = readdir(dir)) != NULL) {
		if (fnmatch("xbot-export-*.tar", d->d_name, 0) != 0 ||
		    fstatat(dirfd(dir), d->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode) ||
		    st.st_uid != getuid() || now - st.st_mtime < EXPORT_OLD_S)
			continue;
		if (unlinkat(dirfd(dir), d->d_name, 0) == 0)
			log_info("/tmp/%s: removed, nobody writes it any "
			    "more", d->d_name);
	}
	closedir(dir);
}
