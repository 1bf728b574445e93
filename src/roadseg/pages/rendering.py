"""From a template to one HTML file that needs no other."""

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from roadseg.contracts.files import replacing

TEMPLATES = resources.files("roadseg.pages") / "templates"


def render(template: str, **values: Any) -> str:
    """Fill a template; a value that it names and does not get is an error."""
    return _environment().get_template(template).render(**values)


def write_page(path: Path, page: str) -> None:
    """Write a page atomically; what is no text in a file's name is replaced."""
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def _environment() -> Environment:
    """Templates that escape whatever is put in: names of files are anybody's text."""
    environment = Environment(
        loader=FunctionLoader(lambda name: (TEMPLATES / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": _count, "percent": _percent, "shift": _shift, "figure": _figure, "gain": _gain}
    environment.globals["ours"] = lambda name: Markup((TEMPLATES / name).read_text("utf-8"))  # not the data's text
    return environment


def _count(value: int) -> str:
    return f"{value:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NARROW NO-BREAK SPACE}%"


def _shift(difference: float) -> str:
    """A difference of shares in percentage points, with its sign; nothing where it rounds to none."""
    points = round(100 * difference, 1)
    return f"{_sign(points)}{abs(points):.1f}" if points else ""


def _figure(value: float | None, digits: int = 3) -> str:
    """A score, 0..1; a dash where it is absent."""
    return "\N{EN DASH}" if value is None or value != value else f"{value:.{digits}f}"


def _gain(difference: float, digits: int = 3) -> str:
    """A difference of scores with its sign."""
    rounded = round(difference, digits)
    return f"{_sign(rounded) if rounded else ''}{abs(rounded):.{digits}f}"


def _sign(value: float) -> str:
    return "+" if value > 0 else "\N{MINUS SIGN}"
