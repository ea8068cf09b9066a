"""State that a keyed function keeps between rows: declared as class attributes, used as if it were one key's own.

`small = fj.value_state(bool, default=False)` declares; while a callback runs, `self.small` is bound to the store at
the current key. The declaration classes here are also the typed interface; runtime/state/ has the bound ones.
This module must not import the runtime: outside a running job every access says why it cannot work."""

from __future__ import annotations

from collections.abc import Callable, Hashable, ItemsView, Iterable, Iterator, KeysView, ValuesView
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from flowjob.errors import StateError

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
In = TypeVar("In")
Out = TypeVar("Out")


class State:
    """A declaration. `ttl`: how long after its last write (wall time) an entry is gone; None: never."""

    def __init__(self, ttl: timedelta | None) -> None:
        if ttl is not None and ttl <= timedelta(0):
            raise ValueError(f"ttl must be positive or None, got {ttl}")
        self.ttl = ttl
        self.owner = "?"
        self.name = "?"

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.owner, self.name = owner.__name__, name

    def _outside(self) -> StateError:
        return StateError(
            f"state `{self.name}` of {self.owner} was used outside a running job: it has a value only inside "
            "the callbacks (on_row, on_timer, …) of the function that was given to `.process(…)`"
        )


class ValueState(State, Generic[T]):
    """One value per key."""

    def __init__(self, type: Any, default: Any, ttl: timedelta | None) -> None:
        super().__init__(ttl)
        if isinstance(default, list | dict | set | bytearray):
            raise TypeError(
                f"the default of value_state is shared by all keys and must not be a {default.__class__.__name__}; "
                "use list_state or map_state, or None"
            )
        self.type = type
        self.default = default

    @property
    def value(self) -> T:
        """What was last assigned for this key, or the default."""
        raise self._outside()

    @value.setter
    def value(self, value: T) -> None:
        raise self._outside()

    def clear(self) -> None:
        """Forget: the value is the default again."""
        raise self._outside()


class ListState(State, Generic[T]):
    """A list per key. With a ttl each element expires on its own."""

    def __init__(self, type: Any, ttl: timedelta | None) -> None:
        super().__init__(ttl)
        self.type = type

    def append(self, value: T) -> None:
        raise self._outside()

    def extend(self, values: Iterable[T]) -> None:
        raise self._outside()

    def update(self, values: Iterable[T]) -> None:
        """Replaces all elements."""
        raise self._outside()

    def clear(self) -> None:
        raise self._outside()

    def __iter__(self) -> Iterator[T]:
        raise self._outside()

    def __len__(self) -> int:
        raise self._outside()


class MapState(State, Generic[K, V]):
    """A dict per key. With a ttl each entry expires on its own.

    In a BroadcastProcess a map state is one dict per subtask, written from on_broadcast only."""

    def __init__(self, key_type: Any, value_type: Any, ttl: timedelta | None) -> None:
        super().__init__(ttl)
        self.key_type = key_type
        self.value_type = value_type

    def __getitem__(self, key: K) -> V:
        """KeyError when it is not there."""
        raise self._outside()

    def __setitem__(self, key: K, value: V) -> None:
        raise self._outside()

    def __delitem__(self, key: K) -> None:
        raise self._outside()

    def __contains__(self, key: object) -> bool:
        raise self._outside()

    def __iter__(self) -> Iterator[K]:
        raise self._outside()

    def __len__(self) -> int:
        raise self._outside()

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: V) -> V: ...
    def get(self, key: K, default: V | None = None) -> V | None:
        raise self._outside()

    def pop(self, key: K, *default: V) -> V:
        """Removes and returns; KeyError when it is not there and no default is given."""
        raise self._outside()

    def keys(self) -> KeysView[K]:
        raise self._outside()

    def values(self) -> ValuesView[V]:
        raise self._outside()

    def items(self) -> ItemsView[K, V]:
        raise self._outside()

    def clear(self) -> None:
        raise self._outside()


class ReducingState(State, Generic[T]):
    """One value per key, made of all added ones by `function(so_far, added)`."""

    def __init__(self, type: Any, function: Callable[[T, T], T], ttl: timedelta | None) -> None:
        super().__init__(ttl)
        self.type = type
        self.function = function

    def add(self, value: T) -> None:
        raise self._outside()

    @property
    def value(self) -> T | None:
        """The reduced value; None before the first `add`."""
        raise self._outside()

    def clear(self) -> None:
        raise self._outside()


class AggregatingState(State, Generic[In, Out]):
    """An aggregate per key: `aggregate` has create(), add(accumulator, value), result(accumulator)."""

    def __init__(self, aggregate: Any, ttl: timedelta | None) -> None:
        super().__init__(ttl)
        missing = [
            m for m in ("create", "add", "result") if not callable(getattr(aggregate, m, None))
        ]
        if missing:
            raise TypeError(
                f"aggregating_state needs an fj.Aggregate; {aggregate!r} has no {', '.join(missing)}"
            )
        self.aggregate = aggregate

    def add(self, value: In) -> None:
        raise self._outside()

    @property
    def value(self) -> Out | None:
        """The aggregate's result; None before the first `add`."""
        raise self._outside()

    def clear(self) -> None:
        raise self._outside()


@overload
def value_state(
    type: type[T], *, default: None = None, ttl: timedelta | None = None
) -> ValueState[T | None]: ...
@overload
def value_state(type: type[T], *, default: T, ttl: timedelta | None = None) -> ValueState[T]: ...
def value_state(type: Any, *, default: Any = None, ttl: timedelta | None = None) -> ValueState[Any]:
    """One value per key: read and assign `.value`, forget with `.clear()`.

    Assign what you changed: a stored object that is mutated without being assigned again is undefined."""
    return ValueState(type, default, ttl)


def list_state(type: type[T], *, ttl: timedelta | None = None) -> ListState[T]:
    """A list per key: append, extend, update, iterate, len, clear."""
    return ListState(type, ttl)


def map_state(
    key_type: type[K], value_type: type[V], *, ttl: timedelta | None = None
) -> MapState[K, V]:
    """A dict per key: `[]`, in, get, pop, keys, values, items, len, clear."""
    return MapState(key_type, value_type, ttl)


def reducing_state(
    type: type[T], function: Callable[[T, T], T], *, ttl: timedelta | None = None
) -> ReducingState[T]:
    """One value per key, reduced by `function` as values are added."""
    return ReducingState(type, function, ttl)


def aggregating_state(
    aggregate: Any, *, ttl: timedelta | None = None
) -> AggregatingState[Any, Any]:
    """An aggregate per key: `.add(value)`, `.value`."""
    return AggregatingState(aggregate, ttl)


def declared_states(function: object) -> dict[str, State]:
    """The states a function (or its class) declares, by attribute name, base classes first."""
    owner = function if isinstance(function, type) else type(function)
    found: dict[str, State] = {}
    for base in reversed(owner.__mro__):
        for name, attribute in vars(base).items():
            if isinstance(attribute, State):
                found[name] = attribute
            elif name in found:
                del found[name]
    return found
