"use strict";
// Films on canvases: window and level by a lookup table, of 256 values until a film is windowed and
// then of all its depth, zoom, move, invert, rotate, and a heat map over each. Several films of a page share one view while they are linked.
(() => {
  const START = { width: 256, level: 128, zoom: 1, x: 0, y: 0, turns: 0, inverted: false };
  const tools = document.querySelector(".tools[data-viewer]");
  const films = [];
  if (!tools) return;
  // What a reload, or a way back to this page, shows again.
  const before = (history.state && history.state.film) || {};
  let keeping;
  const keep = () => {
    clearTimeout(keeping);
    // Browsers refuse pages that write this too often.
    keeping = setTimeout(() => {
      const film = { view: chosen().view, label: control("label") ? control("label").value : "",
        opacity: control("opacity").value };
      history.replaceState({ ...history.state, film }, "");
    }, 300);
  };
  const control = (name) => tools.querySelector(`[data-set=${name}]`);
  const isLinked = () => !control("linked") || control("linked").checked;

  class Film {
    constructor(place, picture) {
      this.place = place;
      this.view = { ...START, ...before.view };
      this.take(picture);
      this.canvas = document.createElement("canvas");
      this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", picture.alt);
      picture.replaceWith(this.canvas);
      const side = Math.max(this.source.width, this.source.height);
      if (Number(place.dataset.side) > 512 && side < 512) this.say("No file of this film can be read now: this is its thumbnail.");
      this.listen();
      this.window();
      this.draw();
      this.sharpen();
    }

    take(picture) {
      this.source = document.createElement("canvas");
      this.source.width = picture.naturalWidth;
      this.source.height = picture.naturalHeight;
      const raw = this.source.getContext("2d", { willReadFrequently: true });
      raw.drawImage(picture, 0, 0);
      this.pixels = raw.getImageData(0, 0, this.source.width, this.source.height);
      this.deep = undefined;
      this.deepening = false;
    }

    // A film that is windowed is asked for with its depth, of which 256 greys are a small part: its
    // values are differences from one pixel to the next, in 16 bits.
    async deepen() {
      const { width, level } = this.view;
      const { pixels, place } = this;
      if (this.deepening || !place.dataset.values || (width === START.width && level === START.level)) return;
      this.deepening = true;
      const size = Math.max(pixels.width, pixels.height) > 1024 ? 2048 : 1024;
      const answer = await fetch(place.dataset.values + size).catch(() => null);
      if (!answer || !answer.ok) return;
      const unpacked = answer.body.pipeThrough(new DecompressionStream("deflate"));
      const bytes = await new Response(unpacked).arrayBuffer().catch(() => null);
      const rows = Number(answer.headers.get("cxrdex-rows"));
      const columns = Number(answer.headers.get("cxrdex-columns"));
      // A larger picture may have taken its place meanwhile.
      if (!bytes || this.pixels !== pixels || rows !== pixels.height || columns !== pixels.width) return;
      const steps = new DataView(bytes);
      const deep = new Uint16Array(rows * columns);
      for (let at = 0, value = 0; at < deep.length; at += 1) {
        value = (value + steps.getUint16(2 * at, true)) & 0xffff;
        deep[at] = value;
      }
      this.deep = deep;
      this.window();
      this.draw();
      place.dataset.deep = size;
    }

    // Zoomed in, a film that has more pixels than are shown at first is asked for with them.
    async sharpen() {
      const { larger } = this.place.dataset;
      if (!larger || this.view.zoom < 1.3) return;
      delete this.place.dataset.larger;
      const picture = new Image();
      picture.src = larger;
      if (!await picture.decode().then(() => true, () => false)) return;
      this.take(picture);
      this.window();
      this.draw();
    }

    // Applies window and level to the film itself; moving and zooming need not do so again.
    window() {
      const { width, level, inverted } = this.view;
      // A film looks the same before it is windowed, whether its depth is here or not.
      const { deep } = width === START.width && level === START.level ? {} : this;
      const table = new Uint8ClampedArray(deep ? 65536 : 256);
      for (let value = 0; value < table.length; value += 1) {
        const seen = deep ? value / 64 - 255 : value;
        const grey = ((seen - level + width / 2) / width) * 255;
        table[value] = inverted ? 255 - grey : grey;
      }
      const shown = new ImageData(this.pixels.width, this.pixels.height);
      const from = this.pixels.data;
      const to = shown.data;
      for (let at = 0; at < from.length; at += 4) {
        to[at] = to[at + 1] = to[at + 2] = table[deep ? deep[at / 4] : from[at]];
        to[at + 3] = 255;
      }
      this.deepen();
      this.source.getContext("2d").putImageData(shown, 0, 0);
    }

    draw() {
      const { source, canvas, view } = this;
      const odd = view.turns % 2;
      canvas.width = odd ? source.height : source.width;
      canvas.height = odd ? source.width : source.height;
      const context = canvas.getContext("2d");
      // Moves are shares of the width, so that films of any size move together.
      context.translate(canvas.width * (0.5 + view.x), canvas.height / 2 + canvas.width * view.y);
      context.scale(view.zoom, view.zoom);
      context.rotate((view.turns * Math.PI) / 2);
      const box = [-source.width / 2, -source.height / 2, source.width, source.height];
      context.drawImage(source, ...box);
      if (this.heat) {
        context.globalAlpha = control("opacity").value / 100;
        context.drawImage(this.heat, ...box);
      }
    }

    // Lays the map of a finding over the film, and says how probable it is in this film alone.
    async locate(name) {
      this.sought = name;
      this.lay(undefined, "");
      if (!name) return;
      this.say(`${name}: looking …`);
      const answer = await fetch(this.place.dataset.heat + encodeURIComponent(name)).catch(() => null);
      const file = answer && answer.ok ? await answer.blob().catch(() => null) : null;
      if (this.sought !== name) return;
      if (!file) return this.say(`${name}: there is no heat map of this film`);
      const layer = new Image();
      layer.src = URL.createObjectURL(file);
      await layer.decode();
      URL.revokeObjectURL(layer.src);
      const own = Number(answer.headers.get("cxrdex-probability")).toFixed(2);
      if (this.sought === name) this.lay(layer, `${name}: ${own} in this film alone`);
    }

    lay(layer, text) {
      this.heat = layer;
      this.say(text);
      this.draw();
    }

    say(text) {
      const own = this.place.parentElement.querySelector("[data-own]");
      if (own) own.textContent = text;
    }

    listen() {
      // Fingers on the film: one is window and level, two move and zoom it.
      const fingers = new Map();
      this.canvas.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch") fingers.set(event.pointerId, event);
      });
      this.canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        zoom(this, event.deltaY < 0 ? 1.15 : 1 / 1.15);
      }, { passive: false });
      for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
        this.canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
      }
      this.canvas.addEventListener("pointermove", (event) => {
        if (!event.buttons) return;
        if (event.pointerType === "touch") {
          const before = [...fingers.values()];
          fingers.set(event.pointerId, event);
          if (fingers.size > 1) {
            if (before.length > 1) pinch(this, before, [...fingers.values()]);
            return;
          }
        }
        if (event.shiftKey || event.buttons & 4) {
          const width = this.canvas.getBoundingClientRect().width || 1;
          change(this, { x: this.view.x + event.movementX / width, y: this.view.y + event.movementY / width });
        } else {
          change(this, { width: this.view.width + event.movementX, level: this.view.level + event.movementY / 2 });
        }
      });
    }
  }

  // Changes the view of a film, and of those that are linked with it.
  const change = (film, values) => {
    const view = { ...film.view, ...values };
    view.width = Math.min(512, Math.max(8, view.width));
    view.level = Math.min(255, Math.max(0, view.level));
    view.zoom = Math.min(8, Math.max(0.5, view.zoom));
    for (const one of isLinked() ? films : [film]) {
      const old = one.view;
      one.view = { ...view };
      if (["width", "level", "inverted"].some((name) => old[name] !== view[name])) one.window();
      one.draw();
      one.sharpen();
    }
    show(view);
    keep();
  };
  const show = (view) => {
    control("width").value = view.width;
    control("level").value = view.level;
  };
  const zoom = (film, by) => change(film, { zoom: film.view.zoom * by });
  const pinch = (film, before, after) => {
    const width = film.canvas.getBoundingClientRect().width || 1;
    const middle = ([one, two], axis) => (one[axis] + two[axis]) / 2;
    const apart = ([one, two]) => Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) || 1;
    change(film, {
      x: film.view.x + (middle(after, "clientX") - middle(before, "clientX")) / width,
      y: film.view.y + (middle(after, "clientY") - middle(before, "clientY")) / width,
      zoom: film.view.zoom * (apart(after) / apart(before)),
    });
  };
  const chosen = () => films.find((film) => film.canvas === document.activeElement) || films[0];

  const act = {
    invert: (film) => change(film, { inverted: !film.view.inverted }),
    rotate: (film) => change(film, { turns: (film.view.turns + 1) % 4 }),
    reset: (film) => change(film, START),
    nearer: (film) => zoom(film, 1.15),
    farther: (film) => zoom(film, 1 / 1.15),
    heat: () => {
      const slider = control("opacity");
      slider.value = Number(slider.value) ? 0 : 50;
      for (const film of films) film.draw();
      keep();
    },
  };
  const keys = { i: "invert", r: "rotate", 0: "reset", "+": "nearer", "=": "nearer", "-": "farther", h: "heat" };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  tools.addEventListener("click", (event) => {
    const { do: name, preset } = event.target.dataset;
    const film = chosen();
    if (!film) return;
    if (name) act[name](film);
    if (preset) {
      const [width, level] = preset.split(" ").map(Number);
      change(film, { width, level });
    }
  });
  tools.addEventListener("input", (event) => {
    const name = event.target.dataset.set;
    const film = chosen();
    if (name === "label") for (const one of films) one.locate(event.target.value);
    else if (name === "opacity") for (const one of films) one.draw();
    else if (name !== "linked" && film) change(film, { [name]: Number(event.target.value) });
    if (film) keep();
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const film = chosen();
    if (!film) return;
    const way = arrows[event.key];
    if (way && films.some((one) => one.canvas === event.target)) {
      event.preventDefault();
      if (event.shiftKey) change(film, { width: film.view.width + 8 * way[0], level: film.view.level + 4 * way[1] });
      else change(film, { x: film.view.x + way[0] / 40, y: film.view.y + way[1] / 40 });
    } else if (keys[event.key]) act[keys[event.key]](film);
    else if (event.key === "l" && control("linked")) control("linked").click();
    else {
      const preset = tools.querySelector(`[data-preset][data-digit="${CSS.escape(event.key)}"]`);
      if (preset) preset.click();
    }
  });

  // A browser fills controls as they were, which may be of no film that is here.
  const label = before.label ?? tools.dataset.label;
  if (control("label")) control("label").value = label;
  control("opacity").value = before.opacity || 50;
  for (const place of document.querySelectorAll(".viewer")) {
    const picture = place.querySelector("img");
    if (!picture) continue;
    const begin = () => {
      const film = new Film(place, picture);
      films.push(film);
      tools.hidden = false;
      show(film.view);
      if (label) film.locate(label);
    };
    if (picture.complete && picture.naturalWidth) begin();
    else picture.addEventListener("load", begin, { once: true });
  }
})();
