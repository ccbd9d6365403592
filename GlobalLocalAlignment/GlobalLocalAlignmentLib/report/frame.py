"""The frame of a page: HTML without scripts or outside resources. Whoever adds what comes from files escapes it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6676; --line: #d9dee6; --paper: #ffffff; --band: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --soft: #a3adba; --line: #39424f; --paper: #171b21; --band: #20262e; }
  figure img { background: #fff; border-radius: 4px; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .6rem; border-top: 1px solid var(--line); }
p { margin: .4rem 0; max-width: 78ch; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 1rem 0; }
.facts div { background: var(--band); border-radius: 6px; padding: 8px 12px; }
.facts b { display: block; font-size: .78rem; font-weight: 600; color: var(--soft); }
.chip { display: inline-block; margin: 0 .8rem .2rem 0; white-space: nowrap; }
.chip i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1rem; font-size: .95rem; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; }
tr.ours td, tr.ours th { font-weight: 650; background: var(--band); }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
.warning { border-left: 4px solid #d98c1f; background: var(--band); padding: 6px 12px; margin: .5rem 0; }
pre { overflow-x: auto; background: var(--band); padding: 12px; font-size: .82rem; line-height: 1.4; }
summary { cursor: pointer; }
/* panels side by side shrunk to a telephone show nothing: there they are moved sideways instead */
@media screen and (max-width: 700px) { .wide > img { max-width: none; width: 700px; } }
@media print { body { font-size: 11px; } figure, table { break-inside: avoid; } }
"""


def frame(title: str, sections: Iterable[str]) -> str:
    """A whole page around sections of HTML; empty ones are left out."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def picture(content: bytes, caption: str) -> str:
    """A PNG picture within the page, with its caption as text."""
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<figure><div class="wide"><img alt="{escape(caption)}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
