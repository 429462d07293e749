"use strict";
// Keeps the page at what is true now: asks for it again and swaps its content. Without scripts, reload by hand.
const PERIOD = 2000;

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { redirect: "error" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("main");
        const shown = document.getElementById("main");
        if (fresh && shown && fresh.innerHTML !== shown.innerHTML && !shown.contains(document.activeElement)) {
          shown.replaceWith(fresh);
        }
      }
    } catch {
      // The server is away; the page stays as it was and the next round asks again.
    }
  }
  setTimeout(refresh, PERIOD);
}

setTimeout(refresh, PERIOD);
