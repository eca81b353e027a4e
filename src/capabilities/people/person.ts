import { ApplianceError } from '../../lib/errors.ts';
import type { Actor } from '../../operations/journal.ts';

/** Somebody who answers for something: one account, whatever other account they act under. */
export interface Person {
  readonly uid: number;
  readonly user: string;
}

/**
 * Who stands behind an actor: who logged in, where the kernel tells (su and sudo do not change it), else the account that
 * acts. Root is nobody by itself: several people may have its password, and `SUDO_USER` is a variable that anybody can set.
 * @throws ApplianceError `not_permitted` where nobody can be told
 */
export function personOf({ uid, user, login }: Actor): Person {
  const person = login ?? { uid, user };
  if (person.uid > 0) return { uid: person.uid, user: person.user };
  throw new ApplianceError(
    'not_permitted',
    'root is an account and not a person, and the kernel does not know who logged in',
    {
      left: 'nothing was recorded',
      hint: 'do it without sudo, from your own account, as a member of the group of the operators',
    },
  );
}
