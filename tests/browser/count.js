// What each figure was given, and what is to be seen of it: lists of [name, what, given, seen].
() => {
  const number = (value) => value !== null && value !== undefined && value !== "";
  const each = (trace) => (trace.x || trace.y || []).map((_, at) => [trace.x ? trace.x[at] : at, trace.y ? trace.y[at] : at]);
  const points = (trace) => each(trace).filter(([x, y]) => number(x) && number(y)).length;
  const has = (trace, part) => (trace.mode || "lines").includes(part);
  const sum = (traces, count) => traces.reduce((all, trace) => all + count(trace), 0);
  const areas = (trace) => trace.labels.length + (trace.parents.filter((name) => !name).length > 1 ? 1 : 0); // and the whole
  return [...document.querySelectorAll(".canvas")].flatMap((canvas) => {
    const { data } = JSON.parse(canvas.nextElementSibling.textContent);
    const of = (type) => data.filter((trace) => (trace.type || "scatter") === type);
    const seen = (selector) => canvas.querySelectorAll(selector).length;
    const cells = (trace) => trace.z.flat().filter(number).length;
    return [
      ["bars", sum(of("bar"), points), seen(".barlayer .point")],
      ["points", sum(of("scatter").filter((one) => has(one, "markers")), points), seen(".scatterlayer .points > path")],
      ["texts", sum(of("scatter").filter((one) => has(one, "text")), points), seen(".scatterlayer .textpoint")],
      ["lines", of("scatter").filter((one) => has(one, "lines") && points(one)).length, seen(".scatterlayer .lines > .js-line")],
      ["boxes", sum(of("box"), (one) => one.q1?.length || 0), seen(".boxlayer path.box")],
      ["maps", of("heatmap").filter(cells).length, seen(".heatmaplayer image")],
      ["nodes", sum(of("sankey"), (one) => new Set([...one.link.source, ...one.link.target]).size), seen(".sankey-node")],
      ["flows", sum(of("sankey"), (one) => one.link.value.length), seen(".sankey-link")],
      ["areas", sum(of("treemap"), areas), seen(".treemaplayer .slice")],
      ["spaces", of("scatter3d").length ? 1 : 0, seen(".gl-container canvas, .gl-container svg") ? 1 : 0],
    ].filter(([, given, found]) => given || found).map((row) => [canvas.getAttribute("aria-label"), ...row]);
  });
}
