// The shared helper of the book's interactive figures: a classic script without dependencies.
//
// A figure calls `explorables.define(name, build)`. `build(kit)` makes its controls and canvases with the kit
// and hands over a simulation; the helper then does what all figures share: play, pause, step, speed, seed,
// keyboard, the read-out, the link in the address bar, dark mode, reduced motion, and rest when off-screen.

window.explorables = (function () {
  "use strict";

  const NARROW = 450; // pixels, the width below which a canvas is a phone's
  const kits = {};
  const explorables = { define, random, normal, show, NARROW };

  // A small fast generator with a long period (sfc32), so that a seed gives the same run everywhere.
  function random(seed) {
    let a = 0, b = seed | 0, c = 0x9e3779b9 | 0, d = 1;
    function next() {
      const t = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (c << 21) | (c >>> 11);
      c = (c + t) | 0;
      return (t >>> 0) / 4294967296;
    }
    for (let i = 0; i < 16; i++) next();
    return next;
  }

  // Standard normal numbers, two uniform ones each (Box and Muller 1958).
  function normal(random) {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  }

  function define(name, build) {
    const section = document.getElementById("explorable-" + name);
    if (section) build(kits[name] = new Kit(name, section));
  }

  // Sets a figure up as a link with this state would, and brings it into view: its pictures where not all of it fits.
  function show(name, state) {
    const { section, stage } = kits[name];
    kits[name].load(state);
    if (section.offsetHeight < window.innerHeight) section.scrollIntoView({ block: "nearest" });
    else stage.scrollIntoView();
    stage.focus({ preventScroll: true });
  }

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  class Kit {
    constructor(name, section) {
      this.name = name;
      this.section = section;
      this.linked = linkedState(name);
      this.keys = {};
      this.canvases = [];
      this.playing = false;
      this.visible = true;
      this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
      this.stage = element("div", {
        class: "explorable-stage", tabindex: "0", role: "group",
        "aria-label": section.querySelector(".explorable-title").textContent,
        "aria-describedby": section.id + "-help",
      });
      this.views = element("div", { class: "explorable-views" });
      this.buttons = element("div", { class: "explorable-buttons" });
      this.controls = element("div", { class: "explorable-controls" });
      this.panel = this.controls;
      this.readout = element("p", { class: "explorable-readout" });
      this.announcer = element("p", { class: "explorable-announcer", "aria-live": "polite" });
      const help = element("p", { class: "explorable-help", id: section.id + "-help" });
      help.textContent = "Keyboard, while the figure has the focus: space plays and pauses, “.” makes one step, “r” starts again.";
      this.stage.append(this.views, this.buttons, this.controls, this.readout, this.announcer, help);
    }

    // A labelled slider; `key` names it in the address bar. `mark` shows one special value below it.
    slider({ key, label, min, max, step, value, format, mark, onInput }) {
      const id = `${this.section.id}-${key}`;
      const input = element("input", { type: "range", id, min, max, step });
      const shown = element("output", { for: id });
      const row = element("div", { class: "explorable-control" },
        element("label", { for: id }, label + " "), shown, input);
      if (mark) row.append(markBelow(mark, min, max, () => { input.value = mark.at; changed(); }));
      const say = () => {
        shown.textContent = format(Number(input.value));
        input.setAttribute("aria-valuetext", shown.textContent);
      };
      const changed = () => {
        say();
        onInput(Number(input.value));
        this.remember();
        this.draw();
      };
      input.addEventListener("input", changed);
      this.panel.append(row);
      input.value = clamp(this.linked[key], min, max, value);
      say();
      this.state(key, () => input.value, (text) => { input.value = clamp(text, min, max, value); changed(); });
      return input;
    }

    choice({ key, label, options, preset, onInput }) {
      const id = `${this.section.id}-${key}`;
      const select = element("select", { id });
      for (const [value, text] of options) select.append(element("option", { value }, text));
      const known = (text) => options.some(([value]) => value === text);
      if (known(this.linked[key])) select.value = this.linked[key];
      else if (preset !== undefined) select.value = preset;
      const changed = () => { onInput(select.value); this.remember(); this.draw(); };
      select.addEventListener("change", changed);
      this.panel.append(element("div", { class: "explorable-control" }, element("label", { for: id }, label), select));
      this.state(key, () => select.value, (text) => { if (known(text)) { select.value = text; changed(); } });
      return select;
    }

    // Controls made from here on belong to a group with this name; without a name they stand by themselves again.
    group(label) {
      this.panel = this.controls;
      if (!label) return null;
      this.panel = element("fieldset", { class: "explorable-group" }, element("legend", {}, label));
      this.controls.append(this.panel);
      return this.panel;
    }

    // A part of the figure's state that a link holds: how it is read, and how a text from a link is taken.
    state(key, read, write) {
      this.keys[key] = { read, write };
    }

    // The state of a link: each control is set in turn, then the figure begins anew.
    load(query) {
      const wanted = new URLSearchParams(query);
      for (const [key, { write }] of Object.entries(this.keys)) if (wanted.has(key)) write(wanted.get(key));
      this.pause();
      this.restart();
      this.remember();
    }

    // A canvas that keeps its aspect ratio and the screen's resolution; draw(context, width, height, colours).
    // A wide one takes the whole row; on a phone any may have a height of its own, `narrow`, in pixels.
    canvas({ label, aspect, wide, narrow, draw }) {
      const canvas = element("canvas", { role: "img", "aria-label": label });
      if (wide) canvas.className = "explorable-wide";
      canvas.style.aspectRatio = String(aspect);
      this.views.append(canvas);
      this.canvases.push({ canvas, aspect, narrow, draw });
      return canvas;
    }

    // restart(seed) begins anew, step() advances by one unit, readout() says in words what is seen.
    start({ restart, step, readout, unit }) {
      this.simulation = { restart, step, readout };
      this.panel = this.controls;
      this.playButton = this.button("Play", () => this.toggle());
      this.stepButton = this.button("Step", () => this.single());
      this.button("Restart", () => this.restart());
      const speed = this.slider({
        key: "speed", label: "Speed", min: 0, max: 6, step: 1, value: 4,
        format: (v) => `${2 ** v} ${unit}s a second`, onInput: () => {},
      });
      this.rate = () => 2 ** Number(speed.value);
      const id = `${this.section.id}-seed`;
      const seed = element("input", { type: "number", id, min: 0, max: 4294967295, step: 1 });
      seed.value = clamp(this.linked.seed, 0, 4294967295, 1);
      seed.addEventListener("change", () => { this.remember(); this.restart(); });
      this.seed = () => Number(seed.value) >>> 0;
      this.state("seed", () => seed.value, (text) => { seed.value = clamp(text, 0, 4294967295, 1); });
      this.controls.append(element("div", { class: "explorable-control" }, element("label", { for: id }, "Seed"), seed));

      this.stage.addEventListener("keydown", (event) => this.key(event));
      const poster = this.section.querySelector(".explorable-poster");
      poster.classList.add("explorable-poster-replaced");
      this.section.insertBefore(this.stage, poster);
      new ResizeObserver(() => this.draw()).observe(this.views);
      new IntersectionObserver(([entry]) => this.seen(entry.isIntersecting)).observe(this.stage);
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
      this.restart();
      if (Object.keys(this.linked).length) this.section.scrollIntoView();
    }

    // The class lets the style sheet take away what would lie over the pictures.
    seen(visible) {
      this.visible = visible;
      this.section.classList.toggle("explorable-in-view", visible);
      this.loop();
    }

    // Where there is nothing to advance, because the answer is there at once, play and step rest.
    still(nothing) {
      if (nothing) this.pause();
      this.playButton.disabled = this.stepButton.disabled = nothing;
    }

    button(label, action) {
      const button = element("button", { type: "button" }, label);
      button.addEventListener("click", action);
      this.buttons.append(button);
      return button;
    }

    restart() {
      this.simulation.restart(this.seed());
      this.draw();
      this.announce();
    }

    single() {
      if (this.stepButton.disabled) return;
      this.pause();
      this.simulation.step();
      this.draw();
      this.announce();
    }

    toggle() {
      if (this.playButton.disabled) return;
      if (this.playing) this.pause();
      else this.play();
    }

    play() {
      this.playing = true;
      this.playButton.textContent = "Pause";
      this.owed = 0;
      this.announcedAt = this.drawnAt = this.then = performance.now();
      this.loop();
    }

    pause() {
      if (!this.playing) return;
      this.playing = false;
      this.playButton.textContent = "Play";
      this.announce();
    }

    // One animation frame; it stops asking for the next when paused or off-screen.
    loop() {
      if (this.waiting || !this.playing || !this.visible) return;
      this.waiting = true;
      requestAnimationFrame((now) => {
        this.waiting = false;
        if (!this.playing) return;
        this.owed += Math.min(now - this.then, 250) / 1000 * this.rate();
        this.then = now;
        const until = performance.now() + 30;
        for (; this.owed >= 1 && performance.now() < until; this.owed--) this.simulation.step();
        this.owed = Math.min(this.owed, 1);
        // With reduced motion the picture changes twice a second, however fast the chain runs.
        if (!this.calm.matches || now - this.drawnAt > 500) {
          this.drawnAt = now;
          this.draw();
        }
        if (now - this.announcedAt > 8000) this.announce();
        this.loop();
      });
    }

    draw() {
      if (!this.simulation) return;
      const style = getComputedStyle(this.section);
      const colour = (name) => style.getPropertyValue("--explorable-" + name).trim();
      for (const { canvas, aspect, narrow, draw } of this.canvases) {
        const width = canvas.clientWidth, own = narrow && this.views.clientWidth < NARROW, scale = window.devicePixelRatio || 1;
        if (!width) continue;
        const height = own ? narrow : width / aspect;
        canvas.style.height = own ? `${narrow}px` : "";
        const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
        if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
        const context = canvas.getContext("2d");
        context.setTransform(scale, 0, 0, scale, 0, 0);
        context.clearRect(0, 0, width, height);
        draw(context, width, height, colour);
      }
      this.readout.textContent = this.simulation.readout();
    }

    announce() {
      this.announcedAt = performance.now();
      this.announcer.textContent = this.simulation.readout();
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.matches("input[type=number], select");
      const pressing = event.target.matches("button");
      if (event.key === " " && !typing && !pressing) this.toggle();
      else if (event.key === "." && !typing) this.single();
      else if (event.key === "r" && !typing) this.restart();
      else return;
      event.preventDefault();
    }

    // The address bar holds the state, so that a link leads back to it.
    remember() {
      if (!this.simulation) return;
      const state = new URLSearchParams(Object.entries(this.keys).map(([key, { read }]) => [key, read()]));
      try {
        history.replaceState(null, "", `#explorable-${this.name}?${state}`);
      } catch (error) {
        if (error.name !== "SecurityError") throw error; // too many changes in a short time: the next one counts
      }
    }
  }

  function linkedState(name) {
    const prefix = `#explorable-${name}?`;
    if (!location.hash.startsWith(prefix)) return {};
    return Object.fromEntries(new URLSearchParams(location.hash.slice(prefix.length)));
  }

  function clamp(text, min, max, otherwise) {
    const value = Number(text);
    if (text === undefined || text === "" || !Number.isFinite(value)) return otherwise;
    return Math.min(max, Math.max(min, value));
  }

  function markBelow(mark, min, max, choose) {
    const button = element("button", { type: "button", class: "explorable-mark", "aria-label": mark.description });
    button.innerHTML = mark.html;
    button.style.setProperty("--at", (mark.at - min) / (max - min));
    button.addEventListener("click", choose);
    return element("div", { class: "explorable-marks" }, button);
  }

  return explorables;
})();
