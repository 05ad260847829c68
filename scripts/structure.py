"""Figures of the source, from its syntax trees: how modules hang together and how large they are.

    python scripts/structure.py            # the figures
    python scripts/structure.py --list     # and what each of them counts

`tests/repository/test_structure.py` holds the figures that must stay as they are.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tsain_core", "napari_tsain")

#: Lines of a file and of a function, at most. Kernels are unrolled by hand, and may be longer.
FILE_LINES, FUNCTION_LINES = 400, 60
KERNELS = "tsain_core.ops."

#: What the core never imports.
FRONT_ENDS = {"napari_tsain", "napari", "qtpy", "superqt", "magicgui", "pyqtgraph", "PyQt6"}


@dataclass(frozen=True)
class Import:
    """A module imports another.

    Attributes
    ----------
    importer, imported : str
        Dotted names; `imported` is a module of ours where there is one of this name, otherwise the
        package from elsewhere.
    immediate : bool
        Whether it happens when the importer is imported: neither in a function nor for types only.
    for_types : bool
        Whether only a type checker sees it.
    """

    importer: str
    imported: str
    immediate: bool
    for_types: bool = False


@dataclass(frozen=True)
class Module:
    """A file of source."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that it lies in; of an `__init__` the package itself."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def modules(root: Path = ROOT) -> dict[str, Module]:
    """Dotted name -> module, of all packages."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def imports(known: dict[str, Module]) -> list[Import]:
    """Every import of every module."""
    return [found for module in known.values() for found in _imports(module, known)]


def _imports(module: Module, known: dict[str, Module]) -> Iterator[Import]:
    for node, late, for_types in _walk(module.tree, False, False):
        for target in _targets(node, module, known):
            if target != module.name:
                yield Import(module.name, target, not late and not for_types, for_types)


def _walk(node: ast.AST, late: bool, for_types: bool) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Each node, whether it is in a function, and whether it is for a type checker."""
    for child in ast.iter_child_nodes(node):
        yield child, late, for_types
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        yield from _walk(child, late or function, for_types or types)


def _targets(node: ast.AST, module: Module, known: dict[str, Module]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (_ours(alias.name, known) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = module.package.split(".")
            parts = above[: len(above) - node.level + 1]
            base = ".".join([*parts, *([base] if base else [])])
        for alias in node.names:
            yield _ours(f"{base}.{alias.name}" if base else alias.name, known)


def _ours(name: str, known: dict[str, Module]) -> str:
    """The longest part of a dotted name that is a module of ours; else its first part."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in known:
            return ".".join(parts[:end])
    return parts[0]


def cycles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of nodes that reach one another (strongly connected components of more than one)."""
    order: list[str] = []
    seen: set[str] = set()
    backward: dict[str, set[str]] = defaultdict(set)
    for source, targets in graph.items():
        for target in targets:
            backward[target].add(source)

    def visit(start: str, edges: dict[str, set[str]], out: list[str]) -> None:
        stack = [(start, iter(sorted(edges.get(start, ()))))]
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            following = next((n for n in rest if n not in seen), None)
            if following is None:
                out.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges.get(following, ())))))

    for node in sorted(graph):
        if node not in seen:
            visit(node, graph, order)
    seen.clear()
    found = []
    for node in reversed(order):
        if node not in seen:
            component: list[str] = []
            visit(node, backward, component)
            if len(component) > 1:
                found.append(set(component))
    return found


def module_cycles(known: dict[str, Module]) -> list[set[str]]:
    """Modules that import one another while they are imported."""
    graph: dict[str, set[str]] = {name: set() for name in known}
    for found in imports(known):
        if found.immediate and found.imported in known:
            # the packages round a module are imported with it; one's own are there already
            parts = found.imported.split(".")
            names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
            inside = {name for name in names if found.importer.startswith(f"{name}.")}
            graph[found.importer] |= names - inside - {found.importer}
    return cycles(graph)


def arrows(known: dict[str, Module]) -> set[tuple[str, str]]:
    """(package, package that it imports from); what is for a type checker only does not count."""
    pairs = {
        (known[found.importer].package, known[found.imported].package)
        for found in imports(known)
        if found.imported in known and not found.for_types
    }
    return {(a, b) for a, b in pairs if a != b}


def package_cycles(known: dict[str, Module]) -> list[set[str]]:
    """Packages that import from one another."""
    graph: dict[str, set[str]] = {module.package: set() for module in known.values()}
    for source, target in arrows(known):
        graph[source].add(target)
    return cycles(graph)


def upward_imports(known: dict[str, Module]) -> list[str]:
    """Imports of a front end by the core."""
    return [
        f"{found.importer} imports {found.imported}"
        for found in imports(known)
        if found.importer.startswith("tsain_core") and found.imported.split(".")[0] in FRONT_ENDS
    ]


def concrete_models(known: dict[str, Module]) -> set[str]:
    """Names of the classes in `tsain_core.inference.models` that compute slices."""
    return {
        node.name
        for module in known.values()
        if module.name.startswith("tsain_core.inference.models.")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Model")
        if not any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    }


def model_checks(known: dict[str, Module]) -> list[str]:
    """`isinstance` on a concrete model outside `models/`."""
    concrete = concrete_models(known)
    return [
        f"{module.name}:{node.lineno}"
        for module in known.values()
        if not module.name.startswith("tsain_core.inference.models")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "isinstance"
        and concrete & {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
    ]


def equal_names(known: dict[str, Module]) -> list[str]:
    """Names that more than one class has."""
    places = defaultdict(list)
    for module in known.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module.name)
    return [f"{name}: {', '.join(where)}" for name, where in places.items() if len(where) > 1]


def long_files(known: dict[str, Module]) -> list[str]:
    """Files with more than FILE_LINES lines."""
    lines = {m.name: len(m.path.read_text(encoding="utf-8").splitlines()) for m in known.values()}
    return [f"{name}: {n}" for name, n in lines.items() if n > FILE_LINES]


def long_functions(known: dict[str, Module]) -> list[str]:
    """Functions with more than FUNCTION_LINES lines without their docstring; not of kernels."""
    found = []
    for module in known.values():
        if module.name.startswith(KERNELS):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = _lines(node)
                if lines > FUNCTION_LINES:
                    found.append(f"{module.name}.{node.name}: {lines}")
    return found


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line, without the docstring."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def loose_modules(known: dict[str, Module]) -> list[str]:
    """Modules that lie directly in `tsain_core`."""
    return [m.name for m in known.values() if m.package == "tsain_core" and m.name != "tsain_core"]


def figures(known: dict[str, Module]) -> dict[str, list[str]]:
    """What is counted -> what was found, as text."""
    packages = Counter(module.package for module in known.values())
    return {
        "modules": list(known),
        "packages": [f"{name}: {n} modules" for name, n in packages.items()],
        "modules in the root of tsain_core": loose_modules(known),
        "arrows between packages": [f"{a} -> {b}" for a, b in sorted(arrows(known))],
        "cycles of modules": [", ".join(sorted(c)) for c in module_cycles(known)],
        "cycles of packages": [", ".join(sorted(c)) for c in package_cycles(known)],
        "upward imports": upward_imports(known),
        "isinstance on concrete models outside models/": model_checks(known),
        "class names used more than once": equal_names(known),
        f"files over {FILE_LINES} lines": long_files(known),
        f"functions over {FUNCTION_LINES} lines outside kernels": long_functions(known),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="show what each figure counts")
    args = parser.parse_args()
    for name, found in figures(modules()).items():
        print(f"{len(found):5} {name}")
        if args.list:
            print("".join(f"          {text}\n" for text in found), end="")


if __name__ == "__main__":
    main()
