"""Find a function that a project names as "module:function"."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


def load(name: str, root: Path) -> Callable[..., Any]:
    """Return the function `name`, from an installed module or from one that lies beside the project."""
    module_name, _, attribute = name.partition(":")
    if not attribute or not all(part.isidentifier() for part in f"{module_name}.{attribute}".split(".")):
        raise SetupError(f'"{name}" names no function: write it as "module:function"')
    try:
        module = _module(module_name, root)
    except Exception as exc:  # the user's own module may raise anything
        raise SetupError(f'"{name}": {module_name} cannot be imported: {type(exc).__name__}: {exc}') from exc
    if module is None:
        file = module_name.replace(".", "/") + ".py"
        raise SetupError(f'"{name}": there is no such module, neither installed nor as {file} in {root}')
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SetupError(f'"{name}": {module.__file__ or module_name} has no function {attribute}')
    return found  # type: ignore[no-any-return]  # any callable: its signature is its caller's business


def _module(name: str, root: Path) -> ModuleType | None:
    """Import an installed module, or else `name`.py beside the project; None if there is neither."""
    path = root.joinpath(*name.split(".")).with_suffix(".py").resolve()
    loaded = sys.modules.get(name)
    if loaded is not None and isinstance(loaded.__loader__, _WithoutBytecode):
        if loaded.__file__ == str(path):
            return loaded
        del sys.modules[name]  # another project's
    if _is_installed(name, path):
        return import_module(name)
    spec = spec_from_file_location(name, path, loader=_WithoutBytecode(name, str(path)))
    if spec is None or spec.loader is None or not path.is_file():
        return None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_installed(name: str, beside: Path) -> bool:
    """Whether `import` finds a module, other than the one beside the project that a shell's folder may bring in."""
    try:
        spec = find_spec(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise
        return False
    return spec is not None and spec.origin is not None and spec.origin != str(beside)


class _WithoutBytecode(SourceFileLoader):
    """A loader that leaves no __pycache__ in the user's project."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write nothing."""
