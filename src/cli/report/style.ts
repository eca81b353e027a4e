/** How a report looks: light, dark and on A4. Nothing comes from outside, so it looks the same in ten years. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ground: #f4f5f7; --ink: #1b2230; --soft: #5c6779; --line: #dfe3ea; --tint: #f8f9fb;
  --pass: #1d7a46; --pass-tint: #e6f4ec; --fail: #b3261e; --fail-tint: #fbeae9;
  --inconclusive: #8a5a00; --inconclusive-tint: #fdf3df; --bar: #c9d6ee; --accent: #2f5bb7;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #171b22; --ground: #0f1217; --ink: #e6e9ef; --soft: #98a2b3; --line: #2c333f; --tint: #1c212a;
    --pass: #6fd39b; --pass-tint: #15301f; --fail: #ff9d95; --fail-tint: #3a1917;
    --inconclusive: #f0c068; --inconclusive-tint: #33270d; --bar: #2c4068; --accent: #8fb1f5;
  }
}
* { box-sizing: border-box; }
html { background: var(--ground); }
body {
  margin: 0; color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 60rem; margin: 2rem auto; padding: 3rem 3.25rem; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
header { border-bottom: 1px solid var(--line); padding-bottom: 1.5rem; }
.kicker { margin: 0; color: var(--soft); font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; }
h1 { margin: .1rem 0 .9rem; font-size: 2.3rem; line-height: 1.15; letter-spacing: -.02em; font-weight: 680; }
h2 { margin: 2.6rem 0 .7rem; font-size: 1.2rem; letter-spacing: -.01em; font-weight: 650; break-after: avoid; }
h3 { margin: 1.4rem 0 .4rem; font-size: .78rem; color: var(--soft); font-weight: 600; letter-spacing: .05em; text-transform: uppercase; break-after: avoid; }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
.verdict { display: flex; align-items: center; gap: .8rem; margin: 0; padding: .8rem 1rem; border-radius: 8px; font-weight: 550; }
.verdict.pass { background: var(--pass-tint); } .verdict.fail { background: var(--fail-tint); } .verdict.inconclusive { background: var(--inconclusive-tint); }
.mark { display: inline-block; white-space: nowrap; font-size: .76rem; font-weight: 650; letter-spacing: .01em; padding: .08rem .5rem; border-radius: 99px; }
.mark.pass { color: var(--pass); background: var(--pass-tint); } .mark.fail { color: var(--fail); background: var(--fail-tint); }
.mark.inconclusive { color: var(--inconclusive); background: var(--inconclusive-tint); }
.verdict .mark { background: none; font-size: 1.35rem; line-height: 1; padding: 0; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem 2rem; margin: 1.4rem 0 0; }
dt { color: var(--soft); font-size: .78rem; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .86em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .88rem; }
thead { display: table-header-group; }
th { text-align: left; color: var(--soft); font-size: .76rem; font-weight: 600; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: bottom; white-space: nowrap; }
td { padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
th:last-child, td:last-child { padding-right: 0; }
tr { break-inside: avoid; } tbody tr:last-child td { border-bottom: 0; }
td.narrow, th.narrow { width: 1%; white-space: nowrap; overflow-wrap: normal; } td.third { width: 29%; }
td code { overflow-wrap: break-word; }
td small { display: block; color: var(--soft); font-size: .8rem; }
.time { position: relative; min-width: 7.5rem; }
.bar { display: block; height: .3rem; margin-top: .3rem; border-radius: 99px; background: var(--bar); min-width: 2px; }
.bar.fail { background: var(--fail); }
.open { list-style: none; margin: 0; padding: 0; }
.open li { display: grid; grid-template-columns: 4.9rem 1fr; gap: 0 .8rem; padding: .55rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.open li:last-child { border-bottom: 0; }
.changes { list-style: none; margin: 0; padding: .7rem 1rem; background: var(--tint); border: 1px solid var(--line); border-radius: 8px; }
.sign { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 0 1.5rem; margin-top: 1rem; padding: 1rem 1.1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--tint); break-inside: avoid; }
.sign p { margin: 0; } .sign .value { font-weight: 600; }
.error { margin: .7rem 0; padding: .6rem .9rem; border-left: 3px solid var(--fail); background: var(--fail-tint); white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 2.8rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .82rem; }
.wide { overflow-x: auto; }
@media (max-width: 46rem) { main { margin: 0; border: 0; border-radius: 0; padding: 1.4rem 1.1rem; } h1 { font-size: 1.8rem; } }
@page { size: A4; margin: 16mm 15mm 18mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #5c6779; } }
@media print {
  html, body { background: #fff; font-size: 9.5pt; }
  main { margin: 0; padding: 0; border: 0; max-width: none; }
  h1 { font-size: 22pt; } h2 { font-size: 12.5pt; margin-top: 1.7rem; }
  table { font-size: 8.3pt; } td { padding-top: .3rem; padding-bottom: .3rem; } .wide { overflow: visible; }
  .verdict, .mark, .bar, .error, .sign, .changes { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
`;
