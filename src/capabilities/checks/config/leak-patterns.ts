import { isDefault } from './secret-defaults.ts';
import { bitsOf } from './secret-strength.ts';

interface LeakPattern {
  readonly kind: string;
  readonly pattern: RegExp;
  /** Which group holds the secret, where not everything that matches is one. */
  readonly value?: number;
}

/** The forms that providers publish so that they can be found, and the two that people write. */
const patterns: readonly LeakPattern[] = [
  { kind: 'private key', pattern: /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----\s*\n?[A-Za-z0-9+/=\s:,-]{60}/ },
  { kind: 'AWS access key', pattern: /\b(?:AKIA|ASIA)[A-Z2-7]{16}\b/ },
  { kind: 'GitHub token', pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})\b/ },
  { kind: 'GitLab token', pattern: /\bglpat-[A-Za-z0-9_-]{20}\b/ },
  { kind: 'Slack token', pattern: /\bxox[abprs]-[A-Za-z0-9-]{10,}/ },
  { kind: 'Slack webhook', pattern: /hooks\.slack\.com\/services\/T[A-Z0-9]{6,}\/B[A-Z0-9]{6,}\/[A-Za-z0-9]{20,}/ },
  { kind: 'Google API key', pattern: /\bAIza[A-Za-z0-9_-]{35}\b/ },
  { kind: 'Stripe key', pattern: /\b[rs]k_live_[A-Za-z0-9]{20,}\b/ },
  { kind: 'OpenAI key', pattern: /\bsk-(?:proj-)?[A-Za-z0-9_-]{32,}\b/ },
  { kind: 'npm token', pattern: /\bnpm_[A-Za-z0-9]{36}\b/ },
  {
    kind: 'connection string with a password',
    pattern: /\b[a-z][a-z0-9+.-]*:\/\/[^/:@\s"'`]*:([^/@\s"'`]{6,})@[\w.-]+/i,
    value: 1,
  },
  {
    kind: 'secret in an assignment',
    pattern:
      /(?:password|passwd|secret|api_?key|auth_?token|access_?token|private_?key)["']?\s*[:=]\s*["']([^"'\s$<{%]{12,})["']/i,
    value: 1,
  },
];

/** Bits below which a text that stands in quotes is rather a word than a secret. */
const leastBits = 40;

/**
 * What looks like a secret in a text, by line. Pure; tells where, never what.
 * @param text at most a few MB
 */
export function leaksIn(text: string): { readonly line: number; readonly kind: string }[] {
  return patterns.flatMap(({ kind, pattern, value }) => {
    const found: { line: number; kind: string }[] = [];
    for (const match of text.matchAll(new RegExp(pattern.source, `${pattern.flags.replace('g', '')}g`))) {
      if (value !== undefined && !isSecret(match[value] ?? '')) continue;
      found.push({ line: text.slice(0, match.index).split('\n').length, kind });
      if (found.length >= 20) break;
    }
    return found;
  });
}

/** Placeholders, names of variables and ordinary words are no secrets. */
function isSecret(value: string): boolean {
  if (/^[A-Z][A-Z0-9_]*$|^[<{$%@]|\$\{|\{\{|^(.)\1*$|^\*+$/.test(value)) return false;
  if (isDefault('', value) || /example|password|secret|test|dummy|sample/i.test(value)) return false;
  return bitsOf(value) >= leastBits || (/\d/.test(value) && /[a-z]/i.test(value) && value.length >= 8);
}
