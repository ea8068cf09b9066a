"""Compile kernels once, at setup, and load them from a cache that may be read-only afterwards.

Why here: numba's own cache raises or silently recompiles everything in a read-only directory, keys its files by
the features of the machine at hand, and does not see a change in a helper of another file. It must know nothing
of any kernel but the names in `MODULES`. Run as `python -m flowjob.kernels.compile` by `make setup` and the image."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core import caching, types
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys

MODULES = (
    "hash64",
    "columns",
    "row_encoding",
    "index_kernels",
    "partitioning",
    "accumulate",
    "running",
    "runs",
    "decimals",
    "windows",
    "session_kernels",
    "gather",
    "text_slices",
    "counter_random",
)

Progress = Callable[[str], None]

# Loops over buffers: no Python exceptions inside, so that divisions need no checks; and no allocation, so that numba
# need not count references to arrays, which it does atomically wherever a helper is called (half the time, measured).
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_X86_BASELINE = ("avx2", "bmi", "bmi2", "fma", "f16c", "lzcnt", "movbe", "popcnt")


class KernelNotCompiled(RuntimeError):
    """A kernel was not in the cache of a process that must not compile (`FLOWJOB_KERNELS=require`)."""


def readonly(dtype: Any) -> Any:
    """The type of an input array: one dimension, contiguous, Arrow's read-only buffers accepted."""
    return types.Array(dtype, 1, "C", readonly=True)


def writable(dtype: Any) -> Any:
    """The type of an array that a kernel writes: one dimension, contiguous."""
    return types.Array(dtype, 1, "C")


I64S, U64S, F64S = readonly(types.int64), readonly(types.uint64), readonly(types.float64)
I32S, U8S, BOOLS = readonly(types.int32), readonly(types.uint8), readonly(types.boolean)
I64S_OUT, U64S_OUT, F64S_OUT = (writable(t) for t in (types.int64, types.uint64, types.float64))
I32S_OUT, U8S_OUT, BOOLS_OUT = (writable(t) for t in (types.int32, types.uint8, types.boolean))


def baseline() -> str:
    """The processor that kernels are compiled for: x86-64-v3 (`haswell`) where this one is, else `generic`.

    One name for all machines of a cluster, so that an image compiled here runs, and is a cache hit, there."""
    if llvm.get_process_triple().startswith("x86_64"):
        features = llvm.get_host_cpu_features()
        if all(features.get(name) for name in _X86_BASELINE):
            return "haswell"
    return "generic"


def _fix_processor() -> None:
    # Numba adds this machine's own features to any CPU name unless features are given too; "" stands for
    # those the name implies. The environment, because numba reads it again before each compilation.
    name = os.environ.setdefault("NUMBA_CPU_NAME", baseline())
    features = os.environ.setdefault("NUMBA_CPU_FEATURES", "")
    config: Any = numba.config
    config.CPU_NAME = name
    config.CPU_FEATURES = features


_fix_processor()


def cache_directory() -> Path:
    """Where compiled kernels live: `FLOWJOB_KERNEL_CACHE`, else beside these sources, else the user's cache.

    The one beside the sources is taken when it is there, writable or not: an image compiles into it while it
    is built and mounts it read-only. The last resort is a directory in the system's temporary one."""
    if chosen := os.environ.get("FLOWJOB_KERNEL_CACHE"):
        return Path(chosen)
    beside = Path(__file__).parent / "__pycache__" / "kernels"
    if beside.is_dir() and any(beside.glob("*.nbi")):
        return beside
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for path in (beside, Path(base) / "flowjob" / "kernels"):
        if _make_writable(path):
            return path
    return Path(tempfile.gettempdir()) / f"flowjob-kernels-{os.getuid()}"


def _make_writable(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return False
    return True


_DIRECTORY = cache_directory()
_misses: list[str] = []
_loaded: list[str] = []
_unsaved: list[str] = []
_listeners: list[Progress] = []
_file_digests: dict[str, bytes] = {}


def misses() -> list[str]:
    """Kernels this process had to compile, in order. Not empty in a slot means: setup did not run, or runs
    another numba, processor or version of the sources."""
    return list(_misses)


def unsaved() -> list[str]:
    """Kernels compiled by this process whose result the cache directory did not take (read-only or full)."""
    return list(_unsaved)


def loaded() -> list[str]:
    """All kernels of this process, as `module.function`."""
    return list(_loaded)


def _digest_of_file(path: str) -> bytes:
    if path not in _file_digests:
        with open(path, "rb") as file:
            _file_digests[path] = hashlib.sha256(file.read()).digest()
    return _file_digests[path]


def _sources(function: Any, seen: set[Any]) -> Iterator[bytes]:
    """Digests of the files of `function` and of every helper it calls, and the constants it names.

    Numba's stamp is the function's own file: after a change in a helper of another file it would load the old code."""
    if function in seen:
        return
    seen.add(function)
    yield _digest_of_file(function.__code__.co_filename)
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, Dispatcher):
            yield from _sources(value.py_func, seen)
        elif hasattr(value, "_defn"):  # an intrinsic
            yield _digest_of_file(value._defn.__code__.co_filename)
        elif isinstance(value, int | float | np.generic):
            yield f"{name}={value!r}".encode()


class _Locator(caching._CacheLocator):
    """Finds a kernel's files in `cache_directory()`, writable or not; names do not hold the source's path."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._py_file = function.__code__.co_filename

    def get_cache_path(self) -> str:
        return str(_DIRECTORY)

    def get_source_stamp(self) -> bytes:
        parts = [repr(_OPTIONS).encode(), *sorted(set(_sources(self._function, set())))]
        return hashlib.sha256(b"".join(parts)).digest()

    def get_disambiguator(self) -> str:
        return "k"  # kernel names are unique in their module, and survive a moved line

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:  # noqa: ARG003 (numba's interface)
        return cls(py_func)


class _CacheImpl(caching.CompileResultCacheImpl):
    _locator_classes: Any = [_Locator]  # noqa: RUF012 (numba's interface)


class _KernelCache(caching.FunctionCache):
    _impl_class = _CacheImpl

    def __init__(self, function: Any, name: str) -> None:
        base: Any = super()
        base.__init__(function)
        self._kernel = name

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # Numba calls `target_context.refresh()` here, which registers all typing rules (130 ms). Loading needs only
        # its first step, the run-time symbols; a compilation refreshes by itself.
        rtsys.initialize(target_context)
        base: Any = super()
        try:
            found = base._load_overload(sig, target_context)
        except OSError:
            found = None  # a directory that is none, or may not be read, holds nothing
        if found is None:
            _note_miss(self._kernel)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            base: Any = super()
            base._save_overload(sig, data)
        except OSError:
            _unsaved.append(self._kernel)


def _note_miss(name: str) -> None:
    if os.environ.get("FLOWJOB_KERNELS") == "require":
        raise KernelNotCompiled(
            f"kernel {name} is not in the kernel cache {_DIRECTORY} for processor "
            f"{os.environ['NUMBA_CPU_NAME']} and numba {numba.__version__}, and FLOWJOB_KERNELS=require forbids "
            "compiling it here. Run `flowjob setup` (in a checkout: `make setup`) with the same "
            "FLOWJOB_KERNEL_CACHE and NUMBA_CPU_NAME, or unset FLOWJOB_KERNELS."
        )
    _misses.append(name)
    for listener in _listeners:
        listener(f"compiling {name}")


def kernel(*signatures: Any) -> Callable[[Any], Any]:
    """Decorator: the function compiled for exactly these signatures, without the GIL, from the cache if there.

    Signatures are built from the array types of this module, e.g. `types.void(I64S, I64S_OUT)`; another
    combination of argument types is a TypeError, never a compilation at run time."""

    def decorate(function: Any) -> Any:
        name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        compiled = numba.njit(**_OPTIONS)(function)
        compiled._cache = _KernelCache(function, name)
        for signature in signatures:
            compiled.compile(signature)
        compiled.disable_compile()
        _loaded.append(name)
        return compiled

    return decorate


def helper(function: Any) -> Any:
    """Decorator: a function that kernels call. Compiled into each caller, never on its own; not for Python."""
    return numba.njit(inline="never", **_OPTIONS)(function)


def compile_all(progress: Progress | None = None) -> list[str]:
    """Import every kernel module, compiling what the cache lacks; the names that had to be compiled.

    Also what a spare process calls to have all kernels loaded. `progress` gets one line per compilation."""
    before = len(_misses)
    if progress is not None:
        _listeners.append(progress)
    try:
        for module in MODULES:
            importlib.import_module(f"flowjob.kernels.{module}")
    finally:
        if progress is not None:
            _listeners.remove(progress)
    return _misses[before:]


def main() -> int:
    """Compile everything, saying what and where; 1 when the cache directory is not writable."""

    def say(line: str) -> None:
        sys.stdout.write(f"kernels: {line}\n")
        sys.stdout.flush()

    say(f"processor {os.environ['NUMBA_CPU_NAME']}, numba {numba.__version__}, cache {_DIRECTORY}")
    compiled = compile_all(say)
    say(f"{len(loaded())} ready, {len(compiled)} compiled now")
    if unsaved():
        say(f"not saved, the cache directory is not writable: {', '.join(unsaved())}")
        return 1
    return 0


if __name__ == "__main__":
    # This file runs as `__main__`; kernels register with the module of its real name.
    sys.exit(importlib.import_module("flowjob.kernels.compile").main())
