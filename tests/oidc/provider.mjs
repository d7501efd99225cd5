// A real OpenID Connect provider for the tests: panva's oidc-provider over HTTPS, with users that the tests make up.
// `node provider.mjs CERTIFICATE KEY`. A line on standard input is a command in JSON, and a line on standard output its answer.
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { Provider } from 'oidc-provider';

const TAGS = 'https://aws.amazon.com/tags';
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const REDIRECT = 'https://app.example.test/callback';
const [certificate, privateKey] = process.argv.slice(2);

const users = new Map();
let keys = [];
let provider;
let generation = 0;

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(privateKey) }, (request, response) => {
  provider.callback()(request, response);
});

async function newKeys() {
  generation += 1;
  return Promise.all(ALGORITHMS.map(async (alg) => {
    const pair = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
    return { ...(await exportJWK(pair.privateKey)), kid: `${alg}-${generation}`, alg, use: 'sig' };
  }));
}

function open() {
  provider = new Provider(`https://127.0.0.1:${server.address().port}`, {
    clients: ALGORITHMS.map((alg) => ({
      client_id: `store-${alg}`,
      redirect_uris: [REDIRECT],
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: alg,
    })),
    claims: { openid: ['sub', 'email', 'groups', TAGS] },
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, ...users.get(accountId) }) }),
    cookies: { keys: ['for the tests alone'] },
    jwks: { keys },
    ttl: { IdToken: 3600, Grant: 3600, Session: 3600, Interaction: 3600, AuthorizationCode: 60, AccessToken: 3600 },
  });
}

const commands = {
  // {name, claims}: somebody who may log in, with any password.
  user: ({ name, claims }) => void users.set(name, claims),
  // {keep}: new keys before the old ones, or in their place.
  rotate: async ({ keep }) => {
    keys = [...await newKeys(), ...(keep ? keys : [])];
    open();
  },
  // {alg, claims, header}: a token that the provider would never give, under its own key.
  sign: async ({ alg, claims, header }) => {
    const key = keys.find((one) => one.alg === alg);
    return new SignJWT(claims).setProtectedHeader({ alg, kid: key.kid, ...header }).sign(await importJWK(key, alg));
  },
};

server.listen(0, '127.0.0.1', async () => {
  keys = await newKeys();
  open();
  console.log(JSON.stringify({ port: server.address().port, algorithms: ALGORITHMS, redirect: REDIRECT }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...parameters } = JSON.parse(line);
    console.log(JSON.stringify((await commands[command](parameters)) ?? null));
  }
  process.exit(0);
});
