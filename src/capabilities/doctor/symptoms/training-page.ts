import type { Evidence, EvidenceTypes } from '../evidence.ts';
import { bringBack, engineDown, nothingLive, signsOfKind, stackEvidence, stopped, unwell } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

/** The page that people train with does not load, or its button does nothing (S1-78, S1-36). */
export const trainingPage: Symptom = {
  name: 'training-page',
  title: 'the training page does not load, or nothing happens on it',
  words: ['training-ui', 'page', 'ui', 'cors', 'token', '403', '401', 'login'],
  requirement: ['S1-78', 'S1-36'],
  looks: [...stackEvidence, 'page', 'training', 'environment'],
  absent: (evidence) =>
    nothingLive(evidence) ??
    (evidence.page.known && evidence.page.value === null ? 'no route leads to a service that trains' : undefined),
  judge: (evidence) => [
    ...engineDown(evidence),
    ...when(evidence, 'services', (services) => {
      const app = services.filter(({ role }) => role === 'app');
      return [...stopped(app, evidence), ...unwell(app, evidence)];
    }),
    ...when(evidence, 'page', (page) =>
      page === null ? [] : [...pageItself(page), ...loginOf(page, evidence), ...origins(page)],
    ),
    ...trial(evidence),
  ],
  byHand: [
    advice('appliance check smoke --policy routing-ml', 'page, login, token and a run without consequences (202)'),
    advice('appliance config show', 'edge.domains, which browsers must know it by'),
    advice('appliance logs backend --tail 100', 'who was refused'),
  ],
};

type Page = NonNullable<EvidenceTypes['page']>;

function pageItself({ path, answer, html }: Page): Cause[] {
  if (answer.status === 200 && html) return [];
  return [
    {
      id: 'page-absent',
      summary: `${path} is not answered with a page`,
      confidence: 'certain',
      evidence: [
        fact(
          'page',
          `${path}: ${answer.status ?? answer.problem}${answer.status === 200 ? ', and it is no HTML' : ''}`,
        ),
      ],
      remedies: [bringBack, advice('appliance doctor 502', 'whom the edge asks in vain')],
    },
  ];
}

/** 401: nobody is known by that name and password. */
function loginOf({ login }: Page, evidence: Evidence): Cause[] {
  if (login.token) return [];
  const status = login.status ?? login.problem;
  return [
    {
      id: 'login-refused',
      summary: login.status === 200 ? 'the login gives no token' : 'the test account cannot log in',
      confidence: login.status === 401 || login.status === 403 ? 'certain' : 'likely',
      evidence: [fact('page', `login: ${status}`), ...signsOfKind(evidence, 'environment').slice(0, 1)],
      remedies: [
        advice('appliance check config', 'whether user, password and JWT secret are in the environment file'),
        advice('appliance deploy TAG', 'a changed password comes into force with the next deploy'),
      ],
    },
  ];
}

/** Browsers refuse an answer to a page that the application does not name. */
function origins({ allowed, domains }: Page): Cause[] {
  if (allowed === null || allowed === '*' || domains.length === 0) return [];
  const hosts = allowed
    .split(/[\s,]+/)
    .flatMap((origin) => (URL.canParse(origin) ? [new URL(origin).hostname] : [origin]));
  const unknown = domains.filter((domain) => !hosts.includes(domain));
  // Pages of the same name need no permission.
  if (unknown.length === 0 || hosts.some((host) => domains.includes(host))) return [];
  return [
    {
      id: 'cors-origins',
      summary: 'the application lets other names call it than those of this appliance',
      confidence: 'possible',
      evidence: [fact('page', `allowed are ${allowed}`), fact('page', `browsers come by ${domains.join(', ')}`)],
      remedies: [advice('appliance check config', 'CORS against the names of appliance.yaml')],
    },
  ];
}

/** 202: it began. 403: the user may not. 401: the token is not taken. */
function trial(evidence: Evidence): readonly Cause[] {
  const training = shown(evidence, 'training');
  const page = shown(evidence, 'page');
  if (!training || page?.login.token === false) return [];
  const { status, problem, said } = training.trial;
  const answer = fact('training', `a run without consequences: ${status ?? problem}${said === '' ? '' : `: ${said}`}`);
  switch (status) {
    case 202:
      return [];
    case 403:
      return [
        {
          id: 'training-forbidden',
          summary: 'the user is known and may not train',
          confidence: 'certain',
          evidence: [answer],
          remedies: [advice('appliance check config', 'roles are given in the environment file')],
        },
      ];
    case 401:
      return [
        {
          id: 'training-token',
          summary: 'the token of the login is not accepted',
          confidence: 'certain',
          evidence: [answer],
          remedies: [
            advice('appliance check preflight', 'whether the clock is right: a token is valid for a time'),
            advice('appliance restart backend', 'if processes hold different JWT secrets'),
          ],
        },
      ];
    default:
      return [
        {
          id: 'training-refused',
          summary: 'no run could begin now',
          confidence: 'likely',
          evidence: [answer],
          remedies: [advice('appliance doctor training-failed', 'why')],
        },
      ];
  }
}
