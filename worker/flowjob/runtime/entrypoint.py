"""From what a client was given (`module:attr`, a script, or a pickled job) to a Job object.

Client and slots use the same function, so that both see the same modules under the same names: classes and functions
then pickle by reference between them. A script is imported under its own stem, never run as `__main__`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

from flowjob.errors import BadArguments, PlanError
from flowjob.runtime.messages import JobSource, PickledSource

if TYPE_CHECKING:
    from flowjob.job import Job

DEFAULT_ATTRIBUTE = "job"


def load_job(source: JobSource) -> Job:
    """The job, after making this process's import path and directory the client's. Raises PlanError when there is
    none, and whatever the user's module raises."""
    _enter(source)
    if isinstance(source, PickledSource):
        import cloudpickle

        job: Job = cloudpickle.loads(
            source.data
        )  # from our own client, over an authenticated connection
        return job
    module_name, attribute = _split(source.entrypoint)
    module = _script(module_name) if module_name.endswith(".py") else _module(module_name)
    return build_job(
        _attribute(module, attribute, source.entrypoint), source.args, source.entrypoint
    )


def build_job(target: Any, args: Mapping[str, str], where: str) -> Job:
    """`target` is a Job, or a function that makes one from nothing or from an Args instance."""
    from flowjob.args import Args, parse
    from flowjob.job import Job

    if isinstance(target, Job):
        if args:
            raise BadArguments(
                f"`{where}` is a finished job and takes no arguments, but was given: {', '.join(args)}. "
                "Make it a function of an fj.Args class to take some."
            )
        return target
    if not callable(target):
        raise PlanError(
            f"`{where}` is a {type(target).__name__}, not a Job or a function that returns one"
        )
    kinds = [k for k in _parameter_types(target) if isinstance(k, type) and issubclass(k, Args)]
    if args and not kinds:
        raise BadArguments(f"`{where}` takes no arguments, but was given: {', '.join(args)}")
    made = target(*(parse(kind, args) for kind in kinds))
    if not isinstance(made, Job):
        raise PlanError(f"`{where}` returned a {type(made).__name__}, not a Job")
    return made


def module_name_of(script: Path) -> str:
    """The name a script is imported under, the same in every process. Names that Python itself or this package
    uses get a prefix."""
    stem = script.stem
    taken = (
        stem in sys.stdlib_module_names
        or stem in ("flowjob", "__main__")
        or not stem.isidentifier()
    )
    return f"flowjob_script_{stem}" if taken else stem


def _enter(source: JobSource) -> None:
    for path in reversed(source.sys_path):
        if path not in sys.path:
            sys.path.insert(0, path)
    if source.directory is not None and source.directory != str(Path.cwd()):
        os.chdir(source.directory)


def _split(entrypoint: str) -> tuple[str, str]:
    module, _, attribute = entrypoint.rpartition(":")
    return (module, attribute) if module else (entrypoint, DEFAULT_ATTRIBUTE)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise PlanError(
                f"there is no module `{name}` on the import path ({', '.join(sys.path)})"
            ) from error
        raise


def _script(path: str) -> ModuleType:
    script = Path(path).resolve()
    name = module_name_of(script)
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(script):
        return loaded
    if not script.is_file():
        raise PlanError(f"there is no file `{script}`")
    if str(script.parent) not in sys.path:
        sys.path.insert(0, str(script.parent))
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _attribute(module: ModuleType, attribute: str, entrypoint: str) -> Any:
    try:
        return getattr(module, attribute)
    except AttributeError:
        from flowjob.job import Job

        jobs = [n for n, v in vars(module).items() if isinstance(v, Job)]
        hint = f" It has: {', '.join(jobs)}." if jobs else ""
        raise PlanError(
            f"`{entrypoint}`: the module has no `{attribute}`.{hint} Name it as `{module.__name__}:attribute`."
        ) from None


def _parameter_types(function: Any) -> list[Any]:
    """The annotations of its required parameters."""
    hints = get_type_hints(function)
    return [
        hints.get(p.name)
        for p in inspect.signature(function).parameters.values()
        if p.default is inspect.Parameter.empty
    ]
