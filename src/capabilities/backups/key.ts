import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../host/files.ts';
import { ApplianceError } from '../../lib/errors.ts';

/** Crockford's base 32: no I, L, O and U, which are mistaken for others when they are copied by hand. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const pattern = /^(?:[0-9A-HJKMNP-TV-Z]{4}-){7}[0-9A-HJKMNP-TV-Z]{4}$/;

/** 160 random bits as eight groups of four letters: `4F2K-…`. The groups with their dashes are restic's password. */
export function newKey(random: Buffer = randomBytes(32)): string {
  const letters = [...random].map((byte) => alphabet[byte % alphabet.length]).join('');
  return (letters.match(/.{4}/g) ?? []).join('-');
}

/**
 * A key as a person has typed it: without dashes, with spaces, in small letters, O for 0, I or L for 1.
 * @throws ApplianceError `backup_key` for anything that cannot be a key
 */
export function typedKey(text: string): string {
  const letters = text.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  const key = (letters.match(/.{1,4}/g) ?? []).join('-');
  if (pattern.test(key)) return key;
  throw new ApplianceError('backup_key', `a key has 32 letters and digits; this has ${letters.length}, or others`, {
    left: 'nothing was touched',
    hint: 'type it as it stands on the recovery sheet, eight groups of four',
  });
}

/** The key of the repository in its file of mode 0600, and whether somebody has seen it. */
export class KeyFile {
  readonly path: string;

  /** @param path `<lib>/backups/key` */
  constructor(path: string) {
    this.path = path;
  }

  /**
   * @throws ApplianceError `backup_key` where there is none, or what is there is no key
   */
  async read(): Promise<string> {
    const text = await readIfPresent(this.path);
    if (text !== undefined) return typedKey(text.trim());
    throw new ApplianceError('backup_key', `there is no key ${this.path}`, {
      left: 'nothing was touched',
      hint: 'write the key of the recovery sheet into it (mode 0600); for a new appliance the first backup makes one',
    });
  }

  /**
   * Makes the key where there is none.
   * @param taken whether a repository is there already, which a new key could never open
   * @returns whether it was made now
   */
  async ensure(taken: boolean): Promise<boolean> {
    if ((await readIfPresent(this.path)) !== undefined) return false;
    if (taken)
      throw new ApplianceError('backup_key', `there is a repository of backups, but its key ${this.path} is gone`, {
        left: 'nothing was touched; no new key was made, because it could not open what is there',
        hint: `write the key of the recovery sheet into ${this.path} (mode 0600), or move the repository away to begin anew`,
      });
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    await writeFileAtomic(this.path, `${newKey()}\n`, 0o600);
    return true;
  }

  /** Puts a key into force, as on a new host. */
  async write(key: string): Promise<void> {
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    await writeFileAtomic(this.path, `${key}\n`, 0o600);
  }

  /** When the key was shown, RFC 3339; undefined: never. */
  async shown(): Promise<string | undefined> {
    return (await readIfPresent(`${this.path}.shown`))?.trim();
  }

  async markShown(time: string): Promise<void> {
    await writeFileAtomic(`${this.path}.shown`, `${time}\n`, 0o600);
  }
}
