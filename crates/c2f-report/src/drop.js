// What pages share on which pictures are dropped, pasted or chosen: each goes to the page's own `ask(file)`.
const at = (selector) => document.querySelector(selector);
const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

// Shows classes, each a label and a score in 0..1, in a list.
function listClasses(list, classes) {
  list.replaceChildren(...classes.map(({ label, score }) => {
    const item = make("li"), line = make("div"), track = make("div", undefined, "track"), bar = make("i");
    line.append(make("span", label), make("span", (100 * score).toFixed(1) + " %"));
    bar.style.width = 100 * score + "%";
    track.append(bar);
    item.append(line, track);
    return item;
  }));
}

// One after the other: a page needn't fill a server's queue.
let last = Promise.resolve();
const askAll = (files) => { for (const file of files) last = last.then(() => ask(file)); };
const drop = at("#drop"), choose = at("#drop input");
choose.addEventListener("change", () => { askAll([...choose.files]); choose.value = ""; });
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("dragover", () => drop.classList.add("over"));
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => { drop.classList.remove("over"); askAll(event.dataTransfer.files); });
document.addEventListener("paste", (event) => askAll(event.clipboardData.files));
