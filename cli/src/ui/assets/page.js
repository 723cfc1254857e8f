// The script of the page. It reads the page again after an event, and uploads folders.
// Texts become text nodes alone: nothing here writes HTML.
"use strict";

const UPLOADS_AT_ONCE = 4;

// ------------------------------------------------------------------------ live

function watch(address) {
  let source = null;
  const start = () => {
    if (source || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("change", () => readAgain().catch(() => {}));
  };
  // A hidden page needs no connection: a browser has few of them for one host.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return start();
    if (source) source.close();
    source = null;
  });
  start();
}

let isReading = false;
let mustRead = false;

async function readAgain() {
  mustRead = true;
  if (isReading) return;
  isReading = true;
  try {
    while (mustRead) {
      mustRead = false;
      const response = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!response.ok) return;
      const next = new DOMParser().parseFromString(await response.text(), "text/html");
      document.querySelectorAll("[data-region]").forEach((region) => replaceRegion(region, next.getElementById(region.id)));
    }
  } finally {
    isReading = false;
  }
}

const FOCUSABLE = "a[href], button, summary, input, select, textarea";

function replaceRegion(region, next) {
  if (!next || region.isEqualNode(next)) return;
  const focused = [...region.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  const open = [...region.querySelectorAll("details")].map((details) => details.open);
  const fresh = document.importNode(next, true);
  fresh.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? false; });
  region.replaceWith(fresh);
  if (focused >= 0) {
    const target = fresh.querySelectorAll(FOCUSABLE)[focused];
    if (target) target.focus({ preventScroll: true });
  }
}

// ---------------------------------------------------------------------- upload

// A file with its path in the chosen folder.
const withPath = (file, path) => ({ file, path });

async function filesOfEntry(entry, path) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [withPath(file, path || file.name)];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A reader returns a limited number of entries at a time.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return found;
    for (const child of entries) {
      found.push(...(await filesOfEntry(child, path ? `${path}/${child.name}` : child.name)));
    }
  }
}

async function filesOfDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  // Some sources of a drag offer files without entries.
  if (!entries.length) return [...transfer.files].map((file) => withPath(file, file.name));
  const found = [];
  for (const entry of entries) found.push(...(await filesOfEntry(entry, "")));
  return found;
}

// The name of the chosen folder is not part of a document's name, as in `docket submit`.
const filesOfInput = (input) =>
  [...input.files].map((file) => withPath(file, file.webkitRelativePath.split("/").slice(1).join("/") || file.name));

function uploadForm(form) {
  const element = (id) => document.getElementById(id);
  const [details, chosen, progress, problems, submit] = ["new", "chosen", "progress", "problems", "submit"].map(element);
  let files = [];

  const choose = (found) => {
    files = found;
    const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
    chosen.textContent = files.length
      ? `Chosen files: ${files.length}, ${(bytes / 1e6).toFixed(1)} MB.`
      : "No file is chosen.";
  };
  const fail = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    problems.append(item);
  };

  for (const id of ["folder", "files"]) {
    element(id).addEventListener("change", (event) => choose(filesOfInput(event.target)));
  }
  // The whole page takes a drop: a file that misses a small field would replace the page.
  for (const name of ["dragenter", "dragover"]) {
    window.addEventListener(name, (event) => { event.preventDefault(); details.classList.add("over"); });
  }
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) details.classList.remove("over"); });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    details.classList.remove("over");
    details.open = true;
    filesOfDrop(event.dataTransfer).then(choose, () => fail("The folder could not be read."));
  });

  const uploadOne = async (batch, { file, path }) => {
    const address = `/batches/${encodeURIComponent(batch)}/documents?path=${encodeURIComponent(path)}`;
    const response = await fetch(address, { method: "POST", body: file });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    if (text.startsWith("skipped")) fail(`${path}: ${text}`);
    return !text.startsWith("skipped");
  };

  const run = async () => {
    problems.replaceChildren();
    if (!files.length) return fail("Choose a folder or files first.");
    const fields = new URLSearchParams();
    for (const name of ["batch", "labels", "instructions", "schema"]) fields.set(name, form.elements[name].value);
    const created = await fetch("/batches", { method: "POST", body: fields });
    const batch = await created.text();
    if (!created.ok) return fail(batch);
    const queue = [...files];
    let [done, uploaded, hasFailed] = [0, 0, false];
    progress.hidden = false;
    progress.max = files.length;
    const work = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        try {
          if (await uploadOne(batch, next)) uploaded += 1;
        } catch (error) {
          hasFailed = true;
          fail(`${next.path}: ${error.message}`);
        }
        done += 1;
        progress.value = done;
        chosen.textContent = `${done} of ${files.length} files sent.`;
      }
    };
    await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, work));
    chosen.textContent = `${uploaded} of ${files.length} files are in the batch ${batch}.`;
    // Otherwise the reasons stay in view; a second upload sends what is missing.
    if (uploaded && !hasFailed && !problems.childElementCount) location.href = `/batches/${encodeURIComponent(batch)}`;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit.disabled = true;
    run().catch((error) => fail(error.message)).finally(() => { submit.disabled = false; });
  });
}

const live = document.body.dataset.live;
if (live) watch(live);
const form = document.querySelector("form[data-upload]");
if (form) uploadForm(form);
