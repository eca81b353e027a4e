import { runInstalled } from './run-installed.ts';

export interface FirewallState {
  /** Whether packets that nothing allows are dropped; null when nobody could be asked. */
  readonly filters: boolean | null;
  /** Who said so, or why nobody did. */
  readonly said: string;
}

/** Asks nftables, then iptables, what becomes of a packet that no rule allows. Needs root. */
export async function firewallState(signal: AbortSignal): Promise<FirewallState> {
  const options = { timeout: 3_000, signal };
  const nft = await runInstalled('nft', ['list', 'ruleset'], options);
  if (nft?.exitCode === 0) return { filters: dropsInput(nft.stdout), said: 'nftables' };
  const iptables = await runInstalled('iptables', ['-S', 'INPUT'], options);
  if (iptables?.exitCode === 0) return { filters: dropsInput(iptables.stdout), said: 'iptables' };
  const why = [nft, iptables]
    .find((one) => one !== undefined)
    ?.stderr.trim()
    .split('\n')[0];
  return { filters: null, said: why ?? 'neither nft nor iptables is installed' };
}

/** Whether a rule set ends in a refusal of what comes in. Pure. @param text of `nft list ruleset` or `iptables -S INPUT` */
export function dropsInput(text: string): boolean {
  if (/^-P INPUT (?:DROP|REJECT)$/m.test(text)) return true;
  if (/^-A INPUT(?: -m comment --comment "?[^"\n]*"?)? -j (?:DROP|REJECT)(?: --reject-with \S+)?$/m.test(text))
    return true;
  return /hook input [^;]*;\s*policy drop;/.test(text);
}
