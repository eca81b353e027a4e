import { rm } from 'node:fs/promises';
import { GitPluginError, simpleGit } from 'simple-git';
import { ApplianceError, asApplianceError, messageOf } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { maskUrls } from '../lib/urls.ts';
import { run } from './process.ts';

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

/** Milliseconds without a word of Git; it reports its progress several times a second. */
const usualSilence = 60_000;

/** Milliseconds that packing or unpacking the history of a tag may take. */
const packTimeout = 10 * 60_000;

/** A bare mirror of the user's repository, kept in the state directory: a release can be rebuilt without a network. */
export class SourceRepository {
  readonly #url: string;
  readonly #mirror: string;
  readonly #silence: number;

  /**
   * @param mirror directory of the mirror; created on the first fetch
   * @param silence milliseconds after which a repository that says nothing is given up
   */
  constructor(url: string, mirror: string, silence = usualSilence) {
    this.#url = url;
    this.#mirror = mirror;
    this.#silence = silence;
  }

  /**
   * Brings the mirror up to date.
   * @returns why the repository cannot be read, where an older mirror is used instead
   * @throws ApplianceError `git_failed` when there is neither
   */
  async fetch(signal?: AbortSignal): Promise<string | undefined> {
    try {
      await simpleGit().init(['--bare', '--quiet', this.#mirror]);
      const refs = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'];
      await this.#git({}, signal).raw([
        // However long it takes: only a repository that falls silent is given up. Unpacked, a large file says nothing.
        '-c',
        'fetch.unpackLimit=1',
        'fetch',
        '--progress',
        '--force',
        '--prune',
        '--end-of-options',
        this.#url,
        ...refs,
      ]);
      return undefined;
    } catch (error) {
      signal?.throwIfAborted();
      throwIfDiskFull(error);
      const why = this.#whyOf(error);
      if ((await this.tags()).length > 0) return why;
      const url = maskUrls(this.#url);
      const dubious = /dubious ownership/.test(messageOf(error));
      throw new ApplianceError('git_failed', `the repository ${url} cannot be read: ${why}`, {
        left: 'nothing was touched',
        hint: dubious
          ? `it belongs to another user; allow it: git config --global --add safe.directory ${url}`
          : 'check source.repository in appliance.yaml',
        cause: error,
      });
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
        // Of bundles: what a repository that can be reached does not have is no reason to forget them.
        'refs/bundles',
      ]);
      return [...new Set(text.split('\n').filter((line) => line !== ''))];
    } catch {
      return []; // There is no mirror yet.
    }
  }

  /**
   * The commit that a tag names.
   * @param unread why the repository could not be read just now
   * @throws ApplianceError `tag_invalid`, or `tag_not_found` with near matches
   */
  async commitOf(tag: string, unread?: string): Promise<string> {
    assertTag(tag);
    const commit = (await this.#commitAt(`refs/tags/${tag}`)) ?? (await this.bundled(tag));
    if (commit !== undefined) return commit;
    const known = await this.tags();
    const where =
      unread === undefined
        ? 'the repository has'
        : `the repository cannot be read (${unread}), and the copy of it on this host has`;
    throw new ApplianceError('tag_not_found', `${where} no tag ${tag}`, {
      left: 'nothing was touched',
      hint:
        didYouMean(tag, known) ??
        (known.length > 0 ? `it has ${known.slice(0, 8).join(', ')}` : 'it has no tags at all'),
    });
  }

  /**
   * The commit that a bundle has brought for a tag; undefined where none has.
   * @throws ApplianceError `tag_invalid`
   */
  async bundled(tag: string): Promise<string | undefined> {
    assertTag(tag);
    return this.#commitAt(`refs/bundles/${tag}`);
  }

  /**
   * Writes a tag, with its history, as a file that `adopt` takes over elsewhere.
   * @param commit what the tag must name
   * @throws ApplianceError `moved_tag` when it does not (any more); `git_failed`, `disk_full`
   */
  async pack(tag: string, commit: string, file: string, signal: AbortSignal): Promise<void> {
    assertTag(tag);
    for (const ref of [`refs/tags/${tag}`, `refs/bundles/${tag}`]) {
      if ((await this.#commitAt(ref)) !== commit) continue;
      await this.#run(['bundle', 'create', '--quiet', file, ref], `${tag} cannot be packed`, signal);
      return;
    }
    throw new ApplianceError('moved_tag', `tag ${tag} names another commit now than ${commit.slice(0, 12)}`, {
      left: 'nothing was written',
      hint: `make a release of what it names: appliance deploy ${tag} --accept-moved-tag`,
    });
  }

  /**
   * Takes over a tag that `pack` has written. It is known under its name from then on, whatever the repository has.
   * @param commit what it must name
   * @throws ApplianceError `git_failed`, also when it is not what it must be; nothing is known of it then
   */
  async adopt(tag: string, commit: string, file: string, signal: AbortSignal): Promise<void> {
    assertTag(tag);
    await simpleGit().init(['--bare', '--quiet', this.#mirror]);
    const heads = (await this.#run(['bundle', 'list-heads', file], 'its source cannot be read', signal)).trim();
    const [, ref] = /^[0-9a-f]{40,64} (refs\/[A-Za-z]+\/[^\s]+)$/.exec(heads) ?? [];
    if (ref !== `refs/tags/${tag}` && ref !== `refs/bundles/${tag}`)
      throw gitFailed('its source cannot be read', `it holds ${JSON.stringify(heads.slice(0, 200))}`);
    const incoming = `refs/incoming/${tag}`;
    try {
      await this.#run(
        ['-c', 'fetch.fsckObjects=true', 'fetch', '--quiet', '--no-tags', '--force', file, `+${ref}:${incoming}`],
        'its source cannot be taken over',
        signal,
      );
      const found = await this.#commitAt(incoming);
      if (found !== commit) throw gitFailed('its source cannot be taken over', `it holds ${found}, not ${commit}`);
      await this.#run(['update-ref', `refs/bundles/${tag}`, incoming], 'its tag cannot be made', signal);
    } finally {
      await this.#run(['update-ref', '-d', incoming], '', AbortSignal.timeout(10_000)).catch(() => undefined);
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
        `commit ${commit.slice(0, 12)} cannot be checked out: ${reasonIn(messageOf(error))}`,
        {
          cause: error,
        },
      );
    } finally {
      await rm(index, { force: true });
    }
  }

  #whyOf(error: unknown): string {
    const silent = error instanceof GitPluginError && error.plugin === 'timeout';
    return silent ? `it said nothing for ${this.#silence / 1_000} s` : reasonIn(messageOf(error));
  }

  /** @returns undefined where there is no such reference, or no mirror */
  async #commitAt(ref: string): Promise<string | undefined> {
    try {
      const text = await this.#git().raw(['rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`]);
      return text.trim().split('\n').at(-1);
    } catch {
      return undefined;
    }
  }

  /** Git in the mirror, for work of which it says nothing until it is done. @returns what it prints */
  async #run(args: readonly string[], problem: string, signal: AbortSignal): Promise<string> {
    const { exitCode, stdout, stderr } = await run('git', ['-C', this.#mirror, ...args], {
      env: { GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' },
      timeout: packTimeout,
      signal,
    });
    if (exitCode === 0) return stdout;
    throwIfDiskFull(new Error(stderr));
    throw gitFailed(problem, reasonIn(stderr));
  }

  #git(environment: Readonly<Record<string, string>> = {}, signal?: AbortSignal) {
    return simpleGit({
      // --work-tree names a directory of our own making.
      unsafe: { allowUnsafeConfigPaths: true },
      baseDir: this.#mirror,
      timeout: { block: this.#silence },
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

function gitFailed(problem: string, why: string): ApplianceError {
  return new ApplianceError('git_failed', `${problem}: ${why}`);
}

/** Of all that Git can fail at, a full disk is no matter of the repository. @throws ApplianceError `disk_full` */
function throwIfDiskFull(thrown: unknown): void {
  const error = asApplianceError(thrown);
  if (error.code === 'disk_full') throw error;
}

/** The line in which Git says why it failed; before it stands how far it was. */
function reasonIn(text: string): string {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  return maskUrls(lines.find((line) => /^(fatal|error): /.test(line)) ?? lines[0] ?? text);
}
