"""The page's style sheet. No resource from outside; system fonts; light, dark, narrow and paper."""

from __future__ import annotations

from scripts.lib.page_style import BASE_CSS

CSS = (
    BASE_CSS
    + """
@media screen and (prefers-color-scheme: dark) {
  .sheet img { filter: brightness(.88); }
}
main, header, footer { max-width: 54rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 4rem; }
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; line-height: 1.3; letter-spacing: -.01em; margin: 4.5rem 0 1rem; }
h3 { font-size: 1.05rem; line-height: 1.4; margin: 2.5rem 0 .5rem; }
h2 + h3 { margin-top: 1.5rem; }
p { margin: 0 0 1rem; max-width: 44rem; }
a { color: var(--main); text-underline-offset: .2em; }
bdi, code { overflow-wrap: anywhere; }
code { font: .875em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.lead, .muted, figcaption { color: var(--muted); }
.small, figcaption { font-size: .875rem; line-height: 1.5; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.35rem; margin: 2rem 0 0; padding: .75rem 0;
  border: solid var(--line); border-width: 1px 0; font-size: .9rem; }
nav a { text-decoration: none; white-space: nowrap; }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1.5rem; margin: 2rem 0; }
.key div { border-top: 3px solid var(--main); padding-top: .6rem; }
.key strong { display: block; font-size: 1.75rem; line-height: 1.2; font-weight: 600; letter-spacing: -.01em; }
.key span { color: var(--muted); font-size: .875rem; }
.five { padding: 0; margin: 0; list-style: none; }
.five li { padding: .55rem 0; border-top: 1px solid var(--line); display: grid;
  grid-template-columns: 7.5rem minmax(0, 1fr); }
.five b { color: var(--muted); font-weight: 500; }
.panel { background: var(--soft); border-radius: .5rem; padding: 1rem 1.25rem; margin: 1.5rem 0; max-width: none; }
.panel p { max-width: none; }
.panel p:last-child { margin: 0; }
.warning { background: var(--warn); border-left: 4px solid var(--loss); }
.tick { color: var(--good); font-weight: 600; white-space: nowrap; }
.tag { color: var(--loss); font-weight: 600; font-size: .8rem; white-space: nowrap; }
figure { margin: 1.5rem 0 2rem; break-inside: avoid; }
figcaption { margin-top: .6rem; max-width: 44rem; }
svg.figure { display: block; width: 100%; max-width: 38rem; height: auto; }
.findings { list-style: none; padding: 0; margin: 0 0 1.5rem; max-width: 44rem; }
.findings li { display: grid; grid-template-columns: 4rem minmax(0, 1fr);
  padding: .4rem 0; border-top: 1px solid var(--line); }
.findings .tick, .findings .tag { font-size: .875rem; line-height: 1.7; }
.findings small { display: block; color: var(--muted); font-size: .85rem; line-height: 1.45; margin-top: .2rem; }
.wide { overflow-x: auto; }
.sheet img { display: block; border-radius: .375rem; height: auto; }
.sheet img { width: 100%; min-width: min(56rem, var(--natural)); max-width: var(--natural); }
details { border-top: 1px solid var(--line); padding: .75rem 0; }
summary { cursor: pointer; font-weight: 600; }
summary span { font-weight: 400; color: var(--muted); }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 1.5rem; font-size: .925rem; line-height: 1.45; }
th, td { text-align: left; vertical-align: top; padding: .5rem 1rem .5rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--muted); font-weight: 500; font-size: .825rem; vertical-align: bottom; }
th:last-child, td:last-child { padding-right: 0; }
tbody th { font-weight: 600; }
tbody th.plain, .bars th { font-weight: 400; }
.wide:focus-visible, a:focus-visible, summary:focus-visible { outline: 2px solid var(--main); outline-offset: 2px; }
tr { break-inside: avoid; }
.number { text-align: right; white-space: nowrap; }
tr.group th { padding-top: 1.5rem; border-top: 0; color: var(--ink); font-size: .95rem; }
tr.group th span { font-weight: 400; color: var(--muted); }
td small, th small { display: block; color: var(--muted); font-size: .85rem; font-weight: 400; line-height: 1.4; }
.bars { columns: 2 18rem; column-gap: 3rem; margin: 1.5rem 0; }
.bars div { break-inside: avoid; padding-bottom: 1.5rem; }
.bars h3 { margin: 0 0 .25rem; }
.bars table { margin: .25rem 0 0; font-size: .875rem; }
.bars th, .bars td { padding: .2rem .75rem .2rem 0; border: 0; }
.bars th { width: 100%; }
.bar { display: block; height: 3px; background: var(--main); border-radius: 2px; margin-top: 3px; min-width: 1px; }
footer { padding: 3rem 1.5rem 4rem; color: var(--muted); font-size: .875rem; }
.facts th { width: 9rem; }
.facts td { width: 50%; overflow-wrap: anywhere; }
@media screen and (min-width: 64rem) {
  .sheet figure { width: max(100%, min(94vw, var(--natural))); margin-left: 50%; transform: translateX(-50%); }
}
@media screen and (max-width: 48rem) {
  .wide table { min-width: 46rem; }
}
@media (max-width: 40rem) {
  main, header, footer { padding-left: 1.125rem; padding-right: 1.125rem; }
  header { padding-top: 2rem; }
  h2 { margin-top: 3.5rem; }
  .key { grid-template-columns: 1fr 1fr; gap: 1.25rem; }
  .key strong { font-size: 1.4rem; }
  .five li { grid-template-columns: minmax(0, 1fr); }
  .stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stack, .stack tbody, .stack tr, .stack td, .stack tbody th { display: block; width: 100%; }
  .stack tr { border-top: 1px solid var(--line); padding: .6rem 0; }
  .stack tr.group { border-top: 0; padding-bottom: 0; }
  .stack td, .stack tbody th { border: 0; padding: .1rem 0; }
  .stack td.number { text-align: left; white-space: normal; }
  .stack td:empty { display: none; }
  .stack td[data-label]:not(:empty) { display: grid; grid-template-columns: 9rem minmax(0, 1fr); }
  .stack td[data-label]::before { content: attr(data-label); color: var(--muted); }
}
@page {
  size: A4; margin: 16mm 16mm 18mm;
  @bottom-right { content: counter(page) " / " counter(pages); color: #5b6570; font: 8pt sans-serif; }
}
@media print {
  html { font-size: 9.5pt; }
  body { line-height: 1.45; }
  main, header, footer { max-width: none; padding-left: 0; padding-right: 0; }
  header { padding-top: 0; }
  h1 { font-size: 2rem; }
  h2 { margin-top: 2.5rem; }
  h3 { margin-top: 1.75rem; }
  h2, h3, h2 + p, h3 + p, summary, summary + p, thead, tr.group { break-after: avoid; }
  p, li { break-inside: avoid; }
  p, figcaption, .findings { max-width: none; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
  main a:not([href^="#"])::after { content: " (" attr(href) ")"; overflow-wrap: anywhere; }
  .key { grid-template-columns: repeat(4, 1fr); margin: 1.25rem 0; }
  .panel { border: 1px solid var(--line); break-inside: avoid; }
  .panel, .bar { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; height: auto; }
  details { border: 0; padding: .5rem 0; }
  summary { list-style: none; }
  summary::-webkit-details-marker { display: none; }
  .wide { overflow: visible; }
  .sheet, .findings li, .five li { break-inside: avoid; }
  .sheet figure { margin: .5rem 0 1rem; }
  .sheet img { min-width: 0; max-width: min(100%, var(--natural) * .75); max-height: 225mm;
    object-fit: contain; object-position: left top; }
  svg.figure { width: auto; max-width: min(100%, 13cm); max-height: 185mm; }
  table { margin: .5rem 0 1rem; }
  th, td { padding: .25rem .75rem .25rem 0; }
  tr.group th { padding-top: .75rem; }
  .bars { columns: 2; }
  footer { padding: 1.5rem 0 0; }
}
"""
)
