"use strict";
// The film on a canvas: window and level by a lookup table of 256 values, zoom, move, invert,
// rotate, and a heat map over it.
(() => {
  const place = document.querySelector(".viewer");
  const picture = place.querySelector("img");
  if (!picture) return;
  const tools = place.querySelector(".tools");
  const control = (name) => tools.querySelector(`[data-set=${name}]`);
  const start = { width: 256, level: 128, zoom: 1, x: 0, y: 0, turns: 0, inverted: false };
  let view = { ...start };
  let pixels, source, heat, canvas, context;

  const begin = () => {
    source = document.createElement("canvas");
    source.width = picture.naturalWidth;
    source.height = picture.naturalHeight;
    const raw = source.getContext("2d", { willReadFrequently: true });
    raw.drawImage(picture, 0, 0);
    pixels = raw.getImageData(0, 0, source.width, source.height);
    canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", picture.alt);
    context = canvas.getContext("2d");
    picture.replaceWith(canvas);
    tools.hidden = false;
    listen();
    window_();
    draw();
  };

  // Applies window and level to the film itself; moving and zooming need not do so again.
  const window_ = () => {
    const low = view.level - view.width / 2;
    const table = new Uint8ClampedArray(256);
    for (let value = 0; value < 256; value += 1) {
      const grey = ((value - low) / view.width) * 255;
      table[value] = view.inverted ? 255 - grey : grey;
    }
    const shown = new ImageData(pixels.width, pixels.height);
    const from = pixels.data;
    const to = shown.data;
    for (let at = 0; at < from.length; at += 4) {
      const grey = table[from[at]];
      to[at] = to[at + 1] = to[at + 2] = grey;
      to[at + 3] = 255;
    }
    source.getContext("2d").putImageData(shown, 0, 0);
  };

  const draw = () => {
    const odd = view.turns % 2;
    canvas.width = odd ? source.height : source.width;
    canvas.height = odd ? source.width : source.height;
    context.translate(canvas.width / 2 + view.x, canvas.height / 2 + view.y);
    context.scale(view.zoom, view.zoom);
    context.rotate((view.turns * Math.PI) / 2);
    context.drawImage(source, -source.width / 2, -source.height / 2);
    if (heat) {
      context.globalAlpha = control("opacity").value / 100;
      context.drawImage(heat, -source.width / 2, -source.height / 2, source.width, source.height);
      context.globalAlpha = 1;
    }
  };

  const act = {
    invert: () => { view.inverted = !view.inverted; window_(); },
    rotate: () => { view.turns = (view.turns + 1) % 4; },
    reset: () => {
      view = { ...start };
      control("width").value = view.width;
      control("level").value = view.level;
      window_();
    },
  };

  const locate = () => {
    heat = undefined;
    const name = control("label").value;
    if (!name) return draw();
    const layer = new Image();
    layer.onload = () => { heat = layer; draw(); };
    layer.src = place.dataset.heat + encodeURIComponent(name);
  };

  const listen = () => {
    tools.addEventListener("click", (event) => {
      const name = event.target.dataset.do;
      if (name) { act[name](); draw(); }
    });
    tools.addEventListener("input", (event) => {
      const name = event.target.dataset.set;
      if (name === "label") return locate();
      if (name !== "opacity") { view[name] = Number(event.target.value); window_(); }
      draw();
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      view.zoom = Math.min(8, Math.max(0.5, view.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15)));
      draw();
    }, { passive: false });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      if (event.shiftKey || event.buttons & 4) {
        view.x += event.movementX;
        view.y += event.movementY;
      } else {
        view.width = Math.max(8, view.width + event.movementX);
        view.level += event.movementY / 2;
        control("width").value = view.width;
        control("level").value = view.level;
        window_();
      }
      draw();
    });
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
      const name = { i: "invert", r: "rotate", 0: "reset" }[event.key];
      if (name) { act[name](); draw(); }
    });
  };

  if (picture.complete && picture.naturalWidth) begin();
  else picture.addEventListener("load", begin, { once: true });
})();
