# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Modules as skill code sees them.

A module of Python hands out the modules that it uses itself: glob.os is the
denied os.  So skill code gets a facade of each module, which has every
attribute of it but the modules that the policy refuses, and which gives
facades in their turn.  A missing attribute is an AttributeError without the
module: Python would put the bare one into the exception.
"""
import builtins
import types

from . import modules

# Never skill code's: it would import past the policy.
bare_import = builtins.__import__
HIDDEN = object()


class Gate:
    """What a policy lets through: modules, and things found in modules.

    may_have(name): is the module skill code's?
    replaced: {id of a thing: what skill code gets for it, or HIDDEN}.
    patch(name): called before the first facade of the module.
    read_only: are assignments to the attributes of modules refused?
    """

    def __init__(self, may_have, replaced, patch, read_only):
        self.may_have = may_have
        self.replaced = dict(replaced)
        self.replaced[id(bare_import)] = self.import_module
        self.patch = patch
        self.read_only = read_only
        self.facades = {}

    def import_module(self, name, globals=None, locals=None, fromlist=(),
                      level=0):
        """__import__ of skill code."""
        if level:
            raise ImportError("attempted relative import with no known "
                              "parent package")
        if isinstance(name, str) and not self.may_have(name):
            raise modules.refusal(name)
        return self.facade(bare_import(name, {}, None, fromlist))

    def facade(self, module):
        """The facade of a module; one each."""
        found = self.facades.get(id(module))
        if found is None:
            self.patch(module.__name__)
            found = self.facades[id(module)] = make(module, self)
        return found

    def present(self, value):
        """What skill code gets for a module's attribute, or HIDDEN."""
        if isinstance(value, types.ModuleType):
            if isinstance(value, Facade):
                return value
            return self.facade(value) if self.may_have(value.__name__) \
                else HIDDEN
        return self.replaced.get(id(value), value)


class Facade(types.ModuleType):
    """The class of all facades.  make() gives each a subclass of its own, so
    that the module stays in a closure and in no attribute."""


def make(module, gate):
    """The facade of a module."""
    def members():
        shown = ((name, gate.present(value))
                 for name, value in list(vars(module).items()))
        return {name: value for name, value in shown if value is not HIDDEN}

    def find(name):
        try:
            return gate.present(getattr(module, name))
        except AttributeError:
            return HIDDEN

    def check_writable():
        if gate.read_only:
            raise AttributeError(
                f"module '{module.__name__}' is read-only in skill code")

    class ModuleFacade(Facade):
        def __getattr__(self, name):
            value = find(name)
            if value is HIDDEN:
                raise AttributeError(f"module '{module.__name__}' has no "
                                     f"attribute '{name}'")
            if callable(value):
                # not exchanged later: kept, for speed
                types.ModuleType.__setattr__(self, name, value)
            return value

        def __setattr__(self, name, value):
            check_writable()
            setattr(module, name, value)
            forget(self, name)

        def __delattr__(self, name):
            check_writable()
            delattr(module, name)
            forget(self, name)

        @property
        def __dict__(self):
            return members()

        def __dir__(self):
            return sorted(members())

        def __repr__(self):
            return repr(module)

    facade = ModuleFacade(module.__name__, module.__doc__)
    path = getattr(module, "__file__", None)
    if path is not None:
        # an ImportError tells it
        types.ModuleType.__setattr__(facade, "__file__", path)
    return facade


def forget(facade, name):
    """Drops what a facade kept of an attribute that was changed."""
    try:
        types.ModuleType.__delattr__(facade, name)
    except AttributeError:
        pass
