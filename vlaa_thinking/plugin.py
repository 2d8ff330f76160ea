"""Find a function that a project names as "module:function"."""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def load(name: str, root: Path) -> Callable[..., Any]:
    """Return the function `name`, from an installed module or from one that lies beside the project."""
    module_name, _, attribute = name.partition(":")
    if not (module_name and attribute):
        raise SetupError(f'"{name}" names no function: write it as "module:function"')
    module = _module(module_name, root)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SetupError(f'"{name}": the module {module_name} has no function {attribute}')
    return found  # type: ignore[no-any-return]  # any callable: its signature is its caller's business


def _module(name: str, root: Path) -> ModuleType:
    try:
        if importlib.util.find_spec(name) is not None:
            return import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (name + ".").startswith(exc.name + "."):
            raise SetupError(f'"{name}" cannot be imported: {exc}') from exc
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    if not path.is_file():
        raise SetupError(
            f'there is no module "{name}", neither installed nor as {path.name} beside the project'
        )
    # Compiled by hand: an import would write bytecode into the user's project.
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102 - the user's own code
    return module
