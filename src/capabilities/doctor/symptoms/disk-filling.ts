import { formatBytes } from '../../../lib/units.ts';
import { diskFull } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, when } from '../symptom.ts';

/** Share of a file system that one thing may take before it is named. */
const muchOfIt = 0.4;

/** Space or inodes run out. */
export const diskFilling: Symptom = {
  name: 'disk',
  title: 'the disk fills up',
  words: ['disk-filling', 'disk-full', 'no-space', 'enospc', 'space', 'inodes'],
  requirement: ['S1-75'],
  looks: ['disk'],
  judge: (evidence) => [...diskFull(evidence), ...when(evidence, 'disk', largestTaker)],
  byHand: [
    advice('appliance releases', 'releases whose images are kept; pinned ones stay'),
    advice('appliance backup list', 'snapshots and what they take'),
    advice('docker system df', 'what images, containers and volumes of others take'),
  ],
};

/** Not full yet, and one thing takes most of what is used. */
function largestTaker({
  total,
  free,
  takes,
}: {
  total: number;
  free: number;
  takes: readonly { what: string; bytes: number }[];
}): Cause[] {
  const [first] = takes;
  const used = total - free;
  if (!first || free / total >= 0.25 || first.bytes / used < muchOfIt) return [];
  return [
    {
      id: 'disk-taker',
      summary: `${first.what} take most of what is used`,
      confidence: 'possible',
      evidence: [
        fact(
          'disk',
          `${first.what}: ${formatBytes(first.bytes)} of ${formatBytes(used)} used, ${formatBytes(free)} free`,
        ),
      ],
      remedies: [advice('appliance config show', 'retention of releases, backups and models')],
    },
  ];
}
