import { modernName, type OwnClasses, roleOf } from './names.ts';
import { data, type GlobalName, type Made, Refused, RefusedCall, textOf, type Value } from './values.ts';

/** REDUCE: a name that is called with a tuple. @throws Refused */
export function call(callee: Value, args: Value, own: OwnClasses): Value {
  if (args.kind !== 'tuple') throw new Refused('it calls something with what is no plain tuple');
  const global = nameOf(callee);
  const role = roleOf(global, own);
  if (role === 'function') return callFunction(global, args.items, own);
  return callOf(callee, args.items, own);
}

/** NEWOBJ, INST, OBJ: an instance of a class. @throws Refused */
export function callOf(callee: Value, args: readonly Value[], own: OwnClasses): Value {
  const global = nameOf(callee);
  const role = roleOf(global, own);
  if (role !== 'class' && role !== 'container')
    throw new RefusedCall(`it calls ${global.module}.${global.name}, which is no class of a model`);
  return made(global, args);
}

function nameOf(callee: Value): GlobalName {
  if (callee.kind !== 'global') throw new Refused('it calls something that is no imported name');
  return callee;
}

const made = (of: GlobalName, args: readonly Value[]): Made => ({ kind: 'made', of, args, state: undefined });

/** Functions that rebuild objects; each may be called in the one way in which libraries call it. */
function callFunction(global: GlobalName, args: readonly Value[], own: OwnClasses): Value {
  const name = modernName(global);
  if (name === '_codecs.encode') {
    // How protocols before 3 write bytes. Any other codec is a decoder somebody may have registered.
    if (args[0]?.kind !== 'text' || !['latin1', 'latin-1'].includes(textOf(args[1]) ?? ''))
      throw new Refused('it calls _codecs.encode for something else than bytes');
    return data;
  }
  for (const arg of args)
    if (arg.kind === 'global' && roleOf(arg, own) === 'function')
      throw new Refused(`it hands ${arg.module}.${arg.name} to ${name}`);
  if (name === 'copyreg._reconstructor') {
    const [subject, base] = args;
    if (subject?.kind !== 'global' || base?.kind !== 'global' || !modernName(base).startsWith('builtins.'))
      throw new Refused('it calls copyreg._reconstructor for something else than a class of a model');
    return callOf(subject, [], own);
  }
  const [subject] = args;
  if (/\.(?:_reconstruct|_mareconstruct|newObj|_new_Index)$/.test(name)) {
    if (subject?.kind !== 'global') throw new Refused(`it calls ${name} for something else than a class`);
    return callOf(subject, args.slice(1), own);
  }
  return made(global, args);
}

/** BUILD: the state of an instance, once. @throws Refused */
export function attribute(target: Value, state: Value): void {
  if (target.kind !== 'made')
    // Attributes of a function or class would change it for everybody (modelscan#85).
    throw new Refused('it sets attributes of something that it has not made');
  if (target.state !== undefined) throw new Refused('it sets the state of one object twice');
  const parts = state.kind === 'tuple' && state.items.length === 2 ? state.items : [state];
  for (const part of parts)
    if (part.kind === 'dict' && part.magic !== undefined)
      throw new Refused(`it sets ${part.magic}, an attribute of the language`);
  target.state = state;
}
