"""The part of the OpenAPI that the page's types are made of: `make ui-types` writes it, test_page.py compares it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowjob_api.app import create_app

FILE = Path(__file__).parents[2] / "api/ui/openapi.json"


def schemas() -> dict[str, Any]:
    """Without examples and versions: what does not change types need not change the file."""
    components = {"schemas": _bare(create_app().openapi()["components"]["schemas"])}
    return {
        "openapi": "3.1.0",
        "info": {"title": "flowjob", "version": "1"},
        "paths": {},
        "components": components,
    }


def _bare(part: Any) -> Any:
    if isinstance(part, dict):
        return {k: _bare(v) for k, v in part.items() if not _is_told(k, v)}
    return [_bare(one) for one in part] if isinstance(part, list) else part


def _is_told(key: str, value: Any) -> bool:
    """For readers only. A property may be called `title`: its value is a schema."""
    return key in ("examples", "example") or (key == "title" and isinstance(value, str))


def text() -> str:
    return json.dumps(schemas(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
