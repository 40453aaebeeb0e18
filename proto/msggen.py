#!/usr/bin/env python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""Turn a message table (exec.def, ctl.def) into C.

msggen.py header TABLE > NAME_msg.h     enum, structs
msggen.py source TABLE > NAME_msg.c     the descriptors that proto/msg.c walks
"""
import sys

SCALARS = {
    'bool': 'bool', 'u8': 'uint8_t', 'u16': 'uint16_t', 'u32': 'uint32_t',
    'u64': 'uint64_t', 'i32': 'int32_t', 'i64': 'int64_t', 'id': 'struct id16',
}
BYTES = dict.fromkeys(('str', 'path', 'bin', 'secret'), 'struct slice')
LISTS = {
    'strs': 'struct slices', 'paths': 'struct slices', 'u32s': 'struct u32s',
    'u64s': 'struct u64s', 'ids': 'struct id16s',
}
NUMBERS_OF = {**dict.fromkeys(SCALARS, 0), **dict.fromkeys(BYTES, 1),
              'strs': 2, 'paths': 2, 'u32s': 1, 'u64s': 1, 'ids': 1}
C_TYPE = {**SCALARS, **BYTES, **LISTS}


def fail(path, number, text):
    sys.exit(f'{path}:{number}: {text}')


def parse(path):
    """-> (protocol name, grows, [(name, id, from, [(type, name, max, each)], fd)])"""
    protocol, grows, messages, names, ids = None, False, [], set(), set()
    with open(path, encoding='utf-8') as table:
        for number, line in enumerate(table, 1):
            words = line.split('#')[0].split()
            if not words:
                continue
            if words[0] == 'protocol' and len(words) == 3:
                protocol, grows = words[1], words[2] == 'grows'
            elif words[0] == 'message' and (len(words) == 4 or words[4:] == ['fd']):
                name, ident = words[1], int(words[2])
                if name in names or ident in ids:
                    fail(path, number, f'{name} {ident} stands twice')
                names.add(name)
                ids.add(ident)
                messages.append((name, ident, words[3], [], len(words) == 5))
            elif words[0] in C_TYPE and messages:
                if len(words) != 2 + NUMBERS_OF[words[0]]:
                    fail(path, number, f'{words[0]} takes {NUMBERS_OF[words[0]]} limits')
                limits = [int(w) for w in words[2:]] + [0, 0]
                messages[-1][3].append((words[0], words[1], limits[0], limits[1]))
            else:
                fail(path, number, f'cannot read: {line.strip()}')
    if protocol is None:
        fail(path, 1, 'no protocol line')
    return protocol, grows, messages


def header(protocol, messages, out):
    guard = f'{protocol.upper()}_MSG_H'
    print(f'/* Made by proto/msggen.py from {protocol}.def. */\n', file=out)
    print(f'#ifndef {guard}\n#define {guard}\n\n#include "proto/msg.h"\n', file=out)
    print(f'enum {protocol}_type {{', file=out)
    for name, ident, _, _, _ in messages:
        print(f'\t{protocol.upper()}_{name.upper()} = {ident},', file=out)
    print('};\n', file=out)
    for name, _, _, fields, _ in messages:
        if not fields:
            continue
        print(f'struct {protocol}_{name} {{', file=out)
        for kind, field, _, _ in fields:
            print(f'\t{C_TYPE[kind]} {field};', file=out)
        print('};\n', file=out)
    print(f'union {protocol}_any {{', file=out)
    for name, _, _, fields, _ in messages:
        if fields:
            print(f'\tstruct {protocol}_{name} {name};', file=out)
    print('};\n', file=out)
    print(f'extern const struct schema {protocol}_schema;\n\n#endif', file=out)


def source(protocol, grows, messages, out):
    print(f'/* Made by proto/msggen.py from {protocol}.def. */\n', file=out)
    print('#include <stddef.h>\n', file=out)
    print(f'#include "{protocol}_msg.h"\n', file=out)
    for name, _, _, fields, _ in messages:
        if not fields:
            continue
        print(f'static const struct field {name}_fields[] = {{', file=out)
        for kind, field, most, each in fields:
            print(f'\t{{ "{field}", FIELD_{kind.upper()}, offsetof(struct '
                  f'{protocol}_{name}, {field}), {most}, {each} }},', file=out)
        print('};\n', file=out)
    print(f'static const struct message {protocol}_messages[] = {{', file=out)
    for name, ident, sender, fields, fd in sorted(messages, key=lambda m: m[1]):
        if sender == 'B':
            sender = 'HE'
        mask = ' | '.join(f'FROM_{letter}' for letter in sender)
        ref, size = ('NULL', '0') if not fields else (
            f'{name}_fields', f'sizeof(struct {protocol}_{name})')
        carries = 'true' if fd else 'false'
        print(f'\t{{ "{name}", {ident}, {len(fields)}, {mask}, {ref}, {size}, '
              f'{carries} }},', file=out)
    print('};\n', file=out)
    print(f'_Static_assert(sizeof(union {protocol}_any) <= MSG_BODY_MAX, '
          f'"raise MSG_BODY_MAX");\n', file=out)
    print(f'const struct schema {protocol}_schema = {{ "{protocol}", '
          f'{"true" if grows else "false"}, {len(messages)}, '
          f'{protocol}_messages }};', file=out)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ('header', 'source'):
        sys.exit('usage: msggen.py header|source TABLE')
    protocol, grows, messages = parse(sys.argv[2])
    if sys.argv[1] == 'header':
        header(protocol, messages, sys.stdout)
    else:
        source(protocol, grows, messages, sys.stdout)


main()
