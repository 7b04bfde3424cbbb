// The OpenID provider of the tests: the certified `oidc-provider`, over plain HTTP on loopback.
//
//   node provider.mjs [--port 0] [--issuer URL | --host NAME] [--client-id vestibule] [--client-secret secret]
//                     [--redirect-uri URI]… [--post-logout-redirect-uri URI]… [--auth-method client_secret_basic]
//                     [--alg RS256] [--userinfo-only] [--users JSON] [--clients JSON] [--ttl JSON]
//
// `--users` adds to (or replaces, by e-mail) the people below; `--clients` adds whole clients in the words of dynamic
// registration; `--ttl` sets lifetimes in seconds, as {"AccessToken": 60}. VESTIBULE_TEST_USERS and
// VESTIBULE_TEST_CLIENTS are the same in the environment. Signing in is one form with one field: POST `login=<e-mail>`.
// Prints one line of JSON once it listens; stops when standard input closes.

import http from 'node:http';
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { exportJWK, generateKeyPair } from 'jose';

// oidc-provider talks on standard output, which is for the one line.
console.info = console.error;
console.log = console.error;
const { Provider } = await import('oidc-provider');

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    issuer: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    'client-id': { type: 'string', default: 'vestibule' },
    'client-secret': { type: 'string', default: 'secret' },
    'redirect-uri': { type: 'string', multiple: true, default: [] },
    'post-logout-redirect-uri': { type: 'string', multiple: true, default: [] },
    'auth-method': { type: 'string', default: 'client_secret_basic' },
    alg: { type: 'string', default: 'RS256' },
    'userinfo-only': { type: 'boolean', default: false },
    users: { type: 'string', default: '[]' },
    clients: { type: 'string', default: '[]' },
    ttl: { type: 'string', default: '{}' },
  },
});

const people = new Map();
for (const person of [
  { sub: 'u-alice', email: 'alice@example.com', name: 'Alice Example', groups: ['engineering', 'admins'] },
  { sub: 'u-bob', email: 'bob@example.com', name: 'Bob Example', groups: ['sales'] },
  { sub: 'u-carol', email: 'carol@other.test', name: 'Carol Other', groups: ['engineering'] },
  { sub: 'u-dave', email: 'dave@example.com', email_verified: false, name: 'Dave Example', groups: [] },
  ...JSON.parse(process.env.VESTIBULE_TEST_USERS ?? '[]'),
  ...JSON.parse(flags.users),
]) people.set(person.email, { email_verified: true, ...person });

const personOf = (sub) => [...people.values()].find((person) => person.sub === sub);

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `test-${alg.toLowerCase()}` };
}

const clients = [
  ...JSON.parse(process.env.VESTIBULE_TEST_CLIENTS ?? '[]'),
  ...JSON.parse(flags.clients),
];
if (flags['redirect-uri'].length > 0) {
  clients.push({
    client_id: flags['client-id'],
    client_secret: flags['client-secret'],
    redirect_uris: flags['redirect-uri'],
    post_logout_redirect_uris: [
      ...flags['post-logout-redirect-uri'],
      ...flags['redirect-uri'].map((uri) => new URL('/.pomerium/signed_out', uri).href),
    ],
    token_endpoint_auth_method: flags['auth-method'],
    id_token_signed_response_alg: flags.alg,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  });
}

const server = http.createServer();
await new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(Number(flags.port), '127.0.0.1', resolve);
});
const { port } = server.address();
const issuer = flags.issuer ?? `http://${flags.host}:${port}`;

const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [await signingKey('RS256'), await signingKey('ES256')] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name'],
    groups: ['groups'],
  },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
  // Most providers put the claims into the ID token; the standard has them at the userinfo endpoint.
  conformIdTokenClaims: flags['userinfo-only'],
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    introspection: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: async (context, logoutForm) => {
        context.type = 'html';
        context.body = `<!doctype html><html lang="en"><title>Sign out</title><h1>Sign out of the test provider?</h1>
${logoutForm}<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button></html>`;
      },
    },
  },
  ttl: {
    AccessToken: 3600, AuthorizationCode: 60, IdToken: 3600, RefreshToken: 86400, Interaction: 600, Session: 86400,
    Grant: 86400, ...JSON.parse(flags.ttl),
  },
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  findAccount: async (_, sub) => {
    const person = personOf(sub);
    return person && { accountId: sub, claims: async () => ({ ...person }) };
  },
  // Whoever signs in consents.
  loadExistingGrant: async (context) => {
    const { client, session, params, account, result } = context.oidc;
    const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
    const grant = (known && await provider.Grant.find(known))
      || new provider.Grant({ clientId: client.clientId, accountId: account.accountId });
    grant.addOIDCScope(params.scope);
    await grant.save();
    return grant;
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  renderError: async (context, out) => {
    context.type = 'json';
    context.body = JSON.stringify(out);
  },
});

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const form = (uid, note = '') => `<!doctype html>
<html lang="en"><title>Sign in</title><h1>Sign in to the test provider</h1><p>${escape(note)}</p>
<form method="post" action="/interaction/${escape(uid)}">
<label>E-mail <input name="login" autofocus></label> <button type="submit">Sign in</button>
</form></html>`;

async function interaction(request, response, uid) {
  const html = (status, text) => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    response.end(text);
  };
  if (request.method === 'GET') {
    await provider.interactionDetails(request, response);
    return html(200, form(uid));
  }
  if (request.method !== 'POST') return html(405, '');
  let body = '';
  for await (const part of request) body += part;
  const person = people.get(new URLSearchParams(body).get('login') ?? '');
  if (!person) return html(401, form(uid, 'Nobody has this address.'));
  return provider.interactionFinished(
    request,
    response,
    { login: { accountId: person.sub, amr: ['pwd'] } },
    { mergeWithLastSubmission: false },
  );
}

const answer = provider.callback();
server.on('request', (request, response) => {
  if (request.url === '/favicon.ico') return response.writeHead(204).end();
  const [, uid] = /^\/interaction\/([\w-]+)$/.exec(request.url) ?? [];
  if (!uid) return answer(request, response);
  return interaction(request, response, uid).catch((error) => {
    if (!response.headersSent) response.writeHead(400, { 'content-type': 'text/plain' });
    response.end(`${error.name}: ${error.error_description ?? error.message}\n`);
  });
});
provider.on('server_error', (_, error) => console.error(error));

process.stdout.write(`${JSON.stringify({ ready: true, issuer, port })}\n`);

process.stdin.resume();
for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit(0));
