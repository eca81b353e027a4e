import { rm } from 'node:fs/promises';
import { simpleGit } from 'simple-git';
import { ApplianceError, asApplianceError, messageOf } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';

/**
 * What Git itself allows in a tag (git-check-ref-format), narrowed to what is also harmless as a file name, an image
 * tag and an argument: no leading dash or dot, no `..`, no blanks, no shell characters.
 */
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

/** @throws ApplianceError `tag_invalid` before the text gets anywhere near Git */
export function assertTag(tag: string): void {
  if (tagPattern.test(tag) && !tag.includes('..') && !tag.endsWith('.lock') && !tag.endsWith('.')) return;
  throw new ApplianceError('tag_invalid', `${JSON.stringify(tag)} is not a tag name that can be deployed`, {
    left: 'nothing was touched',
    hint: 'use letters, digits and . _ - ; it must not start with a dash or a dot, nor contain ..',
  });
}

/** A bare mirror of the user's repository, kept in the state directory: a release can be rebuilt without a network. */
export class SourceRepository {
  readonly #url: string;
  readonly #mirror: string;

  /** @param mirror directory of the mirror; created on the first fetch */
  constructor(url: string, mirror: string) {
    this.#url = url;
    this.#mirror = mirror;
  }

  /**
   * Brings the mirror up to date.
   * @returns false when the repository cannot be reached and an older mirror is used instead
   * @throws ApplianceError `git_failed` when there is neither
   */
  async fetch(signal?: AbortSignal): Promise<boolean> {
    try {
      await simpleGit().init(['--bare', '--quiet', this.#mirror]);
      const refs = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'];
      await this.#git({}, signal).raw([
        'fetch',
        '--quiet',
        '--force',
        '--prune',
        '--end-of-options',
        this.#url,
        ...refs,
      ]);
      return true;
    } catch (error) {
      signal?.throwIfAborted();
      throwIfDiskFull(error);
      if ((await this.tags()).length > 0) return false;
      const dubious = /dubious ownership/.test(messageOf(error));
      throw new ApplianceError(
        'git_failed',
        `the repository ${this.#url} cannot be read: ${firstLine(messageOf(error))}`,
        {
          left: 'nothing was touched',
          hint: dubious
            ? `it belongs to another user; allow it: git config --global --add safe.directory ${this.#url}`
            : 'check source.repository in appliance.yaml',
          cause: error,
        },
      );
    }
  }

  /** All tags, newest first. */
  async tags(): Promise<string[]> {
    try {
      const text = await this.#git().raw([
        'for-each-ref',
        '--sort=-creatordate',
        '--format=%(refname:strip=2)',
        'refs/tags',
      ]);
      return text.split('\n').filter((line) => line !== '');
    } catch {
      return []; // There is no mirror yet.
    }
  }

  /**
   * The commit that a tag names.
   * @throws ApplianceError `tag_invalid`, or `tag_not_found` with near matches
   */
  async commitOf(tag: string): Promise<string> {
    assertTag(tag);
    try {
      return (
        (await this.#git().raw(['rev-parse', '--verify', '--end-of-options', `refs/tags/${tag}^{commit}`]))
          .trim()
          .split('\n')
          .at(-1) ?? ''
      );
    } catch (error) {
      const known = await this.tags();
      throw new ApplianceError('tag_not_found', `the repository has no tag ${tag}`, {
        left: 'nothing was touched',
        hint:
          didYouMean(tag, known) ??
          (known.length > 0 ? `it has ${known.slice(0, 8).join(', ')}` : 'it has no tags at all'),
        cause: error,
      });
    }
  }

  /** Writes the tree of a commit into an existing, empty directory. */
  async export(commit: string, directory: string, signal?: AbortSignal): Promise<void> {
    const index = `${directory}.index`;
    try {
      // An index of its own, so that two exports at once do not meet in the mirror's.
      await this.#git({ GIT_INDEX_FILE: index }, signal).raw([
        '--work-tree',
        directory,
        'checkout',
        '--quiet',
        '--force',
        commit,
        '--',
        '.',
      ]);
    } catch (error) {
      signal?.throwIfAborted();
      throwIfDiskFull(error);
      throw new ApplianceError(
        'git_failed',
        `commit ${commit.slice(0, 12)} cannot be checked out: ${firstLine(messageOf(error))}`,
        {
          cause: error,
        },
      );
    } finally {
      await rm(index, { force: true });
    }
  }

  #git(environment: Readonly<Record<string, string>> = {}, signal?: AbortSignal) {
    return simpleGit({
      // --work-tree names a directory of our own making.
      unsafe: { allowUnsafeConfigPaths: true },
      baseDir: this.#mirror,
      timeout: { block: 60_000 },
      allowEnvironment: ['GIT_INDEX_FILE', 'GIT_TERMINAL_PROMPT'],
      ...(signal ? { abort: signal } : {}),
    }).env({
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: process.env.HOME ?? '/root',
      GIT_TERMINAL_PROMPT: '0',
      ...environment,
    });
  }
}

/** Of all that Git can fail at, a full disk is no matter of the repository. @throws ApplianceError `disk_full` */
function throwIfDiskFull(thrown: unknown): void {
  const error = asApplianceError(thrown);
  if (error.code === 'disk_full') throw error;
}

function firstLine(text: string): string {
  return text.split('\n').find((line) => line.trim() !== '') ?? text;
}
