// Imports run downwards only (ARCHITECTURE.md, "Who may import whom").
const layers = {
  lib: [],
  host: ['lib'],
  config: ['host', 'lib'],
  operations: ['host', 'lib'],
  capabilities: ['operations', 'config', 'host', 'lib'],
  recipes: ['capabilities', 'operations', 'config', 'host', 'lib'],
  api: ['lib'],
  agent: ['api', 'recipes', 'capabilities', 'operations', 'config', 'host', 'lib'],
  cli: ['api', 'lib'],
  tui: ['api', 'lib'],
};

/** A layer may reach itself and the layers listed beneath it, nothing else under src/. */
const downwards = Object.entries(layers).map(([layer, below]) => ({
  name: `${layer}-imports-downwards`,
  severity: 'error',
  from: { path: `^src/${layer}/` },
  to: { path: '^src/', pathNot: `^src/(${[layer, ...below].join('|')})/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...downwards,
    {
      name: 'no-capability-imports-another',
      severity: 'error',
      from: { path: '^src/capabilities/([^/]+)/' },
      to: { path: '^src/capabilities/', pathNot: '^src/capabilities/$1/' },
    },
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    exclude: { path: 'node_modules' },
  },
};
