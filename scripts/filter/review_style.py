"""The style sheet of a page for reviewers: the colours of the report, a picture as large as the window allows."""

from __future__ import annotations

from scripts.lib.page_style import BASE_CSS

CSS = (
    BASE_CSS
    + """
html, body { height: 100%; }
body { display: flex; flex-direction: column; height: 100dvh; overflow: hidden; line-height: 1.45; }
body > *, #caption { flex: none; }
[hidden] { display: none !important; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1.5rem; padding: .6rem 1rem;
  border-bottom: 1px solid var(--line); }
h1 { font-size: 1rem; margin: 0; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
h1 + p { margin: 0; font-size: .8rem; color: var(--muted); }
.head { flex: 1 1 14rem; min-width: 0; }
.progress { flex: 0 1 15rem; font-size: .875rem; }
.progress strong { font-size: 1.05rem; }
.progress span { color: var(--muted); float: right; }
progress { display: block; width: 100%; height: .4rem; margin-top: .2rem; accent-color: var(--main); }
.tools { display: flex; flex-wrap: wrap; gap: .4rem; }
button { font: inherit; font-size: .875rem; color: var(--ink); background: var(--soft); border: 1px solid var(--line);
  border-radius: .4rem; padding: .35rem .7rem; cursor: pointer; }
button:hover { border-color: var(--muted); }
button:disabled { opacity: .45; cursor: default; }
button:focus-visible, summary:focus-visible { outline: 3px solid var(--main); outline-offset: 1px; }
button[aria-pressed="true"] { border-color: var(--main); color: var(--main); }
#who { max-width: 11rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
kbd { font: .75rem/1 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; color: var(--muted);
  border: 1px solid var(--line); border-radius: .25rem; padding: .1rem .3rem; background: var(--paper); }
.line { margin: 0; padding: .4rem 1rem; font-size: .9rem; background: var(--soft);
  border-bottom: 1px solid var(--line); }
#warning { background: var(--warn); border-left: 4px solid var(--loss); }
#guide { padding: .4rem 1rem; border-bottom: 1px solid var(--line); font-size: .9rem; max-height: 40vh;
  overflow: auto; }
#guide summary { cursor: pointer; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
#guide[open] summary { white-space: normal; }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 0 2rem; }
.lists h2 { font-size: .9rem; margin: .6rem 0 .2rem; }
.lists ul { margin: 0 0 .4rem; padding-left: 1.1rem; }
main { flex: 1 1 0 !important; min-height: 0; display: flex; flex-direction: column; }
#single { flex: 1 1 0; min-height: 0; display: flex; flex-direction: column; }
#stage { position: relative; flex: 1 1 0; min-height: 0; display: grid; place-items: center; overflow: hidden;
  background: var(--soft); }
#stage.zoomed { overflow: auto; place-items: start; }
#stage.zoomed .frame { margin: auto; cursor: zoom-out; }
.frame { position: relative; cursor: zoom-in; }
.frame img { display: block; width: 100%; height: 100%; }
#note { position: absolute; color: var(--muted); padding: 2rem; text-align: center; pointer-events: none; }
#decided { position: absolute; top: .75rem; left: .75rem; pointer-events: none; }
.badge { font-size: .8rem; font-weight: 600; color: #fff; border-radius: .3rem; padding: .1rem .5rem; }
.badge.keep { background: #00734f; }
.badge.drop { background: #b3400a; }
.overlay { position: absolute; inset: 0; pointer-events: none; }
.box { position: absolute; border: 2px solid #ffb000; box-shadow: 0 0 0 1px #0008; }
.box.person { border: 2px dashed #58c7ff; }
.box span { position: absolute; left: 0; top: 0; font-size: .7rem; line-height: 1.3; white-space: nowrap;
  padding: 0 .3rem; background: #000b; color: #fff; }
#caption { display: grid; grid-template-columns: auto 1fr auto; gap: 0 1.25rem; padding: .45rem 1rem; font-size: .85rem;
  border-top: 1px solid var(--line); }
#caption div { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
#caption .muted, .muted { color: var(--muted); }
#image_id { font: .8rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
#grid { flex: 1 1 0; min-height: 0; overflow-y: auto; display: grid; gap: .6rem; padding: .75rem 1rem;
  align-content: start; align-items: start; grid-auto-rows: max-content;
  grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); position: relative; }
.tile { position: relative; display: grid; place-items: center; aspect-ratio: 1; padding: 0; width: 100%; min-width: 0;
  border-width: 2px; overflow: hidden; content-visibility: auto; font-size: .75rem; }
.tile.current { border-color: var(--main); box-shadow: 0 0 0 2px var(--main); }
.tile .badge { position: absolute; top: .3rem; left: .3rem; }
.tile .frame { cursor: pointer; overflow: hidden; }
.tile:has(.badge.drop) img { opacity: .35; }
.tile .box span { display: none; }
footer { display: grid; grid-template-columns: 1fr 2fr 2fr 1fr 1fr; gap: .5rem; border-top: 1px solid var(--line);
  padding: .6rem max(1rem, calc(50% - 29rem)); }
footer button { padding: .6rem .4rem; font-size: .95rem; }
#keep { background: #00734f; border-color: #00734f; color: #fff; font-weight: 600; }
#drop { background: #b3400a; border-color: #b3400a; color: #fff; font-weight: 600; }
#ready { background: var(--main); border-color: var(--main); color: var(--paper); font-weight: 600; }
#keep kbd, #drop kbd { background: transparent; color: inherit; border-color: #fff8; }
dialog { color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1.25rem 1.5rem; max-width: min(32rem, 92vw); max-height: 90vh; }
dialog::backdrop { background: #0008; }
dialog h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
dialog p { margin: 0 0 .75rem; }
dialog input { font: inherit; width: 100%; padding: .5rem .6rem; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--soft); color: var(--ink); margin-bottom: .75rem; }
dialog table { border-collapse: collapse; margin-bottom: .75rem; font-size: .9rem; }
dialog th, dialog td { padding: .2rem 1rem .2rem 0; vertical-align: top; text-align: left; }
.nothing { max-width: 44rem; margin: 0 auto; padding: 3rem 1.5rem; overflow: auto; }
@media (max-width: 40rem) {
  header, footer, #guide, .line, #caption { padding-left: .75rem; padding-right: .75rem; }
  kbd { display: none; }
  .head { flex-basis: 100%; }
  .progress { flex: 1 1 100%; }
  .tools { flex: 1 1 100%; flex-wrap: nowrap; overflow-x: auto; }
  .tools button { flex: 1 0 auto; padding: .35rem .5rem; }
  #help { display: none; }
  #caption { grid-template-columns: 1fr auto; }
  #caption div:last-child { grid-column: 1 / -1; }
  #grid { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: .4rem; padding: .5rem .75rem; }
  footer { gap: .35rem; }
  #previous span, #next span { display: none; }
  footer button { padding: .8rem .1rem; font-size: .875rem; }
}
@media print { body { display: none; } }
"""
)
