/** What stands where a secret stood in something that is shown. */
export const hidden = '***';

/** A text whose URLs have lost the password or token that stands in front of the host. */
export function maskUrls(text: string): string {
  return text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^/\s]+)@/gi, (_, scheme: string, user: string) => {
    // A name alone, as in ssh://git@host, is no secret; over HTTP it usually is a token.
    const nameOnly = !user.includes(':') && !/^https?:/i.test(scheme);
    return `${scheme}${nameOnly ? user : hidden}@`;
  });
}
