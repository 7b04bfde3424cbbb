// A person with a browser: Chromium, headless, with a profile of its own that is gone afterwards.
//
//   node browser.mjs [--map NAME]… journey URL LOGIN
//   node browser.mjs [--map NAME]… screenshot URL FILE WIDTH dark|light [LOGIN]
//
// `journey` opens URL, signs in at the test provider, reads the application's JSON, opens /.pomerium/, signs out there and
// opens URL again; it prints one JSON object. `--map` resolves a name to 127.0.0.1; names below .localhost need none, and
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

async function journey(page, url, login) {
  const complaints = [];
  page.on('console', (message) => {
    if (!['error', 'warn'].includes(message.type())) return;
    complaints.push(`${message.text()} (${message.location().url ?? page.url()})`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const report = { complaints };
  report.opened = await open(page, url);
  if (await atProvider(page)) report.signed_in = await signIn(page, login);
  report.application = await applicationSays(page);
  report.user_page = await open(page, new URL('/.pomerium/', url).href);
  report.user_page.text = (await page.evaluate(() => document.body.innerText)).slice(0, 4000);
  report.cookies = (await page.cookies(url)).map(({ name, domain, path, secure, httpOnly, sameSite }) => (
    { name, domain, path, secure, http_only: httpOnly, same_site: sameSite }));
  if (report.user_page.status === 200) report.signed_out = await signOut(page);
  report.again = await open(page, url);
  report.again.at_provider = await atProvider(page);
  return report;
}

async function screenshot(page, url, file, width, scheme, login) {
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setViewport({ width: Number(width), height: 900 });
  let at = await open(page, url);
  if (login && await atProvider(page)) {
    await signIn(page, login);
    at = await open(page, url);
  }
  await page.screenshot({ path: file, fullPage: true });
  return at;
}

const commands = { journey, screenshot };
const [command, ...rest] = positionals;
if (!Object.hasOwn(commands, command ?? '')) {
  console.error('usage: browser.mjs journey URL LOGIN | screenshot URL FILE WIDTH dark|light [LOGIN]');
  process.exit(2);
}
try {
  const report = await withPage((page) => commands[command](page, ...rest));
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} catch (error) {
  console.error(error.stack ?? String(error));
  process.exitCode = 1;
}
