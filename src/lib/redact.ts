/**
 * The one redactor (DESIGN §8): takes secrets out of text before it goes anywhere. It knows the values that this appliance
 * holds, in the forms in which programs write them, and the forms that secrets of others have.
 */

/** A secret that is known by its value. */
export interface KnownSecret {
  /** What it is called; never the value. */
  readonly name: string;
  readonly value: string;
}

/** Values shorter than this would take ordinary words out of every text; in characters. */
const leastKnown = 5;
/** A line longer than this is cut, because a secret in it could not be told apart any more; in characters. */
const longestLine = 64 * 1024;
/** What is dropped with the cut, so that no beginning of a secret is left; in characters. */
const cutMargin = 4 * 1024;
/** Lines after which a private key whose end never comes has ended. */
const longestKey = 200;

const keyBegins = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/;
const keyEnds = /-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/;

/** A value such as `password` or `Bearer`: taken out first, it would hide from the patterns what tells of other secrets. */
const ordinary = /^[A-Za-z_-]{1,24}$/;

interface Pattern {
  readonly kind: string;
  readonly pattern: RegExp;
  /** What stands for a match; the groups of the pattern are put in by `$1`. */
  readonly as: string;
}

/** What stands where a secret stood. */
const mark = (kind: string): string => `[redacted: ${kind}]`;

/** Names of keys whose values are secrets, wherever they are written. */
const keyName =
  '[\\w.-]*(?:passw(?:or)?d|passwd|passphrase|[_.-]pass|pwd|[_.-]pw|secret(?:[_-]key(?:[_-]base)?)?|token|(?:api|access|account|private|signing|routing|service|encryption|auth|jwt|session)[_-]?key|credentials?|dsn|hmac|signature)';

/** What follows the name of a key: how a value begins, and what it consists of. */
const values: readonly (readonly [begin: string, value: string])[] = [
  // JSON inside of JSON; JSON, YAML and Python; a shell; and what stands by itself.
  ['\\\\"', '[^"\\\\]+'],
  ['[bru]?"', '(?:[^"\\\\]|\\\\.)+'],
  ["[bru]?'", "(?:[^']|'')+"],
  ['', '(?![bru]["\']|(?:null|true|false)(?=[\\s"\',;&)}\\]]|$)|[[{]|\\$\\{)[^\\s"\',;&)}\\]\\\\]+'],
];

/** What stands for a value already: a mark of this redactor, or stars alone. */
const takenOut = '\\[redacted: |\\*{3,}(?=[\\s"\',;&)}\\]\\\\]|$)';

const assigned: readonly Pattern[] = values.map(([begin, value]) => ({
  kind: 'value of a secret key',
  pattern: new RegExp(
    `((?<![\\w.-])${keyName}\\\\?["']?\\s*(?:[:=]|=>|%3[ad](?:%22)?)\\s*${begin})(?!${takenOut})${value}`,
    'gi',
  ),
  as: `$1${mark('value of a secret key')}`,
}));

const patterns: readonly Pattern[] = [
  {
    kind: 'private key',
    pattern:
      /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/g,
    as: mark('private key'),
  },
  {
    kind: 'JSON web token',
    pattern: /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)*/g,
    as: mark('JSON web token'),
  },
  // RFC 7517: the private members of a key, as accounts at certificate authorities are kept.
  {
    kind: 'private member of a JSON web key',
    pattern: /(\\?"(?:d|p|q|dp|dq|qi|k)\\?"\s*:\s*\\?")[A-Za-z0-9_-]{16,}/g,
    as: `$1${mark('private member of a JSON web key')}`,
  },
  {
    kind: 'password in a URL',
    pattern:
      /(?<![a-z0-9+.-])([a-z0-9+.-]+:\/\/)(?:[^/?#\s"'`<>]+|[^/?#\s"'`<>:@]*:(?!\d*[/?#])[^\s"'`<>@]+)@(?=[^\s"'`]|$)/gi,
    as: `$1${mark('password in a URL')}@`,
  },
  {
    kind: 'cookie',
    pattern: /((?:set-)?cookie(?:\\?["']?\s*[:=]|\\?["']\s*,)\s*\[?b?\\?["']?)[^\r\n"'\\]+/gi,
    as: `$1${mark('cookie')}`,
  },
  {
    kind: 'authorization header',
    pattern:
      /((?:proxy-)?authorization(?:\\?["']?\s*[:=]|\\?["']\s*,)\s*\[?b?\\?["']?)(?!\[redacted)(?=[^\s"'\\\])])(?:[A-Za-z][\w-]*\s+(?:\w+="[^"\r\n]*"[,\s]*)*)?[^\r\n"'\\\])]*/gi,
    as: `$1${mark('authorization header')}`,
  },
  {
    kind: 'bearer token',
    pattern: /\b(bearer\s+)(?!\[redacted)[A-Za-z0-9._~+/-]{8,}=*/gi,
    as: `$1${mark('bearer token')}`,
  },
  {
    kind: 'basic credentials',
    pattern: /\b((?:[Bb]asic|BASIC)\s+)(?=[A-Za-z0-9+/]*[0-9A-Z+/=])[A-Za-z0-9+/]{8,}={0,2}(?![\w])/g,
    as: `$1${mark('basic credentials')}`,
  },
  { kind: 'AWS access key', pattern: /\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z2-7]{16}\b/g, as: mark('AWS access key') },
  {
    kind: 'webhook address',
    pattern:
      /\bhttps:\/\/(?:hooks\.slack\.com\/(?:services|workflows|triggers)|(?:\w+\.)?discord(?:app)?\.com\/api\/webhooks|[\w-]+\.webhook\.office\.com|chat\.googleapis\.com\/v1\/spaces)\/[^\s"'<>\\]+/gi,
    as: mark('webhook address'),
  },
  {
    kind: 'token of a provider',
    pattern:
      /(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{36}|dop_v1_[0-9a-f]{64}|AGE-SECRET-KEY-1[A-Z0-9]{40,}|whsec_[A-Za-z0-9+/=]{20,}|SG\.[\w-]{10,}\.[\w-]{16,}|ya29\.[\w-]{20,}|(?:bot)?\d{8,10}:AA[\w-]{30,})/g,
    as: mark('token of a provider'),
  },
  // A line of an environment file: its value goes to its end, whatever stands in it.
  {
    kind: 'value of a secret key',
    pattern:
      /^((?:\d{4}-\d\d-\d\dT\S+\s)?(?:\s*(?:export|-)\s+)?(?:[A-Z0-9_]*(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|DSN|HMAC|KEY)|(?:[A-Z0-9_]*_)?(?:PASS|PW|PWD))=)(?!["']|\[redacted: |\*{3,}$|\$\{\w+\}$)[^\r]+/g,
    as: `$1${mark('value of a secret key')}`,
  },
  ...assigned,
  {
    kind: 'value of a secret key',
    pattern: new RegExp(`(<${keyName}>)(?!${takenOut})[^<]+`, 'gi'),
    as: `$1${mark('value of a secret key')}`,
  },
  // A list of secrets on one line.
  {
    kind: 'value of a secret key',
    pattern: new RegExp(`((?<![\\w.-])${keyName}s?\\\\?["']?\\s*[:=]\\s*\\[)(?=["'])[^\\]{}[]+`, 'gi'),
    as: `$1${mark('value of a secret key')}`,
  },
  {
    kind: 'password of a database',
    pattern: /\b((?:password|identified\s+by)\s+')(?!\[redacted: )(?:[^']|'')+/gi,
    as: `$1${mark('password of a database')}`,
  },
  {
    kind: 'password of a database',
    pattern: /((?:^|\s)(?:requirepass|masterauth)\s+)(?!\[redacted: )\S+/gi,
    as: `$1${mark('password of a database')}`,
  },
  {
    kind: 'signature in an address',
    pattern: /([?&](?:sig|signature|x-amz-signature|key|code)=)(?!\[redacted: )[^&\s"']{8,}/gi,
    as: `$1${mark('signature in an address')}`,
  },
  {
    kind: 'secret on a command line',
    pattern: new RegExp(`((?<![\\w.-])--?${keyName}[ =])(?!\\[redacted)[^\\s"']+`, 'gi'),
    as: `$1${mark('secret on a command line')}`,
  },
];

/** Takes secrets out of text and counts what it took. One object serves one place, such as one file of an archive. */
export class Redactor {
  readonly #known: KnownForms['patterns'];
  readonly #names: ReadonlyMap<string, string>;
  readonly #longest: number;
  readonly #counts = new Map<string, number>();

  /** @param forms the known secrets in every form in which they may be written; see `knownForms` */
  constructor(forms: KnownForms) {
    this.#known = forms.patterns;
    this.#names = forms.names;
    this.#longest = forms.longest;
  }

  /** What was taken out so far: kind → how often. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([one], [other]) => one.localeCompare(other)));
  }

  /** A whole text without its secrets. */
  text(text: string): string {
    const lines = this.lines();
    return lines.take(text) + lines.end();
  }

  /** Takes text piece by piece, wherever it is cut, and gives back what is safe to go on. */
  lines(): { take(piece: string): string; end(): string } {
    let rest = '';
    let cut = false;
    const key = { lines: 0 };
    return {
      take: (piece) => {
        rest += piece;
        let out = '';
        for (let at = rest.indexOf('\n'); at >= 0; at = rest.indexOf('\n')) {
          const line = rest.slice(0, at + 1);
          rest = rest.slice(at + 1);
          out += cut ? '' : this.#line(line, key);
          cut = false;
        }
        if (rest.length > longestLine) {
          // Its end may take megabytes to come; what follows of it is left out.
          out += cut ? '' : this.#line(rest, key);
          rest = '';
          cut = true;
        }
        return out;
      },
      end: () => (cut || rest === '' ? '' : this.#line(rest, key)),
    };
  }

  #line(whole: string, key: { lines: number }): string {
    const ending = whole.endsWith('\n') ? '\n' : '';
    const line = ending === '' ? whole : whole.slice(0, -1);
    if (key.lines > 0) {
      key.lines = keyEnds.test(line) || key.lines > longestKey ? 0 : key.lines + 1;
      return '';
    }
    const kept = Math.max(0, longestLine - Math.max(cutMargin, this.#longest));
    const text =
      line.length > longestLine ? `${this.#replace(line).slice(0, kept)} [cut: a very long line]` : this.#replace(line);
    const begin = text.search(keyBegins);
    if (begin < 0) return text + (ending || (line.length > longestLine ? '\n' : ''));
    // Its end stands on another line.
    key.lines = 1;
    this.#count('private key');
    return `${text.slice(0, begin)}${mark('private key')}\n`;
  }

  #replace(text: string): string {
    let out = this.#take(this.#known.first, text);
    for (const { kind, pattern, as } of patterns) {
      let found = 0;
      out = out.replace(pattern, (...match: unknown[]) => {
        found += 1;
        return as.replace('$1', () => String(match[1] ?? ''));
      });
      if (found > 0) this.#count(kind, found);
    }
    return this.#take(this.#known.last, out);
  }

  #take(known: RegExp | undefined, text: string): string {
    if (!known) return text;
    return text.replace(known, (found) => {
      const name = this.#names.get(found) ?? 'a secret of this appliance';
      this.#count(`known: ${name}`);
      return mark(name);
    });
  }

  #count(kind: string, by = 1): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + by);
  }
}

/** Known secrets, ready to be looked for. Made once for all redactors. */
export interface KnownForms {
  /** Those that are looked for before the forms of secrets, and after them. */
  readonly patterns: { readonly first: RegExp | undefined; readonly last: RegExp | undefined };
  /** A form → what the secret is called. */
  readonly names: ReadonlyMap<string, string>;
  /** Characters of the longest form. */
  readonly longest: number;
}

/**
 * Every form in which programs write known secrets: as they are, line by line, as JSON, in URLs, hexadecimal, and as Base64
 * wherever it begins in what was encoded (`Basic` credentials hold a password after a name).
 */
export function knownForms(secrets: Iterable<KnownSecret>): KnownForms {
  const names = new Map<string, string>();
  for (const { name, value } of secrets) {
    const lines = value.split(/\r?\n/).map((line) => line.trim());
    const parts = lines.length > 1 ? lines.filter((line) => line.length >= 16 && !line.startsWith('-----')) : lines;
    for (const part of parts) for (const form of formsOf(part)) if (!names.has(form)) names.set(form, name);
  }
  const forms = [...names.keys()].sort((one, other) => other.length - one.length);
  const oneOf = (some: readonly string[]) =>
    some.length === 0 ? undefined : new RegExp(some.map((form) => bounded(form)).join('|'), 'g');
  return {
    patterns: {
      first: oneOf(forms.filter((form) => !ordinary.test(form))),
      last: oneOf(forms.filter((form) => ordinary.test(form))),
    },
    names,
    longest: forms[0]?.length ?? 0,
  };
}

function formsOf(value: string): string[] {
  if (value.length < leastKnown) return [];
  const bytes = Buffer.from(value, 'utf8');
  const encoded =
    bytes.length < 8
      ? []
      : [0, 1, 2].flatMap((before) => {
          // The characters that depend on this value alone, whatever stands before and after it.
          const text = Buffer.concat([Buffer.alloc(before), bytes])
            .toString('base64')
            .replace(/=+$/, '');
          const inner = text.slice(before === 0 ? 0 : before + 1, Math.floor(((before + bytes.length) * 8) / 6));
          return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
        });
  const escaped = JSON.stringify(value).slice(1, -1);
  const address = encodeURIComponent(value);
  const addressed = [
    address,
    address.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    encodeURIComponent(address),
    encodeURI(value),
    new URLSearchParams([['', value]]).toString().slice(1),
  ];
  const marked = [
    value.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    value
      .replaceAll('&', '&amp;')
      .replaceAll('"', '&#34;')
      .replaceAll("'", '&#39;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;'),
    // Go writes JSON so; Compose doubles the sign of its variables.
    escaped.replaceAll('&', '\\u0026').replaceAll('<', '\\u003c').replaceAll('>', '\\u003e'),
    JSON.stringify(escaped).slice(1, -1),
    value.replaceAll('$', () => '$$'),
  ];
  const hex = bytes.length < 8 ? [] : [bytes.toString('hex'), bytes.toString('hex').toUpperCase()];
  return [...new Set([value, escaped, ...addressed, ...marked, ...encoded, ...hex])];
}

/** A short value is meant only where it stands by itself. */
function bounded(form: string): string {
  const literal = form.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  return form.length >= 8 ? literal : `(?<![A-Za-z0-9])${literal}(?![A-Za-z0-9])`;
}
