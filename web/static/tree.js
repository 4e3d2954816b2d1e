// The zoomable tree: moves the picture that came with the page, names what is near enough, walks it by keyboard.
"use strict";

const svg = document.getElementById("tree");
const scene = document.getElementById("scene");
const names = document.getElementById("names");
const ring = document.getElementById("ring");
const said = document.getElementById("said");
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const HEIGHT = svg.viewBox.baseVal.height;
const NAMES_SHOWN = 160;
const NAME_GAP = 15; // picture units between the lines of names
const DRAG_STARTS = 4; // pixels
const ROOT = -2;
const FAILED = -1;

let nodes = [];
let children = [];
let chosen = -1;
const view = { x: 0, y: 0, scale: 1 };

const across = (node) => node.x * view.scale + view.x;
const down = (node) => node.y * view.scale + view.y;

function limit() {
  view.scale = Math.min(Math.max(view.scale, 1), 400);
  view.x = Math.min(0.5 * WIDTH, Math.max(view.x, WIDTH * (0.5 - view.scale)));
  view.y = Math.min(0.5 * HEIGHT, Math.max(view.y, HEIGHT * (0.5 - view.scale)));
}

let asked = false;
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    limit();
    scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
    name();
    mark();
  });
}

// Names stand where there is room: the chosen node first, then from the best colour on.
function name() {
  names.replaceChildren();
  const taken = new Map();
  const near = nodes
    .map((node, index) => ({ node, index, x: across(node), y: down(node) }))
    .filter((each) => each.x > -5 && each.x < WIDTH && each.y > 0 && each.y < HEIGHT && each.node.c !== ROOT);
  near.sort((a, b) => (b.index === chosen) - (a.index === chosen) || rank(a.node) - rank(b.node));
  let shown = 0;
  for (const each of near) {
    if (shown >= NAMES_SHOWN) break;
    const line = Math.round(each.y / NAME_GAP);
    const end = each.x + 12 + 6.3 * Math.min(each.node.t.length, 40);
    const spans = [...(taken.get(line) || []), ...(taken.get(line - 1) || []), ...(taken.get(line + 1) || [])];
    if (spans.some(([from, to, y]) => from < end && to > each.x && Math.abs(y - each.y) < NAME_GAP)) continue;
    taken.set(line, [...(taken.get(line) || []), [each.x, end, each.y]]);
    const text = document.createElementNS(SVG, "text");
    text.setAttribute("x", each.x + 9);
    text.setAttribute("y", each.y + 4);
    text.setAttribute("class", each.node.c === FAILED ? "title failed" : "title");
    text.textContent = each.node.t.length > 40 ? each.node.t.slice(0, 39) + "…" : each.node.t;
    names.append(text);
    shown += 1;
  }
}

const rank = (node) => (node.c === FAILED ? 99 : node.c);

function mark() {
  if (chosen < 0) return;
  ring.setAttribute("cx", across(nodes[chosen]));
  ring.setAttribute("cy", down(nodes[chosen]));
  ring.setAttribute("visibility", "visible");
}

function choose(index, follow) {
  if (index === undefined || index < 0) return;
  chosen = index;
  const node = nodes[index];
  said.replaceChildren();
  const title = document.createElement(node.s ? "a" : "strong");
  if (node.s) title.href = `/experiment/${node.s}`;
  title.textContent = node.t;
  const about = node.c === ROOT ? "the campaign" : [node.o, node.l, node.f].filter(Boolean).join("; ");
  said.append(title, ` ${about}${children[index].length ? `; ${children[index].length} came of it` : ""}`);
  if (follow) {
    const x = across(node);
    const y = down(node);
    if (x < 30 || x > WIDTH - 30) view.x += WIDTH / 2 - x;
    if (y < 20 || y > HEIGHT - 20) view.y += HEIGHT / 2 - y;
  }
  draw();
}

function zoom(factor, x, y) {
  const before = view.scale;
  view.scale = Math.min(Math.max(before * factor, 1), 400);
  view.x = x - (x - view.x) * (view.scale / before);
  view.y = y - (y - view.y) * (view.scale / before);
  draw();
}

function zoomAtChosen(factor) {
  const at = chosen < 0 ? { x: WIDTH / 2, y: HEIGHT / 2 } : { x: across(nodes[chosen]), y: down(nodes[chosen]) };
  zoom(factor, at.x, at.y);
}

function fit() {
  Object.assign(view, { x: 0, y: 0, scale: 1 });
  draw();
}

function place(event) {
  const box = svg.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * WIDTH, y: ((event.clientY - box.top) / box.height) * HEIGHT };
}

function nearest(at) {
  let found = -1;
  let least = 18 * 18;
  nodes.forEach((node, index) => {
    const distance = (across(node) - at.x) ** 2 + (down(node) - at.y) ** 2;
    if (distance < least) [found, least] = [index, distance];
  });
  return found;
}

// Up and down lead to the next node of the same generation, through cousins where there are no siblings.
function beside(step) {
  const same = nodes.map((node, index) => index).filter((index) => nodes[index].x === nodes[chosen].x);
  same.sort((a, b) => nodes[a].y - nodes[b].y);
  return same[same.indexOf(chosen) + step];
}

function best() {
  const scored = nodes.map((node, index) => index).filter((index) => nodes[index].c >= 0 && nodes[index].n >= 0);
  scored.sort((a, b) => nodes[a].r - nodes[b].r);
  return scored[0];
}

const KEYS = {
  ArrowLeft: () => choose(nodes[chosen].p, true),
  ArrowRight: () => choose(children[chosen][0], true),
  ArrowUp: () => choose(beside(-1), true),
  ArrowDown: () => choose(beside(1), true),
  "+": () => zoomAtChosen(1.5),
  "=": () => zoomAtChosen(1.5),
  "-": () => zoomAtChosen(1 / 1.5),
  0: fit,
  Home: () => choose(0, true),
  Enter: () => nodes[chosen].s && location.assign(`/experiment/${nodes[chosen].s}`),
};

svg.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key] || !nodes.length) return;
  event.preventDefault();
  if (chosen < 0 && event.key.startsWith("Arrow")) choose(0, true);
  else if (chosen >= 0 || !["Enter"].includes(event.key)) KEYS[event.key]();
});

svg.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const at = place(event);
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), at.x, at.y);
  },
  { passive: false },
);

const fingers = new Map();
let moved = 0;
svg.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, place(event));
  svg.setPointerCapture(event.pointerId);
  moved = 0;
});
svg.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = place(event);
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const spread = (at) => Math.hypot(at.x - other.x, at.y - other.y) || 1;
    zoom(spread(now) / spread(before), other.x, other.y);
  } else {
    view.x += now.x - before.x;
    view.y += now.y - before.y;
    draw();
  }
  moved += Math.hypot(event.movementX, event.movementY);
  fingers.set(event.pointerId, now);
});
for (const kind of ["pointerup", "pointercancel"]) {
  svg.addEventListener(kind, (event) => {
    fingers.delete(event.pointerId);
    if (kind === "pointerup" && moved < DRAG_STARTS) choose(nearest(place(event)), false);
  });
}
svg.addEventListener("dblclick", (event) => {
  const index = nearest(place(event));
  if (index > 0 && nodes[index].s) location.assign(`/experiment/${nodes[index].s}`);
});

for (const [id, act] of Object.entries({
  in: () => zoomAtChosen(1.5),
  out: () => zoomAtChosen(1 / 1.5),
  fit,
  best: () => choose(best(), true),
})) {
  document.getElementById(id).addEventListener("click", act);
}

fetch(svg.dataset.url)
  .then((answer) => {
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  })
  .then((answer) => {
    nodes = answer;
    children = nodes.map(() => []);
    nodes.forEach((node, index) => node.p >= 0 && children[node.p].push(index));
    svg.classList.add("ready");
    draw();
  })
  .catch(() => {
    said.textContent = "The nodes could not be read: load the page again.";
  });
