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
 * Python: started once in the zygote with everything that skills need, and
 * then used once by each of its children.
 * Runs in: the zygote, and its children behind jail_enter().
 * The host side of a skill is the package xbot_skill beside this program.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/skill/skill.h"

/*
 * The image's virtual environment (see Dockerfile): what `pip install'
 * puts there is what skills import.  Whoever may write there is trusted.
 */
#ifndef XBOT_SKILL_VENV
#define XBOT_SKILL_VENV	"/opt/xbot/venv"
#endif

#define LIBS_MAX	64

static const char *const policy_words[] = { "none", "permissive",
    "restrictive" };
static PyObject	*run_function, *rehearse_function;
static char	*libs[LIBS_MAX + 1];
static size_t	 nlibs;

/* The package is imported from its directory, which no skill may search. */
static const char bootstrap[] =
    "import gc, sys\n"
    "sys.path.insert(0, package_dir)\n"
    "import xbot_skill\n"
    "xbot_skill.prepare()\n"
    "sys.path.remove(package_dir)\n"
    "sys.path_importer_cache.pop(package_dir, None)\n"
    "gc.collect()\n"
    "gc.freeze()\n";

/* near_set() for the package, which says what shall lie there. */
static PyObject *
on_near_set(PyObject *self, PyObject *on)
{
	near_set(PyObject_IsTrue(on) == 1);
	Py_RETURN_NONE;
}

static PyMethodDef near_methods[] = {
	{ "near_set", on_near_set, METH_O, NULL },
	{ NULL, NULL, 0, NULL }
};
static struct PyModuleDef near_module = {
	PyModuleDef_HEAD_INIT, .m_name = "_xbot_near",
	.m_methods = near_methods
};

static PyObject *
near_module_init(void)
{
	return PyModule_Create(&near_module);
}

static bool
package_find(char *dir, size_t size)
{
	static const char *const places[] = { "workers/skill", "",
	    "../libexec/xbot", "../workers/skill" };
	char	 self[PATH_MAX], probe[PATH_MAX + 64], *slash;
	ssize_t	 n;
	size_t	 i;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		*slash = '\0';
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(dir, size, "%s/%s", self, places[i]);
		(void)snprintf(probe, sizeof(probe), "%s/xbot_skill/__init__.py",
		    dir);
		if (access(probe, R_OK) == 0)
			return true;
	}
	(void)snprintf(dir, size, "%s", XBOT_LIBEXECDIR);
	return true;
}

/* The environment, the user's site and the working directory say nothing. */
static bool
interpreter_init(char *why, size_t size)
{
	PyPreConfig	 pre;
	PyConfig	 config;
	PyStatus	 st;
	const char	*program = "/usr/bin/python3";
	PyObjectArenaAllocator arenas = { NULL, pages_alloc, pages_free };

	if (access(XBOT_SKILL_VENV "/bin/python3", X_OK) == 0)
		program = XBOT_SKILL_VENV "/bin/python3";
	PyObject_SetArenaAllocator(&arenas);
	(void)PyImport_AppendInittab("_xbot_near", near_module_init);
	PyPreConfig_InitIsolatedConfig(&pre);
	pre.utf8_mode = 1;
	st = Py_PreInitialize(&pre);
	PyConfig_InitIsolatedConfig(&config);
	config.write_bytecode = 0;
	config.buffered_stdio = 0;
	if (!PyStatus_Exception(st))
		st = PyConfig_SetBytesString(&config, &config.program_name,
		    program);
	if (!PyStatus_Exception(st))
		st = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	near_start();
	if (PyStatus_Exception(st))
		(void)snprintf(why, size, "%s", st.err_msg != NULL ?
		    st.err_msg : "no start");
	return !PyStatus_Exception(st);
}

/* The pending exception in a line. */
static void
exception_text(char *why, size_t size)
{
	PyObject	*type, *value, *trace, *text;
	const char	*s = NULL;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	text = value != NULL ? PyObject_Repr(value) : NULL;
	if (text != NULL)
		s = PyUnicode_AsUTF8(text);
	(void)snprintf(why, size, "%s", s != NULL ? s : "unknown failure");
	PyErr_Clear();
}

static bool
package_import(char *why, size_t size)
{
	PyObject	*globals = PyDict_New(), *dir, *module, *rv = NULL;
	char		 path[PATH_MAX + 32];

	if (globals == NULL || !package_find(path, sizeof(path)) ||
	    (dir = PyUnicode_DecodeFSDefault(path)) == NULL ||
	    PyDict_SetItemString(globals, "package_dir", dir) == -1)
		goto fail;
	rv = PyRun_String(bootstrap, Py_file_input, globals, globals);
	if (rv == NULL ||
	    (module = PyImport_ImportModule("xbot_skill")) == NULL ||
	    (run_function = PyObject_GetAttrString(module, "run")) == NULL ||
	    (rehearse_function = PyObject_GetAttrString(module,
	    "rehearse")) == NULL)
		goto fail;
	return true;
fail:
	exception_text(why, size);
	return false;
}

static void
lib_add(const char *path)
{
	size_t i;

	for (i = 0; i < nlibs; i++)
		if (strcmp(libs[i], path) == 0)
			return;
	if (nlibs < LIBS_MAX && (libs[nlibs] = strdup(path)) != NULL)
		nlibs++;
}

/* Directories of shared libraries, as far as they are loaded by now. */
static int
on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	char	 path[PATH_MAX], *slash;

	if (info->dlpi_name == NULL || info->dlpi_name[0] != '/')
		return 0;
	(void)snprintf(path, sizeof(path), "%s", info->dlpi_name);
	if ((slash = strrchr(path, '/')) != NULL && slash != path) {
		*slash = '\0';
		lib_add(path);
	}
	return 0;
}

static void
libs_find(void)
{
	PyObject	*path = PySys_GetObject("path"), *item;
	Py_ssize_t	 i;
	const char	*s;
	struct stat	 st;

	for (i = 0; path != NULL && i < PyList_Size(path); i++) {
		item = PyList_GetItem(path, i);
		if (PyUnicode_Check(item) &&
		    (s = PyUnicode_AsUTF8(item)) != NULL && s[0] == '/' &&
		    stat(s, &st) == 0)
			lib_add(s);
	}
	(void)dl_iterate_phdr(on_object, NULL);
}

bool
python_start(char *why, size_t size)
{
	if (!interpreter_init(why, size) || !package_import(why, size))
		return false;
	libs_find();
	/* What was freed lies about for reuse; a run's objects shall be near. */
	(void)PyGC_Collect();
	return true;
}

char *const *
python_libs(void)
{
	return libs;
}

pid_t
python_fork(void)
{
	pid_t pid;

	PyOS_BeforeFork();
	if ((pid = fork()) == 0) {
		near_run();
		PyOS_AfterFork_Child();
	} else
		PyOS_AfterFork_Parent();
	return pid;
}

/* --- in the child --- */

/* false: the worker went away, or changed its mind. */
static bool
read_all(void *dst, size_t len)
{
	char	*p = dst;
	ssize_t	 n;

	while (len > 0) {
		n = read(RUN_FD, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
write_all(const void *src, size_t len)
{
	const char	*p = src;
	ssize_t		 n;

	while (len > 0) {
		n = write(RUN_FD, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* The next len bytes as a str; None for none. */
static PyObject *
read_text(size_t len, bool none)
{
	char		*text;
	PyObject	*o = NULL;

	if (len == 0 && none)
		Py_RETURN_NONE;
	if ((text = PyMem_Malloc(len + 1)) != NULL && read_all(text, len))
		o = PyUnicode_DecodeUTF8(text, (Py_ssize_t)len, "replace");
	PyMem_Free(text);
	return o;
}

static PyObject *
read_body(uint64_t len)
{
	PyObject *o = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);

	if (o != NULL && !read_all(PyBytes_AS_STRING(o), (size_t)len))
		Py_CLEAR(o);
	return o;
}

/* The request, as the arguments of run(). */
static PyObject *
read_request(void)
{
	struct run_head	 h;
	PyObject	*url, *token, *trace, *body;

	/* A spare waits here. */
	if (!read_all(&h, sizeof(h)) || h.policy > SKILL_RESTRICTIVE)
		_exit(0);
	url = read_text(h.nurl, false);
	token = read_text(h.ntoken, true);
	trace = read_text(h.ntrace, true);
	body = read_body(h.nbody);
	if (url == NULL || token == NULL || trace == NULL || body == NULL)
		return NULL;
	return Py_BuildValue("(NsNNNdi)", body, policy_words[h.policy], url, token,
	    trace, (double)h.timeout, (int)h.testing);
}

/* Pages are copied when they are first written to: better while nobody
 * waits.  Not when the request is here, or its caller gone, already. */
void
python_rehearse(enum skill_policy policy)
{
	struct pollfd	 p = { .fd = RUN_FD, .events = POLLIN };
	PyObject	*rv;

	if (policy > SKILL_RESTRICTIVE || poll(&p, 1, 0) != 0)
		return;
	rv = PyObject_CallFunction(rehearse_function, "s",
	    policy_words[policy]);
	if (rv == NULL)
		PyErr_Clear();
	Py_XDECREF(rv);
}

void
python_run(void)
{
	struct run_answer	 a = { 0, 0 };
	PyObject		*args, *rv = NULL;
	const char		*bytes = NULL;
	Py_ssize_t		 n = 0;
	pid_t			 self = getpid();
	int			 status = 0;

	if ((args = read_request()) != NULL)
		rv = PyObject_Call(run_function, args, NULL);
	/* a skill that forked comes back twice; one process answers */
	if (getpid() != self)
		_exit(0);
	if (rv == NULL ||
	    !PyArg_ParseTuple(rv, "iy#", &status, &bytes, &n)) {
		PyErr_Print();
		_exit(125);
	}
	a.status = (uint32_t)status;
	a.length = (uint32_t)n;
	if ((size_t)n > SKILL_ANSWER_MAX)
		_exit(124);
	if (!write_all(&a, sizeof(a)) || !write_all(bytes, (size_t)n))
		_exit(1);
	_exit(0);
}
