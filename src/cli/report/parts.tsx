import type { ReactNode } from 'react';
import type { ReleaseReport } from '../../api/report.ts';

// What the pages of a report are put together from.

export const signs = { pass: '✓', fail: '✗', inconclusive: '?' } as const;

/** A verdict that is told by its word and sign as well as by its colour. */
export function Mark({
  verdict,
  word = verdict,
}: {
  readonly verdict: ReleaseReport['verdict'];
  readonly word?: string;
}) {
  return (
    <span className={`mark ${verdict}`}>
      {signs[verdict]} {word}
    </span>
  );
}

export function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Under({ text, small }: { readonly text: string; readonly small: string }) {
  return (
    <>
      {text}
      {small === '' ? null : <small>{small}</small>}
    </>
  );
}

export function Section({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <section>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

const narrow: ReadonlySet<string> = new Set([
  '',
  '#',
  'When',
  'Since',
  'Until',
  'Due',
  'Taken',
  'Begun',
  'Took',
  'Who',
]);

export function Table({
  titles,
  rows,
  instead,
}: {
  readonly titles: readonly string[];
  readonly rows: readonly (readonly ReactNode[])[];
  /** What stands where there are no rows. */
  readonly instead: string;
}) {
  if (rows.length === 0) return instead === '' ? null : <p className="soft">{instead}</p>;
  const classOf = (index: number) => {
    const title = titles[index] ?? '';
    return narrow.has(title) ? 'narrow' : title === 'Expected' ? 'third' : undefined;
  };
  return (
    <div className="wide">
      <table>
        <thead>
          <tr>
            {titles.map((title, index) => (
              <th key={title} className={classOf(index)}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a page that never changes
            <tr key={index}>
              {row.map((cell, column) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a page that never changes
                <td key={column} className={classOf(column)}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
