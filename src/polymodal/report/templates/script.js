"use strict";
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const palette = ["#4269d0", "#d99a00", "#e8543a", "#3aa38c", "#3ca951", "#e0659a", "#a463f2", "#5b8fe0", "#9c6b4e", "#7d818c"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const redraw = [];
const element = (tag, text, parent) => {
  const made = document.createElement(tag);
  made.textContent = text;
  parent?.append(made);
  return made;
};

// images: a click enlarges them
const dialog = document.querySelector("dialog");
dialog.onclick = () => dialog.close();
for (const image of document.querySelectorAll("figure img")) {
  image.onclick = () => { dialog.firstElementChild.src = image.src; dialog.showModal(); };
}

// tables: a click on the head of a column sorts
const value = (row, column) => row.cells[column].style.getPropertyValue("--v") || row.cells[column].textContent;
for (const head of document.querySelectorAll(".sortable th")) {
  head.onclick = () => {
    const body = head.closest("table").tBodies[0], sign = head.dataset.down ? 1 : -1;
    const compare = (a, b) => sign * value(a, head.cellIndex).localeCompare(value(b, head.cellIndex), "en", { numeric: true });
    const measure = (a, b) => sign * (value(a, head.cellIndex) - value(b, head.cellIndex));
    const numbers = [...body.rows].every((row) => row.cells[head.cellIndex].classList.contains("n"));
    body.append(...[...body.rows].sort(numbers ? measure : compare));
    head.dataset.down = head.dataset.down ? "" : "yes";
  };
}

// sounds: each is in the page once; a click on a spectrogram plays from there, another one stops
const sounds = new Map([...document.querySelectorAll("audio[data-key]")].map((audio) => [audio.dataset.key, audio]));
let playing = null;
const stop = () => {
  if (!playing) return;
  playing.audio.pause();
  playing.button.querySelector("i").style.opacity = 0;
  playing.button.classList.remove("playing");
  playing = null;
};
for (const button of document.querySelectorAll("[data-sound]")) {
  button.onclick = async (event) => {
    const was = playing?.button === button, audio = sounds.get(button.dataset.sound);
    stop();
    if (was || !audio) return;
    const box = button.getBoundingClientRect();
    playing = { button, audio };
    button.classList.add("playing");
    await audio.play();
    const share = event.detail ? (event.clientX - box.left) / box.width : 0;
    if (share > 0.25) audio.currentTime = share * audio.duration;  // the left part is the sign to play it all
    const mark = button.querySelector("i");
    const move = () => {
      if (playing?.button !== button) return;
      mark.style.opacity = 1;
      mark.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
      audio.ended ? stop() : requestAnimationFrame(move);
    };
    move();
  };
}

// curves
const smoothed = (y, weight) => {
  // an exponential mean without the bias of its start
  let mean = 0, total = 0;
  return y.map((v) => {
    if (v === null) return null;
    mean = weight * mean + (1 - weight) * v;
    total = weight * total + (1 - weight);
    return mean / total;
  });
};
const nearest = (y, index) => {
  for (let d = 0; d < y.length; d++) {
    if (y[index - d] != null) return index - d;
    if (y[index + d] != null) return index + d;
  }
  return null;
};
const shown = (v) => (v == null ? "" : Math.abs(v) >= 1e3 ? v.toLocaleString("en", { maximumFractionDigits: 0 }) : String(+v.toPrecision(4)));
const tick = (v) => (v != null && Math.abs(v) >= 1e5 ? v.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 5 }) : shown(v));
const curves = (box) => {
  const data = JSON.parse(box.dataset.plot), tip = element("div", "", null);
  tip.className = "tip";
  let plot = null;
  const draw = () => {
    const weight = +(document.querySelector(".smoothing")?.value || 0), log = document.querySelector(".logarithmic")?.checked;
    const ys = data.series.map((s) => (s.smooth && weight ? smoothed(s.y, weight) : s.y));
    const positive = ys.every((y) => y.every((v) => v === null || v > 0));
    const ink = css("--soft"), line = css("--line");
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui" };
    const series = data.series.map((s, i) => ({
      label: s.name, stroke: s.colour || palette[i % palette.length], width: 2, spanGaps: true,
      points: { show: s.y.filter((v) => v !== null).length < 40, size: 5 },
      value: (u, v) => shown(v),
    }));
    const hover = (u) => {
      // the curve that is nearest to the pointer
      const { left, top, idx } = u.cursor;
      let best = null;
      if (idx != null && left >= 0) {
        ys.forEach((y, i) => {
          const at = u.series[i + 1].show ? nearest(y, idx) : null;
          if (at === null) return;
          const distance = Math.hypot(u.valToPos(data.x[at], "x") - left, u.valToPos(y[at], "y") - top);
          if (distance < 40 && (!best || distance < best.distance)) best = { i, at, distance };
        });
      }
      tip.style.display = best ? "block" : "none";
      if (!best) return;
      tip.replaceChildren();
      element("b", data.series[best.i].name, tip);
      element("span", `${shown(ys[best.i][best.at])} at step ${data.x[best.at]}`, tip);
      const side = u.over.offsetLeft + left;
      tip.style.left = `${side > box.clientWidth / 2 ? side - tip.offsetWidth - 12 : side + 12}px`;
      tip.style.top = `${u.over.offsetTop + top + 12}px`;
    };
    plot?.destroy();
    plot = new uPlot({
      width: box.clientWidth, height: data.height || 240, series: [{ label: "step", value: (u, v) => shown(v) }, ...series],
      axes: [{ ...axis, incrs: [1, 2, 5].flatMap((n) => [...Array(10).keys()].map((k) => n * 10 ** k)).sort((a, b) => a - b) }, { ...axis, size: 62, values: (u, splits) => splits.map(tick) }],
      scales: { x: { time: false }, y: { distr: log && positive ? 3 : 1 } },
      legend: { show: data.series.length <= 12 }, focus: { alpha: 0.25 },
      cursor: { focus: { prox: 30 }, dataIdx: (u, s, at) => (s === 0 ? at : nearest(ys[s - 1], at) ?? at), points: { size: 7 } },
      hooks: { setCursor: [hover] },
    }, [data.x, ...ys], box);
    box.append(tip);
  };
  draw();
  redraw.push(draw);
};
document.querySelectorAll(".plot").forEach(curves);
for (const input of document.querySelectorAll(".smoothing, .logarithmic")) {
  input.oninput = () => {
    if (input.type === "range") input.nextElementSibling.textContent = input.value;
    redraw.forEach((draw) => draw());
  };
}

// the map of the embeddings: thumbnails and words where there is room, else dots; zooming in makes room
const embeddingMap = (box) => {
  const data = JSON.parse(box.dataset.map), canvas = box.querySelector("canvas"), tip = box.querySelector(".tip");
  const tiles = box.querySelector("img"), keys = box.querySelector(".row"), names = data.classes.map((pair) => pair[0]);
  const visible = data.modalities.map(() => true), of = new Map();
  let zoom = 1, x0 = 0, y0 = 0, chosen = null, hovered = null;
  for (const point of data.points) of.set(point[4], [...(of.get(point[4]) || []), point]);
  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const place = (point) => {
    const [width, height] = size(), margin = 34;
    return [(margin + point[0] * (width - 2 * margin)) * zoom + x0, (margin + (1 - point[1]) * (height - 2 * margin)) * zoom + y0];
  };
  const colour = (point) => (point[3] < 0 ? data.other : data.classes[point[3]][1]);
  const dimmed = (point) => chosen !== null && point[3] !== chosen;
  const mark = (draw, point, x, y, radius) => {
    // images are squares, sounds are notes, all else is a disc
    const kind = data.kinds[point[2]];
    draw.fillStyle = colour(point);
    draw.strokeStyle = css("--card");
    draw.beginPath();
    if (kind === "audio") { draw.font = `bold ${radius * 4}px system-ui`; draw.fillText("♪", x - radius, y + radius); return; }
    if (kind === "image" || kind === "video") draw.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else draw.arc(x, y, radius, 0, 7);
    draw.fill();
    draw.stroke();
  };
  const draw = () => {
    const [width, height] = size(), ratio = devicePixelRatio || 1, pen = canvas.getContext("2d");
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const taken = [], side = Math.min(data.tile, 24 + 6 * Math.log2(zoom));
    const free = (x, y, w, h) => {
      if (taken.some(([a, b, c, d]) => x < a + c && a < x + w && y < b + d && b < y + h)) return false;
      taken.push([x, y, w, h]);
      return true;
    };
    const later = [];
    for (const point of data.points) {
      if (!visible[point[2]]) continue;
      const [x, y] = place(point);
      if (x < -50 || y < -50 || x > width + 50 || y > height + 50) continue;
      pen.globalAlpha = dimmed(point) ? 0.12 : 1;
      mark(pen, point, x, y, 3);
      if (!dimmed(point)) later.push([point, x, y]);
    }
    pen.globalAlpha = 1;
    pen.font = "11px system-ui";
    for (const [point, x, y] of later) {
      if (point[5] >= 0 && tiles?.complete) {
        if (!free(x - side / 2 - 1, y - side / 2 - 1, side + 2, side + 2)) continue;
        const row = Math.floor(point[5] / data.columns), column = point[5] % data.columns;
        pen.drawImage(tiles, column * data.tile, row * data.tile, data.tile, data.tile, x - side / 2, y - side / 2, side, side);
        pen.strokeStyle = colour(point);
        pen.lineWidth = 2;
        pen.strokeRect(x - side / 2, y - side / 2, side, side);
        pen.lineWidth = 1;
      } else if (point[6]) {
        const words = point[6].length > 22 ? `${point[6].slice(0, 21)}…` : point[6], wide = pen.measureText(words).width;
        const left = x + wide + 8 > width ? x - wide - 6 : x + 6;  // no word leaves the map
        if (!free(left - 1, y - 7, wide + 4, 14)) continue;
        pen.fillStyle = css("--ink");
        pen.fillText(words, left, y + 4);
      }
    }
    if (hovered) {
      const [x, y] = place(hovered);
      for (const other of of.get(hovered[4])) {
        const [a, b] = place(other);
        pen.strokeStyle = css("--accent");
        pen.lineWidth = 2;
        pen.beginPath();
        pen.moveTo(x, y);
        pen.lineTo(a, b);
        pen.stroke();
        if (other[5] < 0) mark(pen, other, a, b, 5);
        else pen.strokeRect(a - side / 2, b - side / 2, side, side);
      }
      pen.lineWidth = 1;
    }
  };
  const showTip = (x, y) => {
    tip.style.display = hovered ? "block" : "none";
    if (!hovered) return;
    tip.replaceChildren();
    const shown = of.get(hovered[4]).find((point) => point[5] >= 0);
    if (shown && tiles?.complete) {
      const view = element("canvas", "", tip), row = Math.floor(shown[5] / data.columns), column = shown[5] % data.columns;
      view.width = view.height = data.tile;
      view.getContext("2d").drawImage(tiles, column * data.tile, row * data.tile, data.tile, data.tile, 0, 0, data.tile, data.tile);
    }
    const words = of.get(hovered[4]).map((point) => point[6]).find((text) => text);
    if (words) element("b", words, tip);
    const label = hovered[3] < 0 ? "" : ` · ${names[hovered[3]]}`;
    element("span", `${data.modalities[hovered[2]]}${label} · sample ${hovered[4]}`, tip);
    tip.style.left = `${Math.max(0, Math.min(x > size()[0] / 2 ? x - tip.offsetWidth - 14 : x + 14, size()[0] - tip.offsetWidth))}px`;
    tip.style.top = `${canvas.offsetTop + Math.max(0, Math.min(y + 14, size()[1] - tip.offsetHeight))}px`;
  };
  const find = (event) => {
    const at = canvas.getBoundingClientRect(), x = event.clientX - at.left, y = event.clientY - at.top;
    let best = 18, found = null;
    for (const point of data.points) {
      if (!visible[point[2]] || dimmed(point)) continue;
      const [a, b] = place(point), distance = Math.hypot(a - x, b - y);
      if (distance < best) { best = distance; found = point; }
    }
    if (found !== hovered) { hovered = found; draw(); }
    showTip(x, y);
  };
  const zoomed = (factor, x, y) => {
    const next = Math.max(1, Math.min(40, zoom * factor));
    x0 = next === 1 ? 0 : x - ((x - x0) * next) / zoom;
    y0 = next === 1 ? 0 : y - ((y - y0) * next) / zoom;
    zoom = next;
    draw();
  };
  let from = null;
  canvas.onpointerdown = (event) => { from = [event.clientX, event.clientY, x0, y0]; if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId); find(event); };
  canvas.onpointermove = (event) => {
    if (from && event.pointerType === "mouse") { x0 = from[2] + event.clientX - from[0]; y0 = from[3] + event.clientY - from[1]; draw(); } else find(event);
  };
  canvas.onpointerup = canvas.onpointercancel = () => { from = null; };
  canvas.onpointerleave = () => { if (!from) { hovered = null; showTip(0, 0); draw(); } };
  canvas.ondblclick = () => { zoom = 1; x0 = y0 = 0; draw(); };
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;  // else the page scrolls
    event.preventDefault();
    zoomed(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX, event.offsetY);
  }, { passive: false });
  const key = (text, shade, press) => {
    const button = element("button", text, keys);
    button.type = "button";
    button.className = "key";
    if (shade) { const dot = element("i", ""); dot.style.background = shade; button.prepend(dot); }
    button.onclick = () => { press(button); draw(); };
    return button;
  };
  key("+", "", () => zoomed(1.6, size()[0] / 2, size()[1] / 2));
  key("−", "", () => zoomed(0.625, size()[0] / 2, size()[1] / 2));
  data.modalities.forEach((name, i) => {
    const button = key(name, "", () => { visible[i] = !visible[i]; button.ariaPressed = visible[i]; });
    button.ariaPressed = true;
  });
  names.forEach((name, i) => {
    const button = key(name, data.classes[i][1], () => {
      chosen = chosen === i ? null : i;
      for (const other of keys.querySelectorAll("[data-class]")) other.ariaPressed = chosen === null || +other.dataset.class === chosen;
    });
    button.dataset.class = i;
    button.ariaPressed = true;
  });
  tiles?.decode().then(draw, draw);
  draw();
  redraw.push(draw);
};
document.querySelectorAll(".map").forEach(embeddingMap);

for (const media of [dark, matchMedia("print")]) media.addEventListener("change", () => redraw.forEach((draw) => draw()));
let width = innerWidth;
addEventListener("resize", () => { if (width !== innerWidth) { width = innerWidth; redraw.forEach((draw) => draw()); } });
