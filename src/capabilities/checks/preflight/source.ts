import { type Check, fail, inconclusive, pass } from '../check.ts';

export interface SourceHands {
  /** Lines of `git status` of the repository; null where it has no working tree. @throws when git cannot read it */
  readonly changes: (signal: AbortSignal) => Promise<readonly string[] | null>;
  /** Tags of the repository. */
  readonly tags: (signal: AbortSignal) => Promise<readonly string[]>;
  /** Text of the changelog at a tag; undefined without one. */
  readonly changelog: (tag: string, signal: AbortSignal) => Promise<string | undefined>;
}

const unnamed = inconclusive('no release is named and none is live', {
  hint: 'name it: appliance check preflight --tag TAG',
});

/** The repository has no changes that no commit holds: what is tested is what is deployed (S0-5). */
export function cleanTreeCheck({ changes }: SourceHands): Check {
  return {
    id: 'preflight.clean-tree',
    group: 'preflight',
    requirement: ['S0-5'],
    about: 'working tree of the repository',
    expected: 'no changes that are not committed',
    hint: 'commit them, or take them back; a deploy takes what the tag holds',
    look: async (signal) => {
      const found = await changes(signal);
      if (found === null) return pass('the repository has no working tree');
      if (found.length === 0) return pass('clean');
      return fail(
        `${found.length} changed: ${found
          .slice(0, 3)
          .map((line) => line.slice(3))
          .join(', ')}${found.length > 3 ? ' …' : ''}`,
      );
    },
  };
}

/** The tag of the release is there (S0-5, S1-23). */
export function tagCheck({ tags }: SourceHands, tag: string | undefined): Check {
  return {
    id: 'preflight.tag',
    group: 'preflight',
    requirement: ['S0-5', 'S1-23'],
    about: 'tag',
    expected: 'the repository has it',
    hint: 'git tag it and push it: git push origin TAG',
    look: async (signal) => {
      if (tag === undefined) return unnamed;
      const known = await tags(signal);
      return known.includes(tag) ? pass(tag) : fail(`the repository has no tag ${tag}`);
    },
  };
}

/** The changelog names the version (S0-5). */
export function changelogCheck({ changelog }: SourceHands, tag: string | undefined): Check {
  return {
    id: 'preflight.changelog',
    group: 'preflight',
    requirement: ['S0-5'],
    about: 'changelog',
    expected: 'it names the version',
    hint: 'add a heading for it to CHANGELOG.md before the tag is made',
    look: async (signal) => {
      if (tag === undefined) return unnamed;
      const text = await changelog(tag, signal);
      if (text === undefined) return fail(`${tag} has no CHANGELOG.md`);
      return names(text, tag) ? pass(`it names ${tag}`) : fail(`it does not name ${tag}`);
    },
  };
}

/** Whether a text names a version, with or without the `v` of its tag, and not as a part of another. Pure. */
export function names(text: string, tag: string): boolean {
  const version = tag.replace(/^v(?=\d)/, '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<![\\w.-])v?${version}(?![\\w-]|\\.\\w)`).test(text);
}
