// The Ising model on a torus, sampled by checkerboard Gibbs updates, before the exact curves of
// Onsager (energy) and Yang (magnetization). The numbers are tested against ebmkit.

(function () {
  "use strict";

  const { draw } = window.explorables, { signed, rgb } = draw;
  const CRITICAL = 2 / Math.log(1 + Math.SQRT2);
  const SIZE = 64;
  const BURN_IN = 50; // sweeps that are thrown away after each change of temperature or field

  // p(s_i = +1 | the rest), where `neighbours` is the sum of the four neighbouring spins.
  function updateProbability(temperature, field, neighbours) {
    return 1 / (1 + Math.exp(-2 * (neighbours + field) / temperature));
  }

  // Yang 1952: the spontaneous magnetization per spin of the infinite lattice.
  function magnetization(temperature) {
    if (temperature >= CRITICAL) return 0;
    return (1 - Math.sinh(2 / temperature) ** -4) ** 0.125;
  }

  // Onsager 1944: the energy per spin of the infinite lattice.
  function energy(temperature) {
    const beta = 1 / temperature;
    const tanh = Math.tanh(2 * beta);
    const modulus = 2 * Math.sinh(2 * beta) / Math.cosh(2 * beta) ** 2;
    const weight = 2 * tanh * tanh - 1;
    if (Math.abs(weight) < 1e-12) return -Math.SQRT2;
    return -(1 + 2 / Math.PI * weight * ellipticK(modulus)) / tanh;
  }

  // The complete elliptic integral of the first kind, by the arithmetic-geometric mean.
  function ellipticK(modulus) {
    let a = 1, g = Math.sqrt((1 - modulus) * (1 + modulus));
    for (let i = 0; i < 40 && Math.abs(a - g) > 1e-15 * a; i++) [a, g] = [(a + g) / 2, Math.sqrt(a * g)];
    return Math.PI / (a + g);
  }

  class Lattice {
    constructor(size, temperature, field, seed, start) {
      Object.assign(this, { size, random: window.explorables.random(seed) });
      this.spins = new Int8Array(size * size);
      for (let i = 0; i < this.spins.length; i++) {
        this.spins[i] = start === "up" ? 1 : this.random() < 0.5 ? 1 : -1;
      }
      this.set(temperature, field);
    }

    set(temperature, field) {
      Object.assign(this, { temperature, field });
      this.table = [-4, -2, 0, 2, 4].map((sum) => updateProbability(temperature, field, sum));
    }

    neighbours(row, column) {
      const { size, spins } = this;
      const up = (row + size - 1) % size, down = (row + 1) % size;
      const left = (column + size - 1) % size, right = (column + 1) % size;
      return spins[up * size + column] + spins[down * size + column]
        + spins[row * size + left] + spins[row * size + right];
    }

    // One sweep: all even sites given the odd ones, then all odd sites given the even ones.
    sweep() {
      const { size, spins, table, random } = this;
      for (const colour of [0, 1]) {
        for (let row = 0; row < size; row++) {
          for (let column = (row + colour) % 2; column < size; column += 2) {
            const up = table[(this.neighbours(row, column) + 4) / 2];
            spins[row * size + column] = random() < up ? 1 : -1;
          }
        }
      }
    }

    meanSpin() {
      return this.spins.reduce((sum, spin) => sum + spin, 0) / this.spins.length;
    }

    // Energy per spin, every bond counted once.
    meanEnergy() {
      const { size, spins } = this;
      let bonds = 0;
      for (let row = 0; row < size; row++) {
        for (let column = 0; column < size; column++) {
          const spin = spins[row * size + column];
          bonds += spin * (spins[((row + 1) % size) * size + column] + spins[row * size + (column + 1) % size]);
        }
      }
      return -bonds / spins.length - this.field * this.meanSpin();
    }
  }

  window.explorables.ising = { criticalTemperature: CRITICAL, updateProbability, magnetization, energy, Lattice };

  window.explorables.define("ising", (kit) => {
    let lattice, sweeps, sums, measured;

    // What was measured, by temperature: the points in front of the curves.
    const points = new Map();

    function forget() {
      sweeps = measured = 0;
      sums = { m: 0, u: 0 };
    }

    function change() {
      lattice.set(Number(temperature.value), Number(field.value));
      forget();
    }

    const temperature = kit.slider({
      key: "T", label: "Temperature T", min: 1, max: 4, step: 0.01, value: 2.27,
      format: (v) => v.toFixed(2), onInput: change,
      mark: { at: CRITICAL, html: "T<sub>c</sub>", description: "Set the temperature next to the critical one" },
    });
    const field = kit.slider({
      key: "h", label: "Field h", min: -0.5, max: 0.5, step: 0.01, value: 0,
      format: (v) => v.toFixed(2).replace("-", "−"),
      onInput: () => { points.clear(); change(); },
      mark: { at: 0, html: "0", description: "Switch the field off" },
    });
    const start = kit.choice({
      key: "start", label: "Start from", options: [["random", "random spins"], ["up", "all up"]],
      onInput: () => kit.restart(),
    });

    function restart(seed) {
      lattice = new Lattice(SIZE, Number(temperature.value), Number(field.value), seed, start.value);
      window.explorables.ising.current = lattice;
      points.clear();
      forget();
    }

    function step() {
      lattice.sweep();
      sweeps++;
      if (sweeps <= BURN_IN) return;
      measured++;
      sums.m += Math.abs(lattice.meanSpin());
      sums.u += lattice.meanEnergy();
      points.set(lattice.temperature, { m: sums.m / measured, u: sums.u / measured });
    }

    const pixels = document.createElement("canvas");
    pixels.width = pixels.height = SIZE;

    kit.canvas({
      label: "The lattice: amber is spin up, blue is spin down",
      aspect: 1,
      draw(context, width, height, colour) {
        const [up, down] = [rgb(colour("up")), rgb(colour("down"))];
        const image = new ImageData(SIZE, SIZE);
        lattice.spins.forEach((spin, i) => image.data.set([...(spin > 0 ? up : down), 255], 4 * i));
        pixels.getContext("2d").putImageData(image, 0, 0);
        context.imageSmoothingEnabled = false;
        context.drawImage(pixels, 0, 0, width, height);
      },
    });

    kit.canvas({
      label: "Magnetization and energy per spin against temperature: exact curves, and the sampled means as dots",
      aspect: 1,
      draw(context, width, height, colour) {
        const half = height / 2;
        plot(context, colour, { left: 44, right: width - 8, top: 24, bottom: half - 22 }, {
          title: "|magnetization| per spin", low: 0, high: 1, ticks: [0, 0.5, 1],
          exact: magnetization, key: "m", ink: "curve", field: lattice.field, points, now: lattice.temperature,
        });
        plot(context, colour, { left: 44, right: width - 8, top: half + 24, bottom: height - 22 }, {
          title: "energy per spin", low: -2, high: 0, ticks: [-2, -1, 0],
          exact: energy, key: "u", ink: "curve2", field: lattice.field, points, now: lattice.temperature,
        });
      },
    });

    function readout() {
      const T = lattice.temperature;
      const now = `T = ${T.toFixed(2)} (critical: ${CRITICAL.toFixed(4)}), field ${signed(lattice.field, 2)}, sweep ${sweeps}: `
        + `|m| = ${Math.abs(lattice.meanSpin()).toFixed(3)}, energy per spin ${signed(lattice.meanEnergy(), 3)}.`;
      const mean = points.get(T);
      const means = measured && mean
        ? ` Means over ${measured} sweeps: |m| ${mean.m.toFixed(3)}, energy ${signed(mean.u, 3)}.`
        : ` The first ${BURN_IN} sweeps are not counted.`;
      const exact = lattice.field === 0
        ? ` Exact, infinite lattice: |m| ${magnetization(T).toFixed(3)}, energy ${signed(energy(T), 3)}.`
        : " With a field there is no closed form; the curves show the exact answer without one.";
      return now + means + exact;
    }

    kit.start({ restart, step, readout, unit: "sweep" });
  });

  function plot(context, colour, frame, { title, low, high, ticks, exact, key, ink, field, points, now }) {
    const box = draw.box(frame, [1, 4], [low, high]);
    draw.axes(context, colour, box, { title, rows: ticks, columns: [1, 2, 3, 4], digits: 1 });
    context.strokeStyle = colour("ink");
    draw.dashed(context, [4, 4], () => draw.path(context, [[box.x(CRITICAL), box.top], [box.x(CRITICAL), box.bottom]]));
    draw.text(context, colour, "Tc", box.x(CRITICAL), box.bottom + 12, "center");
    const curve = Array.from({ length: 301 }, (_, i) => 1 + i / 100).concat(CRITICAL - 1e-6, CRITICAL).sort((a, b) => a - b);
    context.lineWidth = 2;
    context.strokeStyle = colour(ink);
    draw.dashed(context, field === 0 ? [] : [2, 4], () => draw.path(context, curve.map((T) => [box.x(T), box.y(exact(T))])));
    for (const [T, means] of points) {
      draw.dot(context, colour, "dot", box.x(T), box.y(Math.min(high, Math.max(low, means[key]))), T === now ? 5 : 3.5);
    }
  }
})();
