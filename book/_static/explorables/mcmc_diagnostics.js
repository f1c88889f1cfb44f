// R-hat and the effective sample size of chains (arrays of numbers), as in Vehtari et al. (2021).

(function () {
  "use strict";

  function split(chains) {
    const half = Math.floor(chains[0].length / 2);
    return [...chains.map((c) => c.slice(0, half)), ...chains.map((c) => c.slice(-half))];
  }

  // Inverse of the normal distribution function: Wichura's AS 241, to sixteen digits.
  function probit(p) {
    const polynomial = (c, r) => c.reduceRight((sum, a) => sum * r + a, 0);
    const q = p - 0.5;
    if (Math.abs(q) <= 0.425) {
      const r = 0.180625 - q * q;
      return q * polynomial([3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
        45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727], r)
        / polynomial([1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
          39307.89580009271061, 28729.085735721942674, 5226.495278852545925], r);
    }
    let r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p)), value;
    if (r <= 5) {
      r -= 1.6;
      value = polynomial([1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
        1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4], r)
        / polynomial([1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
          0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9], r);
    } else {
      r -= 5;
      value = polynomial([6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
        0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5, 2.01033439929228813265e-7], r)
        / polynomial([1, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525,
          7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15], r);
    }
    return q < 0 ? -value : value;
  }

  // Normal scores of the ranks over all chains; equal values share their mean rank.
  function normalScores(chains) {
    const flat = chains.flat(), n = flat.length;
    const order = Array.from(flat.keys()).sort((i, j) => flat[i] - flat[j]);
    const scores = new Array(n);
    for (let low = 0; low < n;) {
      let high = low;
      while (high < n && flat[order[high]] === flat[order[low]]) high++;
      const score = probit(((low + high + 1) / 2 - 0.375) / (n + 0.25));
      for (; low < high; low++) scores[order[low]] = score;
    }
    const length = chains[0].length;
    return chains.map((_, c) => scores.slice(c * length, (c + 1) * length));
  }

  const average = (v) => v.reduce((sum, u) => sum + u, 0) / v.length;

  function variance(v) {
    const m = average(v);
    return v.reduce((sum, u) => sum + (u - m) ** 2, 0) / (v.length - 1);
  }

  function plainRhat(chains) {
    const n = chains[0].length;
    const within = average(chains.map(variance)), between = n * variance(chains.map(average));
    return Math.sqrt((between / within + n - 1) / n);
  }

  function rHat(chains) {
    const halves = split(chains), sorted = halves.flat().sort((a, b) => a - b), n = sorted.length;
    const median = 0.5 * (sorted[Math.floor((n - 1) / 2)] + sorted[Math.floor(n / 2)]);
    const folded = halves.map((c) => c.map((u) => Math.abs(u - median)));
    const [bulk, tails] = [halves, folded].map((c) => plainRhat(normalScores(c)));
    return Number.isNaN(tails) ? bulk : Math.max(bulk, tails);
  }

  // Size over autocorrelation time, the autocorrelations summed in pairs while a pair is positive (Geyer).
  function ess(chains) {
    const halves = normalScores(split(chains)), n = halves[0].length, size = n * halves.length;
    const centred = halves.map((c) => { const m = average(c); return c.map((u) => u - m); });
    const covariance = (t) => average(centred.map((c) => {
      let sum = 0;
      for (let i = 0; i + t < n; i++) sum += c[i] * c[i + t];
      return sum / n;
    }));
    const zero = covariance(0), within = zero * n / (n - 1), pooled = zero + variance(halves.map(average));
    if (!(pooled > 0)) return size;
    const rho = (t) => t === 0 ? 1 : 1 - (within - covariance(t)) / pooled;
    const pairs = 1 + Math.max(0, Math.ceil((n - 4) / 2));
    let kept = 0, smallest = Infinity, final = 0;
    for (let k = 0; k < pairs; k++) {
      const even = rho(2 * k), pair = even + rho(2 * k + 1);
      if (pair <= 0 || k === pairs - 1) {
        final = even > 0 || pair > 0 ? even : 0;
        break;
      }
      smallest = Math.min(smallest, pair);
      kept += smallest;
    }
    return size / Math.max(-1 + 2 * kept + final, 1 / Math.log10(size));
  }

  Object.assign(window.explorables.mcmc, { rHat, ess, probit, average });
})();
