// Follows the request of this page: waits until it is another, and puts what the service shows then in the place of what
// is shown. Without it the page is the same, and stays as it was.
"use strict";

const LOOK_SECONDS = 20;
const AFTER_A_FAULT = 5000;
const AT_MOST_EVERY = 1000;

const pause = (time) => new Promise((done) => setTimeout(done, time));
const shown = () => document.getElementById("request");

// Nobody looks at a page that is hidden.
const visible = () =>
  document.hidden
    ? new Promise((done) => document.addEventListener("visibilitychange", done, { once: true })).then(visible)
    : Promise.resolve();

// What is the same stays, with what is selected in it, and with the place to which it was scrolled.
function put(next) {
  const old = [...shown().children];
  const fresh = [...next.children];
  const isAlike = old.length === fresh.length && old.every((element, at) => element.tagName === fresh[at].tagName);
  if (isAlike) {
    old.forEach((element, at) => element.isEqualNode(fresh[at]) || element.replaceWith(fresh[at]));
    for (const name of ["url", "version"]) {
      if (name in next.dataset) shown().dataset[name] = next.dataset[name];
      else delete shown().dataset[name];
    }
  } else {
    shown().replaceWith(next);
  }
}

async function replace() {
  const answer = await fetch(location.href);
  if (!answer.ok) throw new Error(answer.statusText);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  const log = document.querySelector(".log");
  const follows = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const at = log?.scrollTop ?? 0;
  const focused = document.activeElement?.closest("[aria-label], [aria-labelledby], [href]");
  put(document.adoptNode(next.getElementById("request")));
  document.title = next.title;
  const newLog = document.querySelector(".log");
  if (newLog) newLog.scrollTop = follows ? newLog.scrollHeight : at;
  if (focused && !focused.isConnected) {
    const same = ["aria-label", "aria-labelledby", "href"].find((name) => focused.hasAttribute(name));
    const again = [...shown().querySelectorAll(`[${same}]`)].find((each) => each.getAttribute(same) === focused.getAttribute(same));
    again?.focus({ preventScroll: true });
  }
  const news = document.getElementById("news");
  const told = document.getElementById("reason").textContent;
  if (news.textContent !== told) news.textContent = told;
}

async function follow() {
  while (shown().dataset.version) {
    await visible();
    const { url, version } = shown().dataset;
    const began = Date.now();
    let isAnother = false;
    // A browser has few connections to a service, and whoever looks at another page needs one.
    const look = new AbortController();
    const leave = () => document.hidden && look.abort();
    document.addEventListener("visibilitychange", leave);
    try {
      const answer = await fetch(`${url}?after=${version}&wait=${LOOK_SECONDS}`, { signal: look.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      isAnother = answer.headers.get("etag") !== `W/"${version}"`;
      if (isAnother) await replace();
    } catch {
      if (!look.signal.aborted) await pause(AFTER_A_FAULT);
    } finally {
      document.removeEventListener("visibilitychange", leave);
    }
    // Where too many wait already the answer comes at once.
    const least = isAnother ? AT_MOST_EVERY : AFTER_A_FAULT;
    await pause(Math.max(0, least - (Date.now() - began)));
  }
}

follow();
