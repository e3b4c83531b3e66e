// A browser as a phone: headless Chromium with JsSIP or SIP.js, driven by lines of JSON.
//
//   node phone.mjs LIBRARY PAGE SETTINGS
//
//   LIBRARY   jssip or sipjs
//   PAGE      where the page is of: its origin is what the switch sees
//   SETTINGS  {"url": "ws://…/sip", "user": "201", "domain": "…", "secret": "…", "says": "….wav"}
//
// Reads {"do": "call", "with": ["202"]}: a method of the library's `Phone`. Writes {"event": "registered", "data": null}.
import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [library, page_url, settings] = process.argv.slice(2);
const say = (event, data) => process.stdout.write(`${JSON.stringify({ event, data })}\n`);

const entry = fileURLToPath(new URL(`${library}.js`, import.meta.url));
const bundle = await build({ entryPoints: [entry], bundle: true, format: 'iife', write: false, logLevel: 'error' });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
    '--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns',
    '--autoplay-policy=no-user-gesture-required', '--ignore-certificate-errors',
    `--use-file-for-fake-audio-capture=${JSON.parse(settings).says}`,
  ],
});
const end = async () => { await browser.close(); process.exit(0); };
process.on('SIGTERM', end);
const context = await browser.newContext({ bypassCSP: true, ignoreHTTPSErrors: true });
const page = await context.newPage();
page.on('pageerror', (error) => say('pageerror', error.message));
page.on('console', (message) => say('console', message.text()));
await page.exposeFunction('tell', (event, data) => say(event, data));
await page.goto(page_url);
await page.addScriptTag({ content: bundle.outputFiles[0].text });
await page.evaluate((given) => window.begin(given), JSON.parse(settings));
say('started', null);
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    await page.evaluate(([name, given]) => window.phone[name](...given), [command.do, command.with ?? []]);
  } catch (error) {
    say('refused', error.message);
  }
}
await end();
