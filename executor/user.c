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
 * The user of a container's image: jobs and files are his, the executor stays
 * root to reap and to kill.  Runs in: executor, as PID 1 of a container.
 * Input: /etc/passwd and /etc/group of the image, which are hostile.
 */

#include <sys/fsuid.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/executor.h"

#define FILE_MAX	(1024 * 1024)	/* of either file, the rest is unread */
#define GROUPS_MAX	64
#define FIELDS		7
#define ID_MAX		2147483647l	/* as Docker's */

struct entry {
	char	*field[FIELDS];		/* "" where the line has none */
};

static struct {
	bool	 set;
	uid_t	 uid;
	gid_t	 gid;
	gid_t	 groups[GROUPS_MAX];
	size_t	 ngroups;
	char	 name[256];
	char	 home[PATH_MAX];
} user;

/* The whole file with a NUL behind it, or what fits; "" if there is none. */
static char *
file_text(const char *path)
{
	struct stat	 st;
	size_t		 len = 0;
	ssize_t		 n;
	char		*text;
	int		 fd;

	if ((text = malloc(FILE_MAX + 1)) == NULL)
		die("out of memory");
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while ((n = read(fd, text + len, FILE_MAX - len)) > 0)
			len += (size_t)n;
	if (fd != -1)
		close(fd);
	text[len] = '\0';
	return text;
}

/* Cuts the next line up; false: there is none. */
static bool
entry_next(char **text, struct entry *e)
{
	static char	 none[1];
	char		*line = *text;
	size_t		 i;

	if (line == NULL || *line == '\0')
		return false;
	if ((*text = strchr(line, '\n')) != NULL)
		*(*text)++ = '\0';
	for (i = 0; i < FIELDS; i++) {
		e->field[i] = line != NULL ? line : none;
		if (line != NULL && (line = strchr(line, ':')) != NULL)
			*line++ = '\0';
	}
	return true;
}

static bool
number(const char *text, long *n)
{
	char	*end;

	errno = 0;
	*n = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
	    *n <= ID_MAX;
}

/* By name, or by number: whichever line comes first. */
static bool
entry_is(const struct entry *e, const char *name)
{
	long	 n, id;

	return strcmp(e->field[0], name) == 0 || (number(name, &n) &&
	    number(e->field[2], &id) && n == id);
}

static bool
passwd_read(const char *name)
{
	char		*text = file_text("/etc/passwd"), *at = text;
	struct entry	 e;
	long		 uid = 0, gid = 0;
	bool		 found = false;

	while (!found && entry_next(&at, &e))
		found = entry_is(&e, name) && number(e.field[2], &uid) &&
		    number(e.field[3], &gid);
	if (found) {
		snprintf(user.name, sizeof(user.name), "%s", e.field[0]);
		if (e.field[5][0] == '/')
			snprintf(user.home, sizeof(user.home), "%s",
			    e.field[5]);
	} else if ((found = number(name, &uid)))
		snprintf(user.name, sizeof(user.name), "%s", name);
	user.uid = (uid_t)uid;
	user.gid = (gid_t)gid;
	free(text);
	return found;
}

static bool
member(char *list, const char *name)
{
	char	*one, *rest = list;

	while ((one = strsep(&rest, ",")) != NULL)
		if (strcmp(one, name) == 0)
			return true;
	return false;
}

/* group NULL: all that list the user; else this one only, and no others. */
static bool
group_read(const char *group)
{
	char		*text = file_text("/etc/group"), *at = text;
	struct entry	 e;
	long		 gid;
	bool		 found = group == NULL;

	while (entry_next(&at, &e)) {
		if (!number(e.field[2], &gid))
			continue;
		if (group != NULL && !found && entry_is(&e, group)) {
			user.gid = (gid_t)gid;
			found = true;
		} else if (group == NULL && user.ngroups < GROUPS_MAX &&
		    member(e.field[3], user.name))
			user.groups[user.ngroups++] = (gid_t)gid;
	}
	if (!found && (found = number(group, &gid)))
		user.gid = (gid_t)gid;
	free(text);
	return found;
}

/* With -r it is the server's: root's means that it was just made for us. */
static void
workspace_give(void)
{
	struct stat	 st;

	if (opt.stay && user.uid != 0 && fstat(opt.wsfd, &st) == 0 &&
	    st.st_uid == 0 && fchownat(opt.wsfd, "", user.uid, user.gid,
	    AT_EMPTY_PATH) == -1)
		warn_log("workspace: %s", strerror(errno));
}

/*
 * Files are touched with his rights; the signals of root stay, for what jobs
 * become by set-uid programs.
 */
void
user_init(const char *spec)
{
	char	 name[256], *group;

	snprintf(user.home, sizeof(user.home), "/");
	snprintf(name, sizeof(name), "%s", spec);
	if ((group = strchr(name, ':')) != NULL)
		*group++ = '\0';
	errno = 0;
	if (strlen(spec) >= sizeof(name) || name[0] == '\0' ||
	    !passwd_read(name) || !group_read(group)) {
		errno = 0;
		die("the image has no such USER as its configuration says");
	}
	workspace_give();
	if (setgroups(user.ngroups, user.groups) == -1)
		die("setgroups");
	setfsgid(user.gid);
	setfsuid(user.uid);
	opt.user = user.name;
	opt.home = user.home;
	user.set = true;
}

/* Between vfork and exec: nothing but system calls.  0 or an errno. */
int
user_become(void)
{
	if (!user.set)
		return 0;
	if (syscall(SYS_setresgid, user.gid, user.gid, user.gid) == -1 ||
	    syscall(SYS_setresuid, user.uid, user.uid, user.uid) == -1)
		return errno;
	return 0;
}
