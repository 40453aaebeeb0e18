# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""All lines of the contract: LINES, and differences() to look at one."""
import lines_bot
import lines_python
from line import LINES, differences

__all__ = ["LINES", "differences", "lines_bot", "lines_python"]
