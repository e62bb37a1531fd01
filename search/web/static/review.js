"use strict";
// Keys for the buttons of a film, and its follower loaded before it is asked for. All of it works
// without scripts by the forms and links themselves.
(() => {
  const place = document.querySelector(".review");
  const later = () => {
    for (const address of [place.dataset.nextFilm, place.dataset.nextHeat]) {
      if (address) new Image().src = address;
    }
  };
  if (document.readyState === "complete") later();
  else addEventListener("load", later, { once: true });
  let sent = false;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === "h") document.getElementById("heat").click();
    const found = place.querySelector(`[data-judge="${CSS.escape(event.key)}"]`);
    if (!found || sent) return;
    event.preventDefault();
    if (event.key === "c") {
      const details = found.closest("details");
      details.open = !details.open;
      if (details.open) details.querySelector("#finding").select();
      return;
    }
    // A second key must not judge the film that is on its way out.
    sent = true;
    found.click();
  });
  // Of a page that the browser shows again from memory.
  addEventListener("pageshow", () => { sent = false; });
})();
