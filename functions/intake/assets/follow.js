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

async function replace() {
  const answer = await fetch(location.href);
  if (!answer.ok) throw new Error(answer.statusText);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  const log = document.querySelector(".log");
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const at = log.scrollTop;
  shown().replaceWith(document.adoptNode(next.getElementById("request")));
  document.title = next.title;
  document.getElementById("news").textContent = document.getElementById("reason").textContent;
  const newLog = document.querySelector(".log");
  newLog.scrollTop = follows ? newLog.scrollHeight : at;
}

async function follow() {
  while (shown().dataset.version) {
    await visible();
    const { url, version } = shown().dataset;
    const began = Date.now();
    try {
      const answer = await fetch(`${url}?after=${version}&wait=${LOOK_SECONDS}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const tag = answer.headers.get("etag") ?? "";
      if (!tag.startsWith(`W/"${version}"`)) await replace();
    } catch {
      await pause(AFTER_A_FAULT);
    }
    await pause(Math.max(0, AT_MOST_EVERY - (Date.now() - began)));
  }
}

follow();
