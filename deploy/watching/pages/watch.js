"use strict";
// Draws each view that /events sends. Texts of programs become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const LEAST_S = 60; // A course is drawn over at least a minute.
const STALE_MS = 15000;
const COLUMNS = ["at", "offered", "accepted", "shed", "late", "p50", "p99", "ready", "oldest", "workers", "desired", "store"];
const UNLED = "the leading autoscaler does not answer: moments and queue are unknown";
const FINE = { healthy: "good", "slow start": "warn", draining: "warn" };
const byId = (id) => document.getElementById(id);
let predicted = {}, latest = null, heardAt = 0;

function made(name, options = {}, ...children) {
  const node = document.createElement(name);
  if (options.class) node.className = options.class;
  if (options.label) node.dataset.label = options.label;
  node.append(...children);
  return node;
}

function drawn(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const known = (value) => value !== null && value !== undefined;

function number(value) {
  if (!known(value)) return "-";
  const size = Math.abs(value), digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

function duration(seconds) {
  if (!known(seconds)) return "-";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}

function size(bytes) {
  if (!known(bytes)) return "-";
  const power = bytes < 1 ? 0 : Math.min(3, Math.floor(Math.log2(bytes) / 10));
  const scaled = bytes / 1024 ** power;
  return `${scaled.toFixed(scaled >= 100 || !power ? 0 : 1)} ${["B", "KiB", "MiB", "GiB"][power]}`;
}

const percent = (part) => (known(part) ? `${Math.round(part * 100)} %` : "-");

function since(seconds) {
  const whole = Math.round(Math.abs(seconds));
  const text = whole < 600 ? `${whole} s` : whole < 36000 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
  return (seconds < 0 ? "\u2212" : "+") + text;
}

// A round step of which at most `most` lie between low and high.
function step(low, high, most) {
  const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
}

// curves: [{column, style, band?}]; the axis is in seconds from `zero`, which is the moment where there is one.
function chart(id, view, curves, unit) {
  const box = byId(id), width = box.clientWidth, height = box.clientHeight;
  if (!width) return;
  const zero = view.moment ? view.moment.fires_at : view.at;
  const rows = view.course.map((row) => Object.fromEntries(COLUMNS.map((name, index) => [name, row[index]])));
  const high = view.at - zero, low = Math.min(rows.length ? rows[0].at - zero : high, high - LEAST_S);
  const bands = curves.filter((one) => one.band && view.moment).map((one) => ({
    style: one.style, rows: (predicted[one.band] || []).filter(([t]) => t >= low && t <= high) }));
  const values = rows.flatMap((row) => curves.map((one) => row[one.column])).filter(known);
  const tops = bands.flatMap((band) => band.rows.map((row) => row[3]));
  const top = Math.max(...values, ...tops, unit === "count" ? 4 : 0.01) * 1.08;
  const left = 52, bottom = 18, right = 6, up = 6;
  const x = (t) => left + ((t - low) / (high - low)) * (width - left - right);
  const y = (value) => height - bottom - (value / top) * (height - bottom - up);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": byId(`${id}-now`).textContent });
  const every = step(0, top, 4);
  for (let at = 0; at <= top; at += every) {
    svg.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at) }));
    const label = unit === "count" ? number(at) : duration(at);
    svg.append(drawn("text", { x: left - 5, y: y(at) + 4, "text-anchor": "end" }, at ? label : "0"));
  }
  const pace = step(low, high, Math.max(2, Math.floor(width / 65)));
  for (let at = Math.ceil(low / pace) * pace; at <= high; at += pace) {
    svg.append(drawn("text", { x: Math.min(x(at), width - 18), y: height - 4, "text-anchor": "middle" }, at ? since(at) : view.moment ? "0" : "now"));
  }
  if (view.moment && low < 0 && high > 0) svg.append(drawn("line", { class: "moment", x1: x(0), x2: x(0), y1: up, y2: height - bottom }));
  for (const when of new Set(view.events.filter((event) => event.kind === "bad").map((event) => event.at))) {
    const at = when - zero;
    if (at >= low) svg.append(drawn("line", { class: "mark", x1: x(at), x2: x(at), y1: up, y2: height - bottom }));
  }
  for (const band of bands) {
    if (band.rows.length < 2) continue;
    const edge = [...band.rows.map(([t, p10]) => [t, p10]), ...band.rows.map((row) => [row[0], row[3]]).reverse()];
    svg.append(drawn("path", { class: "band", d: `M${edge.map(([t, value]) => `${x(t)} ${y(value)}`).join("L")}Z` }));
  }
  for (const one of [...curves].reverse()) {
    let path = "", pen = "M";
    for (const row of rows) {
      if (!known(row[one.column])) { pen = "M"; continue; }
      path += `${pen}${x(row.at - zero).toFixed(1)} ${y(row[one.column]).toFixed(1)}`;
      pen = "L";
    }
    if (path) svg.append(drawn("path", { class: `curve ${one.style}`, d: path }));
  }
  box.replaceChildren(svg);
}

function legend(id, entries) {
  byId(id).replaceChildren(...entries.map(([name, value, style]) =>
    made("span", {}, ...(style ? [made("i", { class: style })] : []), `${name} `, made("b", {}, value))));
}

function table(id, heads, rows) {
  const head = made("thead", {}, made("tr", {}, ...heads.map((one) => {
    const cell = made("th", {}, one);
    cell.scope = "col";
    return cell;
  })));
  const body = made("tbody", {}, ...rows.map((row) => made("tr", {}, ...row.map((cell, index) => {
    const [content, style] = Array.isArray(cell) ? cell : [cell, ""];
    return made("td", { class: style, label: heads[index] }, content);
  }))));
  byId(id).replaceChildren(head, body);
}

function bar(part) {
  const filled = made("span", { class: part > 0.9 ? "full" : "" });
  filled.style.width = `${Math.min(100, Math.max(part > 0 ? 1 : 0, part * 100))}%`;
  return made("span", { class: "bar" }, filled);
}

function words(id, text, bad) {
  byId(id).textContent = text;
  byId(id).classList.toggle("bad", Boolean(bad));
}

function header(view) {
  const moment = view.moment;
  byId("clock").textContent = moment ? since(moment.since_s) : view.queue ? "no moment" : "unknown";
  let phase = view.queue ? "none is open or comes soon" : UNLED;
  if (moment) {
    const left = moment.closes_at - view.at;
    phase = `from moment ${moment.id}: `
      + (moment.since_s < 0 ? "it has not fired" : left >= 0 ? `open, closes in ${Math.round(left)} s` : `closed ${since(-left).slice(1)} ago`);
    const told = view.others.map((one) => `${one.id} ${since(one.since_s)}`);
    if (moment.others > told.length) told.push(`and ${moment.others - told.length} more`);
    if (told.length) phase += `; other moments: ${told.join(", ")}`;
  }
  byId("phase").textContent = phase;
  const posts = moment ? moment.posts : {};
  byId("counts").replaceChildren(...["accepted", "on_time", "late", "ready", "rejected", "pending"].filter((name) => name in posts)
    .map((name) => made("div", {}, made("dt", {}, name.replace("_", " ")), made("dd", {}, number(posts[name])))));
  const health = byId("health"), bad = view.problems.length > 0;
  health.classList.toggle("bad", bad);
  health.replaceChildren(...(bad ? view.problems : [`all well: ${view.read} programs answer`]).map((one) => made("div", {}, one)));
}

function charts(view) {
  const flow = view.flow, times = view.uploads, queue = view.queue, store = view.store;
  legend("flow-now", [["offered", number(flow.offered), "one dashed"], ["accepted", number(flow.accepted), "two"],
    ["shed", number(flow.shed), "three"], ["late", number(flow.late), "four"], ["came back", number(flow.back)]]);
  chart("flow", view, [{ column: "offered", style: "one dashed", band: "offered" }, { column: "accepted", style: "two", band: "accepted" },
    { column: "shed", style: "three", band: "shed" }, { column: "late", style: "four" }], "count");
  byId("uploads-over").textContent = times.count ? `${number(times.count)} in the last ${number(times.over_s)} s` : "none in the last seconds";
  legend("times-now", [["p50", duration(times.p50_s), "one"], ["p99", duration(times.p99_s), "three dashed"]]);
  chart("times", view, [{ column: "p50", style: "one" }, { column: "p99", style: "three dashed" }], "s");
  legend("queue-now", queue ? [["ready", number(queue.ready), "one"], ["oldest", duration(queue.oldest_s)], ["leased", number(queue.leased)],
    ["deferred", number(queue.deferred)]] : []);
  chart("queue", view, [{ column: "ready", style: "one" }], "count");
  words("queue-words", queue ? `${number(queue.dead)} dead letters` : UNLED, !queue || queue.dead);
  legend("workers-now", queue ? [["there", number(queue.workers), "two"], ["wanted", number(queue.desired), "one dashed"]] : []);
  chart("workers", view, [{ column: "workers", style: "two" }, { column: "desired", style: "one dashed" }], "count");
  const tiers = queue ? Object.entries(queue.tiers).map(([tier, count]) => `${count} ${tier}`) : [];
  words("workers-words", (queue ? `led by ${queue.leader}` : "") + (tiers.length ? `; the ladder wants ${tiers.join(", ")}` : ""));
  legend("store-now", store ? [["commit p50", duration(store.times.p50_s)], ["p99", duration(store.times.p99_s), "one"]] : []);
  chart("store", view, [{ column: "store", style: "one" }], "s");
  const refused = store ? Object.entries(store.refused).map(([cause, per_s]) => `${cause} ${number(per_s)} a second`) : [];
  words("store-words", `refusals: ${refused.join(", ") || "none"}`, refused.length);
}

const state = (one) => [made("span", {}, one.why ? `${one.state}: ${one.why}` : one.state), FINE[one.state] || "bad"];

function tables(view) {
  table("nodes", ["node", "state", "healthy at", "ring share", "load", "requests/s", "in flight", "bytes / budget", "", "answers in"],
    view.nodes.map((node) => [node.name, node.why ? [state(node)[0], `${state(node)[1]} whole`] : state(node), `${node.healthy_at} of ${node.balancers}`, percent(node.share), percent(node.load),
      number(node.per_s), number(node.in_flight), [`${size(node.bytes)} / ${size(node.bytes_max)}`, "whole"],
      [bar(node.bytes_max ? node.bytes / node.bytes_max : 0), "whole"], duration(node.answer_s)]));
  table("balancers", ["balancer", "state", "requests/s", "in flight", "clients"],
    view.balancers.map((one) => [one.name, state(one), number(one.per_s), number(one.in_flight), number(one.clients)]));
  table("shards", view.shards.length ? ["Redis", "state", "memory", "limit"] : [], view.shards.map((one) =>
    [one.name, one.up ? ["answers", "good"] : ["no answer", "bad"], size(one.bytes), one.bytes_max ? size(one.bytes_max) : one.up ? "none" : "-"]));
  words("shards-words", view.shards.length ? "" : "no program tells of Redis");
  byId("foretold-card").hidden = !view.foretold.length;
  table("foretold", ["figure", "p10", "p50", "p90", "now"], view.foretold.map((one) => [one.name.replaceAll("_", " "), number(one.p10), number(one.p50),
    number(one.p90), [number(one.now), one.outside ? "warn" : ""]]));
}

function events(view) {
  byId("events").replaceChildren(...[...view.events].reverse().map((event) => made("li", { class: event.kind === "note" ? "" : event.kind },
    made("time", {}, view.moment ? since(event.at - view.moment.fires_at) : new Date(event.at * 1000).toLocaleTimeString("en-GB")), made("span", {}, event.words))));
  if (!view.events.length) byId("events").append(made("li", {}, made("span", {}, "none yet")));
}

function show() {
  if (!latest) return;
  header(latest);
  charts(latest);
  tables(latest);
  events(latest);
}

// Between two readings the clock goes on by itself.
function tick() {
  if (latest && latest.moment) byId("clock").textContent = since(latest.moment.since_s + (Date.now() - heardAt) / 1000);
  footer();
}

function footer() {
  const stale = latest && Date.now() - heardAt > STALE_MS;
  const read = latest ? `read ${new Date(latest.at * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC, ${latest.read} programs` : "";
  byId("footer").textContent = stale ? `no reading for ${Math.round((Date.now() - heardAt) / 1000)} s: python -m deploy watch may have ended; ${read}` : read;
  byId("footer").classList.toggle("bad", Boolean(stale));
}

const source = new EventSource("events");
source.addEventListener("prediction", (message) => { predicted = JSON.parse(message.data); });
source.addEventListener("message", (message) => {
  latest = JSON.parse(message.data);
  heardAt = Date.now();
  show();
  footer();
});
window.addEventListener("resize", show);
window.setInterval(tick, 1000);
