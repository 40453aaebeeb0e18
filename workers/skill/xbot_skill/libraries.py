# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What skills are likely to import, imported; with what we import ourselves,
so that nothing else is made while the package is laid side by side."""
import importlib

NAMES = """
    argparse ast asyncio base64 calendar cmath collections contextlib copy csv
    dataclasses datetime decimal difflib email.message enum fractions
    functools glob hashlib heapq hmac html http.client io ipaddress itertools
    json logging math mimetypes operator pathlib pprint random re requests
    secrets statistics string tempfile textwrap time timeit types typing
    unicodedata urllib.request uuid xml.etree.ElementTree zoneinfo
""".split()

for name in NAMES:
    try:
        importlib.import_module(name)
    except ImportError:
        pass	# not installed: then no skill can want it
