// A function f of your own on a line, its density exp f, f² or |f| over its volume, and the same density in
// many dimensions: how many grid cells its volume takes, and how many random points count.
// f is linear between its points, so every volume is exact. The numbers are tested against ebmkit.

(function () {
  "use strict";

  const { dot, path, signed } = window.explorables.draw;
  const LOW = -4, HIGH = 4, LENGTH = HIGH - LOW, POINTS = 9, STEP = LENGTH / (POINTS - 1);
  const LIMIT = 3; // f stays between -LIMIT and LIMIT
  const CELLS = 20; // cells of the grid along each axis
  const ROUND = 100; // points thrown in one step
  const START = [-2.5, -0.5, 1, -0.5, -1.5, 0.5, 2, 0, -2.5];
  const DIMENSIONS = 20;

  const MAPS = { exp: Math.exp, square: (f) => f * f, abs: Math.abs };

  // f at x, linear between the heights of the points.
  function evaluate(heights, x) {
    const place = Math.min(POINTS - 2, Math.max(0, Math.floor((x - LOW) / STEP)));
    const t = (x - LOW) / STEP - place;
    return heights[place] * (1 - t) + heights[place + 1] * t;
  }

  // ∫ g(f(x))^power over one piece of width STEP on which f runs from a to b.
  function pieceVolume(map, power, a, b) {
    if (map === "exp") {
      const difference = power * (b - a);
      const mean = Math.abs(difference) < 1e-9 ? 1 : Math.expm1(difference) / difference;
      return STEP * Math.exp(power * a) * mean;
    }
    if (map === "abs" && power === 1 && a * b < 0) return STEP * (a * a + b * b) / (2 * (Math.abs(a) + Math.abs(b)));
    // |f|^k of a straight line: (a^k + a^(k-1) b + ... + b^k) / (k + 1)
    const degree = map === "square" ? 2 * power : power;
    let sum = 0;
    for (let i = 0; i <= degree; i++) sum += a ** (degree - i) * b ** i;
    return STEP * Math.abs(sum) / (degree + 1);
  }

  // ∫ g over the line, or ∫ g² where power is 2.
  function volume(heights, map, power = 1) {
    let sum = 0;
    for (let i = 0; i + 1 < POINTS; i++) sum += pieceVolume(map, power, heights[i], heights[i + 1]);
    return sum;
  }

  // r = Z² / (L ∫ g²): the share of uniform points that count, on the line. In D dimensions it is r^D.
  function share(heights, map) {
    return volume(heights, map) ** 2 / (LENGTH * volume(heights, map, 2));
  }

  // Random points in the box, all dimensions at once: the coordinates 1 ... D of a point give its weight in D.
  class Throws {
    constructor(heights, map, dimension, seed) {
      Object.assign(this, { heights, map, dimension, random: window.explorables.random(seed) });
      this.volume = volume(heights, map);
      Object.assign(this, { n: 0, sum: 0, squares: 0, history: [] });
    }

    round() {
      for (let i = 0; i < ROUND; i++) {
        let weight = 1;
        for (let d = 0; d < this.dimension; d++) {
          const x = LOW + LENGTH * this.random();
          weight *= LENGTH * MAPS[this.map](evaluate(this.heights, x)) / this.volume;
        }
        this.sum += weight;
        this.squares += weight * weight;
      }
      this.n += ROUND;
      this.history.push([this.n, this.estimate()]);
    }

    // The estimate of Z^D over the exact Z^D.
    estimate() {
      return this.n ? this.sum / this.n : NaN;
    }

    // The share of points that count, as the points themselves tell it.
    counted() {
      return this.squares > 0 ? this.sum ** 2 / (this.n * this.squares) : NaN;
    }
  }

  window.explorables.normalization = { evaluate, volume, share, Throws, cells: CELLS, start: START };

  window.explorables.define("normalization", (kit) => {
    let throws;
    let heights = linkedHeights(kit.linked.f) || START.slice();
    kit.state("f", () => heights.map((h) => h.toFixed(1)).join("_"), (text) => { heights = linkedHeights(text) || START.slice(); });

    const map = kit.choice({
      key: "map", label: "Map from f to g", onInput: again,
      options: [["exp", "g = exp f"], ["square", "g = f²"], ["abs", "g = |f|"]],
    });
    const dimension = kit.slider({
      key: "D", label: "Dimension D", min: 1, max: DIMENSIONS, step: 1, value: 4,
      format: (v) => String(v), onInput: again,
    });
    const chosen = kit.slider({
      key: "point", label: "Point of f to move", min: 1, max: POINTS, step: 1, value: 7,
      format: (v) => `${v}, at x = ${signed(LOW + (v - 1) * STEP, 0)}`, onInput: showHeight,
    });
    const height = kit.slider({
      key: "height", label: "Its height", min: -LIMIT, max: LIMIT, step: 0.1, value: heights[6],
      format: (v) => signed(v, 1), onInput: (v) => setHeight(Number(chosen.value) - 1, v),
    });
    delete kit.keys.height; // the address holds all heights already

    function setHeight(index, value) {
      heights = heights.map((h, i) => i === index ? value : h);
      if (heights.every((h) => h === 0)) heights[index] = 0.1; // f = 0 has no volume as f² or |f|
      again();
    }

    // The height slider shows the chosen point's height.
    function showHeight() {
      height.value = heights[Number(chosen.value) - 1];
      const shown = signed(Number(height.value), 1);
      height.parentElement.querySelector("output").textContent = shown;
      height.setAttribute("aria-valuetext", shown);
    }

    function again() {
      if (throws) restart(kit.seed());
    }

    function restart(seed) {
      throws = new Throws(heights, map.value, Number(dimension.value), seed);
      window.explorables.normalization.current = throws;
    }

    const line = kit.canvas({
      label: "The function f with nine points to drag, and below it the density g over Z",
      aspect: 1,
      draw: (context, width, height, colour) => drawLine(context, width, height, colour, throws, Number(chosen.value) - 1),
    });
    kit.canvas({
      label: "Above, the running estimate of the volume over the exact one; below, grid cells and the share of points that count, against the dimension",
      aspect: 1,
      draw: (context, width, height, colour) => {
        drawEstimate(context, colour, { left: 46, right: width - 10, top: 26, bottom: height / 2 - 24 }, throws);
        drawGrowth(context, colour, { left: 46, right: width - 10, top: height / 2 + 26, bottom: height - 24 }, throws);
      },
    });

    // A finger or the mouse takes the nearest point; the page still scrolls where no point is near.
    let held = null;
    const toPoint = (event) => {
      const box = line.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top, box: lineBox(box.width, box.height) };
    };
    line.style.touchAction = "pan-y";
    line.addEventListener("touchstart", (event) => { if (held !== null) event.preventDefault(); }, { passive: false });
    line.addEventListener("pointerdown", (event) => {
      const { x, y, box } = toPoint(event);
      const index = Math.round((x - box.left) / (box.right - box.left) * (POINTS - 1));
      if (index < 0 || index >= POINTS || Math.hypot(box.x(LOW + index * STEP) - x, box.y(heights[index]) - y) > 28) return;
      held = index;
      line.setPointerCapture(event.pointerId);
      chosen.value = index + 1;
      chosen.dispatchEvent(new Event("input"));
    });
    line.addEventListener("pointermove", (event) => {
      if (held === null) return;
      const { y, box } = toPoint(event);
      const value = (box.bottom - y) / (box.bottom - box.top) * 2 * LIMIT - LIMIT;
      height.value = Math.min(LIMIT, Math.max(-LIMIT, value));
      height.dispatchEvent(new Event("input"));
    });
    for (const end of ["pointerup", "pointercancel"]) line.addEventListener(end, () => { held = null; });

    function readout() {
      const D = throws.dimension, r = share(heights, map.value), Z = throws.volume;
      const grid = `A grid of ${CELLS} cells an axis has ${power(D * Math.log10(CELLS))} cells in D = ${D}.`;
      const exact = `Z = ${Z.toFixed(4)} on the line, so Z in D dimensions is ${power(D * Math.log10(Z))}.`
        + ` Of uniform points, a share ${power(D * Math.log10(r))} counts.`;
      if (!throws.n) return `${exact} ${grid} No point thrown yet.`;
      const error = Math.sqrt((r ** -D - 1) / throws.n);
      return `${exact} ${grid} ${throws.n} points thrown: estimate over exact Z ${throws.estimate().toFixed(3)}`
        + ` (exact 1, standard deviation ${error < 100 ? error.toFixed(3) : power(Math.log10(error))});`
        + ` share that seems to count ${power(Math.log10(throws.counted()))}.`;
    }

    kit.start({ restart, step: () => throws.round(), readout, unit: "round" });
    showHeight();
  });

  function lineBox(width, height) {
    const box = { left: 30, right: width - 16, top: 26, bottom: height * 0.56 };
    box.x = (v) => box.left + (v - LOW) / LENGTH * (box.right - box.left);
    box.y = (v) => box.bottom - (v + LIMIT) / (2 * LIMIT) * (box.bottom - box.top);
    return box;
  }

  function drawLine(context, width, height, colour, { heights, map, volume: Z }, chosen) {
    const box = lineBox(width, height), foot = height - 22, head = height * 0.66;
    const density = Array.from({ length: 321 }, (_, i) => {
      const x = LOW + i / 320 * LENGTH;
      return [x, MAPS[map](evaluate(heights, x)) / Z];
    });
    const highest = Math.max(...density.map(([, p]) => p));
    words(context, colour);
    context.textAlign = "left";
    context.fillText("f(x): drag the points", box.left, 10);
    context.fillText(`p(x) = ${{ exp: "exp f", square: "f²", abs: "|f|" }[map]} / Z, highest ${highest.toFixed(2)}`, box.left, head - 12);
    context.strokeStyle = colour("grid");
    context.lineWidth = 1;
    context.textAlign = "right";
    for (const tick of [-2, 0, 2]) {
      path(context, [[box.left, box.y(tick)], [box.right, box.y(tick)]]);
      context.fillText(signed(tick, 0), box.left - 6, box.y(tick));
    }
    context.textAlign = "center";
    for (const x of [-4, -2, 0, 2, 4]) context.fillText(signed(x, 0), box.x(x), foot + 12);
    const y = (p) => foot - p / highest * (foot - head);
    context.fillStyle = colour("curve");
    context.globalAlpha = 0.35;
    context.beginPath();
    context.moveTo(box.x(LOW), foot);
    for (const [x, p] of density) context.lineTo(box.x(x), y(p));
    context.lineTo(box.x(HIGH), foot);
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colour("curve");
    context.lineWidth = 2;
    path(context, density.map(([x, p]) => [box.x(x), y(p)]));
    context.strokeStyle = colour("ink");
    path(context, heights.map((h, i) => [box.x(LOW + i * STEP), box.y(h)]));
    heights.forEach((h, i) => dot(context, colour, "curve2", box.x(LOW + i * STEP), box.y(h), i === chosen ? 8 : 6));
  }

  function drawEstimate(context, colour, box, throws) {
    const last = Math.max(1000, throws.n), top = 2.5;
    const x = (n) => box.left + n / last * (box.right - box.left);
    const y = (v) => box.bottom - Math.min(v, top) / top * (box.bottom - box.top);
    const r = share(throws.heights, throws.map), spread = Math.sqrt(r ** -throws.dimension - 1);
    words(context, colour);
    context.textAlign = "left";
    context.fillText(`estimate of Z over exact Z, D = ${throws.dimension}`, box.left, box.top - 14);
    axes(context, colour, box, [0, 1, 2].map((v) => [y(v), String(v)]), [0, last / 2, last].map((n) => [x(n), n ? `${n}` : "0"]));
    context.fillStyle = colour("curve");
    context.globalAlpha = 0.2;
    context.beginPath();
    const ns = Array.from({ length: 80 }, (_, i) => (i + 1) / 80 * last);
    for (const n of ns) context.lineTo(x(n), y(1 + 2 * spread / Math.sqrt(n)));
    for (const n of ns.reverse()) context.lineTo(x(n), y(Math.max(0, 1 - 2 * spread / Math.sqrt(n))));
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = colour("curve");
    path(context, [[box.left, y(1)], [box.right, y(1)]]);
    context.strokeStyle = colour("curve2");
    const every = Math.ceil(throws.history.length / 400);
    path(context, throws.history.filter((_, i) => i % every === 0).map(([n, v]) => [x(n), y(v)]));
  }

  function drawGrowth(context, colour, box, throws) {
    const r = share(throws.heights, throws.map), high = DIMENSIONS * Math.log10(CELLS);
    const low = Math.min(-10, DIMENSIONS * Math.log10(r));
    const x = (D) => box.left + (D - 1) / (DIMENSIONS - 1) * (box.right - box.left);
    const y = (v) => box.bottom - (v - low) / (high - low) * (box.bottom - box.top);
    words(context, colour);
    context.textAlign = "left";
    context.fillText("powers of ten against D", box.left, box.top - 14);
    axes(context, colour, box, [-10, 0, 10, 20].map((v) => [y(v), signed(v, 0)]), [1, 5, 10, 15, 20].map((D) => [x(D), `${D}`]));
    context.lineWidth = 2;
    for (const [ink, slope, name] of [["curve2", Math.log10(CELLS), "grid cells"], ["curve", Math.log10(r), "share that counts"]]) {
      context.strokeStyle = colour(ink);
      path(context, [[x(1), y(slope)], [x(DIMENSIONS), y(slope * DIMENSIONS)]]);
      context.textAlign = "right";
      context.fillText(name, x(DIMENSIONS), y(slope * DIMENSIONS) + (slope > 1 ? 34 : -14));
    }
    context.setLineDash([4, 4]);
    context.lineWidth = 1;
    context.strokeStyle = colour("ink");
    path(context, [[x(throws.dimension), box.top], [x(throws.dimension), box.bottom]]);
    context.setLineDash([]);
    if (throws.squares > 0) dot(context, colour, "dot", x(throws.dimension), y(Math.log10(throws.counted())), 5);
  }

  function axes(context, colour, box, rows, columns) {
    context.lineWidth = 1;
    context.strokeStyle = colour("grid");
    context.textAlign = "right";
    for (const [y, text] of rows) {
      path(context, [[box.left, y], [box.right, y]]);
      context.fillText(text, box.left - 6, y);
    }
    context.textAlign = "center";
    for (const [x, text] of columns) context.fillText(text, Math.min(x, box.right - 4 * text.length + 4), box.bottom + 12);
  }

  function words(context, colour) {
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = colour("ink");
    context.textBaseline = "middle";
  }

  // The heights in the address, or null where they are damaged.
  function linkedHeights(text) {
    const values = (text || "").split("_").map(Number);
    if (values.length !== POINTS || values.some((v) => !Number.isFinite(v)) || values.every((v) => v === 0)) return null;
    return values.map((v) => Math.round(10 * Math.min(LIMIT, Math.max(-LIMIT, v))) / 10);
  }

  // A number whose base-ten logarithm is known, in words that do not overflow.
  function power(log10) {
    if (!Number.isFinite(log10)) return "0";
    if (Math.abs(log10) < 4) return (10 ** log10).toPrecision(3);
    const exponent = Math.floor(log10);
    const raised = String(exponent).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    return `${(10 ** (log10 - exponent)).toFixed(1)} · 10${raised}`;
  }
})();
