# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The package's modules, laid side by side in memory (see near.c).

A run touches a little of each: what lies together is fewer pages to copy.
First comes all code, for its words are the first of their kind: whoever
else has a word like it takes ours.
"""
import contextlib
import gc
import marshal
import os
import sys
from importlib.machinery import FileFinder, SourceFileLoader

try:
    from _xbot_near import near_set
except ImportError:
    def near_set(on):
        """Not in the zygote, but in a test."""


@contextlib.contextmanager
def near():
    """What is made meanwhile lies there."""
    gc.collect()	# else some of it would be made of freed objects
    near_set(True)
    try:
        yield
    finally:
        near_set(False)


class Loader(SourceFileLoader):
    """Of modules whose code is there already."""

    codes = {}

    def get_code(self, name):
        return self.codes.pop(name)


def load_codes(package, directory):
    """The code of all modules of the package; of what is needed to compile
    it, nothing lies in between."""
    compiled = {}
    for file in sorted(os.listdir(directory)):
        stem, suffix = os.path.splitext(file)
        if suffix == ".py":
            name = f"{package}.{stem}"
            path = os.path.join(directory, file)
            code = SourceFileLoader(name, path).get_code(name)
            compiled[name] = marshal.dumps(code)
    with near():
        for name, code in compiled.items():
            Loader.codes[name] = marshal.loads(code)


@contextlib.contextmanager
def modules_near(directory):
    """Modules of that directory that are imported meanwhile lie there."""
    sys.path_importer_cache[directory] = FileFinder(directory,
                                                    (Loader, [".py"]))
    try:
        with near():
            yield
    finally:
        del sys.path_importer_cache[directory]
        Loader.codes.clear()	# of those that were imported before
