"use strict";
// Films are dropped or pasted anywhere; keys move between cards. All of it works without scripts
// by the form and the links too.
(() => {
  const form = document.querySelector(".film");
  const field = form.querySelector("input[type=file]");
  const send = (files) => {
    if (!files || !files.length) return;
    const bag = new DataTransfer();
    bag.items.add(files[0]);
    field.files = bag.files;
    form.submit();
  };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    send(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => send(event.clipboardData.files));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("q").focus();
    }
    if (event.key === "j" || event.key === "k") {
      const links = [...document.querySelectorAll(".card h3 a")];
      const at = links.indexOf(document.activeElement);
      const next = event.key === "j" ? at + 1 : Math.max(at - 1, 0);
      if (links[next]) links[next].focus();
    }
  });
})();
