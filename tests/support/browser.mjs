// A person with a browser: Chromium, headless, with a profile of its own that is gone afterwards.
//
//   node browser.mjs [--map NAME]… journey URL LOGIN
//   node browser.mjs [--map NAME]… local-journey URL EMAIL PASSWORD DENIED_URL
//   node browser.mjs [--map NAME]… two-domains URL LOGIN OTHER_URL
//   node browser.mjs [--map NAME]… framed-logout URL PAGE
//   node browser.mjs [--map NAME]… screenshot URL FILE WIDTH dark|light [LOGIN [PASSWORD]]
//
// `framed-logout` opens URL at a provider that asks nothing, then the provider's PAGE, which shows ours in a
// frame. `two-domains` opens URL, signs in at the test provider, and opens OTHER_URL. `journey` opens URL, signs in at the test provider, reads the application's JSON, opens /.pomerium/, signs out there and
// opens URL again; it prints one JSON object. `local-journey` does so with the built-in provider: it signs in with the
// password, registers a passkey at the desk on an authenticator that Chromium plays, signs out, signs in with the passkey,
// opens DENIED_URL, and signs out. With a PASSWORD, `screenshot` signs in there too. `--map` resolves a name to 127.0.0.1; names below .localhost need none, and
// count as trustworthy without TLS. CHROMIUM names another browser than the `chromium` on PATH.

import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import puppeteer from 'puppeteer-core';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { map: { type: 'string', multiple: true, default: [] } },
});

function chromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const folder of process.env.PATH.split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // not here
      }
    }
  }
  throw new Error('no chromium on PATH');
}

async function withPage(use) {
  const profile = mkdtempSync(join(tmpdir(), 'vestibule-browser-'));
  const rules = flags.map.map((name) => `MAP ${name} 127.0.0.1`).join(',');
  const browser = await puppeteer.launch({
    executablePath: chromium(),
    headless: true,
    userDataDir: profile,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--no-proxy-server',
      ...(rules ? [`--host-resolver-rules=${rules}`] : []),
    ],
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(15_000);
    return await use(page);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Follows what `act` starts, through all redirects, and says where it ended. */
async function follow(page, act) {
  const [response] = await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), act()]);
  return landing(page, response);
}

async function landing(page, response) {
  return { url: page.url(), status: response?.status() ?? null, title: await page.title() };
}

async function open(page, url) {
  return landing(page, await page.goto(url, { waitUntil: 'load' }));
}

/** What the browser says about a page that it does not like. */
function complaintsOf(page) {
  const complaints = [];
  page.on('console', (message) => {
    if (!['error', 'warn'].includes(message.type())) return;
    complaints.push(`${message.text()} (${message.location().url ?? page.url()})`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}

const atProvider = (page) => page.$('form[action^="/interaction/"] input[name=login]').then(Boolean);

async function signIn(page, login) {
  await page.type('input[name=login]', login);
  return follow(page, () => page.click('form button'));
}

async function applicationSays(page) {
  const text = await page.evaluate(() => document.body.innerText);
  try {
    return JSON.parse(text);
  } catch {
    return { not_json: text.slice(0, 2000) };
  }
}

async function signOut(page) {
  const way = 'form[action*="sign_out"] button, form[action*="sign_out"] input[type=submit], a[href*="sign_out"]';
  const hops = [];
  // The second click is for a page that asks whether one is sure.
  for (let click = 0; click < 2 && await page.$(way); click += 1) {
    hops.push(await follow(page, () => page.click(way)));
  }
  if (hops.length === 0) throw new Error(`nothing to sign out with on ${page.url()}`);
  return hops;
}

/** Signs out where the page leads on by itself to the provider, which asks whether one is sure. */
async function signOutAtProviderToo(page) {
  await page.click('form[action*="sign_out"] button');
  const yes = await page.waitForSelector('button[name=logout]');
  const asked = await landing(page, null);
  return [asked, await follow(page, () => yes.click())];
}

async function journey(page, url, login) {
  const report = { complaints: complaintsOf(page) };
  report.opened = await open(page, url);
  if (await atProvider(page)) report.signed_in = await signIn(page, login);
  report.application = await applicationSays(page);
  report.user_page = await open(page, new URL('/.pomerium/', url).href);
  report.user_page.text = (await page.evaluate(() => document.body.innerText)).slice(0, 4000);
  report.cookies = (await page.cookies(url)).map(({ name, domain, path, secure, httpOnly, sameSite }) => (
    { name, domain, path, secure, http_only: httpOnly, same_site: sameSite }));
  if (report.user_page.status === 200) report.signed_out = await signOutAtProviderToo(page);
  report.again = await open(page, url);
  report.again.at_provider = await atProvider(page);
  return report;
}

/** Follows what `act` starts, through pages that lead on by themselves, until it is below `url` and shows `selector`. */
async function arrive(page, act, url, selector) {
  let last = null;
  const note = (response) => {
    if (response.request().isNavigationRequest() && response.frame() === page.mainFrame()) last = response;
  };
  page.on('response', note);
  try {
    await act();
    await page.waitForFunction(
      (start, wanted) => location.href.startsWith(start) && document.readyState === 'complete'
        && document.querySelector(wanted) !== null,
      { polling: 50 }, url, selector,
    );
    return await landing(page, last);
  } finally {
    page.off('response', note);
  }
}

const LOCAL_FORM = 'form[action="/idp/sign_in"]';
const atLocal = (page) => page.$(`${LOCAL_FORM} input[name=password]`).then(Boolean);

async function signInLocally(page, email, password, url, selector = 'body') {
  await page.$eval(`${LOCAL_FORM} input[name=email]`, (field) => { field.value = ''; });
  await page.type(`${LOCAL_FORM} input[name=email]`, email);
  await page.type(`${LOCAL_FORM} input[name=password]`, password);
  const button = `${LOCAL_FORM}:has(input[name=password]) button`;
  return arrive(page, () => page.click(button), url, selector);
}

const textOf = async (page) => (await page.evaluate(() => document.body.innerText)).slice(0, 4000);

/** An authenticator in the device, which knows its owner and agrees to everything while `enabled`. */
async function addAuthenticator(page) {
  const devtools = await page.createCDPSession();
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    agree: (enabled) => devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled }),
    credentials: async () => (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials.map(
      ({ rpId, isResidentCredential, signCount }) => ({ rp_id: rpId, resident: isResidentCredential, sign_count: signCount })),
  };
}

async function localJourney(page, url, email, password, deniedUrl) {
  const report = { complaints: complaintsOf(page) };
  const account = new URL('/.pomerium/', url).href;

  report.opened = { ...await open(page, url), at_form: await atLocal(page) };
  report.signed_in = await signInLocally(page, email, password, url);
  report.application = await applicationSays(page);

  await open(page, account);
  const desk = await page.$eval('a[href$="/idp/"]', (link) => link.href);
  report.desk_asked = { ...await follow(page, () => page.click('a[href$="/idp/"]')), at_form: await atLocal(page) };
  const deskForm = 'form[action="/idp/desk"]';
  report.desk = await signInLocally(page, email, password, desk, deskForm);
  report.desk.text = await textOf(page);
  report.desk.cookies = (await page.cookies(desk)).map(({ name, path, httpOnly, sameSite }) => (
    { name, path, http_only: httpOnly, same_site: sameSite }));

  const authenticator = await addAuthenticator(page);
  const create = 'form[data-passkey=create]';
  await page.waitForSelector(`${create} button`, { visible: true });
  await page.type(`${create} input[name=label]`, 'A test key');
  report.passkey = await arrive(page, () => page.click(`${create} button`), desk, '.passkeys li');
  report.passkey.text = await textOf(page);
  report.passkey.credentials = await authenticator.credentials();

  await open(page, account);
  report.signed_out = await signOut(page);

  // While it agrees to everything, the browser would use it as soon as the form is there, and before the click.
  await authenticator.agree(false);
  report.opened_again = { ...await open(page, url), at_form: await atLocal(page) };
  const get = 'form[data-passkey=get] button';
  await page.waitForSelector(get, { visible: true });
  await authenticator.agree(true);
  report.signed_in_with_passkey = await arrive(page, () => page.click(get), url, 'body');
  report.application_again = await applicationSays(page);
  report.credentials = await authenticator.credentials();

  report.denied = { ...await open(page, deniedUrl), text: await textOf(page) };

  await authenticator.agree(false);
  await open(page, account);
  report.signed_out_again = await signOut(page);
  report.again = { ...await open(page, url), at_form: await atLocal(page) };
  return report;
}

async function twoDomains(page, url, login, otherUrl) {
  const report = { complaints: complaintsOf(page) };
  const hops = [];
  page.on('request', (request) => {
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) hops.push(request.url());
  });
  report.opened = await open(page, url);
  report.first = { ...await signIn(page, login), application: await applicationSays(page) };
  hops.length = 0;
  report.second = { ...await open(page, otherUrl), application: await applicationSays(page), hops: [...hops] };
  report.cookies = (await page.cookies(url, otherUrl)).map(({ name, domain, httpOnly, sameSite }) => (
    { name, domain, http_only: httpOnly, same_site: sameSite }));
  return report;
}

async function framedLogout(page, url, framing) {
  const report = { complaints: complaintsOf(page), opened: await open(page, url) };
  report.cookies = (await page.cookies(url)).map(({ name, value, sameSite }) => ({ name, value, same_site: sameSite }));
  report.framing = await open(page, framing);
  report.frames = page.frames().slice(1).map((frame) => frame.url());
  return report;
}

async function screenshot(page, url, file, width, scheme, login, password) {
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setViewport({ width: Number(width), height: 900 });
  let at = await open(page, url);
  if (login && await atProvider(page)) {
    await signIn(page, login);
    at = await open(page, url);
  }
  if (password && await atLocal(page)) {
    const { origin } = new URL(url);
    await signInLocally(page, login, password, origin, `body:not(:has(${LOCAL_FORM}))`);
    at = await open(page, url);
  }
  await page.screenshot({ path: file, fullPage: true });
  return at;
}

const commands = {
  journey, 'local-journey': localJourney, 'two-domains': twoDomains, 'framed-logout': framedLogout, screenshot,
};
const [command, ...rest] = positionals;
if (!Object.hasOwn(commands, command ?? '')) {
  console.error('usage: browser.mjs journey URL LOGIN | local-journey URL EMAIL PASSWORD DENIED_URL | two-domains URL LOGIN OTHER_URL | '
    + 'framed-logout URL PAGE | '
    + 'screenshot URL FILE WIDTH dark|light [LOGIN [PASSWORD]]');
  process.exit(2);
}
try {
  const report = await withPage((page) => commands[command](page, ...rest));
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} catch (error) {
  console.error(error.stack ?? String(error));
  process.exitCode = 1;
}
