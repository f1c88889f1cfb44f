// Exercises that run in the page. Nothing is loaded before somebody asks: then the editor, and Python in a worker.
// Work is kept in this browser alone, one entry of localStorage for each assignment.
(() => {
  "use strict";

  const limits = window.liveLimits = {run: 60};  // seconds after which a run is ended; a test shortens them
  const SECTIONS = [...document.querySelectorAll(".live")];
  const SITE = new URL(SECTIONS[0].dataset.site, location.href).href;
  const HINT = "live-keys";
  const KEYS = "In an editor Shift+Enter runs and Ctrl+Enter checks. Tab indents; Escape, then Tab, leaves the editor.";
  const here = SECTIONS[0].dataset.python === "here";

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "role" || name.startsWith("aria-")) element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children);
    return element;
  }

  function button(label, action, properties = {}) {
    const made = make("button", {type: "button", className: "live-button", textContent: label, ...properties});
    made.addEventListener("click", action);
    return made;
  }

  const several = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

  // ------------------------------------------------------------------ Python

  const python = {
    worker: null, ready: false, current: null, listeners: new Set(), state: "", number: 0,

    say(state) {
      this.state = state;
      for (const listener of this.listeners) listener(state);
    },

    start() {
      if (this.worker) return;
      this.ready = false;
      this.say("Loading Python: 17 MB, the first time only …");
      this.worker = new Worker(`${SITE}_static/live/worker.js`);
      this.worker.onmessage = ({data}) => this.hear(data);
      this.worker.onerror = (event) => this.hear({state: "failed", message: event.message || "the worker broke"});
    },

    hear(data) {
      if (data.state === "ready") {
        this.ready = true;
        this.say("");
        if (this.current) this.watch();
      } else if (data.state === "failed") {
        this.end({broken: `Python could not be loaded: ${data.message}`});
        this.say(`Python could not be loaded: ${data.message}`);
      } else if (data.state) {
        this.say(`Python is here, ${data.state} …`);
      } else if (this.current && data.run === this.current.number) {
        if (data.item) this.current.show(data.item);
        else if (data.broken) this.end({broken: data.broken});
        else this.finish({passed: data.passed});
      }
    },

    // Runs the target cells; `show` gets what they show, and the promise how it ended.
    run(cells, targets, show) {
      this.start();
      return new Promise((resolve) => {
        this.current = {number: ++this.number, show, resolve, begun: performance.now()};
        this.worker.postMessage({run: this.number, cells, targets});
        if (this.ready) this.watch();
      });
    },

    watch() {
      this.current.begun = performance.now();
      this.current.timer = setTimeout(() => this.end({late: true}), limits.run * 1000);
    },

    finish(outcome) {
      const {timer, resolve, begun} = this.current;
      clearTimeout(timer);
      this.current = null;
      resolve({seconds: (performance.now() - begun) / 1000, ...outcome});
    },

    // The worker is ended, whatever it does, and another one begins to load for the next run.
    end(outcome) {
      this.worker.terminate();
      this.worker = null;
      if (this.current) this.finish(outcome);
      if (!outcome.broken) this.start();
    },
  };

  // ------------------------------------------------------- notebooks and work

  const text = (cell) => (typeof cell.source === "string" ? cell.source : cell.source.join(""));
  const lines = (source) => source.split(/(?<=\n)/);
  const marks = (cell) => (cell.metadata && cell.metadata.nbgrader) || {};
  const idOf = (cell) => marks(cell).grade_id || cell.id;
  const isAnswer = (cell) => Boolean(marks(cell).solution);

  class Assignment {
    constructor(name, released) {
      this.name = name;
      this.key = `ebm-course:${name}`;
      this.released = released;
      this.stale = false;
      this.keeps = true;
      this.read();
      addEventListener("storage", (event) => {
        if (event.key !== this.key) return;
        this.stale = true;
        this.say("This assignment was changed in another tab. Reload the page to go on here.");
      });
    }

    say(message) {
      for (const bar of boxes.filter((box) => box instanceof Bar)) bar.say(message);
    }

    read() {
      let kept = null;
      try { kept = JSON.parse(localStorage.getItem(this.key)); } catch { this.keeps = false; }
      this.work = {answers: {}, tries: {}, passed: {}, notebook: null, ...kept};
    }

    save() {
      if (this.stale) return;
      try {
        localStorage.setItem(this.key, JSON.stringify(this.work));
      } catch {
        this.keeps = false;
        this.say("This browser keeps nothing: hand in before you leave the page.");
      }
    }

    get notebook() { return this.work.notebook || this.released; }

    get isBegun() { return Object.keys(this.work.answers).length > 0 || this.work.notebook !== null; }

    original(id) { return this.released.cells.find((cell) => idOf(cell) === id); }

    source(id) {
      const cell = this.notebook.cells.find((c) => idOf(c) === id) || this.original(id);
      return this.work.answers[id] ?? text(cell);
    }

    write(id, source) {
      this.work.answers[id] = source;
      delete this.work.passed[id];
      this.save();
    }

    // The notebook's code as Python in the page wants it, up to the cell `last`.
    cells(last) {
      const found = [];
      for (const cell of this.notebook.cells) {
        if (cell.cell_type !== "code") continue;
        const id = idOf(cell), released = this.original(id);
        const locked = marks(cell).grade && !marks(cell).solution;
        const source = locked && released ? text(released) : isAnswer(cell) ? this.source(id) : text(cell);
        const ours = released && source === text(released);
        const kind = locked ? "tests" : isAnswer(cell) || !ours ? "exercise" : "code";
        found.push({id, kind, source});
        if (id === last) return found;
      }
      return found;
    }

    // The notebook as it is handed in: the released one, or the one that was opened, with the answers in place.
    handedIn() {
      const copy = structuredClone(this.notebook);
      for (const cell of copy.cells) {
        const answer = isAnswer(cell) ? this.work.answers[idOf(cell)] : undefined;
        if (answer === undefined || answer === text(cell)) continue;
        cell.source = lines(answer);
        if (cell.cell_type === "code") Object.assign(cell, {outputs: [], execution_count: null});
      }
      return `${JSON.stringify(copy, null, 1)}\n`;
    }

    // A notebook that can take the place of the work, and what there is to say about it. Throws an Error where it is
    // none of ours.
    looked(content) {
      let notebook = null;
      try { notebook = JSON.parse(content); } catch { throw new Error("it is not a notebook: its text is no JSON"); }
      if (!Array.isArray(notebook && notebook.cells)) throw new Error("it is not a notebook: it has no cells");
      const wanted = this.released.cells.filter((cell) => marks(cell).grade_id);
      const ids = notebook.cells.map((cell) => marks(cell).grade_id).filter(Boolean);
      const twice = ids.find((id, place) => ids.indexOf(id) !== place);
      if (twice) throw new Error(`the cell ${twice} stands in it twice; delete one of the two`);
      const missing = wanted.filter((cell) => !ids.includes(idOf(cell)));
      if (missing.length === wanted.length) throw new Error(`it holds no exercise of the assignment ${this.name}`);
      for (const cell of notebook.cells) {
        cell.source = lines(text(cell));
        if (cell.cell_type === "code") Object.assign(cell, {outputs: [], execution_count: null});
      }
      notebook.cells.push(...structuredClone(missing));
      const known = new Set(this.released.cells.map(idOf));
      const own = notebook.cells.filter((cell) => cell.cell_type === "code" && !known.has(idOf(cell))).length;
      const notes = ["Opened."];
      if (own) notes.push(`${several(own, "cell")} of your own: kept, run where needed, and handed in.`);
      if (missing.length) notes.push(`Put back at its end, for they were missing: ${missing.map(idOf).join(", ")}.`);
      return {notebook, told: notes.join(" ")};
    }

    take(notebook) {
      this.work = {answers: {}, tries: this.work.tries, passed: {}, notebook};
      this.save();
    }

    erase() {
      this.work = {answers: {}, tries: {}, passed: {}, notebook: null};
      try { localStorage.removeItem(this.key); } catch { /* nothing was kept */ }
    }
  }

  const assignments = new Map();
  async function assignment(name) {
    if (!assignments.has(name)) {
      const answer = await fetch(`${SITE}live/assignments/${name}.ipynb`);
      if (!answer.ok) throw new Error(`the notebook ${name}.ipynb is not there (${answer.status})`);
      const released = await answer.json();
      if (!assignments.has(name)) assignments.set(name, new Assignment(name, released));
    }
    return assignments.get(name);
  }

  // ------------------------------------------------------------------ output

  function paint(image) {
    const ink = getComputedStyle(document.body).color;
    image.src = `data:image/svg+xml,${encodeURIComponent(image.svg.replaceAll("currentColor", ink))}`;
  }
  new MutationObserver(() => document.querySelectorAll(".live-output img").forEach(paint))
    .observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});

  // Shows what a run shows: texts, values, pictures, tests and errors.
  class Output {
    constructor(label) {
      this.element = make("div", {className: "live-output", role: "log", "aria-label": label, hidden: true});
      this.clear();
    }

    clear() {
      this.element.replaceChildren();
      this.element.hidden = true;
      this.failed = this.problem = this.printed = null;
      this.tests = {passed: 0, of: 0};
    }

    add(element) {
      this.element.hidden = false;
      this.printed = null;
      this.element.append(element);
      return element;
    }

    show(item) { this[item.type](item); }

    text({text: printed}) {
      const pre = this.printed || this.add(make("pre", {className: "live-text"}));
      this.printed = pre;
      pre.append(printed);
    }

    value({text: shown}) { this.add(make("pre", {className: "live-value", textContent: shown})); }

    figure({svg, alt}) {
      const image = make("img", {svg, alt});
      paint(image);
      this.add(make("figure", {className: "live-figure"}, image));
    }

    check({source, passed, message, number, of}) {
      const list = this.element.querySelector("ol") || this.add(make("ol", {className: "live-checks"}));
      const sign = make("span", {className: "live-sign", textContent: passed ? "✓ passes: " : "✗ fails: "});
      const item = make("li", {className: passed ? "is-passed" : "is-failed"}, sign, make("code", {}, source));
      if (message) item.append(make("p", {textContent: message}));
      list.append(item);
      this.tests = {passed: this.tests.passed + passed, of};
      if (!passed) this.failed = {number, of, message: message || source};
    }

    error(error) {
      this.problem = error;
      if (error.unsolved) return;  // the status says it
      const trace = make("ol", {className: "live-trace"});
      for (const [cell, line, code] of error.trace) trace.append(make("li", {}, `${cell}, line ${line}: `, make("code", {}, code)));
      const head = make("p", {className: "live-error"}, make("strong", {}, error.name), `: ${error.message}`);
      this.add(make("div", {}, head, ...(error.trace.length ? [trace] : [])));
    }
  }

  // ------------------------------------------------------------------- boxes

  const boxes = [];

  class Box {
    constructor(section) {
      this.section = section;
      this.name = section.dataset.assignment;
      this.id = section.dataset.cell;
      this.editors = {};
      this.buttons = make("div", {className: "live-buttons"});
      this.status = make("p", {className: "live-status", role: "status"});
      this.output = new Output(`Output of ${this.id || "the line"}`);
      section.append(this.buttons, this.status, this.output.element);
    }

    say(message) { if (this.status.textContent !== message) this.status.textContent = message; }

    controls(...made) { this.buttons.replaceChildren(...made); }

    editor(place, options) {
      return tools.create({
        parent: place, hint: HINT, changed: () => {},
        keys: [["Shift-Enter", () => this.run()], ["Mod-Enter", () => this.check()]], ...options,
      });
    }

    runButtons() {
      this.runButton = button("Run", () => this.run(), {title: "Shift+Enter"});
      this.stopButton = button("Stop", () => python.end({stopped: true}), {disabled: true});
      return [this.runButton, this.stopButton];
    }

    check() { this.run(); }

    async play(cells, targets, told) {
      if (python.current) {
        this.say("Something else is running: stop it first.");
        return;
      }
      this.output.clear();
      const pressed = this.buttons.contains(document.activeElement) ? document.activeElement : null;
      for (const box of boxes) box.busy(true, box === this);
      if (pressed) this.stopButton.focus();  // a button that is switched off loses the focus
      const loading = (state) => this.say(state || "Running …");
      python.listeners.add(loading);
      this.say(python.ready ? "Running …" : python.state);
      const outcome = await python.run(cells, targets, (item) => this.output.show(item));
      python.listeners.delete(loading);
      const atStop = document.activeElement === this.stopButton;
      for (const box of boxes) box.busy(false);
      if (atStop) (pressed || this.runButton).focus({preventScroll: true});
      this.say(told(outcome));
      this.reveal();
      const error = this.output.problem;
      for (const box of boxes) box.mark(error);
    }

    // Brings the verdict into view where the reader is still at this exercise.
    reveal() {
      const {top, bottom} = this.section.getBoundingClientRect();
      if (top < innerHeight && bottom > 0) this.status.scrollIntoView({block: "nearest"});
    }

    busy(is, mine = false) {
      for (const control of this.buttons.children) control.disabled = is;
      if (this.stopButton) this.stopButton.disabled = !(is && mine);
    }

    // Marks the line of an error in the editor that it stands in.
    mark(error) {
      const key = error && error.cell === "try" ? "try" : "code";
      const mine = error && (error.cell === this.id || (key === "try" && error.box === this));
      for (const [name, editor] of Object.entries(this.editors)) editor.markLine(mine && name === key ? error.line : 0);
    }

    ended(outcome) {
      if (outcome.stopped) return "Stopped. Your text is kept; Python starts anew.";
      if (outcome.late) return `Ended after ${limits.run} seconds: does a loop never end? Your text is kept.`;
      if (outcome.broken) return `Python broke down (${outcome.broken}). Your text is kept; run again.`;
      const error = this.output.problem;
      if (!error) return "";
      error.box = this;
      if (error.unsolved && error.cell !== this.id) return `This needs the exercise ${error.cell}, which is not solved yet.`;
      if (error.unsolved) return "Not solved yet: replace the line that raises the error by your answer.";
      const where = error.cell === this.id || !error.cell ? "" : error.cell === "try" ? " in the line to try" : ` in ${error.cell}`;
      return `${error.name}${where}${error.line ? `, line ${error.line}` : ""}: ${error.message}`;
    }

    ran(outcome) {
      return this.ended(outcome) || `Ran in ${outcome.seconds < 0.1 ? "under 0.1" : outcome.seconds.toFixed(1)} s.`;
    }

    async begin() {
      this.assignment = await assignment(this.name);
    }

    refresh() {}
  }

  // A cell of the notebook's own that shows something.
  class Code extends Box {
    constructor(section) {
      super(section);
      this.controls(...this.runButtons());
    }

    async run() {
      if (!await begun()) return;
      this.play(this.assignment.cells(this.id), [this.id], (outcome) => this.ran(outcome));
    }
  }

  // One line anywhere in the book.
  class Line extends Box {
    constructor(section) {
      super(section);
      this.controls(...this.runButtons());
      this.source = section.querySelector("pre").textContent.trimEnd();
    }

    async begin() {
      const place = make("div", {className: "live-editor"});
      this.section.querySelector("div[class*=highlight]").replaceWith(place);
      this.editors.try = this.editor(place, {text: this.source, oneLine: true, label: this.section.dataset.label});
    }

    async run() {
      if (!await begun()) return;
      const setup = {id: "setup", kind: "code", source: "import numpy as np"};
      const line = {id: "try", kind: "exercise", source: this.editors.try.text()};
      this.play([setup, line], ["try"], (outcome) => this.ran(outcome));
    }
  }

  class Exercise extends Box {
    constructor(section) {
      super(section);
      this.controls(button("Do it here", async () => {
        if (!await begun()) return;
        python.start();
        this.editors.code.focus();
      }));
    }

    async begin() {
      await super.begin();
      const place = make("div", {className: "live-editor"});
      this.section.querySelector("div[class*=highlight]").replaceWith(place);
      const trial = make("div", {className: "live-try"}, make("span", {textContent: "Try it:", "aria-hidden": "true"}));
      place.after(trial);
      this.editors.code = this.editor(place, {
        text: this.assignment.source(this.id), label: `Your answer: ${this.id}`,
        changed: (source) => {
          if (source === this.assignment.source(this.id)) return;
          this.assignment.write(this.id, source);
          this.showPassed();
        },
      });
      this.editors.try = this.editor(trial, {
        text: this.assignment.work.tries[this.id] ?? this.section.dataset.try, oneLine: true,
        label: `A line to try: ${this.id}`,
        changed: (source) => this.keepTry(source),
      });
      const check = button("Check", () => this.check(), {title: "Ctrl+Enter"});
      check.classList.add("is-main");
      const again = button("Start again", () => {
        if (confirm("Put the exercise's first text back in place of yours?")) this.restart();
      });
      this.controls(...this.runButtons(), check, again);
      this.showPassed();
    }

    keepTry(source) {
      if (source === (this.assignment.work.tries[this.id] ?? this.section.dataset.try)) return;
      this.assignment.work.tries[this.id] = source;
      this.assignment.save();
    }

    restart() {
      this.editors.code.write(text(this.assignment.original(this.id)));
      this.output.clear();
      this.say("");
    }

    refresh() {
      this.editors.code.write(this.assignment.source(this.id));
      this.editors.try.write(this.assignment.work.tries[this.id] ?? this.section.dataset.try);
      this.output.clear();
      this.say("");
      this.showPassed();
    }

    showPassed() {
      this.section.classList.toggle("is-passed", Boolean(this.assignment.work.passed[this.id]));
      for (const bar of boxes) if (bar instanceof Bar) bar.showProgress();
    }

    run() {
      const trial = {id: "try", kind: "exercise", source: this.editors.try.text()};
      const cells = [...this.assignment.cells(`${this.id}-tests`), trial];
      this.play(cells, [this.id, "try"], (outcome) => this.ran(outcome));
    }

    check() {
      const tests = `${this.id}-tests`;
      this.play(this.assignment.cells(tests), [this.id, tests], (outcome) => this.verdict(outcome));
    }

    verdict(outcome) {
      const ended = this.ended(outcome), {failed, tests} = this.output;
      if (ended) return ended;
      if (failed) return `Test ${failed.number} of ${failed.of} fails: ${failed.message}`;
      if (!outcome.passed) return "The tests did not come to their end.";
      this.assignment.work.passed[this.id] = true;
      this.assignment.save();
      this.showPassed();
      return `All ${several(tests.of, "test")} that you see pass. Grading runs further ones.`;
    }
  }

  class Question extends Box {
    constructor(section) {
      super(section);
      this.controls(button("Write it here", async () => { if (await begun()) this.area.focus(); }));
    }

    async begin() {
      await super.begin();
      const whole = text(this.assignment.original(this.id));
      this.asked = whole.slice(0, whole.lastIndexOf("\n\n") + 2);
      this.stub = whole.slice(this.asked.length);
      this.area = make("textarea", {className: "live-answer", rows: 8, "aria-label": `Your answer: ${this.id}`});
      this.area.addEventListener("input", () => this.assignment.write(this.id, this.asked + (this.area.value || this.stub)));
      this.section.prepend(this.area);
      this.controls();
      this.refresh();
    }

    refresh() {
      const source = this.assignment.source(this.id);
      const answer = source.startsWith(this.asked) ? source.slice(this.asked.length) : source;
      this.area.value = answer === this.stub ? "" : answer;
    }

    run() {}
  }

  // Above an assignment: begin, hand in, open, erase.
  class Bar extends Box {
    constructor(section) {
      super(section);
      section.prepend(this.intro = make("p", {className: "live-intro"}));
      let kept = false;
      try { kept = localStorage.getItem(`ebm-course:${this.name}`) !== null; } catch { /* nothing is kept */ }
      this.intro.textContent = "Do the exercises in the page: nothing to install, and your work stays in this browser.";
      this.controls(button(kept ? "Go on with your work" : "Start", async () => {
        if (!await begun()) return;
        python.start();
        this.buttons.querySelector("button").focus();
      }));
    }

    async begin() {
      await super.begin();
      const file = make("input", {type: "file", accept: ".ipynb,application/json", hidden: true});
      file.addEventListener("change", () => this.take(file));
      this.controls(
        button("Hand in: download the notebook", () => this.handIn()),
        button("Open a notebook …", () => file.click()), file,
        button("Erase my work", () => this.erase()),
      );
      this.intro.textContent = "Your work is kept in this browser and sent nowhere. Erase it on a machine that others use.";
      this.progress = make("p", {className: "live-progress"});
      this.intro.after(this.progress);
      this.showProgress();
    }

    showProgress() {
      if (!this.progress) return;
      const exercises = boxes.filter((box) => box instanceof Exercise);
      const passed = exercises.filter((box) => this.assignment.work.passed[box.id]).length;
      this.progress.textContent = `${passed} of ${several(exercises.length, "exercise")} pass the tests that you see.`;
    }

    handIn() {
      const content = new Blob([this.assignment.handedIn()], {type: "application/x-ipynb+json"});
      const address = URL.createObjectURL(content);
      make("a", {href: address, download: `${this.name}.ipynb`}).click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
      this.say(`Downloaded ${this.name}.ipynb, the notebook with your answers: hand that file in.`);
    }

    async take(file) {
      const [chosen] = file.files;
      if (!chosen) return;
      const content = await chosen.text();
      file.value = "";
      let found = null;
      try {
        found = this.assignment.looked(content);
      } catch (error) {
        this.say(`${chosen.name} was not opened: ${error.message}. Your work is as it was.`);
        return;
      }
      const replaces = this.assignment.isBegun && content !== this.assignment.handedIn();
      if (replaces && !confirm("This takes the place of the work kept in this browser. Hand it in first to keep a copy. Open?")) return;
      this.assignment.take(found.notebook);
      this.say(found.told);
      for (const box of boxes) box.refresh();
      this.showProgress();
    }

    erase() {
      if (!confirm("Erase your answers to this assignment from this browser? Hand in first to keep a copy.")) return;
      this.assignment.erase();
      for (const box of boxes) box.refresh();
      this.showProgress();
      this.say("Erased: this browser keeps nothing of this assignment.");
    }

    run() {}
  }

  // ------------------------------------------------------------------- begin

  let tools = null, beginning = null;

  // Loads the editor and turns every box of the page into one that works. False where that cannot be: it is said.
  function begun() {
    beginning = beginning || begin();
    return beginning;
  }

  async function begin() {
    if (location.protocol === "file:" || !here) return false;
    try {
      tools = await import(`${SITE}_static/live/editor.js`);
      for (const box of boxes) await box.begin();
      followed();
    } catch (error) {
      beginning = null;
      for (const box of boxes) box.say(`The editor could not be loaded: ${error.message}`);
      return false;
    }
    return true;
  }

  // The keys are told once, under the editor that is written in.
  function followed() {
    const hint = make("p", {id: HINT, className: "live-keys", textContent: KEYS});
    const under = (editor) => editor.closest(".live").querySelector(".live-buttons").append(hint);
    const first = document.querySelector(".cm-content");
    if (first) under(first);
    document.addEventListener("focusin", ({target}) => { if (target.matches(".cm-content")) under(target); });
  }

  // Why nothing can run here, and what to do instead.
  function excuse() {
    if (!here) return [
      "This copy of the book was built without Python for its pages. Do the assignment in its notebook; ",
      "who has the repository and npm builds the book with Python by ", make("code", {}, "make book"), ".",
    ];
    const folder = decodeURIComponent(new URL(SITE).pathname).replace(/\/$/, "");
    return [
      "Browsers run Python in a page only when a server sends it. Type ",
      make("code", {}, `python -m http.server -d "${folder}"`), " in a terminal, then open ",
      make("code", {}, `http://localhost:8000${decodeURIComponent(location.pathname).slice(folder.length)}`),
      ". Or do the assignment in its notebook.",
    ];
  }

  const kinds = {code: Code, line: Line, exercise: Exercise, question: Question, bar: Bar};
  for (const section of SECTIONS) {
    if (location.protocol === "file:" || !here) {
      const shows = {bar: "Start", exercise: "Do it here", line: "Run"}[section.dataset.kind];
      if (!shows) continue;
      const status = make("p", {className: "live-status", role: "status"});
      section.append(make("div", {className: "live-buttons"}, button(shows, () => status.replaceChildren(...excuse()))), status);
    } else {
      boxes.push(new kinds[section.dataset.kind](section));
    }
  }
})();
