"""Where a job is found: a script or module, an attribute in it, and arguments; the same in every process.

A script gets a stable module name (`flights` for flights.py, never `__main__`), so that what it defines can be named
across processes. Building the job is all that happens here: nothing is planned or run."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from flowjob.args import Args, parse
from flowjob.errors import BadArguments, FlowjobError, PlanError
from flowjob.job import Job

DEFAULT_ATTRIBUTE = "job"

_PACKAGE = str(Path(__file__).parent)


class Entrypoint(msgspec.Struct, frozen=True):
    """What another process needs to build the same job.

    target    `path/flights.py`, `package.module`, either with `:attribute` behind it (`:job` when left out)
    args      values by name, usually text
    sys_path  directories put first on the module search path
    """

    target: str
    args: dict[str, Any] = {}
    sys_path: tuple[str, ...] = ()


def locate(target: str, args: Mapping[str, Any], directory: Path) -> Entrypoint:
    """The entrypoint for what a user typed in `directory`: absolute, so that it means the same elsewhere.

    Raises PlanError when a script is not there."""
    name, attribute = _split(target)
    if not _is_script(name):
        if (directory / name).is_file():
            raise PlanError(f"`{name}` is no Python script; name the .py file that defines the job")
        return Entrypoint(target, dict(args), (str(directory),))
    # Links stay: a ConfigMap's file is one, to a directory that is called differently in each pod.
    path = Path(os.path.abspath(directory / name))
    if path.is_dir():
        raise PlanError(f"`{name}` is a directory; name the script in it that defines the job")
    if not path.is_file():
        raise PlanError(f"there is no file `{name}` in {directory}{_near_scripts(path)}")
    root, _ = _module_of(path)
    return Entrypoint(f"{path}:{attribute}" if attribute else str(path), dict(args), (str(root),))


def load(entrypoint: Entrypoint) -> Job:
    """The job. Raises PlanError saying what is missing, or what the user's module raised."""
    for directory in reversed(entrypoint.sys_path):
        if directory not in sys.path:
            sys.path.insert(0, directory)
    name, attribute = _split(entrypoint.target)
    module = _import_script(Path(name)) if _is_script(name) else _import_module(name)
    if _is_script(name):
        name = Path(name).name
    found = _attribute(module, name, attribute)
    args = {key: _text(value) for key, value in entrypoint.args.items()}
    if isinstance(found, Job):
        if args:
            raise BadArguments(
                f"`{name}` defines a finished job, which takes no arguments, but got {', '.join(args)}. "
                "Make it a function: `def job(args: Args) -> fj.Job`"
            )
        return found
    return _call(found, f"{name}:{attribute or DEFAULT_ATTRIBUTE}", args)


def load_anew(entrypoint: Entrypoint) -> Job:
    """The job, of its files as they are now: what was imported from their directories is imported again. If that fails
    everything stays as it was. Raises what `load` does."""
    before = {name: found for name, found in sys.modules.items() if _is_users(found, entrypoint)}
    for name in before:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        return load(entrypoint)
    except BaseException:
        for name in [n for n, found in sys.modules.items() if _is_users(found, entrypoint)]:
            del sys.modules[name]
        sys.modules.update(before)
        raise


def _is_users(module: ModuleType, entrypoint: Entrypoint) -> bool:
    """Whether it came from the entrypoint's directories, and is none of ours or of an installed library's."""
    file: str | None = getattr(module, "__file__", None)
    package = getattr(module, "__name__", "").partition(".")[0]
    if file is None or package in _NEVER_ANEW:
        return False
    if file.startswith((f"{sys.prefix}{os.sep}", f"{sys.base_prefix}{os.sep}")):
        return False
    return file.startswith(tuple(f"{directory}{os.sep}" for directory in entrypoint.sys_path))


def _split(target: str) -> tuple[str, str | None]:
    """`(name, attribute)`; a colon of a drive letter or inside a directory name is none of ours."""
    name, colon, attribute = target.rpartition(":")
    if not colon or not attribute.replace(".", "").isidentifier():
        return target, None
    return name, attribute


def _is_script(name: str) -> bool:
    return name.endswith(".py") or "/" in name or "\\" in name


def _near_scripts(path: Path) -> str:
    """What stands beside a script that is not there, for the error."""
    if not path.parent.is_dir():
        return ""
    near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.py")], n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _module_of(path: Path) -> tuple[Path, str]:
    """The search-path directory and module name of a script, which may lie inside packages.

    A name that Python or a loaded library uses gets a prefix, the same one in every process."""
    parts = [path.stem]
    root = path.parent
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    name = ".".join(parts)
    if len(parts) == 1 and (name in sys.stdlib_module_names or name in _TAKEN_NAMES):
        name = f"flowjob_script_{name}"
    return root, name


_NEVER_ANEW = frozenset({"__main__", "flowjob", "flowjob_api", "flowjob_operator"})

_TAKEN_NAMES = frozenset({"flowjob", "__main__", "pyarrow", "numpy", "numba", "msgspec"})


def _import_script(path: Path) -> ModuleType:
    root, name = _module_of(path)
    loaded = sys.modules.get(name)
    if loaded is not None:
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
        raise PlanError(
            f"`{path.name}` has the name of a module that is already loaded, `{name}` "
            f"({getattr(loaded, '__file__', None) or 'built in'}): rename the script"
        )
    if "." in name:
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
        return _import_module(name)
    # By file and not by search path: the script that was named is loaded, not another of its name.
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise PlanError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _users_code(f"`{path.name}` could not be imported"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> ModuleType:
    with _users_code(f"`{name}` could not be imported"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise PlanError(
                f"there is no module `{name}`. For a script say its path: `{name.replace('.', '/')}.py`"
            ) from None


@contextlib.contextmanager
def _users_code(failed: str) -> Iterator[None]:
    """Turns what the user's code raises into a PlanError with the user's lines of the traceback."""
    try:
        yield
    except PlanError as error:
        if error.where is None and (line := _users_line(error)) is not None:
            error.where = line
            error.args = (f"{error.message}\n  at {line}",)
        raise
    except (FlowjobError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a script may also call sys.exit
        from flowjob.runtime.failures import user_traceback

        raise PlanError(f"{user_traceback(error)}{failed}") from None


def _users_line(error: BaseException) -> str | None:
    """`file:line` of the innermost frame outside this package that `error` passed."""
    line = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        if not name.startswith((_PACKAGE, "<")):
            line = f"{name}:{number}"
    return line


def _attribute(module: ModuleType, name: str, attribute: str | None) -> Any:
    found: Any = module
    for part in (attribute or DEFAULT_ATTRIBUTE).split("."):
        if not hasattr(found, part):
            raise PlanError(_no_attribute(module, name, attribute or DEFAULT_ATTRIBUTE))
        found = getattr(found, part)
    if isinstance(found, Job) or callable(found):
        return found
    raise PlanError(
        f"`{name}:{attribute or DEFAULT_ATTRIBUTE}` is {type(found).__name__}, not a fj.Job or a function that "
        "returns one"
    )


def _no_attribute(module: ModuleType, name: str, attribute: str) -> str:
    jobs = [key for key, value in vars(module).items() if isinstance(value, Job)]
    jobs += [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and value.__annotations__.get("return") in (Job, "Job", "fj.Job", "flowjob.Job")
    ]
    hint = (
        f" It does define {', '.join(f'`{j}`' for j in jobs)}: say `{name}:{jobs[0]}`"
        if jobs
        else " Define `job = fj.Job(…)`, or a function `def job(args: Args) -> fj.Job`"
    )
    return f"`{name}` has no `{attribute}`.{hint}"


def _call(function: Any, place: str, args: dict[str, str]) -> Job:
    """The job that a function returns, given what it asks for: nothing, or one Args."""
    parameters = list(inspect.signature(function).parameters.values())
    required = [p for p in parameters if p.default is p.empty]
    if len(required) > 1:
        raise PlanError(
            f"`{place}` takes {len(required)} parameters; it may take one, an `fj.Args`"
        )
    kind = _args_class(function, parameters, place)
    if kind is None and args:
        raise BadArguments(
            f"`{place}` takes no arguments, but got {', '.join(args)}. "
            "Declare them: `class Args(fj.Args)`, and `def job(args: Args) -> fj.Job`"
        )
    given = [] if kind is None else [parse(kind, args)]
    with _users_code(f"`{place}` raised while building the job"):
        job = function(*given)
    if not isinstance(job, Job):
        raise PlanError(f"`{place}` returned {type(job).__name__}, not the fj.Job it built")
    return job


def _args_class(
    function: Any, parameters: list[inspect.Parameter], place: str
) -> type[Args] | None:
    if not parameters:
        return None
    hint = typing.get_type_hints(function).get(parameters[0].name)
    if isinstance(hint, type) and issubclass(hint, Args):
        return hint
    if parameters[0].default is not inspect.Parameter.empty:
        return None
    raise PlanError(
        f"parameter `{parameters[0].name}` of `{place}` needs the type of its arguments: "
        "`class Args(fj.Args): …`, and `def job(args: Args) -> fj.Job`"
    )


def _text(value: Any) -> str:
    """A value of a FlowJob's `args` as what would be typed for it."""
    if isinstance(value, list):
        return ",".join(_text(v) for v in value)
    return "none" if value is None else str(value)
