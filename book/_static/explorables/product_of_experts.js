// Two or three Gaussian experts on a line, their product and their mixture: exact curves, with a histogram of
// samples of each behind. The numbers are tested against ebmkit.

(function () {
  "use strict";

  const LOW = -6, HIGH = 6, BINS = 80, PROPOSAL = 1.2;
  const NAMES = ["q", "r", "t"];

  // log N(x; mean, sd²)
  function logNormal(x, { mean, sd }) {
    return -0.5 * ((x - mean) / sd) ** 2 - Math.log(sd) - 0.5 * Math.log(2 * Math.PI);
  }

  // Π_m N(x; mean_m, sd_m²)^weight_m = e^logZ N(x; mean, sd²): precisions add and weigh the means.
  function product(experts) {
    const precisions = experts.map(({ sd, weight }) => weight / sd ** 2);
    const precision = precisions.reduce((sum, p) => sum + p, 0);
    const mean = precisions.reduce((sum, p, m) => sum + p * experts[m].mean, 0) / precision;
    const heights = experts.reduce((sum, e) => sum + e.weight * logNormal(mean, e), 0);
    return { mean, sd: precision ** -0.5, logZ: heights + 0.5 * Math.log(2 * Math.PI / precision) };
  }

  // Σ_m w_m N(x; mean_m, sd_m²), the weights divided by their sum.
  function mixture(x, experts) {
    const total = experts.reduce((sum, { weight }) => sum + weight, 0);
    return experts.reduce((sum, e) => sum + e.weight / total * Math.exp(logNormal(x, e)), 0);
  }

  function mixtureMoments(experts) {
    const total = experts.reduce((sum, { weight }) => sum + weight, 0);
    const mean = experts.reduce((sum, e) => sum + e.weight / total * e.mean, 0);
    const square = experts.reduce((sum, e) => sum + e.weight / total * (e.sd ** 2 + e.mean ** 2), 0);
    return { mean, sd: Math.sqrt(square - mean ** 2) };
  }

  class Tally {
    constructor() {
      Object.assign(this, { n: 0, sum: 0, squares: 0, bins: new Array(BINS).fill(0) });
    }

    add(x) {
      this.n++;
      this.sum += x;
      this.squares += x * x;
      const bin = Math.floor((x - LOW) / (HIGH - LOW) * BINS);
      if (bin >= 0 && bin < BINS) this.bins[bin]++;
    }

    get mean() { return this.sum / this.n; }
    get sd() { return Math.sqrt(Math.max(0, this.squares / this.n - this.mean ** 2)); }
  }

  // A random walk that sees only the experts' scores, and draws from the mixture beside it.
  class Samples {
    constructor(experts, seed) {
      Object.assign(this, { experts, random: window.explorables.random(seed), accepted: 0 });
      this.walker = product(experts).mean;
      this.product = new Tally();
      this.mixture = new Tally();
    }

    normal() {
      const radius = Math.sqrt(-2 * Math.log(1 - this.random()));
      return radius * Math.cos(2 * Math.PI * this.random());
    }

    score(x) {
      return this.experts.reduce((sum, e) => sum + e.weight * logNormal(x, e), 0);
    }

    step() {
      const proposal = this.walker + PROPOSAL * this.normal();
      if (Math.log(1 - this.random()) < this.score(proposal) - this.score(this.walker)) {
        this.walker = proposal;
        this.accepted++;
      }
      this.product.add(this.walker);
      const total = this.experts.reduce((sum, { weight }) => sum + weight, 0);
      let place = this.random() * total, chosen = 0;
      while (chosen < this.experts.length - 1 && place >= this.experts[chosen].weight) place -= this.experts[chosen++].weight;
      const { mean, sd } = this.experts[chosen];
      this.mixture.add(mean + sd * this.normal());
    }
  }

  window.explorables.product_of_experts = { logNormal, product, mixture, mixtureMoments, Samples };

  window.explorables.define("product_of_experts", (kit) => {
    let samples, dragged = null;
    const begin = () => kit.simulation && kit.restart();

    const count = kit.choice({
      key: "n", label: "Experts", options: [["2", "two: q and r"], ["3", "three: q, r and t"]], onInput: begin,
    });
    const sliders = NAMES.map((name, m) => ({
      mean: kit.slider({
        key: `m${name}`, label: `Mean of ${name}`, min: -4, max: 4, step: 0.1, value: [-1.5, 1.5, 0][m],
        format: (v) => signed(v, 1), onInput: begin,
      }),
      sd: kit.slider({
        key: `s${name}`, label: `Width of ${name}`, min: 0.3, max: 2.5, step: 0.1, value: [1, 0.8, 2][m],
        format: (v) => v.toFixed(1), onInput: begin,
      }),
    }));
    const weight = kit.slider({
      key: "w", label: "Weight of r", min: 0, max: 4, step: 0.1, value: 1, format: (v) => v.toFixed(1), onInput: begin,
      mark: { at: 1, html: "1", description: "Set the weight of r to one" },
    });

    function current() {
      return sliders.slice(0, Number(count.value)).map(({ mean, sd }, m) => ({
        mean: Number(mean.value), sd: Number(sd.value), weight: m === 1 ? Number(weight.value) : 1,
      }));
    }

    function restart(seed) {
      samples = new Samples(current(), seed);
      window.explorables.product_of_experts.current = samples;
      for (const { mean, sd } of sliders.slice(2)) {
        for (const input of [mean, sd]) input.disabled = samples.experts.length < 3;
      }
    }

    const canvas = kit.canvas({
      label: "The experts' densities as thin curves; drag a curve's peak sideways to move that expert",
      aspect: 1.25,
      draw(context, width, height, colour) {
        const { experts } = samples;
        const top = 1.15 * Math.max(...experts.map((e) => Math.exp(logNormal(e.mean, e))));
        const box = frame(context, width, height, colour, "experts (drag them)", top);
        experts.forEach((expert, m) => {
          context.strokeStyle = context.fillStyle = colour(["curve", "curve2", "dot"][m]);
          context.lineWidth = 2;
          context.globalAlpha = expert.weight === 0 ? 0.35 : 1;
          curve(context, box, (x) => Math.exp(logNormal(x, expert)));
          const peak = [box.x(expert.mean), box.y(Math.exp(logNormal(expert.mean, expert)))];
          context.beginPath();
          context.arc(...peak, 7, 0, 2 * Math.PI);
          context.fill();
          context.textAlign = "center";
          context.fillText(NAMES[m], peak[0], peak[1] - 15);
          context.globalAlpha = 1;
        });
      },
    });

    kit.canvas({
      label: "Product, solid, and mixture, dashed: exact curves over histograms of samples",
      aspect: 1.25,
      draw(context, width, height, colour) {
        const { experts } = samples, exact = product(experts);
        const peak = Math.exp(logNormal(exact.mean, exact));
        const box = frame(context, width, height, colour, "product (solid) and mixture (dashed)", 1.25 * Math.max(peak, mixture(exact.mean, experts)));
        histogram(context, box, samples.mixture, colour("ink"), 0.2);
        histogram(context, box, samples.product, colour("curve3"), 0.4);
        context.lineWidth = 2;
        context.strokeStyle = colour("ink");
        context.setLineDash([6, 4]);
        curve(context, box, (x) => mixture(x, experts));
        context.setLineDash([]);
        context.strokeStyle = colour("curve3");
        curve(context, box, (x) => Math.exp(logNormal(x, exact)));
      },
    });

    // Sideways drags move an expert; up and down still scrolls the page on a touch screen.
    canvas.style.touchAction = "pan-y";
    canvas.style.cursor = "grab";
    const place = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      return LOW + (event.clientX - left - 12) / (width - 24) * (HIGH - LOW);
    };
    canvas.addEventListener("pointerdown", (event) => {
      const distances = samples.experts.map(({ mean }) => Math.abs(mean - place(event)));
      dragged = distances.indexOf(Math.min(...distances));
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => dragged !== null && move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { dragged = null; });

    function move(event) {
      const input = sliders[dragged].mean;
      input.value = place(event);
      input.dispatchEvent(new Event("input"));
    }

    function readout() {
      const { experts } = samples, exact = product(experts), mixed = mixtureMoments(experts);
      const seen = (tally) => tally.n ? ` (sampled ${signed(tally.mean, 2)} and ${tally.sd.toFixed(2)})` : "";
      return `Product: mean ${signed(exact.mean, 2)}, width ${exact.sd.toFixed(2)}${seen(samples.product)}, log Z = ${signed(exact.logZ, 3)}.`
        + ` Mixture: mean ${signed(mixed.mean, 2)}, width ${mixed.sd.toFixed(2)}${seen(samples.mixture)}, log Z = 0.`
        + ` Samples of each: ${samples.product.n}.`;
    }

    kit.start({ restart, step: () => samples.step(), readout, unit: "sample" });
  });

  function frame(context, width, height, colour, title, top) {
    const left = 12, right = width - 12, ceiling = 30, floor = height - 22;
    const box = {
      x: (x) => left + (x - LOW) / (HIGH - LOW) * (right - left),
      y: (v) => floor - Math.min(v / top, 1) * (floor - ceiling),
      floor,
    };
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = context.strokeStyle = colour("ink");
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(title, left, 10);
    context.beginPath();
    context.moveTo(left, floor);
    context.lineTo(right, floor);
    context.stroke();
    context.textAlign = "center";
    for (let tick = LOW + 2; tick < HIGH; tick += 2) context.fillText(signed(tick, 0), box.x(tick), floor + 12);
    return box;
  }

  function curve(context, box, f) {
    context.beginPath();
    for (let i = 0; i <= 300; i++) {
      const x = LOW + i / 300 * (HIGH - LOW);
      context.lineTo(box.x(x), box.y(f(x)));
    }
    context.stroke();
  }

  function histogram(context, box, tally, ink, alpha) {
    if (!tally.n) return;
    const wide = (HIGH - LOW) / BINS;
    context.fillStyle = ink;
    context.globalAlpha = alpha;
    tally.bins.forEach((k, i) => {
      const x = LOW + i * wide, y = box.y(k / tally.n / wide);
      context.fillRect(box.x(x), y, box.x(x + wide) - box.x(x), box.floor - y);
    });
    context.globalAlpha = 1;
  }

  function signed(value, digits) {
    return value.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
  }
})();
