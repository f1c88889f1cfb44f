// Python in a worker: it loads once, then runs what the page sends. To stop it the page ends the worker.
"use strict";

const SITE = new URL("../../", self.location.href).href;
const VENDOR = `${SITE}live/vendor/python/`;
const HOME = "/lib/page";
let python = null;

async function archive(address, folder) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} is not there (${answer.status})`);
  python.unpackArchive(await answer.arrayBuffer(), "zip", {extractDir: folder});
}

async function start() {
  importScripts(`${VENDOR}pyodide.js`);
  python = await loadPyodide({indexURL: VENDOR});
  self.postMessage({state: "loading NumPy"});
  python.FS.mkdirTree(HOME);
  await Promise.all([
    archive(`${VENDOR}numpy.zip`, "/lib/python3.12/site-packages"),
    archive(`${SITE}live/modules.zip`, HOME),
  ]);
  python.runPython(`
import json, sys, warnings
sys.path.insert(0, "${HOME}")
import cells

def run(request, post):
    asked = json.loads(request)
    return cells.run(asked["cells"], asked["targets"], lambda item: post(json.dumps(item)))
`);
}

const ready = start().then(
  () => self.postMessage({state: "ready"}),
  (error) => self.postMessage({state: "failed", message: String(error.message || error)}),
);

self.onmessage = async ({data}) => {
  await ready;
  const post = (item) => self.postMessage({run: data.run, item: JSON.parse(item)});
  let passed = false;
  try {
    passed = python.globals.get("run")(JSON.stringify(data), post);
  } catch (error) {  // Python itself broke down: out of memory, or a fault of its own
    self.postMessage({run: data.run, broken: String(error.message || error).split("\n").slice(-2).join(" ")});
    return;
  }
  self.postMessage({run: data.run, done: true, passed});
};
