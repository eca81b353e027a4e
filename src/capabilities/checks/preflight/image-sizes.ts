import { count } from '../../../lib/text.ts';
import { formatBytes } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

export interface SizedImage {
  readonly service: string;
  readonly bytes: number;
}

/** No image of a release is larger than the policy allows (S0-9). */
export function imageSizesCheck(
  images: () => Promise<readonly SizedImage[]>,
  wants: { readonly id: string; readonly below: number },
): Check {
  return {
    id: 'preflight.image-size',
    group: 'preflight',
    requirement: [wants.id],
    about: 'sizes of images',
    expected: `each below ${formatBytes(wants.below)}`,
    hint: 'leave build tools and caches out of the last stage of its Dockerfile',
    look: async () => {
      const found = await images();
      if (found.length === 0) return inconclusive('no release has been built yet');
      const large = found.filter(({ bytes }) => bytes >= wants.below);
      const words = (list: readonly SizedImage[]) =>
        list.map(({ service, bytes }) => `${service} ${formatBytes(bytes)}`).join(', ');
      return large.length > 0
        ? fail(words(large), { samples: found.length })
        : pass(
            `${count(found.length, 'image')}, the largest ${words([...found].sort((a, b) => b.bytes - a.bytes).slice(0, 1))}`,
            { samples: found.length },
          );
    },
  };
}
