// A restricted Boltzmann machine of digits that fills in the unknown pixels of what you paint, by block Gibbs steps
// with the known pixels clamped: its hidden units with their weights, lit where they are on, and behind the sampled
// means the exact ones. The page's code trains the machine and leaves its weights, a byte each, in a script element
// of the page. The numbers are tested against ebmkit.

(function () {
  "use strict";

  const SIDE = 8, PIXELS = SIDE * SIDE;
  const UNKNOWN = "_", PAPER = "0", INK = "1";

  const { signed } = window.explorables.draw;
  const PERROW = [7, 5]; // hidden units, on a wide screen and on a phone
  const sigmoid = (c) => 1 / (1 + Math.exp(-c));
  const softplus = (c) => Math.max(c, 0) + Math.log1p(Math.exp(-Math.abs(c)));

  function logAddExp(a, b) {
    const high = Math.max(a, b);
    return high === -Infinity ? high : high + Math.log1p(Math.exp(Math.min(a, b) - high));
  }

  class Machine {
    constructor({ hidden, W, a, b }) {
      const numbers = ({ level, bytes }) => Float64Array.from(atob(bytes), (c) => (c.charCodeAt(0) << 24 >> 24) * level);
      Object.assign(this, { hidden, W: numbers(W), a: numbers(a), b: numbers(b) });
    }

    // p(h_j = 1 | v)
    hiddenProbability(v) {
      const field = Float64Array.from(this.b);
      for (let i = 0; i < PIXELS; i++) {
        if (v[i]) for (let j = 0; j < this.hidden; j++) field[j] += this.W[i * this.hidden + j];
      }
      return field.map(sigmoid);
    }

    // p(v_i = 1 | h)
    visibleProbability(h) {
      return this.a.map((bias, i) => {
        let field = bias;
        for (let j = 0; j < this.hidden; j++) if (h[j]) field += this.W[i * this.hidden + j];
        return sigmoid(field);
      });
    }

    // The two halves of a block Gibbs step; `known` is a string of 0, 1 and, for pixels left open, _.
    sampleHidden(v, random) {
      return this.hiddenProbability(v).map((p) => random() < p ? 1 : 0);
    }

    sampleVisible(h, known, random) {
      return hold(this.visibleProbability(h).map((p) => random() < p ? 1 : 0), known);
    }

    step(v, known, random) {
      return this.sampleVisible(this.sampleHidden(v, random), known, random);
    }

    // -a·v - Σ_j softplus(b_j + (v W)_j)
    freeEnergy(v) {
      const on = Array.from(v).reduce((sum, bit, i) => sum + bit * this.a[i], 0);
      return -on - this.hiddenProbability(v).reduce((sum, p) => sum - Math.log1p(-p), 0);
    }

    // The sum over all hidden states: log Σ of the weights of pictures that agree with `known`, and the mean of
    // each pixel among them. Hidden states come in Gray code, so that each differs from the last in one unit.
    exact(known) {
      const field = Float64Array.from(this.a), h = new Uint8Array(this.hidden);
      let bias = 0, total = -Infinity, means = new Float64Array(PIXELS);
      for (let index = 0; ;) {
        let weight = bias;
        for (let i = 0; i < PIXELS; i++) {
          if (known[i] === UNKNOWN) weight += softplus(field[i]);
          else if (known[i] === INK) weight += field[i];
        }
        const sum = logAddExp(total, weight), share = Math.exp(weight - sum), rest = Math.exp(total - sum);
        for (let i = 0; i < PIXELS; i++) {
          if (known[i] === UNKNOWN) means[i] = rest * means[i] + share * sigmoid(field[i]);
        }
        total = sum;
        if (++index === 2 ** this.hidden) break;
        const j = Math.log2(index & -index), sign = h[j] ? -1 : 1;
        h[j] ^= 1;
        bias += sign * this.b[j];
        for (let i = 0; i < PIXELS; i++) field[i] += sign * this.W[i * this.hidden + j];
      }
      return { logWeight: total, means: Array.from(hold(means, known)) };
    }
  }

  function hold(v, known) {
    return v.map((value, i) => known[i] === UNKNOWN ? value : Number(known[i]));
  }

  function load() {
    const element = document.getElementById("boltzmann-machine");
    const stored = JSON.parse(element.textContent);
    return { machine: new Machine(stored), examples: stored.examples };
  }

  window.explorables.boltzmann_machines = { Machine, load };

  window.explorables.define("boltzmann_machines", (kit) => {
    const { machine, examples } = load();
    const logZ = machine.exact(UNKNOWN.repeat(PIXELS)).logWeight;
    const nothing = UNKNOWN.repeat(PIXELS);
    const leftHalf = (digit) => Array.from(digit, (bit, i) => i % SIDE < SIDE / 2 ? bit : UNKNOWN).join("");
    let v, h, sums, steps, random, exact, known, cursor = 27, painting = null;

    const start = kit.choice({
      key: "start", label: "Begin with",
      options: [...examples.map(({ digit }, k) => [`${k}`, `the left half of a ${digit}`]), ["nothing", "nothing known"]],
      onInput: (name) => { known = begin(name); kit.restart(); },
    });
    const brush = kit.choice({
      key: "brush", label: "Brush", options: [["cycle", "next of ink, paper, unknown"], [INK, "ink"], [PAPER, "paper"], [UNKNOWN, "unknown"]],
      onInput: () => {},
    });
    const begin = (name) => name === "nothing" ? nothing : leftHalf(examples[Number(name)].bits);
    const painted = new RegExp(`^[01${UNKNOWN}]{${PIXELS}}$`);
    known = painted.test(kit.linked.v) ? kit.linked.v : begin(start.value);
    kit.state("v", () => known, (text) => { if (painted.test(text)) known = text; });

    function restart(seed) {
      random = window.explorables.random(seed);
      v = hold(Array.from({ length: PIXELS }, () => random() < 0.5 ? 1 : 0), known);
      h = null; // not drawn yet
      sums = new Array(PIXELS).fill(0);
      steps = 0;
      exact = null;
      publish();
    }

    function publish() {
      window.explorables.boltzmann_machines.current = { v: Array.from(v), h: h && Array.from(h), known, steps };
    }

    function step() {
      h = machine.sampleHidden(v, random);
      v = machine.sampleVisible(h, known, random);
      v.forEach((bit, i) => { sums[i] += bit; });
      steps++;
      publish();
    }

    function paint(pixel, mark) {
      if (known[pixel] === mark) return;
      known = known.slice(0, pixel) + mark + known.slice(pixel + 1);
      v = hold(v, known);
      sums.fill(0);
      steps = 0;
      exact = null;
      publish();
      kit.remember();
      kit.draw();
    }

    const next = (pixel) => brush.value !== "cycle" ? brush.value : { [UNKNOWN]: INK, [INK]: PAPER, [PAPER]: UNKNOWN }[known[pixel]];

    const canvas = kit.canvas({
      label: "The picture: pixels you know are framed, the others are drawn by the machine. Paint with the pointer, or with arrow keys and Enter",
      aspect: 1, narrow: 222,
      draw(context, width, height, colour) {
        const cell = Math.min(width, height) / SIDE;
        v.forEach((bit, i) => {
          const x = i % SIDE * cell, y = Math.floor(i / SIDE) * cell;
          context.fillStyle = colour(bit ? "ink" : "face");
          context.fillRect(x, y, cell, cell);
          context.lineWidth = known[i] === UNKNOWN ? 1 : 3;
          context.strokeStyle = colour(known[i] === UNKNOWN ? "grid" : "curve2");
          const inset = known[i] === UNKNOWN ? 0.5 : 2.5;
          context.strokeRect(x + inset, y + inset, cell - 2 * inset, cell - 2 * inset);
        });
        if (document.activeElement === canvas) {
          context.lineWidth = 3;
          context.strokeStyle = colour("curve");
          context.strokeRect(cursor % SIDE * cell + 6, Math.floor(cursor / SIDE) * cell + 6, cell - 12, cell - 12);
        }
      },
    });

    kit.canvas({
      label: "For each pixel the probability of ink: squares are exact, discs are the share among the samples",
      aspect: 1, narrow: 222,
      draw(context, width, height, colour) {
        exact = exact || machine.exact(known);
        const cell = Math.min(width, height) / SIDE;
        exact.means.forEach((p, i) => {
          const x = i % SIDE * cell, y = Math.floor(i / SIDE) * cell;
          shade(context, colour, p);
          context.fillRect(x, y, cell, cell);
          context.globalAlpha = 1;
          context.lineWidth = 1;
          context.strokeStyle = colour("grid");
          context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
          if (!steps || known[i] !== UNKNOWN) return;
          context.beginPath();
          context.arc(x + cell / 2, y + cell / 2, 0.3 * cell, 0, 2 * Math.PI);
          context.fillStyle = colour("face");
          context.fill();
          shade(context, colour, sums[i] / steps);
          context.fill();
          context.globalAlpha = 1;
          context.strokeStyle = colour("curve2");
          context.stroke();
        });
      },
    });

    const largest = machine.W.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
    kit.canvas({
      label: "The hidden units as pictures of their weights, orange for ink and blue against it; framed where the unit is on, with the probability that it is on as a bar",
      aspect: PERROW[0] / (1.35 * Math.ceil(machine.hidden / PERROW[0])), wide: true, narrow: 78 * Math.ceil(machine.hidden / PERROW[1]),
      draw(context, width, height, colour) {
        const p = machine.hiddenProbability(v), across = PERROW[width < window.explorables.NARROW ? 1 : 0], rows = Math.ceil(machine.hidden / across);
        const slot = width / across, side = Math.min(slot - 14, height / rows - 28);
        p.forEach((chance, j) => {
          const left = j % across * slot + 4, top = Math.floor(j / across) * (height / rows) + 4;
          drawWeights(context, colour, j, left, top, side);
          context.lineWidth = 4;
          context.strokeStyle = colour(h && h[j] ? "ink" : "grid");
          context.strokeRect(left - 2, top - 2, side + 4, side + 4);
          context.fillStyle = colour("face");
          context.fillRect(left - 4, top + side + 7, side + 8, 8);
          context.fillStyle = colour("dot");
          context.fillRect(left - 4, top + side + 7, (side + 8) * chance, 8);
        });
      },
    });

    function drawWeights(context, colour, j, left, top, side) {
      const cell = side / SIDE;
      for (let i = 0; i < PIXELS; i++) {
        const weight = machine.W[i * machine.hidden + j];
        context.globalAlpha = Math.abs(weight) / largest;
        context.fillStyle = colour(weight > 0 ? "curve2" : "curve");
        context.fillRect(left + i % SIDE * cell, top + Math.floor(i / SIDE) * cell, cell, cell);
      }
      context.globalAlpha = 1;
    }

    canvas.tabIndex = 0;
    canvas.style.touchAction = "none";
    canvas.style.cursor = "crosshair";
    const under = (event) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      const [column, row] = [event.clientX - left, event.clientY - top].map((u) => Math.floor(u / Math.min(width, height) * SIDE));
      return Math.min(column, row) < 0 || Math.max(column, row) >= SIDE ? null : row * SIDE + column;
    };
    canvas.addEventListener("pointerdown", (event) => {
      const pixel = under(event);
      if (pixel === null) return;
      canvas.setPointerCapture(event.pointerId);
      painting = next(pixel);
      cursor = pixel;
      paint(pixel, painting);
    });
    canvas.addEventListener("pointermove", (event) => {
      const pixel = painting === null ? null : under(event);
      if (pixel !== null) paint(pixel, painting);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { painting = null; });
    for (const change of ["focus", "blur"]) canvas.addEventListener(change, () => kit.draw());
    canvas.addEventListener("keydown", (event) => {
      const [column, row] = [cursor % SIDE, Math.floor(cursor / SIDE)];
      const to = {
        ArrowLeft: [column - 1, row], ArrowRight: [column + 1, row], ArrowUp: [column, row - 1], ArrowDown: [column, row + 1],
      }[event.key];
      if (to) cursor = clamped(to[1]) * SIDE + clamped(to[0]);
      else if (event.key === "Enter") paint(cursor, next(cursor));
      else return;
      event.preventDefault();
      kit.draw();
    });

    function readout() {
      exact = exact || machine.exact(known);
      const open = Array.from(known).flatMap((mark, i) => mark === UNKNOWN ? [i] : []);
      const log = signed(exact.logWeight - logZ, 2);
      const apart = steps && open.length
        ? ` Largest difference between a sampled and an exact probability: ${Math.max(...open.map((i) => Math.abs(sums[i] / steps - exact.means[i]))).toFixed(3)}.` : "";
      return `Step ${steps}: ${PIXELS - open.length} of ${PIXELS} pixels known, their exact log-probability is ${log}.`
        + (h ? ` Hidden units that are on: ${h.reduce((sum, bit) => sum + bit, 0)} of ${machine.hidden}.` : "")
        + (open.length ? ` Log-probability of this completion ${signed(-machine.freeEnergy(v) - exact.logWeight, 2)}.` : "")
        + ` Free energy of the picture ${signed(machine.freeEnergy(v), 2)}, log Z = ${signed(logZ, 2)}.${apart}`;
    }

    kit.start({ restart, step, readout, unit: "step" });
  });

  function shade(context, colour, probability) {
    context.globalAlpha = 1;
    context.fillStyle = colour("ink");
    context.globalAlpha = probability;
  }

  function clamped(index) {
    return Math.min(SIDE - 1, Math.max(0, index));
  }
})();
