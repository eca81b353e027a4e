import { readFile } from 'node:fs/promises';
import { acmeTransport } from '../../src/host/acme.ts';
import { context, IssuingLab, setOf } from '../support/issuing.ts';

// Issues one certificate, and kills itself after the authority has answered the given request.
// usage: node issue-once.ts ROOT DIRECTORY CA PORT [KILL-AFTER]

const [root = '', directory = '', ca = '', port = '', killAfter = '0'] = process.argv.slice(2);
const lab = await IssuingLab.make(root);
const real = acmeTransport({ root: await readFile(ca, 'utf8'), timeout: 60_000 });
let requests = 0;
const issuer = lab.issuer(
  { directory, root: ca, certificatesPerWeek: 0 },
  {
    port: Number(port),
    transport: async (url, question) => {
      const answer = await real(url, question);
      requests += 1;
      if (requests === Number(killAfter)) process.kill(process.pid, 'SIGKILL');
      return answer;
    },
  },
);
await issuer.issue(setOf(['shop.example']), { replaced: undefined }, context());
process.stdout.write(String(requests));
lab.database.close();
