// A die with three faces as an exponential family: natural parameters θ, mean parameters μ = ∇A(θ), entropy, the
// tangent of A, rolls whose estimates spread as the Fisher information says, and gradient steps towards a target
// mean, under the gap that is left. Tested against ebmkit.

(function () {
  "use strict";

  const LIMIT = 4; // both natural parameters stay between -LIMIT and LIMIT
  const ROLLS = 10; // rolls in one step
  const RATE = 1; // of learning; the curvature of A is below 1/2, so steps up to 4 would not diverge
  const { draw } = window.explorables, { signed, path, dot, clipped } = draw;

  // A(θ) = log(1 + e^θ₁ + e^θ₂); the third face is the reference.
  function logPartition([a, b]) {
    const highest = Math.max(0, a, b);
    return highest + Math.log(Math.exp(-highest) + Math.exp(a - highest) + Math.exp(b - highest));
  }

  // The three probabilities; the first two are the mean parameters.
  function probabilities(theta) {
    const A = logPartition(theta);
    return [Math.exp(theta[0] - A), Math.exp(theta[1] - A), Math.exp(-A)];
  }

  function natural([p1, p2, p3]) {
    return [Math.log(p1 / p3), Math.log(p2 / p3)];
  }

  // ∇²A(θ) = Cov[t(x)]: the Fisher information.
  function covariance(theta) {
    const [p, q] = probabilities(theta);
    return [[p * (1 - p), -p * q], [-p * q, q * (1 - q)]];
  }

  function entropyOf(p) {
    return -p.reduce((sum, share) => sum + (share > 0 ? share * Math.log(share) : 0), 0);
  }

  // H = A(θ) - θ·μ
  function entropy(theta) {
    const [p, q] = probabilities(theta);
    return logPartition(theta) - theta[0] * p - theta[1] * q;
  }

  // KL(p_θ ‖ p_θ'): the gap at θ' above the tangent at θ.
  function divergence(theta, other) {
    const [p, q] = probabilities(theta);
    return logPartition(other) - logPartition(theta) - p * (other[0] - theta[0]) - q * (other[1] - theta[1]);
  }

  // Lines of equal entropy in mean parameters: from the fair die outwards along each direction, by bisection.
  const LEVELS = [0.2, 0.4, 0.6, 0.8, 0.95].map((share) => share * Math.log(3));
  const LINES = LEVELS.map((level) => Array.from({ length: 721 }, (_, i) => {
    const angle = i / 720 * 2 * Math.PI, step = [Math.cos(angle), Math.sin(angle)];
    const at = (r) => [1 / 3 + r * step[0], 1 / 3 + r * step[1], 1 / 3 - r * (step[0] + step[1])];
    const edge = Math.min(...[step[0], step[1], -step[0] - step[1]].map((s) => s < -1e-12 ? -1 / (3 * s) : Infinity));
    if (entropyOf(at(edge * (1 - 1e-12))) > level) return null; // this line leaves the triangle here
    let [low, high] = [0, edge];
    for (let k = 0; k < 40; k++) {
      const middle = (low + high) / 2;
      if (entropyOf(at(middle)) > level) low = middle;
      else high = middle;
    }
    return at(low);
  }));

  // Two standard deviations of the mean of n rolls around the die: the ellipse of ∇²A / n.
  function spread(theta, n) {
    const [p, q] = probabilities(theta), [[a, b], [, c]] = covariance(theta);
    const l = Math.sqrt(a), k = b / l, m = Math.sqrt(Math.max(0, c - k * k)), size = 2 / Math.sqrt(n);
    return Array.from({ length: 61 }, (_, i) => {
      const s = Math.cos(i / 30 * Math.PI), t = Math.sin(i / 30 * Math.PI);
      return [p + size * l * s, q + size * (k * s + m * t)];
    });
  }

  class Rolls {
    constructor(theta, seed) {
      Object.assign(this, { theta, random: window.explorables.random(seed), counts: [0, 0, 0], n: 0 });
      this.p = probabilities(theta);
    }

    step() {
      for (let i = 0; i < ROLLS; i++) {
        const u = this.random();
        this.counts[u < this.p[0] ? 0 : u < this.p[0] + this.p[1] ? 1 : 2]++;
      }
      this.n += ROLLS;
    }

    // Frequencies, which are the mean statistics t̄ and the rest; null before the first roll.
    frequencies() {
      return this.n ? this.counts.map((count) => count / this.n) : null;
    }

    // The θ of largest likelihood; null where a face has not come up and no finite θ is best.
    estimate() {
      return this.n && this.counts.every((count) => count > 0) ? natural(this.counts) : null;
    }
  }

  // Gradient steps θ ← θ + rate (μ* - μ(θ)) on the likelihood of data whose mean statistics are the target μ*.
  class Learner {
    constructor(theta, target) {
      Object.assign(this, { theta, target, n: 0, path: [theta] });
      this.goal = natural([...target, 1 - target[0] - target[1]]);
    }

    get p() { return probabilities(this.theta); }

    // What the likelihood still lacks: KL(p* ‖ p_θ), the gap at θ above the tangent of A at θ*.
    gap() { return divergence(this.goal, this.theta); }

    step() {
      const [p, q] = this.p;
      this.theta = [this.theta[0] + RATE * (this.target[0] - p), this.theta[1] + RATE * (this.target[1] - q)];
      this.path.push(this.theta);
      this.n++;
    }

    // Drawn where a die's frequencies and estimate are.
    frequencies() { return probabilities(this.goal); }
    estimate() { return this.goal; }
  }

  window.explorables.exponential_families = { logPartition, probabilities, natural, covariance, entropy, divergence, spread, lines: LINES, Rolls, Learner };

  window.explorables.define("exponential_families", (kit) => {
    let rolls; // or a Learner, which has the same parts

    const mode = kit.choice({
      key: "mode", label: "Each step", options: [["roll", `rolls the die ${ROLLS} times`], ["learn", "learns: one gradient step to the target"]],
      onInput: again,
    });
    const sliders = ["θ₁", "θ₂"].map((label, k) => kit.slider({
      key: `t${k + 1}`, label, min: -LIMIT, max: LIMIT, step: 0.05, value: [1, -0.5][k],
      format: (v) => signed(v, 2), onInput: again,
      mark: { at: 0, html: "0", description: `Set ${label} to zero` },
    }));
    const targets = ["μ₁", "μ₂"].map((label, k) => kit.slider({
      key: `a${k + 1}`, label: `Target ${label}`, min: 0.02, max: 0.96, step: 0.01, value: [0.2, 0.5][k],
      format: (v) => v.toFixed(2), onInput: again,
    }));
    // A mean of three faces: the second target gives way where the two leave nothing for the third.
    function target() {
      const [first, second] = targets.map((slider) => Number(slider.value));
      return [first, Math.min(second, 0.98 - first)];
    }
    const theta = () => sliders.map((slider) => Number(slider.value));

    function again() {
      if (rolls) restart(kit.seed());
    }

    function restart(seed) {
      rolls = mode.value === "learn" ? new Learner(theta(), target()) : new Rolls(theta(), seed);
      for (const slider of targets) slider.disabled = mode.value !== "learn";
      window.explorables.exponential_families.current = rolls;
    }

    function setNatural(values) {
      values.forEach((value, k) => {
        sliders[k].value = Math.min(LIMIT, Math.max(-LIMIT, value));
        sliders[k].dispatchEvent(new Event("input"));
      });
    }

    const plane = kit.canvas({
      label: "The plane of natural parameters with lines of equal entropy, the die, and the estimate from its rolls",
      aspect: 1,
      draw: (context, width, height, colour) => drawPlane(context, planeBox(width, height), colour, rolls),
    });
    const triangle = kit.canvas({
      label: "The triangle of mean parameters with lines of equal entropy, the die, its frequencies, and where they should lie",
      aspect: 1,
      draw: (context, width, height, colour) => drawTriangle(context, triangleBox(width, height), colour, rolls),
    });
    kit.canvas({
      label: "The log-partition function on a line with its tangent: the slope is a mean parameter, and the gap above it is a divergence",
      aspect: 1.5,
      draw: (context, width, height, colour) => drawTangent(context, width, height, colour, rolls),
    });
    kit.canvas({
      label: "The probabilities of the three faces as bars, and the frequencies of the rolls as dots",
      aspect: 1.5,
      draw: (context, width, height, colour) => drawFaces(context, width, height, colour, rolls),
    });

    draggable(plane, planeBox, () => rolls.theta, (x, y, box) => setNatural([box.u(x), box.v(y)]));
    draggable(triangle, triangleBox, () => rolls.p, (x, y, box) => {
      const p = Math.max(box.u(x), 0.003), q = Math.max(box.v(y), 0.003);
      const total = Math.max(1, (p + q) / 0.997);
      setNatural(natural([p / total, q / total, 1 - (p + q) / total]));
    });

    function learned() {
      const { theta: t, p, n, target: goal } = rolls;
      return `Step ${n}: θ = (${signed(t[0], 2)}, ${signed(t[1], 2)}), μ = (${p[0].toFixed(4)}, ${p[1].toFixed(4)}),`
        + ` target mean (${goal[0].toFixed(2)}, ${goal[1].toFixed(2)}). The gap that learning closes, KL(target ‖ die) = ${rolls.gap().toFixed(4)};`
        + ` it is zero at θ = (${signed(rolls.goal[0], 2)}, ${signed(rolls.goal[1], 2)}).`;
    }

    function readout() {
      if (rolls instanceof Learner) return learned();
      const { p, n } = rolls, t = rolls.theta, cov = covariance(t);
      const exact = `θ = (${signed(t[0], 2)}, ${signed(t[1], 2)}): A = ${logPartition(t).toFixed(4)},`
        + ` μ = (${p[0].toFixed(4)}, ${p[1].toFixed(4)}), entropy ${entropy(t).toFixed(4)} (at most ${Math.log(3).toFixed(4)}).`;
      if (!n) return `${exact} No roll yet.`;
      const f = rolls.frequencies(), error = cov.map((row, k) => Math.sqrt(row[k] / n));
      const estimate = rolls.estimate();
      return `${exact} ${n} rolls: mean statistics (${f[0].toFixed(4)}, ${f[1].toFixed(4)}),`
        + ` exact standard deviations (${error[0].toFixed(4)}, ${error[1].toFixed(4)}).`
        + (estimate
          ? ` Most likely θ: (${signed(estimate[0], 2)}, ${signed(estimate[1], 2)}), at divergence ${divergence(estimate, t).toFixed(4)}.`
          : " A face has not come up, so no finite θ is most likely.");
    }

    kit.start({ restart, step: () => rolls.step(), readout, unit: "round" });
  });

  // The mouse moves the die anywhere; a finger takes it where it is, so that the page still scrolls elsewhere.
  function draggable(canvas, boxOf, die, move) {
    let held = false;
    const place = (event) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top, boxOf(width, height)];
    };
    canvas.style.touchAction = "pan-y";
    canvas.addEventListener("touchstart", (event) => { if (held) event.preventDefault(); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y, box] = place(event), [u, v] = die();
      if (event.pointerType === "touch" && Math.hypot(box.x(u) - x, box.y(v) - y) > 40) return;
      held = true;
      canvas.setPointerCapture(event.pointerId);
      move(x, y, box);
    });
    canvas.addEventListener("pointermove", (event) => { if (held) move(...place(event)); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = false; });
  }

  function planeBox(width, height) {
    return draw.box({ left: 30, right: width - 10, top: 24, bottom: height - 26 }, [-LIMIT, LIMIT], [-LIMIT, LIMIT]);
  }

  function triangleBox(width, height) {
    return draw.box({ left: 30, right: width - 10, top: 24, bottom: height - 26 }, [0, 1], [0, 1]);
  }

  function entropyLines(context, colour, place) {
    context.strokeStyle = colour("curve");
    context.globalAlpha = 0.6;
    context.lineWidth = 1;
    for (const points of LINES) {
      context.beginPath();
      let pen = false;
      for (const p of points) {
        if (p) pen ? context.lineTo(...place(p)) : context.moveTo(...place(p));
        pen = p !== null;
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  function drawPlane(context, box, colour, rolls) {
    words(context, colour);
    context.textAlign = "left";
    context.fillText("natural parameters: drag the die", box.left, 10);
    axes(context, colour, box, [-4, -2, 0, 2, 4], "θ₁", "θ₂", 0);
    clipped(context, box, () => {
      entropyLines(context, colour, (p) => { const t = natural(p); return [box.x(t[0]), box.y(t[1])]; });
      trail(context, colour, rolls, (t) => [box.x(t[0]), box.y(t[1])]);
      const estimate = rolls.estimate();
      if (estimate) dot(context, colour, "dot", box.x(estimate[0]), box.y(estimate[1]), 5);
    });
    dot(context, colour, "curve2", box.x(rolls.theta[0]), box.y(rolls.theta[1]), 7);
  }

  function drawTriangle(context, box, colour, rolls) {
    words(context, colour);
    context.textAlign = "left";
    context.fillText("mean parameters: drag the die", box.left, 10);
    axes(context, colour, box, [0, 0.5, 1], "μ₁", "μ₂", 1);
    entropyLines(context, colour, ([p, q]) => [box.x(p), box.y(q)]);
    context.strokeStyle = colour("ink");
    context.lineWidth = 1.5;
    path(context, [[box.x(0), box.y(0)], [box.x(1), box.y(0)], [box.x(0), box.y(1)], [box.x(0), box.y(0)]]);
    const f = rolls.frequencies();
    trail(context, colour, rolls, (t) => { const [p, q] = probabilities(t); return [box.x(p), box.y(q)]; });
    if (f && rolls instanceof Rolls) {
      context.strokeStyle = colour("curve2");
      path(context, spread(rolls.theta, rolls.n).map(([u, v]) => [box.x(u), box.y(v)]));
    }
    dot(context, colour, "curve2", box.x(rolls.p[0]), box.y(rolls.p[1]), 7);
    if (f) dot(context, colour, "dot", box.x(f[0]), box.y(f[1]), 5);
  }

  // Where learning has been.
  function trail(context, colour, rolls, place) {
    if (!(rolls instanceof Learner)) return;
    context.strokeStyle = colour("curve2");
    context.lineWidth = 1.5;
    path(context, rolls.path.map(place));
  }

  function drawTangent(context, width, height, colour, die) {
    const frame = { left: 30, right: width - 10, top: 26, bottom: height - 26 };
    if (die instanceof Learner) drawGap(context, frame, colour, die);
    else drawSlope(context, frame, colour, die);
  }

  // A along θ₁ with its tangent at the die.
  function drawSlope(context, frame, colour, { theta, p }) {
    const A = (t) => logPartition([t, theta[1]]), box = draw.box(frame, [-LIMIT, LIMIT], [-1, A(LIMIT)]);
    draw.axes(context, colour, box, {
      title: `A along θ₁; the tangent has slope μ₁ = ${p[0].toFixed(3)}`, rows: [0, 2, 4].filter((v) => v < A(LIMIT)), columns: [-4, -2, 0, 2, 4],
    });
    lines(context, colour, box, A, (t) => A(theta[0]) + p[0] * (t - theta[0]));
    dot(context, colour, "curve2", box.x(theta[0]), box.y(A(theta[0])), 6);
  }

  // A along the line from the target's θ* (at 0) to the die's θ (at 1), with its tangent at θ*: the gap at θ.
  function drawGap(context, frame, colour, learner) {
    const { goal, theta, target } = learner, step = [0, 1].map((k) => learner.path[0][k] - goal[k]);
    const length = Math.hypot(...step) || 1, along = (s) => goal.map((g, k) => g + s * step[k]);
    const now = [0, 1].reduce((sum, k) => sum + (theta[k] - goal[k]) * step[k], 0) / length ** 2;
    // Learning does not follow a straight line: each θ is drawn by its own gap, at its distance from θ*.
    const slope = target[0] * step[0] + target[1] * step[1];
    const A = (s) => logPartition(along(s)), tangent = (s) => A(0) + slope * s;
    const values = [-0.5, 0, 0.5, 1, 1.25].map(A), low = Math.min(...values, tangent(-0.5), tangent(1.25)), high = Math.max(...values);
    const box = draw.box(frame, [-0.5, 1.25], [low - 0.1 * (high - low) - 0.05, high + 0.05]);
    draw.text(context, colour, `gap at θ above the tangent at θ*: ${learner.gap().toFixed(4)}`, box.left, box.top - 14);
    lines(context, colour, box, A, tangent);
    const at = Math.min(1.25, Math.max(-0.5, now)), foot = tangent(at), top = foot + learner.gap();
    context.strokeStyle = colour("ink");
    context.lineWidth = 3;
    path(context, [[box.x(at), box.y(foot)], [box.x(at), box.y(top)]]);
    dot(context, colour, "dot", box.x(0), box.y(A(0)), 5);
    dot(context, colour, "curve2", box.x(at), box.y(top), 6);
    draw.text(context, colour, "θ*", box.x(0), box.bottom + 12, "center");
    draw.text(context, colour, "start", box.x(1), box.bottom + 12, "center");
  }

  function lines(context, colour, box, curve, tangent) {
    const places = Array.from({ length: 161 }, (_, i) => box.u(box.left + i / 160 * (box.right - box.left)));
    clipped(context, box, () => {
      context.lineWidth = 2;
      context.strokeStyle = colour("curve");
      path(context, places.map((t) => [box.x(t), box.y(curve(t))]));
      context.strokeStyle = colour("curve2");
      path(context, places.map((t) => [box.x(t), box.y(tangent(t))]));
    });
  }

  function drawFaces(context, width, height, colour, rolls) {
    const box = { left: 30, right: width - 10, top: 26, bottom: height - 26 };
    const y = (v) => box.bottom - v * (box.bottom - box.top);
    words(context, colour);
    context.textAlign = "left";
    context.fillText(`faces: bars exact, dots ${rolls instanceof Learner ? "the target" : "rolled"}`, box.left, 10);
    context.strokeStyle = colour("grid");
    context.lineWidth = 1;
    context.textAlign = "right";
    for (const v of [0, 0.5, 1]) {
      path(context, [[box.left, y(v)], [box.right, y(v)]]);
      context.fillText(v === 0.5 ? "0.5" : String(v), box.left - 6, y(v));
    }
    const f = rolls.frequencies(), slot = (box.right - box.left) / 3;
    rolls.p.forEach((share, k) => {
      const middle = box.left + (k + 0.5) * slot;
      context.globalAlpha = 0.55;
      context.fillStyle = colour("curve");
      context.fillRect(middle - slot / 3, y(share), 2 * slot / 3, box.bottom - y(share));
      context.globalAlpha = 1;
      context.fillStyle = colour("ink");
      context.textAlign = "center";
      context.fillText(["face 1", "face 2", "face 3"][k], middle, box.bottom + 12);
      if (f) dot(context, colour, "dot", middle, y(f[k]), 5);
    });
  }

  function axes(context, colour, box, ticks, right, up, digits) {
    context.lineWidth = 1;
    context.strokeStyle = colour("grid");
    for (const tick of ticks) {
      const text = tick === 0 ? "0" : signed(tick, digits);
      path(context, [[box.left, box.y(tick)], [box.right, box.y(tick)]]);
      path(context, [[box.x(tick), box.top], [box.x(tick), box.bottom]]);
      context.textAlign = "right";
      context.fillText(text, box.left - 5, box.y(tick));
      context.textAlign = "center";
      context.fillText(text, Math.min(box.x(tick), box.right - 6), box.bottom + 10);
    }
    context.fillText(right, box.right - 30, box.bottom - 10);
    context.fillText(up, box.left + 14, box.top + 26);
  }

  function words(context, colour) {
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = colour("ink");
    context.textBaseline = "middle";
  }
})();
