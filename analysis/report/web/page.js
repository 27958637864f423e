"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const cells = read("cells"); // cells by switch
const off = new Set(); // switches that are off
const views = []; // in the order of figures, as far as rendered

function rows(packed) {
  const made = Array.from({ length: packed.length }, () => ({}));
  for (const [name, column] of Object.entries(packed.columns))
    made.forEach((row, i) => { row[name] = column.texts ? column.texts[column.at[i]] : column.values[i]; });
  return made;
}

function show() {
  for (const button of document.querySelectorAll(".switch"))
    button.setAttribute("aria-pressed", String(!off.has(button.dataset.name)));
  const hidden = [...off].flatMap((name) => [name, ...cells[name]]);
  views.forEach((view) => view.signal("hidden", hidden).runAsync());
}

function toggle(name) {
  if (!(name in cells)) return;
  if (off.has(name)) off.delete(name); else off.add(name);
  show();
}

function switchOf(label) { // legends name cells or rules
  return label in cells ? label : Object.keys(cells).find((name) => cells[name].includes(label));
}

function legendClick(event, item) {
  if (!item || !item.mark || !String(item.mark.role).startsWith("legend")) return;
  const label = item.datum && item.datum.value;
  if (typeof label === "string") toggle(switchOf(label));
}

function clickable(vega) { // legends ignore pointer events by default
  for (const legend of vega.legends || []) {
    legend.encode = legend.encode || {};
    for (const part of ["symbols", "labels"]) {
      const was = legend.encode[part] || {};
      const update = { ...was.update, cursor: { value: "pointer" } };
      legend.encode[part] = { ...was, interactive: true, update };
    }
  }
  for (const mark of vega.marks || []) clickable(mark);
  return vega;
}

for (const button of document.querySelectorAll(".switch"))
  button.addEventListener("click", () => toggle(button.dataset.name));
document.getElementById("all").addEventListener("click", () => { off.clear(); show(); });

// Log level 1 reports errors only: a plot with everything hidden would warn about empty axes.
const actions = { export: true, source: false, compiled: false, editor: false };
Promise.all(read("charts").map(async ({ spec, data }, number) => {
  spec.datasets = Object.fromEntries(Object.entries(data).map(([name, packed]) => [name, rows(packed)]));
  const { view } = await vegaEmbed(`#chart${number}`, spec, { actions, renderer: "canvas", logLevel: 1, patch: clickable });
  view.addEventListener("click", legendClick);
  views[number] = view;
})).then(() => { document.body.dataset.ready = String(views.length); });
