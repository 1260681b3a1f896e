"""What a full disk and its kin mean to the user, whichever library met them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_ROOM = "Make room there, or let the run write elsewhere"
_WRITING = {  # met only when something is written
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("the disk quota is used up", _ROOM),
    errno.EFBIG: ("a file may not become so large there", "Raise the limit (`ulimit -f`), or use another file system"),
    errno.EROFS: ("the file system is read-only", "Mount it for writing, or let the run write elsewhere"),
}
_NAMED = {  # ours only when a path is named: sockets have them, too
    errno.EIO: ("the disk does not answer as it should (input/output error)", "Look at the disk or its server"),
    errno.ESTALE: ("the network file system has lost the file", "Look at the file server"),
    errno.EACCES: ("there is no permission", "Change owner or mode of the path or its folder"),
    errno.EPERM: ("it is not permitted", "Change owner, mode or attributes of the path or its folder"),
    errno.EMFILE: ("too many files are open", "Raise the limit (`ulimit -n`)"),
}
_SAYINGS = (
    (errno.ENOSPC, ("No space left on device", "os error 28", "disk is full")),
    (errno.EDQUOT, ("os error 122",)),
)


def name_path(error: OSError, path: str | os.PathLike[str]) -> None:
    """Say in an error of writing which file it was, where it does not: `write` knows no name."""
    if error.filename is None and error.errno in _WRITING:
        error.filename = os.fspath(path)


def disk_problem(error: BaseException) -> str | None:
    """Return the paragraph for an error that the disk is to blame for, None for any other.

    Libraries wrap such errors, or drop the number and keep the text (safetensors, sqlite3): causes and texts are looked
    at, too.
    """
    for each in _causes(error):
        number = each.errno if isinstance(each, OSError) else None
        place = each.filename if isinstance(each, OSError) else None
        found = _WRITING.get(number or 0) or (_NAMED.get(number or 0) if place is not None else None)
        if found is None and not isinstance(each, OSError):
            found = next((_WRITING[code] for code, texts in _SAYINGS if any(text in str(each) for text in texts)), None)
        if found is not None:
            what, remedy = found
            where = os.fsdecode(place) if isinstance(place, str | bytes) else "a file of this step"
            return (
                f"{where} cannot be used: {what} ({each}). {remedy}, then run again: files that were finished are whole"
                " and stay, half-written ones do not count, and a step that keeps its progress goes on from it."
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
