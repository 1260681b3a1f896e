"""The one exception that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """A mistake outside the code: config, file, address, disk.

    Its text is one paragraph that says what is wrong, where, what was expected and what to do. `run_step` prints the
    text alone, without a traceback, and ends the process with status 1.
    """
