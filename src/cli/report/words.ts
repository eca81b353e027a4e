import { titleOf } from '../../api/describe.ts';
import type { ReleaseReport } from '../../api/report.ts';

/** Words that both forms of a report use. */

/** What the verdict of a report means, as a sentence. */
export function sentenceOf({ verdict, open, release }: ReleaseReport): string {
  if (verdict === 'pass') return `Everything about ${release.tag} is seen, approved and signed off.`;
  const failed = open.filter((point) => point.verdict === 'fail').length;
  const missing = open.length - failed;
  const parts = [
    ...(failed > 0 ? [`${failed} ${failed === 1 ? 'thing is' : 'things are'} wrong`] : []),
    ...(missing > 0 ? [`${missing} ${missing === 1 ? 'thing is' : 'things are'} still missing`] : []),
  ];
  return `${parts.join(', ')}.`;
}

/** `2026-11-21 20:35:12` of an RFC 3339 time. */
export function when(time: string | null): string {
  return time === null ? '–' : time.slice(0, 19).replace('T', ' ');
}

/** `deploy v1.0`, with how it ended. */
export function chapterTitle({ kind, to }: ReleaseReport['operations'][number]): string {
  const title = titleOf(kind, to);
  return title.charAt(0).toUpperCase() + title.slice(1);
}

/** `done`, `failed`, `taken back`, `needs a person`, `running`. */
export function resultWords(result: string): string {
  return { rolled_back: 'failed and was taken back', manual: 'needs a person' }[result] ?? result;
}

/** The verdict that an end stands for. */
export function verdictOfResult(result: string): 'pass' | 'fail' | 'inconclusive' {
  return result === 'done' ? 'pass' : result === 'running' ? 'inconclusive' : 'fail';
}

/** `3 of 4 pass` */
export function passed(findings: readonly { readonly verdict: string }[]): string {
  return `${findings.filter(({ verdict }) => verdict === 'pass').length} of ${findings.length} pass`;
}

/** `sha256:3fa1c09e2b1c` */
export function shortDigest(digest: string): string {
  return digest.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1…');
}

/** Answer of a person, with their remark. */
export function answerWords(answer: string, comment: string | null): string {
  const word = answer === 'none' ? 'does not apply' : answer;
  return comment === null ? word : `${word}: ${comment}`;
}

/** Names of steps that were not run are left as planned. */
export function stepVerdict(state: string): 'pass' | 'fail' | 'inconclusive' {
  return state === 'done' ? 'pass' : ['failed', 'undone'].includes(state) ? 'fail' : 'inconclusive';
}
