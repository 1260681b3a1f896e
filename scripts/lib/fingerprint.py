"""`code_hash`: a fingerprint of the code that a step runs, and of nothing else.

Snakemake does not see an edit in a module that `python -m` runs or imports (docs/decisions.md#6), so each rule carries
this fingerprint as a param. It covers the syntax trees of the step's module and of what that module imports of ours, at
the grain of top-level definitions: of `from scripts.lib.files import write_json` it covers `write_json` and what that
uses, not the rest of the file. Comments, docstrings, layout and file times do not enter.

What cannot be seen this way, by rule of the house: `getattr` on a module of ours, and modules loaded by name.
A rule that serves several methods therefore names the module of the chosen one itself.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "scripts"
ROOT = Path(__file__).resolve().parents[2]
WHOLE = "*"


Described = tuple[str, list[tuple[str, str]], list[str]]


class Module:
    """The top-level statements of one file, by the names that they bind."""

    def __init__(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        self.defined: dict[str, list[ast.stmt]] = {}
        self.imported: dict[str, tuple[str, str]] = {}  # local name → (module, name in it or WHOLE)
        self.unnamed: list[ast.stmt] = []  # run whatever is imported: they may have effects
        self._described: dict[str, Described] = {}
        for statement in tree.body:
            self._sort(statement)

    def described(self, name: str, statements: list[ast.stmt]) -> Described:
        """Return the canonical text of a definition, what it imports, and the names that it uses; read once."""
        if name not in self._described:
            self._described[name] = (
                ";".join(_canonical(statement) for statement in statements),
                [target for statement in statements for target in _inner_imports(statement)],
                sorted({used for statement in statements for used in _used_names(statement)}),
            )
        return self._described[name]

    def _sort(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self.imported.update(_imports(statement))
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.defined.setdefault(statement.name, []).append(statement)
        elif (names := _assigned(statement)) is not None:
            for name in names:
                self.defined.setdefault(name, []).append(statement)
        elif not _is_text(statement):
            self.unnamed.append(statement)


@cache
def _parsed(path: Path, state: tuple[int, int, int]) -> Module:
    """Return a file's statements; `state` is there for the cache alone."""
    return Module(path)


def _read_module(path: Path) -> Module:
    found = path.stat()
    return _parsed(path, (found.st_ino, found.st_size, found.st_mtime_ns))


def _imports(statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
    if isinstance(statement, ast.Import):
        # `import a.b` binds `a`; the whole of a.b may be used through it.
        return {
            alias.asname or alias.name.split(".")[0]: (alias.name, WHOLE)
            for alias in statement.names
            if alias.name.split(".")[0] == PACKAGE
        }
    if statement.level:
        raise ValueError("relative imports are not used in this project: write scripts.<stage>.<module>")
    module = statement.module or ""
    if module.split(".")[0] != PACKAGE:
        return {}
    return {alias.asname or alias.name: (module, alias.name) for alias in statement.names}


def _assigned(statement: ast.stmt) -> list[str] | None:
    """Return the names that a plain assignment binds, None for any other statement."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return None
    names = []
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Attribute | ast.Subscript):
                return None  # writes into another object: an effect
            if isinstance(node, ast.Name):
                names.append(node.id)
    return names


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _canonical(node: ast.AST) -> str:
    """Return the tree as text without positions, docstrings and empty fields (their set differs between Pythons)."""
    parts = []
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "type_comment") or value is None or value == []:
            continue
        if isinstance(value, ast.AST):
            parts.append(f"{name}={_canonical(value)}")
        elif isinstance(value, list):
            kept = [item for item in value if not (name == "body" and isinstance(item, ast.stmt) and _is_text(item))]
            items = (_canonical(item) if isinstance(item, ast.AST) else repr(item) for item in kept)
            parts.append(f"{name}=[{','.join(items)}]")
        else:
            parts.append(f"{name}={value!r}")
    return f"{type(node).__name__}({','.join(parts)})"


def _used_names(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id


def _inner_imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what functions import in their bodies."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            yield from _imports(inner).values()


def module_path(module: str, root: Path = ROOT) -> Path | None:
    """Return the file of a module of ours, None when there is none (the name may be a definition in a module)."""
    stem = root.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


class _Closure:
    """Everything reachable from the entry modules: (module, definition) → canonical text."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, Module] = {}
        self.texts: dict[tuple[str, str], str] = {}
        self.paths: set[Path] = set()

    def add_module(self, name: str, wanted: str) -> None:
        if module_path(f"{name}.{wanted}", self.root) is not None and wanted != WHOLE:
            name, wanted = f"{name}.{wanted}", WHOLE  # `from scripts.lib import images` names a module
        if name not in self.modules:
            path = module_path(name, self.root)
            if path is None:
                raise FileNotFoundError(f"no file for module {name} under {self.root}")
            self.paths.add(path)
            module = self.modules[name] = _read_module(path)
            for index, statement in enumerate(module.unnamed):
                self._add_statement(name, f"<{index}>", [statement])
        for each in list(self.modules[name].defined) if wanted == WHOLE else [wanted]:
            self._add_name(name, each)
        if wanted == WHOLE:
            for target, inner in self.modules[name].imported.values():
                self.add_module(target, inner)

    def _add_name(self, module: str, name: str) -> None:
        known = self.modules[module]
        if name in known.imported:
            self.add_module(*known.imported[name])
        elif name in known.defined and (module, name) not in self.texts:
            self._add_statement(module, name, known.defined[name])

    def _add_statement(self, module: str, name: str, statements: list[ast.stmt]) -> None:
        key = (module, name)
        if key in self.texts:
            return
        known = self.modules[module]
        self.texts[key], imports, names = known.described(name, statements)
        for target in imports:
            self.add_module(*target)
        for used in names:
            self._add_name(module, used)


def closure(modules: tuple[str, ...], root: Path = ROOT) -> dict[tuple[str, str], str]:
    """Return (module, definition) → canonical text of all that `modules` run of ours."""
    return _build(modules, root).texts


def code_files(*modules: str, root: Path = ROOT) -> list[Path]:
    """Return the files of ours that `modules` need, sorted."""
    return sorted(_build(modules, root).paths)


@cache
def _build(modules: tuple[str, ...], root: Path) -> _Closure:
    result = _Closure(root)
    for module in modules:
        result.add_module(module, WHOLE)
    return result


@cache
def code_hash(*modules: str, root: Path = ROOT) -> str:
    """Return the fingerprint of `modules` and of all that they use of ours: 16 hexadecimal digits."""
    lines = (f"{module}.{name}:{text}" for (module, name), text in sorted(closure(modules, root).items()))
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()[:16]
