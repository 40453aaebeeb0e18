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
 * Runner protocol v1, what both of its sides share: names, limits, file
 * modes, times, error codes, and a reader of its JSON that copies nothing.
 * Runs in: remote, xbot-runner.  The text that is read is hostile.
 * Contract: xbot-runner-v1.md.
 */

#ifndef BASE_V1_H
#define BASE_V1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/msg.h"

#define V1_TIMEOUT_DEFAULT	60	/* s, of an exec */
#define V1_TIMEOUT_MAX		3600
#define V1_EXEC_SLACK		5	/* s the server waits beyond it */
#define V1_FILE_WAIT		30	/* s the server waits for the rest */
#define V1_REGISTER_WAIT	10	/* s, either side */
#define V1_REGISTER_MAX		(64 * 1024)	/* bytes before register_ok */
#define V1_PIECE_MAX		32768	/* raw bytes of stdio_data, pty_data */
#define V1_DEPTH_MAX		64	/* of nested JSON */

enum v1_type {
	V1_UNKNOWN,
	V1_REGISTER, V1_REGISTER_OK, V1_ERROR, V1_OK,
	V1_EXEC, V1_EXEC_RESULT,
	V1_READ_FILE, V1_FILE_CONTENT, V1_WRITE_FILE, V1_MKDIR_ALL, V1_REMOVE,
	V1_REMOVE_ALL, V1_STAT, V1_FILE_INFO, V1_READ_DIR, V1_DIR_ENTRIES,
	V1_DOWNLOAD_FILE,
	V1_BG_EXEC, V1_BG_STARTED, V1_BG_KILL, V1_BG_STATUS, V1_BG_OUTPUT,
	V1_STDIO_START, V1_STDIO_WRITE, V1_STDIO_CLOSE, V1_STDIO_DATA,
	V1_STDIO_EXIT,
	V1_PTY_CREATE, V1_PTY_STDIN, V1_PTY_RESIZE, V1_PTY_CLOSE, V1_PTY_DATA,
	V1_PTY_EXIT,
	V1_LLM_GENERATE, V1_LLM_RESPONSE, V1_LLM_MODELS,
	V1_LLM_MODELS_RESPONSE,
	V1_TYPE_MAX
};

/* "exec"; never NULL, "" for V1_UNKNOWN. */
const char	*v1_type_name(enum v1_type);
enum v1_type	 v1_type_by_name(struct slice);
/* What answers a request when it is no error; V1_UNKNOWN: nothing does. */
enum v1_type	 v1_type_reply(enum v1_type);

/* The code of an error message; those without a name in v1 are "EIO". */
const char	*v1_error_name(enum xerr);
/* From a peer; what is no code is XERR_EIO. */
enum xerr	 v1_error_code(struct slice);

/* st_mode to Go's os.FileMode and back.  From: a runner in docker mode sends
 * plain Unix permissions, which is understood; without a type bit it is a
 * regular file. */
uint32_t	 v1_mode_to_go(uint32_t);
uint32_t	 v1_mode_from_go(uint32_t);

#define V1_TIME_MAX	32
/* RFC 3339 in UTC with seconds, "2026-08-23T01:09:06Z". */
void		 v1_time_format(char [V1_TIME_MAX], int64_t seconds);
/* With any offset and fraction; false: malformed or out of range. */
bool		 v1_time_parse(struct slice, int64_t *ns);

/*
 * JSON in place.  A value is a view into the message's text; strings are
 * unescaped where they stand (that never grows them), so the text must be
 * writable and is good for one reading.  Keys are compared exactly, the last
 * of equal keys counts, unknown ones are ignored.
 */
enum v1_kind {
	V1_ABSENT, V1_NULL, V1_BOOL, V1_NUMBER, V1_STRING, V1_ARRAY, V1_OBJECT
};

struct v1_value {
	enum v1_kind	 kind;
	bool		 escaped;	/* a string with a backslash in it */
	char		*p;		/* a string: without its quotes */
	size_t		 len;
};

struct v1_member {
	const char	*key;
	struct v1_value	 value;
};

struct v1_message {
	enum v1_type	 type;
	struct slice	 id;		/* empty: none */
	struct slice	 type_text;
	struct v1_value	 body;		/* may be V1_ABSENT */
};

/*
 * Take one message apart: the whole text is one well-formed JSON object and
 * its envelope has the right types.  -1 and *why (a literal) when not.
 */
int		 v1_parse(char *, size_t, struct v1_message *,
		    const char **why);
/*
 * The members of an object, in one pass over it; those that are not there
 * become V1_ABSENT.  false: not an object.
 */
bool		 v1_members(const struct v1_value *, struct v1_member *,
		    size_t);
/* Any one JSON value that is the whole text; false: it is not. */
bool		 v1_value(char *, size_t, struct v1_value *);
/* The members of an object in their order, one a call: false at the end, or no
 * object.  Eats the object. */
bool		 v1_pair(struct v1_value *, struct v1_value *key,
		    struct v1_value *value);
/* The text as it came, with quotes and brackets; not after v1_string. */
struct slice	 v1_raw(const struct v1_value *);
/* The elements of an array, one a call: false at the end, or no array.
 * Eats the array. */
bool		 v1_element(struct v1_value *, struct v1_value *);
/* The bytes of a string, unescaped now; empty when it is no string.  They are
 * UTF-8 only as far as the sender's were; a lone surrogate becomes U+FFFD. */
struct slice	 v1_string(struct v1_value *);
/* An integer without fraction or exponent that fits. */
bool		 v1_int(const struct v1_value *, int64_t *);
bool		 v1_bool(const struct v1_value *, bool *);

#endif
