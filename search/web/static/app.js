"use strict";
// Films are dropped or pasted anywhere, keys move between cards and pages, findings are suggested
// while words are typed. All of it works without scripts by forms and links too.
(() => {
  const form = document.querySelector("form.ask");
  const words = document.getElementById("q");
  const send = (files) => {
    if (!files || !files.length || !form) return;
    const bag = new DataTransfer();
    bag.items.add(files[0]);
    form.querySelector("input[type=file]").files = bag.files;
    form.submit();
  };
  // Words that are dragged are for the field they fall into.
  const holds = (event) => event.dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    send(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => send(event.clipboardData.files));

  // What the words may be about to become.
  let waiting, asked;
  const suggest = async () => {
    const text = words.value.trim();
    if (text.length < 2 || text === asked) return;
    asked = text;
    const answer = await fetch(`/v1/suggest?q=${encodeURIComponent(text)}`).catch(() => null);
    if (!answer || !answer.ok || words.value.trim() !== text) return;
    const found = await answer.json();
    const near = Object.entries(found.suggestions).flatMap(([word, others]) =>
      others.map((other) => [text.replace(word, other), "did you mean?"]));
    const begun = found.completions.map((one) => [one.query, `${one.count} images`]);
    document.getElementById("titles").replaceChildren(...[...begun, ...near].map(([value, label]) => {
      const option = document.createElement("option");
      option.value = value;
      option.label = label;
      return option;
    }));
  };
  if (words) words.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(suggest, 150);
  });

  // Marks: a click with Shift marks all from the last one on.
  const marks = [...document.querySelectorAll("input[name=ids][type=checkbox]")];
  const told = document.querySelector("[data-marked]");
  let last;
  const count = () => {
    const marked = marks.filter((mark) => mark.checked).length;
    if (told) told.textContent = `${marked} marked`;
    for (const mark of marks) mark.closest(".card").classList.toggle("chosen", mark.checked);
  };
  for (const mark of marks) mark.addEventListener("click", (event) => {
    if (event.shiftKey && last) {
      const ends = [marks.indexOf(last), marks.indexOf(mark)].sort((a, b) => a - b);
      for (const one of marks.slice(ends[0], ends[1] + 1)) one.checked = mark.checked;
    }
    last = mark;
    count();
  });
  if (told && marks.length) {
    const all = document.createElement("button");
    all.type = "button";
    all.textContent = "Mark the page";
    all.addEventListener("click", () => {
      const every = marks.every((mark) => mark.checked);
      for (const mark of marks) mark.checked = !every;
      count();
    });
    told.after(all);
    count();
  }
  addEventListener("pageshow", count);

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const links = [...document.querySelectorAll(".card h3 a")];
    const at = links.findIndex((link) => link.closest(".card").contains(document.activeElement));
    const next = { j: at + 1, k: Math.max(at - 1, 0) }[event.key];
    if (event.key === "/" && words) {
      event.preventDefault();
      words.focus();
    } else if (next !== undefined && links[next]) {
      links[next].focus();
    } else if (event.key === "x" && links[at]) {
      const mark = links[at].closest(".card").querySelector("input[name=ids]");
      if (mark) mark.click();
    } else {
      const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
      if (link) link.click();
    }
  });
})();
