# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Which names skill code may use under restrictive, and the words of a no.

The words at compile time are those of the existing runner: people search
for them.
"""

# They lead from what runs to its variables and its code.
INNER_ATTRIBUTES = frozenset("""
    ag_await ag_code ag_frame co_code cr_await cr_code cr_frame cr_origin
    f_back f_builtins f_code f_globals f_locals f_trace gi_code gi_frame
    gi_yieldfrom tb_frame tb_next
""".split())
# str.format reads attributes that its text names.
FORMATS = frozenset(("format", "format_map"))
# Attributes whose value is looked at when they are read: formats, and the
# object of an AttributeError, which may be a bare module.
WATCHED = FORMATS | {"obj"}
RESERVED = frozenset(("breakpoint", "builtins"))

# Methods by which Python calls a class; others with two underscores are
# data, or not for classes to have.
SPECIAL_METHODS = frozenset(f"__{name}__" for name in """
    abs add aenter aexit aiter and anext await bool buffer bytes call ceil
    class_getitem complex contains copy deepcopy del delattr delete delitem
    dir divmod enter eq exit float floor floordiv format fspath ge get
    getattr getattribute getitem getnewargs getnewargs_ex getstate gt hash
    iadd iand ifloordiv ilshift imatmul imod imul index init init_subclass
    instancecheck int invert ior ipow irshift isub iter itruediv ixor le len
    length_hint lshift lt matmul missing mod mro_entries mul ne neg new next
    or pos post_init pow prepare radd rand rdivmod reduce reduce_ex
    release_buffer repr reversed rfloordiv rlshift rmatmul rmod rmul ror
    round rpow rrshift rshift rsub rtruediv rxor set set_name setattr
    setitem setstate sizeof str sub subclasscheck subclasshook truediv trunc
    xor
""".split())


def is_hidden(name):
    return name.startswith("_") and name != "_"


def variable_fault(name):
    """What is wrong with a variable, parameter, keyword or import."""
    if is_hidden(name):
        return (f'"{name}" is an invalid variable name because it starts '
                'with "_"')
    if name in RESERVED:
        return f'"{name}" is a reserved name.'
    return None


def attribute_fault(name):
    """What is wrong with an attribute that is written in the code."""
    if is_hidden(name):
        return (f'"{name}" is an invalid attribute name because it starts '
                'with "_".')
    if name in INNER_ATTRIBUTES:
        return (f'"{name}" is a restricted name, that is forbidden to access '
                'in RestrictedPython.')
    return None


def plain_text(name):
    """The exact str of a name: a subclass may say one thing when it is
    compared and be another."""
    return name if type(name) is str else "".join((name,))


def check_unwatched(name):
    """As check_attribute, where the value cannot be looked at."""
    name = check_attribute(name)
    if name in WATCHED:
        raise PermissionError(f'Cannot access "{name}" in this way')
    return name


def check_attribute(name):
    """An attribute whose name was computed: PermissionError, or the name."""
    name = plain_text(name)
    if is_hidden(name):
        raise PermissionError(
            f'Cannot access "{name}" because it starts with "_"')
    if name in INNER_ATTRIBUTES:
        raise PermissionError(f'Cannot access "{name}"')
    return name
