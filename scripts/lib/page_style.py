"""What all pages of the project share: colours, light and dark, text. No resource from outside; system fonts."""

from __future__ import annotations

BASE_CSS = """
:root {
  color-scheme: light;
  --paper: #ffffff; --ink: #1b1f24; --muted: #5b6570; --line: #d5dae0; --soft: #f4f6f8;
  --main: #0072b2; --loss: #b84f00; --second: #00805e; --warn: #fff3e8; --good: #00734f;
  --font: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    color-scheme: dark;
    --paper: #15181b; --ink: #e4e7ea; --muted: #9ca6b0; --line: #343b42; --soft: #1d2125;
    --main: #5aaee0; --loss: #f0935a; --second: #4cc9a0; --warn: #2d2118; --good: #4cc9a0;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 var(--font);
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
"""
