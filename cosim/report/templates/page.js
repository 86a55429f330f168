"use strict";
(() => {
  // Of A4 within its margins, less what cards and the head take.
  const PRINT_WIDTH_PX = 640, PRINT_HEIGHT_PX = 850, PRINT_HALF_PAGE_PX = 340;
  const PRINT_HEAD_WIDTH_PX = 590, PRINT_HEAD_HEIGHT_PX = 240;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const inTheDark = JSON.parse(document.getElementById("in-the-dark").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  const drawn = new Set();
  let printing = false;

  function figureOf(plot) {
    let text = plot.nextElementSibling.textContent;
    if (dark.matches && !printing) {
      for (const [light, shade] of Object.entries(inTheDark)) text = text.replaceAll(light, shade);
    }
    return JSON.parse(text);
  }

  function shrink(figure) {
    figure.layout.font = {size: 11};
    figure.layout.hoverlabel = {font: {size: 11}};
    const bar = figure.data.find(trace => trace.marker && trace.marker.colorbar);
    if (!bar) return;
    figure.layout.height = 540;
    figure.layout.legend = {y: 0, yanchor: "top"};
    for (const trace of figure.data) if (trace.marker) trace.marker.size *= 0.6;
    Object.assign(bar.marker.colorbar, {orientation: "h", y: 1, yanchor: "bottom", len: 0.9, thickness: 8});
    bar.marker.colorbar.title.side = "top";
  }

  function fitPaper(plot, layout) {
    const first = plot.closest(".head");
    const most = first ? PRINT_HEAD_HEIGHT_PX : layout.height > 450 ? PRINT_HEIGHT_PX : PRINT_HALF_PAGE_PX;
    layout.height = Math.min(layout.height, most);
    layout.width = first ? PRINT_HEAD_WIDTH_PX : PRINT_WIDTH_PX;
  }

  function draw(plot) {
    const figure = figureOf(plot);
    const narrow = plot.clientWidth < 500 && !printing;
    if (narrow) shrink(figure);
    if (printing) fitPaper(plot, figure.layout);
    figure.config = {
      responsive: !printing,
      displaylogo: false,
      displayModeBar: narrow || printing ? false : "hover",
      modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    };
    if (drawn.has(plot)) Plotly.purge(plot);
    plot.style.minHeight = "";
    Plotly.newPlot(plot, figure);
    const meta = figure.layout.meta || {};
    if (!drawn.has(plot) && meta.frames) addSlider(plot, meta);
    if (!drawn.has(plot) && meta.choices) addMenu(plot, meta.choices);
    drawn.add(plot);
  }

  function controls(plot, ...children) {
    const row = document.createElement("div");
    row.className = "controls";
    row.append(...children);
    plot.before(row);
  }

  function addSlider(plot, meta) {
    const slider = document.createElement("input");
    const shown = document.createElement("output");
    const play = document.createElement("button");
    Object.assign(slider, {type: "range", min: 0, max: meta.frames.length - 1, value: meta.first});
    slider.setAttribute("aria-label", "step shown");
    play.type = "button";
    let timer = 0;
    function stop() {
      clearInterval(timer);
      timer = 0;
      play.textContent = "Play";
    }
    function show() {
      const text = meta.frames[slider.value];
      shown.textContent = `step from ${text}`;
      slider.setAttribute("aria-valuetext", text);
      const at_once = {mode: "immediate", frame: {duration: 0, redraw: true}, transition: {duration: 0}};
      Plotly.animate(plot, [String(slider.value)], at_once);
    }
    function next() {
      slider.value = (Number(slider.value) + 1) % meta.frames.length;
      show();
    }
    slider.oninput = show;
    play.onclick = () => {
      if (timer) return stop();
      play.textContent = "Pause";
      timer = setInterval(next, 200);
    };
    stop();
    shown.textContent = `step from ${meta.frames[meta.first]}`;
    controls(plot, play, slider, shown);
  }

  function addMenu(plot, choices) {
    const menu = document.createElement("select");
    menu.setAttribute("aria-label", "which of them");
    for (const [name] of choices) menu.add(new Option(name));
    menu.onchange = () => Plotly.restyle(plot, {visible: choices[menu.selectedIndex][1]});
    controls(plot, menu);
  }

  function sortBy(head) {
    const body = head.closest("table").tBodies[0];
    const down = (head.dataset.down = head.dataset.down === "1" ? "" : "1");
    const key = row => row.cells[head.cellIndex].textContent;
    // Of "10,047 [9,900, 10,100]" the mean counts; what is no number comes after all numbers.
    const figure = row => {
      const found = parseFloat(key(row).replaceAll(",", "").replace("\u2212", "-"));
      return Number.isNaN(found) ? Number.MAX_VALUE : found;
    };
    const numeric = head.classList.contains("number");
    const order = (a, b) => numeric ? figure(a) - figure(b) : key(a).localeCompare(key(b));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    body.append(...[...body.rows].sort((a, b) => (down ? order(a, b) : order(b, a))));
  }

  function redraw() {
    for (const plot of printing ? plots : drawn) draw(plot);
  }

  for (const button of document.querySelectorAll(".sortable th button")) {
    button.onclick = () => sortBy(button.parentElement);
  }
  // What is on the first screen is drawn at once, everything else when it comes near.
  for (const plot of plots.filter(plot => plot.getBoundingClientRect().top < innerHeight)) draw(plot);
  const near = new IntersectionObserver(entries => {
    for (const {isIntersecting, target} of entries) {
      if (isIntersecting && !drawn.has(target)) draw(target);
    }
  }, {rootMargin: "600px"});
  for (const plot of plots) near.observe(plot);
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => { printing = true; redraw(); });
  addEventListener("afterprint", () => { printing = false; redraw(); });
})();
