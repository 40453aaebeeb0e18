# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Compiles skill code under restrictive: names are checked where they are
written, and what can only be checked at run time is made to call guards.py.

The names of guards start with a $: no source text can spell them.
"""
import ast

from .names import (SPECIAL_METHODS, WATCHED, attribute_fault,
                    variable_fault)
from .response import SKILL_FILE

FORBIDDEN_CALLS = {"exec": "Exec calls are not allowed.",
                   "eval": "Eval calls are not allowed."}


class Checker(ast.NodeTransformer):
    """Collects faults, in the order of the existing runner: a construct's
    own names before what it contains."""

    def __init__(self):
        self.faults = []
        self.methods = set()	# ids of functions directly in a class
        self.classes = 0	# classes of patterns so far

    def fault(self, node, text):
        if text is not None:
            self.faults.append(f"Line {node.lineno}: {text}")

    def check(self, node, *names):
        for name in names:
            if name is not None:
                self.fault(node, variable_fault(name))

    # --- names ---

    def visit_Name(self, node):
        self.check(node, node.id)
        return node

    def visit_Attribute(self, node):
        self.fault(node, attribute_fault(node.attr))
        self.generic_visit(node)
        if node.attr in WATCHED and isinstance(node.ctx, ast.Load):
            return guard(node, "$attribute", node.value,
                         ast.Constant(node.attr))
        return node

    def visit_Call(self, node):
        if isinstance(node.func, ast.Name):
            self.fault(node, FORBIDDEN_CALLS.get(node.func.id))
        return self.generic_visit(node)

    def visit_keyword(self, node):
        self.check(node, node.arg)
        return self.generic_visit(node)

    def visit_Global(self, node):
        self.check(node, *node.names)
        return node

    visit_Nonlocal = visit_Global

    # --- imports ---

    def visit_Import(self, node):
        for alias in node.names:
            self.check(node, *alias.name.split("."), alias.asname)
        return node

    def visit_ImportFrom(self, node):
        if node.module is not None and node.module != "__future__":
            self.check(node, *node.module.split("."))
        for alias in node.names:
            self.check(node, alias.name, alias.asname)
        return node

    # --- definitions ---

    def visit_FunctionDef(self, node):
        if id(node) not in self.methods or node.name not in SPECIAL_METHODS:
            self.check(node, node.name)
        self.check_parameters(node)
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self.check_parameters(node)
        return self.generic_visit(node)

    def check_parameters(self, node):
        given = node.args
        named = [*given.posonlyargs, *given.args, given.vararg, given.kwarg,
                 *given.kwonlyargs]
        self.check(node, *(one.arg for one in named if one is not None))

    def visit_ClassDef(self, node):
        self.check(node, node.name)
        self.methods.update(id(statement) for statement in node.body)
        return self.generic_visit(node)

    def visit_ExceptHandler(self, node):
        self.generic_visit(node)
        self.check(node, node.name)
        return node

    def visit_type_parameter(self, node):
        self.check(node, node.name)
        return self.generic_visit(node)

    visit_TypeVar = visit_ParamSpec = visit_TypeVarTuple = \
        visit_type_parameter

    # --- patterns ---

    def visit_Match(self, node):
        """The classes of patterns with positional parts are looked up and
        checked before: such a part reads attributes that the class names."""
        looked_up = []
        for pattern in (inner for case in node.cases
                        for inner in ast.walk(case.pattern)):
            if isinstance(pattern, ast.MatchClass) and pattern.patterns:
                name = f"$class{self.classes}"
                self.classes += 1
                pattern.cls, kind = at(pattern.cls, ast.Name(
                    name, ast.Load())), self.visit(pattern.cls)
                looked_up.append(at(node, ast.Assign(
                    [ast.Name(name, ast.Store())],
                    guard(node, "$pattern_class", kind))))
        return [*looked_up, self.generic_visit(node)]

    def visit_MatchClass(self, node):
        for name in node.kwd_attrs:
            self.fault(node, attribute_fault(name))
            if name in WATCHED:
                self.fault(node, f'"{name}" is a reserved name.')
        return self.generic_visit(node)

    def visit_MatchAs(self, node):
        self.check(node, node.name)
        return self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node):
        self.check(node, node.rest)
        return self.generic_visit(node)


def at(place, node):
    """The node, at the lines of another."""
    return ast.fix_missing_locations(ast.copy_location(node, place))


def guard(place, name, *arguments):
    """A call of a guard."""
    return at(place, ast.Call(ast.Name(name, ast.Load()), list(arguments),
                              []))


def syntax_fault(error):
    statement = error.text.strip() if error.text else None
    return (f"Line {error.lineno}: {type(error).__name__}: {error.msg} "
            f"at statement: {statement!r}")


def check(code, mode="exec"):
    """(tree, faults) of a source text."""
    try:
        tree = ast.parse(code, SKILL_FILE, mode)
    except SyntaxError as error:
        return None, (syntax_fault(error),)
    except ValueError as error:
        return None, (str(error),)
    checker = Checker()
    tree = checker.visit(tree)
    return tree, tuple(checker.faults)


def compile_skill(code):
    """The code object; SyntaxError of a tuple with every fault."""
    if not isinstance(code, str):
        raise TypeError(f'Not allowed source type: "{type(code).__name__}".')
    tree, faults = check(code)
    if not faults:
        try:
            return compile(tree, SKILL_FILE, "exec", dont_inherit=True)
        except SyntaxError as error:
            # such as a return outside of a function: found later
            faults = (syntax_fault(located(error, code)),)
    raise SyntaxError(faults)


def located(error, code):
    """A fault found in the tree, with the text that it does not know."""
    lines = code.splitlines()
    if error.text is None and error.lineno and error.lineno <= len(lines):
        error.text = lines[error.lineno - 1]
    return error
