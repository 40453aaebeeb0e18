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
 * What the parent, front and skill agree upon about runs of skills.
 */

#ifndef BASE_SKILLS_H
#define BASE_SKILLS_H

/* The numbers of conf_skill. */
enum skill_policy {
	SKILL_NONE,
	SKILL_PERMISSIVE,
	SKILL_RESTRICTIVE
};

/* The caller's are a few kilobytes; more waits until its run has begun. */
#define SKILL_FIRST	65536u
#define SKILL_BODY_MAX	(16u * 1024 * 1024)
#define SKILL_ANSWER_MAX (16u * 1024 * 1024)

/*
 * The uids of runs: the first is their interpreter's, then one for each place.
 * Above those of ordinary systems and of `none { uid range }'.
 */
#define SKILL_UID	64100u
#define SKILL_PLACES	32u

#endif
