"use strict";
// Keeps the page at what is true now: asks for it again and swaps its content. Without scripts, reload by hand.
const PERIOD = 2000;
const PATIENCE = 5000;
let heard = new Date();

function away(gone) {
  const says = document.getElementById("away");
  says.querySelector("time").textContent = heard.toLocaleTimeString();
  says.hidden = !gone;
}

function busy(shown) {
  const at = document.activeElement;
  return shown.contains(at) && at !== shown && /^(INPUT|SELECT|TEXTAREA|SUMMARY)$/.test(at.tagName);
}

function place(fresh, shown) {
  // What was opened stays open, and whoever goes by keyboard stays where they are.
  const open = [...shown.querySelectorAll("details")].map((one) => one.open);
  const at = shown.contains(document.activeElement) ? document.activeElement : null;
  const order = at && [...shown.querySelectorAll("a, button, [tabindex]")].indexOf(at);
  fresh.querySelectorAll("details").forEach((one, n) => { one.open = open[n] ?? one.open; });
  shown.replaceWith(fresh);
  if (at) { (fresh.querySelectorAll("a, button, [tabindex]")[order] ?? fresh).focus({ preventScroll: true }); }
}

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
      if (answer.type === "opaqueredirect") { location.reload(); return; }
      if (answer.ok) {
        heard = new Date();
        away(false);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("main");
        const shown = document.getElementById("main");
        if (fresh && shown && fresh.innerHTML !== shown.innerHTML && !busy(shown)) { place(fresh, shown); }
      } else { away(answer.status >= 500); }
    } catch {
      // The server is away; the page stays as it was, says so, and the next round asks again.
      away(true);
    }
  }
  setTimeout(refresh, PERIOD);
}

// A part that the server sends by itself is put in its place as it comes; where none comes, the page is asked for as others are.
const stream = document.getElementById("stream");
if (stream && window.EventSource) {
  const source = new EventSource(stream.dataset.stream);
  source.onmessage = (event) => {
    heard = new Date();
    away(false);
    if (!stream.contains(document.activeElement)) { stream.innerHTML = event.data; }
  };
  source.onerror = () => {
    away(true);
    if (source.readyState === EventSource.CLOSED) { setTimeout(refresh, PERIOD); }
  };
} else {
  setTimeout(refresh, PERIOD);
}
