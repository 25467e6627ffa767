// Looks at the pages of a service in headless Chromium: nothing is refused by their policy, nothing runs that a stranger
// wrote, axe-core finds nothing of weight, a phone has no need to scroll sideways, and a request that goes on is followed.
//   node look.mjs pages URL ID FOLDER [INDEX]   looks at the pages of the request ID, and makes pictures of them
//   node look.mjs request URL ID                looks at that request only
//   node look.mjs follow URL ID                 opens the page of ID, says so, and waits until it is shown as cancelled
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_MODULES, "none.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 390, height: 844 };
// Findings below these are matters of taste.
const OF_WEIGHT = ["serious", "critical", "moderate"];

const faults = [];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A page that notes what goes wrong in it. */
async function open(context, url, expected = 200) {
  const page = await context.newPage();
  const told = (what) => faults.push(`${url}: ${what}`);
  page.on("dialog", (dialog) => (told(`a stranger's text runs: ${dialog.message()}`), dialog.dismiss()));
  page.on("pageerror", (error) => told(`script: ${error.message}`));
  // What the browser breaks off itself is no failure: the icon of a page that is left before it is there.
  const ownDoing = (request) => request.failure().errorText === "net::ERR_ABORTED" && request.url().endsWith("/icon.svg");
  page.on("requestfailed", (request) => ownDoing(request) || told(`${request.url()} ${request.failure().errorText}`));
  page.on("console", (line) => line.type() === "error" && expected < 400 && told(`console: ${line.text()}`));
  const answer = await page.goto(url, { waitUntil: "load" });
  if (answer.status() !== expected) told(`status ${answer.status()}`);
  return page;
}

async function checked(page, name) {
  const told = (what) => faults.push(`${name}: ${what}`);
  // In a world of its own, where the policy of the page does not hold.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const world = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const run = async (expression) => {
    const found = await session.send("Runtime.evaluate", { expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true });
    if (found.exceptionDetails) throw new Error(`${name}: ${found.exceptionDetails.exception?.description}`);
    return found.result.value;
  };
  await run(`${axe}; 0`);
  const found = await run("axe.run().then((found) => found.violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.html.slice(0, 120)) })))");
  for (const { id, impact, where } of found) {
    if (OF_WEIGHT.includes(impact)) told(`axe: ${id} (${impact}): ${where.slice(0, 3).join(" | ")}`);
  }
  const [whole, seen] = await run("[document.documentElement.scrollWidth, innerWidth]");
  if (whole > seen) told(`wider than the window: ${whole} of ${seen}`);
  const broken = await run("[...document.images].filter((image) => image.complete && !image.naturalWidth).map((image) => image.src)");
  if (broken.length > 0) told(`pictures that are not there: ${broken}`);
}

const FORMS = [
  ["wide", { viewport: WIDE, colorScheme: "light" }],
  ["narrow", { viewport: NARROW, colorScheme: "light", isMobile: true, hasTouch: true }],
  ["dark", { viewport: WIDE, colorScheme: "dark" }],
  ["no-script", { viewport: WIDE, javaScriptEnabled: false }],
];

async function look(url, looks, folder) {
  for (const [form, options] of FORMS) {
    const context = await browser.newContext(options);
    for (const [name, path, status] of looks) {
      const page = await open(context, url + path, status);
      if (form === "no-script") {
        if ((await page.locator("h1").count()) !== 1) faults.push(`${name}: no heading without script`);
      } else {
        // Pictures that come when they are scrolled to.
        for (const image of await page.locator("img").all()) await image.scrollIntoViewIfNeeded();
        await page.waitForLoadState("networkidle");
        await checked(page, `${name} (${form})`);
        await page.evaluate("scrollTo(0, 0)").catch(() => {});
        const isShown = ["requests", "request", "indexes"].includes(name);
        if (isShown && folder) await page.screenshot({ path: join(folder, `${name}-${form}.png`), fullPage: false });
      }
      await page.close();
    }
    await context.close();
  }
}

async function request(url, id) {
  await look(url, [["request", `/requests/${id}`, 200]]);
}

async function pages(url, id, folder, index) {
  await look(url, [
    ["requests", "/", 200],
    ["request", `/requests/${id}`, 200],
    ["indexes", `/indexes${index ? `?index=${encodeURIComponent(index)}` : ""}`, 200],
    ["docs", "/docs", 200],
    ["problems", "/problems", 200],
    ["problem", "/problems/not-finished", 200],
    ["fault", "/?state=odd", 400],
    ["none", "/requests/999999999", 404],
  ], folder);
  // By keyboard: the first stop leads past the links, and the list leads to a request.
  const context = await browser.newContext({ viewport: WIDE });
  const page = await open(context, `${url}/`);
  await page.keyboard.press("Tab");
  if ((await page.locator(":focus").innerText()) !== "Skip to the content") faults.push("the first stop of the keyboard is another");
  const first = page.locator("tbody a").first();
  const number = await first.innerText();
  await first.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: new RegExp(`^Request ${number}:`) }).waitFor();
  await context.close();
}

async function follow(url, id) {
  const context = await browser.newContext({ viewport: WIDE });
  const page = await open(context, `${url}/requests/${id}`);
  await page.getByText("in progress").first().waitFor();
  await page.waitForLoadState("load");
  console.log("open");
  await page.locator(".state.failed", { hasText: "cancelled" }).waitFor({ timeout: 30_000 });
  // Whoever hears the page is told, too, and nothing goes on asking.
  const news = page.locator("#news");
  if (!/cancelled/.test(await news.textContent())) faults.push("the news are not told");
  if ((await page.locator("#request").getAttribute("data-version")) !== null) faults.push("it is followed still");
  await context.close();
}

try {
  const [task, url, ...rest] = process.argv.slice(2);
  await { pages, request, follow }[task](url, ...rest);
} finally {
  await browser.close();
}
for (const fault of new Set(faults)) console.error(`pages: ${fault}`);
process.exit(faults.length > 0 ? 1 : 0);
