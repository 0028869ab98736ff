"""Shell: one HTML file that holds everything it shows: style, data, plotly.js and the scripts of the page.

Nothing is fetched: a content security policy forbids connections, and lets run only the scripts that stand here, known by
their SHA-256. Data stands in a block of JSON, in which nothing can end the block; scripts put it on the page as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from linnaea import __version__

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Linnaea {version}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<noscript><p class="note">This page draws itself with JavaScript, which is switched off here.</p></noscript>
{body}
<script type="application/json" id="data">{data}</script>
{scripts}
</body>
</html>
"""


def page(title: str, name: str, data: Any, parts: Sequence[str] = ()) -> str:
    """The HTML of a page.

    Args:
        name: of the template ``assets/NAME.html`` and the script ``assets/NAME.js``.
        data: JSON values, finite.
        parts: further scripts, before the page's own.
    """
    # One function around them all: their names are their own, not the window's.
    own = "\n".join(asset(f"{part}.js") for part in ("common", *parts, name))
    scripts = [_plotly(), f"(() => {{\n{own}}})();"]
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return _PAGE.format(
        policy=policy,
        version=html.escape(__version__),
        title=html.escape(title),
        style=asset("page.css"),
        body=asset(f"{name}.html"),
        data=embedded(data),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def embedded(data: Any) -> str:
    """JSON that can stand in a script element, whatever strings it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "replace").decode()


@cache
def asset(name: str) -> str:
    """A file of ``assets/``."""
    return resources.files("linnaea.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
